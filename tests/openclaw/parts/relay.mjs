// A TCP relay before the gateway that remembers what reaches it, so that "the
// gateway never saw this request" is a fact and not a guess.

import net from "node:net";

// Enough for every header of a run; the bulk of a large upload isn't kept.
const KEPT_PER_CONNECTION = 512 * 1024;

export async function startRelay(gatewayPort) {
  const connections = [];
  const open = new Set();
  const server = net.createServer((client) => {
    const seen = { chunks: [], bytes: 0 };
    connections.push(seen);
    const gateway = net.connect(gatewayPort, "127.0.0.1");
    for (const socket of [client, gateway]) {
      open.add(socket);
      socket.setNoDelay(true);
      socket.on("close", () => open.delete(socket));
    }
    client.on("data", (chunk) => {
      seen.bytes += chunk.length;
      if (seen.bytes < KEPT_PER_CONNECTION || chunk.includes(" HTTP/1.1\r\n")) seen.chunks.push(chunk);
    });
    client.pipe(gateway).pipe(client);
    client.on("error", () => gateway.destroy());
    gateway.on("error", () => {});
    // A client that goes away is gone for the gateway too: that is under test.
    client.on("close", () => gateway.destroy());
    // Closed with an upload unread, a socket resets, and an early answer would be lost.
    gateway.on("close", () => {
      client.end();
      client.resume();
      setTimeout(() => client.destroy(), 2000).unref();
    });
  });
  await new Promise((resolve) => server.listen(0, "127.0.0.1", resolve));

  const texts = () => connections.map(({ chunks }) => Buffer.concat(chunks).toString("latin1"));
  return {
    port: server.address().port,
    /** Whether any byte string of a connection to the gateway holds `marker`. */
    saw: (marker) => texts().some((text) => text.includes(marker)),
    /** The header of the request whose request line holds `marker`, as [lower-case name, value] pairs. */
    header(marker) {
      for (const text of texts()) {
        const at = text.indexOf(marker);
        if (at < 0) continue;
        const end = text.indexOf("\r\n\r\n", at);
        const lines = text.slice(at, end < 0 ? undefined : end).split("\r\n").slice(1);
        return lines.map((line) => {
          const colon = line.indexOf(":");
          return [line.slice(0, colon).toLowerCase(), line.slice(colon + 1).trim()];
        });
      }
      return undefined;
    },
    close() {
      server.close();
      for (const socket of open) socket.destroy();
    },
  };
}

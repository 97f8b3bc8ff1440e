// A stand-in for the identity-aware proxy, for the browser: terminates its TLS, says
// who the user is, and speaks TLS to Portcullis.

import https from "node:https";
import { CLIENT_IP } from "./client.mjs";
import { NICK } from "./gateway.mjs";

export async function startIdentityProxy(target, certificate) {
  const identified = (request) => {
    const headers = Object.fromEntries(
      Object.entries(request.headers).filter(([name]) => !name.startsWith("x-forwarded-")),
    );
    return {
      ...headers,
      "x-forwarded-for": CLIENT_IP,
      "x-forwarded-proto": "https",
      "x-forwarded-host": request.headers.host,
      "x-forwarded-user": NICK,
    };
  };
  const forward = (request) =>
    target.start({ method: request.method, path: request.url, headers: identified(request), alone: true });

  const open = new Set();
  const server = https.createServer({ cert: certificate.cert, key: certificate.key }, (request, response) => {
    const upstream = forward(request);
    upstream.on("response", (answer) => {
      response.writeHead(answer.statusCode, answer.rawHeaders);
      answer.pipe(response);
    });
    upstream.on("error", () => response.destroy());
    request.pipe(upstream);
  });
  server.on("upgrade", (request, socket, head) => {
    const upstream = forward(request);
    upstream.on("upgrade", (answer, other, otherHead) => {
      const fields = answer.rawHeaders.map((text, i) => (i % 2 === 0 ? `${text}: ` : `${text}\r\n`)).join("");
      socket.write(`HTTP/1.1 101 Switching Protocols\r\n${fields}\r\n`);
      if (otherHead.length > 0) socket.write(otherHead);
      if (head.length > 0) other.write(head);
      socket.pipe(other).pipe(socket);
      other.on("error", () => socket.destroy());
      socket.on("error", () => other.destroy());
    });
    upstream.on("response", (answer) => socket.end(`HTTP/1.1 ${answer.statusCode} Refused\r\nContent-Length: 0\r\n\r\n`));
    upstream.on("error", () => socket.destroy());
    upstream.end();
  });
  server.on("connection", (socket) => {
    open.add(socket);
    socket.on("close", () => open.delete(socket));
  });
  await new Promise((resolve) => server.listen(0, "127.0.0.1", resolve));
  return {
    port: server.address().port,
    close() {
      server.close();
      for (const socket of open) socket.destroy();
    },
  };
}

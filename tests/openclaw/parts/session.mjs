// A client of the gateway's WebSocket protocol. It speaks RFC 6455 itself, so that
// refused upgrades, pings and close codes are all visible.

import crypto from "node:crypto";
import { HOST, identity } from "./client.mjs";

const OP = { continuation: 0, text: 1, close: 8, ping: 9, pong: 10 };
const ORIGIN = `https://${HOST}`;

/** Upgrades, answers the gateway's challenge and waits for its hello. */
export async function openSession(client, { headers = identity(), timeout = 30_000 } = {}) {
  const shell = await client.ask({ path: "/" });
  const buildId = /data-openclaw-control-ui-build-id="([^"]+?)(?:-[0-9a-f]{64})?"/.exec(shell.text)?.[1];
  const session = new Session(await upgrade(client, headers), buildId);
  await Promise.race([session.hello, rejectAfter(timeout, "no hello from the gateway")]);
  return session;
}

class Session {
  pings = 0;
  /** Called with the name and payload of each event after the challenge. */
  onEvent = () => {};
  /** Resolves with {code, reason}; 1006 where no close frame came. */
  closed = new Promise((resolve) => (this.onClosed = resolve));
  hello = new Promise((resolve, reject) => Object.assign(this, { onHello: resolve, onRefused: reject }));
  #received = Buffer.alloc(0);
  #fragments = [];
  #pending = new Map();
  #connectId;

  constructor({ socket, head }, buildId) {
    this.socket = socket;
    this.buildId = buildId;
    this.hello.catch(() => {});
    this.closed.then(({ code, reason }) => this.onRefused(new Error(`closed with ${code} \`${reason}\` before the hello`)));
    socket.setNoDelay(true);
    socket.on("data", (chunk) => this.#feed(chunk));
    socket.on("error", (error) => this.onClosed({ code: 1006, reason: error.message }));
    socket.on("close", () => this.onClosed({ code: 1006, reason: "the connection ended without a close frame" }));
    if (head.length > 0) this.#feed(head);
  }

  /** Calls a method of the gateway and resolves with its answer, good or bad. */
  call(method, params = {}, timeout = 60_000) {
    const id = crypto.randomUUID();
    const answer = new Promise((resolve) => this.#pending.set(id, resolve));
    this.#send(OP.text, JSON.stringify({ type: "req", id, method, params }));
    const lost = this.closed.then(({ code, reason }) => Promise.reject(new Error(`closed with ${code} \`${reason}\``)));
    return Promise.race([answer, lost, rejectAfter(timeout, `no answer to ${method}`)]);
  }

  end() {
    this.#send(OP.close, Buffer.from([0x03, 0xe8]));
    setTimeout(() => this.socket.destroy(), 500).unref();
  }

  #send(opcode, payload) {
    if (this.socket.destroyed) return;
    const body = Buffer.from(payload);
    const mask = crypto.randomBytes(4);
    const masked = Buffer.allocUnsafe(body.length);
    for (let i = 0; i < body.length; i += 1) masked[i] = body[i] ^ mask[i & 3];
    let head;
    if (body.length < 126) head = Buffer.from([0x80 | opcode, 0x80 | body.length]);
    else if (body.length < 65536) {
      head = Buffer.from([0x80 | opcode, 0x80 | 126, 0, 0]);
      head.writeUInt16BE(body.length, 2);
    } else {
      head = Buffer.from([0x80 | opcode, 0x80 | 127, 0, 0, 0, 0, 0, 0, 0, 0]);
      head.writeBigUInt64BE(BigInt(body.length), 2);
    }
    this.socket.write(Buffer.concat([head, mask, masked]));
  }

  #feed(chunk) {
    this.#received = this.#received.length > 0 ? Buffer.concat([this.#received, chunk]) : chunk;
    for (;;) {
      const data = this.#received;
      if (data.length < 2) return;
      let length = data[1] & 0x7f;
      let start = 2;
      if (length === 126) {
        if (data.length < 4) return;
        length = data.readUInt16BE(2);
        start = 4;
      } else if (length === 127) {
        if (data.length < 10) return;
        length = Number(data.readBigUInt64BE(2));
        start = 10;
      }
      if (data.length < start + length) return;
      this.#received = data.subarray(start + length);
      this.#frame(data[0] & 0x0f, (data[0] & 0x80) !== 0, data.subarray(start, start + length));
    }
  }

  #frame(opcode, final, payload) {
    if (opcode === OP.close) {
      this.onClosed({ code: payload.length >= 2 ? payload.readUInt16BE(0) : 1005, reason: payload.toString("utf8", 2) });
      this.socket.end();
    } else if (opcode === OP.ping) {
      this.pings += 1;
      this.#send(OP.pong, payload);
    } else if (opcode !== OP.pong) {
      this.#fragments.push(payload);
      if (!final) return;
      const text = Buffer.concat(this.#fragments).toString("utf8");
      this.#fragments = [];
      this.#message(JSON.parse(text));
    }
  }

  #message(message) {
    if (message.type === "event" && message.event === "connect.challenge") {
      this.#connectId = crypto.randomUUID();
      this.#send(OP.text, JSON.stringify(connectRequest(this.#connectId, message.payload, this.buildId)));
    } else if (message.type === "event") {
      this.onEvent(message.event, message.payload);
    } else if (message.type === "res" && message.id === this.#connectId) {
      if (message.ok) this.onHello(message.payload);
      else this.onRefused(new Error(`the gateway refused the session: ${JSON.stringify(message.error)}`));
    } else if (message.type === "res") {
      this.#pending.get(message.id)?.(message);
      this.#pending.delete(message.id);
    }
  }
}

/** The first request of a session, signed by a device of its own as the Control UI's is. */
function connectRequest(id, challenge, buildId) {
  const { privateKey, publicKey } = crypto.generateKeyPairSync("ed25519");
  const rawKey = publicKey.export({ type: "spki", format: "der" }).subarray(-32);
  const deviceId = crypto.createHash("sha256").update(rawKey).digest("hex");
  const signedAt = challenge.ts;
  const name = "openclaw-control-ui";
  const scopes = ["operator.read", "operator.write"];
  const signed = ["v3", deviceId, name, "ui", "operator", scopes.join(","), signedAt, "", challenge.nonce, "web", ""];
  return {
    type: "req",
    id,
    method: "connect",
    params: {
      minProtocol: 4,
      maxProtocol: 4,
      client: { id: name, version: "test", platform: "web", mode: "ui", instanceId: crypto.randomUUID(), buildId },
      role: "operator",
      scopes,
      caps: [],
      locale: "en-US",
      userAgent: "portcullis-test",
      device: {
        id: deviceId,
        publicKey: rawKey.toString("base64url"),
        signedAt,
        nonce: challenge.nonce,
        signature: crypto.sign(null, Buffer.from(signed.join("|")), privateKey).toString("base64url"),
      },
    },
  };
}

/** The headers that turn a request into a WebSocket handshake. */
export function upgradeHeaders(headers, key = crypto.randomBytes(16).toString("base64")) {
  return {
    ...headers,
    origin: ORIGIN,
    connection: "Upgrade",
    upgrade: "websocket",
    "sec-websocket-version": "13",
    "sec-websocket-key": key,
  };
}

function upgrade(client, headers) {
  const key = crypto.randomBytes(16).toString("base64");
  const accept = crypto.createHash("sha1").update(`${key}258EAFA5-E914-47DA-95CA-C5AB0DC85B11`).digest("base64");
  return new Promise((resolve, reject) => {
    const request = client.start({ path: "/", headers: upgradeHeaders(headers, key), alone: true });
    request.on("error", reject);
    request.on("response", (response) => {
      response.resume();
      reject(new Error(`the upgrade was answered with ${response.statusCode}`));
    });
    request.on("upgrade", (response, socket, head) => {
      const got = response.headers["sec-websocket-accept"];
      if (got === accept) resolve({ socket, head });
      else reject(new Error(`sec-websocket-accept: got \`${got}\`, expected \`${accept}\``));
    });
    request.end();
  });
}

function rejectAfter(ms, what) {
  return new Promise((_, reject) => setTimeout(() => reject(new Error(`${what} within ${ms} ms`)), ms).unref());
}

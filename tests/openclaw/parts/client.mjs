// The identity proxy's part, played on loopback: HTTP/1.1 and HTTP/2 requests that
// carry a verified user, and whatever a check wants to add or leave out.

import crypto from "node:crypto";
import http from "node:http";
import http2 from "node:http2";
import https from "node:https";
import { NICK } from "./gateway.mjs";

export const HOST = "claw.example.com";
/** Whom the identity proxy speaks for: loopback would be refused by the gateway. */
export const CLIENT_IP = "203.0.113.7";

/** A path that no other request of the run has, to look for at the relay. */
export function marked(path) {
  const marker = `probe=${crypto.randomBytes(8).toString("hex")}`;
  return { path: `${path}${path.includes("?") ? "&" : "?"}${marker}`, marker };
}

/** What an identity proxy sends for `user`; null in `changes` leaves a header out. */
export function identity(user = NICK, changes = {}) {
  const headers = {
    host: HOST,
    "x-forwarded-for": CLIENT_IP,
    "x-forwarded-proto": "https",
    "x-forwarded-host": HOST,
    ...(user === null ? {} : { "x-forwarded-user": user }),
    ...changes,
  };
  return Object.fromEntries(Object.entries(headers).filter(([, value]) => value !== null));
}

export class Client {
  constructor({ port, ca }) {
    this.port = port;
    this.ca = ca;
    this.library = ca ? https : http;
    this.agent = new this.library.Agent({ keepAlive: true });
  }

  /** Options of a node request; `from` is the local address to connect from. */
  options({ method = "GET", path = "/", headers = identity(), from, alone = false }) {
    return {
      host: "127.0.0.1",
      port: this.port,
      method,
      path,
      headers,
      localAddress: from,
      agent: alone || from ? false : this.agent,
      ...(this.ca && { ca: this.ca, servername: HOST, ALPNProtocols: ["http/1.1"] }),
    };
  }

  start(options) {
    return this.library.request(this.options(options));
  }

  /** One request over HTTP/1.1, answered whole. */
  ask({ body, timeout = 30_000, ...options }) {
    return new Promise((resolve, reject) => {
      const request = this.start(options);
      request.setTimeout(timeout, () => request.destroy(new Error(`no answer within ${timeout} ms`)));
      request.on("error", reject);
      request.on("response", (response) => resolve(whole(response, response.statusCode, response.headers)));
      // An upgrade that is granted is an answer as well.
      request.on("upgrade", (response, socket) => {
        socket.destroy();
        resolve(answer(response.statusCode, response.headers, ""));
      });
      request.end(body);
    });
  }

  /** One streamed request over HTTP/1.1: calls `onText` with each piece as it comes. */
  stream({ body, onText, ...options }) {
    return new Promise((resolve, reject) => {
      const request = this.start(options);
      request.on("error", reject);
      request.on("response", (response) => {
        response.setEncoding("utf8").on("data", onText).on("error", reject);
        response.on("end", () => resolve({ status: response.statusCode, headers: response.headers }));
      });
      request.end(body);
    });
  }

  /** The same over HTTP/2, on a connection of its own. */
  streamH2({ method = "GET", path, headers = identity(), body, onText }) {
    return new Promise((resolve, reject) => {
      const session = http2.connect(`https://127.0.0.1:${this.port}`, { ca: this.ca, servername: HOST });
      session.on("error", reject);
      const { host, ...rest } = headers;
      const request = session.request({ ":method": method, ":path": path, ":authority": host, ...rest });
      let head;
      request.setEncoding("utf8");
      request.on("response", (fields) => (head = fields));
      request.on("data", onText);
      request.on("error", reject);
      request.on("end", () => {
        session.close();
        resolve({ status: head[":status"], headers: head });
      });
      request.end(body);
    });
  }

  async askH2(options) {
    let text = "";
    const head = await this.streamH2({ ...options, onText: (piece) => (text += piece) });
    return answer(head.status, head.headers, text);
  }

  close() {
    this.agent.destroy();
  }
}

function answer(status, headers, text) {
  let json;
  try { json = JSON.parse(text); } catch { /* not every answer is JSON */ }
  return { status, headers, text, json };
}

function whole(stream, status, headers) {
  return new Promise((resolve, reject) => {
    let text = "";
    stream.setEncoding("utf8").on("data", (piece) => (text += piece));
    stream.on("error", reject);
    stream.on("end", () => resolve(answer(status, headers, text)));
  });
}

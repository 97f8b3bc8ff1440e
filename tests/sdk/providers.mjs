// A local server that speaks the APIs of Anthropic and OpenAI as far as check.mjs and
// check.py use them. An answer depends on the request alone, so that two equal requests
// have equal answers: ids are taken from the body's hash, and no clock is read.
//
//   node providers.mjs --anthropic-key KEY --openai-key KEY    prints {"port":…} and serves
//
// Reserved model names make it misbehave: `error-400` (401, 402, 403, 404, 500, 529) and
// `limit-429` answer so, `error-stream` ends a stream with an error, `cut-stream` without
// one and without an end, `slow-stream` takes its time.
//
// GET /control/requests tells what came in, as [{ api, method, url, headers, bodyHash,
// credential, credentialHeaders, status, sentAt, finished, abandoned }, …]; `credential` is
// `right` or what is wrong with it, a header's credential itself is never told. ?since=N leaves out the first N.

import crypto from "node:crypto";
import http from "node:http";
import { pathToFileURL } from "node:url";
import { parseArgs } from "node:util";
import zlib from "node:zlib";
import { sleep } from "../openclaw/parts/process.mjs";
import { anthropic } from "./providers/anthropic.mjs";
import { openai } from "./providers/openai.mjs";

const EVENT_INTERVAL_MS = 5;
const SLOW_INTERVAL_MS = 60;
/** Where a key may stand, here or at other providers. */
const CREDENTIAL_HEADERS = ["authorization", "x-api-key", "x-goog-api-key", "api-key", "proxy-authorization", "cookie"];

/** `right`, or what a provider has against the credentials of a request; `places` are the headers it knows. */
function judge(headers, places) {
  const shown = CREDENTIAL_HEADERS.filter((name) => headers[name] !== undefined);
  if (shown.length === 0) return "missing";
  const known = Object.keys(places);
  if (shown.length > 1 || !known.includes(shown[0])) return `in ${shown.join(" and ")}, expected ${known.join(" or ")} alone`;
  return headers[shown[0]] === places[shown[0]] ? "right" : "another key";
}

async function whole(request) {
  const parts = [];
  for await (const part of request) parts.push(part);
  return Buffer.concat(parts);
}

/** A text in two halves, parted within a character where one takes several bytes. */
function halves(text) {
  const bytes = Buffer.from(text);
  const inside = bytes.findIndex((byte) => (byte & 0xc0) === 0x80);
  const at = inside > 0 ? inside : bytes.length >> 1;
  return [bytes.subarray(0, at), bytes.subarray(at)];
}

async function answerStream(response, row, { events, model }) {
  response.setHeader("content-type", "text/event-stream; charset=utf-8");
  response.setHeader("cache-control", "no-cache");
  response.flushHeaders();
  for (const event of events) {
    await sleep(model === "slow-stream" ? SLOW_INTERVAL_MS : EVENT_INTERVAL_MS);
    if (row.abandoned) return;
    row.sentAt.push(Date.now());
    for (const half of halves(event)) {
      response.write(half);
      await sleep(1);
    }
    if (model === "cut-stream" && row.sentAt.length === 5) return response.destroy();
  }
  row.finished = true;
  response.end();
}

function answerWhole(request, response, row, { status = 200, headers = {}, body }) {
  const text = JSON.stringify(body);
  row.finished = true;
  for (const [name, value] of Object.entries(headers)) response.setHeader(name, value);
  response.setHeader("content-type", "application/json");
  // As the providers do for larger answers.
  if (/\bgzip\b/.test(request.headers["accept-encoding"] ?? "") && request.method === "GET") {
    response.setHeader("content-encoding", "gzip");
    response.writeHead(status).end(zlib.gzipSync(text));
  } else {
    response.writeHead(status, { "content-length": Buffer.byteLength(text) }).end(text);
  }
}

export async function startProviders({ anthropicKey, openaiKey }) {
  const rows = [];
  const placesOf = {
    // The SDKs have come to show their key as a bearer token.
    anthropic: { "x-api-key": anthropicKey, authorization: `Bearer ${anthropicKey}` },
    openai: { authorization: `Bearer ${openaiKey}` },
  };
  const server = http.createServer(async (request, response) => {
    const url = new URL(request.url, "http://provider.invalid");
    if (url.pathname === "/control/requests") {
      response.setHeader("content-type", "application/json");
      return response.end(JSON.stringify(rows.slice(Number(url.searchParams.get("since") ?? 0))));
    }
    // Every SDK of Anthropic's says this, and nobody else does.
    const api = request.headers["anthropic-version"] ? "anthropic" : "openai";
    const row = { api, method: request.method, url: request.url, sentAt: [], finished: false, abandoned: false };
    rows.push(row);
    response.on("close", () => (row.abandoned = !row.finished));
    let body;
    try { body = await whole(request); } catch { return; }
    row.bodyHash = crypto.createHash("sha256").update(body).digest("hex");
    row.bodyBytes = body.length;
    row.credential = judge(request.headers, placesOf[api]);
    row.credentialHeaders = CREDENTIAL_HEADERS.filter((name) => name in request.headers);
    row.headers = Object.fromEntries(
      Object.entries(request.headers).filter(([name]) => !CREDENTIAL_HEADERS.includes(name)),
    );

    const speak = api === "anthropic" ? anthropic : openai;
    response.setHeader(speak.requestIdHeader, `req_${row.bodyHash.slice(0, 24)}`);
    const { method, headers } = request;
    const answer = row.credential === "right"
      ? speak.answer({ method, path: url.pathname, query: url.searchParams, headers, body, hash: row.bodyHash })
      : speak.refusal(401, `the credential is ${row.credential}`);
    row.status = answer.status ?? 200;
    if (answer.events) await answerStream(response, row, answer);
    else answerWhole(request, response, row, answer);
  });
  await new Promise((resolve) => server.listen(0, "127.0.0.1", resolve));
  const { port } = server.address();
  return {
    port,
    url: `http://127.0.0.1:${port}`,
    rows,
    close() {
      server.close();
      server.closeAllConnections();
    },
  };
}

if (import.meta.url === pathToFileURL(process.argv[1]).href) {
  const { values } = parseArgs({ options: { "anthropic-key": { type: "string" }, "openai-key": { type: "string" } } });
  const { port } = await startProviders({ anthropicKey: values["anthropic-key"], openaiKey: values["openai-key"] });
  console.log(JSON.stringify({ port }));
}

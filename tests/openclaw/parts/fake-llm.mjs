// A model server that speaks OpenAI's chat API and streams `tok0 tok1 …` slowly.
// It stands in for a provider, so that a chat runs end to end without a network. Where
// `keys` are given it serves those alone, and answers 429 to those among `limited`.

import http from "node:http";
import { sleep } from "./process.mjs";

export const TOKENS = 10;
export const TOKEN_INTERVAL_MS = 300;

export async function startFakeLlm({ keys } = {}) {
  /** A row per request: its key and body, when each token left, whether its client went away. */
  const requests = [];
  const limited = new Set();
  const server = http.createServer(async (request, response) => {
    const key = request.headers.authorization?.replace(/^Bearer /, "");
    const row = { key, text: "", sentAt: [], abandoned: false, finished: false };
    const parts = [];
    for await (const chunk of request) parts.push(chunk);
    row.text = Buffer.concat(parts).toString("utf8");
    requests.push(row);
    response.on("close", () => (row.abandoned = !row.finished));

    const refuse = (status, error, headers = {}) => {
      row.finished = true;
      response.writeHead(status, { "content-type": "application/json", ...headers }).end(JSON.stringify({ error }));
    };
    if (keys && !keys.includes(key)) {
      return refuse(401, { message: "Incorrect API key provided", type: "invalid_request_error", code: "invalid_api_key" });
    }
    if (limited.has(key)) {
      const error = { message: "Rate limit reached", type: "requests", code: "rate_limit_exceeded" };
      return refuse(429, error, { "retry-after": "60" });
    }

    const base = { id: "c1", created: 1, model: "fake-1" };
    const usage = { prompt_tokens: 1, completion_tokens: TOKENS, total_tokens: 1 + TOKENS };
    if (request.url.endsWith("/models")) {
      row.finished = true;
      response.setHeader("content-type", "application/json");
      return response.end(JSON.stringify({ object: "list", data: [{ id: "fake-1", object: "model" }] }));
    }
    response.writeHead(200, { "content-type": "text/event-stream" });
    const send = (fields) =>
      response.write(`data: ${JSON.stringify({ ...base, object: "chat.completion.chunk", ...fields })}\n\n`);
    const choice = (delta, finish_reason = null) => ({ choices: [{ index: 0, delta, finish_reason }] });
    send(choice({ role: "assistant", content: "" }));
    for (let i = 0; i < TOKENS; i += 1) {
      await sleep(TOKEN_INTERVAL_MS);
      if (row.abandoned) return;
      row.sentAt.push(Date.now());
      send(choice({ content: `tok${i} ` }));
    }
    send(choice({}, "stop"));
    send({ choices: [], usage });
    row.finished = true;
    response.end("data: [DONE]\n\n");
  });
  await new Promise((resolve) => server.listen(0, "127.0.0.1", resolve));
  return {
    url: `http://127.0.0.1:${server.address().port}/v1`,
    requests,
    limited,
    close() {
      server.close();
      server.closeAllConnections();
    },
  };
}

// A chat from the client through Portcullis and the gateway to a model, and back.

import assert from "node:assert/strict";
import crypto from "node:crypto";
import { once } from "node:events";
import { identity } from "../parts/client.mjs";
import { TOKEN_INTERVAL_MS, TOKENS } from "../parts/fake-llm.mjs";
import { NICK } from "../parts/gateway.mjs";
import { sleep, until } from "../parts/process.mjs";

const MIB = 1024 * 1024;
/** The gateway's limit for the body of a chat. */
const CHAT_LIMIT = 20 * MIB;

const chat = (body) => ({
  method: "POST",
  path: "/v1/chat/completions",
  headers: identity(NICK, {
    "content-type": "application/json",
    "content-length": Buffer.byteLength(body),
    "x-openclaw-scopes": "operator.read,operator.write",
  }),
  body,
});
const question = (text, stream) => JSON.stringify({ model: "openclaw", stream, messages: [{ role: "user", content: text }] });

/** The model server's row for the chat that holds `text`. */
const rowOf = (llm, text) => llm.requests.find((row) => row.text.includes(text));

export async function checkChat({ report, client, llm }) {
  const streamed = async (send) => {
    const text = `stream ${crypto.randomUUID()}`;
    const arrivedAt = [];
    let received = "";
    const head = await send({
      ...chat(question(text, true)),
      onText(piece) {
        received += piece;
        for (const token of received.match(/tok\d+/g) ?? []) arrivedAt[Number(token.slice(3))] ??= Date.now();
      },
    });
    assert.equal(head.status, 200, received);
    assert.match(head.headers["content-type"], /^text\/event-stream/);
    assert.ok(received.trimEnd().endsWith("data: [DONE]"), `the stream ended with ${received.slice(-200)}`);
    assert.equal(arrivedAt.length, TOKENS, received);
    const { sentAt } = rowOf(llm, text);
    const lag = Math.max(...arrivedAt.map((at, i) => at - sentAt[i]));
    const spread = arrivedAt.at(-1) - arrivedAt[0];
    // Held back, the first token would wait for all the others.
    assert.ok(lag < 3 * TOKEN_INTERVAL_MS, `a token took ${lag} ms from the model to the client`);
    assert.ok(spread > (TOKENS - 1) * TOKEN_INTERVAL_MS * 0.7, `all tokens came within ${spread} ms`);
    return `slowest token ${lag} ms`;
  };

  await report.check("a streamed chat arrives token by token", {}, () => streamed((o) => client.stream(o)));
  await report.check("a streamed chat arrives token by token over HTTP/2", { portcullis: true }, () =>
    streamed((o) => client.streamH2(o)));

  await report.check("a client that goes away ends the run at the model", {}, async () => {
    const text = `abandon ${crypto.randomUUID()}`;
    const { body, ...options } = chat(question(text, true));
    const request = client.start({ ...options, alone: true });
    request.on("error", () => {});
    request.end(body);
    const row = await until("the first token", 30, () => {
      const found = rowOf(llm, text);
      return found?.sentAt.length > 0 && found;
    });
    request.destroy();
    await until("the model's client went away", 10, () => row.abandoned || row.finished);
    assert.ok(row.abandoned && row.sentAt.length < TOKENS, "the run went on to its end");
    return `after ${row.sentAt.length} of ${TOKENS} tokens`;
  });
}

/** Sends `total` bytes as the body of a chat, and resolves with the answer and what was sent until it came. */
async function upload(client, { total, declared, pauseMs }) {
  const piece = Buffer.alloc(128 * 1024, "x");
  const { "content-length": _, ...headers } = chat("").headers;
  const length = declared ? { "content-length": total } : { "transfer-encoding": "chunked" };
  const request = client.start({ ...chat(""), headers: { ...headers, ...length }, alone: true });
  let sent = 0;
  let sentAtAnswer;
  let over = false;
  const answered = new Promise((resolve, reject) => {
    request.on("error", reject);
    request.on("response", (response) => {
      sentAtAnswer = sent;
      let text = "";
      response.setEncoding("utf8").on("data", (part) => (text += part)).on("error", reject);
      response.on("end", () => resolve({ status: response.statusCode, text, sentAtAnswer }));
    });
  });
  answered.catch(() => {}).finally(() => (over = true));
  while (!over && sent < total) {
    sent += piece.length;
    const room = request.write(piece);
    if (pauseMs > 0) await sleep(pauseMs);
    else if (!room) await Promise.race([once(request, "drain"), answered]);
  }
  const answer = await answered;
  request.destroy();
  return answer;
}

export async function checkEarlyAnswers({ report, client }) {
  const tooMuch = [
    ["a declared body above the limit", { total: CHAT_LIMIT + MIB, declared: true, pauseMs: 20 }],
    ["a declared body above the limit, sent at full speed,", { total: CHAT_LIMIT + MIB, declared: true, pauseMs: 0 }],
    ["a chunked body above the limit", { total: CHAT_LIMIT + 4 * MIB, declared: false, pauseMs: 10 }],
  ];
  for (const [name, body] of tooMuch) {
    await report.check(`${name} gets the gateway's 413, not a reset`, {}, async () => {
      const { status, text, sentAtAnswer } = await upload(client, body);
      assert.equal(status, 413, text);
      assert.match(text, /Payload too large/, "the answer isn't the gateway's");
      // Paced, the upload is in full swing when the early answer comes.
      if (body.pauseMs > 0) assert.ok(sentAtAnswer < body.total, "the answer waited for the whole body");
      return `after ${(sentAtAnswer / MIB).toFixed(1)} of ${body.total / MIB} MiB`;
    });
  }
}

export async function checkLargeChat({ report, client, llm }) {
  await report.check("a chat of exactly 20 MiB reaches the model whole", {}, async () => {
    const marker = crypto.randomUUID();
    const frame = Buffer.byteLength(question("", false));
    const filler = crypto.randomBytes(CHAT_LIMIT).toString("base64").slice(0, CHAT_LIMIT - frame - marker.length);
    const body = question(marker + filler, false);
    assert.equal(Buffer.byteLength(body), CHAT_LIMIT);
    // The gateway takes minutes for it on a busy machine; that it comes whole is the question.
    const answer = await client.ask({ ...chat(body), timeout: 480_000, alone: true });
    assert.equal(answer.status, 200, answer.text);
    assert.match(answer.json.choices[0].message.content, /tok0 .*tok9/);
    const row = rowOf(llm, marker);
    assert.ok(row?.text.includes(marker + filler), "the model got another text than was sent");
  });
}

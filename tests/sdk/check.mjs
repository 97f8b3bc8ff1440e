// The official SDKs of npm, each call made twice: directly with the real key, and through
// Portcullis with a dummy key. `run` starts what is needed; by hand it takes from the environment
//   SDK_CONTROL             the provider's address (for Portcullis' side: SDK_CONTROL_THROUGH)
//   SDK_DIRECT_ANTHROPIC, SDK_DIRECT_OPENAI, SDK_ANTHROPIC, SDK_OPENAI    base URLs
//   CANARY_ANTHROPIC, CANARY_OPENAI                                       the real keys

import assert from "node:assert/strict";
import crypto from "node:crypto";
import { createRequire } from "node:module";
import path from "node:path";
import { pathToFileURL } from "node:url";
import { until } from "../openclaw/parts/process.mjs";
import { Report } from "../openclaw/parts/report.mjs";
import { Comparison, eventsOf, requests, wireOf } from "./compare.mjs";

const tools = path.resolve(process.env.PORTCULLIS_TOOLS ?? path.join(import.meta.dirname, "../../.tools"), "sdk");
const installed = async (name) => {
  const require = createRequire(path.join(tools, "package.json"));
  return (await import(pathToFileURL(require.resolve(name)))).default;
};
const Anthropic = await installed("@anthropic-ai/sdk");
const OpenAI = await installed("openai");

const MIB = 1024 * 1024;
const DUMMY = "portcullis";
/** A slow stream pauses for 60 ms: who takes longer than this for most events waits for the next one. */
const HELD_BACK_MS = 30;

function side({ control, anthropic, anthropicKey, openai, openaiKey }) {
  const options = { maxRetries: 0, timeout: 60_000 };
  return {
    control,
    anthropic: new Anthropic({ baseURL: anthropic, apiKey: anthropicKey, authToken: null, ...options }),
    openai: new OpenAI({ baseURL: openai, apiKey: openaiKey, organization: null, project: null, ...options }),
  };
}

const env = process.env;
const direct = side({
  control: env.SDK_CONTROL, anthropic: env.SDK_DIRECT_ANTHROPIC, anthropicKey: env.CANARY_ANTHROPIC,
  openai: env.SDK_DIRECT_OPENAI, openaiKey: env.CANARY_OPENAI,
});
const through = side({
  control: env.SDK_CONTROL_THROUGH ?? env.SDK_CONTROL, anthropic: env.SDK_ANTHROPIC, anthropicKey: DUMMY,
  openai: env.SDK_OPENAI, openaiKey: DUMMY,
});
const report = new Report({ only: process.argv[2], direct: Boolean(env.SDK_DIRECT) });
const comparison = new Comparison({ report, direct, through });
const same = (name, ...rest) => comparison.same(`npm ${name}`, ...rest);

const user = (content) => ({ role: "user", content });
const question = [user("How is the weather in Zürich? 🌦")];
const schema = { type: "object", properties: { city: { type: "string" }, days: { type: "integer" } }, required: ["city"] };
const large = crypto.createCipheriv("aes-128-ctr", Buffer.alloc(16), Buffer.alloc(16))
  .update(Buffer.alloc(8 * MIB)).toString("base64").slice(0, 10 * MIB);

// --- What each API is asked for

const asks = {
  messages: {
    body: (fields) => ({ model: "claude-large-1", max_tokens: 100, messages: question, ...fields }),
    send: (it, body) => it.anthropic.messages.create(body),
    helper: (it, body) => it.anthropic.messages.stream(body).finalMessage(),
    large: { messages: [user(large)] },
    tools: { tools: [{ name: "weather", description: "Tells the weather", input_schema: schema }] },
    toolOf: (message) => message.content.find(({ type }) => type === "tool_use")?.input,
    textOf: (message) => message.content[0].text,
    lastEvent: (event) => event.type === "message_stop",
    answered: (message) => ({
      messages: [user("How is the weather?"), { role: "assistant", content: message.content },
        { role: "user", content: [{ type: "tool_result", tool_use_id: message.content[1].id, content: "rain" }] }],
    }),
  },
  chat: {
    body: (fields) => ({
      model: "gpt-large-1", messages: question,
      ...(fields.stream && { stream_options: { include_usage: true } }), ...fields,
    }),
    send: (it, body) => it.openai.chat.completions.create(body),
    helper: (it, body) => it.openai.chat.completions.stream(body).finalChatCompletion(),
    large: { messages: [user(large)] },
    tools: { tools: [{ type: "function", function: { name: "weather", parameters: schema } }] },
    toolOf: ({ choices: [{ message }] }) => message.tool_calls && JSON.parse(message.tool_calls[0].function.arguments),
    textOf: ({ choices: [{ message }] }) => message.content,
    lastEvent: (event) => event.usage?.completion_tokens > 0,
    answered: ({ choices: [{ message }] }) => ({
      messages: [user("How is the weather?"), message, { role: "tool", tool_call_id: message.tool_calls[0].id, content: "rain" }],
    }),
  },
  responses: {
    body: (fields) => ({ model: "gpt-large-1", input: question, ...fields }),
    send: (it, body) => it.openai.responses.create(body),
    helper: (it, body) => it.openai.responses.stream(body).finalResponse(),
    large: { input: [user(large)] },
    tools: { tools: [{ type: "function", name: "weather", parameters: schema, strict: false }] },
    toolOf: ({ output: [item] }) => item.arguments && JSON.parse(item.arguments),
    textOf: (response) => response.output_text,
    lastEvent: (event) => event.type === "response.completed",
    answered: ({ output: [item] }) => ({
      input: [user("How is the weather?"), item, { type: "function_call_output", call_id: item.call_id, output: "rain" }],
    }),
  },
};

const isText = (text) => assert.match(text, /^Grüße from 🦀 tok0 tok1 日本 tok2 request [0-9a-f]{16}$/);
const isTool = (input) => assert.deepEqual(input, { city: "Zürich", days: 3, near: ["Ægina", "🌋"] });
const isStream = ({ value: { events, error } }, lastEvent) => {
  assert.equal(error, undefined);
  assert.ok(events.length >= 8 && lastEvent(events.at(-1)), JSON.stringify(events.at(-1)));
  return `${events.length} events`;
};

for (const [name, ask] of Object.entries(asks)) {
  const streamed = (fields) => (it) => eventsOf(ask.send(it, ask.body({ ...fields, stream: true })));

  await same(`${name}: an answer`, (it) => ask.send(it, ask.body({})), ({ value }) => isText(ask.textOf(value)));

  await same(`${name}: the provider's request id`, async (it) => (await ask.send(it, ask.body({})))._request_id,
    ({ value }) => assert.match(value, /^req_/));

  await same(`${name}: a stream, event by event`, streamed({}),
    (outcome) => isStream(outcome, ask.lastEvent));

  await same(`${name}: a stream through the SDK's helper`, (it) => ask.helper(it, ask.body({})),
    ({ value }) => isText(ask.textOf(value)));

  await same(`${name}: a stream, byte for byte`, async (it) => {
    const { arrivedAt, ...wire } = await wireOf(await ask.send(it, ask.body({ stream: true })).asResponse());
    return wire;
  }, ({ value: { type, text } }) => {
    assert.match(type, /^text\/event-stream/);
    return `${text.length} characters`;
  });

  await report.check(`npm ${name}: a slow stream isn't held back`, {}, async () => {
    const before = (await requests(through)).length;
    const { arrivedAt } = await wireOf(await ask.send(through, ask.body({ model: "slow-stream", stream: true })).asResponse());
    const [{ sentAt }] = await requests(through, before);
    assert.equal(arrivedAt.length, sentAt.length);
    const lags = arrivedAt.map((at, i) => at - sentAt[i]).sort((a, b) => a - b);
    const median = lags[lags.length >> 1];
    assert.ok(median < HELD_BACK_MS && lags.at(-1) < 1000, `an event's way took ${lags.join(", ")} ms`);
    return `median ${median} ms, slowest ${lags.at(-1)} ms`;
  });

  await same(`${name}: a body of 10 MiB`, (it) => ask.send(it, ask.body(ask.large)), ({ value }, [row]) => {
    isText(ask.textOf(value));
    assert.ok(row.bodyBytes > 10 * MIB);
  });
  await same(`${name}: a body of 10 MiB, the answer streamed`, streamed(ask.large),
    (outcome) => isStream(outcome, ask.lastEvent));

  await same(`${name}: a tool call`, (it) => ask.send(it, ask.body(ask.tools)), ({ value }) => isTool(ask.toolOf(value)));
  await same(`${name}: a tool call, streamed`, streamed(ask.tools),
    (outcome) => isStream(outcome, ask.lastEvent));
  await same(`${name}: a tool call through the SDK's helper`, (it) => ask.helper(it, ask.body(ask.tools)),
    ({ value }) => isTool(ask.toolOf(value)));
  await same(`${name}: the answer to a tool's result`, async (it) => {
    const called = await ask.send(it, ask.body(ask.tools));
    return ask.send(it, ask.body({ ...ask.tools, ...ask.answered(called) }));
  }, ({ value }) => isText(ask.textOf(value)));

  const errors = {
    400: "BadRequest", 401: "Authentication", 402: "PaymentRequired|API", 403: "PermissionDenied",
    404: "NotFound", 500: "InternalServer", 529: "Overloaded|InternalServer",
  };
  for (const [status, kind] of Object.entries(errors)) {
    await same(`${name}: an error ${status}`, (it) => ask.send(it, ask.body({ model: `error-${status}` })), ({ error }) => {
      assert.equal(error?.status, Number(status));
      assert.match(error.class, new RegExp(`^(${kind})Error$`));
      return `${error.class} ${error.type}`;
    });
  }
  await same(`${name}: an error instead of a stream`, streamed({ model: "error-400" }),
    ({ value: { events, error } }) => assert.ok(events.length === 0 && error.status === 400));

  if (name !== "responses") {
    await same(`${name}: a stream that ends with an error`, streamed({ model: "error-stream" }),
      ({ value: { events, error } }) => {
        assert.ok(events.length >= 8 && error.class === "APIError", JSON.stringify(error));
        return error.type;
      });
  }
  await same(`${name}: a stream that breaks off is no whole one`, async (it) => {
    const { error } = await eventsOf(ask.send(it, ask.body({ model: "cut-stream", stream: true })));
    return { failed: error !== undefined };
  }, ({ value }) => assert.ok(value.failed));

  await same(`${name}: a client that leaves a stream ends it at the provider`, async (it) => {
    const before = (await requests(it)).length;
    for await (const _ of await ask.send(it, ask.body({ model: "slow-stream", stream: true }))) break;
    await until("the provider's client went away", 10, async () => (await requests(it, before))[0].abandoned, { every: 50 });
    return "ended";
  }, ({ value }) => assert.equal(value, "ended"));
}

// --- What one API alone has

await same("messages: tokens counted", (it) => it.anthropic.messages.countTokens({ model: "claude-large-1", messages: question }),
  ({ value }) => assert.ok(value.input_tokens > 10));
await same("messages: a beta's header", (it) => it.anthropic.messages.create(
  asks.messages.body({}), { headers: { "anthropic-beta": "output-128k-2025-02-19" } }), ({ value }, [row]) => {
  isText(asks.messages.textOf(value));
  assert.equal(row.headers["anthropic-beta"], "output-128k-2025-02-19");
});
await same("messages: models, page by page", (it) => eventsOf(it.anthropic.models.list({ limit: 2 })), ({ value }, rows) => {
  assert.equal(value.events.length, 5);
  assert.equal(rows.length, 3);
});
await same("messages: a model", (it) => it.anthropic.models.retrieve("claude-small-1"),
  ({ value }) => assert.equal(value.id, "claude-small-1"));
await same("messages: an unknown model", (it) => it.anthropic.models.retrieve("nobody"), ({ error }) => {
  assert.equal(error.class, "NotFoundError");
  return error.type;
});
await same("openai: models", (it) => eventsOf(it.openai.models.list()), ({ value }) => assert.equal(value.events.length, 3));
await same("openai: a model with colons", (it) => it.openai.models.retrieve("ft:gpt-small-1:acme::7p4lURel"),
  ({ value }) => assert.equal(value.object, "model"));
await same("openai: an unknown model", (it) => it.openai.models.retrieve("nobody"), ({ error }) => {
  assert.equal(error.class, "NotFoundError");
  return error.code;
});
await same("openai: embeddings", (it) => it.openai.embeddings.create({ model: "embed-1", input: ["a", "ü"] }), ({ value }) =>
  assert.equal(Object.keys(value.data[1].embedding).length, 8));
await same("openai: a file of 10 MiB", (it) =>
  it.openai.files.create({ file: new File([large], "Zürich.jsonl"), purpose: "batch" }), ({ value }) => {
  assert.equal(value.bytes, large.length);
  return value.filename;
}, { sameBody: false });

await same("20 streams at a time", (it) => Promise.all(Array.from({ length: 20 }, (_, i) => {
  const ask = asks[["messages", "chat"][i % 2]];
  return eventsOf(ask.send(it, ask.body({ messages: [user(`question ${i}`)], stream: true })));
})), ({ value }) => {
  for (const stream of value) isStream({ value: stream }, () => true);
  assert.equal(new Set(value.map((stream) => JSON.stringify(stream))).size, 20);
});

// --- Keys

await report.check("npm the provider itself refuses the dummy key", {}, async () => {
  const refuses = (call) => assert.rejects(call, { status: 401 });
  await refuses(direct.anthropic.withOptions({ apiKey: "another" }).messages.create(asks.messages.body({})));
  await refuses(direct.openai.withOptions({ apiKey: "another" }).models.list());
});

await report.check("npm the key goes in the provider's own header, and nowhere else", { portcullis: true }, async () => {
  const before = (await requests(through)).length;
  await asks.messages.send(through, asks.messages.body({}));
  await asks.chat.send(through, asks.chat.body({}));
  const shown = (await requests(through, before)).map(({ credentialHeaders }) => credentialHeaders);
  assert.deepEqual(shown, [["x-api-key"], ["authorization"]]);
});

// The last of all: the provider's only key cools down for the second that it asked for.
for (const [name, ask] of [["messages", asks.messages], ["chat", asks.chat]]) {
  await same(`${name}: a rate limit`, (it) => ask.send(it, ask.body({ model: "limit-429" })), ({ error }) => {
    assert.equal(error.class, "RateLimitError");
    return error.type;
  });
}
await report.check("npm after a rate limit's time the key serves again", {}, () =>
  until("both providers serve", 10, async () => {
    try {
      await asks.messages.send(through, asks.messages.body({}));
      await asks.chat.send(through, asks.chat.body({}));
      return true;
    } catch (error) {
      if (error.status !== 429) throw error;
      return false;
    }
  }));

const added = [...comparison.added].sort();
if (added.length > 0) console.log(`# headers that the provider got through Portcullis alone: ${added.join(", ")}`);
process.exit(report.close());

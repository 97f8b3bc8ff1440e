// OpenAI's API: https://platform.openai.com/docs/api-reference (chat, responses, embeddings, files, models).

import crypto from "node:crypto";
import { named, reservedStatus, TOOL_INPUT, TOOL_PIECES, tokensOf } from "./answer.mjs";

const CREATED = 1_790_000_000;
const ERRORS = {
  400: { type: "invalid_request_error", code: "invalid_value", param: "model" },
  401: { type: "invalid_request_error", code: "invalid_api_key", param: null },
  402: { type: "billing_error", code: "billing_not_active", param: null },
  403: { type: "invalid_request_error", code: "unsupported_country_region_territory", param: null },
  404: { type: "invalid_request_error", code: "model_not_found", param: null },
  429: { type: "requests", code: "rate_limit_exceeded", param: null },
  500: { type: "server_error", code: null, param: null },
  529: { type: "server_error", code: "overloaded", param: null },
};
const MODELS = ["gpt-large-1", "gpt-small-1", "ft:gpt-small-1:acme::7p4lURel"].map((id) => ({
  id, object: "model", created: CREATED, owned_by: "system",
}));

function refusal(status, message) {
  return {
    status,
    headers: status === 429 ? { "retry-after": "1", "x-ratelimit-remaining-requests": "0" } : {},
    body: { error: { message, ...ERRORS[status] } },
  };
}

const data = (value) => `data: ${JSON.stringify(value)}\n\n`;

const usage = (hash, bytes) => {
  const [prompt_tokens, completion_tokens] = [bytes >> 2, tokensOf(hash).length];
  return { prompt_tokens, completion_tokens, total_tokens: prompt_tokens + completion_tokens };
};

// --- Chat completions

const chatCallsTool = ({ tools, messages }) => tools?.length > 0 && messages.at(-1).role !== "tool";

const chatToolCall = (asked, hash, text) => ({
  id: `call_${hash.slice(0, 24)}`, type: "function", function: { name: asked.tools[0].function.name, arguments: text },
});

function chat(asked, hash, bytes) {
  const tool = chatCallsTool(asked);
  const message = tool
    ? { role: "assistant", content: null, refusal: null, tool_calls: [chatToolCall(asked, hash, JSON.stringify(TOOL_INPUT))] }
    : { role: "assistant", content: tokensOf(hash).join(""), refusal: null };
  return {
    id: `chatcmpl-${hash.slice(0, 24)}`, object: "chat.completion", created: CREATED, model: asked.model,
    choices: [{ index: 0, message, logprobs: null, finish_reason: tool ? "tool_calls" : "stop" }],
    usage: usage(hash, bytes), system_fingerprint: "fp_0",
  };
}

function* chatStream(asked, hash, bytes) {
  const tool = chatCallsTool(asked);
  const wantsUsage = asked.stream_options?.include_usage;
  const chunk = (fields) => data({
    id: `chatcmpl-${hash.slice(0, 24)}`, object: "chat.completion.chunk", created: CREATED, model: asked.model,
    system_fingerprint: "fp_0", ...fields, ...(wantsUsage && !fields.usage ? { usage: null } : {}),
  });
  const choice = (delta, finish_reason = null) => ({ choices: [{ index: 0, delta, logprobs: null, finish_reason }] });
  if (tool) {
    yield chunk(choice({ role: "assistant", content: null, tool_calls: [{ index: 0, ...chatToolCall(asked, hash, "") }] }));
    for (const text of TOOL_PIECES.slice(1)) {
      yield chunk(choice({ tool_calls: [{ index: 0, function: { arguments: text } }] }));
    }
  } else {
    yield chunk(choice({ role: "assistant", content: "", refusal: null }));
    for (const content of tokensOf(hash)) yield chunk(choice({ content }));
  }
  if (asked.model === "error-stream") {
    yield data({ error: { message: "The server had an error", ...ERRORS[500] } });
    return;
  }
  yield chunk(choice({}, tool ? "tool_calls" : "stop"));
  if (wantsUsage) yield chunk({ choices: [], usage: usage(hash, bytes) });
  yield "data: [DONE]\n\n";
}

// --- Responses

const responseCallsTool = ({ tools, input }) =>
  tools?.length > 0 && !(Array.isArray(input) && input.some(({ type }) => type === "function_call_output"));

function response(asked, hash, { status, output, usage = null }) {
  return {
    id: `resp_${hash.slice(0, 24)}`, object: "response", created_at: CREATED, status, error: null, incomplete_details: null,
    instructions: null, max_output_tokens: null, model: asked.model, output, parallel_tool_calls: true,
    previous_response_id: null, reasoning: { effort: null, summary: null }, store: true, temperature: 1,
    text: { format: { type: "text" } }, tool_choice: "auto", tools: asked.tools ?? [], top_p: 1, truncation: "disabled",
    usage, user: null, metadata: {},
  };
}

const responseUsage = (hash, bytes) => ({
  input_tokens: bytes >> 2, input_tokens_details: { cached_tokens: 0 },
  output_tokens: tokensOf(hash).length, output_tokens_details: { reasoning_tokens: 0 },
  total_tokens: (bytes >> 2) + tokensOf(hash).length,
});

const part = (text) => ({ type: "output_text", text, annotations: [], logprobs: [] });
const item = (hash, status, content) => ({ id: `msg_${hash.slice(0, 24)}`, type: "message", status, role: "assistant", content });
const call = (asked, hash, status, text) => ({
  id: `fc_${hash.slice(0, 24)}`, type: "function_call", status, name: asked.tools[0].name,
  call_id: `call_${hash.slice(0, 24)}`, arguments: text,
});

function finishedOutput(asked, hash) {
  return responseCallsTool(asked)
    ? [call(asked, hash, "completed", JSON.stringify(TOOL_INPUT))]
    : [item(hash, "completed", [part(tokensOf(hash).join(""))])];
}

const finishedResponse = (asked, hash, bytes) =>
  response(asked, hash, { status: "completed", output: finishedOutput(asked, hash), usage: responseUsage(hash, bytes) });

function* responseStream(asked, hash, bytes) {
  let last = -1;
  const event = (type, fields) => named({ type, sequence_number: (last += 1), ...fields });
  const begun = response(asked, hash, { status: "in_progress", output: [] });
  yield event("response.created", { response: begun });
  yield event("response.in_progress", { response: begun });
  const [finished] = finishedOutput(asked, hash);
  const at = { item_id: finished.id, output_index: 0 };
  if (finished.type === "function_call") {
    yield event("response.output_item.added", { output_index: 0, item: call(asked, hash, "in_progress", "") });
    for (const delta of TOOL_PIECES.slice(1)) yield event("response.function_call_arguments.delta", { ...at, delta });
    yield event("response.function_call_arguments.done", { ...at, name: finished.name, arguments: finished.arguments });
  } else {
    const [{ text }] = finished.content;
    yield event("response.output_item.added", { output_index: 0, item: item(hash, "in_progress", []) });
    yield event("response.content_part.added", { ...at, content_index: 0, part: part("") });
    for (const delta of tokensOf(hash)) {
      yield event("response.output_text.delta", { ...at, content_index: 0, delta, logprobs: [] });
    }
    yield event("response.output_text.done", { ...at, content_index: 0, text, logprobs: [] });
    yield event("response.content_part.done", { ...at, content_index: 0, part: part(text) });
  }
  yield event("response.output_item.done", { output_index: 0, item: finished });
  yield event("response.completed", { response: finishedResponse(asked, hash, bytes) });
}

// --- Embeddings, files, models

function embeddings(asked, hash, bytes) {
  const inputs = [asked.input].flat();
  const vector = (text) => {
    const digest = crypto.createHash("sha256").update(text).digest();
    return Float32Array.from({ length: 8 }, (_, i) => digest.readInt16LE(i * 2) / 32768);
  };
  const encode = (floats) =>
    asked.encoding_format === "base64" ? Buffer.from(floats.buffer).toString("base64") : [...floats];
  return {
    object: "list", model: asked.model, usage: { prompt_tokens: bytes >> 2, total_tokens: bytes >> 2 },
    data: inputs.map((text, index) => ({ object: "embedding", index, embedding: encode(vector(text)) })),
  };
}

/** The fields of a multipart form (RFC 7578); its boundary is the client's free choice. */
function form(contentType, body) {
  const boundary = /boundary="?([^";]+)/.exec(contentType)?.[1];
  if (!boundary) return [];
  const fields = [];
  const mark = Buffer.from(`--${boundary}`);
  for (let at = body.indexOf(mark); at >= 0; ) {
    const next = body.indexOf(mark, at + mark.length);
    if (next < 0) break;
    const piece = body.subarray(at + mark.length + 2, next - 2);
    const split = piece.indexOf("\r\n\r\n");
    const head = piece.subarray(0, split).toString();
    fields.push({
      name: /\bname="([^"]*)"/.exec(head)?.[1],
      filename: /\bfilename="([^"]*)"/.exec(head)?.[1],
      value: piece.subarray(split + 4),
    });
    at = next;
  }
  return fields;
}

function file(contentType, body) {
  const fields = form(contentType, body);
  const sent = fields.find(({ name }) => name === "file");
  const purpose = fields.find(({ name }) => name === "purpose")?.value.toString();
  if (!sent || !purpose) return refusal(400, "a form with `file` and `purpose` was expected");
  const hash = crypto.createHash("sha256").update(sent.value).digest("hex");
  return { body: { id: `file-${hash}`, object: "file", bytes: sent.value.length, created_at: CREATED,
    filename: sent.filename, purpose, status: "processed" } };
}

function answer({ method, path, headers, body, hash }) {
  if (method === "GET" && path === "/v1/models") return { body: { object: "list", data: MODELS } };
  if (method === "GET" && path.startsWith("/v1/models/")) {
    const id = decodeURIComponent(path.slice("/v1/models/".length));
    const model = MODELS.find((known) => known.id === id);
    return model ? { body: model } : refusal(404, `The model \`${id}\` does not exist`);
  }
  if (method !== "POST") return refusal(404, `Unknown request URL: ${method} ${path}`);
  if (path === "/v1/files") return file(headers["content-type"], body);
  const asked = JSON.parse(body);
  const status = reservedStatus(asked.model);
  if (status) return refusal(status, `asked for by the model's name, ${asked.model}`);
  const { model } = asked;
  switch (path) {
    case "/v1/chat/completions":
      return asked.stream ? { events: chatStream(asked, hash, body.length), model } : { body: chat(asked, hash, body.length) };
    case "/v1/responses":
      return asked.stream
        ? { events: responseStream(asked, hash, body.length), model }
        : { body: finishedResponse(asked, hash, body.length) };
    case "/v1/embeddings":
      return { body: embeddings(asked, hash, body.length) };
    default:
      return refusal(404, `Unknown request URL: ${method} ${path}`);
  }
}

export const openai = { answer, refusal, requestIdHeader: "x-request-id" };

// Anthropic's Messages API: https://docs.anthropic.com/en/api/messages and -streaming.

import { named, reservedStatus, TOOL_INPUT, TOOL_PIECES, tokensOf } from "./answer.mjs";

const ERROR_TYPES = {
  400: "invalid_request_error",
  401: "authentication_error",
  402: "billing_error",
  403: "permission_error",
  404: "not_found_error",
  429: "rate_limit_error",
  500: "api_error",
  529: "overloaded_error",
};
const MODELS = ["claude-large-1", "claude-medium-1", "claude-small-1", "claude-small-0", "claude-tiny-0"].map((id) => ({
  type: "model", id, display_name: id.replaceAll("-", " "), created_at: "2026-01-02T03:04:05Z",
}));

function refusal(status, message) {
  return {
    status,
    headers: status === 429 ? { "retry-after": "1", "anthropic-ratelimit-requests-remaining": "0" } : {},
    body: { type: "error", error: { type: ERROR_TYPES[status], message }, request_id: "req_of_the_body" },
  };
}

/** Whether the model should call a tool: one is offered, and none has answered yet. */
const callsTool = ({ tools, messages }) =>
  tools?.length > 0 && !JSON.stringify(messages.at(-1).content).includes('"tool_result"');

function message(asked, hash, bytes) {
  const usage = { input_tokens: bytes >> 2, cache_creation_input_tokens: 0, cache_read_input_tokens: 0, output_tokens: 0 };
  return { id: `msg_${hash.slice(0, 24)}`, type: "message", role: "assistant", model: asked.model,
    content: [], stop_reason: null, stop_sequence: null, usage };
}

const toolUse = (asked, hash) => ({ type: "tool_use", id: `toolu_${hash.slice(0, 24)}`, name: asked.tools[0].name });

function plain(asked, hash, bytes) {
  const base = message(asked, hash, bytes);
  const tool = callsTool(asked);
  return {
    ...base,
    content: [
      { type: "text", text: tokensOf(hash).join("") },
      ...(tool ? [{ ...toolUse(asked, hash), input: TOOL_INPUT }] : []),
    ],
    stop_reason: tool ? "tool_use" : "end_turn",
    usage: { ...base.usage, output_tokens: tokensOf(hash).length },
  };
}

function* stream(asked, hash, bytes) {
  const tool = callsTool(asked);
  yield named({ type: "message_start", message: message(asked, hash, bytes) });
  yield named({ type: "content_block_start", index: 0, content_block: { type: "text", text: "" } });
  yield named({ type: "ping" });
  for (const text of tokensOf(hash)) {
    yield named({ type: "content_block_delta", index: 0, delta: { type: "text_delta", text } });
  }
  if (asked.model === "error-stream") {
    yield named({ type: "error", error: { type: "overloaded_error", message: "Overloaded" } });
    return;
  }
  yield named({ type: "content_block_stop", index: 0 });
  if (tool) {
    yield named({ type: "content_block_start", index: 1, content_block: { ...toolUse(asked, hash), input: {} } });
    for (const partial_json of TOOL_PIECES) {
      yield named({ type: "content_block_delta", index: 1, delta: { type: "input_json_delta", partial_json } });
    }
    yield named({ type: "content_block_stop", index: 1 });
  }
  yield named({
    type: "message_delta",
    delta: { stop_reason: tool ? "tool_use" : "end_turn", stop_sequence: null },
    usage: { output_tokens: tokensOf(hash).length },
  });
  yield named({ type: "message_stop" });
}

function modelsPage(query) {
  const limit = Number(query.get("limit") ?? 20);
  const after = MODELS.findIndex(({ id }) => id === query.get("after_id")) + 1;
  const data = MODELS.slice(after, after + limit);
  return { data, has_more: after + limit < MODELS.length, first_id: data[0]?.id ?? null, last_id: data.at(-1)?.id ?? null };
}

function answer({ method, path, query, body, hash }) {
  if (method === "GET" && path === "/v1/models") return { body: modelsPage(query) };
  if (method === "GET" && path.startsWith("/v1/models/")) {
    const model = MODELS.find(({ id }) => id === decodeURIComponent(path.slice("/v1/models/".length)));
    return model ? { body: model } : refusal(404, `model: ${path}`);
  }
  if (method !== "POST" || !path.startsWith("/v1/messages")) return refusal(404, `${method} ${path}`);
  const asked = JSON.parse(body);
  const status = reservedStatus(asked.model);
  if (status) return refusal(status, `asked for by the model's name, ${asked.model}`);
  if (path === "/v1/messages/count_tokens") return { body: { input_tokens: body.length >> 2 } };
  if (path !== "/v1/messages") return refusal(404, `${method} ${path}`);
  if (!asked.stream) return { body: plain(asked, hash, body.length) };
  return { model: asked.model, events: stream(asked, hash, body.length) };
}

export const anthropic = { answer, refusal, requestIdHeader: "request-id" };

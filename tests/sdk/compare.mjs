// Makes one call twice, directly and through Portcullis, and holds what came of it together:
// what the SDK gave, and what the provider was asked.

import assert from "node:assert/strict";

/** Of the connection, not of the request; Portcullis reads the answers, so their coding is its own choice. */
const HOP = new Set(["host", "connection", "keep-alive", "accept-encoding"]);

export class Comparison {
  /** Names of headers that came to the provider through Portcullis alone. */
  added = new Set();

  /** Each side has `anthropic` and `openai`, clients of the SDKs, and `control`, the provider's own address. */
  constructor({ report, direct, through }) {
    Object.assign(this, { report, direct, through });
  }

  /** `check` looks at what came of the direct call: two calls that fail alike would be the same as well. */
  same(name, call, check, { sameBody = true } = {}) {
    return this.report.check(name, {}, async () => {
      const direct = await this.run(this.direct, call);
      const detail = check(direct.outcome, direct.rows);
      const through = await this.run(this.through, call);
      assert.deepEqual(through.outcome, direct.outcome);
      this.compareRequests(through.rows, direct.rows, sameBody);
      return typeof detail === "string" ? detail : undefined;
    });
  }

  async run(side, call) {
    const before = (await requests(side)).length;
    const outcome = await call(side).then((value) => ({ value: plain(value) }), (error) => ({ error: described(error) }));
    return { outcome, rows: await requests(side, before) };
  }

  compareRequests(through, direct, sameBody) {
    const told = ({ api, method, url, status, bodyHash, bodyBytes, credential }) =>
      ({ api, method, url, status, credential, ...(sameBody && { bodyHash, bodyBytes }) });
    const ordered = (rows) => [...rows].sort((a, b) => (a.bodyHash < b.bodyHash ? -1 : 1));
    const [got, expected] = [ordered(through), ordered(direct)];
    assert.deepEqual(got.map(told), expected.map(told), "the provider was asked something else");
    got.forEach(({ headers }, i) => {
      const sent = expected[i].headers;
      for (const [header, value] of Object.entries(sent)) {
        if (HOP.has(header) || (!sameBody && header === "content-type")) continue;
        // Answers are asked for uncompressed, to be looked through.
        const asked = header === "accept-encoding" ? "identity" : value;
        assert.ok([asked, value].includes(headers[header]), `the request's \`${header}\`: ${headers[header]}`);
      }
      for (const header of Object.keys(headers)) if (!HOP.has(header) && !(header in sent)) this.added.add(header);
    });
  }
}

export const requests = async ({ control }, since = 0) => (await fetch(`${control}/control/requests?since=${since}`)).json();

/** Data without classes, for a comparison of what a caller would see. */
const plain = (value) => (value === undefined ? undefined : JSON.parse(JSON.stringify(value)));

/** What a program can tell of an SDK's error. */
function described(error) {
  const { status, type, code, param, request_id, requestID } = error;
  return plain({
    class: error.constructor.name, message: error.message, status, type, code, param, body: error.error,
    requestId: requestID ?? request_id, retryAfter: error.headers?.get?.("retry-after"),
  });
}

/** All events of a stream, and the error that ended it, where one did. */
export async function eventsOf(stream) {
  const events = [];
  try {
    for await (const event of await stream) events.push(event);
  } catch (error) {
    return { events, error: described(error) };
  }
  return { events };
}

/** A streamed answer as it is on the wire, and when each of its events was there. */
export async function wireOf(response) {
  const decoder = new TextDecoder();
  const arrivedAt = [];
  let text = "";
  for await (const chunk of response.body) {
    text += decoder.decode(chunk, { stream: true });
    const count = text.split("\n\n").length - 1;
    while (arrivedAt.length < count) arrivedAt.push(Date.now());
  }
  return { status: response.status, type: response.headers.get("content-type"), text, arrivedAt };
}

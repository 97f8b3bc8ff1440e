// What both APIs' answers are made of.

/** A text of several tokens that names its request; some of its characters take more than one byte. */
export function tokensOf(hash) {
  return ["Grüße ", "from ", "🦀 ", "tok0 ", "tok1 ", "日本 ", "tok2 ", `request ${hash.slice(0, 16)}`];
}

/** The arguments of every tool call, and the pieces in which a stream brings them. */
export const TOOL_INPUT = { city: "Zürich", days: 3, near: ["Ægina", "🌋"] };
export const TOOL_PIECES = (() => {
  const text = JSON.stringify(TOOL_INPUT);
  const pieces = [""];
  for (let at = 0; at < text.length; at += 7) pieces.push(text.slice(at, at + 7));
  return pieces;
})();

/** What a reserved model name asks for: a status to answer with, or none. */
export function reservedStatus(model) {
  const found = /^(?:error|limit)-(\d{3})$/.exec(model ?? "");
  return found ? Number(found[1]) : undefined;
}

/** A server-sent event with a name, as Anthropic's and the Responses API have. */
export const named = (data) => `event: ${data.type}\ndata: ${JSON.stringify(data)}\n\n`;

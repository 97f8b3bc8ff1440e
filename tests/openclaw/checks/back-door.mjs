// A gateway whose model provider is Portcullis' back door: it holds a dummy key, and the
// model server serves none but keys that Portcullis alone was given.

import assert from "node:assert/strict";
import crypto from "node:crypto";
import fs from "node:fs";
import path from "node:path";
import { Client, identity } from "../parts/client.mjs";
import { startFakeLlm, TOKENS } from "../parts/fake-llm.mjs";
import { NICK, startGateway } from "../parts/gateway.mjs";
import { startPortcullis } from "../parts/portcullis.mjs";
import { freePort, until } from "../parts/process.mjs";
import { openSession } from "../parts/session.mjs";

const canary = () => `sk-canary-${crypto.randomBytes(16).toString("hex")}`;
const KEYS = [canary(), canary()];
const DUMMY = "dummy-key-of-the-gateway";

async function start({ root, folder: parent, certificate, portcullis: wanted, keep }) {
  const folder = path.join(parent, "back-door");
  fs.mkdirSync(folder, { mode: 0o700 });
  const onStarted = (program) => keep(program, (it) => it.stop());
  const llm = keep(await startFakeLlm({ keys: KEYS }), (it) => it.close());
  const modelsPort = await freePort();
  const gateway = await startGateway({
    root, folder, origins: ["https://claw.example.com"], onStarted,
    ...(wanted ? { llmUrl: `http://127.0.0.1:${modelsPort}/openai`, llmKey: DUMMY } : { llmUrl: llm.url, llmKey: KEYS[0] }),
  });
  const portcullis = wanted && await startPortcullis({
    root, folder, upstreamPort: gateway.port, certificate, onStarted,
    env: { CANARY_FIRST: KEYS[0], CANARY_SECOND: KEYS[1] },
    sections: `
[models]
listen = "127.0.0.1:${modelsPort}"

[models.providers.openai]
baseUrl = "${llm.url}"
apiKeys = ["$CANARY_FIRST", "$CANARY_SECOND"]
`,
  });
  const target = portcullis ? { port: portcullis.port, ca: certificate.ca } : { port: gateway.port };
  const client = keep(new Client(target), (it) => it.close());
  return { folder, llm, gateway, portcullis, client, backDoor: `http://127.0.0.1:${modelsPort}/openai` };
}

/** Sends a chat over a WebSocket session and resolves with its answer's deltas, each with its time. */
async function chatOver(client, text) {
  const scopes = { "x-openclaw-scopes": "operator.read,operator.write" };
  const session = await openSession(client, { headers: identity(NICK, scopes) });
  const deltas = [];
  let ended;
  session.onEvent = (event, payload) => {
    if (event !== "chat") return;
    if (payload.state === "delta") deltas.push({ text: payload.deltaText, at: Date.now() });
    else if (payload.state !== "status") ended = payload;
  };
  try {
    const sent = await session.call("chat.send", {
      sessionKey: `agent:main:${crypto.randomUUID()}`, message: text, idempotencyKey: crypto.randomUUID(),
    });
    assert.equal(sent.ok, true, JSON.stringify(sent.error));
    await until("the chat's end", 60, () => ended);
  } finally {
    session.end();
  }
  assert.equal(ended.state, "final", JSON.stringify(ended));
  return { deltas, answer: JSON.stringify(ended.message) };
}

/** The files below `folder`, and the environments of a program's processes, that hold `secret`. */
function holding(secret, { folder, program }) {
  const has = (file) => {
    try {
      const bytes = fs.readFileSync(file);
      return bytes.includes(secret) || bytes.includes(Buffer.from(secret).toString("base64").replace(/=*$/, ""));
    } catch {
      return false; // A socket, or gone meanwhile.
    }
  };
  const entries = fs.readdirSync(folder, { recursive: true, withFileTypes: true });
  const files = entries.filter((entry) => entry.isFile()).map((entry) => path.join(entry.parentPath, entry.name));
  // The gateway's processes are one group, whose number is the first's.
  const processes = fs.readdirSync("/proc").filter((pid) => {
    try {
      const [, group] = /^\d+ \(.*\) \S+ \d+ (\d+) /s.exec(fs.readFileSync(`/proc/${pid}/stat`, "utf8"));
      return Number(group) === program.child.pid;
    } catch {
      return false; // No process, or gone meanwhile.
    }
  });
  assert.ok(processes.length > 0, "the gateway has no process");
  return [...files, ...processes.flatMap((pid) => [`/proc/${pid}/environ`, `/proc/${pid}/cmdline`])].filter(has);
}

export async function checkBackDoor(parts) {
  const { report } = parts;
  const { folder, llm, gateway, portcullis, client, backDoor } = await start(parts);
  const metrics = async () => (await fetch(`http://127.0.0.1:${portcullis.adminPort}/metrics`)).text();
  const asked = (text) => llm.requests.filter((row) => row.text.includes(text));

  await report.check("back door: a chat over WebSocket streams the model's answer", {}, async () => {
    const text = `back door ${crypto.randomUUID()}`;
    const { deltas, answer } = await chatOver(client, text);
    assert.match(answer, /tok0 .*tok9/);
    const [{ key, sentAt }] = asked(text);
    assert.equal(key, KEYS[0]);
    assert.equal(sentAt.length, TOKENS);
    assert.ok(deltas.length > 2, `deltas: ${JSON.stringify(deltas)}`);
    assert.ok(deltas[0].at < sentAt[TOKENS >> 1], "the first delta came when the model had sent half of its answer");
    return `${deltas.length} deltas`;
  });

  await report.check("back door: the model server itself refuses the gateway's key", { portcullis: true }, async () => {
    const headers = { authorization: `Bearer ${DUMMY}` };
    assert.equal((await fetch(`${llm.url}/models`, { headers })).status, 401);
    assert.equal((await fetch(`${backDoor}/models`, { headers })).status, 200);
  });

  await report.check("back door: a chat survives a key's rate limit by the second key", { portcullis: true }, async () => {
    assert.doesNotMatch(await metrics(), /^portcullis_model_rotations_total\{.*\} [1-9]/m);
    llm.limited.add(KEYS[0]);
    const text = `rate limit ${crypto.randomUUID()}`;
    const { answer } = await chatOver(client, text);
    assert.match(answer, /tok0 .*tok9/);
    // The gateway knows nothing of it: it would have asked again after a while.
    assert.deepEqual(asked(text).slice(0, 2).map(({ key }) => KEYS.indexOf(key)), [0, 1]);
    const counted = (await metrics()).match(/^portcullis_model_rotations_total\{.*\} [1-9].*$/gm) ?? [];
    assert.equal(counted.length, 1, counted.join("\n"));
    assert.match(counted[0], /provider="openai".*\} 1$/);
    return counted[0];
  });

  await report.check("back door: the gateway's files and environment hold no key, nor does a log", { portcullis: true }, async () => {
    const places = { folder, program: gateway.program };
    // What the gateway does know is found, so the search is one.
    assert.ok(holding(DUMMY, places).some((file) => file.endsWith("openclaw.json")));
    for (const key of KEYS) assert.deepEqual(holding(key, places), []);
    const texts = await Promise.all(["metrics", "status"].map(async (page) =>
      (await fetch(`http://127.0.0.1:${portcullis.adminPort}/${page}`)).text()));
    for (const key of KEYS) assert.ok(!texts.some((text) => text.includes(key)), "/metrics or /status holds a key");
  });
}

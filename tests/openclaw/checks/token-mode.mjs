// A gateway that wants a token which no user holds: Portcullis shows it.

import assert from "node:assert/strict";
import fs from "node:fs";
import path from "node:path";
import { Client, identity, marked } from "../parts/client.mjs";
import { MALLORY, NICK, startGateway } from "../parts/gateway.mjs";
import { startPortcullis } from "../parts/portcullis.mjs";
import { until } from "../parts/process.mjs";
import { startRelay } from "../parts/relay.mjs";

const TOKEN = "gateway-token-for-tests-0123456789abcdef";
const WRONG = "another-token-for-tests-0123456789abcdef";

const json = { "content-type": "application/json" };
const chat = (text, headers) => ({
  method: "POST",
  path: "/v1/chat/completions",
  headers: identity(NICK, { ...json, "x-openclaw-scopes": "operator.read,operator.write", ...headers }),
  body: JSON.stringify({ model: "openclaw", messages: [{ role: "user", content: text }] }),
});

/** Writes the token as a rotation does: whole, by a rename. */
function rotate(file, token) {
  fs.writeFileSync(`${file}.next`, `${token}\n`, { mode: 0o600 });
  fs.renameSync(`${file}.next`, file);
}

async function start({ root, folder: parent, llm, certificate, keep }) {
  const folder = path.join(parent, "token-mode");
  fs.mkdirSync(folder, { mode: 0o700 });
  const tokenFile = path.join(folder, "token");
  rotate(tokenFile, TOKEN);
  const onStarted = (program) => keep(program, (it) => it.stop());
  const gateway = await startGateway({ root, folder, llmUrl: llm.url, origins: [], token: TOKEN, onStarted });
  const relay = keep(await startRelay(gateway.port), (it) => it.close());
  const portcullis = await startPortcullis({
    root, folder, upstreamPort: relay.port, certificate, onStarted,
    sections: `
[upstream.credential]
header = "authorization"
value = { source = "file", provider = "gateway", id = "value" }

[secrets.providers.gateway]
source = "file"
path = ${JSON.stringify(tokenFile)}
mode = "singleValue"
`,
  });
  const client = keep(new Client({ port: portcullis.port, ca: certificate.ca }), (it) => it.close());
  const direct = keep(new Client({ port: relay.port }), (it) => it.close());
  return { tokenFile, relay, client, direct, folder };
}

export async function checkTokenMode(parts) {
  const { report } = parts;
  const { tokenFile, relay, client, direct, folder } = await start(parts);
  const answers = [];
  const ask = async (options) => {
    const answer = await client.ask(options);
    answers.push(JSON.stringify(answer.headers) + answer.text);
    return answer;
  };
  const shown = (marker) => relay.header(marker).filter(([name]) => name === "authorization").map(([, value]) => value);

  await report.check("token mode: the gateway refuses who shows no token", {}, async () => {
    const answer = await direct.ask({ path: "/v1/models" });
    assert.equal(answer.status, 401, answer.text);
  });

  await report.check("token mode: a permitted user who holds no token is served", {}, async () => {
    const { path, marker } = marked("/v1/models");
    const answer = await ask({ path });
    assert.equal(answer.status, 200, answer.text);
    assert.equal(answer.json.data[0].owned_by, "openclaw");
    assert.deepEqual(shown(marker), [`Bearer ${TOKEN}`]);
  });

  await report.check("token mode: a permitted user chats with the model", {}, async () => {
    const answer = await ask(chat("hello with no token"));
    assert.equal(answer.status, 200, answer.text);
    assert.match(answer.json.choices[0].message.content, /tok0/);
  });

  await report.check("token mode: a token of the client's own is dropped", {}, async () => {
    const { path, marker } = marked("/v1/models");
    const answer = await ask({ path, headers: identity(NICK, { authorization: `Bearer ${WRONG}` }) });
    assert.equal(answer.status, 200, answer.text);
    assert.deepEqual(shown(marker), [`Bearer ${TOKEN}`]);
  });

  await report.check("token mode: another user is denied and the gateway not asked", {}, async () => {
    const { path, marker } = marked("/v1/models");
    const answer = await ask({ path, headers: identity(MALLORY, { authorization: `Bearer ${TOKEN}` }) });
    assert.equal(answer.status, 403, answer.text);
    assert.ok(!relay.saw(marker), "the request reached the gateway");
    answers.pop(); // The client knew this one by itself.
  });

  await report.check("token mode: a rotated token is shown without a restart", {}, async () => {
    rotate(tokenFile, WRONG);
    await until("the gateway refuses the new token", 10, async () => (await ask({ path: "/v1/models" })).status === 401);
    rotate(tokenFile, TOKEN);
    await until("the gateway takes the old token", 10, async () => (await ask({ path: "/v1/models" })).status === 200);
  });

  await report.check("token mode: no answer and no log holds the token", {}, async () => {
    for (const path of ["/", "/healthz", "/readyz", "/api/nothing", "/v1/nothing", "/hooks/wake"]) {
      await ask({ path });
      await ask({ path, method: "POST", headers: identity(NICK, json), body: "{}" });
    }
    for (const token of [TOKEN, WRONG]) {
      assert.ok(!answers.some((text) => text.includes(token)), "an answer holds the token");
      assert.ok(!fs.readFileSync(path.join(folder, "portcullis.log"), "utf8").includes(token), "the log holds the token");
    }
    return `${answers.length} answers`;
  });
}

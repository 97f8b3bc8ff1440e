// Starts a provider and Portcullis before it, runs the checks of both languages, looks for
// the keys where they must not be, ends everything. See `run` for the usage.
//
//   check.mjs, check.py ─┬─ Portcullis' back door ─┬─ provider
//                        └─────────────────────────┘

import assert from "node:assert/strict";
import { spawn } from "node:child_process";
import crypto from "node:crypto";
import fs from "node:fs";
import path from "node:path";
import readline from "node:readline";
import { parseArgs } from "node:util";
import { Program } from "../openclaw/parts/process.mjs";
import { Report } from "../openclaw/parts/report.mjs";
import { checkLogin } from "./login.mjs";
import { startProviders } from "./providers.mjs";
import { Started } from "../openclaw/parts/started.mjs";

const { values: options } = parseArgs({ options: { only: { type: "string" } } });
const standIn = Boolean(process.env.SDK_DIRECT);
const root = path.resolve(import.meta.dirname, "../..");
const tools = path.resolve(process.env.PORTCULLIS_TOOLS ?? path.join(root, ".tools"));
const folder = path.join(tools, "sdk-run");
const binary = process.env.PORTCULLIS_BIN ??
  path.join(process.env.CARGO_TARGET_DIR ?? path.join(root, "target"), "debug/portcullis");
const report = new Report({ only: options.only, direct: standIn });
const canaries = {
  CANARY_ANTHROPIC: `sk-ant-canary-${crypto.randomBytes(16).toString("hex")}`,
  CANARY_OPENAI: `sk-canary-${crypto.randomBytes(16).toString("hex")}`,
};

const { keep, stopAll } = new Started();

async function startPortcullis(provider) {
  const config = path.join(folder, "portcullis.toml");
  fs.writeFileSync(config, `
[listen]
address = "127.0.0.1:0"

[upstream]
url = "http://127.0.0.1:9"

[gateway]
trustedProxies = ["127.0.0.1"]

[gateway.auth]
mode = "trusted-proxy"

[gateway.auth.trustedProxy]
userHeader = "x-forwarded-user"
allowUsers = ["nick@example.com"]
allowLoopback = true

[admin]
address = "127.0.0.1:0"

[models]
listen = "127.0.0.1:0"

[models.providers.anthropic]
baseUrl = "${provider.url}"
apiKey = "$CANARY_ANTHROPIC"

[models.providers.openai]
baseUrl = "${provider.url}/v1"
apiKey = "$CANARY_OPENAI"
`.trimStart());
  if (!fs.existsSync(binary)) throw new Error(`no Portcullis at ${binary}: build it, or name it by PORTCULLIS_BIN`);
  // Keys of this machine's own would come before those of the test, or beside them.
  const env = Object.fromEntries(Object.entries(process.env).filter(([name]) => !/_API_KEY(S|_.*)?$|^OPENCLAW_LIVE_/.test(name)));
  const log = path.join(folder, "portcullis.log");
  const program = keep(
    new Program("Portcullis", binary, ["run", "--config", config, "-v"], { log, env: { ...env, ...canaries, NO_COLOR: "1" } }),
    (it) => it.stop(),
  );
  const addresses = () => Object.fromEntries(fs.readFileSync(log, "utf8").split("\n").flatMap((line) => {
    try {
      const event = JSON.parse(line);
      return event.message === "listening" ? [[event["listener.name"], event["listener.address"]]] : [];
    } catch {
      return [];
    }
  }));
  await program.ready(20, async () => {
    const { admin, models } = addresses();
    return models && (await fetch(`http://${admin}/readyz`)).status === 200;
  });
  const { admin, models } = addresses();
  return { program, log, admin: `http://${admin}`, models: `http://${models}` };
}

/** Runs a program of checks and takes its totals into the report. */
async function runChecks(name, command, args, env) {
  const child = spawn(command, [...args, ...(options.only ? [options.only] : [])], { env, stdio: ["ignore", "pipe", "inherit"] });
  const exited = new Promise((resolve) => child.once("exit", resolve).once("error", resolve));
  let totals;
  for await (const line of readline.createInterface({ input: child.stdout })) {
    const found = /^(\d+) passed, (\d+) failed$/.exec(line);
    if (found) totals = found;
    else if (!line.startsWith("no check has ")) console.log(line);
  }
  const exit = await exited;
  report.passed += Number(totals?.[1] ?? 0);
  report.failed += Number(totals?.[2] ?? 0);
  const quiet = options.only && totals?.[0] === "0 passed, 0 failed";
  if (!totals || (exit !== 0 && totals[2] === "0" && !quiet)) {
    report.failed += 1;
    console.log(`not ok ${name} ended with ${exit} ${totals ? "though no check failed" : "and without its totals"}`);
  }
}

async function checkLeaks({ log, admin, models }) {
  await report.check("no log line, metric or status holds a key", {}, async () => {
    const headers = { "anthropic-version": "2023-06-01", "x-api-key": "portcullis" };
    assert.equal((await fetch(`${models}/anthropic/v1/models`, { headers })).status, 200);
    const texts = { log: fs.readFileSync(log, "utf8") };
    for (const page of ["metrics", "status", "readyz"]) {
      const answer = await fetch(`${admin}/${page}`);
      assert.equal(answer.status, 200, page);
      texts[page] = await answer.text();
    }
    // So that a search in the wrong text isn't taken for a clean one.
    assert.ok(/^portcullis_model_requests_total\{.*provider="anthropic".*\} [1-9]/m.test(texts.metrics), "no request is counted");
    assert.ok(texts.log.includes("anthropic"), "the log tells nothing of the provider");
    for (const [name, canary] of Object.entries(canaries)) {
      const secret = canary.replace(/^.*canary-/, "");
      for (const [where, text] of Object.entries(texts)) assert.ok(!text.includes(secret), `${name} is in the ${where}`);
    }
    return `${texts.log.split("\n").length} log lines`;
  });
}

let status = 1;
try {
  fs.rmSync(folder, { recursive: true, force: true });
  fs.mkdirSync(folder, { recursive: true, mode: 0o700 });
  const keys = { anthropicKey: canaries.CANARY_ANTHROPIC, openaiKey: canaries.CANARY_OPENAI };
  const provider = keep(await startProviders(keys), (it) => it.close());
  const dummy = { anthropicKey: "portcullis", openaiKey: "portcullis" };
  const second = standIn ? keep(await startProviders(dummy), (it) => it.close()) : undefined;
  const portcullis = standIn ? undefined : await startPortcullis(provider);
  const env = {
    ...process.env,
    ...canaries,
    SDK_CONTROL: provider.url,
    SDK_CONTROL_THROUGH: (second ?? provider).url,
    SDK_DIRECT_ANTHROPIC: provider.url,
    SDK_DIRECT_OPENAI: `${provider.url}/v1`,
    SDK_ANTHROPIC: second?.url ?? `${portcullis.models}/anthropic`,
    SDK_OPENAI: second ? `${second.url}/v1` : `${portcullis.models}/openai`,
  };
  await runChecks("check.mjs", process.execPath, [path.join(import.meta.dirname, "check.mjs")], env);
  await runChecks("check.py", path.join(tools, "sdk/venv/bin/python"), [path.join(import.meta.dirname, "check.py")], env);
  if (!standIn) {
    await checkLeaks(portcullis);
    await report.check("Portcullis stops with exit code 0", {}, async () =>
      assert.deepEqual(await portcullis.program.stop(), { code: 0, signal: null }));
    await checkLogin({ report, binary, folder });
  }
  status = report.close();
} catch (error) {
  console.log(`not ok ${error.stack}`);
} finally {
  await stopAll();
}
process.exit(status);

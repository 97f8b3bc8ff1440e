// The OpenClaw gateway on loopback, as behind a sidecar: in trusted-proxy mode, or in
// token mode where a `token` is given.

import fs from "node:fs";
import path from "node:path";
import { freePort, Program } from "./process.mjs";

export const NICK = "nick@example.com";
/** The gateway would let her in: where she is refused, Portcullis did it. */
export const MALLORY = "mallory@example.com";
export const HOOK_TOKEN = "hook-token-for-tests-0123456789abcdef";

const trustedProxyAuth = {
  mode: "trusted-proxy",
  trustedProxy: {
    userHeader: "x-forwarded-user",
    requiredHeaders: ["x-forwarded-proto", "x-forwarded-host"],
    allowUsers: [NICK, MALLORY],
    allowLoopback: true,
    deviceAutoApprove: { enabled: true },
  },
};

export async function startGateway({ root, folder, llmUrl, llmKey = "fake-key", origins, token, onStarted }) {
  const port = await freePort();
  const state = path.join(folder, "state");
  const home = path.join(folder, "home");
  for (const directory of [state, home]) fs.mkdirSync(directory, { recursive: true, mode: 0o700 });

  const config = {
    gateway: {
      mode: "local",
      bind: "loopback",
      port,
      trustedProxies: ["127.0.0.1"],
      auth: token ? { mode: "token", token } : trustedProxyAuth,
      controlUi: { allowedOrigins: origins },
      http: { endpoints: { chatCompletions: { enabled: true } } },
    },
    hooks: { enabled: true, token: HOOK_TOKEN },
    models: {
      mode: "merge",
      providers: {
        fake: { baseUrl: llmUrl, apiKey: llmKey, api: "openai-completions", models: [{ id: "fake-1", name: "Fake" }] },
      },
    },
    agents: { defaults: { model: { primary: "fake/fake-1" } } },
    logging: { file: path.join(folder, "openclaw.log") },
    discovery: { mdns: { mode: "off" } },
    update: { checkOnStart: false },
  };
  const configPath = path.join(state, "openclaw.json");
  fs.writeFileSync(configPath, `${JSON.stringify(config, null, 2)}\n`, { mode: 0o600 });

  const env = {
    ...process.env,
    HOME: home,
    OPENCLAW_STATE_DIR: state,
    OPENCLAW_CONFIG_PATH: configPath,
    PATH: `${path.dirname(process.execPath)}:${process.env.PATH}`,
    NO_COLOR: "1",
  };
  for (const name of ["TOKEN", "PASSWORD", "PORT"]) delete env[`OPENCLAW_GATEWAY_${name}`];
  const main = path.join(root, ".openclaw/node_modules/openclaw/openclaw.mjs");
  const program = new Program("the gateway", process.execPath, [main, "gateway", "run", "--port", String(port)], {
    log: path.join(folder, "gateway.log"),
    env,
  });
  onStarted(program);
  await program.ready(180, async () => (await fetch(`http://127.0.0.1:${port}/readyz`)).status === 200);
  return { port, configPath, program };
}

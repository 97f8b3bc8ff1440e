// Portcullis with TLS, in front of a given upstream. `sections` is further TOML, `env` further environment.

import fs from "node:fs";
import path from "node:path";
import { NICK } from "./gateway.mjs";
import { freePort, Program } from "./process.mjs";

/** What the Control UI asks for; `operator.admin` stays out. */
export const CEILING = ["operator.read", "operator.write", "operator.approvals", "operator.questions"];

export async function startPortcullis({ root, folder, upstreamPort, certificate, sections = "", env = {}, onStarted }) {
  const port = await freePort();
  const adminPort = await freePort();
  const list = (values) => `[${values.map((value) => JSON.stringify(value)).join(", ")}]`;
  const configPath = path.join(folder, "portcullis.toml");
  fs.writeFileSync(configPath, `
[listen]
address = "127.0.0.1:${port}"

[upstream]
url = "http://127.0.0.1:${upstreamPort}"

[gateway]
trustedProxies = ["127.0.0.1"]

[gateway.auth]
mode = "trusted-proxy"

[gateway.auth.trustedProxy]
userHeader = "x-forwarded-user"
requiredHeaders = ["x-forwarded-proto", "x-forwarded-host"]
allowUsers = ["${NICK}"]
# The test's clients play the identity proxy, and they connect from loopback.
allowLoopback = true

[gateway.auth.trustedProxy.scopeCeilings]
"${NICK}" = ${list(CEILING)}

[[gateway.publicRoutes]]
path = "/hooks/"
methods = ["POST"]

[gateway.tls]
enabled = true
certPath = ${JSON.stringify(certificate.certPath)}
keyPath = ${JSON.stringify(certificate.keyPath)}

[admin]
address = "127.0.0.1:${adminPort}"

[log]
format = "text"

${sections}`.trimStart());

  const binary = process.env.PORTCULLIS_BIN ??
    path.join(process.env.CARGO_TARGET_DIR ?? path.join(root, "target"), "debug/portcullis");
  if (!fs.existsSync(binary)) throw new Error(`no Portcullis at ${binary}: build it, or name it by PORTCULLIS_BIN`);
  const program = new Program("Portcullis", binary, ["run", "--config", configPath], {
    log: path.join(folder, "portcullis.log"),
    env: { ...process.env, ...env, NO_COLOR: "1" },
  });
  onStarted(program);
  await program.ready(20, async () => (await fetch(`http://127.0.0.1:${adminPort}/readyz`)).status === 200);
  return { port, adminPort, program, binary, configPath };
}

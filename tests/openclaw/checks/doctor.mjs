// `portcullis doctor --openclaw` in front of the real gateway, on the config that it runs with.

import assert from "node:assert/strict";
import { execFile } from "node:child_process";
import fs from "node:fs";
import path from "node:path";
import { HOST } from "../parts/client.mjs";
import { MALLORY, NICK } from "../parts/gateway.mjs";

const ours = { portcullis: true };

export async function checkDoctor({ report, folder, gateway, relay, portcullis }) {
  if (!portcullis) return;
  // Without what the suite puts between for itself: the relay, and a user whom the gateway alone lets in.
  const configPath = path.join(folder, "doctor.toml");
  const config = fs.readFileSync(portcullis.configPath, "utf8")
    .replace(`127.0.0.1:${relay.port}`, `127.0.0.1:${gateway.port}`)
    .replace(`allowUsers = ["${NICK}"]`, `allowUsers = ["${NICK}", "${MALLORY}"]`)
    .replace("[gateway.auth.trustedProxy.scopeCeilings]\n", `$&"${MALLORY}" = ["operator.read"]\n`);
  fs.writeFileSync(configPath, config, { mode: 0o600 });

  const doctor = (openclaw) => new Promise((resolve) => {
    const args = ["doctor", "--config", configPath, "--openclaw", openclaw, "--host", HOST, "--json"];
    execFile(portcullis.binary, args, (error, stdout, stderr) => resolve({ code: error?.code ?? 0, stdout, stderr }));
  });
  const examine = async (openclaw) => {
    const { code, stdout, stderr } = await doctor(openclaw);
    assert.ok(code === 0 || code === 1, `exit ${code}: ${stderr}`);
    const { findings } = JSON.parse(stdout);
    const disagreements = findings.filter(({ id }) => id.startsWith("OPENCLAW_"));
    return { code, findings, disagreements };
  };
  const shown = (findings) => JSON.stringify(findings, null, 2);

  await report.check("doctor: a good deployment has no critical finding, and the two configs agree", ours, async () => {
    const { code, findings, disagreements } = await examine(gateway.configPath);
    assert.deepEqual(disagreements, []);
    assert.equal(code, 0, shown(findings));
    assert.ok(!findings.some(({ severity }) => severity === "critical"), shown(findings));
    const reached = ["GATEWAY_UNREACHABLE", "GATEWAY_EXPOSED", "START_REFUSED"];
    assert.ok(!findings.some(({ id }) => reached.includes(id)), shown(findings));
    return `${findings.length} lesser findings`;
  });

  await report.check("doctor: a disagreement of the two configs is found, and gone once mended", ours, async () => {
    const changed = path.join(folder, "disagrees.json");
    const openclaw = JSON.parse(fs.readFileSync(gateway.configPath, "utf8"));
    const write = () => fs.writeFileSync(changed, JSON.stringify(openclaw), { mode: 0o600 });
    const trustedProxy = openclaw.gateway.auth.trustedProxy;
    trustedProxy.requiredHeaders.push("x-pomerium-jwt-assertion");
    openclaw.gateway.bind = "lan";
    write();
    const { code, disagreements } = await examine(changed);
    assert.equal(code, 1);
    const found = disagreements.map(({ id, place }) => `${id} ${place.key}`).sort();
    assert.deepEqual(found, [
      "OPENCLAW_BIND gateway.bind",
      "OPENCLAW_REQUIRED_HEADERS gateway.auth.trustedProxy.requiredHeaders",
    ]);
    trustedProxy.requiredHeaders.pop();
    openclaw.gateway.bind = "loopback";
    write();
    assert.deepEqual((await examine(changed)).disagreements, []);
  });
}

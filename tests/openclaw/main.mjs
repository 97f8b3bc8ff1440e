// Starts everything, runs the checks, ends everything. See `run` for the usage.
//
//   client ─┐
//           ├─ TLS ─ Portcullis ─ relay ─ OpenClaw gateway ─ fake model server
//   Chromium ─ identity proxy
//
// checks/token-mode.mjs and checks/back-door.mjs start a gateway and a Portcullis of their own.

import fs from "node:fs";
import path from "node:path";
import { parseArgs } from "node:util";
import { checkBackDoor } from "./checks/back-door.mjs";
import { checkBrowser } from "./checks/browser.mjs";
import { checkChat, checkEarlyAnswers, checkLargeChat } from "./checks/chat.mjs";
import { checkDoctor } from "./checks/doctor.mjs";
import { checkHttp, checkWebhooks } from "./checks/http.mjs";
import { checkEnd, checkFrames, checkHello, checkHold } from "./checks/session.mjs";
import { checkTokenMode } from "./checks/token-mode.mjs";
import { makeCertificate } from "./parts/certificate.mjs";
import { Client, HOST } from "./parts/client.mjs";
import { startFakeLlm } from "./parts/fake-llm.mjs";
import { startGateway } from "./parts/gateway.mjs";
import { startIdentityProxy } from "./parts/identity-proxy.mjs";
import { startPortcullis } from "./parts/portcullis.mjs";
import { startRelay } from "./parts/relay.mjs";
import { Report } from "./parts/report.mjs";
import { Started } from "./parts/started.mjs";

const { values: options } = parseArgs({
  options: { direct: { type: "boolean", default: false }, only: { type: "string" } },
});
const root = path.resolve(import.meta.dirname, "../..");
const folder = path.join(root, ".openclaw/run");
const report = new Report(options);

const { keep, stopAll } = new Started();

async function start() {
  fs.rmSync(folder, { recursive: true, force: true });
  fs.mkdirSync(folder, { recursive: true, mode: 0o700 });
  const certificate = makeCertificate(folder);
  const llm = keep(await startFakeLlm(), (it) => it.close());

  // The gateway has to know the browser's origin, and the proxy behind that origin
  // has to know Portcullis: so the proxy comes first and learns its target later.
  const target = { start: (request) => client.start(request) };
  const identityProxy = keep(await startIdentityProxy(target, certificate), (it) => it.close());
  const origins = [`https://${HOST}`, `https://${HOST}:${identityProxy.port}`];

  const gateway = await startGateway({
    root, folder, llmUrl: llm.url, origins, onStarted: (program) => keep(program, (it) => it.stop()),
  });
  const relay = keep(await startRelay(gateway.port), (it) => it.close());
  const portcullis = options.direct ? undefined : await startPortcullis({
    root, folder, upstreamPort: relay.port, certificate, onStarted: (program) => keep(program, (it) => it.stop()),
  });
  const client = keep(
    new Client(portcullis ? { port: portcullis.port, ca: certificate.ca } : { port: relay.port }),
    (it) => it.close(),
  );
  return { report, folder, certificate, llm, identityProxy, gateway, relay, portcullis, client };
}

let status = 1;
try {
  const from = Date.now();
  const parts = await start();
  console.log(`started in ${((Date.now() - from) / 1000).toFixed(1)} s, logs in ${path.relative(process.cwd(), folder)}`);

  await checkHello(parts);
  const hold = checkHold(parts);
  await checkHttp(parts);
  await checkWebhooks(parts);
  await checkDoctor(parts);
  await checkChat(parts);
  await checkBrowser(parts);
  await checkFrames(parts);
  await checkEarlyAnswers(parts);
  await hold;
  // 20 MiB of prompt keep the gateway's one thread busy for a minute: its pings would come late.
  await checkLargeChat(parts);
  await checkEnd(parts);
  if (!options.direct) await checkTokenMode({ ...parts, root, keep });
  await checkBackDoor({ ...parts, root, keep });
  status = report.close();
} catch (error) {
  console.log(`not ok ${error.stack}`);
} finally {
  await stopAll();
}
process.exit(status);

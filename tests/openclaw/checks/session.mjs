// WebSocket sessions of the gateway: their identity, a long life, large frames, their end.

import assert from "node:assert/strict";
import { NICK } from "../parts/gateway.mjs";
import { sleep } from "../parts/process.mjs";
import { openSession } from "../parts/session.mjs";

const HOLD_SECONDS = 120;
const MIB = 1024 * 1024;
/** The gateway's limit for one message (hello: policy.maxPayload). */
const FRAME_LIMIT = 25 * MIB;

export async function checkHello({ report, client }) {
  await report.check("a WebSocket session gets the gateway's hello, which names the user", {}, async () => {
    const session = await openSession(client);
    const hello = await session.hello;
    session.end();
    assert.equal(hello.auth.method, "trusted-proxy");
    assert.equal(hello.policy.maxPayload, FRAME_LIMIT);
    const user = hello.snapshot.presence.find((entry) => entry.user)?.user;
    assert.equal(user?.email, NICK);
    return `gateway ${hello.server.version}, ${user.email}`;
  });
}

/** Takes two minutes; the other checks run meanwhile. */
export async function checkHold({ report, client }) {
  await report.check(`a WebSocket session is held for ${HOLD_SECONDS} s`, {}, async () => {
    const session = await openSession(client);
    const ended = await Promise.race([session.closed, sleep(HOLD_SECONDS * 1000)]);
    assert.equal(ended, undefined, `closed: ${JSON.stringify(ended)}`);
    // One each 25 s.
    assert.ok(session.pings >= 4, `the gateway's pings: ${session.pings}`);
    const health = await session.call("health");
    assert.equal(health.ok, true, JSON.stringify(health.error));
    session.end();
    return `${session.pings} pings of the gateway`;
  });
}

export async function checkFrames({ report, client }) {
  const request = (session, bytes) => session.call("health", { pad: "x".repeat(bytes) }, 90_000);

  await report.check("a frame just below 25 MiB is answered", {}, async () => {
    const session = await openSession(client);
    const answer = await request(session, FRAME_LIMIT - 1024);
    assert.equal(answer.type, "res");
    session.end();
    return answer.ok ? "ok" : answer.error.code;
  });

  await report.check("a frame above 25 MiB is closed by the gateway with 1009", {}, async () => {
    const session = await openSession(client);
    request(session, FRAME_LIMIT + 1024).catch(() => {});
    const { code, reason } = await Promise.race([session.closed, sleep(60_000).then(() => ({ code: "none in 60 s" }))]);
    assert.equal(code, 1009, reason);
  });
}

/** The last of all: it ends the gateway, then Portcullis. */
export async function checkEnd({ report, client, gateway, portcullis }) {
  await report.check("the gateway's restart closes a session with its own 1012", {}, async () => {
    const session = await openSession(client);
    gateway.program.signal("SIGTERM");
    const { code, reason } = await Promise.race([session.closed, sleep(30_000).then(() => ({ code: "none in 30 s" }))]);
    assert.equal(code, 1012, reason);
    assert.equal(reason, "service restart");
  });

  await report.check("without its gateway Portcullis answers 502 upstream_unreachable", { portcullis: true }, async () => {
    await gateway.program.exited;
    const answer = await client.ask({ path: "/v1/models" });
    assert.equal(answer.status, 502, answer.text);
    assert.equal(answer.json.error.code, "upstream_unreachable");
  });

  await report.check("Portcullis stops with exit code 0", { portcullis: true }, async () => {
    const exit = await portcullis.program.stop();
    assert.deepEqual(exit, { code: 0, signal: null });
  });
}

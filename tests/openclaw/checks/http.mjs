// Who gets through, who doesn't, and what the gateway is told.

import assert from "node:assert/strict";
import { CLIENT_IP, HOST, identity, marked } from "../parts/client.mjs";
import { HOOK_TOKEN, MALLORY, NICK } from "../parts/gateway.mjs";
import { CEILING } from "../parts/portcullis.mjs";
import { upgradeHeaders } from "../parts/session.mjs";

const ours = { portcullis: true };

export async function checkHttp({ report, client, relay }) {
  await report.check("a permitted user gets the gateway's own 200", {}, async () => {
    const { path, marker } = marked("/v1/models");
    const answer = await client.ask({ path });
    assert.equal(answer.status, 200, answer.text);
    assert.equal(answer.json.data[0].owned_by, "openclaw");
    assert.ok(relay.saw(marker), "the relay saw no such request: it can't tell what reaches the gateway");
  });

  await report.check("a permitted user gets 200 over HTTP/2", ours, async () => {
    const answer = await client.askH2({ path: "/v1/models" });
    assert.equal(answer.status, 200, answer.text);
    assert.equal(answer.json.data[0].owned_by, "openclaw");
  });

  await report.check("the gateway's answers carry HSTS and a request id", ours, async () => {
    const { headers } = await client.ask({ path: "/v1/models" });
    assert.equal(headers["strict-transport-security"], "max-age=31536000; includeSubDomains");
    assert.match(headers["x-request-id"] ?? "", /^\S+$/);
  });

  await report.check("the gateway is told what was verified, once each, and nothing else", ours, async () => {
    const { path, marker } = marked("/v1/models");
    const spoofed = {
      "x-real-ip": "6.6.6.6",
      forwarded: "for=6.6.6.6",
      "x-forwarded-server": "evil",
      "x-auth-request-email": MALLORY,
      "x-pomerium-claim-email": MALLORY,
      "x-openclaw-scopes": "operator.admin, operator.read, operator.write",
    };
    const answer = await client.ask({ path, headers: identity(NICK, spoofed) });
    assert.equal(answer.status, 200, answer.text);
    const header = relay.header(marker);
    const all = (name) => header.filter(([key]) => key === name).map(([, value]) => value);
    assert.deepEqual(all("x-forwarded-for"), [CLIENT_IP]);
    assert.deepEqual(all("x-real-ip"), [CLIENT_IP]);
    assert.deepEqual(all("x-forwarded-proto"), ["https"]);
    assert.deepEqual(all("x-forwarded-host"), [HOST]);
    assert.deepEqual(all("x-forwarded-user"), [NICK]);
    assert.deepEqual(all("x-openclaw-scopes").map((scopes) => scopes.split(",").sort().join()), ["operator.read,operator.write"]);
    for (const gone of ["forwarded", "x-forwarded-server", "x-auth-request-email", "x-pomerium-claim-email"]) {
      assert.deepEqual(all(gone), [], `\`${gone}\` reached the gateway`);
    }
  });

  await report.check("without incoming scopes the gateway gets the user's ceiling", ours, async () => {
    const { path, marker } = marked("/v1/models");
    await client.ask({ path });
    const scopes = relay.header(marker).filter(([name]) => name === "x-openclaw-scopes");
    assert.deepEqual(scopes.map(([, value]) => value.split(",").sort()), [[...CEILING].sort()]);
  });

  await report.check("the gateway's own refusal of a scope passes through", {}, async () => {
    const answer = await client.ask({
      method: "POST",
      path: "/v1/chat/completions",
      headers: identity(NICK, { "x-openclaw-scopes": "operator.read", "content-type": "application/json" }),
      body: JSON.stringify({ model: "openclaw", messages: [{ role: "user", content: "hi" }] }),
    });
    assert.equal(answer.status, 403, answer.text);
    assert.equal(answer.json.error.details.code, "MISSING_SCOPE");
  });

  const denials = [
    ["another user", 403, "trusted_proxy_user_not_allowed", { headers: identity(MALLORY) }],
    ["no user", 401, "trusted_proxy_user_missing", { headers: identity(null) }],
    ["a blank user", 401, "trusted_proxy_user_missing", { headers: identity(" ") }],
    ["a missing required header", 401, "trusted_proxy_missing_header", { headers: identity(NICK, { "x-forwarded-host": null }) }],
    ["a second user header", 400, "trusted_proxy_ambiguous_header", { headers: identity([NICK, MALLORY]) }],
    ["a user under an alias", 400, "trusted_proxy_ambiguous_header", { headers: identity(NICK, { x_forwarded_user: NICK }) }],
    ["a source that is not trusted", 403, "trusted_proxy_untrusted_source", { from: "127.0.0.2" }],
  ];
  for (const [who, status, code, options] of denials) {
    await report.check(`${who} is refused with ${status} ${code}, unseen by the gateway`, ours, async () => {
      // The gateway itself serves its page to anyone: every path has to be guarded.
      for (const route of ["/v1/models", "/"]) {
        const { path, marker } = marked(route);
        const answer = await client.ask({ path, ...options });
        assert.equal(answer.status, status, answer.text);
        assert.equal(answer.json.error.code, code);
        assert.ok(!relay.saw(marker), `${route} reached the gateway`);
      }
      const { path, marker } = marked("/");
      const upgrade = await client.ask({ path, ...options, headers: upgradeHeaders(options.headers ?? identity()), alone: true });
      assert.equal(upgrade.status, status, "the upgrade to a WebSocket was not refused alike");
      assert.equal(upgrade.json?.error.code, code);
      assert.ok(!relay.saw(marker), "the upgrade reached the gateway");
    });
  }
}

export async function checkWebhooks({ report, client, relay }) {
  // A webhook's sender, as the proxy in front passes it on: with no user.
  const hook = (path, changes) => ({
    method: "POST",
    path,
    headers: identity(null, {
      authorization: `Bearer ${HOOK_TOKEN}`,
      "content-type": "application/json",
      ...changes,
    }),
    body: JSON.stringify({ text: "hello", mode: "now" }),
  });

  await report.check("a webhook with its own token is accepted by the gateway", {}, async () => {
    const answer = await client.ask(hook("/hooks/wake"));
    assert.equal(answer.status, 200, answer.text);
    assert.equal(answer.json.ok, true);
  });

  await report.check("a webhook with a wrong token gets the gateway's own 401", {}, async () => {
    const answer = await client.ask(hook("/hooks/wake", { authorization: "Bearer wrong" }));
    assert.equal(answer.status, 401, answer.text);
    assert.equal(answer.json?.error?.code, undefined);
  });

  await report.check("a webhook carries no identity and no scopes to the gateway", ours, async () => {
    const { path, marker } = marked("/hooks/wake");
    const answer = await client.ask(hook(path, { "x-forwarded-user": NICK, "x-openclaw-scopes": "operator.admin" }));
    assert.equal(answer.status, 200, answer.text);
    const names = relay.header(marker).map(([name]) => name);
    assert.ok(names.includes("authorization"), "the webhook's own proof was taken away");
    for (const name of ["x-forwarded-user", "x-openclaw-scopes"]) {
      assert.ok(!names.includes(name), `\`${name}\` reached the gateway`);
    }
  });

  await report.check("no trick with the path widens the public route", ours, async () => {
    const tricks = ["/hooks/../v1/models", "/hooks/%2e%2e/v1/models", "/hooks/..%2fv1/models", "//hooks/wake",
      "/hooks//wake", "/hooks/wake;x", "/hooks/./wake", "/hooks\\wake", "/hooks", "/HOOKS/wake"];
    for (const trick of tricks) {
      const { path, marker } = marked(trick);
      const answer = await client.ask(hook(path));
      assert.ok([400, 401].includes(answer.status), `${trick}: ${answer.status} ${answer.text}`);
      assert.ok(!relay.saw(marker), `${trick} reached the gateway`);
    }
    const { path, marker } = marked("/hooks/wake");
    const get = await client.ask({ path, headers: identity(null) });
    assert.equal(get.status, 401, get.text);
    assert.ok(!relay.saw(marker), "GET reached the gateway");
  });
}

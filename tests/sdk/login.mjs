// `portcullis models auth login`, as a person does it: in a browser, and by pasting.

import assert from "node:assert/strict";
import { spawn } from "node:child_process";
import fs from "node:fs";
import net from "node:net";
import path from "node:path";
import { openPage } from "../openclaw/parts/chromium.mjs";
import { sleep, until } from "../openclaw/parts/process.mjs";
import { ACCOUNT, EXPIRES_IN_S, startOAuthServer } from "./oauth-server.mjs";

const PROFILE = "openai-codex:default";
const pressed = (value) => `document.querySelector('button[value="${value}"]').click()`;

/** The command with its output, its standard input held open as a terminal's is. */
class Login {
  output = "";

  constructor({ binary, server, state }) {
    fs.rmSync(state, { recursive: true, force: true });
    this.child = spawn(binary, [
      "models", "auth", "login", "--provider", "openai-codex", "--no-browser", "--state-dir", state,
      "--authorize-url", server.authorizeUrl, "--token-url", server.tokenUrl,
    ], { stdio: ["pipe", "pipe", "pipe"], env: { ...process.env, HOME: path.dirname(state), NO_COLOR: "1" } });
    for (const stream of [this.child.stdout, this.child.stderr]) {
      stream.setEncoding("utf8").on("data", (text) => (this.output += text));
    }
    this.child.stdin.on("error", () => {});
    // `close` comes when all of the output is there.
    this.exited = new Promise((resolve) =>
      this.child.once("close", (code, signal) => resolve(signal ?? code)).once("error", resolve));
    this.exited.then((exit) => (this.exit = exit));
  }

  /** The URL that is printed for the person to open. */
  url(server) {
    return until("the login's URL is printed", 10, () => {
      const found = new RegExp(`${RegExp.escape(server.authorizeUrl)}\\?\\S+`).exec(this.output)?.[0];
      assert.ok(found || this.exit === undefined, `the command ended with ${this.exit}: ${this.output}`);
      return found;
    }, { every: 50 });
  }

  async ended() {
    const exit = await Promise.race([this.exited, sleep(15_000).then(() => "still running after 15 s")]);
    if (this.exit === undefined) this.child.kill("SIGKILL");
    return exit;
  }
}

/** What a person gets who presses the button without a browser: where the page would go next. */
async function redirectOf(url, decision) {
  const shown = await (await fetch(url)).text();
  const login = /name="login" value="(\d+)"/.exec(shown)?.[1];
  assert.ok(login, `the login page says: ${shown}`);
  const answer = await fetch(new URL("/oauth/decide", url), {
    method: "POST", body: new URLSearchParams({ login, decision }), redirect: "manual",
  });
  return answer.headers.get("location");
}

function isStored(state, server) {
  const file = path.join(state, "auth-profiles.json");
  assert.equal((fs.statSync(file).mode & 0o777).toString(8), "600");
  assert.equal((fs.statSync(state).mode & 0o077).toString(8), "0", "others may look into the folder");
  const { version, profiles } = JSON.parse(fs.readFileSync(file, "utf8"));
  assert.equal(version, 1);
  const { body } = server.answers.at(-1);
  const { expires, ...profile } = profiles[PROFILE] ?? {};
  const { type, provider, access, refresh, accountId } = profile;
  assert.deepEqual({ type, provider, access, refresh, accountId }, {
    type: "oauth", provider: "openai-codex", access: body.access_token, refresh: body.refresh_token, accountId: ACCOUNT,
  });
  const left = expires - Date.now();
  assert.ok(Math.abs(left - EXPIRES_IN_S * 1000) < 60_000, `expires in ${left} ms`);
}

function tellsNoSecret(server, texts) {
  assert.ok(server.secrets.length > 0);
  for (const secret of server.secrets.filter(Boolean)) {
    for (const [where, text] of Object.entries(texts)) {
      assert.ok(!text.includes(secret), `the ${where} holds a code, a token or the verifier`);
    }
  }
}

export async function checkLogin({ report, binary, folder }) {
  const server = await startOAuthServer();
  const state = path.join(folder, "login-state");
  let login;
  const start = () => (login = new Login({ binary, server, state }));
  const check = (name, body) => report.check(`login: ${name}`, { portcullis: true }, async () => {
    try {
      return await body();
    } finally {
      if (login && login.exit === undefined) login.child.kill("SIGKILL");
    }
  });

  /** Opens the printed URL, presses a button, and resolves with the page that the person is left with. */
  const inBrowser = async (decision, picture) => {
    const page = await openPage(await login.url(server), { folder });
    try {
      await until("the login page", 20, async () => (await page.text()).includes("Continue"));
      await page.evaluate(pressed(decision));
      let text = "";
      await until("the command's own page", 20, async () => {
        // Nothing can be evaluated in the middle of a navigation.
        if (!(await page.evaluate("location.href"))?.startsWith("http://localhost:1455/")) return false;
        return (text = await page.text());
      }).catch(async (error) => assert.fail(`${error.message}; at ${await page.evaluate("location.href")}; ${login.output}`));
      assert.equal(await page.evaluate("document.querySelector('b')"), null, "the server's text came through as HTML");
      await page.screenshot(path.join(folder, picture));
      return text;
    } finally {
      await page.close();
    }
  };

  try {
    await check("in Chromium, by the callback", async () => {
      start();
      const text = await inBrowser("continue", "login.png");
      assert.equal(await login.ended(), 0, login.output);
      assert.match(login.output, new RegExp(`logged in: ${PROFILE}`));
      assert.match(text, /^logged in/i);
      isStored(state, server);
      tellsNoSecret(server, { page: text, output: login.output });
      return `the page says: ${text}`;
    });

    await check("in Chromium, cancelled", async () => {
      start();
      const text = await inBrowser("cancel", "login-cancelled.png");
      assert.equal(await login.ended(), 1, login.output);
      assert.match(login.output, /access_denied|denied|cancelled/i);
      assert.match(text, /not logged in|failed|refused|denied/i);
      assert.ok(!fs.existsSync(path.join(state, "auth-profiles.json")), "a profile was stored");
      return `the page says: ${text}`;
    });

    await check("by pasting the URL that the browser couldn't open", async () => {
      start();
      login.child.stdin.write(`${await redirectOf(await login.url(server), "continue")}\n`);
      assert.equal(await login.ended(), 0, login.output);
      isStored(state, server);
      tellsNoSecret(server, { output: login.output });
    });

    await check("by pasting, where another program has the callback's port", async () => {
      const other = net.createServer();
      await new Promise((resolve, reject) => other.once("error", reject).listen(1455, "127.0.0.1", resolve));
      try {
        start();
        login.child.stdin.write(`${await redirectOf(await login.url(server), "continue")}\n`);
        assert.equal(await login.ended(), 0, login.output);
        assert.match(login.output, /1455.* taken|in use/);
        isStored(state, server);
      } finally {
        other.close();
      }
    });

    await check("by pasting a code that isn't the server's", async () => {
      start();
      const redirect = new URL(await redirectOf(await login.url(server), "continue"));
      redirect.searchParams.set("code", "ac_wrong");
      login.child.stdin.write(`${redirect.href}\n`);
      assert.equal(await login.ended(), 1, login.output);
      assert.match(login.output, /invalid_grant/);
      assert.ok(!fs.existsSync(path.join(state, "auth-profiles.json")), "a profile was stored");
    });

    await check("by pasting an answer to another login", async () => {
      start();
      const redirect = new URL(await redirectOf(await login.url(server), "continue"));
      redirect.searchParams.set("state", "0123456789abcdef0123456789abcdef");
      const exchanged = server.answers.length;
      login.child.stdin.write(`${redirect.href}\n`);
      assert.equal(await login.ended(), 1, login.output);
      assert.match(login.output, /state/);
      assert.equal(server.answers.length, exchanged, "the code was sent to the server");
    });
  } finally {
    server.close();
  }
}

// A local OAuth server in the place of OpenAI's login: a page with two buttons, codes that
// are good once, PKCE (RFC 7636) that is checked, and refresh tokens that rotate.
//
//   node oauth-server.mjs    prints {"port":…} and serves

import crypto from "node:crypto";
import http from "node:http";
import { text as whole } from "node:stream/consumers";
import { pathToFileURL } from "node:url";

export const ACCOUNT = "acct-0123-portcullis-test";
export const EMAIL = "nick@example.com";
export const EXPIRES_IN_S = 864_000;
const REDIRECT_URI = "http://localhost:1455/auth/callback";

const random = (prefix) => `${prefix}${crypto.randomBytes(24).toString("base64url")}`;
const base64url = (value) => Buffer.from(JSON.stringify(value)).toString("base64url");
/** Nobody here verifies the signature: a JWT is read for the names in it. */
const jwt = (claims) => `${base64url({ alg: "RS256", typ: "JWT" })}.${base64url(claims)}.${random("")}`;

/** What is wrong with a request to log in, or nothing. */
function objection(asked) {
  const wanted = {
    response_type: /^code$/,
    client_id: /./,
    redirect_uri: new RegExp(`^${RegExp.escape(REDIRECT_URI)}$`),
    scope: /(^| )offline_access( |$)/,
    state: /^[\w-]{16,}$/,
    code_challenge: /^[\w-]{43}$/,
    code_challenge_method: /^S256$/,
  };
  for (const [name, pattern] of Object.entries(wanted)) {
    if (asked.getAll(name).length !== 1 || !pattern.test(asked.get(name))) return `${name}: got \`${asked.getAll(name)}\``;
  }
  return undefined;
}

const page = (body) => `<!doctype html><html lang="en"><meta charset="utf-8"><title>Log in</title><body>${body}</body></html>`;

export async function startOAuthServer() {
  /** Logins that wait for a button, by number; codes that wait to be exchanged; refresh tokens that are good. */
  const logins = [];
  const codes = new Map();
  const refreshTokens = new Set();
  /** Every secret that was made or seen, for a search where none must be, and every answer of the token endpoint. */
  const secrets = [];
  const answers = [];

  function issue() {
    const account = { "https://api.openai.com/auth": { chatgpt_account_id: ACCOUNT } };
    const exp = Math.floor(Date.now() / 1000) + EXPIRES_IN_S;
    const tokens = {
      access_token: jwt({ ...account, exp }),
      refresh_token: random("rt_"),
      id_token: jwt({ ...account, email: EMAIL, exp }),
    };
    refreshTokens.add(tokens.refresh_token);
    secrets.push(...Object.values(tokens));
    return { status: 200, body: { ...tokens, token_type: "Bearer", expires_in: EXPIRES_IN_S } };
  }

  const refuse = (error, error_description) => ({ status: 400, body: { error, error_description } });

  function exchange(asked) {
    if (asked.get("grant_type") === "refresh_token") {
      const good = refreshTokens.delete(asked.get("refresh_token"));
      return good ? issue() : refuse("invalid_grant", "the refresh token was used or never issued");
    }
    if (asked.get("grant_type") !== "authorization_code") return refuse("unsupported_grant_type", "expected authorization_code");
    const login = codes.get(asked.get("code"));
    // Good once, even for a wrong exchange.
    codes.delete(asked.get("code"));
    const verifier = asked.get("code_verifier") ?? "";
    secrets.push(verifier);
    if (!login) return refuse("invalid_grant", "the code was used or never issued");
    for (const name of ["client_id", "redirect_uri"]) {
      if (asked.get(name) !== login.get(name)) return refuse("invalid_grant", `another ${name} than at the login`);
    }
    if (!/^[\w.~-]{43,128}$/.test(verifier)) return refuse("invalid_request", "the code_verifier is malformed");
    const challenge = crypto.createHash("sha256").update(verifier).digest("base64url");
    return challenge === login.get("code_challenge") ? issue() : refuse("invalid_grant", "the code_verifier doesn't fit");
  }

  const server = http.createServer(async (request, response) => {
    const url = new URL(request.url, "http://oauth.invalid");
    const route = `${request.method} ${url.pathname}`;
    const html = (status, body) => response.writeHead(status, { "content-type": "text/html; charset=utf-8" }).end(page(body));
    if (route === "GET /oauth/authorize") {
      const wrong = objection(url.searchParams);
      if (wrong) return html(400, "<h1>This login is malformed</h1>");
      const number = logins.push(url.searchParams) - 1;
      return html(200, `<h1>Log in as ${EMAIL}?</h1><form method="post" action="/oauth/decide">
        <input type="hidden" name="login" value="${number}">
        <button name="decision" value="continue">Continue</button><button name="decision" value="cancel">Cancel</button></form>`);
    }
    if (route === "POST /oauth/decide") {
      const decided = new URLSearchParams(await whole(request));
      const login = logins[Number(decided.get("login"))];
      const target = new URL(login.get("redirect_uri"));
      if (decided.get("decision") === "continue") {
        const code = random("ac_");
        secrets.push(code);
        codes.set(code, login);
        target.searchParams.set("code", code);
      } else {
        target.searchParams.set("error", "access_denied");
        target.searchParams.set("error_description", "The user <b>cancelled</b>");
      }
      target.searchParams.set("state", login.get("state"));
      return response.writeHead(302, { location: target.href }).end();
    }
    if (route === "POST /oauth/token") {
      const form = /^application\/x-www-form-urlencoded\b/.test(request.headers["content-type"]);
      const body = await whole(request);
      const answer = form ? exchange(new URLSearchParams(body)) : refuse("invalid_request", "a form was expected");
      answers.push(answer);
      response.writeHead(answer.status, { "content-type": "application/json", "cache-control": "no-store" });
      return response.end(JSON.stringify(answer.body));
    }
    return html(404, "<h1>Nothing here</h1>");
  });
  await new Promise((resolve) => server.listen(0, "127.0.0.1", resolve));
  const { port } = server.address();
  return {
    port,
    authorizeUrl: `http://127.0.0.1:${port}/oauth/authorize`,
    tokenUrl: `http://127.0.0.1:${port}/oauth/token`,
    secrets,
    answers,
    close() {
      server.close();
      server.closeAllConnections();
    },
  };
}

if (import.meta.url === pathToFileURL(process.argv[1]).href) {
  console.log(JSON.stringify({ port: (await startOAuthServer()).port }));
}

// The gateway's own SecretRef resolver, asked about many cases by `tests/secret_oracle.rs`.
//
//   .openclaw/node tests/openclaw/secret-oracle.mjs < cases.json
//
// Reads   [{ secrets, environment, batches: [[input, …], …] }, …]; one batch is resolved at once.
// Prints  [{ refused, answers: [[answer, …], …] }, …]; `refused` is what the gateway's schema has
//         against `secrets`, an answer one of "malformed", { value }, { notText }, { code }.

import fs from "node:fs";
import path from "node:path";
import { text as whole } from "node:stream/consumers";
import { pathToFileURL } from "node:url";

const dist = path.resolve(import.meta.dirname, "../../.openclaw/node_modules/openclaw/dist");

/** What the file's `export { long as short, … }` calls `name`. */
function exportedAs(text, name) {
  const clause = text.slice(text.lastIndexOf("export {"));
  return new RegExp(`\\b${name} as (\\w+)`).exec(clause)?.[1] ?? name;
}

/** What the package's source file `source` exports as `name`: the bundler renames both, and leaves marks. */
async function shipped(source, name) {
  const stem = `${path.basename(source, ".ts")}-`;
  for (const file of fs.readdirSync(dist)) {
    if (!file.startsWith(stem) || !file.endsWith(".mjs")) continue;
    const text = fs.readFileSync(path.join(dist, file), "utf8");
    if (!text.includes(`//#region ${source}\n`)) continue;
    const it = (await import(pathToFileURL(path.join(dist, file))))[exportedAs(text, name)];
    if (it) return it;
  }
  throw new Error(`this gateway has no \`${name}\` of ${source} in ${dist}`);
}

const settle = await shipped("src/secrets/resolve.ts", "resolveSecretRefValuesSettledByProvider");
const coerceSecretRef = await shipped("src/config/types.secrets.ts", "coerceSecretRef");
const normalizeSecretInputString = await shipped("src/config/types.secrets.ts", "normalizeSecretInputString");
const isValidSecretRef = await shipped("src/secrets/ref-contract.ts", "isValidSecretRef");
const SecretsConfigSchema = await shipped("src/config/zod-schema.core.ts", "SecretsConfigSchema");

function refusal(secrets) {
  const { success, error } = SecretsConfigSchema.safeParse(secrets);
  return success ? null : error.issues.map((issue) => `${issue.path.join(".")}: ${issue.message}`).join("; ");
}

/** A value as JSON can carry it: half a surrogate pair has no place there. */
const found = (value) =>
  typeof value === "string" ? { value: value.toWellFormed() } : { notText: JSON.stringify(value) ?? "nothing" };

/** Answers to what stands in a secret's place in the config: a reference, a shorthand of one, or the secret. */
async function answer(batch, options) {
  const { defaults } = options.config.secrets;
  const asked = batch.map((input) => (typeof input === "string" ? coerceSecretRef(input, defaults) ?? input : input));
  const refs = asked.filter(isValidSecretRef);
  const { resolved, failures } = await settle(refs, options);
  return asked.map((ref) => {
    const plain = typeof ref === "string" && normalizeSecretInputString(ref);
    if (plain) return found(plain);
    if (!refs.includes(ref)) return "malformed";
    // The resolver takes surrounding blanks off an id and answers under what is left.
    const id = ref.id.trim();
    const failure = failures.find(({ group, error }) =>
      group.source === ref.source && group.providerName === ref.provider && (error.refId ?? id) === id);
    if (failure) return { code: failure.error.code ?? String(failure.error) };
    return found(resolved.get(`${ref.source}:${ref.provider}:${id}`));
  });
}

const results = [];
for (const { secrets, environment, batches } of JSON.parse(await whole(process.stdin))) {
  // `~` is looked up in the process' own environment.
  for (const name of ["HOME", "OPENCLAW_HOME"]) {
    if (name in environment) process.env[name] = environment[name];
    else delete process.env[name];
  }
  const refused = refusal(secrets);
  const answers = [];
  for (const batch of refused ? [] : batches) {
    answers.push(await answer(batch, { config: { secrets }, env: environment }));
  }
  results.push({ refused, answers });
}
// A pipe takes a long text in pieces: exit once it has it all.
process.stdout.write(JSON.stringify(results), () => process.exit(0));

// Headless Chromium, driven over its DevTools protocol.

import { execFileSync } from "node:child_process";
import fs from "node:fs";
import path from "node:path";
import { HOST } from "./client.mjs";
import { Program, until } from "./process.mjs";

// All that a reader would see, shadow roots included.
const VISIBLE_TEXT = `(() => {
  const seen = [];
  const walk = (node) => {
    if (node.nodeType === Node.TEXT_NODE && node.textContent.trim()) seen.push(node.textContent.trim());
    if (node.nodeType === Node.ELEMENT_NODE) {
      if (["SCRIPT", "STYLE"].includes(node.tagName)) return;
      const style = getComputedStyle(node);
      if (style.display === "none" || style.visibility === "hidden") return;
      node.shadowRoot?.childNodes.forEach(walk);
    }
    node.childNodes.forEach(walk);
  };
  if (document.body) walk(document.body);
  return seen.join(" | ");
})()`;

/** Opens `url` and resolves with a page that can tell its text, run a script and be photographed. */
export async function openPage(url, { folder, spkiHash }) {
  const profile = path.join(folder, "chromium");
  fs.rmSync(profile, { recursive: true, force: true });
  const program = new Program("Chromium", findChromium(), [
    "--headless=new", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run",
    "--disable-background-networking", "--disable-component-update", "--disable-sync", "--disable-dev-shm-usage",
    "--window-size=1280,900", "--remote-debugging-port=0", `--user-data-dir=${profile}`,
    // The certificate is this run's own; its host is on loopback.
    ...(spkiHash ? [`--ignore-certificate-errors-spki-list=${spkiHash}`] : []), `--host-resolver-rules=MAP ${HOST} 127.0.0.1`,
    "about:blank",
  ], { log: path.join(folder, "chromium.log"), env: process.env });

  try {
    const portFile = path.join(profile, "DevToolsActivePort");
    await program.ready(60, async () => fs.existsSync(portFile) && fs.readFileSync(portFile, "utf8").includes("\n"));
    const port = fs.readFileSync(portFile, "utf8").split("\n")[0];
    const page = await until("Chromium's page", 20, async () => {
      const targets = await (await fetch(`http://127.0.0.1:${port}/json`)).json();
      return targets.find((target) => target.type === "page");
    });
    const devtools = await connect(page.webSocketDebuggerUrl);
    await devtools.call("Page.enable");
    await devtools.call("Page.navigate", { url });
    const evaluate = async (expression) =>
      (await devtools.call("Runtime.evaluate", { expression, returnByValue: true })).result?.value;
    return {
      evaluate,
      text: async () => (await evaluate(VISIBLE_TEXT)) ?? "",
      async screenshot(file) {
        const { data } = await devtools.call("Page.captureScreenshot", { format: "png" });
        fs.writeFileSync(file, Buffer.from(data, "base64"));
      },
      async close() {
        devtools.socket.close();
        await program.stop(5);
      },
    };
  } catch (error) {
    await program.stop(5);
    throw error;
  }
}

function findChromium() {
  const names = [process.env.CHROMIUM, "chromium", "chromium-browser", "google-chrome"].filter(Boolean);
  for (const name of names) {
    try {
      execFileSync(name, ["--version"], { stdio: "ignore" });
      return name;
    } catch { /* the next one */ }
  }
  throw new Error(`no browser: tried ${names.join(", ")}; name one by CHROMIUM`);
}

async function connect(url) {
  const socket = new WebSocket(url);
  const pending = new Map();
  await new Promise((resolve, reject) => Object.assign(socket, { onopen: resolve, onerror: reject }));
  socket.onmessage = ({ data }) => {
    const message = JSON.parse(data);
    pending.get(message.id)?.(message.result ?? {});
    pending.delete(message.id);
  };
  let last = 0;
  const call = (method, params = {}) =>
    new Promise((resolve) => {
      last += 1;
      pending.set(last, resolve);
      socket.send(JSON.stringify({ id: last, method, params }));
    });
  return { socket, call };
}

// Child processes that are always stopped, free ports, and waiting.

import { spawn } from "node:child_process";
import fs from "node:fs";
import net from "node:net";

export const sleep = (ms) => new Promise((resolve) => setTimeout(resolve, ms));

const givenPorts = new Set();

/** A free port below those that the kernel gives away: no other program gets it before it is bound, seconds later. */
export async function freePort() {
  for (;;) {
    const port = 20_000 + Math.floor(Math.random() * 12_000);
    if (givenPorts.has(port)) continue;
    givenPorts.add(port);
    const probe = net.createServer();
    const free = await new Promise((resolve) => {
      probe.once("error", () => resolve(false)).listen(port, "127.0.0.1", () => resolve(true));
    });
    await new Promise((resolve) => probe.close(resolve));
    if (free) return port;
  }
}

/** Asks `condition` until its answer is truthy; the error says what was waited for. */
export async function until(what, seconds, condition, { every = 200 } = {}) {
  const end = Date.now() + seconds * 1000;
  for (;;) {
    const value = await condition();
    if (value) return value;
    if (Date.now() > end) throw new Error(`${what}: not within ${seconds} s`);
    await sleep(every);
  }
}

/** A program with its output in a file. */
export class Program {
  constructor(name, command, args, { log, env }) {
    this.name = name;
    this.log = log;
    const out = fs.openSync(log, "w");
    this.child = spawn(command, args, { stdio: ["ignore", out, out], env, detached: true });
    fs.closeSync(out);
    this.exited = new Promise((resolve) => {
      this.child.once("error", (error) => resolve({ error: error.message }));
      this.child.once("exit", (code, signal) => resolve({ code, signal }));
    });
    this.exited.then((exit) => (this.exit = exit));
  }

  lastLines(count = 20) {
    return fs.readFileSync(this.log, "utf8").trimEnd().split("\n").slice(-count).map((line) => line.slice(0, 400)).join("\n");
  }

  /** Waits until `ready` says so; an exit before that is an error with the end of the log. */
  async ready(seconds, ready) {
    try {
      await until(`${this.name} is ready`, seconds, async () => {
        if (this.exit) throw new Error(`${this.name} exited before it was ready: ${JSON.stringify(this.exit)}`);
        return ready().catch(() => false);
      });
    } catch (error) {
      throw new Error(`${error.message}\n${this.lastLines()}`);
    }
  }

  signal(name) {
    if (this.exit) return;
    // The group: the gateway has children of its own.
    try { process.kill(-this.child.pid, name); } catch { /* gone meanwhile */ }
  }

  /** SIGTERM, and SIGKILL where that isn't enough. */
  async stop(seconds = 20) {
    this.signal("SIGTERM");
    const exit = await Promise.race([this.exited, sleep(seconds * 1000)]);
    if (!exit) this.signal("SIGKILL");
    return exit ?? { code: null, signal: "SIGKILL" };
  }
}

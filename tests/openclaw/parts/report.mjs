// Runs named checks, prints `ok` or `not ok` for each, and counts.

import assert from "node:assert/strict";

export class Report {
  passed = 0;
  failed = 0;

  constructor({ only, direct }) {
    this.only = only;
    this.direct = direct;
  }

  /** Runs one check. One that is about Portcullis' own answers is left out where there is no Portcullis. */
  async check(name, { portcullis = false } = {}, body) {
    if (this.only && !name.includes(this.only)) return;
    if (portcullis && this.direct) return;
    const from = Date.now();
    const seconds = () => `${((Date.now() - from) / 1000).toFixed(1)} s`;
    try {
      const detail = await body();
      this.passed += 1;
      console.log(`ok ${name} (${detail ? `${detail}, ` : ""}${seconds()})`);
    } catch (error) {
      this.failed += 1;
      console.log(`not ok ${name} (${seconds()})`);
      const why = error instanceof assert.AssertionError ? error.message : (error.stack ?? String(error));
      console.log(why.replace(/^/gm, "    "));
    }
  }

  close() {
    console.log(`${this.passed} passed, ${this.failed} failed`);
    if (this.passed + this.failed === 0) {
      console.log(`no check has \`${this.only}\` in its name`);
      return 1;
    }
    return this.failed === 0 ? 0 : 1;
  }
}

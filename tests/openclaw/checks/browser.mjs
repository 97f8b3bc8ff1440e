// The Control UI in a real browser, through a stand-in for the identity-aware proxy.

import assert from "node:assert/strict";
import path from "node:path";
import { openPage } from "../parts/chromium.mjs";
import { HOST } from "../parts/client.mjs";
import { sleep, until } from "../parts/process.mjs";

export async function checkBrowser({ report, identityProxy, certificate, folder }) {
  await report.check("the Control UI in Chromium says Connected", {}, async () => {
    const page = await openPage(`https://${HOST}:${identityProxy.port}/`, { folder, spkiHash: certificate.spkiHash });
    const picture = path.join(folder, "control-ui.png");
    try {
      let text = "";
      // The name is the gateway's word: it came over the session that is connected.
      await until("`nick`, `Connected` on the page", 90, async () => {
        text = await page.text();
        return /\bnick \| Connected\b/.test(text);
      }, { every: 500 }).catch((error) => assert.fail(`${error.message}; it says: ${text.slice(0, 1500)}`));
      await sleep(2000); // for the picture's sake: conversations come a moment later
    } finally {
      await page.screenshot(picture);
      await page.close();
    }
    return `screenshot ${path.relative(process.cwd(), picture)}`;
  });
}

// The Control UI in a real browser, through a stand-in for the identity-aware proxy.

import assert from "node:assert/strict";
import path from "node:path";
import { openPage } from "../parts/chromium.mjs";
import { HOST } from "../parts/client.mjs";
import { until } from "../parts/process.mjs";

export async function checkBrowser({ report, identityProxy, certificate, folder }) {
  await report.check("the Control UI in Chromium says Connected", {}, async () => {
    const page = await openPage(`https://${HOST}:${identityProxy.port}/`, { folder, spkiHash: certificate.spkiHash });
    const picture = path.join(folder, "control-ui.png");
    try {
      let text = "";
      await until("`Connected` on the page", 90, async () => {
        text = await page.text();
        return /\bConnected\b/.test(text);
      }, { every: 500 }).catch((error) => assert.fail(`${error.message}; it says: ${text.slice(0, 1500)}`));
    } finally {
      await page.screenshot(picture);
      await page.close();
    }
    return `screenshot ${path.relative(process.cwd(), picture)}`;
  });
}

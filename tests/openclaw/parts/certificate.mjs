// A certificate authority of this run's own, and a certificate for claw.example.com.

import { execFileSync } from "node:child_process";
import crypto from "node:crypto";
import fs from "node:fs";
import path from "node:path";

export function makeCertificate(folder) {
  const file = (name) => path.join(folder, name);
  const openssl = (...args) => execFileSync("openssl", args, { stdio: ["ignore", "ignore", "pipe"] });
  const key = ["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes"];

  openssl("req", "-x509", ...key, "-days", "2", "-subj", "/CN=Portcullis test CA",
    "-keyout", file("ca.key"), "-out", file("ca.pem"));
  openssl("req", ...key, "-subj", "/CN=claw.example.com", "-keyout", file("claw.key"), "-out", file("claw.csr"));
  fs.writeFileSync(file("claw.ext"), "subjectAltName=DNS:claw.example.com,IP:127.0.0.1\nbasicConstraints=CA:FALSE\n");
  openssl("x509", "-req", "-in", file("claw.csr"), "-CA", file("ca.pem"), "-CAkey", file("ca.key"),
    "-CAcreateserial", "-days", "2", "-extfile", file("claw.ext"), "-out", file("claw.pem"));

  const spki = crypto.createPublicKey(fs.readFileSync(file("claw.pem"))).export({ type: "spki", format: "der" });
  return {
    certPath: file("claw.pem"),
    keyPath: file("claw.key"),
    cert: fs.readFileSync(file("claw.pem")),
    key: fs.readFileSync(file("claw.key")),
    ca: fs.readFileSync(file("ca.pem")),
    /** As Chromium's --ignore-certificate-errors-spki-list wants it. */
    spkiHash: crypto.createHash("sha256").update(spki).digest("base64"),
  };
}

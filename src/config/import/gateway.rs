//! `gateway`: where it listens, who may speak to it, TLS and its headers.

use super::super::gateway::is_hsts;
use super::access;
use super::object::{LeftOuts, Object};
use super::page::{Page, Section};

const DEFAULT_PORT: u16 = 18789;

const LISTEN: &str = "Not from openclaw.json: a place to start from. Off loopback it needs \
                      [gateway.tls], or anyone between can read and forge requests.";
const UPSTREAM: &str = "From gateway.port, or the gateway's default. Portcullis runs beside the \
                        gateway and speaks plain HTTP to it over loopback.";
const UPSTREAM_WITHOUT_TLS: &str = "TLS moves to Portcullis, since the certificate bears the name \
                                    that clients ask for: turn gateway.tls off in openclaw.json. \
                                    To keep it on there too, write https and the name of its \
                                    certificate here, and caFile where its CA is not a public one.";
const TLS_MOVES: &str = "From gateway.tls. Portcullis' own user must be able to read both files.";
const TLS_OFF: &str = "Off at the gateway, and so here.";
const TLS_VERSION: &str = "Not from openclaw.json: the gateway itself speaks nothing older.";
const WHOLE_PATH: &str = "Write the whole path: `~` is replaced at the gateway alone, and a \
                          relative path depends on where Portcullis is started.";

const PORT: &str = "got no port from 1 to 65535: see [upstream]";
const BIND: &str = "the gateway must listen on loopback alone, or people go round Portcullis: set \
                    it to \"loopback\" in openclaw.json";
const BIND_GOOD: &str = "the gateway's own, and \"loopback\" as it must be";
const CA_PATH: &str = "the gateway loads it and still asks nobody for a certificate, so it kept \
                       nobody out; to let in only proxies with a client certificate, set \
                       gateway.tls.clientCaPath here";
const HSTS: &str = "got neither `false` nor directives with one max-age";

/// Everything below `gateway`.
pub(super) fn import(root: &mut Object, page: &mut Page, out: &mut LeftOuts) {
    let mut gateway = root.object("gateway", out);
    let mut http = gateway.object("http", out);
    let mut headers = http.object("securityHeaders", out);
    let tls = gateway.object("tls", out);
    let is_tls = wants_tls(&tls);

    let mut listen = Section::new(["listen"]);
    listen.note(LISTEN);
    listen.set("address", "127.0.0.1:8443");
    page.add(listen);
    page.add(upstream(&mut gateway, is_tls, out));
    let may_hide = root.includes() || gateway.includes();
    access::import(&mut gateway, may_hide, page, out);
    page.add(import_tls(tls, is_tls, out));
    page.add(security_headers(&mut headers, out));

    headers.leave_rest(&[], out);
    http.leave_rest(&[], out);
    let is_loopback = gateway.is_text("bind", "loopback");
    let bind = if is_loopback { BIND_GOOD } else { BIND };
    gateway.leave_rest(&[("bind", bind)], out);
}

fn upstream(gateway: &mut Object, is_tls: bool, out: &mut LeftOuts) -> Section {
    let written = gateway.take("port");
    let port = written
        .as_ref()
        .and_then(serde_json::Value::as_u64)
        .and_then(|port| u16::try_from(port).ok())
        .filter(|port| *port != 0);
    if written.is_some() && port.is_none() {
        out.add(&gateway.at("port"), PORT);
    }
    let mut section = Section::new(["upstream"]);
    section.note(UPSTREAM);
    if is_tls {
        section.note(UPSTREAM_WITHOUT_TLS);
    }
    let port = port.unwrap_or(DEFAULT_PORT);
    section.set("url", format!("http://127.0.0.1:{port}"));
    section
}

/// An `enabled` that can't be read counts as on: what it takes is then asked for.
fn wants_tls(tls: &Object) -> bool {
    tls.has("enabled") && !tls.is_false("enabled")
}

fn import_tls(mut tls: Object, is_on: bool, out: &mut LeftOuts) -> Section {
    let mut section = Section::new(["gateway", "tls"]);
    let is_said = tls.has("enabled") || tls.has("certPath") || tls.has("keyPath");
    tls.flag("enabled", out);
    let cert = tls.text("certPath", out);
    let key = tls.text("keyPath", out);
    if is_said {
        section.note(if is_on { TLS_MOVES } else { TLS_OFF });
        section.set("enabled", is_on);
        let paths = [
            (
                "certPath",
                cert,
                "certPath = \"/etc/portcullis/tls/portcullis.pem\"",
            ),
            (
                "keyPath",
                key,
                "keyPath = \"/etc/portcullis/tls/portcullis.key\"",
            ),
        ];
        for (name, path, example) in paths {
            match path {
                Some(path) => {
                    if !path.starts_with('/') {
                        section.note(WHOLE_PATH);
                    }
                    section.set(name, path);
                }
                None if is_on => section.example(example),
                None => {}
            }
        }
    }
    if is_on {
        section.note(TLS_VERSION);
        section.set("minVersion", "1.3");
    }
    tls.leave_rest(&[("caPath", CA_PATH)], out);
    section
}

fn security_headers(headers: &mut Object, out: &mut LeftOuts) -> Section {
    const KEY: &str = "strictTransportSecurity";
    let mut section = Section::new(["gateway", "http", "securityHeaders"]);
    if headers.is_false(KEY) {
        headers.take(KEY);
        section.set(KEY, false);
    } else if let Some(text) = headers.text(KEY, out) {
        if is_hsts(&text) {
            section.set(KEY, text);
        } else {
            out.add(&headers.at(KEY), HSTS);
        }
    }
    section
}

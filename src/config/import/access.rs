//! `gateway.trustedProxies` and `gateway.auth`: who may speak to the gateway, and
//! for whom. Whatever keeps people out must keep them out here as well.

use std::net::IpAddr;

use toml::Value;

use super::object::{LeftOuts, Object};
use super::page::{Page, Section};
use super::reference;
use crate::policy::{AllowUsers, FieldName, TrustedNets};

const PROXIES: &str = "Who may connect, and say who the user is: the identity proxies alone.";
const PROXIES_LOOPBACK: &str = "Loopback alone: at the gateway that is Portcullis itself. Write \
                                your identity proxy's address here; as it stands, everybody is \
                                refused.";
const PROXIES_MOVED: &str = "In openclaw.json, write \"127.0.0.1\" in their place and set \
                             allowLoopback there: its proxy is now Portcullis.";
const NET: &str = "got no address or CIDR that holds here: no zone, no bits beyond the prefix, no \
                   name";

const MODE_OTHER: &str = "The only mode here, and the gateway has another or none set: set it to \
                          trusted-proxy there too, with trustedProxies [\"127.0.0.1\"], the same \
                          userHeader, and allowLoopback.";
const MODE_SHARED_SECRET: &str = "Until then it takes everyone whom Portcullis lets through for \
                                  its owner, operator.admin included, whatever their scopes.";
const MODE: &str = "got no mode of the gateway's";
const CREDENTIAL: &str = "From gateway.auth: Portcullis shows the gateway its secret, users never \
                          hold it. Take this away once the gateway is in trusted-proxy mode.";
const CREDENTIAL_MISSING: &str = "The gateway asks for a secret, and no reference to one came \
                                  along. Until it is in trusted-proxy mode, Portcullis must show \
                                  it:";
const SECRET_BESIDE: &str = "not the secret of the gateway's mode, so Portcullis has nobody to \
                             show it to; beside trusted-proxy, a token keeps the gateway from \
                             starting";

const USER_HEADER: &str = "The header in which the identity proxy names the user. Required.";
const USER_HEADER_UNUSABLE: &str = "got no header that can name a user here";
const REQUIRED_UNREADABLE: &str = "An entry could not be read and stands here as \"\", so that the \
                                   config is refused until you write it out or take it away.";
const HIDDEN: &str = "Files that $include names were not read. They may hold further rules for \
                      this section: add them by hand.";
const UNREADABLE: &str = "WHO MAY PASS IS NOT KNOWN: the gateway's list could not be read. The config is \
                          refused until you list the users, or take the line away to let anyone \
                          pass whom a trusted proxy names.";
const EVERYBODY: &str = "EVERYBODY MAY PASS whom a trusted proxy names: the gateway lists no users, \
                         and that means the same here. List them unless this is what you want:";
const USERS_EMPTY: &str = "an empty list lets everybody pass at the gateway and is refused here: \
                           list the users, or leave the key out to let anyone pass whom a trusted \
                           proxy names";
const USER: &str = "no request can carry this name: printable ASCII, 1 to 320 bytes, no comma";
const SCOPES: &str = "Not from openclaw.json: without ceilings the gateway's HTTP APIs grant every \
                      user their default scopes, operator.admin included.";
const ALLOW_LOOPBACK: &str = "at the gateway it lets Portcullis in; here it would let every process \
                              of this host be any user; set it only for an identity proxy on this \
                              same host";
const CLOUDFLARE: &str = "the gateway's own; name the headers that it reads in passHeaders, or \
                          Portcullis takes them out";
const IDENTITY_SCOPES: &str = "the gateway's own; what limits users here is scopeCeilings";

/// How the gateway is told that a request may pass.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Proof {
    /// A trusted proxy says so.
    TrustedProxy,
    /// A secret under this key of `gateway.auth`.
    Secret(&'static str),
    /// Nothing, or nothing that can be known.
    Other,
}

/// `trustedProxies` and everything below `auth`. `may_hide`: whether further keys
/// of the gateway's may stand in other files.
pub(super) fn import(gateway: &mut Object, may_hide: bool, page: &mut Page, out: &mut LeftOuts) {
    let mut auth = gateway.object("auth", out);
    let mut proxy = auth.object("trustedProxy", out);
    let may_hide = may_hide || auth.includes() || proxy.includes();

    let proof = proof(&mut auth, out);
    let credential = credential(&mut auth, proof, out);
    let mut mode = Section::new(["gateway", "auth"]);
    if proof != Proof::TrustedProxy {
        mode.note(MODE_OTHER);
    }
    if let Proof::Secret(_) = proof {
        mode.note(MODE_SHARED_SECRET);
    }
    mode.set("mode", "trusted-proxy");

    page.add(credential);
    page.add(trusted_proxies(gateway, out));
    page.add(mode);
    page.add(trusted_proxy(&mut proxy, may_hide, out));
    page.add(scopes());
    proxy.leave_rest(&[("cloudflareAccessOidc", CLOUDFLARE)], out);
    auth.leave_rest(&[("identityScopes", IDENTITY_SCOPES)], out);
}

fn trusted_proxies(gateway: &mut Object, out: &mut LeftOuts) -> Section {
    let mut section = Section::required(["gateway"]);
    section.note(PROXIES);
    let mut nets = Vec::new();
    for (place, net) in gateway.texts("trustedProxies", out).unwrap_or_default() {
        match net {
            Some(net) if TrustedNets::parse([&net]).is_ok() => nets.push(net),
            Some(_) => out.add(&place, NET),
            None => {}
        }
    }
    if nets.is_empty() {
        section.example("trustedProxies = [\"10.0.0.5\"]");
        return section;
    }
    section.note(if nets.iter().all(|net| is_loopback(net)) {
        PROXIES_LOOPBACK
    } else {
        PROXIES_MOVED
    });
    section.set("trustedProxies", nets);
    section
}

fn is_loopback(net: &str) -> bool {
    let address = net.split('/').next().unwrap_or(net).parse::<IpAddr>();
    address.is_ok_and(|address| address.to_canonical().is_loopback())
}

/// As the gateway settles its mode: where none is set, by the secret that is.
fn proof(auth: &mut Object, out: &mut LeftOuts) -> Proof {
    let is_named = auth.has("mode");
    let mode = auth.text("mode", out);
    match mode.as_deref() {
        Some("trusted-proxy") => Proof::TrustedProxy,
        Some("token") => Proof::Secret("token"),
        Some("password") => Proof::Secret("password"),
        Some("none") => Proof::Other,
        Some(_) => {
            out.add(&auth.at("mode"), MODE);
            Proof::Other
        }
        None if is_named => Proof::Other,
        None => match (auth.has("token"), auth.has("password")) {
            (true, false) => Proof::Secret("token"),
            (false, true) => Proof::Secret("password"),
            _ => Proof::Other,
        },
    }
}

/// The gateway's secret, if it asks for one: only ever as a reference.
fn credential(auth: &mut Object, proof: Proof, out: &mut LeftOuts) -> Section {
    let mut section = Section::new(["upstream", "credential"]);
    let mut shown = None;
    for key in ["token", "password"] {
        let Some(secret) = auth.take(key) else {
            continue;
        };
        match reference::read(&secret) {
            Ok(reference) if proof == Proof::Secret(key) => shown = Some(reference),
            Ok(_) => out.add(&auth.at(key), SECRET_BESIDE),
            Err(reason) => out.add(&auth.at(key), reason),
        }
    }
    match (shown, proof) {
        (Some(reference), _) => {
            section.note(CREDENTIAL);
            section.set("header", "authorization");
            section.set("value", reference);
        }
        (None, Proof::Secret(key)) => {
            section.note(CREDENTIAL_MISSING);
            section.example("header = \"authorization\"");
            section.example(match key {
                "password" => "value = \"$OPENCLAW_GATEWAY_PASSWORD\"",
                _ => "value = \"$OPENCLAW_GATEWAY_TOKEN\"",
            });
        }
        (None, Proof::TrustedProxy | Proof::Other) => {}
    }
    section
}

fn trusted_proxy(proxy: &mut Object, may_hide: bool, out: &mut LeftOuts) -> Section {
    let mut section = Section::required(["gateway", "auth", "trustedProxy"]);
    if may_hide {
        section.note(HIDDEN);
    }
    section.note(USER_HEADER);
    let header = proxy.text("userHeader", out);
    match header {
        Some(name) if FieldName::parse_identity(&name).is_ok() => section.set("userHeader", name),
        other => {
            if other.is_some() {
                out.add(&proxy.at("userHeader"), USER_HEADER_UNUSABLE);
            }
            section.example("userHeader = \"x-forwarded-user\"");
        }
    }
    if let Some(items) = proxy.texts("requiredHeaders", out) {
        if items.iter().any(|(_, name)| name.is_none()) {
            section.note(REQUIRED_UNREADABLE);
        }
        let names: Vec<String> = items
            .into_iter()
            .map(|(_, name)| name.unwrap_or_default())
            .collect();
        section.set("requiredHeaders", names);
    }
    allow_users(proxy, may_hide, &mut section, out);
    if proxy.is_false("allowLoopback") {
        proxy.take("allowLoopback");
        section.set("allowLoopback", false);
    } else if proxy.take("allowLoopback").is_some() {
        out.add(&proxy.at("allowLoopback"), ALLOW_LOOPBACK);
    }
    section
}

/// An empty list is refused by the reader: it stands wherever there was, or may
/// be, a list that nobody could read.
fn allow_users(proxy: &mut Object, may_hide: bool, section: &mut Section, out: &mut LeftOuts) {
    const KEY: &str = "allowUsers";
    let items = proxy.texts(KEY, out);
    let is_list = items.as_ref().is_some_and(|items| !items.is_empty());
    if items.is_some() && !is_list {
        out.add(&proxy.at(KEY), USERS_EMPTY);
    }
    let mut users = Vec::new();
    for (place, user) in items.unwrap_or_default() {
        match user {
            Some(user) if AllowUsers::only([&user]).is_ok() => users.push(user),
            Some(_) => out.add(&place, USER),
            None => {}
        }
    }
    if !users.is_empty() {
        section.set(KEY, users);
    } else if is_list || may_hide {
        section.note(UNREADABLE);
        section.set(KEY, Value::Array(Vec::new()));
    } else {
        section.note(EVERYBODY);
        section.example("allowUsers = [\"nick@example.com\"]");
    }
}

fn scopes() -> Section {
    let mut section = Section::new(["gateway", "auth", "trustedProxy", "scopeCeilings"]);
    section.note(SCOPES);
    section.example("\"*\" = [\"operator.read\"]");
    section
}

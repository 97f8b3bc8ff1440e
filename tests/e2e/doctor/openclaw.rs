//! `doctor --openclaw`: a gateway's config that agrees, then one disagreement at a
//! time, which is found, and which its remedy ends.

use super::host::{Certificate, Host, Report};
use serde_json::{Value, json};
use std::fs;

const HOST: &str = "claw.example.com";

/// A deployment with the gateway's own config.
struct Both {
    host: Host,
}

impl Both {
    fn new() -> Self {
        let host = Host::new();
        let both = Self { host };
        both.write(&json!({ "gateway": {
            "mode": "local",
            "bind": "loopback",
            "port": both.host.port,
            "trustedProxies": ["127.0.0.1"],
            "auth": { "mode": "trusted-proxy", "trustedProxy": {
                "userHeader": "x-forwarded-user",
                "requiredHeaders": ["x-forwarded-proto", "x-forwarded-host"],
                "allowUsers": ["nick@example.com", "ada@example.com"],
                "allowLoopback": true,
            } },
            "controlUi": { "allowedOrigins": ["https://claw.example.com"] },
        } }));
        both
    }

    fn write(&self, openclaw: &Value) {
        self.host
            .write("openclaw.json", &openclaw.to_string(), 0o600);
    }

    /// Sets a key of the gateway's config; null takes it away.
    fn set(&self, key: &str, value: &Value) {
        let text = fs::read_to_string(self.host.path("openclaw.json")).unwrap();
        let mut openclaw: Value = serde_json::from_str(&text).unwrap();
        let (parent, name) = key.rsplit_once('.').unwrap_or(("", key));
        let parent = parent.split('.').filter(|it| !it.is_empty());
        let parent = parent.fold(&mut openclaw, |value, name| &mut value[name]);
        match value {
            Value::Null => drop(parent.as_object_mut().unwrap().remove(name)),
            value => parent[name] = value.clone(),
        }
        self.write(&openclaw);
    }

    fn examine(&self) -> Report {
        let path = self.host.path("openclaw.json");
        self.host
            .examine_with(&["--openclaw", path.to_str().unwrap(), "--host", HOST])
    }

    /// The gateway's side is changed, and back by the remedy's words.
    fn disagree(
        &self,
        id: &str,
        severity: &str,
        key: &str,
        wrong: &Value,
        words: &str,
        right: &Value,
    ) {
        self.set(key, wrong);
        self.found(id, severity, words);
        self.set(key, right);
        self.cleared(id);
    }

    fn found(&self, id: &str, severity: &str, words: &str) {
        let report = self.examine();
        let found = report.of(id, severity);
        assert_eq!(found.len(), 1, "{id}: {report}");
        let remedy = &found[0].remedy;
        assert!(remedy.contains(words), "{id}: {remedy}");
        assert_eq!(
            report.code,
            i32::from(report.json["worst"] == "critical"),
            "{report}"
        );
    }

    fn cleared(&self, id: &str) {
        let report = self.examine();
        assert!(!report.has(id), "{id} after the remedy: {report}");
        assert_eq!(report.code, 0, "{report}");
    }
}

#[test]
fn two_configs_that_agree_have_no_disagreement() {
    let both = Both::new();
    let report = both.examine();
    assert_eq!(report.code, 0, "{report}");
    let is_one = |id: &str| id.starts_with("OPENCLAW_") || id == "CERTIFICATE_NAMES";
    assert!(
        report.findings().all(|finding| !is_one(&finding.id)),
        "{report}"
    );
    assert!(
        report.findings().all(|finding| finding.severity == "info"),
        "{report}"
    );
}

/// It may be two addresses, at one of which the gateway listens.
#[test]
fn localhost_is_where_the_gateway_answers() {
    let both = Both::new();
    both.host
        .edit("http://127.0.0.1:{port}", "http://localhost:{port}");
    let report = both.examine();
    assert!(
        report.findings().all(|finding| finding.severity == "info"),
        "{report}"
    );
    both.set("gateway.trustedProxies", &json!([]));
    both.found(
        "OPENCLAW_TRUSTED_PROXIES",
        "critical",
        "add \"127.0.0.1\" to",
    );
}

#[test]
fn the_mode() {
    let key = "gateway.auth.mode";
    let right = json!("trusted-proxy");
    for wrong in ["token", "password", "none"] {
        let both = Both::new();
        let words = "mode: \"trusted-proxy\"";
        both.disagree(
            "OPENCLAW_MODE",
            "critical",
            key,
            &json!(wrong),
            words,
            &right,
        );
    }
    let both = Both::new();
    both.disagree(
        "OPENCLAW_MODE",
        "critical",
        key,
        &Value::Null,
        "trusted-proxy",
        &right,
    );
}

#[test]
fn a_credential_for_a_gateway_that_asks_for_none() {
    let both = Both::new();
    let section = "[upstream.credential]\nheader = \"authorization\"\n\
                   value = \"$PORTCULLIS_TEST_DOCTOR_TOKEN\"\n[gateway]";
    both.host.edit("[gateway]", section);
    both.found(
        "OPENCLAW_CREDENTIAL",
        "warning",
        "take [upstream.credential] away",
    );
    both.host.edit(section, "[gateway]");
    both.cleared("OPENCLAW_CREDENTIAL");
    // In token mode it is needed, and yet everyone is the owner.
    both.host.edit("[gateway]", section);
    both.set("gateway.auth.mode", &json!("token"));
    both.set("gateway.auth.token", &json!("hunter2-of-the-gateway"));
    both.found("OPENCLAW_MODE", "warning", "take [upstream.credential] out");
}

#[test]
fn a_token_beside_trusted_proxy_mode() {
    let both = Both::new();
    let token = json!("hunter2-of-the-gateway");
    let words = "take gateway.auth.token out";
    let key = "gateway.auth.token";
    both.disagree(
        "OPENCLAW_SECRET_BESIDE",
        "critical",
        key,
        &token,
        words,
        &Value::Null,
    );
    let variables = json!({ "OPENCLAW_GATEWAY_TOKEN": "hunter2-of-the-gateway" });
    let words = "take OPENCLAW_GATEWAY_TOKEN";
    both.disagree(
        "OPENCLAW_SECRET_BESIDE",
        "critical",
        "env",
        &variables,
        words,
        &Value::Null,
    );
    // The gateway's own programs use it.
    both.set("gateway.auth.password", &token);
    both.cleared("OPENCLAW_SECRET_BESIDE");
}

#[test]
fn the_header_of_the_user() {
    let both = Both::new();
    let key = "gateway.auth.trustedProxy.userHeader";
    let right = json!("X-Forwarded-User");
    let words = "to \"x-forwarded-user\"";
    for wrong in [json!("x-auth-request-email"), Value::Null] {
        both.disagree(
            "OPENCLAW_USER_HEADER",
            "critical",
            key,
            &wrong,
            words,
            &right,
        );
    }
}

#[test]
fn headers_that_the_gateway_demands() {
    let both = Both::new();
    let key = "gateway.auth.trustedProxy.requiredHeaders";
    let right = json!(["X-Forwarded-Proto", "x-real-ip", "x-openclaw-scopes"]);
    let wrong = json!(["x-forwarded-proto", "X-Pomerium-Jwt-Assertion"]);
    let words = "take x-pomerium-jwt-assertion out";
    both.disagree(
        "OPENCLAW_REQUIRED_HEADERS",
        "critical",
        key,
        &wrong,
        words,
        &right,
    );
    both.set(key, &json!(["x-proxy-proof"]));
    let words = "add x-proxy-proof to gateway.auth.trustedProxy.requiredHeaders";
    both.found("OPENCLAW_REQUIRED_HEADERS", "warning", words);
    let (was, is) = (
        "[\"x-forwarded-proto\"]",
        "[\"x-forwarded-proto\", \"x-proxy-proof\"]",
    );
    both.host.edit(was, is);
    both.cleared("OPENCLAW_REQUIRED_HEADERS");
}

#[test]
fn the_users() {
    let key = "gateway.auth.trustedProxy.allowUsers";
    let right = json!(["ada@example.com", "nick@example.com"]);
    let id = "OPENCLAW_ALLOW_USERS";
    let both = Both::new();
    for (wrong, words) in [
        (
            json!(["nick@example.com"]),
            "add \"ada@example.com\" to gateway.auth",
        ),
        (
            json!(["nick@example.com", "ada@example.com", "eve@example.com"]),
            "take \"eve@example.com\" out",
        ),
        (json!([]), "to the list of Portcullis"),
        (Value::Null, "to the list of Portcullis"),
    ] {
        both.disagree(id, "warning", key, &wrong, words, &right);
    }
    let users = "allowUsers = [\"nick@example.com\", \"ada@example.com\"]";
    both.host.edit(users, "# anyone");
    both.found(id, "warning", "set allowUsers to the gateway's list");
    both.host.edit("# anyone", users);
    both.cleared(id);
}

#[test]
fn whom_the_gateway_trusts() {
    let both = Both::new();
    let (key, right) = ("gateway.trustedProxies", json!(["127.0.0.1"]));
    let id = "OPENCLAW_TRUSTED_PROXIES";
    for wrong in [json!([]), Value::Null, json!(["127.0.0.1/33"])] {
        both.disagree(id, "critical", key, &wrong, "add \"127.0.0.1\" to", &right);
    }
    let words = "to [\"127.0.0.1\"]";
    let wrong = json!(["127.0.0.1", "10.0.0.1"]);
    both.disagree(id, "warning", key, &wrong, words, &right);
    for wrong in ["0.0.0.0/0", "0.0.0.0/1"] {
        both.disagree(id, "critical", key, &json!([wrong]), words, &right);
    }
    // As the gateway reads it, too.
    both.set(key, &json!(["::ffff:127.0.0.1"]));
    both.cleared(id);
}

#[test]
fn loopback_that_the_gateway_refuses() {
    let both = Both::new();
    let key = "gateway.auth.trustedProxy.allowLoopback";
    for wrong in [json!(false), Value::Null] {
        let words = "allowLoopback to true";
        both.disagree(
            "OPENCLAW_ALLOW_LOOPBACK",
            "critical",
            key,
            &wrong,
            words,
            &json!(true),
        );
    }
}

/// A host with loopback alone has no such address.
#[test]
fn an_own_address_that_the_gateway_takes_for_a_trick() {
    let Some(address) = own_address() else {
        return;
    };
    let both = Both::new();
    let url = format!("\"http://{address}:{{port}}\"");
    both.host.edit("\"http://127.0.0.1:{port}\"", &url);
    both.host.gateway_at(Some("0.0.0.0"));
    both.set("gateway.bind", &json!("lan"));
    both.set("gateway.trustedProxies", &json!([address.to_string()]));
    let port = both.host.port;
    let words = format!("upstream.url = \"http://127.0.0.1:{port}\"");
    both.found("OPENCLAW_LOCAL_INTERFACE", "critical", &words);
    let report = both.examine();
    assert!(
        report.has("GATEWAY_EXPOSED") && report.has("OPENCLAW_BIND"),
        "{report}"
    );
    both.host.edit(&url, "\"http://127.0.0.1:{port}\"");
    both.host.gateway_at(Some("127.0.0.1"));
    both.set("gateway.bind", &json!("loopback"));
    both.set("gateway.trustedProxies", &json!(["127.0.0.1"]));
    both.cleared("OPENCLAW_LOCAL_INTERFACE");
}

/// The address from which this host would come to another one.
fn own_address() -> Option<std::net::IpAddr> {
    let socket = std::net::UdpSocket::bind("0.0.0.0:0").unwrap();
    socket.connect("203.0.113.1:9").ok()?;
    let address = socket.local_addr().unwrap().ip();
    (!address.is_loopback()).then_some(address)
}

#[test]
fn where_the_gateway_listens() {
    let both = Both::new();
    let words = "gateway.bind to \"loopback\"";
    for wrong in ["lan", "auto", "tailnet", "custom", "0.0.0.0"] {
        let right = json!("loopback");
        both.disagree(
            "OPENCLAW_BIND",
            "critical",
            "gateway.bind",
            &json!(wrong),
            words,
            &right,
        );
    }
    both.set("gateway.bind", &json!("custom"));
    both.set("gateway.customBindHost", &json!("127.0.0.1"));
    both.cleared("OPENCLAW_BIND");
    let right = json!(both.host.port);
    let words = format!("gateway.port to {right}");
    for wrong in [json!(1), Value::Null] {
        both.disagree(
            "OPENCLAW_PORT",
            "critical",
            "gateway.port",
            &wrong,
            &words,
            &right,
        );
    }
    let words = "gateway.tls.enabled to false";
    let wrong = json!({ "enabled": true });
    both.disagree(
        "OPENCLAW_TLS",
        "critical",
        "gateway.tls",
        &wrong,
        words,
        &Value::Null,
    );
    let url = "\"http://127.0.0.1:{port}\"";
    both.host.edit(url, "\"https://127.0.0.1:{port}\"");
    both.found("OPENCLAW_TLS", "critical", "write http://");
    both.host.edit("\"https://127.0.0.1:{port}\"", url);
    both.cleared("OPENCLAW_TLS");
}

#[test]
fn a_gateway_that_is_published_past_portcullis() {
    let both = Both::new();
    for (mode, severity) in [("funnel", "critical"), ("serve", "warning")] {
        let (wrong, right) = (json!({ "mode": mode }), json!({ "mode": "off" }));
        let words = "gateway.tailscale.mode to \"off\"";
        both.disagree(
            "OPENCLAW_TAILSCALE",
            severity,
            "gateway.tailscale",
            &wrong,
            words,
            &right,
        );
    }
}

#[test]
fn the_origins_of_browsers() {
    let both = Both::new();
    let id = "OPENCLAW_ALLOWED_ORIGINS";
    let key = "gateway.controlUi.allowedOrigins";
    let right = json!(["HTTPS://Claw.example.com:443"]);
    for wrong in [
        json!([]),
        Value::Null,
        json!(["https://other.example.com"]),
        json!(["http://claw.example.com"]),
        json!(["https://claw.example.com:8443"]),
    ] {
        let words = "add \"https://claw.example.com\" to";
        both.disagree(id, "warning", key, &wrong, words, &right);
    }
    both.disagree(
        id,
        "warning",
        key,
        &json!(["*"]),
        "list the origins",
        &right,
    );
    let fallback = "gateway.controlUi.dangerouslyAllowHostHeaderOriginFallback";
    both.disagree(
        id,
        "warning",
        fallback,
        &json!(true),
        "to false",
        &json!(false),
    );
    let public = "gateway.publicOrigin";
    let wrong = json!("https://public.example.com");
    both.set(public, &wrong);
    both.found(id, "warning", "add \"https://public.example.com\" to");
    both.set(
        key,
        &json!(["https://claw.example.com", "https://public.example.com"]),
    );
    both.cleared(id);
}

#[test]
fn a_certificate_for_other_hosts() {
    let both = Both::new();
    both.host.certify(&Certificate {
        names: vec!["door.internal.example.com".to_owned()],
        ..Certificate::default()
    });
    both.found("CERTIFICATE_NAMES", "info", "for claw.example.com");
    both.host.certify(&Certificate {
        names: vec!["*.example.com".to_owned()],
        ..Certificate::default()
    });
    both.cleared("CERTIFICATE_NAMES");
}

#[test]
fn the_scopes() {
    let both = Both::new();
    let id = "OPENCLAW_SCOPES";
    let identity = "gateway.auth.identityScopes";
    let wrong = json!({ "nick@example.com": ["operator.read", "operator.admin"] });
    let right = json!({ "nick@example.com": ["operator.read"] });
    both.disagree(
        id,
        "info",
        identity,
        &wrong,
        "add operator.admin to",
        &right,
    );
    let auto = "gateway.auth.trustedProxy.deviceAutoApprove";
    let wrong = json!({ "enabled": true, "scopes": ["operator.admin"] });
    both.set(auto, &wrong);
    both.cleared(id);
    let ceilings = "[gateway.auth.trustedProxy.scopeCeilings]\n\
         \"nick@example.com\" = [\"operator.read\", \"operator.write\"]\n\"*\" = [\"operator.read\"]\n";
    both.host.edit(ceilings, "");
    both.found(id, "critical", "take \"operator.admin\" out");
    both.set(
        auto,
        &json!({ "enabled": true, "scopes": ["operator.read"] }),
    );
    both.cleared(id);
}

#[test]
fn what_only_the_gateway_can_read_is_told_of() {
    let both = Both::new();
    let key = "gateway.auth.trustedProxy.userHeader";
    both.set(key, &json!("${USER_HEADER}"));
    both.found("OPENCLAW_UNREAD", "warning", "write it out there");
    assert!(!both.examine().has("OPENCLAW_USER_HEADER"));
    both.set(key, &json!("x-forwarded-user"));
    both.cleared("OPENCLAW_UNREAD");
}

#[test]
fn what_was_not_read_makes_nothing_else_right() {
    let both = Both::new();
    both.set("gateway.auth.mode", &json!("${MODE}"));
    both.set("gateway.trustedProxies", &json!(["0.0.0.0/0", "${PROXY}"]));
    let report = both.examine();
    assert_eq!(report.of("OPENCLAW_UNREAD", "warning").len(), 2, "{report}");
    assert_eq!(
        report.of("OPENCLAW_TRUSTED_PROXIES", "critical").len(),
        1,
        "{report}"
    );
    assert_eq!(report.code, 1, "{report}");
}

#[test]
fn what_the_gateway_includes_counts() {
    let both = Both::new();
    both.host
        .write("proxies.json5", "['127.0.0.1', '10.0.0.9']", 0o600);
    both.set(
        "gateway.trustedProxies",
        &json!({ "$include": "./proxies.json5" }),
    );
    both.found("OPENCLAW_TRUSTED_PROXIES", "warning", "[\"127.0.0.1\"]");
    both.host
        .write("proxies.json5", "['127.0.0.1'] // Portcullis", 0o600);
    both.cleared("OPENCLAW_TRUSTED_PROXIES");
}

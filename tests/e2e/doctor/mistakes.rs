//! One mistake at a time: found by its code, and gone once its remedy is applied.

use super::host::{Certificate, Finding, Host, Order};
use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::process::{Command, Stdio};
use time::Duration;

/// Plants a mistake, sees it found, applies the remedy and sees it gone.
fn mended(id: &str, severity: &str, plant: impl FnOnce(&Host), mend: impl FnOnce(&Host, &Finding)) {
    let host = Host::new();
    assert!(
        host.examine().of(id, severity).is_empty(),
        "{id} without the mistake"
    );
    plant(&host);
    let report = host.examine();
    let found = report.of(id, severity);
    assert_eq!(found.len(), 1, "{id} {severity}: {report}");
    assert_eq!(
        report.code,
        i32::from(report.json["worst"] == "critical"),
        "{report}"
    );
    if severity == "critical" {
        assert_eq!(report.code, 1, "{report}");
    }
    mend(&host, &found[0]);
    let report = host.examine();
    assert!(
        report.of(id, severity).is_empty(),
        "{id} after the remedy: {report}"
    );
    assert_eq!(report.code, 0, "{report}");
}

/// The same for an edit of the config, with one that the remedy's words ask for.
fn edited(id: &str, severity: &str, from: &str, to: &str, words: &str, mended_to: &str) {
    mended(
        id,
        severity,
        |host| host.edit(from, to),
        |host, finding| {
            let remedy = &finding.remedy;
            assert!(remedy.contains(words), "{id}: {remedy}");
            host.edit(to, mended_to);
        },
    );
}

const NAMES: &str = "clientCertNames = [\"proxy.example.com\"]\n";
const AUTHORITY: &str = "clientCaPath = \"{folder}/ca.pem\"\n";

fn without_client_certificates(host: &Host) {
    host.edit(NAMES, "");
    host.edit(AUTHORITY, "");
}

const PROXIES: &str = "trustedProxies = [\"10.0.0.1\"]";
const TLS: &str = "[gateway.tls]\ncertPath = \"{folder}/chain.pem\"\nkeyPath = \"{folder}/key.pem\"\n\
                   clientCaPath = \"{folder}/ca.pem\"\n";
const USERS: &str = "allowUsers = [\"nick@example.com\", \"ada@example.com\"]";
const EXEC_TOKEN: &str = "token = { source = \"exec\", provider = \"vault\", id = \"a\" }";
const CEILINGS: &str = "[gateway.auth.trustedProxy.scopeCeilings]\n\
     \"nick@example.com\" = [\"operator.read\", \"operator.write\"]\n\"*\" = [\"operator.read\"]\n";

#[test]
fn a_gateway_that_listens_for_other_hosts() {
    mended(
        "GATEWAY_EXPOSED",
        "critical",
        |host| host.gateway_at(Some("0.0.0.0")),
        |host, finding| {
            let remedy = &finding.remedy;
            assert!(remedy.contains("gateway.bind to \"loopback\""), "{remedy}");
            host.gateway_at(Some("127.0.0.1"));
        },
    );
}

#[test]
fn a_gateway_that_does_not_answer() {
    mended(
        "GATEWAY_UNREACHABLE",
        "warning",
        |host| host.gateway_at(None),
        |host, finding| {
            assert!(finding.remedy.starts_with("start the gateway"));
            host.gateway_at(Some("127.0.0.1"));
        },
    );
}

#[test]
fn a_gateway_on_another_host_over_plain_http() {
    let host = Host::new();
    let url = "url = \"http://127.0.0.1:{port}\"";
    // RFC 6761: a name that is nobody's.
    host.edit(url, "url = \"http://gateway.invalid:1\"");
    let report = host.examine();
    assert_eq!(
        report.of("UPSTREAM_PLAIN_HTTP", "warning").len(),
        1,
        "{report}"
    );
    let remedy = &report.of("UPSTREAM_PLAIN_HTTP", "warning")[0].remedy;
    assert!(remedy.contains("https://"), "{remedy}");
    host.edit(
        "\"http://gateway.invalid:1\"",
        "\"https://gateway.invalid:1\"",
    );
    let report = host.examine();
    assert!(!report.has("UPSTREAM_PLAIN_HTTP"), "{report}");
    assert!(report.has("GATEWAY_UNREACHABLE"), "{report}");
}

#[test]
fn proxies_that_could_be_anybody() {
    for (nets, severity) in [
        ("\"0.0.0.0/0\"", "critical"),
        ("\"8.0.0.0/8\"", "critical"),
        ("\"10.0.0.0/8\"", "warning"),
        ("\"10.0.0.1\", \"fd00::/8\"", "warning"),
    ] {
        let wide = format!("trustedProxies = [{nets}]");
        let narrow = "trustedProxies = [\"10.0.0.5\"]";
        edited(
            "TRUSTED_PROXIES_WIDE",
            severity,
            PROXIES,
            &wide,
            "\"10.0.0.5\"",
            narrow,
        );
    }
    let listen = "address = \"10.0.0.2:8443\"";
    let wide = "address = \"10.0.0.2:8443\"\nproxyProtocolFrom = [\"0.0.0.0/0\"]";
    let narrow = "address = \"10.0.0.2:8443\"\nproxyProtocolFrom = [\"10.0.0.5\"]";
    edited(
        "PROXY_PROTOCOL_WIDE",
        "critical",
        listen,
        wide,
        "\"10.0.0.5\"",
        narrow,
    );
}

#[test]
fn a_host_whose_every_process_may_name_users() {
    let header = "userHeader = \"x-forwarded-user\"";
    mended(
        "LOOPBACK_TRUSTED",
        "warning",
        |host| {
            host.edit(PROXIES, "trustedProxies = [\"127.0.0.1\"]");
            host.edit(
                header,
                "userHeader = \"x-forwarded-user\"\nallowLoopback = true",
            );
            without_client_certificates(host);
        },
        |host, finding| {
            let remedy = &finding.remedy;
            for words in [
                "unix:/run/portcullis/front.sock",
                "listen.unixPeerUids",
                "to false",
            ] {
                assert!(remedy.contains(words), "{remedy}");
            }
            host.edit(
                "address = \"10.0.0.2:8443\"",
                "address = \"unix:/run/portcullis/front.sock\"\nunixPeerUids = [33]",
            );
            host.edit("allowLoopback = true", "allowLoopback = false");
        },
    );
    let (on, off) = ("allowLocalInterface = true", "allowLocalInterface = false");
    mended(
        "LOCAL_INTERFACE_TRUSTED",
        "warning",
        |host| {
            host.edit(header, &format!("{header}\n{on}"));
            without_client_certificates(host);
        },
        |host, finding| {
            assert!(finding.remedy.starts_with("set this to false"));
            host.edit(on, off);
        },
    );
    // Whoever must show a certificate is not any process.
    let host = Host::new();
    host.edit(header, &format!("{header}\n{on}"));
    let report = host.examine();
    assert_eq!(
        report.of("LOCAL_INTERFACE_TRUSTED", "info").len(),
        1,
        "{report}"
    );
}

#[test]
fn a_socket_at_which_the_gateways_own_user_may_name_users() {
    let own = nix::unistd::geteuid();
    edited(
        "UNIX_PEERS_TRUSTED",
        "warning",
        "address = \"10.0.0.2:8443\"",
        &format!("address = \"unix:{{folder}}/f.sock\"\nunixPeerUids = [{own}]"),
        "run the identity proxy as a user of its own",
        "address = \"unix:{folder}/f.sock\"\nunixPeerUids = [4711]",
    );
    let host = Host::new();
    host.edit(
        "address = \"10.0.0.2:8443\"",
        &format!("address = \"unix:{{folder}}/f.sock\"\nunixPeerUids = [{own}]"),
    );
    let report = host.examine();
    let found = &report.of("UNIX_PEERS_TRUSTED", "warning")[0];
    let words = format!("user {own} is listed, as whom the gateway runs");
    assert!(found.evidence.starts_with(&words), "{report}");
}

#[test]
fn users_whom_nobody_listed() {
    let listed = "allowUsers = [\"nick@example.com\"]";
    edited(
        "ALLOW_USERS_ABSENT",
        "warning",
        USERS,
        "# anyone",
        listed,
        listed,
    );
    mended(
        "ALLOW_USERS_UNREADABLE",
        "critical",
        |host| host.edit(USERS, "allowUsersFile = \"{folder}/users\""),
        |host, finding| {
            let path = host.path("users").display().to_string();
            let words = format!("write one user a line into {path}");
            assert!(finding.remedy.starts_with(&words), "{}", finding.remedy);
            host.write("users", "nick@example.com\n", 0o644);
        },
    );
}

#[test]
fn rules_that_others_may_change() {
    mended(
        "FILE_MODE_BROAD",
        "critical",
        |host| {
            host.write("users", "nick@example.com\n", 0o666);
            host.edit(USERS, "allowUsersFile = \"{folder}/users\"");
        },
        |host, finding| host.obey(&finding.remedy),
    );
    // Who writes these decides whose keys are believed, or who gets the models' keys.
    for section in [
        "[gateway.auth.trustedProxy.assertion]\npreset = \"oidc\"\nheader = \"x-signed\"\n\
         issuer = \"https://idp.example.com\"\naudience = [\"portcullis\"]\n\
         keysUrl = \"https://idp.example.com/keys\"\n",
        "[models.providers.local]\nbaseUrl = \"https://models.example.com\"\n\
         enabled = false\n",
    ] {
        let key = section.lines().next().unwrap().trim_matches(['[', ']']);
        mended(
            "FILE_MODE_BROAD",
            "critical",
            |host| {
                let authority = fs::read_to_string(host.path("ca.pem")).unwrap();
                host.write("others.pem", &authority, 0o666);
                let with_file = format!("{section}caFile = \"{{folder}}/others.pem\"\n");
                host.edit("[admin]", &format!("{with_file}[admin]"));
            },
            |host, finding| {
                assert_eq!(finding.place["key"], format!("{key}.caFile"));
                host.obey(&finding.remedy);
            },
        );
    }
    for name in ["key.pem", "ca.pem", "portcullis.toml"] {
        mended(
            "FILE_MODE_BROAD",
            "critical",
            |host| {
                let mode = fs::Permissions::from_mode(0o666);
                fs::set_permissions(host.path(name), mode).unwrap();
            },
            |host, finding| host.obey(&finding.remedy),
        );
    }
}

/// The helper process takes no command from a file that others may put there.
#[test]
fn a_folder_in_which_others_may_put_a_config_that_names_commands() {
    const COMMAND: &str = "[secrets.providers.vault]\nsource = \"exec\"\n\
                           command = \"/usr/bin/env\"\n[admin]";
    let open = |host: &Host, mode: u32| {
        let mode = fs::Permissions::from_mode(mode);
        fs::set_permissions(host.path(""), mode).unwrap();
    };
    mended(
        "FILE_MODE_BROAD",
        "critical",
        |host| {
            open(host, 0o777);
            assert_eq!(host.check(&[]), (0, String::new()));
            host.edit("[admin]", COMMAND);
            let (code, told) = host.check(&[]);
            assert_eq!(code, 0, "{told}");
            let key = "warning: secrets.providers.vault.command: ";
            assert!(told.starts_with(key) && told.contains("0777"), "{told}");
            // What `run` asks for, and would not get.
            host.edit("token = \"$PORTCULLIS_TEST_DOCTOR_TOKEN\"", EXEC_TOKEN);
            let (code, told) = host.check(&["--resolve"]);
            assert_eq!(code, 2, "{told}");
            assert!(told.contains("which others may change"), "{told}");
            host.edit(EXEC_TOKEN, "token = \"$PORTCULLIS_TEST_DOCTOR_TOKEN\"");
        },
        |host, finding| {
            assert!(finding.evidence.contains("a folder above the config"));
            host.obey(&finding.remedy);
            assert_eq!(host.check(&[]), (0, String::new()));
        },
    );
}

#[test]
fn scopes_that_nothing_limits() {
    edited(
        "SCOPE_CEILINGS_ABSENT",
        "warning",
        CEILINGS,
        "# none\n",
        "\"*\" = [\"operator.read\"]",
        CEILINGS,
    );
    mended(
        "SCOPES_PASSED",
        "warning",
        |host| host.edit(CEILINGS, "passScopes = true\n"),
        |host, finding| {
            assert!(finding.remedy.starts_with("take passScopes away and add"));
            host.edit("passScopes = true\n", CEILINGS);
        },
    );
}

#[test]
fn plain_http_beyond_the_host() {
    for (address, severity) in [
        ("203.0.113.9:8080", "critical"),
        ("10.0.0.2:8080", "warning"),
    ] {
        mended(
            "TLS_OFF",
            severity,
            |host| {
                host.edit(NAMES, "");
                host.edit(TLS, "");
                host.edit("\"10.0.0.2:8443\"", &format!("\"{address}\""));
            },
            |host, finding| {
                let remedy = &finding.remedy;
                assert!(
                    remedy.contains("gateway.tls.certPath and gateway.tls.keyPath"),
                    "{remedy}"
                );
                host.edit("[admin]", &format!("{TLS}[admin]"));
            },
        );
    }
    let host = Host::new();
    host.edit(NAMES, "");
    host.edit(TLS, "");
    host.edit("\"10.0.0.2:8443\"", "\"127.0.0.1:8080\"");
    assert!(!host.examine().has("TLS_OFF"));
}

#[test]
fn browsers_that_forget_https() {
    for value in ["false", "\"max-age=300\"", "\"max-age=15551999\""] {
        let section =
            format!("[gateway.http.securityHeaders]\nstrictTransportSecurity = {value}\n[admin]");
        edited(
            "HSTS_WEAK",
            "warning",
            "[admin]",
            &section,
            "take the key away",
            "[admin]",
        );
    }
}

#[test]
fn certificates_that_clients_refuse() {
    let good = Certificate::default;
    for (id, severity, wanted, words) in [
        (
            "CERTIFICATE_EXPIRED",
            "critical",
            Certificate {
                ends: Duration::hours(-1),
                ..good()
            },
            "renewed",
        ),
        (
            "CERTIFICATE_EXPIRING",
            "warning",
            Certificate {
                ends: Duration::days(13),
                ..good()
            },
            "renewed",
        ),
        (
            "CERTIFICATE_NOT_YET_VALID",
            "critical",
            Certificate {
                begins: Duration::hours(1),
                ..good()
            },
            "clock",
        ),
        (
            "CERTIFICATE_NAMES",
            "warning",
            Certificate {
                names: Vec::new(),
                ..good()
            },
            "subjectAltName",
        ),
        (
            "CERTIFICATE_SELF_SIGNED",
            "warning",
            Certificate {
                order: Order::SelfSigned,
                ..good()
            },
            "issued by an authority",
        ),
        (
            "CERTIFICATE_CHAIN",
            "warning",
            Certificate {
                order: Order::LeafTwice,
                ..good()
            },
            "order the file",
        ),
    ] {
        mended(
            id,
            severity,
            |host| host.certify(&wanted),
            |host, finding| {
                assert!(finding.remedy.contains(words), "{id}: {}", finding.remedy);
                assert_eq!(finding.place["key"], "gateway.tls.certPath");
                host.certify(&good());
            },
        );
    }
}

#[test]
fn a_certificate_signed_with_sha_1() {
    let sign = |host: &Host, digest: &str| {
        let folder = host.path("").display().to_string();
        let script = format!(
            "cd {folder} && openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes \
             -keyout root.key -out root.pem -subj /CN=root -days 90 -sha256 2>&1 && \
             openssl req -new -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -keyout key.pem \
             -out leaf.csr -subj /CN=leaf -addext subjectAltName=DNS:claw.example.com 2>&1 && \
             openssl x509 -req -in leaf.csr -CA root.pem -CAkey root.key -{digest} -days 60 \
             -copy_extensions copy -out chain.pem 2>&1"
        );
        let output = Command::new("sh").args(["-c", &script]).output().unwrap();
        assert!(
            output.status.success(),
            "{}",
            String::from_utf8_lossy(&output.stdout)
        );
    };
    mended(
        "CERTIFICATE_WEAK",
        "critical",
        |host| sign(host, "sha1"),
        |host, finding| {
            assert!(
                finding.remedy.contains("SHA-256 signature"),
                "{}",
                finding.remedy
            );
            sign(host, "sha256");
        },
    );
}

#[test]
fn a_key_of_another_certificate() {
    mended(
        "START_REFUSED",
        "critical",
        |host| {
            let chain = fs::read(host.path("chain.pem")).unwrap();
            host.certify(&Certificate::default());
            fs::write(host.path("chain.pem"), chain).unwrap();
        },
        |host, finding| {
            assert_eq!(finding.place["key"], "gateway.tls");
            host.certify(&Certificate::default());
        },
    );
}

#[test]
fn listeners_for_other_hosts() {
    let admin = "address = \"127.0.0.1:0\"";
    let public = "address = \"10.0.0.2:9180\"";
    let local = "address = \"127.0.0.1:9180\"";
    edited("ADMIN_EXPOSED", "warning", admin, public, local, local);
    let probe = "address = \"127.0.0.1:0\"\nprobeAddress = \"203.0.113.9:9181\"";
    let inside = "address = \"127.0.0.1:0\"\nprobeAddress = \"10.0.0.2:9181\"";
    edited(
        "PROBE_EXPOSED",
        "warning",
        admin,
        probe,
        "listen at the address",
        inside,
    );
    let token = "token = \"$PORTCULLIS_TEST_DOCTOR_TOKEN\"\n[limits]";
    let none = "[limits]";
    edited(
        "ADMIN_TOKEN_ABSENT",
        "info",
        token,
        none,
        "into the service's environment as PORTCULLIS_ADMIN_TOKEN",
        token,
    );
    let models = |address: &str| {
        format!(
            "[models]\nlisten = \"{address}\"\nclientToken = \"$PORTCULLIS_TEST_DOCTOR_TOKEN\"\n[log]"
        )
    };
    let (open, closed) = (models("10.0.0.2:8790"), models("127.0.0.1:8790"));
    edited(
        "BACK_DOOR_EXPOSED",
        "warning",
        "[log]",
        &open,
        "127.0.0.1:8790",
        &closed,
    );
    let open = "[models]\nlisten = \"127.0.0.1:8790\"\n[log]";
    edited(
        "BACK_DOOR_TOKEN_ABSENT",
        "info",
        "[log]",
        open,
        "into the service's environment as PORTCULLIS_CLIENT_TOKEN",
        &closed,
    );
}

#[test]
fn a_service_of_roots() {
    let unit = "[Service]\nExecStart=/usr/local/bin/portcullis run\n";
    mended(
        "RUNS_AS_ROOT",
        "warning",
        |host| host.write("units/portcullis.service", unit, 0o644),
        |host, finding| {
            let remedy = &finding.remedy;
            assert!(
                remedy.contains("`DynamicUser=yes` and `User=portcullis`"),
                "{remedy}"
            );
            let unit = format!("{unit}DynamicUser=yes\nUser=portcullis\n");
            host.write("units/portcullis.service", &unit, 0o644);
        },
    );
}

#[test]
fn a_service_that_may_open_few_files() {
    let unit = |limit: &str| {
        format!(
            "[Service]\nExecStart=/usr/local/bin/portcullis run\nDynamicUser=yes\nLimitNOFILE={limit}\n"
        )
    };
    mended(
        "OPEN_FILES_FEW",
        "warning",
        |host| host.write("units/portcullis.service", &unit("1024"), 0o644),
        |host, finding| {
            let (_, rest) = finding.remedy.split_once("LimitNOFILE=").unwrap();
            let (limit, _) = rest.split_once('`').unwrap();
            host.write("units/portcullis.service", &unit(limit), 0o644);
        },
    );
}

/// A stand-in by the program's name, since Portcullis turns core files off for itself.
#[test]
fn a_process_that_may_leave_a_core_file() {
    let host = Host::new();
    let program = host.path("portcullis");
    fs::write(&program, "#!/bin/sh\nread line\n").unwrap();
    fs::set_permissions(&program, fs::Permissions::from_mode(0o755)).unwrap();
    for (limit, findings) in [("unlimited", 1), ("0", 0)] {
        let command = format!(
            "ulimit -S -c {limit} && exec {} run --config {}",
            program.display(),
            host.path("portcullis.toml").display()
        );
        let mut child = Command::new("sh")
            .args(["-c", &command])
            .stdin(Stdio::piped())
            .spawn()
            .unwrap();
        let name = format!("/proc/{}/comm", child.id());
        let deadline = std::time::Instant::now() + crate::sidecar::PATIENCE;
        while fs::read_to_string(&name).unwrap() != "portcullis\n" {
            assert!(std::time::Instant::now() < deadline, "it does not start");
            std::thread::yield_now();
        }
        let report = host.examine();
        let found = report.of("CORE_DUMPS_ON", "warning");
        assert_eq!(found.len(), findings, "{report}");
        for finding in found {
            assert!(
                finding.remedy.contains("`ulimit -c 0`"),
                "{}",
                finding.remedy
            );
        }
        drop(child.stdin.take());
        child.wait().unwrap();
    }
}

#[test]
fn routes_that_need_no_user() {
    let route = |sources: &str| {
        format!(
            "[[gateway.publicRoutes]]\npath = \"/hooks/\"\nmethods = [\"POST\"]\n{sources}\n[admin]"
        )
    };
    let narrow = route("sources = [\"10.0.0.5\"]");
    for wide in ["sources = [\"0.0.0.0/0\"]", "sources = [\"10.0.0.0/8\"]"] {
        edited(
            "PUBLIC_ROUTE",
            "warning",
            "[admin]",
            &route(wide),
            "\"10.0.0.5\"",
            &narrow,
        );
    }
    edited(
        "PUBLIC_ROUTE",
        "info",
        "[admin]",
        &route(""),
        "take it away",
        "[admin]",
    );
}

#[test]
fn requests_that_prove_and_leave_little() {
    let (on, off) = ("access = true", "access = false");
    edited(
        "ACCESS_LOG_OFF",
        "warning",
        on,
        off,
        "log.access = true",
        on,
    );
    let (on, off) = (
        "requestsPerSecondPerUser = 50",
        "requestsPerSecondPerUser = 0",
    );
    edited(
        "RATE_LIMIT_OFF",
        "info",
        on,
        off,
        "requestsPerSecondPerUser",
        on,
    );
    let on = "requiredHeaders = [\"x-forwarded-proto\", \"x-forwarded-host\"]";
    let was = "requiredHeaders = [\"x-forwarded-proto\"]";
    edited(
        "REQUIRED_HEADERS_ABSENT",
        "info",
        was,
        "requiredHeaders = []",
        on,
        on,
    );
    mended(
        "CLIENT_CERT_NAMES_ABSENT",
        "info",
        |host| host.edit(NAMES, ""),
        |host, finding| {
            assert!(
                finding
                    .remedy
                    .starts_with("set gateway.auth.trustedProxy.clientCertNames")
            );
            host.edit("requiredHeaders", &format!("{NAMES}requiredHeaders"));
        },
    );
    mended(
        "CLIENT_CERTIFICATES_ABSENT",
        "info",
        without_client_certificates,
        |host, finding| {
            assert!(finding.remedy.contains("set gateway.tls.clientCaPath"));
            host.edit("[admin]", &format!("{AUTHORITY}[admin]"));
        },
    );
}

#[test]
fn secrets_in_the_open_and_secrets_that_are_missing() {
    let variable = "\"$PORTCULLIS_TEST_DOCTOR_TOKEN\"";
    let plain = "\"not-so-secret-0123456789abcdef\"";
    edited(
        "PLAINTEXT_FOUND",
        "warning",
        variable,
        plain,
        "write \"$NAME\"",
        variable,
    );
    let unset = "\"$PORTCULLIS_TEST_DOCTOR_UNSET\"";
    edited(
        "REF_UNRESOLVED",
        "critical",
        variable,
        unset,
        "PORTCULLIS_TEST_DOCTOR_UNSET",
        variable,
    );
    let models = |key: &str| {
        format!(
            "[models]\nlisten = \"127.0.0.1:8790\"\n[models.providers.anthropic]\nenabled = true\n{key}[log]"
        )
    };
    let key = models("apiKey = \"$PORTCULLIS_TEST_DOCTOR_TOKEN\"\n");
    edited(
        "MODEL_CREDENTIAL_MISSING",
        "critical",
        "[log]",
        &models(""),
        "apiKey",
        &key,
    );
}

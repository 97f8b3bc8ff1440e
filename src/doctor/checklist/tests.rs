use super::*;
use crate::doctor::deployment::{Answer, Certificate, Gateway, Key, ServiceProcess, Target};
use crate::doctor::key_lines::KeyLines;
use crate::doctor::look::Look;
use crate::doctor::unit_file::UnitFile;
use crate::doctor::units::{Fragment, Units};
use crate::doctor::{FileFacts, FindingId, Holder, ListeningSocket};
use crate::policy::AllowUsers;
use FindingId as Id;
use Severity::{Critical, Info, Warning};

const NOW: i64 = 1_790_000_000;
const DAY: i64 = 86_400;
const ME: u32 = 1000;
const OWN: &str = "192.168.1.5";

/// A config in which nothing is to be found, its `[listen]` and `[upstream]` apart.
pub(in crate::doctor) fn config(listen: &str, url: &str, rest: &str) -> Config {
    let text = format!(
        "[listen]\naddress = \"{listen}\"\n{}[upstream]\nurl = \"{url}\"\n\
         [gateway]\ntrustedProxies = [\"10.0.0.1\"]\n[gateway.auth]\nmode = \"trusted-proxy\"\n\
         [gateway.auth.trustedProxy]\nuserHeader = \"x-forwarded-user\"\n\
         requiredHeaders = [\"x-forwarded-proto\"]\nallowUsers = [\"nick@example.com\"]\n\
         [gateway.auth.trustedProxy.scopeCeilings]\n\"*\" = [\"operator.read\"]\n\
         [admin]\ntoken = \"$T\"\n[limits]\nrequestsPerSecondPerUser = 50\n{rest}",
        match listen.starts_with("unix:") {
            true => "unixPeerUids = [33]\n",
            false => "",
        }
    );
    crate::config::parse(&text).unwrap().config
}

fn plain(url: &str) -> Config {
    config("127.0.0.1:8443", url, "")
}

pub(in crate::doctor) fn facts() -> Facts {
    Facts {
        user: ME,
        user_name: None,
        holder: Holder::Onlooker(ME),
        config_path: "/etc/p.toml".into(),
        config_file: Look::Missing,
        key_lines: KeyLines::default(),
        guarded: Vec::new(),
        units: Units::default(),
    }
}

pub(in crate::doctor) fn deployment() -> Deployment {
    Deployment {
        now: NOW,
        addresses: Look::Seen(vec![socket("192.168.1.5:0"), socket("[fd00::5]:0")]),
        listening: Look::Seen(Vec::new()),
        gateway: to("127.0.0.1:18789", Answer::Taken),
        processes: Vec::new(),
        unclear_processes: Vec::new(),
        open_files: None,
        chain: Vec::new(),
        users: Ok(AllowUsers::Any),
        sockets: Vec::new(),
        has_answered: false,
        rule_files: Vec::new(),
    }
}

fn socket(text: &str) -> SocketAddr {
    text.parse().unwrap()
}

fn of_user(address: &str, user: Option<u32>) -> ListeningSocket {
    ListeningSocket {
        address: socket(address),
        user,
    }
}

fn to(address: &str, answer: Answer) -> Gateway {
    Gateway::Tcp {
        targets: vec![Target {
            address: socket(address),
            source: Some(socket(address).ip()),
            answer,
        }],
        unresolved: None,
        past: Vec::new(),
    }
}

fn refused() -> Answer {
    Answer::Failed("connection refused".to_owned())
}

fn found(config: &Config, facts: &Facts, deployment: &Deployment) -> Vec<(Id, Severity)> {
    let findings = check_deployment(config, facts, deployment);
    let mut found: Vec<_> = findings.iter().map(|it| (it.id, it.severity)).collect();
    found.sort();
    found
}

#[test]
fn nothing_is_found_where_nothing_is_wrong() {
    let config = plain("http://127.0.0.1:18789");
    assert_eq!(found(&config, &facts(), &deployment()), []);
}

#[test]
fn the_gateways_port_is_for_portcullis_alone() {
    let url = "http://127.0.0.1:18789";
    let past = |answer: Answer| Gateway::Tcp {
        targets: vec![Target {
            address: socket("127.0.0.1:18789"),
            source: None,
            answer: Answer::Taken,
        }],
        unresolved: None,
        past: vec![(socket("192.168.1.5:18789"), answer)],
    };
    for (listening, gateway, expected) in [
        (
            &["127.0.0.1:18789", "[::1]:18789"][..],
            past(refused()),
            &[][..],
        ),
        (&["0.0.0.0:8443", "0.0.0.0:22"], past(refused()), &[]),
        (&[], past(Answer::Taken), &[(Id::GatewayExposed, Critical)]),
        (
            &["0.0.0.0:18789"],
            past(refused()),
            &[(Id::GatewayExposed, Critical)],
        ),
        (
            &["[::]:18789"],
            past(refused()),
            &[(Id::GatewayExposed, Critical)],
        ),
        (
            &["192.168.1.5:18789"],
            past(refused()),
            &[(Id::GatewayExposed, Critical)],
        ),
    ] {
        let deployment = Deployment {
            listening: Look::Seen(listening.iter().map(|it| of_user(it, None)).collect()),
            gateway,
            ..deployment()
        };
        let found = found(&plain(url), &facts(), &deployment);
        assert_eq!(found, expected, "{listening:?}");
    }
    // The same port at another address may be Portcullis' own.
    let beside = config("192.168.1.5:18789", url, "[gateway.tls]\nenabled = false\n");
    let deployment = Deployment {
        listening: Look::Seen(vec![of_user("192.168.1.5:18789", None)]),
        ..deployment()
    };
    let found = found(&beside, &facts(), &deployment);
    assert!(
        found.iter().all(|(id, _)| *id != Id::GatewayExposed),
        "{found:?}"
    );
}

/// `[listen]` of the fixture lists user 33.
#[test]
fn the_gateways_agents_name_nobody_at_the_socket() {
    let at_socket = |url: &str, uids: &str, rest: &str| {
        let text = config("unix:/run/p/f.sock", url, rest);
        let listed = uids.split(',').map(|uid| uid.parse().unwrap()).collect();
        let mut config = text;
        config.listen.unix_peer_uids = listed;
        config
    };
    let url = "http://127.0.0.1:18789";
    let assertion = "[gateway.auth.trustedProxy.assertion]\npreset = \"oidc\"\n\
         header = \"x-signed\"\nissuer = \"https://i.example.com\"\naudience = [\"p\"]\n\
         keysUrl = \"https://i.example.com/keys\"\n";
    let here = to("127.0.0.1:18789", Answer::Taken);
    let elsewhere = to("192.0.2.1:18789", Answer::Taken);
    let by_socket = Gateway::Unix {
        socket: Look::Seen(FileFacts {
            owner: 33,
            mode: 0o600,
        }),
        answer: Answer::Taken,
    };
    let at = "127.0.0.1:18789";
    for (uids, listening, gateway, rest, expected) in [
        ("33", (at, Some(1000)), &here, "", &[][..]),
        ("33", (at, None), &here, "", &[]),
        ("33", (at, Some(33)), &here, "", &[Warning]),
        ("7,33", ("0.0.0.0:18789", Some(33)), &here, "", &[Warning]),
        ("33", (at, Some(33)), &here, assertion, &[Info]),
        ("33", ("127.0.0.1:9", Some(33)), &here, "", &[]),
        // Who listens here at that port is not the gateway.
        ("33", ("0.0.0.0:18789", Some(33)), &elsewhere, "", &[]),
        ("33", ("127.0.0.1:9", None), &by_socket, "", &[Warning]),
        ("34", ("127.0.0.1:9", None), &by_socket, "", &[]),
        ("0", (at, Some(1000)), &here, "", &[Warning]),
        ("0", (at, Some(0)), &here, "", &[Warning]),
        ("65534", (at, Some(1000)), &here, "", &[Warning]),
        ("0,33,65534", (at, Some(33)), &here, "", &[Warning; 3]),
    ] {
        let deployment = Deployment {
            listening: Look::Seen(vec![of_user(listening.0, listening.1)]),
            gateway: gateway.clone(),
            ..deployment()
        };
        let config = at_socket(url, uids, rest);
        let found = found(&config, &facts(), &deployment);
        let of_peers = found.iter().filter(|(id, _)| *id == Id::UnixPeersTrusted);
        let severities: Vec<_> = of_peers.map(|(_, severity)| *severity).collect();
        assert_eq!(severities, expected, "{uids} {listening:?} {gateway:?}");
    }
}

#[test]
fn a_gateway_is_looked_for_where_it_is_said_to_be() {
    let here = format!("http://{OWN}:18789");
    for (url, gateway, expected) in [
        (
            "http://127.0.0.1:18789",
            to("127.0.0.1:18789", refused()),
            vec![(Id::GatewayUnreachable, Warning)],
        ),
        // An own address is reached by others, too.
        (
            here.as_str(),
            to("192.168.1.5:18789", Answer::Taken),
            vec![(Id::GatewayExposed, Critical)],
        ),
        (
            "https://10.0.0.9:18789",
            to("10.0.0.9:18789", Answer::Taken),
            vec![(Id::GatewayElsewhere, Info)],
        ),
        (
            "http://10.0.0.9:18789",
            to("10.0.0.9:18789", Answer::Taken),
            vec![
                (Id::GatewayElsewhere, Info),
                (Id::UpstreamPlainHttp, Warning),
            ],
        ),
        // A name that leads here sends nothing to another host.
        (
            "http://gateway",
            to("127.0.0.1:80", Answer::Taken),
            Vec::new(),
        ),
        (
            "http://gateway",
            Gateway::Tcp {
                targets: Vec::new(),
                unresolved: Some("no such name".to_owned()),
                past: Vec::new(),
            },
            vec![
                (Id::GatewayUnreachable, Warning),
                (Id::UpstreamPlainHttp, Warning),
            ],
        ),
    ] {
        let deployment = Deployment {
            gateway,
            ..deployment()
        };
        assert_eq!(found(&plain(url), &facts(), &deployment), expected, "{url}");
    }
}

#[test]
fn a_gateways_socket_is_for_portcullis_alone() {
    for (mode, answer, expected) in [
        (0o660, Answer::Taken, &[][..]),
        (0o666, Answer::Taken, &[(Id::GatewayExposed, Critical)]),
        (0o660, refused(), &[(Id::GatewayUnreachable, Warning)]),
    ] {
        let deployment = Deployment {
            gateway: Gateway::Unix {
                socket: Look::Seen(FileFacts { owner: ME, mode }),
                answer,
            },
            ..deployment()
        };
        let found = found(&plain("unix:/run/gateway.sock"), &facts(), &deployment);
        assert_eq!(found, expected, "{mode:o}");
    }
}

#[test]
fn plain_http_is_as_bad_as_its_network_is_large() {
    let hidden = || Look::Hidden("no".to_owned());
    let private = deployment().addresses;
    let public = Look::Seen(vec![socket("203.0.113.9:0")]);
    for (listen, addresses, severity) in [
        ("127.0.0.1:80", private.clone(), None),
        ("[::1]:80", private.clone(), None),
        ("unix:/run/front.sock", private.clone(), None),
        ("10.0.0.2:80", private.clone(), Some(Warning)),
        ("0.0.0.0:80", private.clone(), Some(Warning)),
        ("203.0.113.9:80", private.clone(), Some(Critical)),
        ("0.0.0.0:80", public.clone(), Some(Critical)),
        ("[::]:80", public, Some(Critical)),
        ("0.0.0.0:80", hidden(), Some(Critical)),
        ("10.0.0.2:80", hidden(), Some(Warning)),
    ] {
        let deployment = Deployment {
            addresses,
            ..deployment()
        };
        let config = config(listen, "http://127.0.0.1:18789", "");
        let found = found(&config, &facts(), &deployment);
        let tls = found.iter().find(|(id, _)| *id == Id::TlsOff);
        assert_eq!(tls.map(|(_, severity)| *severity), severity, "{listen}");
    }
}

#[test]
fn an_address_of_the_internet_is_told_from_a_private_one() {
    for (address, public) in [
        ("203.0.113.9", true),
        ("::ffff:203.0.113.9", true),
        ("100.128.0.1", true),
        ("2001:db8::1", true),
        ("10.1.2.3", false),
        ("172.31.0.1", false),
        ("192.168.0.1", false),
        ("169.254.1.1", false),
        ("100.64.0.1", false),
        ("127.0.0.1", false),
        ("0.0.0.0", false),
        ("224.0.0.1", false),
        ("fd00::1", false),
        ("fe80::1", false),
        ("::1", false),
        ("::", false),
    ] {
        assert_eq!(is_public(address.parse().unwrap()), public, "{address}");
    }
}

fn unit(parts: &[&str]) -> Facts {
    let fragments = parts.iter().enumerate().map(|(index, text)| Fragment {
        unit: "portcullis.service".to_owned(),
        path: format!("/etc/systemd/system/{index}").into(),
        content: UnitFile::parse(&format!("[Service]\n{text}\n")),
    });
    Facts {
        units: Units {
            fragments: fragments.collect(),
            ..Units::default()
        },
        ..facts()
    }
}

#[test]
fn a_service_is_root_where_nothing_says_otherwise() {
    for (parts, is_root) in [
        (&["ExecStart=/x"][..], true),
        (&["User=root"], true),
        (&["User=0"], true),
        (&["User="], true),
        (&["DynamicUser=no"], true),
        (&["DynamicUser=yes"], false),
        (&["User=door"], false),
        (&["ExecStart=/x", "User=door"], false),
        // A drop-in that takes it back.
        (&["User=door", "User=root"], true),
    ] {
        let config = plain("http://127.0.0.1:18789");
        let found = found(&config, &unit(parts), &deployment());
        let expected = if is_root {
            vec![(Id::RunsAsRoot, Warning)]
        } else {
            Vec::new()
        };
        assert_eq!(found, expected, "{parts:?}");
    }
}

fn process(user: u32, core_bytes: u64, open_files: u64) -> ServiceProcess {
    ServiceProcess {
        pid: 7,
        user,
        is_like_this: true,
        core_bytes: Some(core_bytes),
        is_unsealed: false,
        open_files: Some(open_files),
    }
}

#[test]
fn a_running_process_is_judged_by_what_it_is() {
    let config = plain("http://127.0.0.1:18789");
    for (process, expected) in [
        (process(ME, 0, u64::MAX), &[][..]),
        (process(0, 0, u64::MAX), &[(Id::RunsAsRoot, Warning)]),
        (
            process(ME, u64::MAX, u64::MAX),
            &[(Id::CoreDumpsOn, Warning)],
        ),
        (
            ServiceProcess {
                is_unsealed: true,
                ..process(ME, 0, u64::MAX)
            },
            &[(Id::CoreDumpsOn, Warning)],
        ),
        (process(ME, 0, 44_351), &[(Id::OpenFilesFew, Warning)]),
        (process(ME, 0, 44_352), &[]),
    ] {
        let deployment = Deployment {
            processes: vec![process],
            // This shell's own counts no more.
            open_files: Some(1),
            ..deployment()
        };
        let root = Facts { user: 0, ..facts() };
        assert_eq!(found(&config, &root, &deployment), expected);
    }
}

#[test]
fn a_process_of_which_nobody_knows_what_it_serves_is_told_of() {
    let deployment = Deployment {
        unclear_processes: vec![7, 8],
        ..deployment()
    };
    let config = plain("http://127.0.0.1:18789");
    let expected = [(Id::NotExamined, Info)];
    assert_eq!(found(&config, &facts(), &deployment), expected);
}

#[test]
fn without_a_service_in_sight_this_very_process_is_told_of() {
    let config = plain("http://127.0.0.1:18789");
    let root = Facts { user: 0, ..facts() };
    let deployment = Deployment {
        open_files: Some(1024),
        ..deployment()
    };
    let expected = [(Id::RunsAsRoot, Info), (Id::OpenFilesFew, Info)];
    assert_eq!(found(&config, &root, &deployment), expected);
    // systemd's own limit is enough.
    let unit = unit(&["User=door"]);
    assert_eq!(found(&config, &unit, &deployment), []);
}

fn certificate(subject: &str, issuer: &str) -> Certificate {
    Certificate {
        subject: subject.into(),
        name: format!("CN={subject}"),
        issuer: issuer.into(),
        not_before: NOW - DAY,
        not_after: NOW + 90 * DAY,
        dns_names: vec!["claw.example.com".to_owned()],
        addresses: Vec::new(),
        key: Key::Other,
        has_weak_signature: false,
        is_of_public_root: false,
        names_issuers_file: false,
    }
}

fn of_chain(chain: Vec<Certificate>) -> Vec<(Id, Severity)> {
    let tls = "[gateway.tls]\ncertPath = \"/c\"\nkeyPath = \"/k\"\n";
    let config = config("127.0.0.1:8443", "http://127.0.0.1:18789", tls);
    let deployment = Deployment {
        chain,
        ..deployment()
    };
    found(&config, &facts(), &deployment)
}

#[test]
fn a_chain_is_whole_and_in_order() {
    let leaf = || certificate("leaf", "intermediate");
    let public = |is_of_public_root| Certificate {
        is_of_public_root,
        names_issuers_file: true,
        ..leaf()
    };
    let (intermediate, root) = (
        certificate("intermediate", "root"),
        certificate("root", "root"),
    );
    let chain = (Id::CertificateChain, Warning);
    for (certificates, expected) in [
        (vec![leaf()], &[][..]),
        (vec![leaf(), intermediate.clone()], &[]),
        (vec![leaf(), intermediate.clone(), root.clone()], &[]),
        (vec![leaf(), root.clone(), intermediate.clone()], &[chain]),
        (vec![intermediate.clone(), leaf()], &[chain]),
        (vec![public(true)], &[]),
        (vec![public(false)], &[chain]),
        (vec![public(false), intermediate], &[]),
        (vec![root], &[(Id::CertificateSelfSigned, Warning)]),
    ] {
        assert_eq!(of_chain(certificates), expected);
    }
}

#[test]
fn a_certificate_holds_now_and_is_strong() {
    let leaf = || certificate("leaf", "root");
    for (leaf, expected) in [
        (leaf(), None),
        (
            Certificate {
                not_after: NOW - 1,
                ..leaf()
            },
            Some((Id::CertificateExpired, Critical)),
        ),
        (
            Certificate {
                not_after: NOW + 14 * DAY - 1,
                ..leaf()
            },
            Some((Id::CertificateExpiring, Warning)),
        ),
        (
            Certificate {
                not_after: NOW + 14 * DAY,
                ..leaf()
            },
            None,
        ),
        (
            Certificate {
                not_before: NOW + 1,
                ..leaf()
            },
            Some((Id::CertificateNotYetValid, Critical)),
        ),
        (
            Certificate {
                dns_names: Vec::new(),
                ..leaf()
            },
            Some((Id::CertificateNames, Warning)),
        ),
        (
            Certificate {
                key: Key::Rsa(1024),
                ..leaf()
            },
            Some((Id::CertificateWeak, Critical)),
        ),
        (
            Certificate {
                key: Key::Rsa(2048),
                ..leaf()
            },
            None,
        ),
        (
            Certificate {
                has_weak_signature: true,
                ..leaf()
            },
            Some((Id::CertificateWeak, Critical)),
        ),
    ] {
        assert_eq!(of_chain(vec![leaf]), Vec::from_iter(expected));
    }
    // A root's own signature proves nothing, and so none is forged.
    let root = Certificate {
        has_weak_signature: true,
        ..certificate("root", "root")
    };
    assert_eq!(of_chain(vec![leaf(), root]), []);
}

#[test]
fn lists_read_as_people_write_them() {
    assert_eq!(listed::<&str>(&[]), "");
    assert_eq!(listed(&["a"]), "a");
    assert_eq!(listed(&["a", "b"]), "a and b");
    assert_eq!(listed(&["a", "b", "c"]), "a, b and c");
}

//! Key by key: what becomes of each that both programs have.

use super::*;

/// Keys at the root, the lines that they become, the keys that are left out.
const ROWS: &[(&str, &[&str], &[&str])] = &[
    (
        "secrets: { defaults: { env: 'house', file: 'f', exec: 'x', store: 's' } }",
        &[
            "[secrets.defaults]",
            "env = \"house\"",
            "file = \"f\"",
            "exec = \"x\"",
        ],
        &["secrets.defaults.store"],
    ),
    (
        "secrets: { providers: { house: { source: 'env', allowlist: ['A', 'b', 7] } } }",
        &[
            "[secrets.providers.house]",
            "source = \"env\"",
            "allowlist = [\"A\"]",
        ],
        &[
            "secrets.providers.house.allowlist[1]",
            "secrets.providers.house.allowlist[2]",
        ],
    ),
    (
        "secrets: { providers: { house: { source: 'env', allowlist: 'A' } } }",
        &["allowlist = []"],
        &["secrets.providers.house.allowlist"],
    ),
    (
        "secrets: { providers: { f: { source: 'file', path: '~/s.json', mode: 'json', timeoutMs: 5000, \
         maxBytes: 0x400, allowInsecurePath: true } } }",
        &[
            "path = \"~/s.json\"",
            "mode = \"json\"",
            "timeoutMs = 5000",
            "maxBytes = 1024",
        ],
        &["secrets.providers.f.allowInsecurePath"],
    ),
    (
        "secrets: { providers: { f: { source: 'file', path: '${HOME}/s', mode: 'yaml', timeoutMs: -1, maxBytes: 1.5 } } }",
        &["#path = \"/etc/portcullis/secrets.json\""],
        &[
            "secrets.providers.f.maxBytes",
            "secrets.providers.f.mode",
            "secrets.providers.f.path",
            "secrets.providers.f.timeoutMs",
        ],
    ),
    (
        "secrets: { providers: { vault: { source: 'exec', command: '/bin/v', args: ['--a b', \"it's\"], \
         env: { VAULT_TOKEN: 'hunter2' }, passEnv: ['PATH', 'x y'], trustedDirs: ['/bin', 7], \
         allowSymlinkCommand: true, jsonOnly: false, timeoutMs: 1, noOutputTimeoutMs: 2, maxOutputBytes: 3 } } }",
        &[
            "command = \"/bin/v\"",
            "args = [\"--a b\", \"it's\"]",
            "passEnv = [\"PATH\"]",
            "trustedDirs = [\"/bin\"]",
            "allowSymlinkCommand = true",
            "jsonOnly = false",
            "timeoutMs = 1",
            "noOutputTimeoutMs = 2",
            "maxOutputBytes = 3",
        ],
        &[
            "secrets.providers.vault.env",
            "secrets.providers.vault.passEnv[1]",
            "secrets.providers.vault.trustedDirs[1]",
        ],
    ),
    (
        "secrets: { providers: { op: { source: 'exec', command: '/bin/op', args: ['read', '--account', 'me', \
         '--token', '/run/token', 'op://vault/item/password'] } } }",
        &[
            "args = [\"read\", \"--account\", \"me\", \"--token\", \"/run/token\", \"op://vault/item/password\"]",
        ],
        &[],
    ),
    (
        "secrets: { resolution: {}, providers: { s: { source: 'store' }, p: { source: 'exec', pluginIntegration: {} }, \
         u: { source: 'carrier-pigeon' }, Big: { source: 'env' }, n: 7, 'a\\nb': { source: 'env' }, \
         args: { source: 'exec', command: '/c', args: ['--x', '${X}'] }, \
         dirs: { source: 'exec', command: '/c', trustedDirs: ['${X}'] }, \
         split: { source: 'exec', command: '/c', args: ['--password', 'hunter2'] }, \
         joined: { source: 'exec', command: '/c', args: ['-v', '--token=hunter2'] }, \
         url: { source: 'exec', command: '/c', args: ['https://u:hunter2@h'] }, \
         mark: { source: 'exec', command: '/c', args: ['sk-live-hunter2'] } } }",
        &[],
        &[
            "secrets.providers.\"…\"",
            "secrets.providers.Big",
            "secrets.providers.args",
            "secrets.providers.args.args[1]",
            "secrets.providers.dirs",
            "secrets.providers.dirs.trustedDirs[0]",
            "secrets.providers.joined",
            "secrets.providers.mark",
            "secrets.providers.n",
            "secrets.providers.p",
            "secrets.providers.s",
            "secrets.providers.split",
            "secrets.providers.u",
            "secrets.providers.url",
            "secrets.resolution",
        ],
    ),
    (
        "models: { mode: 'merge', providers: { 'my.llm': { enabled: false, baseUrl: 'https://llm.example/v1', \
         api: 'openai-completions', apiKey: '${LLM_KEY}', apiKeys: ['$A', 'hunter2', { source: 'file', \
         provider: 'f', id: '/a' }], models: [], headers: { x: 'hunter2' }, authHeader: true } } }",
        &[
            "[models.providers.\"my.llm\"]",
            "enabled = false",
            "baseUrl = \"https://llm.example/v1\"",
            "api = \"openai-completions\"",
            "apiKey = \"${LLM_KEY}\"",
            "apiKeys = [\"$A\", { id = \"/a\", provider = \"f\", source = \"file\" }]",
            "# Without `models.listen` the back door is off: the keys of [models] and [auth] are",
        ],
        &[
            "models.mode",
            "models.providers.\"my.llm\".apiKeys[1]",
            "models.providers.\"my.llm\".authHeader",
            "models.providers.\"my.llm\".headers",
            "models.providers.\"my.llm\".models",
        ],
    ),
    (
        "models: { providers: { a: { apiKey: 'hunter2' }, b: { baseUrl: 'https://u:hunter2@h/', api: 'hunter2' }, \
         c: { models: [] }, c2: { api: 'hunter2' }, d: { apiKeys: 'hunter2', enabled: 'yes' } } }",
        &[
            "#[models.providers.a]",
            "[models.providers.d]",
            "enabled = false",
        ],
        &[
            "models.providers.a.apiKey",
            "models.providers.b",
            "models.providers.b.baseUrl",
            "models.providers.c",
            "models.providers.c2.api",
            "models.providers.d.apiKeys",
            "models.providers.d.enabled",
        ],
    ),
    (
        "secrets: { providers: { e: { $include: 'hunter2', source: 'env' } } }, \
         models: { providers: { m: { apiKey: '$M', $include: 'hunter2' } } }",
        &[],
        &["models.providers.m", "secrets.providers.e"],
    ),
    (
        "auth: { profiles: {}, order: { anthropic: ['anthropic:work', 7], 'x.y': ['a:b@c'], z: 7 } }",
        &[
            "[auth.order]",
            "anthropic = [\"anthropic:work\"]",
            "\"x.y\" = [\"a:b@c\"]",
        ],
        &["auth.order.anthropic[1]", "auth.order.z", "auth.profiles"],
    ),
    (
        "$include: './hunter2.json5', env: { KEY: 'hunter2' }, agents: {}, 'hunter2 is no key': 1",
        &[],
        &["\"$include\"", "\"…\"", "agents", "env"],
    ),
];

#[test]
fn each_key_comes_along_or_is_named() {
    for (written, lines, left) in ROWS {
        let imported = and(written);
        let toml = &imported.toml;
        for line in *lines {
            assert!(toml.lines().any(|found| found == *line), "{line}\n{toml}");
        }
        let named: Vec<&str> = imported
            .left_out
            .iter()
            .map(|left| left.key.as_str())
            .collect();
        assert!(named.contains(&"gateway.bind"), "{named:?}");
        let named: Vec<&str> = named
            .into_iter()
            .filter(|key| *key != "gateway.bind")
            .collect();
        assert_eq!(named, *left, "{written}");
        assert!(!toml.contains("hunter2"), "{toml}");
        let needed: Vec<&str> = imported
            .problems
            .iter()
            .map(|problem| problem.key.as_str())
            .collect();
        let expected: &[&str] = match *written {
            // The path was one that only the gateway could have filled in.
            written if written.contains("path: '${HOME}/s'") => &["secrets.providers.f.path"],
            // This row names a provider that it doesn't list.
            written if written.contains("'my.llm'") => &["models.providers.\"my.llm\".apiKeys[1]"],
            _ => &[],
        };
        assert_eq!(needed, expected, "{toml}");
    }
}

#[test]
fn environment_providers_and_references_hold_as_they_are() {
    let imported = import(&COMPLETE.replacen("mode: 'trusted-proxy'", "token: '$GW'", 1).replacen(
        "  gateway: {",
        "  secrets: { providers: { house: { source: 'env', allowlist: ['GW'] } }, defaults: { env: 'house' } },\n  gateway: {",
        1,
    ));
    assert!(config(&imported).upstream.credential.is_some());
}

#[test]
fn references_to_files_and_commands_hold_as_they_are() {
    let imported = import(&COMPLETE.replacen(
        "  gateway: {",
        "  secrets: { providers: { f: { source: 'file', path: '/s.json' }, v: { source: 'exec', command: '/v' } } },\n  \
         models: { providers: { a: { apiKey: { source: 'exec', provider: 'v', id: 'a/b' } }, \
         o: { enabled: false, apiKey: { source: 'file', provider: 'f', id: '/o' } } } },\n  gateway: {",
        1,
    ));
    let config = config(&imported);
    let surfaces = config.surfaces();
    let inputs: Vec<_> = surfaces
        .iter()
        .filter_map(|surface| match surface.input {
            crate::secrets::SecretInput::Ref(reference) => Some(reference.to_string()),
            crate::secrets::SecretInput::Plain(_) => None,
        })
        .collect();
    assert_eq!(inputs, ["exec:v:a/b", "file:f:/o"]);
}

#[test]
fn tls_moves_to_the_front_door() {
    let tls = |written: &str| with("port: 18790,", &format!("tls: {{ {written} }},"));
    let on = tls(
        "enabled: true, certPath: '/c.pem', keyPath: '/k.pem', caPath: '/ca.pem', autoGenerate: false",
    );
    let config_on = config(&on);
    let front = config_on.gateway.tls.unwrap();
    assert_eq!(front.cert_path, std::path::Path::new("/c.pem"));
    assert_eq!(front.min_version, crate::tls::MinVersion::Tls13);
    assert_eq!(front.client_ca_path, None);
    assert!(
        on.toml.contains("url = \"http://127.0.0.1:18789\""),
        "{}",
        on.toml
    );
    assert!(reason(&on, "gateway.tls.caPath").contains("clientCaPath"));

    for off in ["certPath: '/c.pem', keyPath: '/k.pem'", "enabled: false"] {
        assert_eq!(config(&tls(off)).gateway.tls, None, "{off}");
    }
    // The gateway makes a certificate of its own; a front door can't.
    for lacking in [
        "enabled: true",
        "enabled: 'yes'",
        "enabled: true, certPath: '${C}', keyPath: 7",
    ] {
        assert_eq!(
            refusals(&tls(lacking)),
            ["gateway.tls.certPath", "gateway.tls.keyPath"],
            "{lacking}"
        );
    }
    assert!(
        tls("enabled: true, certPath: '~/c.pem', keyPath: '/k'")
            .toml
            .contains("Write the whole path")
    );
}

#[test]
fn headers_ports_and_nets_come_over_where_they_hold() {
    let hsts = |written: &str| {
        let key = "strictTransportSecurity";
        with(
            "port: 18790,",
            &format!("http: {{ endpoints: {{}}, securityHeaders: {{ {key}: {written} }} }},"),
        )
    };
    assert!(
        hsts("false")
            .toml
            .contains("\nstrictTransportSecurity = false\n")
    );
    assert!(
        hsts("'max-age=60'")
            .toml
            .contains("\nstrictTransportSecurity = \"max-age=60\"\n")
    );
    for bad in ["'60'", "true", "7"] {
        reason(
            &hsts(bad),
            "gateway.http.securityHeaders.strictTransportSecurity",
        );
    }
    for bad in ["0", "65536", "'18790'", "'${PORT}'"] {
        let imported = with("port: 18790", &format!("port: {bad}"));
        assert!(
            imported.toml.contains("127.0.0.1:18789"),
            "{}",
            imported.toml
        );
        reason(&imported, "gateway.port");
    }
    for bind in ["'lan'", "'0.0.0.0'", "7"] {
        let imported = with("bind: 'loopback'", &format!("bind: {bind}"));
        assert!(reason(&imported, "gateway.bind").contains("go round Portcullis"));
    }
    let nets = with(
        "['10.0.0.5', \"172.17.0.0/16\",]",
        "['10.0.0.5', '10.0.0.1/8', 'host', 7, '${IP}']",
    );
    assert!(
        nets.toml.contains("trustedProxies = [\"10.0.0.5\"]"),
        "{}",
        nets.toml
    );
    for index in 1..=4 {
        reason(&nets, &format!("gateway.trustedProxies[{index}]"));
    }
    for none in ["[]", "'10.0.0.5'", "['host']"] {
        let imported = with("['10.0.0.5', \"172.17.0.0/16\",]", none);
        assert_eq!(refusals(&imported), ["gateway.trustedProxies"]);
    }
    let header = with("'X-Forwarded-User'", "'Authorization'");
    assert_eq!(refusals(&header), ["gateway.auth.trustedProxy.userHeader"]);
    reason(&header, "gateway.auth.trustedProxy.userHeader");
}

#[test]
fn a_key_that_cannot_be_read_is_named_whatever_it_is() {
    for (written, key) in [
        ("gateway: 7", "gateway"),
        ("gateway: { auth: [] }", "gateway.auth"),
        ("gateway: { tls: 'on' }", "gateway.tls"),
        ("secrets: []", "secrets"),
        ("secrets: { providers: [] }", "secrets.providers"),
        ("models: { providers: 7 }", "models.providers"),
        ("auth: { order: [] }", "auth.order"),
    ] {
        let imported = import(&format!("{{ {written} }}"));
        reason(&imported, key);
        assert!(!imported.problems.is_empty(), "{}", imported.toml);
    }
}

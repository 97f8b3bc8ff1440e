//! `[secrets]`, references, and the surfaces that they stand at.

use super::*;
use crate::secrets::{Custody, EnvName, FileMode, Provider};

#[test]
fn providers_are_read_with_their_defaults() {
    let config = config(&and(r#"
        [secrets.providers.own]
        source = "env"
        allowlist = ["TOKEN"]
        [secrets.providers.filemain]
        source = "file"
        path = "~/.openclaw/secrets.json"
        [secrets.providers.mounted]
        source = "file"
        path = "/run/secrets/token"
        mode = "singleValue"
        mountedVolume = true
        timeoutMs = 100
        maxBytes = 4096
        [secrets.providers.vault]
        source = "exec"
        command = "/usr/local/bin/resolver"
        [secrets.providers.op]
        source = "exec"
        command = "/opt/bin/op"
        args = ["read", "op://vault/item/field"]
        env = { OP_ACCOUNT = "team", lower = "x" }
        passEnv = ["PATH"]
        jsonOnly = false
        allowSymlinkCommand = true
        trustedDirs = ["/opt/bin", "/opt/cellar"]
        timeoutMs = 9000
        noOutputTimeoutMs = 3000
        maxOutputBytes = 1024
    "#));
    let providers: Vec<_> = config.secrets.listed().collect();
    let named = |wanted: &str| {
        let found = providers.iter().find(|(name, _)| name.as_str() == wanted);
        found.map(|(_, provider)| *provider).unwrap()
    };
    let Provider::File(file) = named("filemain") else {
        panic!("no file provider");
    };
    assert_eq!(
        (file.mode, file.custody, file.timeout, file.max_bytes),
        (
            FileMode::Json,
            Custody::Own,
            Duration::from_secs(5),
            1 << 20
        )
    );
    let Provider::File(file) = named("mounted") else {
        panic!("no file provider");
    };
    assert_eq!(
        (file.mode, file.custody, file.timeout, file.max_bytes),
        (
            FileMode::SingleValue,
            Custody::MountedVolume,
            Duration::from_millis(100),
            4096
        )
    );
    let Provider::Exec(exec) = named("vault") else {
        panic!("no exec provider");
    };
    assert!(exec.json_only && !exec.allow_symlink_command && exec.args.is_empty());
    assert_eq!(
        (exec.timeout, exec.no_output_timeout, exec.max_output_bytes),
        (Duration::from_secs(5), Duration::from_secs(5), 1 << 20)
    );
    let Provider::Exec(exec) = named("op") else {
        panic!("no exec provider");
    };
    assert!(!exec.json_only && exec.allow_symlink_command);
    assert_eq!(exec.args, ["read", "op://vault/item/field"]);
    assert_eq!(exec.pass_env, [EnvName::parse("PATH").unwrap()]);
    assert_eq!(exec.env.len(), 2);
    assert_eq!(exec.trusted_dirs.len(), 2);
    assert_eq!(
        (exec.timeout, exec.no_output_timeout, exec.max_output_bytes),
        (Duration::from_secs(9), Duration::from_secs(3), 1024)
    );
}

#[test]
fn each_bad_provider_key_is_located() {
    let file = "source = \"file\"\npath = \"/x\"\n";
    let exec = "source = \"exec\"\ncommand = \"/x\"\n";
    let many = |count: usize| vec!["\"A\""; count].join(", ");
    for (body, key, words) in [
        ("path = \"/x\"".to_owned(), "source", "got nothing"),
        (
            "source = \"store\"".to_owned(),
            "source",
            "`env`, `file` or `exec`",
        ),
        ("source = \"file\"".to_owned(), "path", "got nothing"),
        (
            format!("{file}mode = \"yaml\""),
            "mode",
            "`json` or `singleValue`",
        ),
        (
            format!("{file}timeoutMs = 0"),
            "timeoutMs",
            "from 1 to 120000",
        ),
        (
            format!("{file}timeoutMs = \"5s\""),
            "timeoutMs",
            "an integer",
        ),
        (
            format!("{file}maxBytes = 20971521"),
            "maxBytes",
            "to 20971520",
        ),
        (
            format!("{file}mountedVolume = 1"),
            "mountedVolume",
            "`true` or `false`",
        ),
        (format!("{file}command = \"/x\""), "command", "unknown key"),
        (
            format!("{file}allowInsecurePath = true"),
            "allowInsecurePath",
            "unknown key",
        ),
        ("source = \"exec\"".to_owned(), "command", "got nothing"),
        (
            "source = \"exec\"\ncommand = \"op\"".to_owned(),
            "command",
            "an absolute path",
        ),
        (
            "source = \"exec\"\ncommand = \"~/op\"".to_owned(),
            "command",
            "an absolute path",
        ),
        (
            format!("{exec}args = \"read\""),
            "args",
            "an array of strings",
        ),
        (
            format!("{exec}args = [\"{}\"]", "a".repeat(1025)),
            "args[0]",
            "at most 1024",
        ),
        (
            format!("{exec}args = [{}]", many(129)),
            "args",
            "at most 128",
        ),
        (
            format!("{exec}passEnv = [\"lower\"]"),
            "passEnv[0]",
            "environment variable",
        ),
        (
            format!("{exec}passEnv = [{}]", many(129)),
            "passEnv",
            "at most 128",
        ),
        (format!("{exec}env = {{ A = 1 }}"), "env.A", "a string"),
        (
            format!("{exec}env = {{ \"A=B\" = \"c\" }}"),
            "env.\"A=B\"",
            "got another name",
        ),
        (
            format!("{exec}trustedDirs = [\"bin\"]"),
            "trustedDirs[0]",
            "an absolute path",
        ),
        (
            format!("{exec}allowSymlinkCommand = true"),
            "allowSymlinkCommand",
            "`trustedDirs` too",
        ),
        (
            format!("{exec}maxOutputBytes = 0"),
            "maxOutputBytes",
            "from 1 to",
        ),
        (
            format!("{exec}pluginIntegration = {{}}"),
            "pluginIntegration",
            "unknown key",
        ),
    ] {
        let messages = messages(&and(&format!("[secrets.providers.p]\n{body}")));
        assert_eq!(messages.len(), 1, "{body}: {messages:#?}");
        let start = format!("secrets.providers.p.{key}: ");
        assert!(messages[0].starts_with(&start), "{messages:#?}");
        assert!(messages[0].contains(words), "{messages:#?}");
    }
}

#[test]
fn each_bad_reference_is_located_and_hidden() {
    let providers = r#"
        [secrets.providers.closed]
        source = "env"
        allowlist = []
        [secrets.providers.json]
        source = "file"
        path = "/x"
        [secrets.providers.single]
        source = "file"
        path = "/x"
        mode = "singleValue"
        [secrets.providers.vault]
        source = "exec"
        command = "/x"
    "#;
    for (reference, key, words) in [
        (
            r#"source = "store", provider = "vault", id = "a""#,
            ".source",
            "`env`, `file` or `exec`",
        ),
        (
            r#"source = "exec", provider = "hunter2", id = "a""#,
            "",
            "SECRET_PROVIDER_NOT_CONFIGURED",
        ),
        (
            r#"source = "exec", provider = "Hunter2", id = "a""#,
            ".provider",
            "a provider's name",
        ),
        (
            r#"source = "exec", provider = "json", id = "a""#,
            "",
            "SECRET_PROVIDER_INVALID",
        ),
        (
            r#"source = "env", provider = "json", id = "A""#,
            "",
            "SECRET_PROVIDER_INVALID",
        ),
        (
            r#"source = "env", provider = "closed", id = "HUNTER2""#,
            "",
            "SECRET_REF_POLICY_DENIED",
        ),
        (
            r#"source = "env", provider = "default", id = "hunter2""#,
            ".id",
            "a capital",
        ),
        (
            r#"source = "file", provider = "json", id = "value""#,
            "",
            "a JSON pointer",
        ),
        (
            r#"source = "file", provider = "single", id = "/hunter2""#,
            "",
            "expected `value` ",
        ),
        (
            r#"source = "file", provider = "json", id = "hunter2""#,
            ".id",
            "a file id",
        ),
        (
            r#"source = "exec", provider = "vault", id = "../hunter2""#,
            ".id",
            "an exec id",
        ),
        (
            r#"source = "exec", provider = "vault", id = "a/../b""#,
            ".id",
            "an exec id",
        ),
        (
            r#"source = "exec", provider = "vault""#,
            ".id",
            "got nothing",
        ),
        (
            r#"source = "exec", provider = "vault", id = "a", key = "hunter2""#,
            ".key",
            "unknown key",
        ),
    ] {
        let text = and(&format!("{providers}\n[admin]\ntoken = {{ {reference} }}"));
        let messages = messages(&text);
        assert_eq!(messages.len(), 1, "{reference}: {messages:#?}");
        assert!(
            messages[0].starts_with(&format!("admin.token{key}: ")),
            "{messages:#?}"
        );
        assert!(messages[0].contains(words), "{messages:#?}");
        assert!(
            !messages[0].to_lowercase().contains("hunter2"),
            "{messages:#?}"
        );
    }
}

/// Each surface with whether it is in use.
fn surfaces(text: &str) -> Vec<(String, bool)> {
    let config = config(text);
    let surfaces = config.surfaces();
    surfaces
        .iter()
        .map(|surface| (surface.key.clone(), surface.activity == Activity::Active))
        .collect()
}

#[test]
fn every_secret_has_its_surface_and_some_are_not_in_use() {
    let text = |tls: &str| {
        and(&format!(
            r#"
        [upstream.credential]
        header = "authorization"
        value = "$A"
        [admin]
        token = "$B"
        [models]
        clientToken = "$C"
        [models.providers.anthropic]
        baseUrl = "https://api.anthropic.com"
        apiKey = "$D"
        apiKeys = ["$E", "plain"]
        [models.providers.openai]
        enabled = false
        apiKey = "$D"
        [gateway.tls]
        enabled = {tls}
        certPath = "/c"
        key = "$F"
        "#
        ))
    };
    let at = |key: &str, is_active| (key.to_owned(), is_active);
    for (tls, is_active) in [("true", true), ("false", false)] {
        assert_eq!(
            surfaces(&text(tls)),
            [
                at("upstream.credential.value", true),
                at("admin.token", true),
                at("gateway.tls.key", is_active),
                at("models.clientToken", false),
                at("models.providers.anthropic.apiKey", false),
                at("models.providers.anthropic.apiKeys[0]", false),
                at("models.providers.anthropic.apiKeys[1]", false),
                at("models.providers.openai.apiKey", false),
            ]
        );
    }
}

#[test]
fn model_keys_are_checked_though_nothing_uses_them() {
    let warned = warnings(&and("[models.providers.anthropic]\napiKey = \"$KEY\""));
    assert!(warned[0].contains("the back door is off"), "{warned:#?}");
    for (text, key) in [
        (
            "[models.providers.a]\napiKey = 5",
            "models.providers.a.apiKey",
        ),
        (
            "[models.providers.a]\napiKey = { source = \"exec\", provider = \"none\", id = \"a\" }",
            "models.providers.a.apiKey",
        ),
        (
            "[models.providers.a]\nenabled = 1",
            "models.providers.a.enabled",
        ),
        (
            "[models.providers.a]\nbaseUrl = \"ftp://x\"",
            "models.providers.a.baseUrl",
        ),
        (
            "[models.providers.a]\nbaseUrl = \"https://user@x\"",
            "models.providers.a.baseUrl",
        ),
        (
            "[models.providers.a]\napiKeys = \"$A\"",
            "models.providers.a.apiKeys",
        ),
        ("[models.providers.\"a b\"]", "models.providers.\"…\""),
        ("[models.providers.a]\nkey = 1", "models.providers.a.key"),
        ("[auth.order]\nanthropic = \"work\"", "auth.order.anthropic"),
        ("[auth.order]\nanthropic = [1]", "auth.order.anthropic[0]"),
    ] {
        let messages = messages(&and(text));
        assert_eq!(messages.len(), 1, "{text}: {messages:#?}");
        assert!(
            messages[0].starts_with(&format!("{key}: ")),
            "{messages:#?}"
        );
    }
    let ordered = config(&and("[auth.order]\nanthropic = [\"anthropic:work\"]")).models;
    assert_eq!(ordered.order["anthropic"], ["anthropic:work"]);
    assert_eq!(ordered.listen, None);
}

#[test]
fn what_would_surprise_is_warned_of() {
    let exec = "[secrets.providers.p]\nsource = \"exec\"\ncommand = \"/x\"\n";
    for (text, words) in [
        (
            "[admin]\ntoken = \"PORTCULLIS_TOKEN\"".to_owned(),
            "write `$` in front",
        ),
        ("[admin]\ntoken = \"$lower\"".to_owned(), "taken literally"),
        (
            format!("{exec}noOutputTimeoutMs = 6000"),
            "ends the command before",
        ),
        (
            "[secrets.defaults]\nfile = \"f\"".to_owned(),
            "always names its provider",
        ),
        ("[auth.order]\nanthropic = []".to_owned(), "is off"),
        ("[models]".to_owned(), "is off"),
        ("[agents]".to_owned(), "is off"),
    ] {
        let warned = warnings(&and(&text));
        assert_eq!(warned.len(), 1, "{text}: {warned:#?}");
        assert!(warned[0].contains(words), "{warned:#?}");
    }
    for quiet in [
        "[admin]\ntoken = \"s3cret_TOKEN\"",
        "[admin]\ntoken = \"SECRET\"",
    ] {
        assert_eq!(warnings(&and(quiet)), [""; 0], "{quiet}");
    }
}

#[test]
fn a_refused_provider_is_not_called_missing_as_well() {
    let text = and(
        "[secrets.providers.op]\nsource = \"exec\"\ncommand = \"op\"\n\
         [admin]\ntoken = { source = \"exec\", provider = \"op\", id = \"a\" }",
    );
    let messages = messages(&text);
    assert_eq!(messages.len(), 1, "{messages:#?}");
    assert!(messages[0].starts_with("secrets.providers.op.command: "));
}

#[test]
fn the_providers_that_there_are_are_named() {
    let text = and(
        "[secrets.providers.op]\nsource = \"exec\"\ncommand = \"/op\"\n\
         [admin]\ntoken = { source = \"exec\", provider = \"opp\", id = \"a\" }",
    );
    let messages = messages(&text);
    assert!(
        messages[0].contains("`secrets.providers`: `op` ("),
        "{messages:#?}"
    );
}

use std::ffi::OsString;
use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;

use super::super::{EnvName, EnvProvider, FileMode, SecretSource};
use super::*;

fn environment(name: &str) -> Option<OsString> {
    match name {
        "PATH" => Some("/usr/local/bin:/usr/bin:/bin".into()),
        name if name.starts_with("TOKEN") => Some(format!("value of {name}").into()),
        _ => None,
    }
}

fn reference(source: SecretSource, provider: &str, id: &str) -> SecretRef {
    SecretRef {
        provider: ProviderName::parse(provider).unwrap(),
        id: source.parse_id(id).unwrap(),
    }
}

fn providers(listed: Vec<(&str, Provider)>, default_env: &str) -> Providers {
    let name = |name| ProviderName::parse(name).unwrap();
    let listed = listed
        .into_iter()
        .map(|(alias, provider)| (name(alias), provider));
    Providers::new(listed.collect(), name(default_env))
}

fn file(path: &Path, mode: FileMode) -> Provider {
    Provider::File(FileProvider {
        path: path.to_owned(),
        mode,
        custody: super::super::Custody::Own,
        timeout: FileProvider::DEFAULT_TIMEOUT,
        max_bytes: FileProvider::DEFAULT_MAX_BYTES,
    })
}

fn script(path: &Path, text: &str) -> Provider {
    fs::write(path, format!("#!/bin/sh\n{text}\n")).unwrap();
    fs::set_permissions(path, fs::Permissions::from_mode(0o700)).unwrap();
    let timeout = std::time::Duration::from_secs(20);
    Provider::Exec(ExecProvider {
        command: path.to_owned(),
        args: Vec::new(),
        pass_env: vec![EnvName::parse("PATH").unwrap()],
        env: BTreeMap::new(),
        json_only: true,
        allow_symlink_command: false,
        trusted_dirs: Vec::new(),
        profile_ids: Default::default(),
        timeout,
        no_output_timeout: timeout,
        max_output_bytes: 1 << 20,
    })
}

/// The value, or the code.
fn outcome(providers: &Providers, reference: &SecretRef) -> String {
    let references = BTreeSet::from([reference.clone()]);
    let mut resolved = providers.resolve(&references, &environment);
    match resolved.remove(reference).unwrap() {
        Ok(value) => value.expose().to_owned(),
        Err(error) => error.code().to_owned(),
    }
}

#[test]
fn the_default_alias_needs_no_entry_and_no_other_alias_stands_in_for_it() {
    use SecretSource::{Env, Exec, File};
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("token");
    fs::write(&path, "from the file").unwrap();
    fs::set_permissions(&path, fs::Permissions::from_mode(0o600)).unwrap();
    let house = providers(vec![("main", file(&path, FileMode::SingleValue))], "house");
    let main = providers(vec![("main", file(&path, FileMode::SingleValue))], "main");
    let denying = providers(
        vec![(
            "default",
            Provider::Env(EnvProvider::new(Some(BTreeSet::new()))),
        )],
        "default",
    );
    for (providers, source, alias, id, expected) in [
        (&house, Env, "house", "TOKEN", "value of TOKEN"),
        (
            &house,
            Env,
            "default",
            "TOKEN",
            "SECRET_PROVIDER_NOT_CONFIGURED",
        ),
        (&house, Env, "main", "TOKEN", "SECRET_PROVIDER_INVALID"),
        (&house, File, "main", "value", "from the file"),
        (&house, File, "main", "/a", "SECRET_REF_INVALID"),
        (
            &house,
            File,
            "house",
            "value",
            "SECRET_PROVIDER_NOT_CONFIGURED",
        ),
        (&house, Exec, "main", "a", "SECRET_PROVIDER_INVALID"),
        // An alias may mean a file to one source and the environment to the other.
        (&main, Env, "main", "TOKEN", "value of TOKEN"),
        (&main, File, "main", "value", "from the file"),
        (
            &denying,
            Env,
            "default",
            "TOKEN",
            "SECRET_REF_POLICY_DENIED",
        ),
    ] {
        let reference = reference(source, alias, id);
        assert_eq!(outcome(providers, &reference), expected, "{reference}");
    }
}

#[test]
fn a_file_is_read_once_and_each_pointer_has_its_own_outcome() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("secrets.json");
    let text = r#"{"a":{"b":"deep"},"n":5,"blank":"  ","gone":"__OPENCLAW_REDACTED__"}"#;
    fs::write(&path, text).unwrap();
    fs::set_permissions(&path, fs::Permissions::from_mode(0o600)).unwrap();
    let providers = providers(vec![("main", file(&path, FileMode::Json))], "default");
    for (id, expected) in [
        ("/a/b", "deep"),
        ("/a", "SECRET_REF_PROVIDER_CONTRACT"),
        ("/n", "SECRET_REF_PROVIDER_CONTRACT"),
        ("/blank", "SECRET_REF_PROVIDER_CONTRACT"),
        ("/gone", "SECRET_REF_REDACTED_VALUE"),
        ("/missing", "SECRET_REF_NOT_FOUND"),
    ] {
        let reference = reference(SecretSource::File, "main", id);
        assert_eq!(outcome(&providers, &reference), expected, "{id}");
    }
    fs::remove_file(&path).unwrap();
    let reference = reference(SecretSource::File, "main", "/a/b");
    assert_eq!(
        outcome(&providers, &reference),
        "SECRET_PROVIDER_UNAVAILABLE"
    );
}

#[test]
fn each_provider_is_asked_once_and_four_at_a_time() {
    let folder = tempfile::tempdir().unwrap();
    // Each notes that it runs, and waits until four do or it has waited enough.
    let text = r#"cat > /dev/null; me=$(basename "$0"); echo run >> "$me.runs"
        : > "$me.here"; n=0
        while [ $n -lt 900 ]; do
          set -- *.here; [ $# -gt "$(cat most 2>/dev/null || echo 0)" ] && echo $# > most
          [ "$(cat most)" -ge 4 ] && [ $n -gt 10 ] && break; sleep 0.02; n=$((n+1))
        done
        rm "$me.here"
        printf '{"protocolVersion":1,"values":{"a":"A","b":"B"}}'"#;
    let names = ["p1", "p2", "p3", "p4", "p5", "p6"];
    let listed = names.map(|name| (name, script(&folder.path().join(name), text)));
    let providers = providers(listed.into(), "default");
    let references: BTreeSet<SecretRef> = names
        .iter()
        .flat_map(|name| ["a", "b"].map(|id| reference(SecretSource::Exec, name, id)))
        .collect();
    let resolved = providers.resolve(&references, &environment);
    assert!(resolved.values().all(Result::is_ok), "{resolved:?}");
    assert_eq!(resolved.len(), 12);
    let note = |name: &str| fs::read_to_string(folder.path().join(name)).unwrap();
    for name in names {
        assert_eq!(note(&format!("{name}.runs")), "run\n");
    }
    assert_eq!(note("most").trim(), "4");
}

#[test]
fn one_provider_may_be_asked_for_512_references_and_no_more() {
    let providers = Providers::default();
    let all: Vec<SecretRef> = (0..513)
        .map(|n| reference(SecretSource::Env, "default", &format!("TOKEN_{n}")))
        .collect();
    let most: BTreeSet<_> = all[..512].iter().cloned().collect();
    let resolved = providers.resolve(&most, &environment);
    assert!(resolved.values().all(Result::is_ok));
    let more: BTreeSet<_> = all.into_iter().collect();
    for error in providers.resolve(&more, &environment).into_values() {
        assert_eq!(error.unwrap_err().code(), "SECRET_PROVIDER_INVALID");
    }
}

#[test]
fn every_error_says_what_to_do_and_what_it_is() {
    let folder = tempfile::tempdir().unwrap();
    let providers = providers(
        vec![
            (
                "gone",
                file(Path::new("/nonexistent/s.json"), FileMode::Json),
            ),
            (
                "fails",
                script(&folder.path().join("fails"), "echo canary; exit 1"),
            ),
        ],
        "default",
    );
    for reference in [
        reference(SecretSource::Env, "default", "UNSET"),
        reference(SecretSource::Env, "nobody", "UNSET"),
        reference(SecretSource::File, "gone", "/a"),
        reference(SecretSource::Exec, "fails", "a"),
    ] {
        let references = BTreeSet::from([reference.clone()]);
        for error in providers.resolve(&references, &environment).into_values() {
            let error = error.unwrap_err();
            assert!(error.code().starts_with("SECRET_"), "{reference}");
            assert!(error.remedy().len() > 10, "{reference}");
            assert!(!format!("{error}{error:?}").contains("canary"), "{error}");
        }
    }
}

//! The recipes of `deploy/secrets/` for one secret of a tool, each as it is committed, with a stand-in for its tool that checks how it
//! is called and answers as the tool does.

use std::fs;

use crate::recipe::{Recipe, SECRET, said};

fn onepassword() -> Recipe {
    Recipe::of("onepassword")
        .with_stand_in("op", "/usr/bin/op")
        .with_variable("OP_SERVICE_ACCOUNT_TOKEN", "ops_stand-in")
        .with_file("bin/op.secret", &format!("{SECRET}\n"))
}

fn vault() -> Recipe {
    Recipe::of("vault")
        .with_stand_in("vault", "/usr/bin/vault")
        .with_variable("VAULT_ADDR", "https://vault.example.com:8200")
        .with_variable("VAULT_TOKEN", "")
        .with_file("bin/vault.secret", &format!("{SECRET}\n"))
}

fn sops() -> Recipe {
    let recipe = Recipe::of("sops").with_stand_in("sops", "/usr/local/bin/sops");
    let (key, file) = (
        recipe.sandbox.text("sops-key"),
        recipe.sandbox.text("openclaw.enc.yaml"),
    );
    recipe
        .replacing("/run/credentials/portcullis.service/sops-key", &key)
        .replacing("/etc/portcullis/openclaw.enc.yaml", &file)
        .with_file("sops-key", "AGE-SECRET-KEY-STAND-IN\n")
        .with_file("openclaw.enc.yaml", "encrypted\n")
        .with_file("bin/sops.secret", &format!("{SECRET}\n"))
}

fn pass() -> Recipe {
    Recipe::of("pass")
        .with_stand_in("pass", "/usr/bin/pass")
        .with_file("state/gnupg/pubring.kbx", "")
        .with_file(
            "state/password-store/openclaw/gateway-token.gpg",
            &format!("{SECRET}\n"),
        )
}

#[test]
fn onepassword_gives_its_secret_to_the_gateway() {
    onepassword().gives_its_secret_to_the_gateway();
}

#[test]
fn vault_gives_its_secret_to_the_gateway_by_a_token_or_a_token_helper() {
    vault()
        .with_variable("VAULT_TOKEN", "hvs.stand-in")
        .gives_its_secret_to_the_gateway();
    vault()
        .with_file(".vault-token", "hvs.stand-in\n")
        .gives_its_secret_to_the_gateway();
}

#[test]
fn sops_gives_its_secret_to_the_gateway() {
    sops().gives_its_secret_to_the_gateway();
}

#[test]
fn pass_gives_its_secret_to_the_gateway() {
    pass().gives_its_secret_to_the_gateway();
}

#[test]
fn a_tool_that_fails_is_named_and_not_quoted() {
    let vault_in = || vault().with_variable("VAULT_TOKEN", "hvs.stand-in");
    for (recipe, provider, status, words) in [
        (
            onepassword().with_variable("OP_SERVICE_ACCOUNT_TOKEN", ""),
            "exec:onepassword:value",
            1,
            "No accounts configured",
        ),
        (
            onepassword().replacing("/gateway/token\"", "/gateway/other\""),
            "exec:onepassword:value",
            1,
            "does not have a field",
        ),
        (vault(), "exec:vault:value", 2, "permission denied"),
        (
            vault_in().with_variable("VAULT_ADDR", ""),
            "exec:vault:value",
            2,
            "connection refused",
        ),
        (
            vault_in().replacing("secret/openclaw", "secret/other"),
            "exec:vault:value",
            2,
            "No value found",
        ),
        (
            vault_in().replacing("-field=token", "-field=other"),
            "exec:vault:value",
            1,
            "not present in secret",
        ),
        (
            sops().replacing("/sops-key", "/no-key"),
            "exec:sops:value",
            128,
            "Failed to get the data key",
        ),
        (
            sops().replacing("[\"token\"]", "[\"other\"]"),
            "exec:sops:value",
            1,
            "error truncating tree",
        ),
        (
            sops().replacing("openclaw.enc.yaml\"", "other.yaml\""),
            "exec:sops:value",
            100,
            "cannot operate on",
        ),
        (
            pass().replacing("openclaw/gateway-token", "openclaw/other"),
            "exec:pass:value",
            1,
            "not in the password store",
        ),
        (
            pass().replacing("/gnupg\"", "/no-gnupg\""),
            "exec:pass:value",
            2,
            "decryption failed",
        ),
    ] {
        recipe.fails_with(
            &[
                "SECRET_PROVIDER_UNAVAILABLE",
                provider,
                &format!("exit status {status}"),
                "on standard error, not shown",
            ],
            words,
        );
    }
}

#[test]
fn a_tool_that_waits_for_a_person_ends_at_its_time_limit() {
    let recipe = onepassword()
        .with_file("bin/op.waits", "")
        .replacing("timeoutMs = 10000", "timeoutMs = 300");
    recipe.fails_with(
        &["SECRET_PROVIDER_UNAVAILABLE", "did not end within 300ms"],
        "[ERROR]",
    );
}

#[test]
fn a_secret_with_notes_below_it_fits_no_header() {
    let recipe = pass().with_file(
        "state/password-store/openclaw/gateway-token.gpg",
        &format!("{SECRET}\nurl: https://claw.example.com\n"),
    );
    let checked = recipe.check();
    let text = said(&checked);
    assert_eq!(checked.status.code(), Some(2), "{text}");
    assert!(text.contains("can't be sent in a header"), "{text}");
    assert!(!text.contains(SECRET), "{text}");
}

#[test]
fn a_tool_is_asked_again_at_a_reload_and_a_failure_keeps_what_is_in_force() {
    let recipe = onepassword();
    let served = recipe.serve();
    assert_eq!(served.shown_credential(), format!("Bearer {SECRET}"));

    recipe.write("bin/op.secret", "rotated\n");
    assert_eq!(served.shown_credential(), format!("Bearer {SECRET}"));
    let reloaded = served.reload();
    assert_eq!(reloaded.status.code(), Some(0), "{}", said(&reloaded));
    assert_eq!(served.shown_credential(), "Bearer rotated");

    fs::remove_file(recipe.sandbox.path("bin/op.secret")).unwrap();
    let refused = served.reload();
    let text = said(&refused);
    assert_eq!(refused.status.code(), Some(1), "{text}");
    assert!(text.contains("SECRET_PROVIDER_UNAVAILABLE"), "{text}");
    assert_eq!(served.shown_credential(), "Bearer rotated");
}

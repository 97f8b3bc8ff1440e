//! `deploy/secrets/resolver`, the template for a resolver of many ids, over a stand-in for `pass`.

use std::fs;
use std::io::Write;
use std::os::unix::fs::PermissionsExt;
use std::process::{Command, Stdio};

use crate::recipe::{Recipe, SECRET, copy_program, said};
use crate::sandbox::repository;

/// The template itself, over the stand-in for `pass`.
fn resolver() -> Recipe {
    let recipe = Recipe::of("resolver");
    let tool = recipe.sandbox.path("bin/pass");
    copy_program(&repository().join("tests/deploy/secret-tools/pass"), &tool);
    let program = recipe.sandbox.write_from(
        "deploy/secrets/resolver",
        "bin/resolver",
        &[("/usr/bin/pass", tool.to_str().unwrap())],
    );
    fs::set_permissions(&program, fs::Permissions::from_mode(0o755)).unwrap();
    recipe
        .with_program("/usr/local/lib/portcullis/resolver", &program)
        .with_file("state/gnupg/pubring.kbx", "")
        .with_file(
            "state/password-store/openclaw/gateway/token.gpg",
            &format!("{SECRET}\nnote: rotated each month\n"),
        )
}

#[test]
fn the_resolver_gives_its_secret_to_the_gateway() {
    resolver().gives_its_secret_to_the_gateway();
}

#[test]
fn the_resolver_answers_for_many_ids_in_one_run() {
    let recipe = resolver().with_file(
        "state/password-store/openclaw/portcullis/admin-token.gpg",
        "of-the-admin\n",
    );
    let mut run = Command::new(recipe.sandbox.path("bin/resolver"))
        .env("GNUPGHOME", recipe.sandbox.path("state/gnupg"))
        .env(
            "PASSWORD_STORE_DIR",
            recipe.sandbox.path("state/password-store"),
        )
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let request = r#"{"protocolVersion":1,"provider":"resolver",
        "ids":["gateway/token","gone","portcullis/admin-token"]}"#;
    let mut input = run.stdin.take().unwrap();
    input.write_all(request.as_bytes()).unwrap();
    drop(input);
    let output = run.wait_with_output().unwrap();
    assert!(output.status.success(), "{}", said(&output));
    assert!(output.stderr.is_empty(), "{}", said(&output));
    let answer: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!(
        answer,
        serde_json::json!({
            "protocolVersion": 1,
            "values": { "gateway/token": SECRET, "portcullis/admin-token": "of-the-admin" },
            "errors": { "gone": { "code": "NOT_FOUND" } },
        })
    );
}

#[test]
fn the_resolver_tells_a_missing_secret_from_one_that_it_could_not_look_for() {
    let missing = resolver().replacing("\"gateway/token\"", "\"gateway/other\"");
    missing.fails_with(
        &["SECRET_REF_NOT_FOUND", "exec:resolver:gateway/other"],
        "not in the password store",
    );
    let locked = resolver().replacing("/gnupg\"", "/no-gnupg\"");
    locked.fails_with(
        &["SECRET_REF_PROVIDER_ERROR", "exec:resolver:gateway/token"],
        "decryption failed",
    );
}

//! The recipes of `deploy/secrets/` with the tools themselves, where Debian or a package registry has them:
//! `pass` and sops, over gpg and age.

use std::fs;
use std::io::Write;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::{Command, Stdio};

use tempfile::TempDir;

use crate::recipe::{Recipe, SECRET};
use crate::scripts;

const USER: &str = "portcullis@example.com";

/// A home of gpg with one key. Its agent ends with it.
struct GpgHome(TempDir);

impl GpgHome {
    fn with_passphrase(passphrase: &str) -> Self {
        // Agents listen on sockets in it, and the name of a socket has at most 107 bytes.
        let folder = tempfile::Builder::new()
            .prefix("gpg")
            .permissions(fs::Permissions::from_mode(0o700))
            .tempdir_in("/tmp")
            .unwrap();
        let home = Self(folder);
        let options = ["--batch", "--quiet", "--pinentry-mode", "loopback"];
        let key = ["--passphrase", passphrase, "--quick-generate-key", USER];
        home.run(
            "gpg",
            &[&options[..], &key, &["default", "default", "never"]].concat(),
            "",
        );
        home
    }

    fn text(&self) -> &str {
        self.0.path().to_str().expect("a name of ours is UTF-8")
    }

    /// Fills a store of `pass` for this key, and ends the agent, which holds the passphrase.
    fn fill_store(&self, store: &Path, name: &str, secret: &str) {
        let run = |arguments: &[&str], input| {
            let store = [("PASSWORD_STORE_DIR", store.to_str().unwrap())];
            run(
                "pass",
                arguments,
                input,
                &[&store[..], &self.variables()].concat(),
            );
        };
        run(&["init", USER], "");
        run(&["insert", "--multiline", name], secret);
        self.end_agent();
    }

    fn run(&self, program: &str, arguments: &[&str], input: &str) -> String {
        run(program, arguments, input, &self.variables())
    }

    fn variables(&self) -> [(&str, &str); 1] {
        [("GNUPGHOME", self.text())]
    }

    fn end_agent(&self) {
        self.run("gpgconf", &["--kill", "all"], "");
    }
}

impl Drop for GpgHome {
    fn drop(&mut self) {
        self.end_agent();
    }
}

/// Runs a tool to its good end, and gives what it prints.
fn run(program: &str, arguments: &[&str], input: &str, environment: &[(&str, &str)]) -> String {
    let mut child = Command::new(program)
        .args(arguments)
        .envs(environment.iter().copied())
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap_or_else(|error| {
            panic!("`{program}` doesn't start ({error}); `make test` installs what the tests need")
        });
    let _ = child.stdin.take().unwrap().write_all(input.as_bytes());
    let output = child.wait_with_output().unwrap();
    let complaint = String::from_utf8_lossy(&output.stderr);
    assert!(
        output.status.success(),
        "{program} {arguments:?}: {complaint}"
    );
    String::from_utf8(output.stdout).unwrap()
}

/// A recipe over `pass`, on a store for the key of `home`.
fn over_pass(recipe: Recipe, home: &GpgHome, name: &str, secret: &str) -> Recipe {
    let (gnupg, store) = (
        recipe.sandbox.text("state/gnupg"),
        recipe.sandbox.path("state/password-store"),
    );
    home.fill_store(&store, name, secret);
    recipe.replacing(&gnupg, home.text())
}

#[test]
fn pass_itself_gives_its_secret_to_the_gateway() {
    let home = GpgHome::with_passphrase("");
    let recipe = over_pass(Recipe::of("pass"), &home, "openclaw/gateway-token", SECRET);
    recipe.gives_its_secret_to_the_gateway();

    recipe
        .replacing("openclaw/gateway-token", "openclaw/other")
        .fails_with(
            &["SECRET_PROVIDER_UNAVAILABLE", "exit status 1"],
            "not in the password store",
        );
}

#[test]
fn pass_itself_fails_where_the_key_has_a_passphrase() {
    let home = GpgHome::with_passphrase("known-to-a-person");
    let recipe = over_pass(Recipe::of("pass"), &home, "openclaw/gateway-token", SECRET);
    recipe.fails_with(&["SECRET_PROVIDER_UNAVAILABLE"], "gpg:");
}

#[test]
fn pass_itself_answers_the_resolver() {
    let home = GpgHome::with_passphrase("");
    let recipe = Recipe::of("resolver");
    let program = recipe
        .sandbox
        .write_from("deploy/secrets/resolver", "bin/resolver", &[]);
    fs::set_permissions(&program, fs::Permissions::from_mode(0o755)).unwrap();
    let recipe = recipe.with_program("/usr/local/lib/portcullis/resolver", &program);
    let secret = format!("{SECRET}\nnote: rotated each month\n");
    over_pass(recipe, &home, "openclaw/gateway/token", &secret).gives_its_secret_to_the_gateway();
}

const PLAIN: &str = "gateway:\n  token: kept-by-the-tool\n";

/// The recipe with sops itself, on a file encrypted by it.
fn sops_recipe(sops: &Path, key: &str, to: &[&str], environment: &[(&str, &str)]) -> Recipe {
    let recipe = Recipe::of("sops")
        .with_program("/usr/local/bin/sops", sops)
        .with_file("openclaw.yaml", PLAIN)
        .replacing("/run/credentials/portcullis.service/sops-key", key);
    let (plain, encrypted) = (
        recipe.sandbox.text("openclaw.yaml"),
        recipe.sandbox.text("openclaw.enc.yaml"),
    );
    let arguments = [&["-e"], to, &[&plain]].concat();
    let text = run(sops.to_str().unwrap(), &arguments, "", environment);
    assert!(!text.contains(SECRET), "{text}");
    recipe
        .with_file("openclaw.enc.yaml", &text)
        .replacing("/etc/portcullis/openclaw.enc.yaml", &encrypted)
}

#[test]
fn sops_itself_gives_its_secret_to_the_gateway() {
    let Some(sops) = scripts::run("real-sops", &[]) else {
        return;
    };
    let sops = Path::new(sops.trim());

    let key = run("age-keygen", &[], "", &[]);
    let recipient = key
        .lines()
        .find_map(|line| line.strip_prefix("# public key: "))
        .expect("age-keygen tells the public key");
    let folder = TempDir::new().unwrap();
    let key_file = folder.path().join("sops-key");
    fs::write(&key_file, &key).unwrap();
    let with_age = || sops_recipe(sops, key_file.to_str().unwrap(), &["--age", recipient], &[]);
    with_age().gives_its_secret_to_the_gateway();

    for (recipe, status, complaint) in [
        (
            with_age().replacing("[\"token\"]", "[\"other\"]"),
            1,
            "not found",
        ),
        (
            with_age().replacing("/sops-key\"", "/no-key\""),
            128,
            "data key",
        ),
        (
            with_age().replacing("openclaw.enc.yaml\"", "other.yaml\""),
            100,
            "non-existent",
        ),
    ] {
        let status = format!("exit status {status}");
        recipe.fails_with(&["SECRET_PROVIDER_UNAVAILABLE", &status], complaint);
    }

    let home = GpgHome::with_passphrase("");
    let fingerprint = home.run("gpg", &["--list-keys", "--with-colons"], "");
    let fingerprint = fingerprint
        .lines()
        .find_map(|line| line.strip_prefix("fpr:"))
        .map(|line| line.trim_matches(':'))
        .expect("gpg lists its key");
    let with_pgp = sops_recipe(
        sops,
        "/nonexistent",
        &["--pgp", fingerprint],
        &home.variables(),
    );
    home.end_agent();
    let environment = format!("PATH = \"/usr/bin:/bin\", GNUPGHOME = \"{}\"", home.text());
    with_pgp
        .replacing("SOPS_AGE_KEY_FILE = \"/nonexistent\"", &environment)
        .gives_its_secret_to_the_gateway();
}

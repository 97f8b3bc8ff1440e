//! A recipe of `deploy/secrets/`, appended as it stands to a committed configuration, with the tool that it
//! asks.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::{Command, Output};

use crate::client::{Answer, Client};
use crate::portcullis::{Configuration, Portcullis};
use crate::recorder::Recorder;
use crate::sandbox::{PORTCULLIS, Sandbox, committed_file, repository, with_replacements};

/// What the tools of all recipes hold.
pub(crate) const SECRET: &str = "kept-by-the-tool";

/// Listens on loopback, and lets in there who has the proxy's certificate.
const BASE: &str = "deploy/identity-proxies/nginx-oauth2-proxy/portcullis.toml";

/// The folder in which recipes look for the service's own files.
const STATE: &str = "/var/lib/portcullis/";

/// A recipe, and a folder for what it names.
pub(crate) struct Recipe {
    name: &'static str,
    pub(crate) sandbox: Sandbox,
    /// What this machine has elsewhere.
    paths: Vec<(String, String)>,
    environment: Vec<(&'static str, String)>,
}

impl Recipe {
    /// `deploy/secrets/NAME.toml`.
    pub(crate) fn of(name: &'static str) -> Self {
        let recipe = Self {
            name,
            sandbox: Sandbox::new(),
            paths: Vec::new(),
            environment: Vec::new(),
        };
        fs::create_dir(recipe.sandbox.path("bin")).unwrap();
        fs::create_dir(recipe.sandbox.path("state")).unwrap();
        let uses_state = committed_file(&recipe.file()).contains(STATE);
        let state = recipe.sandbox.text("state/");
        if uses_state {
            recipe.replacing(STATE, &state)
        } else {
            recipe
        }
    }

    /// With `from` replaced, which must be there.
    pub(crate) fn replacing(mut self, from: &str, to: &str) -> Self {
        self.paths.push((from.to_owned(), to.to_owned()));
        self
    }

    /// With a stand-in of `tests/deploy/secret-tools/` in the place of the recipe's program.
    pub(crate) fn with_stand_in(self, tool: &str, program: &str) -> Self {
        let committed = repository().join("tests/deploy/secret-tools").join(tool);
        let stand_in = self.sandbox.path("bin").join(tool);
        copy_program(&committed, &stand_in);
        self.with_program(program, &stand_in)
    }

    /// With another program in the place of the recipe's.
    pub(crate) fn with_program(self, program: &str, instead: &Path) -> Self {
        let folder = |path: &Path| format!("[\"{}\"]", path.parent().unwrap().display());
        let command = |path: &Path| format!("command = \"{}\"", path.display());
        let program = Path::new(program);
        self.replacing(&command(program), &command(instead))
            .replacing(
                &format!("trustedDirs = {}", folder(program)),
                &format!("trustedDirs = {}", folder(instead)),
            )
    }

    /// With a variable in Portcullis' own environment.
    pub(crate) fn with_variable(mut self, name: &'static str, value: &str) -> Self {
        self.environment.push((name, value.to_owned()));
        self
    }

    /// With a file in the sandbox, for its owner alone.
    pub(crate) fn with_file(self, name: &str, content: &str) -> Self {
        self.write(name, content);
        self
    }

    /// Writes such a file.
    pub(crate) fn write(&self, name: &str, content: &str) {
        let path = self.sandbox.path(name);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(&path, content).unwrap();
        fs::set_permissions(&path, fs::Permissions::from_mode(0o600)).unwrap();
    }

    /// Checks it, then serves with it: the gateway is shown the secret, and nothing said or logged holds it.
    pub(crate) fn gives_its_secret_to_the_gateway(&self) {
        let checked = self.check();
        assert_eq!(checked.status.code(), Some(0), "{}", said(&checked));
        let served = self.serve();
        assert_eq!(served.shown_credential(), format!("Bearer {SECRET}"));
        for text in [said(&checked), served.log()] {
            assert!(!text.contains(SECRET), "{text}");
        }
    }

    /// Refuses it: names where the secret is used and all of `words`, and repeats neither the tool's own
    /// `complaint` nor the secret.
    pub(crate) fn fails_with(&self, words: &[&str], complaint: &str) {
        let checked = self.check();
        let text = said(&checked);
        assert_eq!(checked.status.code(), Some(2), "{text}");
        for word in ["upstream.credential.value: "].iter().chain(words) {
            assert!(text.contains(word), "`{word}` in {text}");
        }
        assert!(!text.contains(complaint), "{text}");
        assert!(!text.contains(SECRET), "{text}");
    }

    /// What `portcullis check --resolve` says.
    pub(crate) fn check(&self) -> Output {
        let upstream = Recorder::gateway();
        self.portcullis(&["check", "--resolve"], &self.configuration(&upstream))
    }

    /// Starts Portcullis behind a proxy that is let in, before a recording gateway.
    pub(crate) fn serve(&self) -> Served<'_> {
        let gateway = Recorder::gateway();
        let configuration = self.configuration(&gateway);
        let portcullis = Portcullis::run(&self.sandbox, &configuration, &self.variables());
        let tls = |name: &str| self.sandbox.path("tls").join(name);
        let proxy = Client::with_certificate(
            portcullis.door,
            "portcullis.internal",
            &tls("ca.pem"),
            &tls("proxy.pem"),
            &tls("proxy.key"),
        );
        Served {
            recipe: self,
            configuration,
            gateway,
            proxy,
            _portcullis: portcullis,
        }
    }

    fn file(&self) -> String {
        format!("deploy/secrets/{}.toml", self.name)
    }

    fn configuration(&self, upstream: &Recorder) -> Configuration {
        let paths: Vec<(&str, &str)> = self
            .paths
            .iter()
            .map(|(from, to)| (from.as_str(), to.as_str()))
            .collect();
        let recipe = format!("\n{}", with_replacements(&self.file(), &paths));
        Configuration::write(&self.sandbox, BASE, upstream.address(), &[], &recipe)
    }

    fn portcullis(&self, command: &[&str], configuration: &Configuration) -> Output {
        Command::new(PORTCULLIS)
            .args(command)
            .args(["--config", configuration.argument()])
            .env("HOME", self.sandbox.path(""))
            .envs(self.variables())
            .output()
            .unwrap()
    }

    fn variables(&self) -> Vec<(&str, &str)> {
        self.environment
            .iter()
            .map(|(name, value)| (*name, value.as_str()))
            .collect()
    }
}

/// Both outputs.
pub(crate) fn said(output: &Output) -> String {
    format!(
        "{}{}",
        String::from_utf8_lossy(&output.stdout),
        String::from_utf8_lossy(&output.stderr)
    )
}

/// Copies a program, for its owner to change alone, whatever the checkout's modes are.
pub(crate) fn copy_program(from: &Path, to: &Path) {
    fs::copy(from, to).unwrap();
    fs::set_permissions(to, fs::Permissions::from_mode(0o755)).unwrap();
}

/// Portcullis, serving with the recipe's secret.
pub(crate) struct Served<'a> {
    recipe: &'a Recipe,
    configuration: Configuration,
    gateway: Recorder,
    proxy: Client,
    _portcullis: Portcullis,
}

impl Served<'_> {
    /// The credential that the gateway is shown.
    pub(crate) fn shown_credential(&self) -> String {
        let answer: Answer = self.proxy.send(
            "GET / HTTP/1.1\r\nHost: claw.example.com\r\nX-Forwarded-User: nick@example.com\r\n\
             X-Forwarded-Proto: https\r\nX-Forwarded-Host: claw.example.com\r\n\
             X-Forwarded-For: 198.51.100.9\r\nAuthorization: Bearer of-the-client\r\n\r\n",
        );
        assert_eq!(answer.status, 200, "{answer:?}");
        let heads = self.gateway.heads();
        let head = heads.last().expect("the gateway got the request");
        let values = head.values("authorization");
        assert_eq!(values.len(), 1, "{}", head.text());
        values[0].to_owned()
    }

    /// What `portcullis secrets reload` says.
    pub(crate) fn reload(&self) -> Output {
        self.recipe
            .portcullis(&["secrets", "reload"], &self.configuration)
    }

    /// What Portcullis logged so far.
    pub(crate) fn log(&self) -> String {
        fs::read_to_string(self.recipe.sandbox.path("portcullis.log")).unwrap()
    }
}

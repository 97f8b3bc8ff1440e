//! Portcullis on a configuration from `deploy/`.

use std::fs;
use std::net::SocketAddr;
use std::path::PathBuf;

use crate::client;
use crate::reserved_port::reserve;
use crate::sandbox::{PORTCULLIS, Running, Sandbox, with_replacements};

/// A configuration from `deploy/`, on addresses of this machine.
pub(crate) struct Configuration {
    door: SocketAddr,
    admin: SocketAddr,
    /// Where it is.
    pub(crate) file: PathBuf,
}

impl Configuration {
    /// Writes a committed configuration, its addresses, certificates and upstream replaced, and `more`
    /// with them. `appended` comes after it.
    pub(crate) fn write(
        sandbox: &Sandbox,
        committed: &str,
        upstream: SocketAddr,
        more: &[(&str, &str)],
        appended: &str,
    ) -> Self {
        let (door, admin) = (reserve(), reserve());
        let tls = sandbox.text("tls/");
        let (door_text, admin_text, upstream_text) = (
            format!("\"{door}\""),
            format!("\"{admin}\""),
            format!("\"http://{upstream}\""),
        );
        let mut replacements = vec![
            ("\"http://127.0.0.1:18789\"", upstream_text.as_str()),
            ("\"127.0.0.1:9180\"", &admin_text),
            ("/etc/portcullis/tls/", &tls),
        ];
        let listens_on = if more.is_empty() {
            "\"127.0.0.1:8443\""
        } else {
            "\"10.0.0.7:8443\""
        };
        replacements.push((listens_on, &door_text));
        replacements.extend(more);
        let file = sandbox.path("portcullis.toml");
        let text = with_replacements(committed, &replacements);
        fs::write(&file, format!("{text}{appended}")).unwrap();
        Self { door, admin, file }
    }

    /// Its name, as an argument.
    pub(crate) fn argument(&self) -> &str {
        self.file
            .to_str()
            .expect("a temporary folder's name is UTF-8")
    }
}

/// Portcullis, running.
pub(crate) struct Portcullis {
    pub(crate) door: SocketAddr,
    pub(crate) admin: SocketAddr,
    _running: Running,
}

impl Portcullis {
    /// Starts it on a configuration from `deploy/`, its addresses, certificates and upstream
    /// replaced, and `more` with them.
    pub(crate) fn start(
        sandbox: &Sandbox,
        committed: &str,
        upstream: SocketAddr,
        more: &[(&str, &str)],
    ) -> Self {
        let configuration = Configuration::write(sandbox, committed, upstream, more, "");
        Self::run(sandbox, &configuration, &[])
    }

    /// Starts it on a configuration, with further variables in its environment.
    pub(crate) fn run(
        sandbox: &Sandbox,
        configuration: &Configuration,
        environment: &[(&str, &str)],
    ) -> Self {
        let &Configuration { door, admin, .. } = configuration;
        let arguments = ["run", "--config", configuration.argument()];
        let running = Running::start_with(sandbox, PORTCULLIS, &arguments, environment).accepting(
            sandbox,
            "portcullis.log",
            door,
        );
        Self {
            door,
            admin,
            _running: running,
        }
    }

    /// How many requests the front door has answered, whatever the outcome.
    pub(crate) fn requests(&self) -> u64 {
        let answer = client::fetch(self.admin, "/metrics").expect("the admin listener answers");
        assert_eq!(answer.status, 200, "{answer:?}");
        answer
            .body
            .lines()
            .filter(|line| line.starts_with("portcullis_requests_total"))
            .filter_map(|line| line.rsplit_once(' '))
            .map(|(_, count)| count.parse::<f64>().expect("a counter is a number") as u64)
            .sum()
    }
}

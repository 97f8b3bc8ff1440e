//! A client, nginx or Caddy on its committed configuration, Portcullis over TLS, and a recording
//! upstream.

use std::net::SocketAddr;

use crate::client::{Answer, Client};
use crate::portcullis::Portcullis;
use crate::recorder::Recorder;
use crate::reserved_port::reserve;
use crate::sandbox::{PUBLIC_NAME, Running, Sandbox};

/// An identity proxy in front of Portcullis in front of a recording upstream.
pub(crate) struct Chain {
    pub(crate) client: Client,
    /// As the client writes it, with the port, which isn't the default.
    pub(crate) host: String,
    pub(crate) edge: SocketAddr,
    pub(crate) gateway: Recorder,
    pub(crate) oauth2_proxy: Recorder,
    pub(crate) portcullis: Portcullis,
    _proxy: Running,
    pub(crate) sandbox: Sandbox,
}

impl Chain {
    /// With Debian's nginx.
    pub(crate) fn nginx() -> Self {
        Self::start(
            "nginx-oauth2-proxy",
            |sandbox, edge, portcullis, oauth2_proxy| {
                let (listen, door, auth) = (
                    format!("listen {edge} ssl http2"),
                    format!("server {portcullis};"),
                    format!("http://{oauth2_proxy}"),
                );
                let redirect = format!("listen {};", reserve());
                let (edge_dir, tls) = (sandbox.text("edge/"), sandbox.text("tls/"));
                let site = sandbox.write_from(
                    "deploy/identity-proxies/nginx-oauth2-proxy/nginx.conf",
                    "site.conf",
                    &[
                        ("listen 80;", &redirect),
                        ("listen 443 ssl http2", &listen),
                        ("server 127.0.0.1:8443;", &door),
                        ("http://127.0.0.1:4180", &auth),
                        ("/etc/nginx/tls/", &edge_dir),
                        ("/etc/nginx/portcullis/", &tls),
                    ],
                );
                // What Debian's nginx.conf has around a site, in one process: workers outlive a master that
                // is killed.
                let dir = sandbox.text("");
                std::fs::write(
                sandbox.path("nginx.conf"),
                format!(
                    "daemon off; master_process off; pid {dir}nginx.pid; error_log stderr;\n\
                     events {{ worker_connections 64; }}\n\
                     http {{ access_log off; client_body_temp_path {dir}body; proxy_temp_path {dir}proxy;\n\
                     fastcgi_temp_path {dir}fastcgi; uwsgi_temp_path {dir}uwsgi; scgi_temp_path {dir}scgi;\n\
                     include {}; }}\n",
                    site.display()
                ),
            )
            .unwrap();
                // -e: else nginx opens its compiled-in error log first, which may not be ours to write.
                Running::start(
                    sandbox,
                    "nginx",
                    &["-e", "stderr", "-c", &sandbox.text("nginx.conf")],
                )
                .accepting(sandbox, "nginx.log", edge)
            },
        )
    }

    /// With Debian's Caddy.
    pub(crate) fn caddy() -> Self {
        Self::start("caddy", |sandbox, edge, portcullis, oauth2_proxy| {
            let (admin, door, auth, pages, tls) = (
                format!(
                    "admin unix/{}\n\tauto_https disable_redirects",
                    sandbox.text("caddy.sock")
                ),
                format!("https://{portcullis} "),
                format!("forward_auth {oauth2_proxy} "),
                format!("reverse_proxy {oauth2_proxy} "),
                sandbox.text("tls/"),
            );
            let site = format!(
                "https://{PUBLIC_NAME}:{} {{\n\tbind 127.0.0.1\n\ttls {1}.pem {1}.key",
                edge.port(),
                sandbox.text(&format!("edge/{PUBLIC_NAME}")),
            );
            sandbox.write_from(
                "deploy/identity-proxies/caddy/Caddyfile",
                "Caddyfile",
                &[
                    ("admin unix//run/caddy/admin.sock", &admin),
                    ("claw.example.com {", &site),
                    // With the blank behind it: a port that was drawn may begin like one of these.
                    ("https://127.0.0.1:8443 ", &door),
                    ("forward_auth 127.0.0.1:4180 ", &auth),
                    ("reverse_proxy 127.0.0.1:4180 ", &pages),
                    ("/etc/caddy/portcullis/", &tls),
                ],
            );
            Running::start(
                sandbox,
                "caddy",
                &[
                    "run",
                    "--adapter",
                    "caddyfile",
                    "--config",
                    &sandbox.text("Caddyfile"),
                ],
            )
            .accepting(sandbox, "caddy.log", edge)
        })
    }

    fn start(
        folder: &str,
        start_proxy: impl FnOnce(&Sandbox, SocketAddr, SocketAddr, SocketAddr) -> Running,
    ) -> Self {
        let sandbox = Sandbox::new();
        let gateway = Recorder::gateway();
        let oauth2_proxy = Recorder::oauth2_proxy();
        let config = format!("deploy/identity-proxies/{folder}/portcullis.toml");
        let portcullis = Portcullis::start(&sandbox, &config, gateway.address(), &[]);
        let edge = reserve();
        let proxy = start_proxy(&sandbox, edge, portcullis.door, oauth2_proxy.address());
        let client = Client::new(
            edge,
            PUBLIC_NAME,
            &sandbox.path(&format!("edge/{PUBLIC_NAME}.pem")),
        );
        let host = format!("{PUBLIC_NAME}:{}", edge.port());
        Self {
            client,
            host,
            edge,
            gateway,
            oauth2_proxy,
            portcullis,
            _proxy: proxy,
            sandbox,
        }
    }

    /// One request from outside, `headers` as they are written.
    pub(crate) fn get(&self, path: &str, headers: &str) -> Answer {
        let answer = self.client.send(&format!(
            "GET {path} HTTP/1.1\r\nHost: {}\r\n{headers}\r\n",
            self.host
        ));
        // No chain is meant to be broken, and only the logs tell where one is.
        assert_ne!(answer.status, 502, "{answer:?}\n{}", self.logs());
        answer
    }

    /// What the programs wrote.
    fn logs(&self) -> String {
        ["nginx.log", "caddy.log", "portcullis.log"]
            .into_iter()
            .filter_map(|name| {
                let text = std::fs::read_to_string(self.sandbox.path(name)).ok()?;
                Some(format!("==== {name}\n{text}"))
            })
            .collect()
    }
}

//! The files that a config names.

use super::*;

#[test]
fn every_file_has_its_key_and_what_the_back_door_reads_is_not_in_use_without_it() {
    let more = r#"
[upstream]
url = "https://127.0.0.1:18789"
caFile = "/gateway-ca"
[gateway.auth.trustedProxy.assertion]
preset = "oidc"
header = "x-signed"
issuer = "https://idp.example.com"
audience = ["portcullis"]
keysUrl = "https://idp.example.com/keys"
caFile = "/issuer-ca"
[gateway.tls]
certPath = "/chain"
keyPath = "/key"
clientCaPath = "/sources-ca"
[models]
{listen}
envFile = "/keys"
[models.providers.local]
baseUrl = "https://models.example.com"
caFile = "/models-ca"
"#;
    let users = with(
        "allowUsers = [\"nick@example.com\"]",
        "allowUsersFile = \"/users\"",
    );
    let users = users.replace("[upstream]\nurl = \"http://127.0.0.1:18789\"\n", "");
    for (listen, is_on) in [("", false), ("listen = \"127.0.0.1:0\"", true)] {
        let config = config(&format!("{users}{}", more.replace("{listen}", listen)));
        let files: Vec<_> = config
            .named_files()
            .into_iter()
            .map(|file| {
                let is_used = file.activity == Activity::Active;
                let path = file.path.display().to_string();
                (file.key, path, file.role.is_secret(), is_used)
            })
            .collect();
        let proxy = "gateway.auth.trustedProxy";
        let expected = [
            ("gateway.tls.certPath".to_owned(), "/chain", false, true),
            ("gateway.tls.keyPath".to_owned(), "/key", true, true),
            (
                "gateway.tls.clientCaPath".to_owned(),
                "/sources-ca",
                false,
                true,
            ),
            ("upstream.caFile".to_owned(), "/gateway-ca", false, true),
            (format!("{proxy}.allowUsersFile"), "/users", false, true),
            (
                format!("{proxy}.assertion.caFile"),
                "/issuer-ca",
                false,
                true,
            ),
            ("models.envFile".to_owned(), "/keys", true, is_on),
            (
                "models.providers.local.caFile".to_owned(),
                "/models-ca",
                false,
                is_on,
            ),
        ];
        let expected = expected
            .map(|(key, path, is_secret, is_used)| (key, path.to_owned(), is_secret, is_used));
        assert_eq!(files, expected);
    }
}

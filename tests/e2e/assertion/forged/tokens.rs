//! Tokens that a verifier may take for genuine, and must not.

use crate::assertion::*;
use crate::signer::{hmac_token, part, unsigned};

/// A genuine signature of 1024 bits by RS256, and its key.
const SMALL_TOKEN: &str = "eyJhbGciOiJSUzI1NiIsImtpZCI6InNtYWxsIiwidHlwIjoiSldUIn0.eyJpc3MiOiJodHRwczovL2lzc3Vlci5leGFtcGxlLmNvbSIsImF1ZCI6ImNsYXciLCJlbWFpbCI6Im5pY2tAZXhhbXBsZS5jb20iLCJleHAiOjQxMDI0NDQ4MDB9.gwekxcGhfpBpHwGejcgleajRtKPe5avFGbQAifqrrZ2y3mddyeNhw7TqS722BnJURG17RXWGjhJeb2HttzpdRnGkaCe0j6Ue6VpGIagnRz9mXHImjjxkxj5TK2TNNqir6Y7Mjs_bS1egqKwQZR-p0DZHcm6_zMm1BC_GJSBMC7Y";
const SMALL_MODULUS: &str = "-Bsd08PexFNuuIKY5p_FEZAbeN35yUPD3ib0fDSsrk3Tm-kFZoGAzeX5me_8g-4BQnRsITYsEs3iNk9J9Bas8IATxbMBHFXGgU7IewPBYwisDL5SEw2FgCvLCw8EDUdpRPX7CNIVhcJCk5ljahFxmDJvCCrQsDfYghZxkwonPrE";

/// The keys of an issuer who takes RS256 and ES256.
pub(super) struct Keys {
    pub(super) rsa: Signer,
    ec: Signer,
    ec384: Signer,
    ed: Signer,
    encrypting: Signer,
}

impl Keys {
    /// Another set at each call, but for RSA.
    pub(super) fn new() -> Self {
        Self {
            rsa: Signer::rsa(),
            ec: Signer::p256(),
            ec384: Signer::p384(),
            ed: Signer::ed25519(),
            encrypting: Signer::p256(),
        }
    }

    /// As the issuer publishes them, with some that are no keys for this.
    pub(super) fn published(&self) -> Vec<Value> {
        let wrapping = but(self.encrypting.jwk("wrap"), "key_ops", json!(["wrapKey"]));
        let small = json!({"kty": "RSA", "kid": "small", "n": SMALL_MODULUS, "e": "AQAB"});
        vec![
            self.rsa.jwk("rsa"),
            self.ec.jwk("ec"),
            self.ec384.jwk("ec384"),
            self.ed.jwk("ed"),
            but(self.encrypting.jwk("enc"), "use", "enc"),
            wrapping,
            but(self.rsa.jwk("bound"), "alg", "PS256"),
            but(self.rsa.jwk("wrapped"), "alg", "RSA-OAEP-256"),
            small,
        ]
    }

    /// A genuine token.
    pub(super) fn good(&self) -> String {
        self.ec.token(&header("ES256", "ec"), &claims())
    }

    /// By `ec`, with a member of the header that isn't what it is.
    pub(super) fn headed(&self, name: &str, value: impl Into<Value>) -> String {
        let header = but(header("ES256", "ec"), name, value);
        self.ec.token(&header, &claims())
    }

    /// By `ec`, with a claim that isn't what it is.
    pub(super) fn claiming(&self, name: &str, value: impl Into<Value>) -> String {
        self.ec
            .token(&header("ES256", "ec"), &claims_but(name, value))
    }

    /// By somebody else, who brings the key along.
    pub(super) fn bringing(&self, attacker: &Issuer) -> Vec<(&'static str, String)> {
        let other = Signer::p256();
        attacker.publish_keys(&[other.jwk("ec")]);
        attacker.publish("/key.pem", &other.pem());
        let certificate = rcgen::generate_simple_self_signed(["a".to_owned()]).unwrap();
        let chain = json!([base64_of(certificate.cert.der())]);
        let brought = [
            ("jku", json!(attacker.keys_url())),
            ("x5u", json!(attacker.url("/key.pem"))),
            ("jwk", other.jwk("ec")),
            ("x5c", chain),
        ];
        brought
            .map(|(name, value)| {
                let header = but(header("ES256", "ec"), name, value);
                (name, other.token(&header, &claims()))
            })
            .to_vec()
    }

    /// Signed by secrets that everybody knows.
    pub(super) fn by_secret(&self) -> Vec<(&'static str, String)> {
        let modulus = self.rsa.jwk("rsa")["n"].to_string();
        let secrets: Vec<Vec<u8>> = [&self.rsa, &self.ec]
            .iter()
            .flat_map(|signer| {
                let jwk = signer.jwk("ec");
                let pem = signer.pem();
                [
                    pem.clone().into_bytes(),
                    pem.trim_end().as_bytes().to_vec(),
                    signer.der(),
                    jwk.to_string().into_bytes(),
                    json!({ "keys": [jwk] }).to_string().into_bytes(),
                ]
            })
            .chain([modulus.trim_matches('"').as_bytes().to_vec(), vec![]])
            .collect();
        let mut tokens = Vec::new();
        for secret in secrets {
            for (algorithm, id) in [("HS256", "rsa"), ("HS256", "ec"), ("HS512", "ec")] {
                let header = header(algorithm, id);
                tokens.push(("a shared secret", hmac_token(&header, &claims(), &secret)));
                // Whose header says what the key would be for.
                let header =
                    crate::assertion::header(if id == "rsa" { "RS256" } else { "ES256" }, id);
                tokens.push(("a shared secret", hmac_token(&header, &claims(), &secret)));
            }
        }
        tokens
    }

    /// Of which `alg` is not what it should be, or the key isn't.
    pub(super) fn by_algorithm(&self) -> Vec<(&'static str, String)> {
        let good = self.good();
        let (signed, signature) = good.rsplit_once('.').unwrap();
        let mut tokens = vec![("no signature", format!("{signed}."))];
        for name in [
            "none", "None", "NONE", "nOnE", "", "ES256 ", "es256", "ES256K",
        ] {
            let header = header(name, "ec");
            let bare = unsigned(&header.to_string(), &claims().to_string());
            tokens.push(("no algorithm", format!("{bare}.")));
            tokens.push(("no algorithm", format!("{bare}.{signature}")));
            tokens.push((
                "a signed other algorithm",
                self.ec.token(&header, &claims()),
            ));
        }
        let wrong = [
            ("RS256", "ec", &self.ec),
            ("RS256", "ec", &self.rsa),
            ("ES256", "rsa", &self.rsa),
            ("ES256", "rsa", &self.ec),
            ("ES256", "ec384", &self.ec384),
            ("ES256", "ed", &self.ed),
            ("RS256", "ed", &self.ed),
            // Genuine, and none that is asked for.
            ("PS256", "rsa", &self.rsa),
            ("RS384", "rsa", &self.rsa),
            ("RS512", "rsa", &self.rsa),
            ("ES384", "ec384", &self.ec384),
            ("EdDSA", "ed", &self.ed),
            // Genuine, by keys that are for something else.
            ("RS256", "bound", &self.rsa),
            ("RS256", "wrapped", &self.rsa),
            ("ES256", "enc", &self.encrypting),
            ("ES256", "wrap", &self.encrypting),
            // The right id, and somebody else's key.
            ("ES256", "ec", &self.encrypting),
        ];
        for (algorithm, id, signer) in wrong {
            tokens.push((
                "a wrong key",
                signer.token(&header(algorithm, id), &claims()),
            ));
        }
        tokens.push(("a small key", SMALL_TOKEN.to_owned()));
        tokens
    }

    /// Whose header isn't what it should be.
    pub(super) fn by_header(&self) -> Vec<(&'static str, String)> {
        let claims = claims().to_string();
        let twice = r#"{"alg":"none","alg":"ES256","kid":"ec"}"#;
        let other_twice = r#"{"alg":"ES256","kid":"rsa","kid":"ec"}"#;
        vec![
            ("no kid", self.headed("kid", Value::Null)),
            ("an empty kid", self.headed("kid", "")),
            ("a kid of another type", self.headed("kid", 1)),
            ("an unknown kid", self.headed("kid", "ec2")),
            ("a kid with white space", self.headed("kid", "ec ")),
            ("no alg", self.headed("alg", Value::Null)),
            ("alg of another type", self.headed("alg", json!(["ES256"]))),
            ("crit", self.headed("crit", json!(["exp"]))),
            ("empty crit", self.headed("crit", json!([]))),
            ("another type", self.headed("typ", "secevent+jwt")),
            ("alg twice", self.ec.token_of(twice, &claims)),
            ("kid twice", self.ec.token_of(other_twice, &claims)),
            (
                "a header that is no object",
                self.ec.token_of(r#""ES256""#, &claims),
            ),
            (
                "a header in an array",
                self.ec
                    .token_of(r#"["ES256","ec","JWT",null,null,null,null,null]"#, &claims),
            ),
            ("a header that is no JSON", self.ec.token_of("{", &claims)),
        ]
    }

    /// Whose claims aren't what they should be, or hold too little.
    pub(super) fn by_claims(&self) -> Vec<(&'static str, String)> {
        let header = header("ES256", "ec").to_string();
        let text = claims().to_string();
        let twice = text.replacen('{', r#"{"email":"ada@example.com","#, 1);
        let audience_twice = text.replacen('{', r#"{"aud":"other","#, 1);
        vec![
            (
                "another issuer",
                self.claiming("iss", "https://evil.example"),
            ),
            (
                "an issuer with a slash",
                self.claiming("iss", format!("{ISSUER}/")),
            ),
            ("no issuer", self.claiming("iss", Value::Null)),
            ("issuers", self.claiming("iss", json!([ISSUER]))),
            ("another audience", self.claiming("aud", "other")),
            ("a longer audience", self.claiming("aud", "claw2")),
            ("an audience of another case", self.claiming("aud", "Claw")),
            ("no audience", self.claiming("aud", Value::Null)),
            ("no audiences", self.claiming("aud", json!([]))),
            (
                "an audience that is none",
                self.claiming("aud", json!([AUDIENCE, 1])),
            ),
            (
                "an audience in an object",
                self.claiming("aud", json!({AUDIENCE: true})),
            ),
            ("no end", self.claiming("exp", Value::Null)),
            (
                "an end in text",
                self.claiming("exp", (now() + 300).to_string()),
            ),
            ("an end before 1970", self.claiming("exp", -1)),
            ("an end that is true", self.claiming("exp", true)),
            ("not yet", self.claiming("nbf", now() + 90)),
            ("not yet issued", self.claiming("iat", now() + 90)),
            ("a beginning in text", self.claiming("nbf", "0")),
            ("no user", self.claiming("email", Value::Null)),
            ("a blank user", self.claiming("email", "")),
            ("users", self.claiming("email", json!([NICK]))),
            (
                "an unverified address",
                self.claiming("email_verified", false),
            ),
            (
                "an unverified address in text",
                self.claiming("email_verified", "false"),
            ),
            ("the user twice", self.ec.token_of(&header, &twice)),
            (
                "the audience twice",
                self.ec.token_of(&header, &audience_twice),
            ),
            (
                "claims that are no object",
                self.ec.token_of(&header, &format!("[{text}]")),
            ),
            ("claims that are nothing", self.ec.token_of(&header, "null")),
            (
                "claims and more",
                self.ec.token_of(&header, &format!("{text}{text}")),
            ),
        ]
    }

    /// That aren't written as they should be.
    pub(super) fn by_form(&self) -> Vec<(&'static str, String)> {
        // One that standard base64 would write in another way.
        let good = loop {
            let good = self.good();
            if good
                .rsplit('.')
                .next()
                .is_some_and(|signature| signature.contains('-'))
            {
                break good;
            }
        };
        let parts: Vec<&str> = good.split('.').collect();
        let [header, claims, signature] = parts[..] else {
            unreachable!("a token has three parts")
        };
        let other = part(
            claims_but("email", "ada@example.com")
                .to_string()
                .as_bytes(),
        );
        let flipped: String = {
            let last = if signature.ends_with('A') { 'Q' } else { 'A' };
            let rest = &signature[..signature.len() - 1];
            format!("{rest}{last}")
        };
        vec![
            ("other claims", format!("{header}.{other}.{signature}")),
            ("another signature", format!("{header}.{claims}.{flipped}")),
            ("a dot more", format!("{good}.")),
            ("a part more", format!("{good}.e30")),
            (
                "an encrypted token",
                format!("{header}.{claims}.{claims}.{claims}.{signature}"),
            ),
            ("padding", format!("{good}=")),
            ("paddings", format!("{good}==")),
            ("bytes more", format!("{good}AA")),
            ("a dot before", format!(".{good}")),
            ("a space within", format!("{header}. {claims}.{signature}")),
            ("two tokens", format!("{good},{good}")),
            ("two tokens with a space", format!("{good} {good}")),
            ("a bearer's", format!("Bearer {good}")),
            ("quotes", format!("\"{good}\"")),
            ("percents", good.replace('.', "%2e")),
            (
                "standard base64",
                format!("{header}.{claims}.{}", signature.replace('-', "+")),
            ),
            ("no claims", format!("{header}..{signature}")),
            ("no header", format!(".{claims}.{signature}")),
            ("dots", "..".to_owned()),
            ("one word", "x".to_owned()),
            (
                "JSON",
                format!("{{\"payload\":\"{claims}\",\"signature\":\"{signature}\"}}"),
            ),
        ]
    }
}

fn base64_of(bytes: &[u8]) -> String {
    use base64::Engine;
    base64::engine::general_purpose::STANDARD.encode(bytes)
}

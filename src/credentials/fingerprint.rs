//! A name for a secret that tells nothing of it: for logs, status and the sink.

use crate::secrets::SecretValue;
use sha2::{Digest, Sha256};

/// Sets these digests apart from every other use of the hash.
const SECRET: &[u8] = b"portcullis credential fingerprint v1\0";
/// Likewise, for what is no secret.
const NAME: &[u8] = b"portcullis name fingerprint v1\0";

/// Eight hexadecimal digits of the secret's SHA-256. Provider keys are random and long,
/// so that nobody finds one by its fingerprint; the same key has the same one in every
/// process and after every restart.
#[must_use]
pub fn fingerprint(secret: &SecretValue) -> String {
    digits(SECRET, secret.expose_bytes(), 4)
}

/// Sixteen hexadecimal digits that stand for a name in a file's name.
pub(super) fn of_name(name: &str) -> String {
    digits(NAME, name.as_bytes(), 8)
}

fn digits(domain: &[u8], bytes: &[u8], count: usize) -> String {
    let digest = Sha256::new().chain_update(domain).chain_update(bytes);
    let digest = digest.finalize();
    let bytes = digest.iter().take(count);
    bytes.map(|byte| format!("{byte:02x}")).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn is_stable_and_tells_secrets_apart() {
        let of = |text: &str| fingerprint(&SecretValue::new(text.to_owned()));
        // A change would orphan every cool-down and refresh attempt in a sink.
        assert_eq!(of("sk-test"), "d2b2c54f");
        assert_ne!(of("sk-test"), of("sk-tesu"));
        assert_ne!(of("a:b"), of_name("a:b")[..8]);
        assert_eq!(of_name("openai:default").len(), 16);
    }
}

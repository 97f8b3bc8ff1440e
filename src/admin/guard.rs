//! Who may administer: only a holder of the token.

use hyper::header::{AUTHORIZATION, HeaderMap};

use super::answer::Refusal;
use crate::local_caller::{bearer, only_value};
use crate::snapshot::Token;

/// Refuses whoever doesn't show the token.
pub(super) fn check_token(token: &Token, headers: &HeaderMap) -> Result<(), Refusal> {
    match only_value(headers, &AUTHORIZATION).and_then(bearer) {
        Some(shown) if token.is(shown) => Ok(()),
        _ => Err(Refusal::Unauthorized),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::secrets::SecretValue;
    use hyper::header::HeaderValue;

    #[test]
    fn only_the_whole_token_opens() {
        let token = Token::new(SecretValue::concat(&["s3cret"])).unwrap();
        for (values, opens) in [
            (&["Bearer s3cret"][..], true),
            (&["bearer s3cret"], true),
            (&["BEARER  s3cret"], true),
            (&[], false),
            (&[""], false),
            (&["Bearer"], false),
            (&["Bearer "], false),
            (&["Bearer s3cre"], false),
            (&["Bearer s3crett"], false),
            (&["Bearer S3cret"], false),
            (&["Basic s3cret"], false),
            (&["s3cret"], false),
            (&["Bearer s3cret", "Bearer s3cret"], false),
        ] {
            let mut headers = HeaderMap::new();
            for value in values {
                headers.append(AUTHORIZATION, HeaderValue::from_static(value));
            }
            assert_eq!(check_token(&token, &headers).is_ok(), opens, "{values:?}");
        }
    }
}

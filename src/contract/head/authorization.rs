//! `Authorization`: a Bearer token where one is wanted, a refusal in the client's own scheme where
//! none is.
//!
//! This file decides the syntax of credentials. It must not look into a token.

use http::HeaderMap;
use http::header::AUTHORIZATION;

use super::Line;
use crate::fault::Fault;
use crate::octets::Octets;

/// Longest Bearer token, in bytes. The whole head has a limit of its own.
pub(super) const TOKEN_BYTES_MAX: usize = 16 * 1024;

/// A challenge for each scheme of the IANA registry that a client might try, so that nothing of a
/// request is echoed. Schemes whose challenge would need a fresh nonce get the realm only: no
/// answer to it would be accepted anyway.
const CHALLENGES: [(&str, &str); 15] = [
    ("Basic", r#"Basic realm="corgate""#),
    ("Bearer", r#"Bearer realm="corgate""#),
    ("Concealed", r#"Concealed realm="corgate""#),
    ("Digest", r#"Digest realm="corgate""#),
    ("DPoP", r#"DPoP realm="corgate""#),
    ("GNAP", r#"GNAP realm="corgate""#),
    ("HOBA", r#"HOBA realm="corgate""#),
    ("Mutual", r#"Mutual realm="corgate""#),
    // RFC 4559 section 4.1: the scheme stands alone.
    ("Negotiate", "Negotiate"),
    ("NTLM", "NTLM"),
    ("OAuth", r#"OAuth realm="corgate""#),
    ("PrivateToken", r#"PrivateToken realm="corgate""#),
    ("SCRAM-SHA-1", r#"SCRAM-SHA-1 realm="corgate""#),
    ("SCRAM-SHA-256", r#"SCRAM-SHA-256 realm="corgate""#),
    ("vapid", r#"vapid realm="corgate""#),
];

/// Rows 20 and 21.
pub(in crate::contract) fn check_bearer(headers: &HeaderMap) -> Result<(), Fault> {
    let value = match Line::find(headers, &AUTHORIZATION) {
        Line::Absent => return Err(Fault::BearerMissing),
        Line::One(value) => value.as_bytes(),
        Line::Repeated => return Err(Fault::BearerMalformed),
    };
    let (scheme, token) = split_scheme(value);
    if scheme.is_empty() {
        return Err(Fault::BearerMissing);
    }
    if !scheme.eq_ignore_ascii_case(b"Bearer") {
        return Err(Fault::BearerSchemeWrong);
    }
    if is_token68(token) { Ok(()) } else { Err(Fault::BearerMalformed) }
}

/// Row 19. The first line's scheme decides the challenge; an unknown scheme gets Basic, which RFC
/// 6749 section 2.3.1 makes every server of secrets support.
pub(in crate::contract) fn refuse(headers: &HeaderMap) -> Result<(), Fault> {
    let Some(value) = headers.get(AUTHORIZATION) else { return Ok(()) };
    let (scheme, _) = split_scheme(value.as_bytes());
    let known = CHALLENGES.iter().find(|(name, _)| scheme.eq_ignore_ascii_case(name.as_bytes()));
    let challenge = known.map_or(r#"Basic realm="corgate""#, |(_, challenge)| challenge);
    Err(Fault::AuthorizationRefused(challenge))
}

/// `credentials = auth-scheme [ 1*SP ( token68 / #auth-param ) ]` (RFC 9110 section 11.4).
fn split_scheme(value: &[u8]) -> (&[u8], &[u8]) {
    let end = value.iter().position(|byte| *byte == b' ').unwrap_or(value.len());
    let (scheme, rest) = value.split_at(end);
    (scheme, rest.trim_ascii_start())
}

/// What a token is made of, but for its padding.
static SIGNS: Octets = Octets::alphanumeric_and(b"-._~+/");

/// `token68 = 1*( ALPHA / DIGIT / "-" / "." / "_" / "~" / "+" / "/" ) *"="` (RFC 9110 section 11.2,
/// RFC 6750 section 2.1 calls it `b64token`).
fn is_token68(token: &[u8]) -> bool {
    let (signs, padding) = token.split_at(SIGNS.prefix(token));
    !signs.is_empty() && padding.iter().all(|byte| *byte == b'=') && token.len() <= TOKEN_BYTES_MAX
}

#[cfg(test)]
mod tests {
    use http::HeaderValue;

    use super::*;

    fn headers(values: &[&str]) -> HeaderMap {
        let value = |text: &&str| (AUTHORIZATION, HeaderValue::from_str(text).unwrap());
        values.iter().map(value).collect()
    }

    #[test]
    fn row_20_no_authorization_where_a_token_is_wanted() {
        assert_eq!(check_bearer(&headers(&[])), Err(Fault::BearerMissing));
        assert_eq!(check_bearer(&headers(&[""])), Err(Fault::BearerMissing));
    }

    #[test]
    fn row_21_a_bearer_token_in_any_case_of_the_scheme() {
        for good in ["Bearer a", "bearer a", "BEARER   aZ09-._~+/==", "Bearer a="] {
            assert_eq!(check_bearer(&headers(&[good])), Ok(()), "{good}");
        }
        for bad in ["Basic YTpi", "Bearerx a", "Bear a", "DPoP a", "Bearer\ta"] {
            assert_eq!(check_bearer(&headers(&[bad])), Err(Fault::BearerSchemeWrong), "{bad}");
        }
        for bad in ["Bearer", "Bearer =", "Bearer a b", "Bearer a=b", "Bearer a,b", "Bearer \"a\""]
        {
            assert_eq!(check_bearer(&headers(&[bad])), Err(Fault::BearerMalformed), "{bad}");
        }
        let twice = headers(&["Bearer a", "Bearer a"]);
        assert_eq!(check_bearer(&twice), Err(Fault::BearerMalformed));
    }

    #[test]
    fn row_21_a_token_has_at_most_16_kib() {
        let bearer = |bytes: usize| headers(&[&format!("Bearer {}", "a".repeat(bytes))]);
        assert_eq!(check_bearer(&bearer(TOKEN_BYTES_MAX)), Ok(()));
        assert_eq!(check_bearer(&bearer(TOKEN_BYTES_MAX + 1)), Err(Fault::BearerMalformed));
    }

    #[test]
    fn row_19_the_challenge_is_of_the_clients_scheme_and_echoes_nothing() {
        assert_eq!(refuse(&headers(&[])), Ok(()));
        for (value, challenge) in [
            ("Basic YTpi", r#"Basic realm="corgate""#),
            ("bearer x", r#"Bearer realm="corgate""#),
            ("DPOP x", r#"DPoP realm="corgate""#),
            ("Negotiate x", "Negotiate"),
            ("Whatever x", r#"Basic realm="corgate""#),
            ("", r#"Basic realm="corgate""#),
        ] {
            let refused = Err(Fault::AuthorizationRefused(challenge));
            assert_eq!(refuse(&headers(&[value])), refused, "{value}");
        }
    }

    #[test]
    fn every_challenge_is_of_its_scheme() {
        for (scheme, challenge) in CHALLENGES {
            assert_eq!(challenge.split(' ').next(), Some(scheme));
        }
    }
}

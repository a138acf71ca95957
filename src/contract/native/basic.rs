//! HTTP Basic credentials (RFC 7617): whether a value is some.
//!
//! This file decides their form. It must not know whether they are right.

/// `Basic SP token68`, whose octets are a user-id, a colon and a password (RFC 7617 section 2).
pub(super) fn is_credentials(value: &[u8]) -> bool {
    let token = value.get(6..).unwrap_or_default().trim_ascii();
    decode(token).is_some_and(|octets| octets.contains(&b':'))
}

/// Base64 with or without its padding (RFC 4648 section 4).
fn decode(token: &[u8]) -> Option<Vec<u8>> {
    let end = token.iter().position(|byte| *byte == b'=').unwrap_or(token.len());
    let (digits, padding) = token.split_at(end);
    let padded = digits.len().next_multiple_of(4) - digits.len();
    let whole = !digits.is_empty() && digits.len() % 4 != 1;
    if !whole || padding.iter().any(|byte| *byte != b'=') {
        return None;
    }
    if !padding.is_empty() && padding.len() != padded {
        return None;
    }
    let mut octets = Vec::with_capacity(digits.len());
    let (mut bits, mut count) = (0u32, 0u8);
    for digit in digits {
        bits = bits << 6 | u32::from(sextet(*digit)?);
        count += 6;
        if count >= 8 {
            count -= 8;
            octets.push((bits >> count & 0xff) as u8);
        }
    }
    Some(octets)
}

const fn sextet(digit: u8) -> Option<u8> {
    match digit {
        b'A'..=b'Z' => Some(digit - b'A'),
        b'a'..=b'z' => Some(digit - b'a' + 26),
        b'0'..=b'9' => Some(digit - b'0' + 52),
        b'+' => Some(62),
        b'/' => Some(63),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn credentials_decode_and_have_a_colon() {
        for good in
            ["Basic YXBpLWNvbnN1bWVyLWlkOnBhc3N3b3Jk", "basic YTpi", "Basic Og==", "Basic Og"]
        {
            assert!(is_credentials(good.as_bytes()), "{good}");
        }
        for bad in ["Basic ", "Basic YWI=", "Basic !!!!", "Basic YTpi=", "Basic Y", "Basic Og===="]
        {
            assert!(!is_credentials(bad.as_bytes()), "{bad}");
        }
    }
}

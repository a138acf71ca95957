//! Content codings of a bank's answer (RFC 9110 section 8.4).
//!
//! Every request asks for `identity`; a bank, or what stands before it, may compress all the same.
//! This file decides that such an answer is decoded within the limit of its target, or refused:
//! bytes never travel without the field that says how to read them. It must not know what is in
//! them.

use std::io::Read as _;

use bytes::Bytes;
use flate2::bufread::MultiGzDecoder;
use http::HeaderName;
use http::header::CONTENT_ENCODING;

use super::ProviderAnswer;
use crate::fault::Fault;
use crate::framing::fields::Fields;
use crate::wiped::Wiped;

/// Fields that speak of the coded bytes (RFC 9530; RFC 2616 section 14.15), gone with the coding.
const OF_CODED_BYTES: [HeaderName; 3] = [
    HeaderName::from_static("content-digest"),
    HeaderName::from_static("content-md5"),
    HeaderName::from_static("digest"),
];
/// What is said where nothing was coded: the registered name, and a charset in the wrong field, as
/// some servers have it.
const NO_CODINGS: [&str; 3] = ["identity", "utf-8", "utf8"];
/// Room for an answer before it is known how large it is: what a token answer needs.
const DECODED_TYPICAL: usize = 4 * 1024;

/// The answer without a coding. `gzip` and `x-gzip` are decoded; `identity` is none, and no more is
/// a charset.
///
/// # Errors
/// [`Fault::ResponseTooLarge`] where it has more than `bytes_max` then;
/// [`Fault::ResponseMalformed`] for what is no gzip, another coding, or several.
pub(super) fn decoded(answer: ProviderAnswer, bytes_max: usize) -> Result<ProviderAnswer, Fault> {
    if !answer.headers.contains(&CONTENT_ENCODING) {
        return Ok(answer);
    }
    let ProviderAnswer { status, headers, body } = answer;
    let values = headers.get_all(&CONTENT_ENCODING);
    let codings = values.flat_map(|value| value.as_bytes().split(|byte| *byte == b','));
    let codings = codings.map(<[u8]>::trim_ascii);
    let is = |coding: &[u8], name: &str| coding.eq_ignore_ascii_case(name.as_bytes());
    let is_none = |coding: &[u8]| coding.is_empty() || NO_CODINGS.iter().any(|no| is(coding, no));
    let mut codings = codings.filter(|coding| !is_none(coding));
    let (coding, others) = (codings.next(), codings.next());
    let body = match (coding, others) {
        // What has no content has no coding either, such as a 204.
        _ if body.is_empty() => body,
        (None, _) => body,
        (Some(coding), None) if is(coding, "gzip") || is(coding, "x-gzip") => {
            gunzip(&body, bytes_max)?
        }
        (Some(_), _) => return Err(Fault::ResponseMalformed("content coding")),
    };
    let stays = |name: &HeaderName| *name != CONTENT_ENCODING && !OF_CODED_BYTES.contains(name);
    let lines = headers.iter().filter(|(name, _)| stays(name));
    let headers: Fields = lines.map(|(name, value)| (name.clone(), value.clone())).collect();
    Ok(ProviderAnswer { status, headers, body })
}

/// All members of a gzip file, as RFC 1952 section 2.2 has it, and nothing behind them. No more is
/// decoded than one octet over the limit, however much a few octets would become.
fn gunzip(body: &[u8], bytes_max: usize) -> Result<Bytes, Fault> {
    let mut decoded = Vec::with_capacity(DECODED_TYPICAL.min(bytes_max));
    let mut reader = MultiGzDecoder::new(body).take(bytes_max as u64 + 1);
    let read = reader.read_to_end(&mut decoded);
    let decoded = Wiped::from(decoded);
    read.map_err(|_| Fault::ResponseMalformed("gzip"))?;
    if decoded.len() > bytes_max { Err(Fault::ResponseTooLarge) } else { Ok(decoded.into()) }
}

#[cfg(test)]
mod tests {
    use std::io::Write as _;

    use flate2::Compression;
    use flate2::write::GzEncoder;
    use http::{HeaderValue, StatusCode};

    use super::*;

    fn gzip(text: &[u8]) -> Vec<u8> {
        let mut encoder = GzEncoder::new(Vec::new(), Compression::default());
        encoder.write_all(text).unwrap();
        encoder.finish().unwrap()
    }

    fn decode(codings: &[&str], body: &[u8]) -> Result<ProviderAnswer, Fault> {
        let line = |value: &&str| (CONTENT_ENCODING, HeaderValue::from_str(value).unwrap());
        let mut headers: Fields = codings.iter().map(line).collect();
        headers.append("digest".parse().unwrap(), HeaderValue::from_static("x"));
        let body = Bytes::copy_from_slice(body);
        decoded(ProviderAnswer { status: StatusCode::OK, headers, body }, 1000)
    }

    #[test]
    fn gzip_is_decoded_and_its_fields_go() {
        for coding in ["gzip", "GZIP", "x-gzip", "identity, gzip", " gzip ,"] {
            let answer = decode(&[coding], &gzip(b"{}")).unwrap();
            assert_eq!(&answer.body[..], b"{}", "{coding}");
            assert!(answer.headers.is_empty(), "{coding}");
        }
        let two = [gzip(b"{"), gzip(b"}")].concat();
        assert_eq!(&decode(&["gzip"], &two).unwrap().body[..], b"{}");
        for none in ["identity", "UTF-8", "utf8"] {
            let answer = decode(&[none], b"{}").unwrap();
            assert_eq!(&answer.body[..], b"{}", "{none}");
            assert!(answer.headers.is_empty(), "{none}");
        }
        assert!(decode(&["utf-8, br"], b"{}").is_err());
        assert_eq!(decode(&["br"], b"").unwrap().body.len(), 0);
        assert_eq!(decode(&[], b"{}").unwrap().headers.len(), 1);
    }

    #[test]
    fn what_can_not_be_decoded_is_refused() {
        let whole = gzip(b"{\"access_token\":\"a\"}");
        for (codings, body) in [
            (&["br"][..], &whole[..]),
            (&["zstd"], &whole),
            (&["deflate"], &whole),
            (&["gzip, gzip"], &whole),
            (&["gzip", "gzip"], &whole),
            (&["gzip"], b"{}"),
            (&["gzip"], &whole[..whole.len() - 1]),
            (&["gzip"], &[&whole[..], b"x"].concat()),
            (&["gzip"], &[&whole[..whole.len() - 8], &[0; 8]].concat()),
        ] {
            let refused = decode(codings, body).unwrap_err();
            assert!(matches!(refused, Fault::ResponseMalformed(_)), "{codings:?} {refused:?}");
        }
    }

    #[test]
    fn a_bomb_goes_off_at_the_limit_and_not_behind_it() {
        assert_eq!(decode(&["gzip"], &gzip(&[b'a'; 1000])).unwrap().body.len(), 1000);
        assert_eq!(decode(&["gzip"], &gzip(&[b'a'; 1001])).unwrap_err(), Fault::ResponseTooLarge);
        let bomb = gzip(&vec![0; 20_000_000]);
        assert!(bomb.len() < 30_000);
        assert_eq!(decode(&["gzip"], &bomb).unwrap_err(), Fault::ResponseTooLarge);
    }
}

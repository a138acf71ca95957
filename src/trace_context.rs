//! W3C Trace Context: which `traceparent` a bank gets.
//!
//! This file decides it (CONTRACT 3.9): the trace restarts at the edge, because a client is
//! outside of the hub's trust, and the caller's trace id is kept for the log. A broken header is
//! ignored, never refused. It must not know where traces go, and randomness is handed to it.

use http::{HeaderMap, HeaderName, HeaderValue};

/// The field that carries a trace.
pub const TRACEPARENT: HeaderName = HeaderName::from_static("traceparent");
/// Length of `00-<32 hex>-<16 hex>-<2 hex>`.
const TRACEPARENT_BYTES: usize = 55;

/// A trace id: 32 lower-case hexadecimal digits, not all zero. The digits are what it is kept as:
/// each call writes them twice.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct TraceId([u8; 32]);

impl TraceId {
    /// Its digits.
    pub fn as_str(&self) -> &str {
        std::str::from_utf8(&self.0).unwrap_or("-")
    }
}

impl std::fmt::Display for TraceId {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(self.as_str())
    }
}

/// Reads the caller's trace id out of its `traceparent`, if it is one (W3C Trace Context
/// section 3.2: version `ff` is invalid, ids are lower-case hexadecimal and not all zero, and a
/// higher version may have more after the flags).
pub fn caller_trace_id(headers: &HeaderMap) -> Option<TraceId> {
    if !headers.contains_key(&TRACEPARENT) {
        return None;
    }
    let mut values = headers.get_all(&TRACEPARENT).iter();
    let (value, None) = (values.next()?.as_bytes(), values.next()) else { return None };
    let (version, rest) = (value.get(..2)?, value.get(2..)?);
    let shaped = is_lower_hex(version)
        && version != b"ff"
        && (value.len() == TRACEPARENT_BYTES
            || (version != b"00" && value.get(TRACEPARENT_BYTES) == Some(&b'-')))
        && rest.first() == Some(&b'-')
        && value.get(35) == Some(&b'-')
        && value.get(52) == Some(&b'-')
        && is_lower_hex(value.get(53..55)?);
    let trace: [u8; 32] = value.get(3..35)?.try_into().ok()?;
    (shaped && is_id(value.get(36..52)?) && is_id(&trace)).then_some(TraceId(trace))
}

/// A new trace: its id, and the `traceparent` that carries it. `random` gives 192 bits, of which
/// the first 128 become the trace id and the rest the parent id.
pub fn restart(trace: u128, parent: u64) -> (TraceId, HeaderValue) {
    // An all-zero id is invalid (section 3.2.2.3); one in 2^128 is made odd.
    let (trace, parent) = (trace.max(1), parent.max(1));
    let mut text = *b"00-00000000000000000000000000000000-0000000000000000-00";
    write_hex(&mut text, 3, &trace.to_be_bytes());
    write_hex(&mut text, 36, &parent.to_be_bytes());
    let digits = text.get(3..35).and_then(|digits| digits.try_into().ok()).unwrap_or([b'0'; 32]);
    // The template and the digits are visible ASCII.
    let value = HeaderValue::from_bytes(&text).unwrap_or_else(|_| HeaderValue::from_static("-"));
    (TraceId(digits), value)
}

fn write_hex(text: &mut [u8], start: usize, number: &[u8]) {
    let digit = |nibble: u8| nibble + if nibble < 10 { b'0' } else { b'a' - 10 };
    let (pairs, _) = text.get_mut(start..).unwrap_or_default().as_chunks_mut::<2>();
    for (pair, byte) in pairs.iter_mut().zip(number) {
        *pair = [digit(byte >> 4), digit(byte & 0xf)];
    }
}

fn is_lower_hex(text: &[u8]) -> bool {
    text.iter().all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f'))
}

fn is_id(text: &[u8]) -> bool {
    is_lower_hex(text) && text.iter().any(|digit| *digit != b'0')
}

#[cfg(test)]
mod tests {
    use proptest::prelude::{any, proptest};

    use super::*;

    fn parse(value: &str) -> Option<TraceId> {
        let mut headers = HeaderMap::new();
        headers.insert("traceparent", value.parse().unwrap());
        caller_trace_id(&headers)
    }

    const GOOD: &str = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";

    #[test]
    fn a_good_traceparent_gives_its_trace_id() {
        assert_eq!(parse(GOOD).unwrap().to_string(), "4bf92f3577b34da6a3ce929d0e0e4736");
        assert!(parse(&GOOD.replacen("00", "01", 1)).is_some());
        assert!(parse(&format!("{}-more", GOOD.replacen("00", "cc", 1))).is_some());
    }

    #[test]
    fn a_bad_traceparent_is_ignored() {
        for bad in [
            "",
            "00",
            &GOOD.to_uppercase(),
            &GOOD.replacen("00", "ff", 1),
            &format!("{GOOD}-more"),
            &format!("{GOOD}x"),
            &GOOD.replace("4bf92f3577b34da6a3ce929d0e0e4736", &"0".repeat(32)),
            &GOOD.replace("00f067aa0ba902b7", &"0".repeat(16)),
            &GOOD.replace('-', "_"),
        ] {
            assert_eq!(parse(bad), None, "{bad}");
        }
        let mut twice = HeaderMap::new();
        twice.append("traceparent", GOOD.parse().unwrap());
        twice.append("traceparent", GOOD.parse().unwrap());
        assert_eq!(caller_trace_id(&twice), None);
    }

    #[test]
    fn a_restarted_trace_reads_back() {
        let (trace, value) = restart(0xabc, 0);
        assert_eq!(
            value.to_str().unwrap(),
            "00-00000000000000000000000000000abc-0000000000000001-00"
        );
        assert_eq!(parse(value.to_str().unwrap()), Some(trace));
        assert!(parse(restart(0, 0).1.to_str().unwrap()).is_some());
    }

    proptest! {
        /// Any value is a trace id or none; what we write ourselves always is.
        #[test]
        fn any_value_is_read_or_ignored(
            noise in "[0-9a-f-]{0,60}|[ -~]{0,80}", trace in any::<u128>(), parent in any::<u64>(),
        ) {
            if let Some(trace) = parse(&noise) {
                assert!(noise.contains(trace.as_str()), "{noise}");
            }
            let (trace, value) = restart(trace, parent);
            assert_eq!(parse(value.to_str().unwrap()), Some(trace));
        }
    }
}

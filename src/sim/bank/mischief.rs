//! Faults on demand: a magic value in a call makes the bank misbehave, as public test banks do.
//!
//! This file decides what each magic value does to an answer. It must not know what a good answer
//! is.

use std::time::{Duration, SystemTime};

use bytes::Bytes;
use http::StatusCode;

use crate::sim::server::{Answer, Delivery, Reply};

/// What every magic value begins with.
pub const MAGIC: &str = "sim-";

/// A body or head that no gateway should take: above its limit, and quickly sent.
const HUGE_BODY_BYTES: usize = 4 * 1024 * 1024;
const HUGE_HEAD_FIELDS: usize = 96;
const HUGE_HEAD_FIELD_BYTES: usize = 1024;

/// A misbehaviour that a caller asks for. But for that, a call that asks for one is answered as
/// if it were good: no code or token is looked up, and nothing is used up.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Mischief {
    /// `sim-static`: none; the same good answer each time, for load.
    Static,
    /// `sim-status-503`: this status, with an OAuth error.
    Status(u16),
    /// `sim-retry-after-7`: 503, to be tried again in so many seconds.
    RetryAfter(u64),
    /// `sim-busy-until-7`: 429, to be tried again at a date, so many seconds behind its own.
    BusyUntil(u64),
    /// `sim-delay-4000`: the good answer, after so many milliseconds.
    Delay(u64),
    /// `sim-drip-100`: the head at once, the body with so many milliseconds between its bytes.
    Drip(u64),
    /// `sim-hang`: no answer, ever.
    Hang,
    /// `sim-html-500`: this status, with a page for people.
    Html(u16),
    /// `sim-truncate`: a body shorter than its Content-Length.
    Truncate,
    /// `sim-reset`: a TCP reset before the answer.
    Reset,
    /// `sim-reset-mid`: a TCP reset after half of the head.
    ResetMid,
    /// `sim-bad-json`: a body that is called JSON and is not.
    BadJson,
    /// `sim-bad-http`: a status line that is none.
    BadHttp,
    /// `sim-redirect`: 302 to somewhere else.
    Redirect,
    /// `sim-100`, `sim-101`: an interim answer that nobody asked for (101 ends the HTTP).
    Interim(u16),
    /// `sim-huge-body`: a body of 4 MiB.
    HugeBody,
    /// `sim-huge-head`: a header section of 96 KiB.
    HugeHead,
    /// `sim-surplus`: a second answer behind the first, that nobody asked for.
    Surplus,
    /// `sim-no-token`: 200 and JSON, without an access token.
    NoToken,
    /// `sim-close`: the connection is closed after the answer, unannounced.
    Close,
    /// `sim-wrong-correlation`: the answer carries another call's correlation id.
    WrongCorrelation,
    /// `sim-cookie`: the answer carries fields that must not reach a client.
    Cookie,
}

impl Mischief {
    /// Reads a magic value.
    pub fn parse(value: &str) -> Option<Self> {
        let name = value.strip_prefix(MAGIC)?;
        let (word, number) = match name.rsplit_once('-') {
            Some((word, number)) if number.bytes().all(|byte| byte.is_ascii_digit()) => {
                (word, number.parse::<u64>().ok())
            }
            _ => (name, None),
        };
        let status = || number.and_then(|number| u16::try_from(number).ok());
        match (word, number) {
            ("status", _) => status().map(Self::Status),
            ("html", _) => status().map(Self::Html),
            ("retry-after", Some(seconds)) => Some(Self::RetryAfter(seconds)),
            ("busy-until", Some(seconds)) => Some(Self::BusyUntil(seconds)),
            ("delay", Some(millis)) => Some(Self::Delay(millis)),
            ("drip", Some(millis)) => Some(Self::Drip(millis)),
            (_, Some(_)) => None,
            ("100", None) => Some(Self::Interim(100)),
            ("101", None) => Some(Self::Interim(101)),
            (word, None) => Self::plain(word),
        }
    }

    fn plain(word: &str) -> Option<Self> {
        Some(match word {
            "static" => Self::Static,
            "hang" => Self::Hang,
            "truncate" => Self::Truncate,
            "reset" => Self::Reset,
            "reset-mid" => Self::ResetMid,
            "bad-json" => Self::BadJson,
            "bad-http" => Self::BadHttp,
            "redirect" => Self::Redirect,
            "huge-body" => Self::HugeBody,
            "huge-head" => Self::HugeHead,
            "surplus" => Self::Surplus,
            "no-token" => Self::NoToken,
            "close" => Self::Close,
            "wrong-correlation" => Self::WrongCorrelation,
            "cookie" => Self::Cookie,
            _ => return None,
        })
    }

    /// Does it to a good answer.
    pub(in crate::sim) fn spoil(self, good: Answer) -> Reply {
        let wait = match self {
            Self::Delay(millis) => Duration::from_millis(millis),
            _ => Duration::ZERO,
        };
        let delivery = self.delivery();
        Reply { wait, answer: self.answer(good), delivery }
    }

    fn answer(self, good: Answer) -> Answer {
        match self {
            Self::Status(status) => oauth_error(good, status),
            Self::RetryAfter(seconds) => {
                oauth_error(good, 503).with("Retry-After", seconds.to_string())
            }
            Self::BusyUntil(seconds) => {
                // The bank's clock is far off: what counts is how its two dates differ.
                let date = |seconds| {
                    let moment = SystemTime::UNIX_EPOCH + Duration::from_secs(seconds);
                    httpdate::fmt_http_date(moment)
                };
                oauth_error(good, 429)
                    .with("Date", date(784_111_777))
                    .with("Retry-After", date(784_111_777 + seconds))
            }
            Self::Html(status) => Answer { status: parse_status(status), ..good }
                .set("Content-Type", "text/html; charset=utf-8")
                .body("<!doctype html><title>Error</title><h1>Simulated error page</h1>"),
            Self::BadJson => good.body(r#"{"access_token":"at-static","#),
            Self::NoToken => good.body(r#"{"token_type":"bearer","expires_in":86400}"#),
            Self::Redirect => Answer { status: StatusCode::FOUND, ..good }
                .with("Location", "https://elsewhere.bank.test/oauth/token")
                .body(Bytes::new()),
            Self::HugeBody => {
                let padding = " ".repeat(HUGE_BODY_BYTES);
                good.body(format!("{{\"access_token\":\"at-static\",{padding}\"a\":1}}"))
            }
            Self::HugeHead => (0..HUGE_HEAD_FIELDS).fold(good, |answer, number| {
                answer.with(&format!("X-Padding-{number}"), "p".repeat(HUGE_HEAD_FIELD_BYTES))
            }),
            Self::WrongCorrelation => good.set("X-Correlation-ID", "another-calls-id"),
            Self::Cookie => good
                .with("Set-Cookie", "session=simulated; Path=/")
                .with("Server", "simulated-bank/1.0")
                .with("X-CorAPI-Source", "PLATFORM")
                .with("X-Hop", "named in Connection")
                .with("Connection", "keep-alive, X-Hop")
                .with("Keep-Alive", "timeout=5")
                .with("Proxy-Authenticate", "Basic"),
            _ => good,
        }
    }

    fn delivery(self) -> Delivery {
        match self {
            Self::Drip(millis) => Delivery::Drip(Duration::from_millis(millis)),
            Self::Hang => Delivery::Never,
            Self::Truncate => Delivery::Truncated,
            Self::Reset => Delivery::Reset,
            Self::ResetMid => Delivery::ResetMidHead,
            Self::BadHttp => Delivery::Replaced(Bytes::from_static(b"HTTP/9.9 20x OK\r\n\r\n")),
            Self::Interim(100) => {
                Delivery::Preceded(Bytes::from_static(b"HTTP/1.1 100 Continue\r\n\r\n"))
            }
            Self::Interim(_) => Delivery::Replaced(Bytes::from_static(
                b"HTTP/1.1 101 Switching Protocols\r\n\
                  Connection: Upgrade\r\nUpgrade: simulated\r\n\r\n",
            )),
            Self::Surplus => Delivery::Surplus(Bytes::from_static(
                b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\n\
                  Content-Length: 27\r\n\r\n{\"access_token\":\"at-other\"}",
            )),
            Self::Close => Delivery::ThenClosed,
            _ => Delivery::Whole,
        }
    }
}

fn oauth_error(good: Answer, status: u16) -> Answer {
    let error = if status < 500 { "invalid_request" } else { "server_error" };
    let body = format!(r#"{{"error":"{error}","error_description":"simulated {status}"}}"#);
    Answer { status: parse_status(status), ..good }.body(body)
}

fn parse_status(status: u16) -> StatusCode {
    StatusCode::from_u16(status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn magic_values_are_read() {
        for (value, mischief) in [
            ("sim-status-503", Mischief::Status(503)),
            ("sim-retry-after-7", Mischief::RetryAfter(7)),
            ("sim-busy-until-7", Mischief::BusyUntil(7)),
            ("sim-delay-4000", Mischief::Delay(4000)),
            ("sim-html-500", Mischief::Html(500)),
            ("sim-reset-mid", Mischief::ResetMid),
            ("sim-101", Mischief::Interim(101)),
            ("sim-wrong-correlation", Mischief::WrongCorrelation),
        ] {
            assert_eq!(Mischief::parse(value), Some(mischief), "{value}");
        }
        for value in ["", "sim-", "sim-status", "sim-hang-1", "sim-102", "a-sim-hang", "anna"] {
            assert_eq!(Mischief::parse(value), None, "{value}");
        }
    }

    #[test]
    fn the_surplus_answer_is_well_formed() {
        let Delivery::Surplus(bytes) = Mischief::Surplus.delivery() else { panic!() };
        let text = std::str::from_utf8(&bytes).unwrap();
        let (_, body) = text.split_once("\r\n\r\n").unwrap();
        assert_eq!(body.len(), 27);
    }
}

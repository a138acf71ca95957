//! What two processes say to each other about a refresh while one takes over from the other.
//!
//! This file decides how an outcome travels: as JSON behind its length. It crosses a socket in the
//! private run directory, between two processes of one user, and is kept nowhere. It must not know
//! who asks.

use std::io;
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use http::{HeaderMap, HeaderName, HeaderValue, StatusCode};
use serde::{Deserialize, Serialize};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::UnixStream;
use zeroize::Zeroizing;

use crate::answer::{Answer, Source};
use crate::conversation::{Flight, FlightKey, Outcome};
use crate::dialect::{Heard, Oddity};
use crate::fault::Fault;
use crate::ids::ClientId;
use crate::record::Trail;

/// The longest message. An answer to a refresh is a small text.
const MESSAGE_BYTES_MAX: usize = 4 * 1024 * 1024;
/// The version of this conversation.
const VERSION: u32 = 1;

/// Faults of a call that a bank may have seen, which whoever waited for it is told, too.
const FAULTS: [Fault; 10] = [
    Fault::ConnectionLost,
    Fault::ResponseTimeout,
    Fault::ResponseTooLarge,
    Fault::ResponseTruncated,
    Fault::ResponseMalformed("the answer to another process"),
    Fault::TokenAnswerInvalid,
    Fault::CredentialsRejected,
    Fault::ProviderBusy(None),
    Fault::ProviderFailed,
    Fault::RefreshDiffers,
];

/// What the successor asks: whether this refresh is under way.
#[derive(Debug, Serialize, Deserialize)]
pub(super) struct Question {
    version: u32,
    key: String,
    question: String,
    client: String,
    replay_ms: u64,
}

/// What is said back, and what the successor says when its own exchange is over.
#[derive(Debug, Serialize, Deserialize)]
pub(super) enum Word {
    /// Nobody has asked the bank: the successor does, and tells how it ended.
    Go,
    /// It has ended so.
    Ended(Box<Ended>),
}

#[derive(Debug, Serialize, Deserialize)]
pub(super) struct Ended {
    answer: Result<Told, String>,
    endpoint: Option<usize>,
    reused: bool,
    dials: u32,
    duration_us: Option<u64>,
    provider_status: Option<u16>,
}

#[derive(Debug, Serialize, Deserialize)]
struct Told {
    status: u16,
    headers: Vec<(String, String)>,
    body: String,
    provider: bool,
    close: bool,
    oddity: Option<String>,
}

impl Question {
    pub(super) fn of(flight: &Flight, replay: Duration) -> Self {
        Self {
            version: VERSION,
            key: BASE64.encode(flight.key.bytes()),
            question: BASE64.encode(flight.question.bytes()),
            client: flight.client.as_str().to_owned(),
            replay_ms: u64::try_from(replay.as_millis()).unwrap_or(u64::MAX),
        }
    }

    /// The flight that it is about; none where it makes no sense here.
    pub(super) fn flight(&self) -> Option<(Flight, Duration)> {
        let key = |text: &str| {
            let bytes = BASE64.decode(text).ok()?;
            Some(FlightKey::from_bytes(bytes.try_into().ok()?))
        };
        let flight = Flight {
            key: key(&self.key)?,
            question: key(&self.question)?,
            client: ClientId::parse(&self.client).ok()?,
        };
        (self.version == VERSION).then_some((flight, Duration::from_millis(self.replay_ms)))
    }
}

impl Ended {
    pub(super) fn of((heard, trail): &Outcome) -> Self {
        let answer = match heard {
            Ok(heard) => Ok(Told::of(heard)),
            Err(fault) => Err(fault.row().code.to_owned()),
        };
        let micros = |time: Duration| u64::try_from(time.as_micros()).unwrap_or(u64::MAX);
        Self {
            answer,
            endpoint: trail.endpoint,
            reused: trail.reused,
            dials: trail.dials,
            duration_us: trail.duration.map(micros),
            provider_status: trail.status.map(|status| status.as_u16()),
        }
    }

    /// The outcome; none where the bank has seen nothing, so that somebody else may go.
    pub(super) fn outcome(self) -> Option<Outcome> {
        let status = |status| StatusCode::from_u16(status).ok();
        let trail = Trail {
            endpoint: self.endpoint,
            reused: self.reused,
            dials: self.dials,
            duration: self.duration_us.map(Duration::from_micros),
            status: self.provider_status.and_then(status),
        };
        match self.answer {
            Ok(told) => Some((Ok(told.heard()?), trail)),
            Err(code) => {
                let known = FAULTS.iter().find(|fault| fault.row().code == code);
                let seen = trail.endpoint.is_some() || code == Fault::RefreshDiffers.row().code;
                // What a bank may have seen is not asked again, whatever became of it.
                let fault = known.cloned().unwrap_or(Fault::ConnectionLost);
                seen.then_some((Err(fault), trail))
            }
        }
    }
}

impl Told {
    fn of(Heard { answer, oddity }: &Heard) -> Self {
        let field = |(name, value): (&HeaderName, &HeaderValue)| {
            (name.as_str().to_owned(), BASE64.encode(value.as_bytes()))
        };
        Self {
            status: answer.status.as_u16(),
            headers: answer.headers.iter().map(field).collect(),
            body: BASE64.encode(&answer.body),
            provider: answer.source == Source::Provider,
            close: answer.close,
            oddity: oddity.map(|oddity| oddity.as_str().to_owned()),
        }
    }

    fn heard(self) -> Option<Heard> {
        let mut headers = HeaderMap::with_capacity(self.headers.len());
        for (name, value) in self.headers {
            let value = HeaderValue::from_bytes(&BASE64.decode(value).ok()?).ok()?;
            headers.append(HeaderName::try_from(name).ok()?, value);
        }
        let oddities = [Oddity::TokenAnswer, Oddity::Correlation];
        let of_name = |name: String| oddities.into_iter().find(|oddity| oddity.as_str() == name);
        let answer = Answer {
            status: StatusCode::from_u16(self.status).ok()?,
            headers,
            body: BASE64.decode(self.body).ok()?.into(),
            source: if self.provider { Source::Provider } else { Source::Platform },
            close: self.close,
        };
        Some(Heard { answer, oddity: self.oddity.and_then(of_name) })
    }
}

/// Says something.
pub(super) async fn say<T: Serialize>(stream: &mut UnixStream, what: &T) -> io::Result<()> {
    let text = Zeroizing::new(serde_json::to_vec(what)?);
    if text.len() > MESSAGE_BYTES_MAX {
        return Err(io::ErrorKind::InvalidData.into());
    }
    let length = u32::try_from(text.len()).unwrap_or(u32::MAX);
    stream.write_all(&length.to_be_bytes()).await?;
    stream.write_all(&text).await
}

/// Hears something.
pub(super) async fn hear<T: for<'d> Deserialize<'d>>(stream: &mut UnixStream) -> io::Result<T> {
    let mut length = [0; 4];
    stream.read_exact(&mut length).await?;
    let length = u32::from_be_bytes(length) as usize;
    if length > MESSAGE_BYTES_MAX {
        return Err(io::ErrorKind::InvalidData.into());
    }
    let mut text = Zeroizing::new(vec![0; length]);
    stream.read_exact(&mut text).await?;
    Ok(serde_json::from_slice(&text)?)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn travelled(outcome: &Outcome) -> Option<Outcome> {
        let text = serde_json::to_vec(&Ended::of(outcome)).unwrap();
        serde_json::from_slice::<Ended>(&text).unwrap().outcome()
    }

    #[test]
    fn an_answer_arrives_as_it_was() {
        let mut headers = HeaderMap::new();
        headers.append("x-a", HeaderValue::from_bytes(b"\xe4 1").unwrap());
        headers.append("x-a", HeaderValue::from_static("2"));
        let answer = Answer {
            status: StatusCode::OK,
            headers,
            body: vec![0, 255, b'{'].into(),
            source: Source::Provider,
            close: false,
        };
        let trail = Trail {
            endpoint: Some(1),
            reused: true,
            dials: 2,
            duration: Some(Duration::from_micros(7)),
            status: Some(StatusCode::OK),
        };
        let heard = Heard { answer: answer.clone(), oddity: Some(Oddity::Correlation) };
        let (told, way) = travelled(&(Ok(heard), trail)).unwrap();
        let told = told.unwrap();
        assert_eq!(way, trail);
        assert_eq!(told.oddity, Some(Oddity::Correlation));
        assert_eq!((told.answer.status, told.answer.body), (answer.status, answer.body));
        assert_eq!((told.answer.headers, told.answer.source), (answer.headers, answer.source));
    }

    #[test]
    fn a_failure_that_a_bank_may_have_seen_is_everybodys_and_another_is_nobodys() {
        let seen = Trail { endpoint: Some(0), ..Trail::default() };
        for fault in FAULTS {
            let (told, _) = travelled(&(Err(fault.clone()), seen)).unwrap();
            assert_eq!(told.unwrap_err(), fault);
        }
        let (told, _) = travelled(&(Err(Fault::Internal("x")), seen)).unwrap();
        assert_eq!(told.unwrap_err(), Fault::ConnectionLost);
        assert!(travelled(&(Err(Fault::TargetBusy("x")), Trail::default())).is_none());
    }
}

//! Plays a story: makes each step's calls and has what comes of them judged and printed.
//!
//! This file decides how a step becomes a request. It must not know which steps there are.

use std::io::Write;
use std::time::Duration;

use bytes::Bytes;
use http::header::{AUTHORIZATION, CONTENT_TYPE, USER_AGENT};
use http::{Request, Response};

use super::step::{ACCESS, Certificate, Chapter, REFRESH, Step};
use super::world::World;
use super::{expect, print};
use crate::cli::{Failure, Verdict};
use crate::sim::client::{CallError, Client};
use crate::sim::form;

/// Longer than any route of the demo allows its bank.
const CALL_TIMEOUT: Duration = Duration::from_secs(10);

/// What came of a call.
pub(super) type Outcome = Result<Response<Bytes>, CallError>;

/// A step's call as it is made: every placeholder filled in.
pub(super) struct Call {
    pub(super) step: &'static Step,
    pub(super) correlation: Option<String>,
    pub(super) bearer: Option<String>,
    pub(super) form: Vec<(&'static str, String)>,
}

/// Plays the story. Good is: every answer was as expected.
pub(super) async fn play(
    world: &World,
    story: &'static [Chapter],
    out: &mut dyn Write,
) -> Result<Verdict, Failure> {
    let mut cast = Cast { clients: Vec::new(), access: String::new(), refresh: String::new() };
    let (mut steps, mut good) = (0, 0);
    print::opening(out)?;
    for (chapter_at, chapter) in (1..).zip(story) {
        print::chapter(out, chapter_at, chapter.title)?;
        for (step_at, step) in (1..).zip(chapter.steps) {
            let number = format!("{chapter_at}.{step_at}");
            let call = cast.fill_in(step, format!("demo-{chapter_at}-{step_at}"));
            let received = world.received();
            let outcome = cast.make(&call, world).await?;
            let reached = world.received() - received;
            let complaints = expect::judge(&call, &outcome, reached);
            steps += 1;
            good += usize::from(complaints.is_empty());
            print::step(out, &number, &call, &outcome, &complaints)?;
        }
    }
    print::closing(out, good, steps)?;
    Ok(if good == steps { Verdict::Good } else { Verdict::Refused })
}

/// The callers, and what they remember.
struct Cast {
    clients: Vec<(Certificate, Client)>,
    access: String,
    refresh: String,
}

impl Cast {
    fn fill_in(&self, step: &'static Step, correlation: String) -> Call {
        let fill = |value: &str| match value {
            ACCESS => self.access.clone(),
            REFRESH => self.refresh.clone(),
            value => value.to_owned(),
        };
        Call {
            step,
            correlation: step.correlated.then_some(correlation),
            bearer: step.bearer.map(fill),
            form: step.form.iter().map(|(name, value)| (*name, fill(value))).collect(),
        }
    }

    /// Makes the call, as often as the step says, and hands back what came of the last.
    async fn make(&mut self, call: &Call, world: &World) -> Result<Outcome, Failure> {
        let client = self.client(call.step.certificate, world)?;
        let mut outcome = client.call(request(call)?).await;
        for _ in 1..call.step.times {
            outcome = client.call(request(call)?).await;
        }
        if let Ok(answer) = &outcome {
            self.remember(answer);
        }
        Ok(outcome)
    }

    fn client(&mut self, certificate: Certificate, world: &World) -> Result<&mut Client, Failure> {
        let at = match self.clients.iter().position(|(shown, _)| *shown == certificate) {
            Some(at) => at,
            None => {
                let client = world.client(certificate)?.timeout(CALL_TIMEOUT);
                self.clients.push((certificate, client));
                self.clients.len() - 1
            }
        };
        let client = self.clients.get_mut(at).map(|(_, client)| client);
        client.ok_or_else(|| Failure::new("no client for the certificate"))
    }

    /// Keeps the tokens of an answer, for the steps that follow.
    fn remember(&mut self, answer: &Response<Bytes>) {
        let body: serde_json::Value = serde_json::from_slice(answer.body()).unwrap_or_default();
        let text = |name: &str| body.get(name).and_then(serde_json::Value::as_str);
        if let (Some(access), Some(refresh)) = (text("access_token"), text("refresh_token")) {
            (self.access, self.refresh) = (access.to_owned(), refresh.to_owned());
        }
    }
}

fn request(call: &Call) -> Result<Request<Bytes>, Failure> {
    let pairs = call.form.iter().map(|(name, value)| (*name, value.as_str()));
    let mut request = Request::post(call.step.path)
        .header("X-CorAPI-Client-ID", call.step.client)
        .header("X-CorAPI-Target-ID", call.step.target)
        .header(USER_AGENT, "corgate-demo/1")
        .header(CONTENT_TYPE, "application/x-www-form-urlencoded");
    if let Some(correlation) = &call.correlation {
        request = request.header("X-Correlation-ID", correlation);
    }
    if let Some(bearer) = &call.bearer {
        request = request.header(AUTHORIZATION, format!("Bearer {bearer}"));
    }
    request.body(Bytes::from(form::encode(pairs))).map_err(Failure::new)
}

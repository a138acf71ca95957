//! Prints the demo. The text is the same each time: no ports, times or random ids.
//!
//! This file decides what is shown of a call, and shortens what would be a secret. It must not
//! know what is expected of it.

use std::io::{self, Write};

use bytes::Bytes;
use http::Response;
use serde_json::Value;

use super::expect::{header, is_fresh};
use super::play::{Call, Outcome};
use super::step::Certificate;
use super::story::{ALPINE, BASE_PATH, LEDGER};
use super::world::World;
use crate::sim::bank::MAGIC;

/// What stands before each line of a step.
const INDENT: &str = "     ";
/// Form parameters and JSON members that hold a secret.
const SECRETS: [&str; 5] = ["code", "token", "refresh_token", "access_token", "Authorization"];
/// Longest body that is shown, in characters.
const BODY_CHARS_MAX: usize = 200;

pub(super) fn opening(out: &mut dyn Write) -> io::Result<()> {
    writeln!(out, "Simulated banks and the gateway, on this machine alone, mutual TLS between")?;
    writeln!(out, "all. Where nothing is said, the client shows its own certificate.")?;
    writeln!(out, "> is what the client sends, < is what it gets.")
}

pub(super) fn chapter(out: &mut dyn Write, number: usize, title: &str) -> io::Result<()> {
    writeln!(out, "\n== {number}. {title} ==")
}

/// One step: the call, what came of it, and whether that was as expected.
pub(super) fn step(
    out: &mut dyn Write,
    number: &str,
    call: &Call,
    outcome: &Outcome,
    complaints: &[String],
) -> io::Result<()> {
    writeln!(out, "\n{number:4} {}", call.step.title)?;
    request(out, call)?;
    match outcome {
        Ok(answer) => response(out, call, answer)?,
        Err(error) if error.is_tls_refusal() => writeln!(out, "{INDENT}< (TLS alert)")?,
        Err(error) => writeln!(out, "{INDENT}< ({error})")?,
    }
    if complaints.is_empty() {
        return writeln!(out, "{INDENT}✓ {}", call.step.because);
    }
    complaints.iter().try_for_each(|complaint| writeln!(out, "{INDENT}✗ {complaint}"))
}

pub(super) fn closing(out: &mut dyn Write, good: usize, steps: usize) -> io::Result<()> {
    writeln!(out, "\n{good} of {steps} steps went as expected.")
}

/// What to try by hand while the demo stays up.
pub(super) fn invitation(out: &mut dyn Write, world: &World) -> io::Result<()> {
    let folder = world.folder.display();
    let (port, admin) = (world.gateway.port(), world.admin);
    writeln!(out, "\nStill up, until Ctrl-C. A call to try:\n")?;
    writeln!(out, "curl -i https://localhost:{port}{BASE_PATH}/oauth/token \\")?;
    writeln!(out, "  --cacert {folder}/hub-ca.pem \\")?;
    writeln!(out, "  --cert {folder}/{LEDGER}.pem --key {folder}/{LEDGER}.key \\")?;
    writeln!(out, "  -H 'X-CorAPI-Client-ID: {LEDGER}' -H 'X-CorAPI-Target-ID: {ALPINE}' \\")?;
    writeln!(out, "  -H 'X-Correlation-ID: my-first-call' \\")?;
    writeln!(out, "  -d grant_type=authorization_code -d code=demo-code-my-own \\")?;
    writeln!(out, "  -d client_id={LEDGER} -d username=anna.muster\n")?;
    writeln!(out, "routing table       {folder}/routes.toml")?;
    writeln!(out, "access log          {folder}/access.log")?;
    writeln!(out, "admin               http://{admin}/")?;
    for (name, bank) in [("Alpine", &world.alpine), ("Lakeside", &world.lakeside)] {
        if let Some(control) = bank.control() {
            writeln!(out, "what {name:8} got   http://{control}/__sim/requests")?;
        }
    }
    writeln!(out, "\nMagic codes make a bank misbehave: {MAGIC}status-503, {MAGIC}delay-4000,")?;
    writeln!(out, "{MAGIC}truncate, {MAGIC}reset, {MAGIC}html-500, {MAGIC}retry-after-7 …")
}

fn request(out: &mut dyn Write, call: &Call) -> io::Result<()> {
    let step = call.step;
    match step.certificate {
        Certificate::Of(id) if id == step.client => {}
        Certificate::Of(id) => writeln!(out, "{INDENT}> (certificate of {id})")?,
        Certificate::Stranger => writeln!(out, "{INDENT}> (certificate of a stranger)")?,
    }
    writeln!(out, "{INDENT}> POST {}", step.path)?;
    writeln!(out, "{INDENT}> X-CorAPI-Client-ID: {}", step.client)?;
    writeln!(out, "{INDENT}> X-CorAPI-Target-ID: {}", step.target)?;
    if let Some(correlation) = &call.correlation {
        writeln!(out, "{INDENT}> X-Correlation-ID: {correlation}")?;
    }
    if let Some(bearer) = &call.bearer {
        writeln!(out, "{INDENT}> Authorization: Bearer {}", shorten("Authorization", bearer))?;
    }
    let pair = |(name, value): &(&str, String)| format!("{name}={}", shorten(name, value));
    let form = call.form.iter().map(pair).collect::<Vec<_>>().join("&");
    writeln!(out, "{INDENT}> {form}")
}

fn response(out: &mut dyn Write, call: &Call, answer: &Response<Bytes>) -> io::Result<()> {
    writeln!(out, "{INDENT}< {}", answer.status())?;
    let correlation = header(answer, "X-Correlation-ID");
    let random = call.correlation.is_none() && is_fresh(correlation);
    let correlation = if random { "(a fresh UUID)" } else { correlation };
    writeln!(out, "{INDENT}< X-Correlation-ID: {correlation}")?;
    writeln!(out, "{INDENT}< X-CorAPI-Source: {}", header(answer, "X-CorAPI-Source"))?;
    if answer.headers().contains_key("Retry-After") {
        writeln!(out, "{INDENT}< Retry-After: (seconds)")?;
    }
    if answer.headers().contains_key("WWW-Authenticate") {
        writeln!(out, "{INDENT}< WWW-Authenticate: {}", header(answer, "WWW-Authenticate"))?;
    }
    if answer.body().is_empty() {
        return Ok(());
    }
    writeln!(out, "{INDENT}< {}", body(answer.body()))
}

/// The body on one line, its secrets shortened.
fn body(body: &[u8]) -> String {
    let text = match serde_json::from_slice::<Value>(body) {
        Ok(Value::Object(mut members)) => {
            for (name, value) in &mut members {
                if let Value::String(text) = value {
                    *text = shorten(name, text);
                }
            }
            Value::Object(members).to_string()
        }
        Ok(value) => value.to_string(),
        Err(_) => String::from_utf8_lossy(body).escape_debug().to_string(),
    };
    text.chars().take(BODY_CHARS_MAX).collect()
}

/// A secret up to its first `-`. What is magic to the simulated bank is no secret.
fn shorten(name: &str, value: &str) -> String {
    if !SECRETS.contains(&name) || value.starts_with(MAGIC) {
        return value.to_owned();
    }
    match value.split_once('-') {
        Some((start, _)) => format!("{start}-…"),
        None => "…".to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn secrets_are_shortened_and_names_are_not() {
        assert_eq!(shorten("code", "demo-code-1"), "demo-…");
        assert_eq!(shorten("code", "secret"), "…");
        assert_eq!(shorten("code", "sim-delay-4000"), "sim-delay-4000");
        assert_eq!(shorten("username", "anna-maria"), "anna-maria");
        let text = br#"{"access_token": "at-1", "token_type": "bearer"}"#;
        assert_eq!(body(text), r#"{"access_token":"at-…","token_type":"bearer"}"#);
    }
}

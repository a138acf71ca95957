//! `corgate diff`: what a reload would change, before it does.
//!
//! This file decides what is compared with what. A running gateway is asked over its admin
//! listener to compare by itself: it has the secrets and the environment that its table needs, and
//! neither leaves it. It must not know what counts as a change.

use std::io::Write;
use std::net::SocketAddr;
use std::path::Path;
use std::time::Duration;

use bytes::Bytes;
use http_body_util::{BodyExt as _, Empty, Limited};
use hyper::client::conn::http1;
use hyper_util::rt::TokioIo;
use serde_json::{Value, json};
use tokio::net::TcpStream;
use tokio::time::timeout;

use super::{Failure, Verdict, gateway};
use crate::routes::{Diff, admin_address};

/// What the command's help says of them.
pub(super) const EXIT_CODES: &str = "Exit codes:\n  \
    0  nothing differs\n  \
    1  something differs, or a file would be set aside\n  \
    2  a table that can't be used, or a gateway that can't be asked";

/// How long a gateway may take; a little more than it lets a reload take.
const TIMEOUT: Duration = Duration::from_secs(65);
/// Longest answer, in bytes.
const ANSWER_BYTES_MAX: usize = 64 * 1024 * 1024;

/// What was asked.
pub(super) struct Asked<'a> {
    pub(super) config: &'a Path,
    pub(super) against: Option<&'a str>,
    pub(super) json: bool,
}

/// Compares, and prints the differences on `out`, what is wrong on `err`.
pub(super) fn run(
    asked: &Asked<'_>,
    out: &mut dyn Write,
    err: &mut dyn Write,
) -> Result<Verdict, Failure> {
    match asked.against.map(|against| (against, against.parse::<SocketAddr>())) {
        Some((_, Ok(address))) => with_running(asked, address, out, err),
        Some((file, Err(_))) => with_file(asked, Path::new(file), out, err),
        None => {
            let text = std::fs::read_to_string(asked.config);
            match text.ok().and_then(|text| admin_address(&text)) {
                Some(address) => with_running(asked, address, out, err),
                None => {
                    // What is wrong with it is said in full.
                    gateway::load(asked.config)?;
                    Err(Failure::new("no admin address; name one with --against"))
                }
            }
        }
    }
}

/// Compares with an older table.
fn with_file(
    asked: &Asked<'_>,
    old: &Path,
    out: &mut dyn Write,
    err: &mut dyn Write,
) -> Result<Verdict, Failure> {
    let (old, mut new) = (gateway::load(old)?, gateway::load(asked.config)?);
    for file in &new.quarantined {
        write!(err, "{}", gateway::show(&file.report))?;
    }
    new.keep_last_good(asked.config, &old.table);
    let mut diff = Diff::between(&old.table, &new.table);
    diff.forget_files();
    if asked.json {
        writeln!(out, "{}", json!(diff))?;
    } else {
        write!(out, "{diff}")?;
    }
    Ok(verdict(diff.is_empty() && new.quarantined.is_empty()))
}

/// Lets a running gateway compare its files with what it serves.
fn with_running(
    asked: &Asked<'_>,
    address: SocketAddr,
    out: &mut dyn Write,
    err: &mut dyn Write,
) -> Result<Verdict, Failure> {
    let plan = ask(address)?;
    let served = plan.get("config").and_then(Value::as_str).unwrap_or_default();
    let here = std::path::absolute(asked.config)?;
    if Path::new(served) != here {
        writeln!(err, "the gateway at {address} was started with {served}: that is compared")?;
    }
    let texts = |value: Option<&Value>| -> Vec<String> {
        let items = value.and_then(Value::as_array).map(Vec::as_slice).unwrap_or_default();
        items.iter().filter_map(Value::as_str).map(str::to_owned).collect()
    };
    let problems = texts(plan.get("problems"));
    if !problems.is_empty() {
        return Err(Failure::new(format_args!("it would be refused\n\n{}", problems.join("\n"))));
    }
    let aside = plan.get("set_aside").and_then(Value::as_array).map(Vec::as_slice);
    for aside in aside.unwrap_or_default() {
        for problem in texts(aside.get("problems")) {
            writeln!(err, "set aside: {problem}")?;
        }
    }
    let nothing_aside = aside.unwrap_or_default().is_empty();
    let diff: Diff = serde_json::from_value(plan.clone())
        .map_err(|error| Failure::new(format_args!("{address} answers something else: {error}")))?;
    if asked.json {
        writeln!(out, "{plan}")?;
    } else {
        write!(out, "{diff}")?;
    }
    Ok(verdict(diff.is_empty() && nothing_aside))
}

const fn verdict(same: bool) -> Verdict {
    if same { Verdict::Good } else { Verdict::Refused }
}

/// What a gateway says to `GET /diff`.
fn ask(address: SocketAddr) -> Result<Value, Failure> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let answer = runtime.block_on(async { timeout(TIMEOUT, fetch(address)).await });
    let failed = |error: &dyn std::fmt::Display| {
        Failure::new(format_args!("the gateway at {address} can't be asked: {error}"))
    };
    let (status, body) =
        answer.map_err(|error| failed(&error))?.map_err(|error| failed(&*error))?;
    match serde_json::from_slice(&body) {
        Ok(plan) => Ok(plan),
        Err(_) => Err(failed(&format_args!("{status}: {}", String::from_utf8_lossy(&body).trim()))),
    }
}

type Fetched = Result<(http::StatusCode, Bytes), Box<dyn std::error::Error + Send + Sync>>;

async fn fetch(address: SocketAddr) -> Fetched {
    let stream = TokioIo::new(TcpStream::connect(address).await?);
    let (mut sender, connection) = http1::handshake(stream).await?;
    let request = http::Request::get("/diff")
        .header(http::header::HOST, address.to_string())
        .body(Empty::<Bytes>::new())?;
    let fetched = async {
        let (head, body) = sender.send_request(request).await?.into_parts();
        let body = Limited::new(body, ANSWER_BYTES_MAX).collect().await?.to_bytes();
        Ok((head.status, body))
    };
    tokio::pin!(fetched, connection);
    tokio::select! {
        fetched = &mut fetched => fetched,
        closed = &mut connection => {
            closed?;
            fetched.await
        }
    }
}

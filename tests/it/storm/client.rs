//! The clients of a storm: they call steadily over TLS, in HTTP/1.1 and in HTTP/2.
//!
//! This file decides what a fair client does. It opens a connection anew when its end was
//! announced, and asks again only what was never written. Whatever else goes wrong is a failure.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use arc_swap::ArcSwap;
use bytes::Bytes;
use http::{Request, Response};
use http_body_util::{BodyExt as _, Full};
use hyper::body::Incoming;
use hyper::client::conn::{http1, http2};
use hyper_util::rt::{TokioExecutor, TokioIo};
use rustls::ClientConfig;
use rustls::client::Resumption;
use rustls_pki_types::{CertificateDer, ServerName};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;

use super::bank::token;
use super::ledger::{Ledger, Outcome, count};
use crate::ask::{BASE, CLIENT};

/// How long a call may take.
const PATIENCE: Duration = Duration::from_secs(20);
/// How long a client rests between two calls, at most.
const REST: Duration = Duration::from_millis(6);

/// What all clients share.
pub(super) struct Storm {
    pub(super) ledger: Ledger,
    /// What a new connection shows and trusts, and the how-many-eth setting that is.
    tls: ArcSwap<(ClientConfig, u32)>,
    /// Open connections by the setting that they were opened with.
    settings: Mutex<BTreeMap<u32, usize>>,
    pub(super) over: AtomicBool,
    /// Whether nobody may listen any more.
    pub(super) last: AtomicBool,
    address: SocketAddr,
    targets: Vec<String>,
    number: AtomicU64,
}

/// An open connection, until it is dropped.
pub(super) struct Held {
    storm: Arc<Storm>,
    setting: u32,
}

impl Held {
    fn is_old(&self) -> bool {
        self.setting != self.storm.tls.load().1
    }
}

impl Drop for Held {
    fn drop(&mut self) {
        *self.storm.settings.lock().unwrap().entry(self.setting).or_default() -= 1;
    }
}

/// Why a call has no answer.
enum Trouble {
    /// Nobody listens, and that is as it should be.
    Refused,
    /// Anything else.
    Failure(String),
}

impl Trouble {
    fn of(what: &str, error: &dyn std::error::Error) -> Self {
        let mut text = format!("{what}: {error}");
        let mut cause = error.source();
        while let Some(error) = cause {
            text.push_str(&format!(": {error}"));
            cause = error.source();
        }
        Self::Failure(text)
    }
}

impl Storm {
    pub(super) fn new(address: SocketAddr, targets: Vec<String>, tls: ClientConfig) -> Arc<Self> {
        Arc::new(Self {
            ledger: Ledger::default(),
            tls: ArcSwap::from_pointee((tls, 0)),
            settings: Mutex::default(),
            over: AtomicBool::new(false),
            last: AtomicBool::new(false),
            address,
            targets,
            number: AtomicU64::new(0),
        })
    }

    /// Shows another certificate from now on: connections that are open are let go after what is
    /// under way on them.
    pub(super) fn renew(&self, tls: ClientConfig) {
        let setting = self.tls.load().1 + 1;
        self.tls.store(Arc::new((tls, setting)));
    }

    /// Whether no connection is left that was opened with an older setting.
    pub(super) fn is_renewed(&self) -> bool {
        let now = self.tls.load().1;
        self.settings.lock().unwrap().range(..now).all(|(_, open)| *open == 0)
    }

    /// The certificate that a new connection is shown, one that resumes nothing.
    pub(super) async fn shown(&self) -> Option<CertificateDer<'static>> {
        let mut config = self.tls.load().0.clone();
        config.resumption = Resumption::disabled();
        let stream = self.dial_with(config, b"http/1.1").await.ok()?;
        stream.get_ref().1.peer_certificates()?.first().cloned()
    }

    fn hold(self: &Arc<Self>, setting: u32) -> Arc<Held> {
        *self.settings.lock().unwrap().entry(setting).or_default() += 1;
        Arc::new(Held { storm: self.clone(), setting })
    }

    async fn dial(&self, alpn: &[u8]) -> Result<(TlsStream<TcpStream>, u32), Trouble> {
        let (config, setting) = (**self.tls.load()).clone();
        let stream = self.dial_with(config, alpn).await?;
        Ok((stream, setting))
    }

    async fn dial_with(
        &self,
        mut config: ClientConfig,
        alpn: &[u8],
    ) -> Result<TlsStream<TcpStream>, Trouble> {
        config.alpn_protocols = vec![alpn.to_vec()];
        let tcp = match TcpStream::connect(self.address).await {
            Ok(tcp) => tcp,
            Err(error) if error.kind() == std::io::ErrorKind::ConnectionRefused => {
                let expected = self.last.load(Ordering::Acquire);
                return Err(if expected {
                    Trouble::Refused
                } else {
                    Trouble::Failure("connect: refused".to_owned())
                });
            }
            Err(error) => return Err(Trouble::of("connect", &error)),
        };
        let _ = tcp.set_nodelay(true);
        let name = ServerName::try_from("localhost").unwrap();
        let stream = TlsConnector::from(Arc::new(config)).connect(name, tcp).await;
        let stream = stream.map_err(|error| Trouble::of("handshake", &error))?;
        count(&self.ledger.connections);
        Ok(stream)
    }

    /// A call like no other.
    fn next(&self, http2: bool) -> (String, String, Request<Full<Bytes>>) {
        let number = self.number.fetch_add(1, Ordering::Relaxed);
        let (id, code) = (format!("storm-{number}"), format!("demo-code-{}", fastrand::u64(..)));
        let target = &self.targets[usize::try_from(number).unwrap() % self.targets.len()];
        let body =
            format!("grant_type=authorization_code&code={code}&client_id={CLIENT}&username=anna");
        let path = format!("{BASE}/oauth/token");
        let uri = if http2 { format!("https://localhost{path}") } else { path };
        let mut request = Request::post(uri)
            .header("X-Correlation-ID", &id)
            .header("X-CorAPI-Client-ID", CLIENT)
            .header("X-CorAPI-Target-ID", target)
            .header("User-Agent", "storm/1")
            .header("Content-Type", "application/x-www-form-urlencoded");
        if !http2 {
            request = request.header("Host", "localhost");
        }
        (id, code, request.body(Full::new(body.into())).unwrap())
    }

    fn is_over(&self) -> bool {
        self.over.load(Ordering::Acquire)
    }
}

/// Whether an answer is the one to this call.
async fn judge(response: Response<Incoming>, id: &str, code: &str) -> Outcome {
    let (head, body) = response.into_parts();
    let body = match body.collect().await {
        Ok(body) => body.to_bytes(),
        Err(error) => return Outcome::Failed(format!("{} cut short: {error}", head.status)),
    };
    let echoed = head.headers.get("X-Correlation-ID").is_some_and(|echo| echo == id);
    let json: serde_json::Value = serde_json::from_slice(&body).unwrap_or_default();
    if head.status != 200 {
        Outcome::Wrong(format!("{} {}", head.status, json["error_description"]))
    } else if !echoed || json["access_token"] != token(id, code) {
        Outcome::Wrong("the answer to another call".to_owned())
    } else {
        Outcome::Good
    }
}

async fn rest() {
    tokio::time::sleep(REST.mul_f64(fastrand::f64())).await;
}

/// One connection in HTTP/1.1 after another, for as long as it lasts or for a call each.
pub(super) async fn speak_http1(storm: Arc<Storm>, keeps: bool) {
    let mut kept = None;
    while !storm.is_over() {
        kept = kept.filter(|(_, held): &(One, Arc<Held>)| keeps && !held.is_old());
        let (id, code, request) = storm.next(false);
        let call = exchange_http1(&storm, &mut kept, request, &id, &code);
        let outcome = match tokio::time::timeout(PATIENCE, call).await {
            Ok(Ok(outcome)) => outcome,
            Ok(Err(Trouble::Refused)) => return count(&storm.ledger.refused),
            Ok(Err(Trouble::Failure(why))) => Outcome::Failed(format!("h1 {why}")),
            Err(_) => Outcome::Failed("h1 no answer in time".to_owned()),
        };
        storm.ledger.note(id, code, outcome);
        rest().await;
    }
}

type One = http1::SendRequest<Full<Bytes>>;

async fn exchange_http1(
    storm: &Arc<Storm>,
    kept: &mut Option<(One, Arc<Held>)>,
    request: Request<Full<Bytes>>,
    id: &str,
    code: &str,
) -> Result<Outcome, Trouble> {
    loop {
        let (mut sender, held) = match kept.take() {
            Some(open) => open,
            None => {
                let (stream, setting) = storm.dial(b"http/1.1").await?;
                let held = storm.hold(setting);
                let opened = http1::handshake(TokioIo::new(stream)).await;
                let (sender, driver) = opened.map_err(|error| Trouble::of("open", &error))?;
                tokio::spawn(driver);
                (sender, held)
            }
        };
        let sent = match sender.ready().await {
            Ok(()) => sender.try_send_request(request.clone()).await,
            Err(_) => {
                count(&storm.ledger.unannounced);
                continue;
            }
        };
        match sent {
            Ok(response) => {
                let closes = response.headers().get("connection").is_some_and(|it| it == "close");
                let outcome = judge(response, id, code).await;
                if closes {
                    count(&storm.ledger.announced);
                } else {
                    *kept = Some((sender, held));
                }
                return Ok(outcome);
            }
            Err(mut error) => match error.take_message() {
                // Not a byte of it was written.
                Some(_) => count(&storm.ledger.unannounced),
                None => return Err(Trouble::of("answer", &error.into_error())),
            },
        }
    }
}

type Two = http2::SendRequest<Full<Bytes>>;
/// The connection that some streams share.
pub(super) type Trunk = Arc<tokio::sync::Mutex<Option<(Two, Arc<Held>)>>>;

/// One stream after another, on whichever connection there is.
pub(super) async fn speak_http2(storm: Arc<Storm>, trunk: Trunk) {
    while !storm.is_over() {
        let (id, code, request) = storm.next(true);
        let call = exchange_http2(&storm, &trunk, request, &id, &code);
        let outcome = match tokio::time::timeout(PATIENCE, call).await {
            Ok(Ok(outcome)) => outcome,
            Ok(Err(Trouble::Refused)) => return count(&storm.ledger.refused),
            Ok(Err(Trouble::Failure(why))) => Outcome::Failed(format!("h2 {why}")),
            Err(_) => Outcome::Failed("h2 no answer in time".to_owned()),
        };
        storm.ledger.note(id, code, outcome);
        rest().await;
    }
}

async fn exchange_http2(
    storm: &Arc<Storm>,
    trunk: &Trunk,
    request: Request<Full<Bytes>>,
    id: &str,
    code: &str,
) -> Result<Outcome, Trouble> {
    loop {
        let (mut sender, _held) = open_trunk(storm, trunk).await?;
        if sender.ready().await.is_err() {
            continue;
        }
        match sender.try_send_request(request.clone()).await {
            Ok(response) => return Ok(judge(response, id, code).await),
            Err(mut error) => match error.take_message() {
                // GOAWAY came first: no stream was opened for it.
                Some(_) => {}
                None => {
                    let error = error.into_error();
                    if !is_goodbye(&error) {
                        return Err(Trouble::of("answer", &error));
                    }
                    count(&storm.ledger.after_goaway);
                }
            },
        }
    }
}

/// GOAWAY without an error, and this stream is not among those that are still served: it was not
/// looked at (RFC 9113 section 6.8), and may be asked again. The banks' books show whether that is
/// true: it keeps its id.
fn is_goodbye(error: &hyper::Error) -> bool {
    let cause =
        std::error::Error::source(error).and_then(|cause| cause.downcast_ref::<h2::Error>());
    cause.is_some_and(|cause| {
        cause.is_go_away() && cause.is_remote() && cause.reason() == Some(h2::Reason::NO_ERROR)
    })
}

async fn open_trunk(storm: &Arc<Storm>, trunk: &Trunk) -> Result<(Two, Arc<Held>), Trouble> {
    let mut trunk = trunk.lock().await;
    let good = |(sender, held): &&(Two, Arc<Held>)| !sender.is_closed() && !held.is_old();
    if let Some(open) = trunk.as_ref().filter(good) {
        return Ok(open.clone());
    }
    let (stream, setting) = storm.dial(b"h2").await?;
    let held = storm.hold(setting);
    let opened = http2::handshake(TokioExecutor::new(), TokioIo::new(stream)).await;
    let (sender, driver) = opened.map_err(|error| Trouble::of("open", &error))?;
    let storm = storm.clone();
    tokio::spawn(async move {
        // It ends well after GOAWAY, when the last stream is done.
        let ended = driver.await;
        let ledger = &storm.ledger;
        count(if ended.is_ok() { &ledger.announced } else { &ledger.unannounced });
    });
    *trunk = Some((sender.clone(), held.clone()));
    Ok((sender, held))
}

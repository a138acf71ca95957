//! The clients of a storm: they call steadily over TLS, in HTTP/1.1 and in HTTP/2.
//!
//! This file decides what a fair client does. It opens a connection anew when its end was
//! announced, and asks again only what was never written. Whatever else goes wrong is a failure.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

use arc_swap::ArcSwap;
use bytes::Bytes;
use http::{Request, Response};
use http_body_util::{BodyExt as _, Full};
use hyper::body::Incoming;
use hyper::client::conn::{http1, http2};
use hyper_util::rt::{TokioExecutor, TokioIo};
use rustls::ClientConfig;
use rustls_pki_types::ServerName;
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
    /// What a new connection shows and trusts.
    pub(super) tls: ArcSwap<ClientConfig>,
    pub(super) over: AtomicBool,
    /// Whether nobody may listen any more.
    pub(super) last: AtomicBool,
    address: SocketAddr,
    targets: Vec<String>,
    number: AtomicU64,
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
            tls: ArcSwap::from_pointee(tls),
            over: AtomicBool::new(false),
            last: AtomicBool::new(false),
            address,
            targets,
            number: AtomicU64::new(0),
        })
    }

    /// A connection. Its certificate is the one of this moment.
    pub(super) async fn connect(&self, alpn: &[u8]) -> Result<TlsStream<TcpStream>, String> {
        self.dial(alpn).await.map_err(|trouble| match trouble {
            Trouble::Refused => "refused".to_owned(),
            Trouble::Failure(why) => why,
        })
    }

    async fn dial(&self, alpn: &[u8]) -> Result<TlsStream<TcpStream>, Trouble> {
        let mut config = (**self.tls.load()).clone();
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
        kept = kept.filter(|_| keeps);
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
    storm: &Storm,
    kept: &mut Option<One>,
    request: Request<Full<Bytes>>,
    id: &str,
    code: &str,
) -> Result<Outcome, Trouble> {
    loop {
        let mut sender = match kept.take() {
            Some(sender) => sender,
            None => {
                let stream = TokioIo::new(storm.dial(b"http/1.1").await?);
                let opened = http1::handshake(stream).await;
                let (sender, driver) = opened.map_err(|error| Trouble::of("open", &error))?;
                tokio::spawn(driver);
                sender
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
                    *kept = Some(sender);
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
pub(super) type Trunk = Arc<tokio::sync::Mutex<Option<Two>>>;

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
        let mut sender = open_trunk(storm, trunk).await?;
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

async fn open_trunk(storm: &Arc<Storm>, trunk: &Trunk) -> Result<Two, Trouble> {
    let mut trunk = trunk.lock().await;
    if let Some(sender) = trunk.as_ref().filter(|sender| !sender.is_closed()) {
        return Ok(sender.clone());
    }
    let stream = TokioIo::new(storm.dial(b"h2").await?);
    let opened = http2::handshake(TokioExecutor::new(), stream).await;
    let (sender, driver) = opened.map_err(|error| Trouble::of("open", &error))?;
    let storm = storm.clone();
    tokio::spawn(async move {
        // It ends well after GOAWAY, when the last stream is done.
        let ended = driver.await;
        let ledger = &storm.ledger;
        count(if ended.is_ok() { &ledger.announced } else { &ledger.unannounced });
    });
    *trunk = Some(sender.clone());
    Ok(sender)
}

//! How a connection to a bank ends that nothing is wrong with: the bank is told (RFC 8446 6.1).

use std::net::Ipv4Addr;
use std::sync::Arc;

use rustls::server::WebPkiClientVerifier;
use rustls::{RootCertStore, ServerConfig};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::mpsc::{UnboundedReceiver, UnboundedSender, unbounded_channel};
use tokio::time::timeout;
use tokio_rustls::TlsAcceptor;
use tokio_rustls::server::TlsStream;

use crate::ask::{Ask, Http};
use crate::bank_bytes::whole_request;
use crate::wire::PATIENCE;
use crate::world::{Setup, World, pki, runtime, wait};

const TOKEN: &str = r#"{"access_token":"at-1","token_type":"bearer"}"#;

/// How a connection ended, as the bank sees it.
#[derive(Debug, PartialEq, Eq)]
enum End {
    /// With `close_notify`.
    Told,
    /// With a bare FIN, or a reset: it could be a cut.
    Cut,
}

/// A bank that answers every call, and tells how its connections end.
struct Listener {
    port: u16,
    ends: UnboundedReceiver<End>,
}

impl Listener {
    /// It speaks the version `"1.1"` or `"2"`.
    fn start(version: &'static str) -> Self {
        let acceptor = TlsAcceptor::from(Arc::new(config(version)));
        let (tell, ends) = unbounded_channel();
        let listener = wait(TcpListener::bind((Ipv4Addr::LOCALHOST, 0))).unwrap();
        let port = listener.local_addr().unwrap().port();
        runtime().spawn(async move {
            while let Ok((socket, _)) = listener.accept().await {
                let (acceptor, tell) = (acceptor.clone(), tell.clone());
                runtime().spawn(serve(acceptor, socket, version, tell));
            }
        });
        Self { port, ends }
    }

    fn world(&self, version: &str, lines: &str) -> World {
        Setup::new()
            .upstream(&format!("\"https://127.0.0.1:{}\"", self.port))
            .target(&format!("http = \"{version}\"\n{lines}"))
            .start()
    }

    #[track_caller]
    fn sees(&mut self, end: &End) {
        let seen = wait(async { timeout(PATIENCE, self.ends.recv()).await });
        assert_eq!(seen.expect("it is still open").as_ref(), Some(end));
    }
}

fn config(version: &str) -> ServerConfig {
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let mut roots = RootCertStore::empty();
    roots.add(pki().hub_ca.cert().clone()).unwrap();
    let verifier = WebPkiClientVerifier::builder_with_provider(roots.into(), provider.clone());
    let identity = pki().bank("it").unwrap();
    let config = ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_client_cert_verifier(verifier.build().unwrap());
    let mut config =
        config.with_single_cert(vec![identity.cert().clone()], identity.key()).unwrap();
    config.alpn_protocols = match version {
        "2" => vec![b"h2".to_vec()],
        _ => vec![],
    };
    config
}

async fn serve(
    acceptor: TlsAcceptor,
    socket: TcpStream,
    version: &str,
    tell: UnboundedSender<End>,
) {
    let stream = acceptor.accept(socket).await.unwrap();
    let end = match version {
        "2" => serve_frames(stream).await,
        _ => serve_lines(stream).await,
    };
    let _ = tell.send(end);
}

async fn serve_lines(mut stream: TlsStream<TcpStream>) -> End {
    let mut bytes = Vec::new();
    loop {
        match stream.read_buf(&mut bytes).await {
            Ok(0) => return End::Told,
            Err(_) => return End::Cut,
            Ok(_) if whole_request(&bytes).is_some() => {
                bytes.clear();
                let length = TOKEN.len();
                let answer = format!(
                    "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\n\
                     Content-Length: {length}\r\n\r\n{TOKEN}"
                );
                stream.write_all(answer.as_bytes()).await.unwrap();
            }
            Ok(_) => {}
        }
    }
}

/// As little of HTTP/2 as a call needs: a library would end the connection by itself.
async fn serve_frames(mut stream: TlsStream<TcpStream>) -> End {
    const PREFACE_BYTES: usize = 24;
    let mut preface = [0; PREFACE_BYTES];
    stream.read_exact(&mut preface).await.unwrap();
    stream.write_all(&frame(SETTINGS, 0, 0, b"")).await.unwrap();
    let mut bytes = Vec::new();
    loop {
        match stream.read_buf(&mut bytes).await {
            Ok(0) => return End::Told,
            Err(_) => return End::Cut,
            Ok(_) => {}
        }
        while let &[_, high, low, kind, flags, _, _, _, id, ..] = &*bytes {
            let end = 9 + usize::from(u16::from_be_bytes([high, low]));
            if bytes.len() < end {
                break;
            }
            bytes.drain(..end);
            let answer = match (kind, flags & 1) {
                (SETTINGS, 0) => frame(SETTINGS, 1, 0, b""),
                (DATA, 1) => {
                    // `:status: 200`, `content-type` (RFC 7541, static table).
                    let fields = b"\x88\x0f\x10\x10application/json";
                    let head = frame(HEADERS, 4, id, fields);
                    [head, frame(DATA, 1, id, TOKEN.as_bytes())].concat()
                }
                _ => continue,
            };
            stream.write_all(&answer).await.unwrap();
        }
    }
}

const DATA: u8 = 0;
const HEADERS: u8 = 1;
const SETTINGS: u8 = 4;

fn frame(kind: u8, flags: u8, id: u8, content: &[u8]) -> Vec<u8> {
    let length = u8::try_from(content.len()).unwrap();
    [&[0, 0, length, kind, flags, 0, 0, 0, id], content].concat()
}

/// What ends a connection that rests.
fn is_told(lines: &str, end: impl Fn(&mut World)) {
    for version in ["1.1", "2"] {
        let mut bank = Listener::start(version);
        let mut world = bank.world(version, lines);
        world.call(Http::One, Ask::token()).good();
        end(&mut world);
        bank.sees(&End::Told);
    }
}

const IDLE: &str =
    "timeouts = { connect = \"10s\", first_byte = \"20s\", total = \"20s\", idle = \"100ms\" }";

#[test]
fn a_bank_is_told_that_a_connection_has_rested_too_long() {
    is_told(IDLE, |_| {});
}

#[test]
fn a_bank_is_told_that_its_entry_has_changed() {
    is_told("", |world| {
        world.rewrite("[[target]]", "[[target]]\nname = \"another\"");
        assert_eq!(world.reload().1["outcome"], "applied");
    });
}

#[test]
fn a_bank_is_told_that_the_gateway_leaves() {
    is_told("", World::stop);
}

#[test]
fn a_bank_is_told_that_a_connection_is_one_too_many() {
    let mut bank = Listener::start("1.1");
    let world = bank.world("1.1", "idle_connections_max = 0");
    world.call(Http::One, Ask::token()).good();
    bank.sees(&End::Told);
}

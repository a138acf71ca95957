//! A client that ends its sending side behind its whole request and waits (RFC 9112 section 9.6,
//! RFC 8446 section 6.1): it is answered. Only a reset says that nobody waits.

use std::io::{Read as _, Write as _};
use std::net::TcpStream as Plain;
use std::sync::Arc;
use std::time::Duration;

use rustls::pki_types::ServerName;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio_rustls::client::TlsStream;

use crate::ask::Ask;
use crate::h2::{Frames, HEADERS};
use crate::wire::PATIENCE;
use crate::world::{Setup, Stub, World, client_config, until, wait};

const DATA: u8 = 0;

/// A connection over TLS whose socket can be reached.
pub(crate) fn connect(world: &World) -> TlsStream<TcpStream> {
    let (config, address) = (client_config(1), world.address(0));
    wait(async {
        let tcp = TcpStream::connect(address).await.unwrap();
        let name = ServerName::try_from("localhost").unwrap();
        tokio_rustls::TlsConnector::from(Arc::new(config)).connect(name, tcp).await.unwrap()
    })
}

#[test]
fn who_says_close_notify_behind_its_request_is_answered() {
    let world = World::new();
    let mut wire = world.wire();
    wire.send(Ask::magic("sim-delay-300").bytes());
    wire.finish();
    wire.answer().good();
    wire.is_closed();
    // Whether it was still there nobody knows: the line says both.
    let line = world.line(|line| line["status"] == 200);
    assert_eq!((&line["client_gone"], &line["provider_status"]), (&true.into(), &200.into()));
    world.bank_heard(1);
}

#[test]
fn who_ends_its_socket_without_a_word_of_tls_is_answered() {
    let world = World::new();
    let mut stream = connect(&world);
    let answer = wait(async {
        stream.write_all(&Ask::magic("sim-delay-300").bytes()).await.unwrap();
        stream.flush().await.unwrap();
        stream.get_mut().0.shutdown().await.unwrap();
        let mut answer = Vec::new();
        let _ = tokio::time::timeout(PATIENCE, stream.read_to_end(&mut answer)).await;
        answer
    });
    assert!(answer.starts_with(b"HTTP/1.1 200 OK\r\n"), "{}", String::from_utf8_lossy(&answer));
    world.bank_heard(1);
}

#[test]
fn who_ends_a_plain_connection_behind_its_requests_gets_all_answers() {
    let gateway = "insecure_plain_listen = \"127.0.0.1:0\"\ninsecure_header_identity = true";
    let world = Setup::new().gateway(gateway).start();
    let mut socket = Plain::connect(world.address(1)).unwrap();
    let requests = [Ask::magic("sim-delay-200").bytes(), Ask::token().bytes()].concat();
    socket.write_all(&requests).unwrap();
    socket.shutdown(std::net::Shutdown::Write).unwrap();
    socket.set_read_timeout(Some(PATIENCE)).unwrap();
    let mut answers = String::new();
    socket.read_to_string(&mut answers).unwrap();
    assert_eq!(answers.matches("HTTP/1.1 200 OK\r\n").count(), 2, "{answers}");
    world.bank_heard(2);
}

#[test]
fn whose_streams_are_whole_is_answered_over_http_2() {
    let world = World::new();
    let mut frames = Frames::open(&world);
    frames.ask(1, &Ask::magic("sim-delay-300"));
    frames.ask(3, &Ask::token());
    frames.finish();
    let mut answered = 0;
    while let Some((kind, _)) = frames.next(&[HEADERS, DATA]) {
        answered += usize::from(kind == HEADERS);
    }
    assert_eq!(answered, 2);
    world.bank_heard(2);
}

#[test]
fn a_request_that_is_not_whole_is_given_up_with_its_connection() {
    let world = World::new();
    let ask = Ask::token();
    let mut wire = world.wire();
    let bytes = ask.bytes();
    wire.send(&bytes[..bytes.len() - 1]);
    wire.finish();
    world.line(|line| line["fault"] == "body_aborted" || line["status"] == 499);
    let mut frames = Frames::open(&world);
    frames.begin(1, &[(":method", "POST"), (":scheme", "https"), (":path", &ask.target)]);
    frames.finish();
    frames.ends();
    world.counts("corgate_connections_open", 0);
    world.bank_heard(0);
}

#[test]
fn who_resets_its_connection_before_a_bank_was_asked_is_given_up() {
    let stub = Stub::start(b"");
    let upstream = format!("\"https://127.0.0.1:{}\"", stub.port());
    let world = Setup::new().upstream(&upstream).start();
    let mut stream = connect(&world);
    wait(async {
        stream.write_all(&Ask::token().bytes()).await.unwrap();
        stream.flush().await.unwrap();
    });
    let in_flight = |count: &str| world.admin("/banks/IIDX00001").1.contains(count);
    until("the call is under way", || in_flight("\"in_flight\":1").then_some(()));
    socket2::SockRef::from(stream.get_ref().0).set_linger(Some(Duration::ZERO)).unwrap();
    drop(stream);
    let line = world.line(|line| line["client_gone"] == true);
    assert_eq!((&line["status"], line.get("provider_status")), (&499.into(), None));
    until("the place is free", || in_flight("\"in_flight\":0").then_some(()));
}

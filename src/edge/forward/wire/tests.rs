//! Tests of a wire against a bank that is a plain socket, whose bytes come when the test says so.

use std::io::{Read as _, Write as _};
use std::net::{Shutdown, TcpListener, TcpStream as Bank};

use std::sync::Arc;

use http::StatusCode;
use rustls::pki_types::PrivatePkcs8KeyDer;
use rustls::{ClientConfig, RootCertStore, ServerConfig, ServerConnection};

use super::*;

/// A wire and its other end. What the bank writes is in the kernel at once, and the runtime hears
/// of it when it is next awaited.
fn connected() -> (Wire, Bank) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let near = Bank::connect(listener.local_addr().unwrap()).unwrap();
    let (far, _) = listener.accept().unwrap();
    near.set_nonblocking(true).unwrap();
    (Wire::plain(TcpStream::from_std(near).unwrap()), far)
}

async fn ask(wire: &mut Wire, bytes: &[u8]) -> Result<Received, Broken> {
    let (mut sending, mut reader) = (Sending::new(bytes), AnswerReader::new(1000));
    match wire.send(&mut sending, &mut reader).await? {
        Some(received) => Ok(received),
        None => wire.finish(&mut sending, &mut reader).await.map_err(Broken::Lost),
    }
}

#[tokio::test]
async fn what_only_the_kernel_knows_is_seen_by_a_look() {
    let (mut wire, mut bank) = connected();
    bank.write_all(b"HTTP/1.1 204 No Content\r\n\r\n").unwrap();
    assert_eq!(ask(&mut wire, b"x").await.unwrap().status, StatusCode::NO_CONTENT);
    assert!(wire.is_silent(true));
    // Nothing is awaited in between: the runtime can't know.
    bank.write_all(b"HTTP/1.1 200 OK\r\n").unwrap();
    assert!(wire.is_silent(false) && !wire.is_silent(true));
}

#[tokio::test]
async fn a_bank_that_hung_up_is_seen_by_a_look() {
    let (mut wire, bank) = connected();
    assert!(wire.is_silent(true));
    drop(bank);
    assert!(!wire.is_silent(true));
}

#[tokio::test]
async fn a_connection_is_used_again_only_if_nothing_came_behind_the_answer() {
    let answer = b"HTTP/1.1 200 OK\r\nContent-Length: 1\r\n\r\na";
    for (surplus, reusable) in [(&b""[..], true), (b"H", false)] {
        let (mut wire, mut bank) = connected();
        bank.write_all(&[answer, surplus].concat()).unwrap();
        assert_eq!(ask(&mut wire, b"x").await.unwrap().reusable, reusable);
    }
}

#[tokio::test]
async fn a_request_that_was_not_taken_whole_leaves_no_reusable_connection() {
    let (mut wire, mut bank) = connected();
    // Early, and more than the sockets' buffers hold is still to be written.
    bank.write_all(b"HTTP/1.1 413 Too Large\r\nContent-Length: 0\r\n\r\n").unwrap();
    let received = ask(&mut wire, &vec![b'x'; 32 << 20]).await.unwrap();
    assert_eq!((received.status.as_u16(), received.reusable), (413, false));
}

#[tokio::test]
async fn a_body_without_an_end_is_not_whole_while_the_request_is_not_sent() {
    let (mut wire, mut bank) = connected();
    bank.write_all(b"HTTP/1.1 413 Too Large\r\n\r\nhalf").unwrap();
    bank.shutdown(Shutdown::Write).unwrap();
    let broken = ask(&mut wire, &vec![b'x'; 32 << 20]).await.unwrap_err();
    assert_eq!(broken, Broken::Lost(Fault::ResponseTruncated));
}

#[tokio::test]
async fn a_wire_goes_on_at_another_runtime() {
    let (mut wire, mut bank) = connected();
    bank.write_all(b"HTTP/1.1 204 No Content\r\n\r\n").unwrap();
    ask(&mut wire, b"one").await.unwrap();
    let elsewhere = std::thread::spawn(move || {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        runtime.block_on(async {
            let mut wire = wire.settle().unwrap();
            assert!(wire.is_silent(true));
            ask(&mut wire, b"two").await.unwrap().status
        })
    });
    let mut heard = [0; 6];
    bank.read_exact(&mut heard).unwrap();
    assert_eq!(&heard, b"onetwo");
    bank.write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n").unwrap();
    assert_eq!(elsewhere.join().unwrap(), StatusCode::OK);
}

/// A wire over TLS, and the bank's session, whose bytes go where the test says.
async fn secured() -> (Wire, Bank, ServerConnection) {
    let identity = rcgen::generate_simple_self_signed(["bank.test".to_owned()]).unwrap();
    let key = PrivatePkcs8KeyDer::from(identity.signing_key.serialize_der());
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let server = ServerConfig::builder_with_provider(provider.clone());
    let server = server.with_safe_default_protocol_versions().unwrap().with_no_client_auth();
    let server = server.with_single_cert(vec![identity.cert.der().clone()], key.into()).unwrap();
    let mut roots = RootCertStore::empty();
    roots.add(identity.cert.der().clone()).unwrap();
    let client = ClientConfig::builder_with_provider(provider);
    let client = client.with_safe_default_protocol_versions().unwrap();
    let client = client.with_root_certificates(roots).with_no_client_auth();
    let mut far = ServerConnection::new(Arc::new(server)).unwrap();
    let name = "bank.test".try_into().unwrap();
    let mut near = ClientConnection::new(Arc::new(client), name).unwrap();
    let mut bytes = Vec::new();
    while near.is_handshaking() || far.is_handshaking() {
        near.write_tls(&mut bytes).unwrap();
        far.read_tls(&mut &*std::mem::take(&mut bytes)).unwrap();
        far.process_new_packets().unwrap();
        if near.is_handshaking() {
            far.write_tls(&mut bytes).unwrap();
            near.read_tls(&mut &*std::mem::take(&mut bytes)).unwrap();
            near.process_new_packets().unwrap();
        }
    }
    let (Wire { stream: Stream::Plain(socket), .. }, bank) = connected() else { panic!() };
    (Wire::tls(Recorded::new(socket), near), bank, far)
}

/// What is to be written, and the runtime has heard of it.
async fn arrives(wire: &Wire, bank: &mut Bank, bytes: &[u8]) {
    bank.write_all(bytes).unwrap();
    wire.socket().readable().await.unwrap();
}

#[tokio::test]
async fn a_part_of_a_record_is_not_silence() {
    let (mut wire, mut bank, mut session) = secured().await;
    let mut bytes = Vec::new();
    // Tickets: whole records that say nothing.
    while session.wants_write() {
        session.write_tls(&mut bytes).unwrap();
    }
    assert!(!bytes.is_empty());
    arrives(&wire, &mut bank, &bytes).await;
    assert!(wire.is_silent(true));

    session.writer().write_all(b"HTTP/1.1 204 No Content\r\n\r\n").unwrap();
    bytes.clear();
    session.write_tls(&mut bytes).unwrap();
    for cut in [1, 5, 6, bytes.len() - 1] {
        let (mut wire, mut bank, _) = secured().await;
        arrives(&wire, &mut bank, &bytes[..cut]).await;
        assert!(!wire.is_silent(false), "{cut} bytes of a record");
        assert!(!wire.is_silent(true), "{cut} bytes of a record, looked at once more");
    }
}

#[tokio::test]
async fn a_part_of_a_record_behind_an_answer_costs_its_connection() {
    for (surplus, reusable) in [(&b""[..], true), (&[23, 3, 3][..], false)] {
        let (mut wire, mut bank, mut session) = secured().await;
        session.writer().write_all(b"HTTP/1.1 204 No Content\r\n\r\n").unwrap();
        let mut bytes = Vec::new();
        while session.wants_write() {
            session.write_tls(&mut bytes).unwrap();
        }
        bank.write_all(&[&bytes, surplus].concat()).unwrap();
        assert_eq!(ask(&mut wire, b"x").await.unwrap().reusable, reusable);
    }
}

#[tokio::test]
async fn a_leave_is_taken_with_close_notify_and_nothing_of_a_request_goes_along() {
    let (mut wire, mut bank, mut session) = secured().await;
    wire.take_leave();
    drop(wire);
    let mut end = Vec::new();
    bank.read_to_end(&mut end).unwrap();
    session.read_tls(&mut &*end).unwrap();
    assert!(session.process_new_packets().unwrap().peer_has_closed());

    let (mut wire, mut bank, mut session) = secured().await;
    let request = vec![b'x'; 32 << 20];
    let (mut sending, mut reader) = (Sending::new(&request), AnswerReader::new(1000));
    let cx = &mut Context::from_waker(Waker::noop());
    assert!(wire.poll_exchange(cx, &mut sending, &mut reader, true).is_pending());
    wire.take_leave();
    drop(wire);
    let mut rest = Vec::new();
    bank.read_to_end(&mut rest).unwrap();
    let mut rest = &rest[..];
    while session.read_tls(&mut rest).unwrap() > 0 {
        let state = session.process_new_packets().unwrap();
        assert!(!state.peer_has_closed(), "half a request, and a word of good order");
        let mut plain = vec![0; state.plaintext_bytes_to_read()];
        session.reader().read_exact(&mut plain).unwrap();
    }
}

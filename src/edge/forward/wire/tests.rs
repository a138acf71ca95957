//! Tests of a wire against a bank that is a plain socket, whose bytes come when the test says so.

use std::io::{Read as _, Write as _};
use std::net::{Shutdown, TcpListener, TcpStream as Bank};

use http::StatusCode;

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

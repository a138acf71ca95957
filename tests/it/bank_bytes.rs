//! CONTRACT 4.6, byte by byte: what a bank may write, and what is none of an answer.

use std::io::{Read as _, Write as _};
use std::net::{Ipv4Addr, TcpListener, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use crate::ask::{Ask, Http};
use crate::world::{Setup, World};

/// A bank that writes these bytes once it has a whole request, and closes. Plain HTTP, so that
/// nothing stands between its bytes and the gateway.
struct Raw {
    port: u16,
    heard: Arc<AtomicUsize>,
}

impl Raw {
    fn start(says: impl Into<Vec<u8>>) -> Self {
        let says = says.into();
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
        let port = listener.local_addr().unwrap().port();
        let heard = Arc::new(AtomicUsize::new(0));
        let count = heard.clone();
        // It ends with the process; nothing waits for it.
        std::thread::spawn(move || {
            for mut stream in listener.incoming().flatten() {
                if read_request(&mut stream) {
                    count.fetch_add(1, Ordering::SeqCst);
                    let _ = stream.write_all(&says);
                }
            }
        });
        Self { port, heard }
    }

    fn world(&self) -> World {
        Setup::new()
            .upstream(&format!("\"http://127.0.0.1:{}\"", self.port))
            .target(
                "insecure_plain_upstream = true\nbreaker = { failures = 1000 }\n\
                 timeouts = { first_byte = \"3s\", total = \"3s\" }",
            )
            .start()
    }
}

/// Whether a whole request came: its head, and as many bytes as that declares.
fn read_request(stream: &mut TcpStream) -> bool {
    let _ = stream.set_read_timeout(Some(Duration::from_secs(10)));
    let (mut bytes, mut piece) = (Vec::new(), [0; 4096]);
    loop {
        if let Some(end) = memchr::memmem::find(&bytes, b"\r\n\r\n") {
            let head = String::from_utf8_lossy(&bytes[..end]).to_ascii_lowercase();
            let length = head.split_once("content-length: ").map_or("0", |(_, rest)| rest);
            let length: usize = length.lines().next().unwrap().trim().parse().unwrap();
            if bytes.len() >= end + 4 + length {
                return true;
            }
        }
        match stream.read(&mut piece) {
            Ok(0) | Err(_) => return false,
            Ok(count) => bytes.extend_from_slice(&piece[..count]),
        }
    }
}

/// Rows: a name, what the bank writes, and the fault.
macro_rules! refused_bytes {
    ($($name:ident: $bytes:expr => $fault:ident;)*) => {$(
        #[test]
        fn $name() {
            let raw = Raw::start($bytes);
            let world = raw.world();
            for http in [Http::One, Http::Two] {
                world.call(http, Ask::token()).platform(502).logged(stringify!($fault));
            }
            assert_eq!(raw.heard.load(Ordering::SeqCst), 2, "each was sent once");
        }
    )*};
}

const OK: &str = "HTTP/1.1 200 OK\r\n";
const CHUNKED: &str = "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n";

refused_bytes! {
    no_head_at_all: "{\"access_token\":\"at\"}" => response_malformed;
    an_old_bare_body: "<html>busy</html>\r\n\r\n" => response_malformed;
    a_version_that_is_none: "HTTP/3.0 200 OK\r\nContent-Length: 2\r\n\r\n{}" => response_malformed;
    a_status_of_four_digits: "HTTP/1.1 2000 OK\r\nContent-Length: 2\r\n\r\n{}"
        => response_malformed;
    a_status_below_100: "HTTP/1.1 099 Low\r\nContent-Length: 2\r\n\r\n{}" => response_malformed;
    a_status_above_599: "HTTP/1.1 777 High\r\nContent-Length: 2\r\n\r\n{}" => response_malformed;
    a_field_without_a_colon: format!("{OK}Content-Length 2\r\n\r\n{{}}") => response_malformed;
    a_field_name_with_a_space: format!("{OK}X Y: 1\r\nContent-Length: 2\r\n\r\n{{}}")
        => response_malformed;
    a_nul_in_a_field: format!("{OK}X-Y: a\0b\r\nContent-Length: 2\r\n\r\n{{}}")
        => response_malformed;
    two_lengths_that_differ: format!("{OK}Content-Length: 2\r\nContent-Length: 3\r\n\r\n{{}} ")
        => response_malformed;
    a_length_below_zero: format!("{OK}Content-Length: -2\r\n\r\n{{}}") => response_malformed;
    a_length_that_is_no_number: format!("{OK}Content-Length: 2x\r\n\r\n{{}}")
        => response_malformed;
    a_length_beside_chunks:
        format!("{OK}Content-Length: 2\r\nTransfer-Encoding: chunked\r\n\r\n2\r\n{{}}\r\n0\r\n\r\n")
        => response_malformed;
    a_coding_that_nobody_asked_for:
        format!("{OK}Transfer-Encoding: gzip, chunked\r\n\r\n2\r\n{{}}\r\n0\r\n\r\n")
        => response_malformed;
    a_chunk_size_that_is_none: format!("{CHUNKED}zz\r\n{{}}\r\n0\r\n\r\n") => response_malformed;
    a_chunk_size_beyond_any: format!("{CHUNKED}ffffffffffffffffff\r\n{{}}")
        => response_malformed;
    a_chunk_that_ends_early: format!("{CHUNKED}20\r\n{{}}") => response_truncated;
    chunks_without_their_last: format!("{CHUNKED}2\r\n{{}}\r\n") => response_truncated;
    a_body_shorter_than_its_length: format!("{OK}Content-Length: 20\r\n\r\n{{}}")
        => response_truncated;
    a_head_that_ends_early: format!("{OK}Content-Le") => connection_lost;
    nothing_and_the_end: "" => connection_lost;
    very_many_fields: format!("{OK}{}\r\n", "X-Y: 1\r\n".repeat(3_000)) => response_too_large;
    a_field_without_an_end: format!("{OK}X-Y: {}", "y".repeat(2_000_000)) => response_too_large;
}

#[test]
fn interim_answers_are_passed_over_and_trailers_stay_behind() {
    let body = r#"{"access_token":"at-1","token_type":"bearer"}"#;
    let size = format!("{:x}", body.len());
    let raw = Raw::start(format!(
        "HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 103 Early Hints\r\nLink: </x>\r\n\r\n\
         HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nTrailer: X-Late\r\n\
         Transfer-Encoding: chunked\r\n\r\n{size}\r\n{body}\r\n0\r\nX-Late: 1\r\n\r\n"
    ));
    let world = raw.world();
    for http in [Http::One, Http::Two] {
        let answer = world.call(http, Ask::token()).good();
        assert_eq!(answer.body, body);
        for name in ["link", "trailer", "x-late"] {
            assert_eq!(answer.header(name), None);
        }
    }
}

#[test]
fn interim_answers_without_end_end_at_the_deadline() {
    let raw = Raw::start("HTTP/1.1 102 Processing\r\n\r\n".repeat(200_000));
    let world = raw.world();
    let answer = world.call(Http::One, Ask::token());
    assert!(matches!(answer.status.as_u16(), 502 | 504), "{answer:?}");
}

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
pub(crate) struct Raw {
    pub(crate) port: u16,
    pub(crate) heard: Arc<AtomicUsize>,
}

impl Raw {
    pub(crate) fn start(says: impl Into<Vec<u8>>) -> Self {
        Self::start_with(vec![says.into()])
    }

    /// One that writes so many answers, one for each request of a connection, before it closes.
    /// `{id}` in them is the request's correlation id.
    fn start_with(says: Vec<Vec<u8>>) -> Self {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
        let port = listener.local_addr().unwrap().port();
        let heard = Arc::new(AtomicUsize::new(0));
        let count = heard.clone();
        // It ends with the process; nothing waits for it.
        std::thread::spawn(move || {
            for mut stream in listener.incoming().flatten() {
                for answer in &says {
                    let Some(id) = read_request(&mut stream) else { break };
                    count.fetch_add(1, Ordering::SeqCst);
                    let _ = stream.write_all(&with_id(answer, &id));
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

/// Waits for a whole request, and gives its correlation id.
fn read_request(stream: &mut TcpStream) -> Option<String> {
    let _ = stream.set_read_timeout(Some(Duration::from_secs(10)));
    let (mut bytes, mut piece) = (Vec::new(), [0; 4096]);
    loop {
        if let Some(id) = whole_request(&bytes) {
            return Some(id);
        }
        match stream.read(&mut piece) {
            Ok(0) | Err(_) => return None,
            Ok(count) => bytes.extend_from_slice(&piece[..count]),
        }
    }
}

/// The correlation id of a request that is whole: its head, and as many bytes as that declares.
pub(crate) fn whole_request(bytes: &[u8]) -> Option<String> {
    whole_request_with(bytes, "x-correlation-id")
}

/// The same, where the id is in another field.
pub(crate) fn whole_request_with(bytes: &[u8], id: &str) -> Option<String> {
    let end = memchr::memmem::find(bytes, b"\r\n\r\n")?;
    let head = String::from_utf8_lossy(&bytes[..end]).into_owned();
    let field = |wanted: &str| {
        let fields = head.lines().filter_map(|line| line.split_once(": "));
        let mut values = fields.filter(|(name, _)| name.eq_ignore_ascii_case(wanted));
        values.next().map(|(_, value)| value.to_owned())
    };
    let length: usize = field("content-length").map_or(0, |length| length.parse().unwrap());
    (bytes.len() >= end + 4 + length).then(|| field(id).unwrap_or_default())
}

fn with_id(answer: &[u8], id: &str) -> Vec<u8> {
    match memchr::memmem::find(answer, b"{id}") {
        Some(at) => [&answer[..at], id.as_bytes(), &answer[at + 4..]].concat(),
        None => answer.to_vec(),
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
    lines_that_end_in_a_bare_lf: "HTTP/1.1 200 OK\nContent-Length: 2\n\n{}"
        => response_malformed;
    one_line_that_ends_in_a_bare_lf: format!("{OK}X-Y: 1\nContent-Length: 2\r\n\r\n{{}}")
        => response_malformed;
    an_interim_answer_with_a_bare_lf:
        format!("HTTP/1.1 100 Continue\n\r\n{OK}Content-Length: 2\r\n\r\n{{}}")
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
    a_chunk_size_with_spaces_behind_it: format!("{CHUNKED}2  \r\n{{}}\r\n0\r\n\r\n")
        => response_malformed;
    a_chunk_extension_without_a_name: format!("{CHUNKED}2;\r\n{{}}\r\n0\r\n\r\n")
        => response_malformed;
    a_chunk_extension_that_is_no_token: format!("{CHUNKED}2;a b\r\n{{}}\r\n0\r\n\r\n")
        => response_malformed;
    a_chunk_extension_whose_quotes_do_not_end: format!("{CHUNKED}2;a=\"b\r\n{{}}\r\n0\r\n\r\n")
        => response_malformed;
    a_last_chunk_with_spaces_behind_it: format!("{CHUNKED}2\r\n{{}}\r\n0 \r\n\r\n")
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

/// A good answer, whose connection is kept; then this one, on the same connection.
fn good_and_then(says: &str) -> Raw {
    let body = r#"{"access_token":"at-1","token_type":"bearer"}"#;
    let good = format!(
        "{OK}Content-Type: application/json\r\nX-Correlation-ID: {{id}}\r\n\
         Content-Length: {}\r\n\r\n{body}",
        body.len()
    );
    Raw::start_with(vec![good.into(), says.into()])
}

#[test]
fn a_408_that_gives_a_used_connection_up_is_a_lost_connection_and_nothing_is_sent_again() {
    for says in [
        "HTTP/1.1 408 Request Timeout\r\nConnection: close\r\nContent-Length: 0\r\n\r\n",
        "HTTP/1.1 408 Request Timeout\r\nConnection: close\r\n\r\n",
        "HTTP/1.0 408 Request Time-out\r\nCache-Control: no-cache\r\nConnection: close\r\n\
         Content-Type: text/html\r\n\r\n<html>no complete request in time</html>",
    ] {
        let raw = good_and_then(says);
        let world = raw.world();
        let mut client = world.client(Http::One, 1);
        client.call(Ask::token()).good();
        let answer = client.call(Ask::token()).platform(502).logged("connection_lost");
        assert_eq!(world.line_of(&answer)["provider_status"], 408);
        assert_eq!(raw.heard.load(Ordering::SeqCst), 2, "each was sent once");
        // It is nobody's last word about the bank.
        client.call(Ask::token()).good();
    }
}

#[test]
fn a_408_under_an_id_of_the_banks_own_is_a_lost_connection_too() {
    let body = r#"{"access_token":"t","token_type":"bearer"}"#;
    let good = format!(
        "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: {}\r\n\r\n{body}",
        body.len()
    );
    let says = "HTTP/1.1 408 Request Timeout\r\nX-Correlation-ID: the-fronts-own\r\n\
                Connection: close\r\nContent-Length: 0\r\n\r\n";
    // This bank does not echo ids, so one of its own says nothing of whose answer it is.
    let raw = Raw::start_with(vec![good.into(), says.into()]);
    let world = raw.world();
    let mut client = world.client(Http::One, 1);
    client.call(Ask::token()).provided(200);
    client.call(Ask::token()).platform(502).logged("connection_lost");
    assert_eq!(raw.heard.load(Ordering::SeqCst), 2, "each was sent once");
}

#[test]
fn a_408_that_answers_the_call_is_the_banks_own() {
    let closes = "HTTP/1.1 408 Request Timeout\r\nConnection: close\r\nContent-Length: 0\r\n\r\n";
    // On a new connection, which was not given up for its rest.
    let raw = Raw::start(closes);
    raw.world().call(Http::One, Ask::token()).provided(408);
    // On a used one, where it knows the call.
    let raw = good_and_then(&closes.replace("Connection", "X-Correlation-ID: {id}\r\nConnection"));
    let world = raw.world();
    let mut client = world.client(Http::One, 1);
    client.call(Ask::token()).good();
    client.call(Ask::token()).provided(408);
    assert_eq!(raw.heard.load(Ordering::SeqCst), 2);
}

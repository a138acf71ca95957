//! A bank over HTTP/2 that writes its frames by hand.
//!
//! This file decides how they are written. It must not know what is made of them.

use std::io::{Read as _, Write as _};
use std::net::{Ipv4Addr, TcpListener, TcpStream};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use crate::world::{Setup, World};

pub(crate) const DATA: u8 = 0;
pub(crate) const HEADERS: u8 = 1;
pub(crate) const RST_STREAM: u8 = 3;
pub(crate) const SETTINGS: u8 = 4;
pub(crate) const PING: u8 = 6;
pub(crate) const GOAWAY: u8 = 7;
pub(crate) const WINDOW_UPDATE: u8 = 8;
pub(crate) const END_STREAM: u8 = 1;
pub(crate) const NO_ERROR: u32 = 0;
pub(crate) const REFUSED_STREAM: u32 = 7;
pub(crate) const BODY: &str = r#"{"access_token":"at-1","token_type":"bearer","expires_in":60}"#;

/// One call that a bank has heard.
pub(crate) struct Heard {
    /// Which of its connections, from 1.
    pub(crate) connection: usize,
    /// The how manieth call of it, from 1.
    pub(crate) nth: usize,
    pub(crate) stream: u32,
}

/// A bank over plain HTTP/2 that answers by hand, and closes where its script says so.
pub(crate) struct FrameBank {
    port: u16,
    connections: Arc<AtomicUsize>,
    heard: Arc<Mutex<Vec<(usize, u32)>>>,
}

/// Whether the connection goes on.
pub(crate) type Script = fn(&mut TcpStream, &Heard) -> bool;

impl FrameBank {
    pub(crate) fn start(settings: &'static [u8], script: Script) -> Self {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
        let port = listener.local_addr().unwrap().port();
        let (connections, heard) = (Arc::<AtomicUsize>::default(), Arc::default());
        let bank = Self { port, connections: connections.clone(), heard: Arc::clone(&heard) };
        // It ends with the process; nothing waits for it.
        std::thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                let connection = connections.fetch_add(1, Ordering::SeqCst) + 1;
                let heard: Arc<Mutex<Vec<(usize, u32)>>> = Arc::clone(&heard);
                std::thread::spawn(move || serve(stream, connection, settings, script, &heard));
            }
        });
        bank
    }

    pub(crate) fn world(&self) -> World {
        self.setup("").start()
    }

    pub(crate) fn setup(&self, lines: &str) -> Setup {
        Setup::new().upstream(&format!("\"http://127.0.0.1:{}\"", self.port)).target(&format!(
            "insecure_plain_upstream = true\nhttp = \"2\"\nbreaker = {{ failures = 1000 }}\n\
             timeouts = {{ connect = \"5s\", first_byte = \"5s\", total = \"5s\" }}\n{lines}"
        ))
    }

    pub(crate) const fn port(&self) -> u16 {
        self.port
    }

    pub(crate) fn connections(&self) -> usize {
        self.connections.load(Ordering::SeqCst)
    }

    pub(crate) fn heard(&self) -> usize {
        self.heard.lock().unwrap().len()
    }
}

fn serve(
    mut stream: TcpStream,
    connection: usize,
    settings: &[u8],
    script: Script,
    heard: &Mutex<Vec<(usize, u32)>>,
) -> Option<()> {
    stream.set_read_timeout(Some(Duration::from_secs(20))).ok()?;
    stream.read_exact(&mut [0; 24]).ok()?;
    frame(&mut stream, SETTINGS, 0, 0, settings);
    let mut nth = 0;
    loop {
        let mut head = [0; 9];
        stream.read_exact(&mut head).ok()?;
        let [a, b, c, kind, flags, d, e, f, g] = head;
        let mut payload = vec![0; u32::from_be_bytes([0, a, b, c]) as usize];
        stream.read_exact(&mut payload).ok()?;
        if kind == SETTINGS && flags == 0 {
            frame(&mut stream, SETTINGS, 1, 0, &[]);
        }
        if matches!(kind, DATA | HEADERS) && flags & END_STREAM != 0 {
            nth += 1;
            let id = u32::from_be_bytes([d, e, f, g]);
            heard.lock().unwrap().push((connection, id));
            if !script(&mut stream, &Heard { connection, nth, stream: id }) {
                // What is still on its way is read, so that no reset takes the answer along.
                let _ = stream.shutdown(std::net::Shutdown::Write);
                let _ = stream.read_to_end(&mut Vec::new());
                return None;
            }
        }
    }
}

pub(crate) fn framed(kind: u8, flags: u8, stream: u32, payload: &[u8]) -> Vec<u8> {
    let length = u32::try_from(payload.len()).unwrap().to_be_bytes();
    let head = [&length[1..], &[kind, flags], &stream.to_be_bytes()].concat();
    [&head, payload].concat()
}

pub(crate) fn frame(to: &mut TcpStream, kind: u8, flags: u8, stream: u32, payload: &[u8]) {
    let _ = to.write_all(&framed(kind, flags, stream, payload));
}

/// A head whose fields are literals.
pub(crate) fn head(fields: &[(&str, &str)]) -> Vec<u8> {
    let mut block = Vec::new();
    for (name, value) in fields {
        block.push(0);
        for text in [name, value] {
            block.push(u8::try_from(text.len()).unwrap());
            block.extend_from_slice(text.as_bytes());
        }
    }
    block
}

/// The head of a good answer, whose body has this length.
pub(crate) fn good_head(to: &mut TcpStream, stream: u32, length: usize) {
    let length = length.to_string();
    let fields =
        [(":status", "200"), ("content-type", "application/json"), ("content-length", &length)];
    frame(to, HEADERS, 4, stream, &head(&fields));
}

pub(crate) fn good(to: &mut TcpStream, stream: u32) {
    good_head(to, stream, BODY.len());
    frame(to, DATA, END_STREAM, stream, BODY.as_bytes());
}

pub(crate) fn go_away(to: &mut TcpStream, last: u32) {
    frame(to, GOAWAY, 0, 0, &[last.to_be_bytes(), NO_ERROR.to_be_bytes()].concat());
}

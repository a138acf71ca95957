//! Attacks that wait: connections that say nothing, heads and bodies that never end, answers that
//! nobody reads, names without number. Each is held to the common criterion of [`Siege`].

use std::io::Read as _;
use std::net::TcpStream;
use std::time::Duration;

use crate::ask::{Ask, Http, unique};
use crate::wire::Wire;
use crate::world::{Setup, Siege, now, until};

const UNTAKEN: &str = "corgate_connections_cut_total{kind=\"untaken\"}";
/// How late after its deadline a connection may be cut.
const LATE: Duration = Duration::from_secs(3);

fn hasty() -> Siege {
    let limits = "head_timeout = \"1s\"\nbody_timeout = \"1s\"\nidle_timeout = \"1s\"\n\
                  handshake_timeout = \"1s\"\nanswer_timeout = \"1s\"\nhandshakes_max = 32";
    let target = "response_bytes_max = 8388608";
    Siege::start(Setup::new().limits(limits).target(target))
}

#[test]
fn slow_heads_are_all_cut() {
    let siege = hasty();
    siege.withstands(|| {
        let head = Ask::token().head();
        let mut wires: Vec<Wire> = (0..40).map(|_| siege.wire()).collect();
        let started = now();
        for piece in head.chunks(40).take(4) {
            wires.iter_mut().for_each(|wire| wire.send(piece));
            std::thread::sleep(Duration::from_millis(50));
        }
        for wire in &mut wires {
            wire.refused_for_good(408, "invalid_request", "request timed out");
        }
        assert!(started.elapsed() < Duration::from_secs(1) + LATE, "{:?}", started.elapsed());
    });
}

#[test]
fn slow_bodies_are_all_cut() {
    let siege = hasty();
    siege.withstands(|| {
        let mut wires: Vec<Wire> = (0..40).map(|_| siege.wire()).collect();
        let started = now();
        let ask = Ask::token();
        wires.iter_mut().for_each(|wire| wire.send(ask.head()));
        // A byte now and then does not buy time: the deadline is for the whole body.
        for byte in ask.body.chunks(1).take(4) {
            wires.iter_mut().for_each(|wire| wire.send(byte));
            std::thread::sleep(Duration::from_millis(50));
        }
        for wire in &mut wires {
            wire.refused_for_good(408, "invalid_request", "request timed out");
        }
        assert!(started.elapsed() < Duration::from_secs(1) + LATE, "{:?}", started.elapsed());
        assert!(siege.bank.requests().iter().all(|heard| heard.body != ask.body));
    });
}

#[test]
fn clients_that_never_read_their_answers_are_cut() {
    let siege = hasty();
    siege.withstands(|| {
        let mut wires: Vec<Wire> = (0..4).map(|_| siege.wire()).collect();
        for wire in &mut wires {
            (0..12).for_each(|_| wire.send(Ask::magic("sim-huge-body").bytes()));
        }
        siege.counts(UNTAKEN, 4);
    });
}

#[test]
fn connections_that_say_nothing_are_closed() {
    let siege = hasty();
    siege.withstands(|| {
        let mut wires: Vec<Wire> = (0..60).map(|_| siege.wire()).collect();
        let started = now();
        wires.iter_mut().for_each(Wire::is_closed);
        assert!(started.elapsed() < Duration::from_secs(1) + LATE, "{:?}", started.elapsed());
    });
}

#[test]
fn handshakes_that_never_end_keep_nobody_out_for_long() {
    let siege = hasty();
    siege.withstands(|| {
        let mut stuck: Vec<_> =
            (0..200).map(|_| TcpStream::connect(siege.address()).unwrap()).collect();
        for socket in &mut stuck {
            socket.set_read_timeout(Some(Duration::from_secs(20))).unwrap();
            let ended = socket.read(&mut [0; 1]);
            assert!(matches!(ended, Ok(0)) || ended.is_err_and(|error| is_reset(&error)));
        }
        assert_eq!(siege.metric("corgate_connections_refused_total"), 0);
    });
}

fn is_reset(error: &std::io::Error) -> bool {
    error.kind() == std::io::ErrorKind::ConnectionReset
}

#[test]
fn without_descriptors_accepting_pauses_and_what_is_open_goes_on() {
    let limits = "handshake_timeout = \"60s\"\nhandshakes_max = 10000";
    let siege = Siege::start_with(Setup::new().limits(limits), "96");
    siege.withstands(|| {
        let held: Vec<_> = (0..150).map(|_| TcpStream::connect(siege.address()).unwrap()).collect();
        let (cpu, started) = (siege.cpu(), now());
        std::thread::sleep(Duration::from_secs(2));
        let (used, waited) = (siege.cpu() - cpu, started.elapsed());
        // It waits and does not spin; the neighbours' calls are in this, too.
        assert!(used < waited / 2, "{used:?} of {waited:?}");
        drop(held);
        let free = now();
        until("a free place", || siege.client(Http::One).try_call(Ask::token()).ok()).good();
        assert!(free.elapsed() < Duration::from_secs(1), "{:?}", free.elapsed());
    });
}

#[test]
fn names_that_nobody_knows_are_not_remembered() {
    let siege = Siege::start(Setup::new());
    siege.withstands(|| {
        let mut client = siege.client(Http::Two);
        let mut call = |ask: Ask, status: u16| {
            client.call(ask).platform(status);
        };
        let mut first = |count: usize| {
            for _ in 0..count {
                let name = unique("N").replace('-', "");
                call(Ask::token().client(&name[..name.len().min(30)]), 401);
                call(Ask::token().bank(&name[..name.len().min(30)]), 400);
                call(Ask::token().target(&format!("/{name}")), 404);
            }
        };
        first(500);
        let (half, series) = (siege.resident(), siege.metrics().lines().count());
        first(500);
        assert_eq!(siege.metrics().lines().count(), series);
        // Limiter, tables and metrics know no key of a stranger's.
        assert!(siege.resident() < half + 4 * 1024 * 1024, "{half} {}", siege.resident());
    });
}

#[test]
fn what_a_stranger_says_breaks_no_line_of_the_log() {
    let siege = Siege::start(Setup::new());
    siege.withstands(|| {
        let mut client = siege.client(Http::One);
        let values =
            ["a\",\"status\":200,\"x\":\"", "\u{9b}31m", "\u{2028}", "\\n{}", "%0d%0aX: y"];
        for value in values {
            client.call(Ask::token().set("User-Agent", value));
            client.call(Ask::token().set("X-Correlation-ID", value));
            client.call(Ask::token().set("X-CorAPI-Target-ID", value)).platform(400);
            client.call(Ask::token().param("grant_type", value)).platform(400);
        }
    });
}

//! How a connection ends, and a worker: what is on its way is answered, what is being taken is
//! waited for, and nothing holds up the end.

use std::sync::Arc;
use std::time::Duration;

use corgate::edge::names::{LookUp, Names};

use crate::ask::{Ask, Http};
use crate::h2::{Frames, GOAWAY, HEADERS};
use crate::world::{Setup, Siege, World, bank_with, client_id, entry, listening, now, until};

const DATA: u8 = 0;
const UNTAKEN: &str = "corgate_connections_cut_total{kind=\"untaken\"}";

/// SETTINGS with an initial window of 0: no byte of a body may be sent until it is opened.
fn hold_answers(frames: &mut Frames) {
    frames.send(4, 0, 0, &[0, 4, 0, 0, 0, 0]);
}

fn open_window(frames: &mut Frames, stream: u32) {
    frames.send(8, 0, stream, &65_535_u32.to_be_bytes());
}

fn post(ask: &Ask) -> [(&'static str, &str); 3] {
    [(":method", "POST"), (":scheme", "https"), (":path", ask.target.as_str())]
}

#[test]
fn a_part_of_a_head_behind_a_body_that_nobody_read_has_its_time_and_costs_none() {
    let siege = Siege::start(Setup::new().limits("head_timeout = \"1s\""));
    let expecting = "POST /nothing HTTP/1.1\r\nHost: x\r\nExpect: 100-continue\r\n\
                     Content-Length: 1\r\n\r\nx";
    let plain = "POST /nothing HTTP/1.1\r\nHost: x\r\nContent-Length: 5\r\n\r\nhello";
    for request in [expecting, plain] {
        let mut wire = siege.wire();
        let (cpu, started) = (siege.cpu(), now());
        // The first byte of a next request, whose rest never comes.
        wire.send(format!("{request}G"));
        wire.answer().platform(404);
        wire.refused_for_good(408, "invalid_request", "request timed out");
        let took = started.elapsed();
        assert!((Duration::from_millis(900)..Duration::from_secs(4)).contains(&took), "{took:?}");
        let used = siege.cpu() - cpu;
        assert!(used < took / 4, "{used:?} of {took:?}");
    }
}

/// Puts client 2 out.
#[track_caller]
fn put_out(world: &World) {
    world.rewrite(&entry(2, "targets = [\"*\"]"), "");
    let (status, report) = world.reload();
    assert_eq!(status, 200, "{report:#}");
    world.counts("corgate_clients_out_total{reason=\"taken_off\"}", 1);
}

#[test]
fn an_answer_that_a_client_takes_while_it_is_put_out_comes_whole_over_http_1() {
    let target = "response_bytes_max = 8388608";
    let world = Setup::new().target(target).and_client(2, "targets = [\"*\"]").start();
    let mut wire = world.wire_of(2);
    // More than sockets hold: one of the answers is on its way when the client is out.
    let ask = || Ask::magic("sim-huge-body").client(&client_id(2));
    (0..8).for_each(|_| wire.send(ask().bytes()));
    let mut heard = 0;
    until("the answers wait", || {
        let before = std::mem::replace(&mut heard, world.bank.requests().len());
        std::thread::sleep(Duration::from_millis(500));
        (before > 0 && before == heard).then_some(())
    });
    assert!(heard < 8, "all answers are in the sockets");
    put_out(&world);
    std::thread::sleep(Duration::from_secs(1));
    for _ in 0..heard {
        assert!(wire.answer().good().body.len() >= 4 * 1024 * 1024);
    }
}

#[test]
fn an_answer_that_a_client_takes_while_it_is_put_out_comes_whole_over_http_2() {
    let world = Setup::new().and_client(2, "targets = [\"*\"]").start();
    let mut frames = Frames::open_as(&world, 2);
    hold_answers(&mut frames);
    frames.ask(1, &Ask::token().client(&client_id(2)));
    assert!(frames.next(&[HEADERS]).is_some());
    put_out(&world);
    assert!(frames.next(&[GOAWAY]).is_some());
    std::thread::sleep(Duration::from_secs(1));
    open_window(&mut frames, 1);
    assert!(frames.next(&[DATA]).is_some_and(|(_, body)| !body.is_empty()), "the answer is lost");
    // It has all that it was owed.
    let taken = now();
    frames.ends();
    assert!(taken.elapsed() < Duration::from_secs(1), "{:?}", taken.elapsed());
}

#[test]
fn a_stream_on_its_way_when_an_http_2_connection_ends_is_answered() {
    for limits in ["idle_timeout = \"1s\"", "connection_age_max = \"1s\""] {
        let world = Setup::new().limits(limits).start();
        let mut frames = Frames::open(&world);
        assert!(frames.next(&[GOAWAY]).is_some(), "no word");
        let told = now();
        frames.request(1, &post(&Ask::token()));
        assert_eq!(frames.next(&[HEADERS]).map(|(kind, _)| kind), Some(HEADERS), "{limits}");
        frames.ends();
        assert!(told.elapsed() < Duration::from_secs(4), "{:?}", told.elapsed());
        world.line(|line| line["protocol"] == "h2");
    }
}

#[test]
fn a_client_that_asks_often_is_told_when_its_connection_is_at_its_age() {
    // The head's deadline is what the one timer was set to: it fires between two requests.
    let limits = "connection_age_max = \"1s\"\nhead_timeout = \"1s\"";
    let world = Setup::new().limits(limits).gateway("drain_quiet = \"5s\"").start();
    let mut wire = world.wire();
    until("the last answer", || {
        wire.send(Ask::token().bytes());
        let answer = wire.answer().good();
        std::thread::sleep(Duration::from_millis(150));
        answer.header("connection").map(|word| assert_eq!(word, "close"))
    });
    wire.is_closed();
}

#[test]
fn a_connection_whose_answers_are_taken_one_after_another_is_not_cut() {
    let world = Setup::new().limits("answer_timeout = \"1s\"").start();
    let mut frames = Frames::open(&world);
    hold_answers(&mut frames);
    // There is always one that waits, and each of them not for long.
    let stream = |number: u32| 2 * number + 1;
    frames.ask(stream(0), &Ask::token());
    for number in 0..12 {
        frames.ask(stream(number + 1), &Ask::token());
        std::thread::sleep(Duration::from_millis(250));
        open_window(&mut frames, stream(number));
        assert!(frames.next(&[DATA]).is_some(), "cut at answer {number}");
    }
    assert_eq!(world.metric(UNTAKEN), 0);
    // The last one is not taken.
    frames.ends();
    world.counts(UNTAKEN, 1);
}

/// A name server that blocks a thread for long, as getaddrinfo does.
#[derive(Debug)]
struct Stuck;

impl Names for Stuck {
    fn look_up(&self, _: &str) -> LookUp {
        Box::pin(async {
            let block = || std::thread::sleep(Duration::from_secs(15));
            let _ = tokio::task::spawn_blocking(block).await;
            Err(std::io::ErrorKind::TimedOut.into())
        })
    }
}

/// One that is broken.
#[derive(Debug)]
struct Broken;

impl Names for Broken {
    fn look_up(&self, _: &str) -> LookUp {
        panic!("a name server that a test has broken");
    }
}

fn named(names: Arc<dyn Names>, gateway: &str) -> World {
    let bank = bank_with(listening());
    let upstream = format!("\"https://it.bank.test:{}\"", bank.address().port());
    Setup::new().bank(bank).upstream(&upstream).names(names).gateway(gateway).start()
}

#[test]
fn a_look_up_that_hangs_does_not_hold_up_the_end() {
    let mut world = named(Arc::new(Stuck), "");
    world.client(Http::One, 1).call_and_leave(Ask::token(), Duration::from_millis(300));
    world.line(|line| line["client_gone"] == true);
    let started = now();
    world.stop();
    assert!(started.elapsed() < Duration::from_secs(8), "{:?}", started.elapsed());
}

#[test]
fn a_call_that_panics_is_answered_and_its_connection_not_waited_for() {
    let mut world = named(Arc::new(Broken), "drain_timeout = \"15s\"");
    for http in [Http::One, Http::Two] {
        let mut client = world.client(http, 1);
        for _ in 0..2 {
            let answer = client.call(Ask::token());
            answer.refused(500, "server_error", "internal error").logged("internal");
        }
    }
    let line = world.line(|line| line["fault"] == "internal");
    assert_eq!(line.get("client_gone"), None);
    assert_eq!(line["detail"], "panic");
    world.counts("corgate_worker_connections{worker=\"0\"}", 0);
    let started = now();
    world.stop();
    assert!(started.elapsed() < Duration::from_secs(8), "{:?}", started.elapsed());
}

//! CONTRACT 4.6: a gateway that leaves finishes what it began, and says so to who comes late.

use std::io::{ErrorKind, Read as _, Write as _};
use std::time::Duration;

use corgate::edge::Stage;

use crate::ask::{Ask, Http};
use crate::h2::{Frames, HEADERS, RST_STREAM, Streams};
use crate::world::{Setup, World, now, until};

over_both! {
    fn what_is_under_way_is_finished_while_the_gateway_refuses(http) {
        let world = World::new();
        let slow = world.client(http, 1).call_meanwhile(Ask::magic("sim-delay-300"));
        until("the call at the bank", || (world.bank.requests().len() == 1).then_some(()));
        world.running().refuse();
        slow.join().unwrap().good();
    }

    fn what_is_under_way_is_finished_before_the_gateway_stops(http) {
        let mut world = World::new();
        let slow = world.client(http, 1).call_meanwhile(Ask::magic("sim-delay-300"));
        until("the call at the bank", || (world.bank.requests().len() == 1).then_some(()));
        world.stop();
        let answer = slow.join().unwrap().good();
        let close = (http == Http::One).then_some("close");
        assert_eq!(answer.header("connection"), close);
    }

    fn a_stopped_gateway_accepts_nobody(http) {
        let mut world = World::new();
        let mut client = world.client(http, 1);
        client.call(Ask::token()).good();
        world.stop();
        assert!(client.try_call(Ask::token()).is_err());
        world.bank_heard(1);
    }
}

/// Waits until the gateway's side of a connection is set up too.
fn connected(world: &World) {
    world.counts("corgate_handshakes_total", 1);
}

#[test]
fn row_4_6_who_comes_late_over_http_2_is_told_to_retry() {
    let world = World::new();
    let mut frames = Frames::open(&world);
    connected(&world);
    world.running().refuse();
    // A client that has not yet read the GOAWAY may still open a stream (RFC 9113 section 6.8).
    frames
        .request(1, &[(":method", "POST"), (":scheme", "https"), (":path", &Ask::token().target)]);
    assert_eq!(frames.next(&[HEADERS, RST_STREAM]).map(|(kind, _)| kind), Some(HEADERS));
    // The line does not wait for the end of the drain.
    let line = world.line(|line| line["fault"] == "draining");
    assert_eq!((&line["status"], &line["protocol"]), (&503.into(), &"h2".into()));
    assert_eq!(world.running().stage(), Stage::Refusing);
    assert_eq!(world.admin("/readyz").0, 503);
    assert_eq!(world.admin("/livez").0, 200);
    world.bank_heard(0);
}

#[test]
fn connections_that_wait_are_closed_when_the_gateway_leaves() {
    let world = World::new();
    // One that has not asked, one between two requests, one within a head.
    let mut wires: Vec<_> = (0..3).map(|_| world.wire()).collect();
    wires[1].send(Ask::token().bytes());
    wires[1].answer().good();
    wires[2].send(&Ask::token().bytes()[..100]);
    world.running().refuse();
    wires[0].is_closed();
    wires[1].is_closed();
    // A request that has begun is waited for, as long as its head may take.
    wires[2].refused_for_good(408, "invalid_request", "request timed out");
    world.bank_heard(1);
}

#[test]
fn a_request_on_its_way_when_the_drain_begins_is_served_and_told_of_the_end() {
    let mut world = Setup::new().gateway("drain_quiet = \"10s\"\ndrain_timeout = \"15s\"").start();
    let mut wire = world.wire();
    wire.send(Ask::token().bytes());
    let answer = wire.answer().good();
    assert_eq!(answer.header("connection"), None);
    let (address, end) = (world.address(0), world.stop_meanwhile());
    // It was idle when the drain began, and nothing has told it so.
    until("nobody is let in", || std::net::TcpStream::connect(address).is_err().then_some(()));
    wire.send(Ask::token().bytes());
    wire.answer().good().says("connection", "close");
    wire.is_closed();
    end.join().unwrap();
    world.bank_heard(2);
}

#[test]
fn a_gateway_that_is_unready_still_serves_until_the_delay_is_over() {
    let mut world = Setup::new().gateway("drain_delay = \"2s\"").start();
    let admin = world.running().admin;
    let ready = move || {
        let mut client = corgate::sim::client::Client::plain(admin);
        let request = http::Request::get("/readyz").body(bytes::Bytes::new()).unwrap();
        crate::world::wait(client.call(request)).map(|answer| answer.status().as_u16()).ok()
    };
    assert_eq!(ready(), Some(200));
    let mut late = world.client(Http::One, 1);
    let started = now();
    let end = world.stop_meanwhile();
    until("it is unready", || (ready() == Some(503)).then_some(()));
    let answer = late.call(Ask::token()).good();
    assert_eq!(answer.header("connection"), None);
    drop(late);
    end.join().unwrap();
    assert!(started.elapsed() >= Duration::from_secs(2));
}

#[test]
fn a_reload_is_still_taken_up_until_the_delay_is_over() {
    let mut world = Setup::new().gateway("drain_delay = \"4s\"").start();
    let (admin, mut late) = (world.running().admin, world.client(Http::One, 1));
    late.call(Ask::token()).good();
    let ask = |request: http::Request<bytes::Bytes>| {
        let mut client = corgate::sim::client::Client::plain(admin);
        crate::world::wait(client.call(request)).map(|answer| answer.status().as_u16()).ok()
    };
    let ready = || ask(http::Request::get("/readyz").body(bytes::Bytes::new()).unwrap());
    let end = world.stop_meanwhile();
    until("it is unready", || (ready() == Some(503)).then_some(()));
    world.rewrite("[[target]]", "[[target]]\nstatus = \"suspended\"");
    let reload = http::Request::post("/reload").header("X-Corgate-Admin", "1");
    assert_eq!(ask(reload.body(bytes::Bytes::new()).unwrap()), Some(200));
    late.call(Ask::token()).platform(403).logged("target_suspended");
    drop(late);
    end.join().unwrap();
}

#[test]
fn a_call_whose_client_left_is_finished_before_the_gateway_stops() {
    let mut world = World::new();
    let ask = Ask::magic("sim-delay-1000");
    world.client(Http::One, 1).call_and_leave(ask.clone(), Duration::from_millis(300));
    until("the call at the bank", || (world.bank.requests().len() == 1).then_some(()));
    world.stop();
    let line = world.line(|line| line["client_gone"] == true);
    assert_eq!(line["provider_status"], 200, "{line}");
}

#[test]
fn an_idle_connection_does_not_hold_up_the_end() {
    let mut world = Setup::new().gateway("drain_timeout = \"15s\"").start();
    let mut wire = world.wire();
    wire.send(Ask::token().bytes());
    wire.answer().good();
    let streams = Streams::open(&world);
    streams.begin_whole(&Ask::token()).answer().good();
    let started = now();
    world.stop();
    assert!(started.elapsed() < Duration::from_secs(14), "{:?}", started.elapsed());
    wire.is_closed();
    drop(streams);
}

#[test]
fn a_call_that_never_ends_is_cut_at_the_drain_timeout() {
    let mut world = World::new();
    let mut client = world.client(Http::One, 1);
    let ask = Ask::magic("sim-hang");
    let hanging = std::thread::spawn(move || client.try_call(ask).is_err());
    until("the call at the bank", || (world.bank.requests().len() == 1).then_some(()));
    let started = now();
    world.stop();
    let took = started.elapsed();
    assert!((Duration::from_millis(1_900)..Duration::from_secs(10)).contains(&took), "{took:?}");
    assert!(hanging.join().unwrap());
    let gone = world.lines().into_iter().find(|line| line["status"] == 499).unwrap();
    assert_eq!(gone["client_gone"], true);
}

#[test]
fn who_connects_while_the_listener_closes_is_served_or_refused_and_never_reset() {
    let ask = Ask::token();
    for _ in 0..3 {
        let gateway = "insecure_plain_listen = \"127.0.0.1:0\"\nworkers = 2";
        let mut world = Setup::new().gateway(gateway).start();
        let address = world.address(1);
        let bytes = ask.bytes();
        let hasty = || {
            let mut served = 0;
            loop {
                let mut stream = match std::net::TcpStream::connect(address) {
                    Ok(stream) => stream,
                    Err(error) if error.kind() == ErrorKind::ConnectionRefused => return served,
                    Err(error) => panic!("neither served nor refused: {error}"),
                };
                stream.set_read_timeout(Some(Duration::from_secs(20))).unwrap();
                stream.write_all(&bytes).unwrap();
                let mut head = [0; 12];
                let read = stream.read_exact(&mut head);
                read.unwrap_or_else(|error| panic!("connected, and then: {error}"));
                // Nobody is known on a plain listener: 401.
                assert_eq!(&head, b"HTTP/1.1 401");
                served += 1;
            }
        };
        std::thread::scope(|threads| {
            let hasty: Vec<_> = (0..6).map(|_| threads.spawn(hasty)).collect();
            world.counts_at_least("corgate_connections_total", 50);
            world.stop();
            for client in hasty {
                assert!(client.join().unwrap() > 0);
            }
        });
    }
}

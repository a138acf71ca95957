//! Room for everybody: who holds connections without a call makes room for who has one, at every
//! limit on connections and handshakes.

use std::io::{Read as _, Write as _};
use std::net::{SocketAddr, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use rustls::ClientConnection;
use rustls::pki_types::ServerName;

use crate::ask::{Ask, Http};
use corgate::sim::client::Client;

use crate::wire::{PATIENCE, Wire};
use crate::world::{Setup, Siege, World, client_config, client_id, now, runtime, tls_of, until};

/// So many of them would take all places for handshakes.
const SLOW: u64 = 300;
const ROOM: &str = "corgate_connections_cut_total{kind=\"room\"}";

fn ask_of(number: usize) -> Ask {
    Ask::token().client(&client_id(number))
}

/// Calls on a connection each.
#[track_caller]
fn new_connections_are_served(siege: &Siege, calls: usize) {
    for call in 0..calls {
        let http = if call % 2 == 0 { Http::One } else { Http::Two };
        siege.caller(http, 2).call(ask_of(2)).good();
    }
}

#[test]
fn silent_connections_keep_no_handshake_out() {
    let siege = Siege::start(Setup::new());
    siege.withstands(|| {
        let silent: Vec<_> =
            (0..200).map(|_| TcpStream::connect(siege.address()).unwrap()).collect();
        new_connections_are_served(&siege, 40);
        drop(silent);
    });
}

#[test]
fn a_stream_of_silent_connections_keeps_no_handshake_out() {
    // Fewer may wait than come until their time is over.
    let siege = Siege::start(Setup::new().limits("handshakes_pending_max = 64"));
    siege.withstands(|| {
        let stop = Arc::new(AtomicBool::new(false));
        let (told, address) = (stop.clone(), siege.address());
        let flood = std::thread::spawn(move || {
            let mut silent = Vec::new();
            while !told.load(Ordering::Relaxed) && silent.len() < 2_000 {
                silent.push(TcpStream::connect(address).unwrap());
                std::thread::sleep(Duration::from_millis(5));
            }
            silent.len()
        });
        until("they make room", || (siege.metric(ROOM) > 10).then_some(()));
        new_connections_are_served(&siege, 60);
        stop.store(true, Ordering::Relaxed);
        assert!(flood.join().unwrap() > 64);
        assert_eq!(siege.metric("corgate_connections_refused_total"), 0);
    });
}

/// The first message of a good handshake.
fn client_hello() -> Vec<u8> {
    let name = ServerName::try_from("localhost").unwrap();
    let mut session = ClientConnection::new(Arc::new(client_config(1)), name).unwrap();
    let mut hello = Vec::new();
    session.write_tls(&mut hello).unwrap();
    hello
}

#[test]
fn handshakes_that_stand_still_give_way_to_those_that_wait() {
    let limits = "handshakes_max = 2\nhandshake_timeout = \"30s\"";
    let siege = Siege::start(Setup::new().limits(limits));
    siege.withstands(|| {
        let hello = client_hello();
        let stuck: Vec<_> = (0..12)
            .map(|_| {
                let mut socket = TcpStream::connect(siege.address()).unwrap();
                socket.write_all(&hello).unwrap();
                socket
            })
            .collect();
        new_connections_are_served(&siege, 4);
        assert!(siege.metric(ROOM) > 0);
        drop(stuck);
    });
}

#[test]
fn hundreds_of_handshakes_that_stand_still_make_nobody_wait() {
    let siege = Siege::start(Setup::new());
    siege.withstands(|| {
        let hello = client_hello();
        let stuck: Vec<_> = (0..SLOW)
            .map(|_| {
                let mut socket = TcpStream::connect(siege.address()).unwrap();
                socket.write_all(&hello).unwrap();
                socket
            })
            .collect();
        new_connections_are_served(&siege, 10);
        assert_eq!(siege.metric(ROOM), 0, "there is a place for each");
        drop(stuck);
    });
}

#[test]
fn a_part_of_a_hello_takes_no_place() {
    let limits = "handshakes_max = 1\nhandshake_timeout = \"20s\"";
    let siege = Siege::start(Setup::new().limits(limits));
    siege.withstands(|| {
        let hello = client_hello();
        let stuck: Vec<_> = (0..20)
            .map(|number| {
                let mut socket = TcpStream::connect(siege.address()).unwrap();
                // Or a whole message, small enough, in a record that is not.
                let cut = [22, 3, 1, 0x3f, 0, 1, 0, 0, 4, 1, 2, 3, 4];
                let part = hello.len() - 1 - number;
                let part = if number % 2 == 0 { &hello[..part] } else { &cut };
                socket.write_all(part).unwrap();
                socket
            })
            .collect();
        new_connections_are_served(&siege, 10);
        drop(stuck);
    });
}

#[test]
fn a_hello_that_ends_or_is_too_large_is_not_waited_for() {
    let world = Setup::new().limits("handshake_timeout = \"60s\"").start();
    let mut ended = TcpStream::connect(world.address(0)).unwrap();
    ended.write_all(&client_hello()[..50]).unwrap();
    ended.shutdown(std::net::Shutdown::Write).unwrap();
    let mut large = TcpStream::connect(world.address(0)).unwrap();
    // One that says it has 64 KiB.
    large.write_all(&[22, 3, 1, 64, 0, 1, 1, 0, 0, 3, 3]).unwrap();
    for socket in [&mut ended, &mut large] {
        socket.set_read_timeout(Some(PATIENCE)).unwrap();
        let closed = socket.read(&mut [0; 9]);
        assert!(
            closed.as_ref().is_ok_and(|count| *count == 0)
                || closed.as_ref().is_err_and(|e| e.kind() == std::io::ErrorKind::ConnectionReset),
            "{closed:?}"
        );
    }
    world.counts("corgate_handshakes_failed_total", 2);
}

#[test]
fn a_hello_in_drops_and_in_many_records_is_understood() {
    let world = World::new();
    let mut config = client_config(1);
    config.max_fragment_size = Some(64);
    let name = ServerName::try_from("localhost").unwrap();
    let mut session = ClientConnection::new(Arc::new(config), name).unwrap();
    let mut hello = Vec::new();
    session.write_tls(&mut hello).unwrap();
    assert!(hello.len() > 200, "one record");
    let mut socket = TcpStream::connect(world.address(0)).unwrap();
    socket.set_nodelay(true).unwrap();
    socket.set_read_timeout(Some(PATIENCE)).unwrap();
    hello.chunks(17).for_each(|piece| {
        socket.write_all(piece).unwrap();
        std::thread::sleep(Duration::from_millis(1));
    });
    let mut stream = rustls::StreamOwned::new(session, socket);
    stream.write_all(&Ask::token().bytes()).unwrap();
    let mut answer = [0; 15];
    stream.read_exact(&mut answer).unwrap();
    assert_eq!(&answer, b"HTTP/1.1 200 OK");
    world.counts("corgate_handshakes_total", 1);
}

#[test]
fn slow_heads_of_one_client_keep_no_neighbour_out() {
    let siege = Siege::start(Setup::new());
    siege.withstands(|| {
        // All at once, and whoever was cut comes again.
        let head = Ask::token().head();
        let slow: Vec<_> = (0..SLOW)
            .map(|_| {
                let client = Client::tls(siege.address(), tls_of(1));
                let begun = head[..20].to_vec();
                runtime().spawn(async move {
                    loop {
                        let Ok(mut stream) = client.raw().await else { continue };
                        let _ = stream.send(&begun).await;
                        let _ = stream.read(PATIENCE).await;
                    }
                })
            })
            .collect();
        new_connections_are_served(&siege, 40);
        until("they are there", || {
            (siege.metric("corgate_connections_open") > SLOW / 2).then_some(())
        });
        new_connections_are_served(&siege, 20);
        slow.iter().for_each(tokio::task::JoinHandle::abort);
    });
}

/// A connection that was in use and is idle.
fn idle(world: &World, number: usize) -> Wire {
    let mut wire = world.wire_of(number);
    wire.send(ask_of(number).bytes());
    wire.answer().good();
    wire
}

#[test]
fn who_has_most_makes_room_and_no_neighbour_does() {
    let setup = Setup::new().limits("connections_max = 6").gateway("drain_quiet = \"10ms\"");
    let world = setup.and_client(2, "targets = [\"*\"]").start();
    let mut neighbour = idle(&world, 1);
    let mut greedy: Vec<_> = (0..5).map(|_| idle(&world, 2)).collect();
    std::thread::sleep(Duration::from_millis(50));
    // A newcomer is served, whoever it is.
    let mut newcomer = idle(&world, 1);
    world.counts(ROOM, 1);
    world.counts("corgate_connections_open", 6);
    greedy[0].is_closed();
    for wire in [&mut neighbour, &mut newcomer] {
        wire.send(ask_of(1).bytes());
        wire.answer().good();
    }
    greedy[4].send(ask_of(2).bytes());
    greedy[4].answer().good();
    assert_eq!(world.metric("corgate_connections_refused_total"), 0);
}

#[test]
fn silent_connections_make_room_where_all_connections_are_taken() {
    let limits = "connections_max = 8\nhandshake_timeout = \"60s\"";
    let world = Setup::new().limits(limits).start();
    let mut kept = idle(&world, 1);
    let silent: Vec<_> = (0..7).map(|_| TcpStream::connect(world.address(0)).unwrap()).collect();
    world.counts("corgate_connections_open", 8);
    for _ in 0..5 {
        world.call(Http::One, Ask::token()).good();
    }
    kept.send(Ask::token().bytes());
    kept.answer().good();
    drop(silent);
}

#[test]
fn a_worker_whose_connections_are_all_in_use_asks_its_neighbour_for_room() {
    let setup = Setup::new().limits("connections_max = 4");
    let world = setup.gateway("drain_quiet = \"10ms\"\nworkers = 2").start();
    // Whichever worker has which: three are in use, and one is idle.
    let mut newest: Vec<_> = (0..4).map(|_| idle(&world, 1)).collect();
    let mut used = newest.split_off(1);
    for wire in &mut used {
        wire.send(Ask::magic("sim-delay-2500").bytes());
    }
    until("all at the bank", || (world.bank.requests().len() == 7).then_some(()));
    for newcomer in 1..=5 {
        // It rests for longer than `drain_quiet`, and the next one comes to either worker.
        std::thread::sleep(Duration::from_millis(50));
        newest.push(idle(&world, 1));
        world.counts(ROOM, newcomer);
    }
    for wire in &mut used {
        wire.answer().good();
    }
    assert_eq!(world.metric("corgate_connections_refused_total"), 0);
}

#[test]
fn connections_with_a_call_under_way_make_no_room() {
    let world = Setup::new().limits("connections_max = 2").start();
    let calls: Vec<_> = (0..2)
        .map(|_| world.client(Http::One, 1).call_meanwhile(Ask::magic("sim-delay-1500")))
        .collect();
    until("both at the bank", || (world.bank.requests().len() == 2).then_some(()));
    assert!(world.client(Http::One, 1).try_call(Ask::token()).is_err());
    world.counts("corgate_connections_refused_total", 1);
    for call in calls {
        call.join().unwrap().good();
    }
    assert_eq!(world.metric(ROOM), 0);
}

#[test]
fn a_certificate_has_its_share_of_connections() {
    let setup = Setup::new().limits("connections_per_certificate_max = 2");
    let setup = setup.gateway("drain_quiet = \"10ms\"").and_client(2, "targets = [\"*\"]");
    let world = setup.start();
    let calls: Vec<_> = (0..2)
        .map(|_| {
            world
                .client(Http::Two, 2)
                .call_meanwhile(Ask::magic("sim-delay-1500").client(&client_id(2)))
        })
        .collect();
    until("both at the bank", || (world.bank.requests().len() == 2).then_some(()));
    assert!(world.client(Http::One, 2).try_call(ask_of(2)).is_err());
    world.counts("corgate_connections_refused_total", 1);
    // A neighbour's share is its own.
    let _one = [idle(&world, 1), idle(&world, 1)];
    for call in calls {
        call.join().unwrap().good();
    }
    // Its own idlest one makes room.
    let mut kept = [idle(&world, 2), idle(&world, 2)];
    std::thread::sleep(Duration::from_millis(50));
    let _newest = idle(&world, 2);
    kept[0].is_closed();
}

#[test]
fn a_silent_plain_connection_has_the_time_of_a_head() {
    let gateway = "insecure_plain_listen = \"127.0.0.1:0\"\ninsecure_header_identity = true";
    let limits = "head_timeout = \"300ms\"";
    let world = Setup::new().gateway(gateway).limits(limits).start();
    let address: SocketAddr = world.address(1);
    let mut silent = TcpStream::connect(address).unwrap();
    silent.set_read_timeout(Some(PATIENCE)).unwrap();
    let started = now();
    assert_eq!(silent.read(&mut [0; 1]).unwrap(), 0);
    let took = started.elapsed();
    assert!((Duration::from_millis(250)..Duration::from_secs(10)).contains(&took), "{took:?}");
    // One that has asked is idle, and has that time (a minute).
    let mut asked = TcpStream::connect(address).unwrap();
    asked.set_read_timeout(Some(PATIENCE)).unwrap();
    for _ in 0..2 {
        asked.write_all(b"GET /nowhere HTTP/1.1\r\nHost: x\r\n\r\n").unwrap();
        let mut answer = [0; 12];
        asked.read_exact(&mut answer).unwrap();
        assert_eq!(&answer, b"HTTP/1.1 404");
        asked.set_read_timeout(Some(Duration::from_millis(900))).unwrap();
        // The rest of the answer, and then silence.
        while asked.read(&mut [0; 1024]).is_ok_and(|count| count > 0) {}
        asked.set_read_timeout(Some(PATIENCE)).unwrap();
    }
    // And so has one that has shown its certificate.
    let mut wire = world.wire();
    std::thread::sleep(Duration::from_millis(900));
    wire.send(Ask::token().bytes());
    wire.answer().good();
}

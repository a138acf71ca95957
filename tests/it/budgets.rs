//! The bytes that a client makes the process keep have a bound, over all its connections and both
//! protocols, and who is at it disturbs nobody else.

use bytes::Bytes;

use crate::ask::{Ask, Http};
use crate::h2::Streams;
use crate::wire::Wire;
use crate::world::{Setup, Siege, World, client_id, until};

const LIMITS: &str = "client_buffered_bytes_max = 262144\nbody_timeout = \"30s\"";

fn neighbour_is_served(world: &World) {
    for http in [Http::One, Http::Two] {
        world.client(http, 2).call(Ask::token().client(&client_id(2))).good();
    }
}

fn setup(limits: &str) -> Setup {
    Setup::new().limits(limits).and_client(2, "targets = [\"*\"]")
}

#[test]
fn unfinished_forms_of_a_client_have_a_bound_over_http_2() {
    let world = setup(LIMITS).start();
    let streams = [Streams::open(&world), Streams::open(&world)];
    let mut kept = Vec::new();
    for number in 0..20 {
        let (pieces, pending) = streams[number % 2].begin(&Ask::token());
        pieces.send(Bytes::from(vec![b'p'; 40_000])).unwrap();
        kept.push((pieces, pending));
    }
    world.line(|line| line["fault"] == "client_busy" && line["status"] == 503);
    neighbour_is_served(&world);
    drop(kept);
    drop(streams);
    until("there is room again", || {
        let answer = world.call(Http::Two, Ask::token().body_bytes(60_000));
        (answer.status == 200).then_some(())
    });
}

#[test]
fn unfinished_forms_of_a_client_have_a_bound_over_http_1() {
    let world = setup(LIMITS).start();
    let mut wires: Vec<Wire> = (0..12).map(|_| world.wire()).collect();
    let ask = Ask::token().body_bytes(60_000);
    let bytes = ask.bytes();
    wires.iter_mut().for_each(|wire| wire.send(&bytes[..bytes.len() - 1]));
    world.line(|line| line["fault"] == "client_busy" && line["status"] == 503);
    neighbour_is_served(&world);
    drop(wires);
    until("there is room again", || {
        (world.call(Http::One, ask.clone()).status == 200).then_some(())
    });
}

#[test]
fn answers_that_a_client_does_not_take_keep_its_next_calls_out() {
    let target = "response_bytes_max = 8388608";
    let world = setup(LIMITS).target(target).start();
    let mut wire = world.wire();
    // More than the sockets hold.
    (0..4).for_each(|_| wire.send(Ask::magic("sim-huge-body").bytes()));
    until("they wait", || {
        let answer = world.call(Http::One, Ask::token());
        (answer.status == 503).then(|| answer.logged("client_busy"))
    });
    neighbour_is_served(&world);
    drop(wire);
    until("there is room again", || {
        (world.call(Http::One, Ask::token()).status == 200).then_some(())
    });
}

#[test]
fn the_process_has_a_bound_over_all_clients() {
    let limits = "buffered_bytes_max = 1048576\nbody_bytes_max = 1048576\nbody_timeout = \"30s\"";
    let world = setup(limits).start();
    let streams = Streams::open(&world);
    let mut kept = Vec::new();
    for _ in 0..16 {
        let (pieces, pending) = streams.begin(&Ask::token());
        pieces.send(Bytes::from(vec![b'p'; 100_000])).unwrap();
        kept.push((pieces, pending));
    }
    world.line(|line| line["fault"] == "hub_busy" && line["status"] == 503);
    drop(kept);
    drop(streams);
    until("there is room again", || {
        let ask = Ask::token().client(&client_id(2));
        (world.client(Http::One, 2).call(ask).status == 200).then_some(())
    });
}

#[test]
fn a_hundred_connections_of_unfinished_forms_take_no_more_memory_than_their_budget() {
    let siege = Siege::start(Setup::new().limits("client_buffered_bytes_max = 4194304"));
    // Without a budget these would be 75 MB. A connection's window (1 MiB) has room for its forms.
    siege.withstands_with(48 * 1024 * 1024, || {
        let form = vec![b'p'; 16_000];
        let mut held: Vec<_> = (0..100).map(|_| siege.frames()).collect();
        for frames in &mut held {
            for stream in (0..12_u32).map(|number| 2 * number + 1) {
                frames.open_call(stream, &Ask::token());
                (0..4).for_each(|_| frames.send(0, 0, stream, &form));
            }
        }
        until("it says so", || {
            let busy = siege.metrics();
            busy.lines().any(|line| line.contains("client_busy")).then_some(())
        });
        drop(held);
    });
}

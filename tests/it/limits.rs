//! Limits on connections, all together and from one address, while all of them are in use. Who is
//! idle makes room: see `room`.

use crate::ask::{Ask, Http};
use crate::wire::Wire;
use crate::world::{Setup, World, until};

/// Opens connections with a limit of two, and sees that the third is turned away.
fn third_is_turned_away(world: &World) {
    let mut kept: Vec<Wire> = (0..2).map(|_| world.wire()).collect();
    for wire in &mut kept {
        wire.send(Ask::magic("sim-delay-3000").bytes());
    }
    until("both at the bank", || (world.bank.requests().len() == 2).then_some(()));
    assert!(world.client(Http::One, 1).try_call(Ask::token()).is_err());
    assert!(world.client(Http::Two, 1).try_call(Ask::token()).is_err());
    world.counts("corgate_connections_refused_total", 2);
    world.counts("corgate_connections_open", 2);
    for wire in &mut kept {
        wire.answer().good();
        wire.send(Ask::token().bytes());
        wire.answer().good();
    }
    drop(kept);
    until("a free place", || world.client(Http::One, 1).try_call(Ask::token()).ok()).good();
    world.bank_heard(5);
}

#[test]
fn connections_from_one_address_are_limited() {
    third_is_turned_away(&Setup::new().limits("connections_per_address_max = 2").start());
}

#[test]
fn connections_are_limited_all_together() {
    third_is_turned_away(&Setup::new().limits("connections_max = 2").start());
}

#[test]
fn one_connection_carries_many_calls() {
    let world = World::new();
    for http in [Http::One, Http::Two] {
        let mut client = world.client(http, 1);
        for _ in 0..20 {
            client.call(Ask::token()).good();
        }
    }
    world.counts("corgate_connections_total", 2);
}

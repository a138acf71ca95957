//! Client connections spread over the workers, whatever the kernel's hash says.

use std::io::{Read as _, Write as _};
use std::net::TcpStream;

use crate::ask::{Ask, Http};
use crate::world::{Setup, until};

over_both! {
    fn a_few_connections_do_not_all_land_on_one_worker(http) {
        let world = Setup::new().gateway("workers = 2").start();
        let of = |n| world.metric(&format!("corgate_worker_connections{{worker=\"{n}\"}}"));
        let seats = || [0, 1].map(of);
        // The kernel's hash may be fair by chance; not so often.
        for _ in 0..5 {
            let mut clients: Vec<_> = (0..8).map(|_| world.client(http, 1)).collect();
            for client in &mut clients {
                client.call(Ask::token()).good();
            }
            let seated = seats();
            assert_eq!(seated.iter().sum::<u64>(), 8, "{seated:?}");
            assert!(seated.iter().all(|seats| *seats <= 5), "{seated:?}");
            for client in &mut clients {
                client.call(Ask::token()).good();
            }
            drop(clients);
            until("all seats free", || (seats() == [0, 0]).then_some(()));
        }
    }
}

#[test]
fn a_connection_that_is_handed_over_is_served_to_its_end() {
    let mut world = Setup::new().gateway("workers = 4").start();
    let clients: Vec<_> = (0..12).map(|_| world.client(Http::One, 1)).collect();
    let calls: Vec<_> = clients
        .into_iter()
        .map(|client| client.call_meanwhile(Ask::magic("sim-delay-400")))
        .collect();
    until("all at the bank", || (world.bank.requests().len() == 12).then_some(()));
    world.stop();
    for call in calls {
        call.join().unwrap().good();
    }
}

#[test]
fn who_has_connected_when_the_gateway_leaves_is_not_reset() {
    for _ in 0..10 {
        let gateway = "workers = 4\ninsecure_plain_listen = \"127.0.0.1:0\"";
        let mut world = Setup::new().gateway(gateway).start();
        let address = world.address(1);
        let request = b"GET /nowhere HTTP/1.1\r\nHost: x\r\n\r\n";
        let mut waiting: Vec<_> = (0..6)
            .map(|_| {
                let mut stream = TcpStream::connect(address).unwrap();
                stream.write_all(request).unwrap();
                stream
            })
            .collect();
        world.stop();
        for stream in &mut waiting {
            // An answer, or an orderly end: never a reset.
            let mut answer = String::new();
            stream.read_to_string(&mut answer).unwrap();
            assert!(answer.is_empty() || answer.starts_with("HTTP/1.1 404 "), "{answer:?}");
        }
    }
}

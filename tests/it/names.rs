//! Names of banks: looked up again in time, believed as far as the table allows, never waited for
//! longer than need be.

use std::future::pending;
use std::io;
use std::net::{IpAddr, SocketAddr};
use std::sync::{Arc, Mutex};

use corgate::edge::names::{LookUp, Names};
use corgate::sim::bank::{Bank, BankConfig};
use corgate::sim::server::Listening;

use crate::ask::{Ask, BANK, Http};
use crate::world::{Setup, World, bank_with, listening, until};

/// Name servers that say what a test tells them.
#[derive(Debug)]
struct Said {
    now: Mutex<Saying>,
    asked: Mutex<Vec<String>>,
}

#[derive(Debug, Clone)]
enum Saying {
    Addresses(Vec<IpAddr>),
    Failure,
    /// The hub itself has no descriptor left to ask with.
    NoDescriptor,
    Silence,
}

impl Names for Said {
    fn look_up(&self, host: &str) -> LookUp {
        self.asked.lock().unwrap().push(host.to_owned());
        let now = self.now.lock().unwrap().clone();
        Box::pin(async move {
            match now {
                Saying::Addresses(addresses) => Ok(addresses),
                Saying::Failure => Err(io::Error::other("SERVFAIL")),
                Saying::NoDescriptor => Err(io::Error::from_raw_os_error(libc::EMFILE)),
                Saying::Silence => pending().await,
            }
        })
    }
}

impl Said {
    fn new(addresses: &[&str]) -> Arc<Self> {
        Arc::new(Self { now: Mutex::new(Self::addresses(addresses)), asked: Mutex::default() })
    }

    fn addresses(addresses: &[&str]) -> Saying {
        Saying::Addresses(addresses.iter().map(|text| text.parse().unwrap()).collect())
    }

    fn say(&self, saying: Saying) {
        *self.now.lock().unwrap() = saying;
    }

    fn asked(&self) -> usize {
        self.asked.lock().unwrap().len()
    }
}

/// A bank at another address of loopback, on the port of the first.
fn twin(first: &Bank, ip: &str) -> Bank {
    let address = SocketAddr::new(ip.parse().unwrap(), first.address().port());
    Bank::start(BankConfig::new(Listening { address, ..listening() })).unwrap()
}

/// A world whose bank goes by a name.
fn named(bank: Bank, names: &Arc<Said>, lines: &str) -> World {
    let upstream = format!("\"https://it.bank.test:{}\"", bank.address().port());
    let lines = format!("resolve_every = \"1s\"\n{lines}");
    Setup::new().bank(bank).upstream(&upstream).names(names.clone()).target(&lines).start()
}

over_both! {
    fn a_bank_that_moves_is_followed_and_no_call_fails(http) {
        let first = bank_with(listening());
        let second = twin(&first, "127.0.0.2");
        let names = Said::new(&["127.0.0.1"]);
        let world = named(first, &names, "");
        let mut client = world.client(http, 1);
        client.call(Ask::token()).good();
        names.say(Said::addresses(&["127.0.0.2"]));
        // Its connections are good and in use all the time; what counts is where the name leads.
        until("a call at the new place", || {
            client.call(Ask::token()).good();
            (!second.requests().is_empty()).then_some(())
        });
        let heard = world.bank.requests().len();
        for _ in 0..5 {
            client.call(Ask::token()).good();
        }
        assert_eq!(world.bank.requests().len(), heard, "the old place is not called any more");
    }

    fn the_last_good_answer_is_kept_while_name_servers_fail(http) {
        let names = Said::new(&["127.0.0.1"]);
        let lines = "idle_connections_max = 0\ntimeouts = { connect = \"2s\" }";
        let world = named(bank_with(listening()), &names, lines);
        world.call(http, Ask::token()).good();
        for saying in [Saying::Failure, Saying::Addresses(Vec::new()), Saying::Silence] {
            names.say(saying);
            let asked = names.asked();
            until("the next look-up", || {
                world.call(http, Ask::token()).good();
                (names.asked() > asked).then_some(())
            });
        }
    }

    fn a_look_up_that_the_hub_has_no_room_for_is_no_fault_of_the_banks(http) {
        let names = Said::new(&[]);
        names.say(Saying::NoDescriptor);
        let world = named(bank_with(listening()), &names, "breaker = { failures = 1 }");
        world
            .call(http, Ask::token())
            .refused(503, "temporarily_unavailable", "target is temporarily unavailable")
            .says("retry-after", "1")
            .says("proxy-status", "corgate; error=proxy_internal_error")
            .logged("local_failure");
        names.say(Said::addresses(&["127.0.0.1"]));
        until("the next look-up", || {
            (world.call(http, Ask::token()).status == 200).then_some(())
        });
        let target = |what: &str| format!("corgate_target_{what}{{target=\"{BANK}\"}}");
        assert_eq!(world.metric(&target("provider_errors_total")), 0);
        assert!(world.metric(&target("platform_errors_total")) >= 1);
    }

    fn a_name_that_never_resolves_is_a_fault_of_its_bank_alone(http) {
        let names = Said::new(&[]);
        let world = named(bank_with(listening()), &names, "");
        world.call(http, Ask::token()).platform(502).logged("dns_failed");
        names.say(Said::addresses(&["127.0.0.1"]));
        until("the name", || (world.call(http, Ask::token()).status == 200).then_some(()));
    }

    fn every_address_of_a_name_is_tried(http) {
        let names = Said::new(&["127.0.0.3", "127.0.0.4", "127.0.0.1"]);
        let world = named(bank_with(listening()), &names, "idle_connections_max = 0");
        for _ in 0..4 {
            world.call(http, Ask::token()).good();
        }
    }

    fn one_answer_serves_many_connections(http) {
        let names = Said::new(&["127.0.0.1"]);
        let lines = "idle_connections_max = 0\nresolve_every = \"1h\"";
        let world = named_for(bank_with(listening()), &names, lines);
        for _ in 0..10 {
            world.call(http, Ask::token()).good();
        }
        assert_eq!(world.bank.connections(), 10);
        assert_eq!(names.asked(), 1);
    }
}

fn named_for(bank: Bank, names: &Arc<Said>, lines: &str) -> World {
    let upstream = format!("\"https://it.bank.test:{}\"", bank.address().port());
    Setup::new()
        .gateway("workers = 2")
        .bank(bank)
        .upstream(&upstream)
        .names(names.clone())
        .target(lines)
        .start()
}

#[test]
fn an_address_of_this_host_is_not_believed_of_a_name_and_nothing_is_sent() {
    let names = Said::new(&["127.0.0.1", "10.1.2.3"]);
    let bank = bank_with(listening());
    let upstream = format!("\"https://it.bank.test:{}\"", bank.address().port());
    let world = Setup::new()
        .bank(bank)
        .upstream(&upstream)
        .names(names)
        .edit(|table| {
            let id = corgate::ids::TargetId::parse(BANK).unwrap();
            let target = table.targets.get_mut(&id).unwrap();
            Arc::get_mut(target).unwrap().allow_private_addresses = false;
        })
        .start();
    world.call(Http::One, Ask::token()).platform(502).logged("address_forbidden");
    assert_eq!(world.bank.connections(), 0);
}

//! A client that is removed, whose certificate is taken off its entry, expires or is revoked, is
//! out: on open connections, on resumed sessions and on new ones. Nobody else notices.

use std::sync::Arc;
use std::time::Duration;

use corgate::sim::client::{Client, ClientTls};
use corgate::sim::pki::Identity;
use rustls::HandshakeKind;

use crate::ask::{Ask, Http};
use crate::h2::{Frames, GOAWAY, HEADERS, RST_STREAM, Streams};
use crate::load::Load;
use crate::shake::Shake;
use crate::wire::Wire;
use crate::world::{
    Caller, Setup, World, client_config, client_config_of, client_id, entry, identity, now, pki,
    until,
};

const FAILED: &str = "client authentication failed";
/// How soon a client is out.
const AT_ONCE: Duration = Duration::from_secs(1);

/// Client 2 has an entry too.
fn two_clients() -> Setup {
    Setup::new().and_client(2, "targets = [\"*\"]")
}

fn with_list() -> World {
    two_clients().tls("client_crl = [\"clients.crl.pem\"]").start()
}

fn tls(identity: &Identity) -> ClientTls {
    ClientTls::new(pki().hub_ca.cert(), Some(identity)).unwrap()
}

/// Open connections of a client that have been used: over HTTP/1.1, and over HTTP/2.
struct Guests {
    wire: Wire,
    frames: Frames,
}

impl Guests {
    fn of(world: &World, number: usize) -> Self {
        let ask = Ask::token().client(&client_id(number));
        let mut wire = world.wire_of(number);
        wire.send(ask.bytes());
        wire.answer().good();
        let mut frames = Frames::open_as(world, number);
        frames.request(1, &post(&ask));
        // Refused for what it lacks: it was heard all the same.
        assert_eq!(frames.next(&[HEADERS]).map(|(kind, _)| kind), Some(HEADERS));
        Self { wire, frames }
    }

    /// Both are closed by the gateway, sooner or later.
    #[track_caller]
    fn are_closed(mut self) {
        self.wire.is_closed();
        while self.frames.next(&[GOAWAY]).is_some() {}
    }

    /// Both are closed by the gateway, at once.
    #[track_caller]
    fn are_out(mut self) {
        let started = now();
        self.wire.is_closed();
        assert!(self.frames.next(&[GOAWAY]).is_some(), "no word");
        while self.frames.next(&[GOAWAY]).is_some() {}
        let took = started.elapsed();
        assert!(took < AT_ONCE, "{took:?}");
    }

    /// Both take a request as if nothing were.
    #[track_caller]
    fn stay(&mut self, number: usize) {
        let ask = Ask::token().client(&client_id(number));
        self.wire.send(ask.bytes());
        self.wire.answer().good();
        self.frames.request(3, &post(&ask));
        assert_eq!(self.frames.next(&[HEADERS, GOAWAY]).map(|(kind, _)| kind), Some(HEADERS));
    }
}

fn post(ask: &Ask) -> [(&'static str, &str); 3] {
    [(":method", "POST"), (":scheme", "https"), (":path", ask.target.as_str())]
}

#[track_caller]
fn reloaded(world: &World) {
    let (status, report) = world.reload();
    assert_eq!((status, report["outcome"].as_str()), (200, Some("applied")), "{report:#}");
}

#[track_caller]
fn revoke(world: &World, revoked: &[&Identity]) {
    // The lists of two CAs in one file, the one that counts behind the other.
    let other = pki().stranger_ca.revocation_list(&[]).unwrap();
    world.write("clients.crl.pem", &(other + &pki().clients_crl(revoked).unwrap()));
    reloaded(world);
}

#[test]
fn a_client_that_is_removed_is_out_at_once_and_nobody_else() {
    let world = two_clients().start();
    let load = Load::start(&world, 1);
    let (mut stays, goes) = (Guests::of(&world, 1), Guests::of(&world, 2));
    world.rewrite(&entry(2, "targets = [\"*\"]"), "");
    reloaded(&world);
    goes.are_out();
    stays.stay(1);
    load.stop();
    assert_eq!(world.metric("corgate_clients_out_total{reason=\"taken_off\"}"), 2);
    // Its CA still knows it: a new handshake is made, and the call is refused.
    let ask = Ask::token().client(&client_id(2));
    let refused = world.client(Http::Two, 2).call(ask).refused(401, "invalid_client", FAILED);
    refused.logged("client_unknown");
}

#[test]
fn a_certificate_that_is_taken_off_its_entry_is_out_and_the_other_one_stays() {
    let both = |more: &str| format!("\"{}\"{more}", identity(2).fingerprint());
    let two = both(&format!(", \"{}\"", identity(3).fingerprint()));
    let setup = Setup::new().and_client(2, "targets = [\"*\"]");
    let world = setup.start();
    world.rewrite(&both(""), &two);
    reloaded(&world);
    // Client 2 by its second certificate.
    let mut stays = Guests::of(&world, 2);
    let mut goes = world.wire_of(3);
    goes.send(Ask::token().client(&client_id(2)).bytes());
    goes.answer().good();
    world.rewrite(&two, &both(""));
    reloaded(&world);
    goes.is_closed();
    stays.stay(2);
    assert_eq!(world.metric("corgate_clients_out_total{reason=\"taken_off\"}"), 1);
}

over_both! {
    fn a_revoked_client_is_out_on_open_resumed_and_new_connections(http) {
        let world = with_list();
        let load = Load::start(&world, 1);
        let mut stays = Guests::of(&world, 1);
        let (goes, ask) = (Guests::of(&world, 2), Ask::token().client(&client_id(2)));
        let mut resumes = world.client(http, 2);
        resumes.call(ask.clone()).good();
        let remembers = Arc::new(client_config(1));
        let neighbour = || Shake::make(&world, &remembers, &Ask::token()).unwrap();
        assert_eq!(neighbour().kind, HandshakeKind::Full);

        revoke(&world, &[identity(2)]);
        goes.are_out();
        // Its ticket is good, and does not help.
        resumes.close();
        assert!(resumes.try_call(ask.clone()).is_err());
        world.counts("corgate_clients_out_total{reason=\"revoked\"}", 4);
        let heard = |world: &World| world.bank.requests().iter().filter(|request| {
            request.header("X-CorAPI-Client-ID") == Some(&client_id(2))
        }).count();
        let before = heard(&world);
        assert!(world.client(http, 2).try_call(ask).is_err());
        assert_eq!(heard(&world), before);

        stays.stay(1);
        // And its neighbour's ticket still resumes.
        let after = neighbour();
        assert_eq!((after.kind, after.answered), (HandshakeKind::Resumed, true));
        load.stop();
    }

    fn what_a_bank_may_have_seen_is_finished_for_a_revoked_client(http) {
        let world = with_list();
        let ask = Ask::magic("sim-delay-1500").client(&client_id(2));
        let slow = world.client(http, 2).call_meanwhile(ask);
        until("the call at the bank", || (world.bank.requests().len() == 1).then_some(()));
        revoke(&world, &[identity(2)]);
        let answer = slow.join().unwrap().good();
        assert_eq!(answer.header("connection"), (http == Http::One).then_some("close"));
        world.counts("corgate_connections_open", 0);
    }

    fn a_certificate_that_expires_ends_its_open_connections(http) {
        let brief = pki().clients_ca.brief_client(&client_id(4), 4).unwrap();
        let print = brief.fingerprint();
        let setup = two_clients().more(&format!(
            "\n[[client]]\nid = \"C4\"\ncertificates = [\"{print}\"]\ntargets = [\"*\"]\n"
        ));
        let world = setup.start();
        let client = Client::tls(world.address(0), tls(&brief));
        let mut goes = world.client_with(http, client);
        goes.call(Ask::token().client("C4")).good();
        let mut stays = Guests::of(&world, 2);
        // No reload: only time passes.
        world.counts("corgate_clients_out_total{reason=\"expired\"}", 1);
        assert!(goes.try_call(Ask::token().client("C4")).is_err());
        stays.stay(2);
    }

    fn a_new_client_ca_shows_out_who_chains_to_the_old_one(http) {
        let (world, fresh) = (two_clients().start(), &pki().stranger_ca);
        let newcomer = fresh.client(&client_id(3)).unwrap();
        let print = newcomer.fingerprint();
        let text = std::fs::read_to_string(world.file("routes.toml")).unwrap();
        let id = client_id(3);
        let more = format!(
            "\n[[client]]\nid = \"{id}\"\ncertificates = [\"{print}\"]\ntargets = [\"*\"]\n"
        );
        world.write("routes.toml", &format!("{text}{more}"));
        let old = Guests::of(&world, 2);
        let mut resumes = world.client(http, 1);
        resumes.call(Ask::token()).good();

        // First both are trusted: nobody is out, and old tickets are not taken any more.
        let both = format!("{}{}", pki().clients_ca.pem(), fresh.pem());
        world.write("clients-ca.pem", &both);
        reloaded(&world);
        let new_client = || -> Caller {
            world.client_with(http, Client::tls(world.address(0), tls(&newcomer)))
        };
        let mut new = new_client();
        let ask = || Ask::token().client(&client_id(3));
        new.call(ask()).good();
        resumes.call(Ask::token()).good();
        resumes.close();
        resumes.call(Ask::token()).good();
        assert_eq!(world.metric("corgate_handshakes_resumed_total"), 0);

        // Then the new one alone.
        world.write("clients-ca.pem", fresh.pem());
        reloaded(&world);
        old.are_out();
        world.counts("corgate_clients_out_total{reason=\"untrusted\"}", 3);
        new.call(ask()).good();
        new_client().call(ask()).good();
        assert!(resumes.try_call(Ask::token()).is_err());
    }
}

#[test]
fn a_call_that_no_bank_has_seen_is_refused_to_a_revoked_client() {
    let world = with_list();
    let ask = Ask::token().client(&client_id(2));
    let mut wire = world.wire_of(2);
    wire.send(&ask.bytes()[..ask.bytes().len() - 10]);
    until("the connection", || (world.metric("corgate_connections_open") == 1).then_some(()));
    std::thread::sleep(Duration::from_millis(100));
    revoke(&world, &[identity(2)]);
    world.counts("corgate_clients_out_total{reason=\"revoked\"}", 1);
    wire.send(&ask.bytes()[ask.bytes().len() - 10..]);
    wire.refused_for_good(401, "invalid_client", FAILED).logged("certificate_ended");
    world.bank_heard(0);
}

#[test]
fn a_stream_that_a_revoked_client_opens_before_it_reads_the_goaway_is_refused() {
    let world = with_list();
    let streams = Streams::open(&world);
    // A call at the bank holds the connection open for a while.
    let slow = streams.begin_whole(&Ask::magic("sim-delay-1500"));
    let mut frames = Frames::open_as(&world, 2);
    let ask = Ask::token();
    until("the call at the bank", || (world.bank.requests().len() == 1).then_some(()));
    // A head whose body never comes: the exchange is under way until its deadline.
    let whole = [
        (":method", "POST"),
        (":scheme", "https"),
        (":path", ask.target.as_str()),
        (":authority", "localhost"),
        ("x-corapi-client-id", "CIDX0000000002"),
        ("x-corapi-target-id", "IIDX00001"),
        ("x-correlation-id", "open-at-the-end"),
        ("user-agent", "it/1"),
        ("content-type", "application/x-www-form-urlencoded"),
    ];
    frames.begin(1, &whole);
    std::thread::sleep(Duration::from_millis(100));
    revoke(&world, &[identity(2)]);
    assert!(frames.next(&[GOAWAY]).is_some());
    frames.request(3, &whole);
    assert_eq!(frames.next(&[HEADERS, RST_STREAM]).map(|(kind, _)| kind), Some(HEADERS));
    let line = world.line(|line| line["fault"] == "certificate_ended");
    assert_eq!((&line["status"], &line["protocol"]), (&401.into(), &"h2".into()));
    // Client 1 has another connection, on which nothing happened.
    slow.answer().good();
    streams.begin_whole(&Ask::token()).answer().good();
}

#[test]
fn a_list_that_is_too_old_lets_nobody_in_unless_it_is_told_to() {
    for (lines, lets_in) in [("", false), ("\nclient_crl_expired = \"accept\"", true)] {
        let world = two_clients().tls(&format!("client_crl = [\"clients.crl.pem\"]{lines}"));
        let world = world.start();
        let list = pki().clients_ca.brief_revocation_list(&[identity(2)], 3).unwrap();
        world.write("clients.crl.pem", &list);
        reloaded(&world);
        let mut wire = world.wire_of(1);
        wire.send(Ask::token().bytes());
        wire.answer().good();
        until("the end of the list", || {
            let (_, text) = world.admin("/metrics");
            let left = text.lines().find(|line| {
                line.starts_with("corgate_certificate_left_seconds{role=\"client_crl\"")
            });
            let left: i64 = left.unwrap().rsplit_once(' ').unwrap().1.parse().unwrap();
            (left < -1).then_some(())
        });
        if lets_in {
            wire.send(Ask::token().bytes());
            wire.answer().good();
            world.call(Http::One, Ask::token()).good();
        } else {
            wire.is_closed();
            assert!(world.client(Http::One, 1).try_call(Ask::token()).is_err());
            assert_eq!(world.metric("corgate_clients_out_total{reason=\"untrusted\"}"), 1);
        }
        // Revoked is revoked, however old the list.
        let revoked = Client::tls(world.address(0), tls(identity(2)));
        let mut revoked = world.client_with(Http::One, revoked);
        assert!(revoked.try_call(Ask::token().client(&client_id(2))).is_err());

        // An old list does not replace one that is better.
        let old = pki().clients_ca.brief_revocation_list(&[], -5).unwrap();
        world.write("clients.crl.pem", &old);
        let (status, report) = world.reload();
        assert_eq!(status, if lets_in { 200 } else { 422 }, "{report:#}");
    }
}

#[test]
fn a_stranger_without_an_entry_keeps_its_connection() {
    let world = two_clients().start();
    let mut wire = world.wire_of(3);
    let ask = Ask::token().client(&client_id(3));
    wire.send(ask.bytes());
    wire.answer().platform(401).logged("client_unknown");
    world.rewrite("[[target]]", "[[target]]\nname = \"another\"");
    reloaded(&world);
    std::thread::sleep(Duration::from_millis(500));
    wire.send(ask.bytes());
    wire.answer().platform(401).logged("client_unknown");
}

#[test]
fn a_revoked_client_resumes_in_vain_over_either_version_of_tls() {
    for version in rustls::ALL_VERSIONS {
        let world = with_list();
        let config = Arc::new(client_config_of(identity(2), &[version]));
        let shake = || {
            let ask = Ask::token().client(&client_id(2));
            Shake::make(&world, &config, &ask).map(|shake| (shake.kind, shake.answered))
        };
        assert_eq!(shake(), Some((HandshakeKind::Full, true)));
        assert_eq!(shake(), Some((HandshakeKind::Resumed, true)));
        // A list that names somebody else ends nothing.
        revoke(&world, &[identity(4)]);
        assert_eq!(shake(), Some((HandshakeKind::Resumed, true)));
        revoke(&world, &[identity(4), identity(2)]);
        assert_eq!(shake(), Some((HandshakeKind::Resumed, false)), "{version:?}");
        world.bank_heard(3);
        world.counts("corgate_clients_out_total{reason=\"revoked\"}", 1);
    }
}

#[test]
fn who_is_out_is_out_in_a_drain_too() {
    let setup = two_clients().tls("client_crl = [\"clients.crl.pem\"]");
    let patient = "watch = \"100ms\"\ndrain_quiet = \"1m\"\ndrain_timeout = \"2m\"";
    let mut world = setup.gateway(patient).start();
    let (goes, mut stays) = (Guests::of(&world, 2), world.wire_of(1));
    stays.send(Ask::token().bytes());
    stays.answer().good();
    let address = world.address(0);
    let stopped = world.stop_meanwhile();
    let nobody_listens = || std::net::TcpStream::connect(address).is_err().then_some(());
    until("the drain", nobody_listens);
    world.write("clients.crl.pem", &pki().clients_crl(&[identity(2)]).unwrap());
    goes.are_closed();
    // Nobody else is: the drain goes on for them.
    stays.send(Ask::token().bytes());
    stays.answer().good();
    stopped.join().unwrap();
}

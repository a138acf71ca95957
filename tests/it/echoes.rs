//! Whose answer is it? Correlation ids as banks give them back over HTTP/1.1, and answers that
//! nobody asked for.

use std::io::{Read as _, Write as _};
use std::net::{Ipv4Addr, TcpListener, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use crate::answer::Answer;
use crate::ask::{Ask, Http};
use crate::bank_bytes::whole_request;
use crate::world::{Setup, World, until};

const BODY: &str = r#"{"access_token":"at-1","token_type":"bearer"}"#;
/// What is nobody's, and as long as the other.
const SURPLUS: &str = r#"{"access_token":"at-X","token_type":"bearer"}"#;

/// What a bank writes for the n-th call of a connection, from 0: its path and id are known.
type Script = fn(&mut TcpStream, usize, &str, &str);

struct Bank {
    port: u16,
    connections: Arc<AtomicUsize>,
}

impl Bank {
    fn start(script: Script) -> Self {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
        let port = listener.local_addr().unwrap().port();
        let connections = Arc::new(AtomicUsize::new(0));
        let count = connections.clone();
        // It ends with the process; nothing waits for it.
        std::thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                count.fetch_add(1, Ordering::SeqCst);
                std::thread::spawn(move || serve(stream, script));
            }
        });
        Self { port, connections }
    }

    fn world(&self, lines: &str) -> World {
        Setup::new()
            .upstream(&format!("\"http://127.0.0.1:{}\"", self.port))
            .target(&format!(
                "insecure_plain_upstream = true\nbreaker = {{ failures = 1000 }}\n\
                 timeouts = {{ first_byte = \"20s\", total = \"20s\" }}\n{lines}"
            ))
            .start()
    }

    fn connections(&self) -> usize {
        self.connections.load(Ordering::SeqCst)
    }
}

fn serve(mut stream: TcpStream, script: Script) {
    let _ = stream.set_read_timeout(Some(Duration::from_secs(20)));
    for nth in 0.. {
        let (mut bytes, mut piece) = (Vec::new(), [0; 4096]);
        let id = loop {
            if let Some(id) = whole_request(&bytes) {
                break id;
            }
            match stream.read(&mut piece) {
                Ok(0) | Err(_) => return,
                Ok(count) => bytes.extend_from_slice(&piece[..count]),
            }
        };
        let text = String::from_utf8_lossy(&bytes).into_owned();
        let path = text.split(' ').nth(1).unwrap_or_default();
        script(&mut stream, nth, path, &id);
    }
}

fn answer(to: &mut TcpStream, id: Option<&str>) {
    let echo = id.map_or_else(String::new, |id| format!("X-Correlation-ID: {id}\r\n"));
    let body = if id.is_some() { BODY } else { SURPLUS };
    let length = body.len();
    let text = format!(
        "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\n{echo}Content-Length: {length}\r\n\
         \r\n{body}"
    );
    let _ = to.write_all(text.as_bytes());
}

fn malformed(world: &World, answer: Answer, detail: &str) {
    let answer = answer.platform(502).logged("response_malformed");
    assert_eq!(world.line_of(&answer)["detail"], detail);
}

#[test]
fn an_answer_without_an_id_is_nobodys_where_the_bank_gives_ids_back() {
    // The second call of a connection gets an answer that was meant for nobody.
    let bank = Bank::start(|to, nth, _, id| answer(to, (nth == 0).then_some(id)));
    let world = bank.world("");
    let mut client = world.client(Http::One, 1);
    for _ in 0..3 {
        client.call(Ask::token()).good();
        let second = client.call(Ask::token());
        malformed(&world, second, "an answer without its id");
    }
    assert_eq!(bank.connections(), 3, "the connection is given up");
}

#[test]
fn a_surplus_answer_that_comes_late_reaches_nobody() {
    // A second answer without an id comes a little behind the first, as the next call is under way.
    let bank = Bank::start(|to, _, _, id| {
        answer(to, Some(id));
        let mut late = to.try_clone().unwrap();
        std::thread::spawn(move || {
            std::thread::sleep(Duration::from_micros(500));
            answer(&mut late, None);
        });
    });
    let world = bank.world("");
    let mut client = world.client(Http::One, 1);
    for _ in 0..200 {
        let given = client.call(Ask::token());
        assert!(matches!(given.status.as_u16(), 200 | 502), "{given:?}");
        assert_ne!(given.body, SURPLUS);
    }
}

#[test]
fn an_id_that_was_sent_for_another_call_is_never_delivered() {
    // Each answer has the id of the call before.
    static BEFORE: std::sync::Mutex<String> = std::sync::Mutex::new(String::new());
    let bank = Bank::start(|to, _, _, id| {
        let before = std::mem::replace(&mut *BEFORE.lock().unwrap(), id.to_owned());
        answer(to, Some(if before.is_empty() { id } else { &before }));
    });
    let world = bank.world("");
    let mut client = world.client(Http::One, 1);
    client.call(Ask::token()).good();
    for _ in 0..3 {
        // Also where it is the first answer of its connection.
        let given = client.call(Ask::token());
        malformed(&world, given, "another call's answer");
    }
}

#[test]
fn an_echo_in_other_letters_is_an_echo() {
    let bank = Bank::start(|to, nth, _, id| {
        answer(to, Some(&if nth % 2 == 0 { id.to_owned() } else { id.to_lowercase() }));
    });
    let world = bank.world("");
    let mut client = world.client(Http::One, 1);
    for number in 0..6 {
        let id = format!("5F0C6A2E-8D3B-4B57-9F77-00000000000{number}");
        client.call(Ask::token().set("X-Correlation-ID", id)).good();
    }
    assert_eq!(bank.connections(), 1);
}

#[test]
fn a_bank_that_makes_ids_up_for_some_calls_is_learned() {
    // Ids that are no UUIDs are replaced by one of its own.
    let bank = Bank::start(|to, nth, _, id| {
        let own = format!("bank-own-id-{nth}");
        answer(to, Some(if id.len() == 36 { id } else { &own }));
    });
    let world = bank.world("");
    let mut client = world.client(Http::One, 1);
    let own = || Ask::token().set("X-Correlation-ID", "short");
    let uuid = || Ask::token().set("X-Correlation-ID", "5f0c6a2e-8d3b-4b57-9f77-000000000001");
    // First seen on a connection's first call: it can be nobody else's answer.
    client.call(own()).provided(200);
    client.call(uuid()).provided(200);
    client.call(own()).provided(200);
    client.call(uuid()).provided(200);
}

#[test]
fn an_empty_field_for_the_id_is_an_answer_without_one() {
    // Its first connection has an id of the bank's own, so that ids of nobody pass.
    static CALLS: AtomicUsize = AtomicUsize::new(0);
    let bank = Bank::start(|to, _, _, id| match CALLS.fetch_add(1, Ordering::SeqCst) {
        0 => answer(to, Some("bank-own-id")),
        1 | 2 => answer(to, Some(id)),
        _ => answer(to, Some("")),
    });
    let world = bank.world("");
    let mut client = world.client(Http::One, 1);
    for _ in 0..3 {
        client.call(Ask::token()).provided(200);
    }
    let given = client.call(Ask::token());
    malformed(&world, given, "an answer without its id");
    // The first of a connection is nobody else's.
    client.call(Ask::token()).provided(200);
    assert_eq!(bank.connections(), 3);
}

#[test]
fn the_id_of_a_call_that_is_long_under_way_is_not_forgotten() {
    static HEARD: AtomicUsize = AtomicUsize::new(0);
    let bank = Bank::start(|to, _, _, id| match id {
        "long" => {
            HEARD.fetch_add(1, Ordering::SeqCst);
            until("the last call", || (HEARD.load(Ordering::SeqCst) == 2).then_some(()));
            answer(to, Some(id));
        }
        "last" => answer(to, Some("long")),
        _ => answer(to, Some(id)),
    });
    let world = bank.world("");
    let token = |id: &str| Ask::token().set("X-Correlation-ID", id);
    let long = world.client(Http::One, 1).call_meanwhile(token("long"));
    until("the long call", || (HEARD.load(Ordering::SeqCst) == 1).then_some(()));
    let mut client = world.client(Http::One, 1);
    for _ in 0..200 {
        client.call(Ask::token()).good();
    }
    let given = client.call(token("last"));
    malformed(&world, given, "another call's answer");
    HEARD.fetch_add(1, Ordering::SeqCst);
    long.join().unwrap().provided(200);
}

#[test]
fn an_id_that_a_bank_makes_up_and_a_client_sent_is_that_clients() {
    let bank = Bank::start(|to, _, _, _| answer(to, Some("bank-7")));
    let world = bank.world("");
    let mut client = world.client(Http::One, 1);
    client.call(Ask::token()).provided(200);
    client.call(Ask::token().set("X-Correlation-ID", "BANK-7")).provided(200);
    let given = client.call(Ask::token());
    malformed(&world, given, "another call's answer");
    // It is forgotten, in time.
    until("it is forgotten", || (client.call(Ask::token()).status == 200).then_some(()));
}

#[test]
fn what_is_known_of_one_operation_costs_the_others_no_connection() {
    // Token answers have their id, revocations none.
    let bank = Bank::start(|to, _, path, id| answer(to, path.contains("token").then_some(id)));
    let world = bank.world("");
    let mut client = world.client(Http::One, 1);
    for _ in 0..5 {
        client.call(Ask::token()).good();
        client.call(Ask::revoke()).provided(200);
    }
    assert_eq!(bank.connections(), 1);
}

#[test]
fn a_bank_that_speaks_before_it_is_asked_answers_nobody() {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
    let port = listener.local_addr().unwrap().port();
    let heard = Arc::new(AtomicUsize::new(0));
    let count = heard.clone();
    std::thread::spawn(move || {
        for mut stream in listener.incoming().flatten() {
            answer(&mut stream, None);
            let _ = stream.set_read_timeout(Some(Duration::from_secs(5)));
            count.fetch_add(stream.read(&mut [0; 4096]).unwrap_or(0), Ordering::SeqCst);
        }
    });
    let bank = Bank { port, connections: Arc::default() };
    let world = bank.world("");
    // Whether its answer is there before the request is a matter of time; it is taken for one only
    // where it is not.
    until("an answer to nothing", || {
        let answer = world.call(Http::One, Ask::token());
        let line = world.line_of(&answer);
        (line["detail"] == "an answer to nothing").then_some(())
    });
}

#[test]
fn one_connection_for_one_call_over_http_1_where_the_table_wants_it_so() {
    let bank = Bank::start(|to, _, _, _| answer(to, None));
    let world = bank.world("reuse = \"never\"");
    let mut client = world.client(Http::One, 1);
    for _ in 0..3 {
        client.call(Ask::token()).provided(200);
    }
    assert_eq!(bank.connections(), 3);
}

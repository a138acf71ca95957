//! Two calls under way at once, and a bank that mixes up whose answer is whose.
//!
//! No call went before, so that nothing is known of the bank: what is another call's by its id is
//! nobody else's all the same.

use std::net::Ipv4Addr;
use std::sync::{Arc, Mutex};

use bytes::Bytes;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::oneshot;

use crate::answer::Answer;
use crate::ask::{Ask, BANK, Http};
use crate::bank_bytes::whole_request_with;
use crate::world::{Setup, World, runtime, until, wait};

/// The ids in the answer to the call with the first id, while the other call has the second.
type Ids = fn(&str, &str) -> Vec<String>;

/// A bank that answers two calls at a time, once it has heard both.
#[derive(Clone)]
struct Pairs {
    /// The field that has the id.
    name: &'static str,
    ids: Ids,
    /// Who waits for another.
    waiting: Arc<Mutex<Option<Waiting>>>,
}

/// The id of a call that waits, and where it is told that of the other.
type Waiting = (String, oneshot::Sender<String>);

impl Pairs {
    /// Its port. It speaks this HTTP.
    fn start(http: Http, name: &'static str, ids: Ids) -> u16 {
        let bank = Self { name, ids, waiting: Arc::default() };
        let listener = wait(TcpListener::bind((Ipv4Addr::LOCALHOST, 0))).unwrap();
        let port = listener.local_addr().unwrap().port();
        runtime().spawn(async move {
            while let Ok((socket, _)) = listener.accept().await {
                match http {
                    Http::One => tokio::spawn(bank.clone().serve(socket)),
                    Http::Two => tokio::spawn(bank.clone().serve_in_http2(socket)),
                };
            }
        });
        port
    }

    /// Waits for the other of two calls, and gives the ids of the answer to this one.
    async fn meet(&self, id: &str) -> Vec<String> {
        let met = self.waiting.lock().unwrap().take();
        let other = if let Some((other, tell)) = met {
            tell.send(id.to_owned()).unwrap();
            other
        } else {
            let (tell, told) = oneshot::channel();
            *self.waiting.lock().unwrap() = Some((id.to_owned(), tell));
            told.await.unwrap()
        };
        (self.ids)(id, &other)
    }

    async fn serve(self, mut socket: TcpStream) {
        let mut bytes = Vec::new();
        while socket.read_buf(&mut bytes).await.is_ok_and(|count| count > 0) {
            let Some(id) = whole_request_with(&bytes, self.name) else { continue };
            bytes.clear();
            let ids = self.meet(&id).await;
            let lines: String = ids.iter().map(|id| format!("{}: {id}\r\n", self.name)).collect();
            let head = "HTTP/1.1 200 OK\r\nContent-Type: application/json";
            let text = format!("{head}\r\n{lines}Content-Length: {}\r\n\r\n{BODY}", BODY.len());
            socket.write_all(text.as_bytes()).await.unwrap();
        }
    }

    async fn serve_in_http2(self, socket: TcpStream) {
        let mut connection = h2::server::handshake(socket).await.unwrap();
        while let Some(Ok((request, mut respond))) = connection.accept().await {
            let bank = self.clone();
            tokio::spawn(async move {
                let id = request.headers()[bank.name].to_str().unwrap().to_owned();
                let mut answer = http::Response::builder().header("content-type", JSON);
                for id in bank.meet(&id).await {
                    answer = answer.header(bank.name, id);
                }
                let mut body = respond.send_response(answer.body(()).unwrap(), false).unwrap();
                body.send_data(Bytes::from_static(BODY.as_bytes()), true).unwrap();
            });
        }
    }
}

const BODY: &str = r#"{"access_token":"at-1","token_type":"bearer"}"#;
const JSON: &str = "application/json";
const HUBS: &str = "x-correlation-id";
/// The field of a document, or of a bank's entry.
const OWN: &str = "x-request-id";

fn setup(http: Http, port: u16, lines: &str) -> Setup {
    let http = if http == Http::Two { "2" } else { "1.1" };
    Setup::new().upstream(&format!("\"http://127.0.0.1:{port}\"")).target(&format!(
        "insecure_plain_upstream = true\nbreaker = {{ failures = 1000 }}\nhttp = \"{http}\"\n\
         timeouts = {{ connect = \"5s\", first_byte = \"5s\", total = \"5s\" }}\n{lines}"
    ))
}

/// Both calls, at once.
fn both(world: &World, calls: [Ask; 2]) -> [Answer; 2] {
    let calls = calls.map(|ask| world.client(Http::One, 1).call_meanwhile(ask));
    calls.map(|call| call.join().unwrap())
}

#[track_caller]
fn are_nobodys(world: &World, answers: [Answer; 2]) {
    for answer in answers {
        let answer = answer.platform(502).logged("response_malformed");
        assert_eq!(world.line_of(&answer)["detail"], "another call's answer");
    }
}

#[track_caller]
fn are_served(answers: [Answer; 2]) {
    for answer in answers {
        answer.provided(200);
    }
}

fn token(id: &str) -> Ask {
    Ask::token().set("X-Correlation-ID", id)
}

fn uuids() -> [String; 2] {
    [(); 2].map(|()| uuid::Uuid::new_v4().to_string())
}

/// A bank that nothing is known of answers two calls so; both ids are as long as is usual.
#[track_caller]
fn mixed_up(http: Http, rows: &[Ids]) {
    for ids in rows {
        let world = setup(http, Pairs::start(http, HUBS, *ids), "").start();
        let calls = uuids().map(|id| token(&id));
        are_nobodys(&world, both(&world, calls));
    }
}

over_both! {
    fn a_short_id_of_another_call_is_never_delivered(http) {
        for length in [1, 4, 8, 15] {
            let port = Pairs::start(http, HUBS, |_, other| vec![other.to_owned()]);
            let world = setup(http, port, "").start();
            let calls = uuids().map(|id| token(&id.replace('-', "")[..length]));
            if calls[0].correlation() != calls[1].correlation() {
                are_nobodys(&world, both(&world, calls));
            }
        }
    }

    fn another_calls_id_beside_the_own_one_is_never_delivered(http) {
        mixed_up(http, &[
            |mine, other| vec![mine.to_owned(), other.to_owned()],
            |mine, other| vec![other.to_owned(), mine.to_owned()],
            |mine, other| vec![format!("{mine}, {other}")],
            |mine, other| vec![format!("{other},{mine}")],
        ]);
    }

    fn another_calls_id_with_more_or_less_around_it_is_never_delivered(http) {
        mixed_up(http, &[
            |_, other| vec![format!("bank-{other}")],
            |_, other| vec![format!("{other}-1")],
            |_, other| vec![other[..20].to_owned()],
            |_, other| vec![other[15..].to_owned()],
        ]);
    }

    fn the_own_id_with_more_or_less_around_it_is_served(http) {
        let rows: [Ids; 5] = [
            |mine, _| vec![format!("bank-{mine}")],
            |mine, _| vec![mine[..20].to_owned()],
            |mine, _| vec![format!("\"{}\"", mine.to_uppercase())],
            |mine, _| vec!["front-1".to_owned(), mine.to_owned()],
            |mine, _| vec![format!("front-1, {mine}")],
        ];
        for ids in rows {
            let world = setup(http, Pairs::start(http, HUBS, ids), "").start();
            // The ids begin alike.
            for _ in 0..2 {
                let [one, other] = uuids();
                let alike = format!("{}{}", &one[..24], &other[24..]);
                are_served(both(&world, [token(&one), token(&alike)]));
            }
        }
    }

    fn of_two_calls_with_one_id_each_is_served(http) {
        let port = Pairs::start(http, HUBS, |_, other| vec![other.to_owned()]);
        let world = setup(http, port, "").start();
        for id in ["once-more", "5f0c6a2e-8d3b-4b57-9f77-000000000001"] {
            are_served(both(&world, [(); 2].map(|()| token(id))));
        }
    }

    fn an_id_in_the_field_that_a_banks_entry_names_is_looked_at(http) {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("secret");
        std::fs::write(&file, "a-secret-of-the-hub").unwrap();
        let rows = [
            ("oauth2", "oauth2 = { authentication = \"none\"".to_owned()),
            ("flinks", format!("flinks = {{ client_secret = \"${{file:{}}}\"", file.display())),
        ];
        for (dialect, open) in rows {
            let lines = format!(
                "dialect = \"{dialect}\"\n\
                 {open}, client_id = \"hub\", correlation_header = \"X-Request-ID\" }}"
            );
            let calls = || uuids().map(|id| token(&id));
            let port = Pairs::start(http, OWN, |mine, _| vec![mine.to_owned()]);
            let world = setup(http, port, &lines).start();
            are_served(both(&world, calls()));
            let port = Pairs::start(http, OWN, |_, other| vec![other.to_owned()]);
            let world = setup(http, port, &lines).start();
            are_nobodys(&world, both(&world, calls()));
        }
    }

    fn an_id_in_the_field_that_a_document_has_for_it_is_looked_at(http) {
        let native = |ids: Ids| {
            let port = Pairs::start(http, OWN, ids);
            let mount = format!(
                "\n[[api]]\ncontract = \"own.yaml\"\nbase_path = \"/native\"\ntarget = \"{BANK}\"\n"
            );
            setup(http, port, "").file("own.yaml", DOCUMENT).more(&mount).start()
        };
        let calls = || uuids().map(|id| {
            Ask::native("GET", "/native/thing", "").correlated_by("X-Request-ID").with(OWN, id)
        });
        let world = native(|mine, _| vec![mine.to_owned()]);
        are_served(both(&world, calls()));
        let world = native(|_, other| vec![other.to_owned()]);
        are_nobodys(&world, both(&world, calls()));
    }
}

const DOCUMENT: &str = r"
openapi: 3.1.0
info: {title: Own, version: '1'}
x-corgate-native: true
paths:
  /thing:
    get:
      operationId: thing
      parameters:
        - {name: X-Request-ID, in: header, x-corgate-role: correlation-id, schema: {type: string}}
      responses: {'200': {description: good}}
";

/// A bank over HTTP/2 that gives back the id of the first call of all, ends that connection, and
/// answers all others two at a time, under ids of nobody.
fn forgetful() -> (u16, Arc<Mutex<bool>>) {
    let listener = wait(TcpListener::bind((Ipv4Addr::LOCALHOST, 0))).unwrap();
    let port = listener.local_addr().unwrap().port();
    let ended = Arc::<Mutex<bool>>::default();
    let is_over = ended.clone();
    runtime().spawn(async move {
        let (socket, _) = listener.accept().await.unwrap();
        let mut connection = h2::server::handshake(socket).await.unwrap();
        let (request, mut respond) = connection.accept().await.unwrap().unwrap();
        let answer = http::Response::builder().header(HUBS, &request.headers()[HUBS]);
        let answer = answer.header("content-type", JSON).body(()).unwrap();
        let mut body = respond.send_response(answer, false).unwrap();
        body.send_data(Bytes::from_static(BODY.as_bytes()), true).unwrap();
        connection.graceful_shutdown();
        while connection.accept().await.is_some() {}
        let bank = Pairs {
            name: HUBS,
            ids: |_, _| vec!["an-id-of-nobody".to_owned()],
            waiting: Arc::default(),
        };
        *is_over.lock().unwrap() = true;
        while let Ok((socket, _)) = listener.accept().await {
            tokio::spawn(bank.clone().serve_in_http2(socket));
        }
    });
    (port, ended)
}

#[test]
fn a_connection_that_carries_two_calls_at_once_is_a_used_one_for_both() {
    let (port, ended) = forgetful();
    let world = setup(Http::Two, port, "").start();
    world.call(Http::One, Ask::token()).provided(200);
    until("the end of the first connection", || ended.lock().unwrap().then_some(()));
    for answer in both(&world, [Ask::token(), Ask::token()]) {
        let answer = answer.platform(502).logged("response_malformed");
        assert_eq!(world.line_of(&answer)["detail"], "an answer under another id");
    }
}

#[test]
fn a_bank_in_http2_that_makes_ids_up_is_learned_beside_other_calls() {
    // Ids that are no UUIDs are replaced; no call has a connection alone but one that is given one.
    let port = Pairs::start(Http::Two, HUBS, |mine, _| {
        vec![if mine.len() == 36 { mine.to_owned() } else { "bank-own-id".to_owned() }]
    });
    let world = setup(Http::Two, port, "").start();
    are_served(both(&world, uuids().map(|id| token(&id))));
    until("it is learned", || {
        let [uuid, _] = uuids();
        let [given, made_up] = both(&world, [token(&uuid), token("short")]);
        given.provided(200);
        (made_up.status == 200).then_some(())
    });
    are_served(both(&world, [token("short-1"), token("short-2")]));
}

//! The admin listener: what a stranger who reaches it, or a web page, can't do to it.

use std::io::{Read as _, Write as _};
use std::net::{SocketAddr, TcpStream};
use std::time::Duration;

use serde_json::Value;

use crate::ask::{Ask, BANK, Http};
use crate::world::{Setup, World, now, until};

/// Sends bytes on a connection of its own and reads to its end.
fn ask(admin: SocketAddr, request: &str) -> String {
    let mut stream = TcpStream::connect(admin).unwrap();
    stream.set_read_timeout(Some(Duration::from_secs(20))).unwrap();
    stream.write_all(request.as_bytes()).unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).unwrap();
    answer
}

fn status(answer: &str) -> &str {
    answer.get(9..12).unwrap_or_default()
}

#[test]
fn half_heads_starve_neither_the_process_nor_who_asks_the_admin_listener() {
    let program = Setup::new().launch_from("ulimit -n 200");
    let admin = program.admin_address();
    let mut silent = Vec::new();
    for number in 0..400 {
        let mut stream = TcpStream::connect(admin).unwrap();
        if number % 2 == 0 {
            let _ = stream.write_all(b"GET /metrics HTTP/1.1\r\nHost: x\r\n");
        }
        silent.push(stream);
        if number % 50 == 0 {
            let asked = now();
            assert_eq!(program.admin("/livez").unwrap().0, 200);
            assert!(asked.elapsed() < Duration::from_secs(2), "{:?}", asked.elapsed());
        }
    }
    assert_eq!(program.admin("/metrics").unwrap().0, 200);
    // There are descriptors for clients, and for the bank.
    for _ in 0..10 {
        program.client(Http::One).call(Ask::token()).good();
    }
}

#[test]
fn a_head_that_does_not_come_to_its_end_has_its_time() {
    let world = World::new();
    let mut stream = TcpStream::connect(world.running().admin).unwrap();
    stream.set_read_timeout(Some(Duration::from_secs(30))).unwrap();
    stream.write_all(b"GET /metrics HT").unwrap();
    let mut rest = Vec::new();
    let begun = now();
    stream.read_to_end(&mut rest).unwrap();
    assert!(begun.elapsed() > Duration::from_secs(5), "{:?}", begun.elapsed());
}

#[test]
fn a_web_page_reads_nothing_and_changes_nothing() {
    let world = World::new();
    let admin = world.running().admin;
    let standing = || {
        let (_, page) = world.page_of("/reload");
        (page["generation"].clone(), page["reloads"].clone())
    };
    let before = standing();
    let request = |line: &str, fields: &str| {
        ask(admin, &format!("{line} HTTP/1.1\r\nConnection: close\r\n{fields}\r\n"))
    };
    // A name of a stranger that points to 127.0.0.1.
    for path in ["/metrics", "/banks", "/reload", "/diff", "/banks/IIDX00001"] {
        let answer = request(&format!("GET {path}"), "Host: rebound.example:9443\r\n");
        assert_eq!(status(&answer), "421", "{answer}");
        assert!(answer.contains("admin_hosts"), "{answer}");
    }
    for host in ["x", "localhost:9443", &admin.to_string()] {
        assert_eq!(status(&request("GET /metrics", &format!("Host: {host}\r\n"))), "200");
    }
    // What a page sends without being asked.
    let form = "Host: localhost\r\nContent-Length: 0\r\n";
    for fields in ["", "Origin: http://evil.example\r\n", "Sec-Fetch-Site: cross-site\r\n"] {
        let answer = request("POST /reload", &format!("{form}{fields}"));
        assert_eq!(status(&answer), "403", "{answer}");
    }
    let answer = request("POST /reload", "Host: localhost\r\nContent-Length: 2\r\n\r\n{}");
    assert_eq!(status(&answer), "413", "{answer}");
    assert_eq!(standing(), before);
    let asked = request("POST /reload", &format!("{form}X-Corgate-Admin: 1\r\n"));
    assert_eq!(status(&asked), "200", "{asked}");
}

#[test]
fn a_name_of_the_admin_listener_is_taken_up_by_a_reload() {
    let world = Setup::new().gateway("admin_hosts = [\"corgate.example\"]").start();
    let admin = world.running().admin;
    let of = |host: &str| {
        ask(admin, &format!("GET /banks HTTP/1.1\r\nConnection: close\r\nHost: {host}\r\n\r\n"))
    };
    assert_eq!(status(&of("Corgate.Example:1")), "200");
    assert_eq!(status(&of("hub.example")), "421");
    world.rewrite("corgate.example", "hub.example");
    assert_eq!(world.reload().0, 200);
    assert_eq!(status(&of("hub.example")), "200");
    assert_eq!(status(&of("corgate.example")), "421");
}

/// A world with so many more banks, `B0000` and so on.
fn many(count: usize) -> World {
    let bank = |setup: Setup, number: usize| setup.target_at(&format!("B{number:04}"), 1, "");
    (0..count).fold(Setup::new(), bank).start()
}

#[test]
fn banks_come_in_pages_and_each_of_them_once() {
    let world = many(6);
    let mut ids = Vec::new();
    let mut path = "/banks?limit=3".to_owned();
    loop {
        let request = format!("GET {path} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n");
        let answer = ask(world.running().admin, &request);
        let (head, body) = answer.split_once("\r\n\r\n").unwrap();
        let page: Vec<Value> = serde_json::from_str(body).unwrap();
        assert!(page.len() <= 3);
        ids.extend(page.iter().map(|bank| bank["id"].as_str().unwrap().to_owned()));
        let Some((_, link)) = head.split_once("link: <") else { break };
        let (next, kind) = link.split_once('>').unwrap();
        assert!(kind.starts_with("; rel=\"next\""), "{head}");
        path = next.to_owned();
    }
    assert_eq!(ids, ["B0000", "B0001", "B0002", "B0003", "B0004", "B0005", BANK]);
    assert_eq!(world.admin("/banks?limit=0").0, 400);
    assert_eq!(world.page_of("/banks").1.as_array().unwrap().len(), 7);
}

#[test]
fn probes_are_answered_beside_any_number_of_pages_that_nobody_takes() {
    let world = many(2_000);
    let admin = world.running().admin;
    let slow: Vec<_> = (0..150)
        .map(|_| {
            let mut stream = TcpStream::connect(admin).unwrap();
            for _ in 0..20 {
                let _ = stream.write_all(b"GET /banks HTTP/1.1\r\nHost: x\r\n\r\n");
            }
            stream
        })
        .collect();
    for _ in 0..20 {
        let asked = now();
        assert_eq!(world.admin("/livez").0, 200);
        assert_eq!(world.admin("/readyz").0, 200);
        assert!(asked.elapsed() < Duration::from_secs(1), "{:?}", asked.elapsed());
        std::thread::sleep(Duration::from_millis(20));
    }
    // Nor do they keep others from a page for ever.
    until("a page", || (world.admin("/metrics").0 == 200).then_some(()));
    drop(slow);
}

#[test]
fn probes_are_answered_beside_any_number_of_requests_that_wait_for_a_reload() {
    for (line, fields) in [("GET /diff", ""), ("POST /reload", "X-Corgate-Admin: 1\r\n")] {
        let world = many(500);
        let admin = world.running().admin;
        let asked = format!("{line} HTTP/1.1\r\nHost: x\r\n{fields}\r\n").repeat(40);
        let waiting: Vec<_> = (0..100)
            .map(|_| {
                let mut stream = TcpStream::connect(admin).unwrap();
                let _ = stream.write_all(asked.as_bytes());
                stream
            })
            .collect();
        for _ in 0..20 {
            let asked = now();
            assert_eq!(world.admin("/livez").0, 200, "{line}");
            assert_eq!(world.admin("/readyz").0, 200, "{line}");
            assert!(asked.elapsed() < Duration::from_secs(2), "{line}: {:?}", asked.elapsed());
        }
        drop(waiting);
    }
}

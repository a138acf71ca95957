//! A refresh while one process takes over from another: on both sides it is one.

use crate::ask::{Ask, Http, unique};
use crate::world::{Program, Setup, until};

/// A bank whose refresh tokens are good once. Connections outlive their quiet for a while, so that
/// the process before is still there to be asked.
fn program() -> Program {
    let gateway = "run_dir = \"run\"\ndrain_quiet = \"8s\"\ndrain_timeout = \"20s\"";
    Setup::new().gateway(gateway).target("rotates_refresh_tokens = true").launch()
}

/// The same refresh each time, of another call. The bank takes its time over it.
fn refresh(user: &str) -> Ask {
    let ask = Ask::refresh().param("refresh_token", "sim-delay-2500").param("username", user);
    ask.set("X-Correlation-ID", unique("id"))
}

#[track_caller]
fn takes_over(program: &Program) {
    let output = program.command("upgrade");
    assert!(output.status.success(), "{output:?}\n{}", program.log());
}

#[test]
fn a_refresh_under_way_in_the_process_before_is_not_sent_again_by_its_successor() {
    let program = program();
    let user = unique("anna");
    let first = program.client(Http::One).call_meanwhile(refresh(&user));
    until("the refresh at the bank", || (program.bank.requests().len() == 1).then_some(()));
    let before = program.serving();
    takes_over(&program);
    assert_ne!(program.serving(), before);
    // Another connection: the successor's.
    let second = program.client(Http::Two).call(refresh(&user)).good();
    assert_eq!(second.body, first.join().unwrap().good().body);
    assert_eq!(program.bank.requests().len(), 1);
    // Another one is another one's.
    program.client(Http::One).call(refresh(&unique("beat")).param("refresh_token", "sim-static"));
    assert_eq!(program.bank.requests().len(), 2);
}

#[test]
fn a_refresh_under_way_in_the_successor_is_not_sent_again_by_the_process_before() {
    let program = program();
    let mut old = program.client(Http::One);
    old.call(Ask::token()).good();
    takes_over(&program);
    let user = unique("anna");
    let first = program.client(Http::One).call_meanwhile(refresh(&user));
    until("the refresh at the bank", || (program.bank.requests().len() == 2).then_some(()));
    // On a connection that the process before still has.
    let second = old.call(refresh(&user)).good();
    assert_eq!(second.header("connection"), Some("close"));
    assert_eq!(second.body, first.join().unwrap().good().body);
    assert_eq!(program.bank.requests().len(), 2);
}

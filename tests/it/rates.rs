//! CONTRACT 4.4, row 29: rate limits of a client, of a client at a bank, and of a bank.

use crate::ask::{Ask, BANK, Http};
use crate::world::{Setup, World, bank, client_id};

const EXCEEDED: &str = "rate limit exceeded";

over_both! {
    fn row_4_4_29_a_client_over_its_limit(http) {
        let lines = "targets = [\"*\"]\nlimit = { rate = \"2/h\", burst = 2 }";
        let world = Setup::new().client(lines).start();
        let mut client = world.client(http, 1);
        client.call(Ask::token()).good();
        client.call(Ask::token()).good();
        let answer = client
            .call(Ask::token())
            .refused(429, "temporarily_unavailable", EXCEEDED)
            .says("ratelimit-policy", "\"client\";q=2;w=3600")
            .logged("rate_limited");
        let wait = answer.seconds("retry-after");
        assert!((1_700..=1_800).contains(&wait), "{wait}");
        answer.says("ratelimit", &format!("\"client\";r=0;t={wait}"));
        world.bank_heard(2);
        // The connection stays: the client did nothing that makes it untrustworthy.
        client.call(Ask::token().method("GET")).platform(405);
        world.counts("corgate_connections_total", 1);
    }

    fn row_4_4_29_a_client_over_its_limit_at_one_bank(http) {
        let second = bank();
        let world = Setup::new()
            .client("targets = [\"*\"]\ntarget_limit = { rate = \"1/m\", burst = 1 }")
            .target_at("IIDX00002", second.address().port(), "")
            .start();
        world.call(http, Ask::token()).good();
        world
            .call(http, Ask::token())
            .refused(429, "temporarily_unavailable", EXCEEDED)
            .says("ratelimit-policy", "\"client-target\";q=1;w=60")
            .logged("rate_limited");
        world.call(http, Ask::token().bank("IIDX00002")).good();
        world.bank_heard(1);
        assert_eq!(second.requests().len(), 1);
    }

    fn row_4_4_29_a_bank_over_its_limit_from_all_clients_together(http) {
        let world = Setup::new()
            .target("limit = { rate = \"2/m\", burst = 2 }")
            .and_client(2, "targets = [\"*\"]")
            .start();
        world.call(http, Ask::token()).good();
        world.client(http, 2).call(Ask::token().client(&client_id(2))).good();
        world
            .call(http, Ask::token())
            .refused(429, "temporarily_unavailable", EXCEEDED)
            .says("ratelimit-policy", "\"target\";q=2;w=60")
            .logged("rate_limited");
        world.bank_heard(2);
    }

    fn a_shadow_limit_counts_and_lets_through(http) {
        let lines = "targets = [\"*\"]\nlimit = { rate = \"1/h\", burst = 1, shadow = true }";
        let world = Setup::new().client(lines).start();
        world.call(http, Ask::token()).good();
        let answer = world.call(http, Ask::token()).good();
        assert_eq!(answer.header("ratelimit"), None);
        assert_eq!(world.line_of(&answer)["shadow"], "client");
        assert_eq!(world.metric("corgate_shadow_total{kind=\"client\"}"), 1);
        world.bank_heard(2);
    }

    fn a_noisy_client_does_not_burn_what_it_shares(http) {
        let world = Setup::new()
            .client("targets = [\"*\"]\ntarget_limit = { rate = \"1/h\", burst = 1 }")
            .target("limit = { rate = \"2/h\", burst = 2 }")
            .and_client(2, "targets = [\"*\"]")
            .start();
        world.call(http, Ask::token()).good();
        for _ in 0..5 {
            world.call(http, Ask::token()).platform(429);
        }
        world.client(http, 2).call(Ask::token().client(&client_id(2))).good();
    }
}

#[test]
fn what_is_refused_after_the_limit_counts_and_what_is_refused_before_does_not() {
    let lines = "targets = [\"*\"]\nlimit = { rate = \"3/h\", burst = 3 }";
    let world = Setup::new().client(lines).start();
    let mut client = world.client(Http::One, 1);
    // Before: path, method, correlation id, identity.
    client.call(Ask::token().target("/")).platform(404);
    client.call(Ask::token().method("GET")).platform(405);
    client.call(Ask::token().without("X-Correlation-ID")).platform(400);
    client.call(Ask::token().client(&client_id(2))).platform(401);
    // After: header, target, form.
    client.call(Ask::token().without("User-Agent")).platform(400);
    client.call(Ask::token().bank("IIDX99999")).platform(400);
    client.call(Ask::token().without_param("code")).platform(400);
    client.call(Ask::token()).platform(429);
    world.bank_heard(0);
}

#[test]
fn a_limit_is_checked_before_the_body_is_read() {
    let lines = "targets = [\"*\"]\nlimit = { rate = \"1/h\", burst = 1 }";
    let world = Setup::new().client(lines).start();
    world.call(Http::One, Ask::token()).good();
    let mut wire = world.wire();
    // The head alone: no byte of the body is sent, and none is waited for.
    wire.send(Ask::token().head());
    wire.answer().refused(429, "temporarily_unavailable", EXCEEDED);
}

#[test]
fn the_bucket_fills_again() {
    let lines = "targets = [\"*\"]\nlimit = { rate = \"5/s\", burst = 1 }";
    let world = Setup::new().client(lines).start();
    let mut client = world.client(Http::One, 1);
    client.call(Ask::token()).good();
    crate::world::until("a token in the bucket", || {
        let answer = client.call(Ask::token());
        (answer.status == 200).then_some(())
    });
}

#[test]
fn two_clients_do_not_share_a_limit() {
    let limit = "targets = [\"*\"]\nlimit = { rate = \"1/h\", burst = 1 }";
    let world: World = Setup::new().client(limit).and_client(2, limit).start();
    world.call(Http::One, Ask::token().bank(BANK)).good();
    world.client(Http::Two, 2).call(Ask::token().client(&client_id(2))).good();
    world.call(Http::Two, Ask::token()).platform(429);
}

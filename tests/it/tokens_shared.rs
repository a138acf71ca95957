//! Banks where clients share the hub's registration: they can't tell whose a token is, so the hub
//! does.

use std::time::Duration;

use corgate::sim::flinks::{Flinks, FlinksConfig};
use corgate::sim::oauth2::{ANYBODY, OAuth2Bank, OAuth2Config};
use serde_json::Value;

use crate::ask::{Ask, Http, unique};
use crate::world::{Caller, FOREIGN, Setup, World, client_id, listening};

const EVERYWHERE: &str = "targets = [\"*\"]";
const UNOWNED: &str = "token was not issued to this client";

/// Two clients and a bank that knows the hub alone.
struct Scene {
    world: World,
    bank: OAuth2Bank,
}

impl Scene {
    fn new(lines: &str, keys: &str) -> Self {
        let think = Duration::ZERO;
        let bank = OAuth2Config { think, ..OAuth2Config::new(listening()) };
        let bank = OAuth2Bank::start(bank).unwrap();
        let lines = format!(
            "{lines}\ndialect = \"oauth2\"\n[target.oauth2]\nclient_id = \"hub\"\n\
             client_secret = \"${{file:hub-secret}}\"\nusername = \"introspection\"\n{keys}"
        );
        let setup = Setup::new().file("hub-secret", "hub-secret").and_client(2, EVERYWHERE);
        let world = setup.target_at(FOREIGN, bank.address().port(), &lines).start();
        Self { world, bank }
    }

    fn caller(&self, http: Http, number: usize) -> Calls {
        Calls { caller: self.world.client(http, number), id: client_id(number) }
    }

    fn heard(&self) -> usize {
        self.bank.requests().len()
    }
}

/// One client's calls at the foreign bank.
struct Calls {
    caller: Caller,
    id: String,
}

impl Calls {
    fn token(&mut self) -> Value {
        let ask = Ask::token().bank(FOREIGN).client(&self.id);
        self.caller.call(ask).good().json()
    }

    fn refresh(&mut self, token: &str) -> crate::answer::Answer {
        let ask = Ask::refresh().bank(FOREIGN).client(&self.id);
        self.caller.call(ask.param("refresh_token", token))
    }

    fn revoke(&mut self, token: &str) -> crate::answer::Answer {
        let ask = Ask::revoke().bank(FOREIGN).client(&self.id);
        self.caller.call(ask.param("token", token))
    }

    fn username(&mut self, token: &str) -> crate::answer::Answer {
        let ask = Ask::username().bank(FOREIGN).client(&self.id);
        let ask = ask.set("Authorization", format!("Bearer {token}"));
        self.caller.call(ask.param("username", ANYBODY))
    }
}

fn text<'j>(token: &'j Value, name: &str) -> &'j str {
    token[name].as_str().unwrap()
}

over_both! {
    fn a_client_neither_refreshes_nor_revokes_nor_looks_up_anothers_token(http) {
        let it = Scene::new("", "");
        let (mut anna, mut thief) = (it.caller(http, 1), it.caller(http, 2));
        let token = anna.token();
        let (access, refresh) = (text(&token, "access_token"), text(&token, "refresh_token"));
        thief.refresh(refresh).refused(400, "invalid_grant", UNOWNED).logged("token_unowned");
        for token in [access, refresh] {
            thief.revoke(token).refused(400, "invalid_grant", UNOWNED).logged("token_unowned");
        }
        thief.username(access).platform(401).logged("bearer_unknown");
        assert_eq!(it.heard(), 1, "the bank was asked nothing of it");
        // Its owner goes on, over rotations.
        let second = anna.refresh(refresh).good().json();
        let second_refresh = text(&second, "refresh_token");
        thief.refresh(second_refresh).refused(400, "invalid_grant", UNOWNED);
        thief.refresh(refresh).refused(400, "invalid_grant", UNOWNED);
        let known = anna.username(text(&second, "access_token")).good().json();
        assert_eq!(known["valid_username"], true);
        anna.revoke(text(&second, "access_token")).good();
        anna.revoke(second_refresh).good();
        assert_eq!(it.heard(), 5);
    }

    fn what_becomes_of_an_unknown_token_is_the_tables_affair(http) {
        let unknown = unique("rt-of-last-year");
        for (policy, passes) in [("learn", true), ("pass", true), ("refuse", false)] {
            let it = Scene::new(&format!("unknown_tokens = \"{policy}\""), "");
            let mut client = it.caller(http, 1);
            let (refreshed, revoked) = (client.refresh(&unknown), client.revoke(&unknown));
            let looked_up = client.username(&unknown);
            if passes {
                assert_eq!(refreshed.provided(400).json()["error"], "invalid_grant", "{policy}");
                revoked.good();
                looked_up.provided(401);
                assert_eq!(it.heard(), 3);
            } else {
                refreshed.refused(400, "invalid_grant", UNOWNED).logged("token_unowned");
                revoked.refused(400, "invalid_grant", UNOWNED).logged("token_unowned");
                looked_up.platform(401).logged("bearer_unknown");
                assert_eq!(it.heard(), 0);
            }
        }
    }
}

#[test]
fn a_client_with_a_registration_of_its_own_is_left_to_the_bank() {
    let own = format!(
        "clients = {{ {} = {{ client_id = \"hub\", client_secret = \"${{file:hub-secret}}\" }} }}",
        client_id(2)
    );
    // Two clients of one id share it, wherever it is written.
    let it = Scene::new("", &own);
    let token = it.caller(Http::One, 1).token();
    it.caller(Http::One, 2).refresh(text(&token, "refresh_token")).refused(
        400,
        "invalid_grant",
        UNOWNED,
    );
    let own = own.replace("client_id = \"hub\"", "client_id = \"another\"");
    let it = Scene::new("unknown_tokens = \"refuse\"", &own);
    // The bank knows no such client: that it was asked is what counts.
    let unknown = unique("rt");
    drop(it.caller(Http::One, 2).refresh(&unknown));
    assert_eq!(it.heard(), 1);
}

#[test]
fn at_flinks_too_a_token_is_its_owners_alone() {
    let bank = Flinks::start(FlinksConfig::new(listening())).unwrap();
    let lines = "dialect = \"flinks\"\n[target.flinks]\nclient_id = \"dc-hub\"\n\
                 client_secret = \"${file:hub-secret}\"";
    let setup = Setup::new().file("hub-secret", "dc-secret").and_client(2, EVERYWHERE);
    let world = setup.target_at(FOREIGN, bank.address().port(), lines).start();
    let of = |number| Calls { caller: world.client(Http::One, number), id: client_id(number) };
    let (mut anna, mut thief) = (of(1), of(2));
    let token = anna.token();
    let heard = bank.requests().len();
    thief.refresh(text(&token, "refresh_token")).refused(400, "invalid_grant", UNOWNED);
    thief.revoke(text(&token, "access_token")).refused(400, "invalid_grant", UNOWNED);
    thief.revoke(text(&token, "refresh_token")).refused(400, "invalid_grant", UNOWNED);
    assert_eq!(bank.requests().len(), heard);
    anna.refresh(text(&token, "refresh_token")).good();
    anna.revoke(text(&token, "access_token")).good();
}

//! What is remembered of tokens lives longer than the process, where there is a `state_dir`.

use std::path::Path;

use corgate::sim::oauth2::{OAuth2Bank, OAuth2Config};
use serde_json::Value;

use crate::ask::{Ask, Http, unique};
use crate::world::{FOREIGN, Setup, World, client_id, listening, until};

const EVERYWHERE: &str = "targets = [\"*\"]";
const UNOWNED: &str = "token was not issued to this client";

/// A gateway with two clients and this folder, before a bank that knows the hub alone.
fn start(bank: &OAuth2Bank, state: &Path) -> World {
    let lines = "unknown_tokens = \"refuse\"\nassert_username = true\ndialect = \"oauth2\"\n\
                 [target.oauth2]\nclient_id = \"hub\"\nclient_secret = \"${file:hub-secret}\"";
    Setup::new()
        .gateway(&format!("state_dir = {state:?}"))
        .file("hub-secret", "hub-secret")
        .and_client(2, EVERYWHERE)
        .target_at(FOREIGN, bank.address().port(), lines)
        .start()
}

fn text<'j>(token: &'j Value, name: &str) -> &'j str {
    token[name].as_str().unwrap()
}

fn refresh(token: &Value) -> Ask {
    Ask::refresh().bank(FOREIGN).param("refresh_token", text(token, "refresh_token"))
}

#[test]
fn a_restart_ends_no_consent_and_forgets_no_owner() {
    let folder = tempfile::tempdir().unwrap();
    let state = folder.path().join("state");
    let bank = OAuth2Bank::start(OAuth2Config::new(listening())).unwrap();
    let user = unique("anna");
    let token = {
        let world = start(&bank, &state);
        let ask = Ask::token().bank(FOREIGN).param("username", &user);
        world.call(Http::One, ask).good().json()
    };
    let world = start(&bank, &state);
    let heard = bank.requests().len();
    let other = client_id(2);
    let stolen = refresh(&token).client(&other);
    world.client(Http::One, 2).call(stolen).refused(400, "invalid_grant", UNOWNED);
    assert_eq!(bank.requests().len(), heard);
    let bearer = format!("Bearer {}", text(&token, "access_token"));
    let ask = Ask::username().bank(FOREIGN).set("Authorization", bearer).param("username", &user);
    assert_eq!(world.call(Http::One, ask).platform(200).json()["valid_username"], true);
    world.call(Http::One, refresh(&token)).good();
    // What nobody here was ever given is nobody's.
    let unknown = Ask::refresh().bank(FOREIGN).param("refresh_token", &unique("rt"));
    world.call(Http::One, unknown).refused(400, "invalid_grant", UNOWNED);
}

#[test]
fn a_process_beside_it_soon_knows_whose_a_token_is() {
    let folder = tempfile::tempdir().unwrap();
    let state = folder.path().join("state");
    let bank = OAuth2Bank::start(OAuth2Config::new(listening())).unwrap();
    let (old, new) = (start(&bank, &state), start(&bank, &state));
    let token = old.call(Http::One, Ask::token().bank(FOREIGN)).good().json();
    let other = client_id(2);
    let renewed = until("the owner is known", || {
        let stolen = refresh(&token).client(&other);
        new.client(Http::One, 2).call(stolen).refused(400, "invalid_grant", UNOWNED);
        let answer = new.call(Http::One, refresh(&token));
        (answer.status == 200).then(|| answer.json())
    });
    assert_ne!(text(&renewed, "refresh_token"), text(&token, "refresh_token"));
}

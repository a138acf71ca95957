//! A consent from its code to its revocation, through the gateway.

use std::time::Duration;

use corgate::sim::bank::{Bank, BankConfig, Temper};

use crate::ask::{Ask, CLIENT, unique};
use crate::world::{Setup, World, listening};

over_both! {
    fn a_consent_lives_from_its_code_to_its_revocation(http) {
        let world = World::new();
        let mut client = world.client(http, 1);
        let user = unique("anna");
        let uri = "https://app.example/cb";
        let code = world.bank.issue_code(CLIENT, &user, Some(uri));
        let redeem = Ask::token().param("code", &code).param("username", &user);
        let tokens = client.call(redeem).good().json();
        let access = tokens["access_token"].as_str().unwrap().to_owned();
        let refresh = tokens["refresh_token"].as_str().unwrap().to_owned();

        let bearer = format!("Bearer {access}");
        let validate = |name: &str| {
            Ask::username().set("Authorization", &bearer).param("username", name)
        };
        assert_eq!(client.call(validate(&user)).good().json()["valid_username"], true);
        let other = unique("beat");
        assert_eq!(client.call(validate(&other)).good().json()["valid_username"], false);

        let renew = Ask::refresh().param("refresh_token", &refresh).param("username", &user);
        let renewed = client.call(renew).good().json();
        assert_ne!(renewed["access_token"], access.as_str());

        client.call(Ask::revoke().param("token", &access)).good();
        client.call(validate(&user)).provided(401);
        world.bank_heard(6);
        assert_eq!(world.bank.connections(), 1);
    }

    fn a_code_is_good_once_and_the_hub_never_tries_it_again(http) {
        let world = World::new();
        let ask = Ask::token();
        world.call(http, ask.clone()).good();
        let again = ask.set("X-Correlation-ID", unique("id"));
        let answer = world.call(http, again).provided(400);
        assert_eq!(answer.json()["error"], "invalid_grant");
        world.bank_heard(2);
    }

    fn an_expired_code_is_the_banks_affair(http) {
        let world = World::new();
        let user = unique("anna");
        let code = world.bank.issue_code(CLIENT, &user, None);
        world.bank.advance(Duration::from_secs(31));
        let answer = world.call(http, Ask::token().param("code", &code).param("username", &user));
        assert_eq!(answer.provided(400).json()["error"], "invalid_grant");
    }

    fn a_refresh_that_the_bank_lost_is_not_sent_again(http) {
        let config = BankConfig { temper: Temper::LosesRefresh, ..BankConfig::new(listening()) };
        let world = Setup::new().bank(Bank::start(config).unwrap()).start();
        let user = unique("anna");
        let code = world.bank.issue_code(CLIENT, &user, None);
        let tokens = world
            .call(http, Ask::token().param("code", &code).param("username", &user))
            .good()
            .json();
        let refresh = tokens["refresh_token"].as_str().unwrap();
        let ask = Ask::refresh().param("refresh_token", refresh).param("username", &user);
        world.call(http, ask).provided(504);
        world.bank_heard(2);
    }
}

//! `routes.toml` alone decides who is dialled: nothing that a client sends does.

use crate::ask::{Ask, BASE, Http};
use crate::world::{Setup, bank, closed_port};

over_both! {
    fn nothing_in_a_request_makes_the_gateway_dial_a_place_of_its_choice(http) {
        let canary = bank();
        let place = format!("127.0.0.1:{}", canary.address().port());
        let (_held, closed) = closed_port();
        let world = Setup::new()
            .api("query = \"drop\"")
            .target_at("IIDX00002", closed, "")
            .start();
        let mut client = world.client(http, 1);
        for id in [
            "IIDX99999",
            place.as_str(),
            &format!("https://{place}"),
            &format!("IIDX00001@{place}"),
            "../IIDX00001",
            "IIDX00001/../IIDX00002",
            "iidx00001",
            "*",
            "IIDX0000",
            "IIDX000011",
        ] {
            client.call(Ask::token().bank(id)).platform(400);
        }
        for ask in [
            Ask::token().query(&format!("target=https://{place}")),
            Ask::token().with("X-Forwarded-Host", &place),
            Ask::token().with("Forwarded", format!("host=\"{place}\"")),
            Ask::token().with("X-Original-URL", format!("https://{place}/")),
            Ask::token().with("X-Rewrite-URL", "/admin"),
            Ask::token().again("resource", &format!("https://{place}/")),
            Ask::token().param("redirect_uri", &format!("https://{place}/cb")),
        ] {
            client.call(ask).good();
        }
        // Over HTTP/2 it has to be the `:authority`'s own.
        let named = client.call(Ask::token().with("Host", &place));
        match http {
            Http::One => named.good(),
            Http::Two => named.platform(400).logged("http_malformed"),
        };
        for path in ["/metrics", "/livez", "/banks", &format!("{BASE}/banks"), "/__sim/requests"] {
            client.call(Ask::token().target(path)).platform(404);
            client.call(Ask::token().method("GET").target(path)).platform(404);
        }
        // A bank that redirects does not lead the gateway elsewhere.
        client.call(Ask::magic("sim-redirect")).platform(502);
        assert_eq!(canary.connections(), 0);
        assert!(canary.requests().is_empty());
    }
}

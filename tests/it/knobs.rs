//! The switches of `routes.toml` that change what a client is told or a bank is sent.

use serde_json::json;

use crate::ask::{Ask, BASE};
use crate::world::{Setup, closed_port};

over_both! {
    fn query_drop_lets_a_query_pass_and_leaves_it_behind(http) {
        let world = Setup::new().api("query = \"drop\"").start();
        world.call(http, Ask::token().query("code=secret-in-the-query")).good();
        assert_eq!(world.bank.requests()[0].path, "/oauth/token");
    }

    fn authorization_forward_hands_it_to_the_bank(http) {
        let world = Setup::new().api("authorization = \"forward\"").start();
        let credentials = "Basic c2VjcmV0OnNlY3JldA==";
        world.call(http, Ask::token().with("Authorization", credentials)).good();
        world.call(http, Ask::revoke()).good();
        let received = world.bank.requests();
        assert_eq!(received[0].header("Authorization"), Some(credentials));
        assert_eq!(received[1].header("Authorization"), None);
    }

    fn strict_statuses_keep_to_the_contracts_list(http) {
        let (_held, port) = closed_port();
        let world = Setup::new()
            .api("strict_statuses = true")
            .target("status = \"maintenance\"")
            .target_at("IIDX00002", port, "")
            .start();
        for (ask, status) in [
            (Ask::token(), 502),
            (Ask::revoke(), 502),
            (Ask::username(), 500),
        ] {
            let answer = world.call(http, ask);
            assert_eq!(answer.json()["error"], "temporarily_unavailable");
            answer.platform(status).says("retry-after", "60").logged("target_maintenance");
        }
        for (ask, status) in [(Ask::token(), 502), (Ask::username(), 500)] {
            let answer = world.call(http, ask.bank("IIDX00002"));
            answer.refused(status, "server_error", "target could not be reached");
        }
    }

    fn strict_statuses_leave_a_banks_own_status_alone(http) {
        let world = Setup::new().api("strict_statuses = true").start();
        world.call(http, Ask::magic("sim-status-503")).provided(503);
        world.call(http, Ask::magic("sim-status-418")).provided(418);
    }

    fn error_uri_stands_in_the_gateways_own_errors(http) {
        let uri = "https://hub.example/errors";
        let world = Setup::new().api(&format!("error_uri = \"{uri}\"")).start();
        let answer = world.call(http, Ask::token().without_param("code")).platform(400);
        assert_eq!(
            answer.json(),
            json!({
                "error": "invalid_request",
                "error_description": "code is required",
                "error_uri": uri,
            })
        );
        let answer = world.call(http, Ask::magic("sim-status-400")).provided(400);
        assert_eq!(answer.json().get("error_uri"), None);
    }

    fn validate_token_response_refuses_what_is_no_token(http) {
        let world = Setup::new().api("validate_token_response = true").start();
        for magic in ["sim-no-token", "sim-bad-json"] {
            world
                .call(http, Ask::magic(magic))
                .refused(502, "server_error", "target returned an invalid response")
                .says("proxy-status", "corgate; error=http_protocol_error")
                .logged("token_answer_invalid");
        }
        world.call(http, Ask::magic("sim-static")).good();
        world.call(http, Ask::magic("sim-status-400")).provided(400);
        world.call(http, Ask::revoke()).good();
        world.bank_heard(5);
    }

    fn without_it_what_is_no_token_passes_and_is_noted(http) {
        let world = Setup::new().start();
        for magic in ["sim-no-token", "sim-bad-json"] {
            let answer = world.call(http, Ask::magic(magic)).good();
            assert_eq!(world.line_of(&answer)["oddity"], "token_answer");
        }
        assert_eq!(world.metric("corgate_oddities_total{kind=\"token_answer\"}"), 2);
    }

    fn username_on_refresh_optional_waives_it_for_the_refresh_alone(http) {
        let lines = "targets = [\"*\"]\nusername_on_refresh = \"optional\"";
        let world = Setup::new().client(lines).start();
        world.call(http, Ask::refresh().without_param("username")).good();
        world
            .call(http, Ask::token().without_param("username"))
            .refused(400, "invalid_request", "username is required");
        world.bank_heard(1);
    }

    fn a_second_mount_has_a_contract_of_its_own(http) {
        let six = "\n[[api]]\ncontract = \"blink-six\"\nbase_path = \"/six\"\n";
        let world = Setup::new().more(six).start();
        let ask = Ask::token().without("X-CorAPI-Client-ID");
        world
            .call(http, ask.clone())
            .refused(400, "invalid_request", "X-CorAPI-Client-ID header is required");
        let psu = ask.with("X-PSU-IP-Address", "AUTO").with("X-PSU-User-Agent", "AUTO");
        world.call(http, psu.target("/six/oauth/token")).good();
        world
            .call(http, Ask::token().target("/sixth/oauth/token"))
            .refused(404, "invalid_request", "unknown endpoint");
    }

    fn paths_and_base_path_decide_where_a_bank_is_called(http) {
        let world = Setup::new()
            .target("base_path = \"/bank\"\npaths = { revoke = \"/elsewhere/revoke\" }")
            .start();
        for ask in [Ask::token(), Ask::revoke()] {
            world.call(http, ask).provided(404);
        }
        let paths: Vec<_> = world.bank.requests().into_iter().map(|r| r.path).collect();
        assert_eq!(paths, ["/bank/oauth/token", "/elsewhere/revoke"]);
        assert!(!paths.iter().any(|path| path.starts_with(BASE)));
    }

    fn a_targets_own_headers_are_added_and_stay_secret(http) {
        let key = crate::ask::unique("api-key");
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("key");
        std::fs::write(&file, &key).unwrap();
        let header = format!("headers = {{ X-Api-Key = \"${{file:{}}}\" }}", file.display());
        let world = Setup::new().target(&header).start();
        world.notes().learn(&key);
        world.call(http, Ask::token().with("X-Api-Key", "the client's own")).good();
        assert_eq!(world.bank.requests()[0].header_all("X-Api-Key"), [key.as_str()]);
    }
}

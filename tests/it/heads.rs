//! CONTRACT 4.4, rows 1 to 7, 10, 12, 17 to 24: what is wrong with a request's head.
//!
//! Each row over HTTP/1.1 and over HTTP/2. That nothing reaches a bank is part of every row.

use crate::ask::{Ask, BASE};
use crate::world::World;

const CORRELATION: &str = "X-Correlation-ID";
const CLIENT_ID: &str = "X-CorAPI-Client-ID";
const TARGET_ID: &str = "X-CorAPI-Target-ID";

refused! { in World::new();
    row_4_4_01_an_unknown_path: Ask::token().target("/oauth/token")
        => 404 invalid_request path_unknown "unknown endpoint";
    row_4_4_01_a_path_below_a_known_one: Ask::token().target(&format!("{BASE}/oauth/token/"))
        => 404 invalid_request path_unknown "unknown endpoint";
    row_4_4_01_a_path_in_other_letters: Ask::token().target(&format!("{BASE}/OAuth/token"))
        => 404 invalid_request path_unknown "unknown endpoint";
    row_4_4_01_a_path_with_dots_is_not_walked:
        Ask::token().target(&format!("{BASE}/x/../oauth/token"))
        => 404 invalid_request path_unknown "unknown endpoint";
    row_4_4_01_an_encoded_path_is_not_decoded:
        Ask::token().target(&format!("{BASE}/oauth/%74oken"))
        => 404 invalid_request path_unknown "unknown endpoint";
    row_4_4_02_get: Ask::token().method("GET")
        => 405 invalid_request method_refused "method not allowed";
    row_4_4_02_options_for_there_is_no_cors: Ask::token().method("OPTIONS")
        => 405 invalid_request method_refused "method not allowed";
    row_4_4_02_trace: Ask::token().method("TRACE")
        => 405 invalid_request method_refused "method not allowed";
    row_4_4_02_an_unheard_of_method: Ask::token().method("FETCH")
        => 405 invalid_request method_refused "method not allowed";
    row_4_4_03_a_query: Ask::token().query("code=secret-in-the-query")
        => 400 invalid_request query_refused "query string not allowed";
    row_4_4_03_an_empty_query: Ask::token().query("")
        => 400 invalid_request query_refused "query string not allowed";
    row_4_4_04_without_a_correlation_id: Ask::token().without(CORRELATION)
        => 400 invalid_request header_missing "X-Correlation-ID header is required";
    row_4_4_05_an_empty_correlation_id: Ask::token().set(CORRELATION, "")
        => 400 invalid_request header_malformed
        "X-Correlation-ID must be one value of 1 to 64 visible ASCII characters";
    row_4_4_05_a_correlation_id_of_65_characters: Ask::token().set(CORRELATION, "c".repeat(65))
        => 400 invalid_request header_malformed
        "X-Correlation-ID must be one value of 1 to 64 visible ASCII characters";
    row_4_4_05_a_correlation_id_with_a_space: Ask::token().set(CORRELATION, "correlation id")
        => 400 invalid_request header_malformed
        "X-Correlation-ID must be one value of 1 to 64 visible ASCII characters";
    row_4_4_05_a_correlation_id_with_a_tab: Ask::token().set(CORRELATION, "correlation\tid")
        => 400 invalid_request header_malformed
        "X-Correlation-ID must be one value of 1 to 64 visible ASCII characters";
    row_4_4_05_a_correlation_id_beyond_ascii: Ask::token().set(CORRELATION, "corrélation-id")
        => 400 invalid_request header_malformed
        "X-Correlation-ID must be one value of 1 to 64 visible ASCII characters";
    row_4_4_05_two_correlation_ids:
        Ask::token().set(CORRELATION, "correlation-1").with(CORRELATION, "correlation-2")
        => 400 invalid_request header_malformed
        "X-Correlation-ID must be one value of 1 to 64 visible ASCII characters";
    row_4_4_05_the_same_correlation_id_twice:
        Ask::token().set(CORRELATION, "correlation-1").with(CORRELATION, "correlation-1")
        => 400 invalid_request header_malformed
        "X-Correlation-ID must be one value of 1 to 64 visible ASCII characters";
    row_4_4_06_without_a_client_id: Ask::token().without(CLIENT_ID)
        => 400 invalid_request header_missing "X-CorAPI-Client-ID header is required";
    row_4_4_07_a_client_id_of_31_characters: Ask::token().set(CLIENT_ID, "C".repeat(31))
        => 400 invalid_request header_malformed "X-CorAPI-Client-ID is malformed";
    row_4_4_07_a_client_id_with_a_slash: Ask::token().set(CLIENT_ID, "../CIDX1")
        => 400 invalid_request header_malformed "X-CorAPI-Client-ID is malformed";
    row_4_4_07_an_empty_client_id: Ask::token().set(CLIENT_ID, "")
        => 400 invalid_request header_malformed "X-CorAPI-Client-ID is malformed";
    row_4_4_07_two_client_ids: Ask::token().with(CLIENT_ID, crate::ask::CLIENT)
        => 400 invalid_request header_malformed "X-CorAPI-Client-ID is malformed";
    row_4_4_10_without_a_user_agent: Ask::token().without("User-Agent")
        => 400 invalid_request header_missing "User-Agent header is required";
    row_4_4_10_an_empty_user_agent: Ask::token().set("User-Agent", "")
        => 400 invalid_request header_malformed "User-Agent header is required";
    row_4_4_10_a_user_agent_of_513_characters: Ask::token().set("User-Agent", "u".repeat(513))
        => 400 invalid_request header_malformed "User-Agent header is required";
    row_4_4_10_two_user_agents: Ask::token().with("User-Agent", "it/2")
        => 400 invalid_request header_malformed "User-Agent header is required";
    row_4_4_12_an_empty_target_id: Ask::token().set(TARGET_ID, "")
        => 400 invalid_request header_malformed "X-CorAPI-Target-ID is malformed";
    row_4_4_12_a_target_id_that_is_a_path: Ask::token().set(TARGET_ID, "../../IIDX00001")
        => 400 invalid_request header_malformed "X-CorAPI-Target-ID is malformed";
    row_4_4_12_two_target_ids: Ask::token().with(TARGET_ID, crate::ask::BANK)
        => 400 invalid_request header_malformed "X-CorAPI-Target-ID is malformed";
    row_4_4_17_a_psu_address_that_is_none: Ask::token().with("X-PSU-IP-Address", "300.1.1.1")
        => 400 invalid_request header_malformed "X-PSU-IP-Address is malformed";
    row_4_4_17_an_empty_psu_address: Ask::token().with("X-PSU-IP-Address", "")
        => 400 invalid_request header_malformed "X-PSU-IP-Address is malformed";
    row_4_4_17_auto_in_small_letters: Ask::token().with("X-PSU-IP-Address", "auto")
        => 400 invalid_request header_malformed "X-PSU-IP-Address is malformed";
    row_4_4_17_two_psu_addresses:
        Ask::token().with("X-PSU-IP-Address", "192.0.2.1").with("X-PSU-IP-Address", "192.0.2.2")
        => 400 invalid_request header_malformed "X-PSU-IP-Address is malformed";
    row_4_4_18_a_psu_agent_of_1025_characters:
        Ask::token().with("X-PSU-User-Agent", "u".repeat(1025))
        => 400 invalid_request header_malformed "X-PSU-User-Agent is malformed";
    row_4_4_18_a_psu_agent_with_a_tab: Ask::token().with("X-PSU-User-Agent", "a\tb")
        => 400 invalid_request header_malformed "X-PSU-User-Agent is malformed";
    row_4_4_20_a_validation_without_a_token: Ask::username().without("Authorization")
        => 401 invalid_token bearer_missing "bearer token required";
    row_4_4_21_a_validation_with_another_scheme: Ask::username().set("Authorization", "Basic YTpi")
        => 401 invalid_token bearer_scheme_wrong "bearer token required";
    row_4_4_21_a_token_with_a_character_of_no_token:
        Ask::username().set("Authorization", "Bearer secret,token")
        => 400 invalid_request bearer_malformed "bearer token is malformed";
    row_4_4_21_a_bearer_without_a_token: Ask::username().set("Authorization", "Bearer")
        => 400 invalid_request bearer_malformed "bearer token is malformed";
    row_4_4_21_two_tokens: Ask::username().with("Authorization", "Bearer another-token")
        => 400 invalid_request bearer_malformed "bearer token is malformed";
    row_4_4_22_an_accept_without_json: Ask::token().with("Accept", "text/html, application/xml")
        => 406 invalid_request not_acceptable "response is only available as application/json";
    row_4_4_22_an_accept_that_excludes_json:
        Ask::token().with("Accept", "*/*, application/json;q=0")
        => 406 invalid_request not_acceptable "response is only available as application/json";
    row_4_4_22_a_revocation_that_accepts_no_json: Ask::revoke().with("Accept", "text/html")
        => 406 invalid_request not_acceptable "response is only available as application/json";
    row_4_4_23_without_a_content_type: Ask::token().without("Content-Type")
        => 415 invalid_request media_type_refused
        "Content-Type must be application/x-www-form-urlencoded";
    row_4_4_23_json: Ask::token().set("Content-Type", "application/json")
        => 415 invalid_request media_type_refused
        "Content-Type must be application/x-www-form-urlencoded";
    row_4_4_23_a_form_in_another_charset:
        Ask::token().set("Content-Type", "application/x-www-form-urlencoded; charset=iso-8859-1")
        => 415 invalid_request media_type_refused
        "Content-Type must be application/x-www-form-urlencoded";
    row_4_4_23_two_content_types:
        Ask::token().with("Content-Type", "application/x-www-form-urlencoded")
        => 400 invalid_request header_malformed "Content-Type is malformed";
    row_4_4_31_an_unknown_psu_field_beyond_ascii: Ask::token().with("X-PSU-Name", "M\u{fc}ller")
        => 400 invalid_request header_malformed
        "an X-PSU header must be one value of at most 1024 ASCII characters";
    row_4_4_31_an_unknown_psu_field_in_latin_1: Ask::token().with("X-PSU-Name", b"M\xfcller")
        => 400 invalid_request header_malformed
        "an X-PSU header must be one value of at most 1024 ASCII characters";
    row_4_4_31_an_unknown_psu_field_twice:
        Ask::token().with("X-PSU-Geo-Location", "GEO:1").with("X-PSU-Geo-Location", "GEO:1")
        => 400 invalid_request header_malformed
        "an X-PSU header must be one value of at most 1024 ASCII characters";
    row_4_4_31_an_unknown_psu_field_of_1025_characters:
        Ask::token().with("X-PSU-Anything", "p".repeat(1025))
        => 400 invalid_request header_malformed
        "an X-PSU header must be one value of at most 1024 ASCII characters";
    row_4_4_32_a_dpop_proof_with_a_token_call: Ask::token().with("DPoP", "e.y.J")
        => 400 invalid_request dpop_refused
        "DPoP is not supported here, send the request without a proof";
    row_4_4_32_a_dpop_proof_with_a_username_call: Ask::username().with("dpop", "")
        => 400 invalid_request dpop_refused
        "DPoP is not supported here, send the request without a proof";
    an_expectation_that_nobody_knows: Ask::token().with("Expect", "200-ok")
        => 417 invalid_request expectation_refused "expectation not supported";
    a_field_name_with_an_underscore: Ask::token().with("X_CorAPI_Client_ID", "CIDX0000000002")
        => 400 invalid_request http_malformed "malformed HTTP request";
    a_request_that_went_in_a_circle: Ask::token().with("Via", "1.1 corgate")
        => 502 server_error proxy_loop "target could not be reached";
}

over_both! {
    fn row_4_4_02_head_is_refused_without_a_body(http) {
        let world = World::new();
        let answer = world.call(http, Ask::token().method("HEAD"));
        assert_eq!((answer.status.as_u16(), answer.body.len()), (405, 0));
        assert_eq!(answer.header("allow"), Some("POST"));
    }

    fn row_4_4_19_authorization_on_token_and_revoke(http) {
        let world = World::new();
        for (ask, scheme, challenge) in [
            (Ask::token(), "Basic", "Basic realm=\"corgate\""),
            (Ask::revoke(), "Bearer", "Bearer realm=\"corgate\""),
            (Ask::token(), "DPoP", "DPoP realm=\"corgate\""),
            (Ask::token(), "Invented", "Basic realm=\"corgate\""),
        ] {
            let sentence = "client authentication by Authorization header is not supported";
            world
                .call(http, ask.with("Authorization", format!("{scheme} c2VjcmV0OnNlY3JldA==")))
                .refused(401, "invalid_client", sentence)
                .says("www-authenticate", challenge)
                .logged("authorization_refused");
        }
        world.bank_heard(0);
    }

    fn row_4_4_20_and_21_the_challenge_has_no_error_attribute(http) {
        let world = World::new();
        for ask in [
            Ask::username().without("Authorization"),
            Ask::username().set("Authorization", "Basic YTpi"),
        ] {
            world.call(http, ask).says("www-authenticate", "Bearer realm=\"corgate\"");
        }
    }

    fn row_4_4_24_a_content_coding(http) {
        let world = World::new();
        for coding in ["gzip", "identity, br"] {
            world
                .call(http, Ask::token().with("Content-Encoding", coding))
                .refused(415, "invalid_request", "content coding not supported")
                .says("accept-encoding", "identity")
                .logged("coding_refused");
        }
        world.bank_heard(0);
    }

    fn the_largest_and_oddest_good_heads_pass(http) {
        let world = World::new();
        let mut client = world.client(http, 1);
        for ask in [
            Ask::token().set(CORRELATION, "~".repeat(64)),
            Ask::token().set(CORRELATION, "!"),
            Ask::token().set(CORRELATION, r#"a"b\c{}"#),
            Ask::token().set("User-Agent", "u".repeat(512)),
            Ask::token().with("X-PSU-IP-Address", "AUTO").with("X-PSU-User-Agent", "AUTO"),
            Ask::token().with("X-PSU-IP-Address", "2001:db8::1"),
            Ask::token().with("X-PSU-IP-Address", "192.0.2.1"),
            Ask::token().with("X-PSU-User-Agent", "u".repeat(1024)),
            Ask::token().with("X-PSU-User-Agent", "Möwe"),
            Ask::token().with("X-PSU-Anything", "p".repeat(1024)),
            Ask::token().with("Accept", "application/json"),
            Ask::token().with("Accept", "text/html, application/*;q=0.1"),
            Ask::token().with("Accept", "*/*"),
            Ask::token().set("Content-Type", "Application/X-WWW-Form-Urlencoded; charset=UTF-8"),
            Ask::token().with("Content-Encoding", "identity"),
            Ask::token().with("Via", "1.1 somebody"),
            Ask::username().set("Authorization", "bearer sim-static"),
            Ask::revoke(),
            Ask::refresh(),
        ] {
            client.call(ask).good();
        }
        world.bank_heard(19);
    }
}

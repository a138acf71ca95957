//! CONTRACT 4.5: the parameters of the form, and that the bank gets the client's own bytes.

use crate::ask::{Ask, Http, unique};
use crate::world::World;

refused! { in World::new();
    row_4_5_token_without_a_grant_type: Ask::token().without_param("grant_type")
        => 400 invalid_request parameter_missing "grant_type is required";
    row_4_5_token_with_an_empty_grant_type: Ask::token().param("grant_type", "")
        => 400 invalid_request parameter_missing "grant_type is required";
    row_4_5_token_with_the_password_grant: Ask::token().param("grant_type", "password")
        => 400 unsupported_grant_type grant_unsupported
        "grant_type must be authorization_code or refresh_token";
    row_4_5_token_with_a_grant_type_in_other_letters:
        Ask::token().param("grant_type", "Authorization_Code")
        => 400 unsupported_grant_type grant_unsupported
        "grant_type must be authorization_code or refresh_token";
    row_4_5_token_without_a_code: Ask::token().without_param("code")
        => 400 invalid_request parameter_missing "code is required";
    row_4_5_token_with_an_empty_code: Ask::token().param("code", "")
        => 400 invalid_request parameter_missing "code is required";
    row_4_5_token_with_a_code_of_4097_characters: Ask::token().param("code", &"c".repeat(4097))
        => 400 invalid_request parameter_malformed "code must be at most 4096 characters";
    row_4_5_token_with_a_code_beyond_ascii: Ask::token().param("code", "sécret-code")
        => 400 invalid_request parameter_malformed "code is malformed";
    row_4_5_token_with_a_line_end_in_the_code: Ask::token().param("code", "secret\r\ncode")
        => 400 invalid_request parameter_malformed "code is malformed";
    row_4_5_refresh_without_a_refresh_token: Ask::refresh().without_param("refresh_token")
        => 400 invalid_request parameter_missing "refresh_token is required";
    row_4_5_refresh_with_a_token_of_16385_characters:
        Ask::refresh().param("refresh_token", &"r".repeat(16_385))
        => 400 invalid_request parameter_malformed
        "refresh_token must be at most 16384 characters";
    row_4_5_token_with_a_redirect_uri_that_is_none:
        Ask::token().param("redirect_uri", "https://app.example/ cb")
        => 400 invalid_request parameter_malformed "redirect_uri is malformed";
    row_4_5_token_with_a_redirect_uri_of_2049_characters:
        Ask::token().param("redirect_uri", &format!("https://a/{}", "p".repeat(2039)))
        => 400 invalid_request parameter_malformed
        "redirect_uri must be at most 2048 characters";
    row_4_5_token_without_a_client_id: Ask::token().without_param("client_id")
        => 400 invalid_request parameter_missing "client_id is required";
    row_4_5_token_with_a_malformed_client_id: Ask::token().param("client_id", "a b")
        => 400 invalid_request parameter_malformed "client_id is malformed";
    row_4_5_token_without_a_username: Ask::token().without_param("username")
        => 400 invalid_request parameter_missing "username is required";
    row_4_5_token_with_an_empty_username: Ask::token().param("username", "")
        => 400 invalid_request parameter_missing "username is required";
    row_4_5_refresh_without_a_username: Ask::refresh().without_param("username")
        => 400 invalid_request parameter_missing "username is required";
    row_4_5_token_with_a_username_of_65_characters:
        Ask::token().param("username", &"u".repeat(65))
        => 400 invalid_request parameter_malformed "username must be at most 64 characters";
    row_4_5_token_with_a_username_of_65_emoji: Ask::token().param("username", &"🦀".repeat(65))
        => 400 invalid_request parameter_malformed "username must be at most 64 characters";
    row_4_5_token_with_a_line_end_in_the_username:
        Ask::token().param("username", "anna\r\nmüller")
        => 400 invalid_request parameter_malformed "username is malformed";
    row_4_5_revoke_without_a_token: Ask::revoke().without_param("token")
        => 400 invalid_request parameter_missing "token is required";
    row_4_5_revoke_with_a_token_of_16385_characters:
        Ask::revoke().param("token", &"t".repeat(16_385))
        => 400 invalid_request parameter_malformed "token must be at most 16384 characters";
    row_4_5_revoke_with_an_unknown_hint: Ask::revoke().param("token_type_hint", "id_token")
        => 400 invalid_request parameter_malformed
        "token_type_hint must be access_token or refresh_token";
    row_4_5_revoke_without_a_client_id: Ask::revoke().without_param("client_id")
        => 400 invalid_request parameter_missing "client_id is required";
    row_4_5_validation_without_a_username: Ask::username().without_param("username")
        => 400 invalid_request parameter_missing "username is required";
    row_4_5_validation_with_a_username_of_65_characters:
        Ask::username().param("username", &"ü".repeat(65))
        => 400 invalid_request parameter_malformed "username must be at most 64 characters";
    row_4_5_a_known_parameter_twice: Ask::token().again("code", "another-code")
        => 400 invalid_request parameter_repeated "parameter repeated";
    row_4_5_an_unknown_parameter_twice: Ask::token().again("scope", "a").again("scope", "a")
        => 400 invalid_request parameter_repeated "parameter repeated";
    row_4_5_a_parameter_twice_in_two_spellings: Ask::token().and_body("&%63ode=another-code")
        => 400 invalid_request parameter_repeated "parameter repeated";
    row_4_5_a_percent_without_digits: Ask::token().and_body("&state=secret%zz")
        => 400 invalid_request form_malformed "malformed form body";
    row_4_5_a_percent_at_the_end: Ask::token().and_body("&state=secret-state%2")
        => 400 invalid_request form_malformed "malformed form body";
    row_4_5_invalid_utf_8: Ask::token().and_body(b"&state=secret\xff\xfestate")
        => 400 invalid_request form_malformed "malformed form body";
    row_4_5_encoded_invalid_utf_8: Ask::token().and_body("&state=secret%ff%fe")
        => 400 invalid_request form_malformed "malformed form body";
    row_4_5_nul: Ask::token().and_body(b"&state=secret\0state")
        => 400 invalid_request form_malformed "malformed form body";
    row_4_5_encoded_nul: Ask::token().and_body("&state=secret%00state")
        => 400 invalid_request form_malformed "malformed form body";
    row_4_5_65_parameters: many_parameters(65)
        => 400 invalid_request form_malformed "malformed form body";
    row_4_5_a_name_of_129_characters: Ask::token().again(&"n".repeat(129), "v")
        => 400 invalid_request form_malformed "malformed form body";
    row_4_5_an_empty_body_lacks_what_comes_first: Ask::token().body("")
        => 400 invalid_request parameter_missing "grant_type is required";
    row_4_5_an_empty_revocation_lacks_what_comes_first: Ask::revoke().body("")
        => 400 invalid_request parameter_missing "token is required";
    row_4_5_an_empty_validation_lacks_the_username: Ask::username().body("")
        => 400 invalid_request parameter_missing "username is required";
    row_4_4_33_a_client_secret_beside_the_certificate: Ask::token().again("client_secret", "secret")
        => 400 invalid_request second_credential
        "client_secret is not allowed beside other credentials";
    row_4_4_33_an_assertion_beside_the_certificate:
        Ask::revoke().again("client_assertion", "secret.assertion")
        => 400 invalid_request second_credential
        "client_assertion is not allowed beside other credentials";
    row_4_4_33_the_type_of_an_assertion_alone:
        Ask::refresh().again("client_assertion_type", "urn:secret")
        => 400 invalid_request second_credential
        "client_assertion is not allowed beside other credentials";
    row_4_4_33_a_token_in_the_form_beside_the_bearer:
        Ask::username().again("access_token", "another-token")
        => 400 invalid_request second_credential
        "access_token is not allowed beside other credentials";
    row_4_4_08_another_clients_id_in_a_username_call:
        Ask::username().again("client_id", "CIDX0000000002")
        => 401 invalid_client form_client_mismatch "client authentication failed";
    row_4_5_json_under_a_forms_name: Ask::token().body(r#"{"grant_type":"refresh_token"}"#)
        => 400 invalid_request parameter_missing "grant_type is required";
}

/// A token call with so many parameters.
fn many_parameters(count: usize) -> Ask {
    // Five of them are the call's own.
    (5..count).fold(Ask::token(), |ask, number| ask.again(&format!("p{number}"), "v"))
}

over_both! {
    fn the_longest_good_values_pass(http) {
        let world = World::new();
        let mut client = world.client(http, 1);
        let uri = format!("https://a/{}", "p".repeat(2038));
        let long_code = format!("demo-code-{}", "c".repeat(4086));
        for ask in [
            Ask::token().param("username", &"🦀".repeat(64)),
            Ask::token().param("code", &long_code),
            Ask::token().param("redirect_uri", &uri),
            Ask::token().again(&"n".repeat(128), "v"),
            Ask::username().param("username", &"ü".repeat(64)),
            Ask::revoke().param("token", &"t".repeat(16_384)),
            Ask::revoke().without_param("token_type_hint"),
            Ask::revoke().param("token_type_hint", "refresh_token"),
            Ask::token().param("redirect_uri", "app:/cb"),
            Ask::token().without_param("redirect_uri"),
            Ask::username().again("client_id", crate::ask::CLIENT),
            Ask::token().again("client_secret", ""),
            Ask::token().again("state", "a;b"),
            many_parameters(64),
        ] {
            client.call(ask).good();
        }
        let received = world.bank.requests();
        assert!(received[0].body.len() > 64 * 4 * 3, "each emoji travels as twelve characters");
    }

    fn the_bank_gets_the_clients_own_bytes(http) {
        let world = World::new();
        let (verifier, name) = (unique("verifier"), unique("Änn"));
        // Lower-case escapes, `+`, empty segments, an order and unknown parameters that no encoder
        // of ours would write.
        let body = format!(
            "&&zeta=%c3%a4+b%2Bc&username={name}%20x+y&code=demo-code-{verifier}\
             &client_id=CIDX0000000001&code_verifier={verifier}&&grant_type=authorization_code\
             &flag&empty=&"
        );
        world.call(http, Ask::token().body(&body)).good();
        let received = world.bank.requests();
        assert_eq!(received[0].body, body.as_bytes());
        let length = received[0].header("Content-Length").map(ToOwned::to_owned);
        assert_eq!(length, Some(body.len().to_string()));
    }

    // A server that splits at `;`, too, would read another client's id behind it.
    fn a_form_that_two_servers_read_in_two_ways_is_written_anew(http) {
        let world = World::new();
        let mut client = world.client(http, 1);
        for (more, written) in [
            (";client_id=CIDX0000000002", "%3Bclient_id%3DCIDX0000000002"),
            ("&amp;client_id=CIDX0000000002", "&amp%3Bclient_id=CIDX0000000002"),
            ("&state=a%20b\r\nc;d", "&state=a+b%0D%0Ac%3Bd"),
        ] {
            let ask = Ask::token().again("state-0", "x");
            let written = [&ask.body[..], written.as_bytes()].concat();
            client.call(ask.and_body(more)).good();
            let received = world.bank.requests().pop().unwrap();
            assert_eq!(String::from_utf8_lossy(&received.body), String::from_utf8_lossy(&written));
            let length = received.header("Content-Length").map(ToOwned::to_owned);
            assert_eq!(length, Some(written.len().to_string()));
        }
        let spoiled = Ask::username().and_body(";client_id=CIDX0000000002");
        client.call(spoiled).good();
        assert!(!world.bank.requests().pop().unwrap().body.contains(&b';'));
    }

    fn a_parameter_of_another_grant_is_passed_on(http) {
        let world = World::new();
        let ask = Ask::token().again("refresh_token", &unique("refresh"));
        world.call(http, ask.clone()).good();
        assert_eq!(world.bank.requests()[0].body, ask.body);
    }
}

#[test]
fn the_content_type_travels_as_it_was_written() {
    let world = World::new();
    let written = "application/X-www-form-URLENCODED;charset=\"utf-8\"";
    world.call(Http::One, Ask::token().set("Content-Type", written)).good();
    assert_eq!(world.bank.requests()[0].header("Content-Type"), Some(written));
}

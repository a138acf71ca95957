//! The rows of CONTRACT 4.5, on the built-in contracts.

use proptest::prelude::*;

use super::*;
use crate::contract::{Contract, built_in};
use crate::oauth::{Call, ErrorCode};

const CODE: &str = "grant_type=authorization_code&code=c&client_id=CIDX1&username=u";
const REFRESH: &str = "grant_type=refresh_token&refresh_token=r&client_id=CIDX1&username=u";

fn check_with(call: Call, body: &str, waivers: Waivers) -> Result<(), Fault> {
    let contract = built_in("blink-fi");
    rules(contract, call).check(body.as_bytes(), waivers).map(drop)
}

fn rules(contract: &Contract, call: Call) -> &BodyRules {
    &contract.operations.iter().find(|operation| operation.call() == Some(call)).unwrap().body
}

/// The sentence of the refusal; every one here is 400 `invalid_request`.
fn refusal(call: Call, body: &str) -> String {
    let fault = check_with(call, body, Waivers::default()).unwrap_err();
    assert_eq!((fault.row().status, fault.row().error), (400, ErrorCode::InvalidRequest));
    fault.sentence().into_owned()
}

fn passes(call: Call, body: &str) {
    assert_eq!(check_with(call, body, Waivers::default()), Ok(()), "{body}");
}

/// `body` with the value of one parameter replaced; no value takes it out.
fn with(body: &str, name: &str, value: Option<&str>) -> String {
    let prefix = format!("{name}=");
    let others = body.split('&').filter(|pair| !pair.starts_with(&prefix)).map(str::to_owned);
    others.chain(value.map(|value| format!("{prefix}{value}"))).collect::<Vec<_>>().join("&")
}

#[test]
fn good_bodies_pass_and_their_values_come_out_decoded() {
    passes(Call::Token, CODE);
    passes(Call::Token, REFRESH);
    passes(Call::Revoke, "token=t&token_type_hint=access_token&client_id=CIDX1");
    passes(Call::Username, "username=u");
    let contract = built_in("blink-fi");
    let body = with(CODE, "username", Some("a%40b+c"));
    let form = rules(contract, Call::Token).check(body.as_bytes(), Waivers::default()).unwrap();
    assert_eq!(form.value("username"), Some("a@b c"));
    for (call, parameter) in [
        (Call::Token, Some("client_id")),
        (Call::Revoke, Some("client_id")),
        (Call::Username, Some("client_id")),
    ] {
        let name = rules(contract, call).client_id_parameter();
        assert_eq!(name.map(|name| &**name), parameter);
    }
}

#[test]
fn token_grant_type_is_required_and_one_of_two() {
    for missing in [None, Some("")] {
        let body = with(CODE, "grant_type", missing);
        assert_eq!(refusal(Call::Token, &body), "grant_type is required");
    }
    for bad in ["password", "client_credentials", "Authorization_Code", "refresh_token+", "%C3%A4"]
    {
        let body = with(CODE, "grant_type", Some(bad));
        let fault = check_with(Call::Token, &body, Waivers::default()).unwrap_err();
        assert_eq!(fault.row().error, ErrorCode::UnsupportedGrantType);
        assert_eq!(fault.sentence(), "grant_type must be authorization_code or refresh_token");
    }
}

#[test]
fn token_code_is_required_by_its_grant_alone() {
    for missing in [None, Some("")] {
        assert_eq!(refusal(Call::Token, &with(CODE, "code", missing)), "code is required");
    }
    passes(Call::Token, &with(CODE, "code", Some(&"%7E".repeat(4096))));
    let over = with(CODE, "code", Some(&"a".repeat(4097)));
    assert_eq!(refusal(Call::Token, &over), "code must be at most 4096 characters");
    for bad in ["%7F", "a%0A", "%C3%A4", "%09"] {
        assert_eq!(refusal(Call::Token, &with(CODE, "code", Some(bad))), "code is malformed");
    }
}

#[test]
fn token_refresh_token_is_required_by_its_grant_alone() {
    let name = "refresh_token";
    for missing in [None, Some("")] {
        let sentence = refusal(Call::Token, &with(REFRESH, name, missing));
        assert_eq!(sentence, "refresh_token is required");
    }
    passes(Call::Token, &with(REFRESH, name, Some(&"a".repeat(16 * 1024))));
    let over = with(REFRESH, name, Some(&"a".repeat(16 * 1024 + 1)));
    assert_eq!(refusal(Call::Token, &over), "refresh_token must be at most 16384 characters");
    let bad = with(REFRESH, name, Some("a%00b"));
    assert_eq!(refusal(Call::Token, &bad), "malformed form body");
    let bad = with(REFRESH, name, Some("a%1Fb"));
    assert_eq!(refusal(Call::Token, &bad), "refresh_token is malformed");
}

#[test]
fn token_the_other_grants_parameter_is_forwarded_but_must_be_well_formed() {
    passes(Call::Token, &format!("{REFRESH}&code=c"));
    passes(Call::Token, &format!("{CODE}&refresh_token=r"));
    assert_eq!(refusal(Call::Token, &format!("{REFRESH}&code=%0A")), "code is malformed");
}

#[test]
fn token_redirect_uri_is_optional_and_a_uri_reference() {
    let uri = |value: &str| format!("{CODE}&redirect_uri={value}");
    passes(Call::Token, &uri("https%3A%2F%2Ftpp.example%2Fcb%3Fa%3Db"));
    passes(Call::Token, &uri(""));
    let long = |bytes: usize| uri(&format!("https://t.example/{}", "a".repeat(bytes - 18)));
    passes(Call::Token, &long(2048));
    let sentence = refusal(Call::Token, &long(2049));
    assert_eq!(sentence, "redirect_uri must be at most 2048 characters");
    for bad in ["https://tpp.example/a+b", "a%0D%0Ab", "https://t%C3%A4p.example"] {
        assert_eq!(refusal(Call::Token, &uri(bad)), "redirect_uri is malformed");
    }
}

#[test]
fn client_id_is_required_and_of_an_ids_syntax() {
    let revoke = "token=t&client_id=CIDX1";
    for (call, body) in [(Call::Token, CODE), (Call::Token, REFRESH), (Call::Revoke, revoke)] {
        for missing in [None, Some("")] {
            assert_eq!(refusal(call, &with(body, "client_id", missing)), "client_id is required");
        }
        passes(call, &with(body, "client_id", Some(&"a".repeat(30))));
        for bad in ["a".repeat(31).as_str(), "a+b", "a%2Fb", "%C3%A4"] {
            let sentence = refusal(call, &with(body, "client_id", Some(bad)));
            assert_eq!(sentence, "client_id is malformed");
        }
    }
}

#[test]
fn username_has_1_to_64_characters_none_of_them_control() {
    for (call, body) in
        [(Call::Token, CODE), (Call::Token, REFRESH), (Call::Username, "username=u")]
    {
        for missing in [None, Some("")] {
            assert_eq!(refusal(call, &with(body, "username", missing)), "username is required");
        }
        let emoji = "%F0%9F%98%80";
        passes(call, &with(body, "username", Some(&emoji.repeat(64))));
        passes(call, &with(body, "username", Some(&"a".repeat(64))));
        for over in [emoji.repeat(65), "a".repeat(65)] {
            let sentence = refusal(call, &with(body, "username", Some(&over)));
            assert_eq!(sentence, "username must be at most 64 characters");
        }
        for bad in ["a%0D", "%0A", "%09", "%7F", "%C2%85"] {
            let sentence = refusal(call, &with(body, "username", Some(bad)));
            assert_eq!(sentence, "username is malformed");
        }
    }
}

#[test]
fn username_on_refresh_is_waived_for_the_refresh_grant_alone() {
    let waivers = Waivers { username_on_refresh: true };
    let check = |call, body: &str| check_with(call, body, waivers);
    let missing = Err(Fault::ParameterMissing("username".into()));
    assert_eq!(check(Call::Token, &with(REFRESH, "username", None)), Ok(()));
    assert_eq!(check(Call::Token, &with(REFRESH, "username", Some(""))), Ok(()));
    assert_eq!(check(Call::Token, &with(CODE, "username", None)), missing);
    assert_eq!(check(Call::Username, ""), missing);
    let over = with(REFRESH, "username", Some(&"a".repeat(65)));
    assert!(check(Call::Token, &over).is_err(), "waived is not unchecked");
}

#[test]
fn revoke_token_and_its_hint() {
    let revoke = "token=t&client_id=CIDX1";
    for missing in [None, Some("")] {
        assert_eq!(refusal(Call::Revoke, &with(revoke, "token", missing)), "token is required");
    }
    passes(Call::Revoke, &with(revoke, "token", Some(&"a".repeat(16 * 1024))));
    let over = with(revoke, "token", Some(&"a".repeat(16 * 1024 + 1)));
    assert_eq!(refusal(Call::Revoke, &over), "token must be at most 16384 characters");
    assert_eq!(refusal(Call::Revoke, &with(revoke, "token", Some("%0A"))), "token is malformed");
    for good in ["access_token", "refresh_token", ""] {
        passes(Call::Revoke, &format!("{revoke}&token_type_hint={good}"));
    }
    for bad in ["Access_Token", "id_token"] {
        let sentence = refusal(Call::Revoke, &format!("{revoke}&token_type_hint={bad}"));
        assert_eq!(sentence, "token_type_hint must be access_token or refresh_token");
    }
}

#[test]
fn the_first_in_the_table_that_is_wrong_is_the_one_that_is_told() {
    assert_eq!(refusal(Call::Token, ""), "grant_type is required");
    assert_eq!(refusal(Call::Revoke, ""), "token is required");
    assert_eq!(refusal(Call::Username, ""), "username is required");
    let code = "username=&client_id=&grant_type=authorization_code";
    assert_eq!(refusal(Call::Token, code), "code is required");
    let refresh = "grant_type=refresh_token&code=c";
    assert_eq!(refusal(Call::Token, refresh), "refresh_token is required");
    let uri = "grant_type=refresh_token&refresh_token=r&redirect_uri=%5C";
    assert_eq!(refusal(Call::Token, uri), "redirect_uri is malformed");
    let client = "grant_type=refresh_token&refresh_token=r";
    assert_eq!(refusal(Call::Token, client), "client_id is required");
}

#[test]
fn unknown_parameters_pass_once() {
    passes(Call::Token, &format!("{CODE}&code_verifier=v&resource=a&x=&%C3%A4=1"));
    assert_eq!(
        refusal(Call::Token, &format!("{CODE}&resource=a&resource=b")),
        "parameter repeated"
    );
    assert_eq!(refusal(Call::Token, &format!("{CODE}&code=")), "parameter repeated");
    assert_eq!(refusal(Call::Token, &format!("{CODE}&x=%zz")), "malformed form body");
}

#[test]
fn refusals_are_the_documents_or_the_most_precise() {
    let text = |listed: &[&str], length_max| TextRule {
        listed: Some(listed.iter().map(|value| Name::from(*value)).collect()),
        length_max,
        ..TextRule::default()
    };
    let told =
        |refusals: Refusals, breach| refusals.fault(&"a".into(), breach).sentence().into_owned();
    let new = |listed: &[&str], max| Refusals::new("a", &text(listed, max), None, false);
    assert_eq!(told(new(&["b"], None), Breach::NotListed), "a must be b");
    assert_eq!(told(new(&["b", "c", "d"], None), Breach::NotListed), "a must be b, c or d");
    assert_eq!(told(new(&["\"b\""], None), Breach::NotListed), "a is malformed");
    assert_eq!(told(new(&["b".repeat(200).as_str()], None), Breach::NotListed), "a is malformed");
    assert_eq!(told(new(&[], Some(1)), Breach::TooLong), "a must be at most 1 character");
    let own = Refusals::new("a", &text(&["b"], Some(1)), Some("no".into()), false);
    for breach in [Breach::NotListed, Breach::TooLong, Breach::Malformed] {
        assert_eq!(told(own.clone(), breach), "no");
    }
}

proptest! {
    #[test]
    fn any_body_is_checked_without_a_panic(body in "[a-z_=&%0-9+]{0,200}") {
        let contract = built_in("blink-fi");
        for operation in &contract.operations {
            let _ = operation.body.check(body.as_bytes(), Waivers::default());
        }
    }
}

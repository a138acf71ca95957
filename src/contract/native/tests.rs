//! What the built-in native contracts accept, and what their operations say is wrong.

use http::{HeaderMap, HeaderName, HeaderValue, Method};
use proptest::prelude::*;

use super::*;
use crate::contract::{Contract, Operation, built_in};

fn find<'c>(contract: &'c Contract, method: &str, path: &str) -> Result<&'c Operation, Fault> {
    contract.find(&Method::from_bytes(method.as_bytes()).unwrap(), path)
}

fn rules(contract: &str, method: &str, path: &str) -> &'static NativeRules {
    find(built_in(contract), method, path).unwrap().native().unwrap()
}

fn headers(lines: &[(&'static str, &str)]) -> HeaderMap {
    let line = |(name, value): &(&'static str, &str)| {
        (HeaderName::from_static(name), HeaderValue::from_str(value).unwrap())
    };
    lines.iter().map(line).collect()
}

/// What is wrong with a body.
fn wrong(rules: &NativeRules, media: &str, body: &str, credentials: Credentials) -> Vec<Fault> {
    let head = if media.is_empty() { headers(&[]) } else { headers(&[("content-type", media)]) };
    let mut wrong = Vec::new();
    let kind = rules.media(&head).unwrap();
    if let Err(fault) = rules.check_body(body.as_bytes(), kind, credentials, &mut wrong) {
        wrong.push(fault);
    }
    wrong
}

#[test]
fn an_exact_path_wins_over_a_template() {
    let oxlin = built_in("oxlin");
    for (method, path, id) in [
        ("GET", "/users/me", "oxlinMe"),
        ("GET", "/users/7", "oxlinUser"),
        ("DELETE", "/users/7", "oxlinDeleteUser"),
        ("PUT", "/connections/1/channels/2", "oxlinUpdateChannel"),
        ("POST", "/connections/1/channels/2/user_input", "oxlinUserInput"),
    ] {
        assert_eq!(&*find(oxlin, method, path).unwrap().id, id);
    }
    let allow = |method, path| find(oxlin, method, path).err().unwrap();
    assert_eq!(allow("DELETE", "/users/me"), Fault::MethodRefused("GET".into()));
    assert_eq!(allow("PUT", "/users/7"), Fault::MethodRefused("GET, DELETE".into()));
    assert_eq!(allow("GET", "/users/7/"), Fault::PathUnknown);
    assert_eq!(allow("GET", "/users/"), Fault::PathUnknown);
}

#[test]
fn a_consent_contract_looks_for_no_template() {
    let fi = built_in("blink-fi");
    assert!(fi.native.is_none() && fi.operations.iter().all(|o| o.native().is_none()));
    assert_eq!(find(fi, "POST", "/oauth/x").err(), Some(Fault::PathUnknown));
}

#[test]
fn every_native_operation_has_a_label_of_its_own() {
    let mut labels = std::collections::HashSet::new();
    for name in ["konsentus", "flinks", "oxlin"] {
        for operation in &built_in(name).operations {
            assert!(operation.call().is_none());
            assert!(labels.insert(operation.label()), "{}", operation.id);
        }
    }
}

#[test]
fn basic_bearer_and_a_choice() {
    let basic = rules("konsentus", "POST", "/v1/obie/tokens");
    let bearer = rules("flinks", "GET", "/accounts");
    let choice = rules("oxlin", "POST", "/token");
    let ask = |rules: &NativeRules, value: &str| {
        rules.authorization(&headers(&[("authorization", value)]))
    };
    for rules in [basic, choice] {
        assert_eq!(ask(rules, "Basic YTpi"), Ok(Credentials::Basic));
        assert_eq!(ask(rules, "Bearer x"), Err(Fault::BasicMalformed));
    }
    assert_eq!(basic.authorization(&headers(&[])), Err(Fault::BasicMissing));
    assert_eq!(choice.authorization(&headers(&[])), Ok(Credentials::None));
    assert_eq!(bearer.authorization(&headers(&[])), Err(Fault::BearerMissing));
    assert_eq!(ask(bearer, "Bearer x"), Ok(Credentials::Bearer));
    assert_eq!(ask(bearer, "Basic YTpi"), Err(Fault::BearerSchemeWrong));
    let twice = headers(&[("authorization", "Basic YTpi"), ("authorization", "Basic YTpi")]);
    assert_eq!(choice.authorization(&twice), Err(Fault::BasicMalformed));
    assert_eq!(bearer.authorization(&twice), Err(Fault::BearerMalformed));
}

#[test]
fn basic_credentials_stand_for_those_in_the_body_and_not_beside_them() {
    let token = rules("oxlin", "POST", "/token");
    let form = "application/x-www-form-urlencoded";
    let bare = "grant_type=client_credentials&scope=users_create";
    let full = format!("{bare}&client_id=a&client_secret=b");
    assert_eq!(wrong(token, form, bare, Credentials::Basic), []);
    assert_eq!(wrong(token, form, &full, Credentials::None), []);
    let missing = |name: &str| Fault::CredentialsMissing(name.into());
    let both = [missing("client_id"), missing("client_secret")];
    assert_eq!(wrong(token, form, bare, Credentials::None), both);
    assert_eq!(wrong(token, form, &full, Credentials::Basic).len(), 2);
}

#[test]
fn one_schema_serves_forms_and_json() {
    let token = rules("flinks", "POST", "/api/v1/token");
    let json = r#"{"grant_type":"refresh_token","client_id":"a","client_secret":"b"}"#;
    let form = "grant_type=refresh_token&client_id=a&client_secret=b&refresh_token=";
    let fault = [Fault::ParameterMissing("refresh_token".into())];
    let none = Credentials::None;
    assert_eq!(wrong(token, "application/json", json, none), fault);
    assert_eq!(wrong(token, "application/x-www-form-urlencoded", form, none), fault);
    let refused = token.media(&headers(&[("content-type", "text/plain")]));
    assert_eq!(refused, Err(Fault::MediaTypeRefused("application/json".into())));
}

#[test]
fn each_of_two_members_of_one_name_is_checked() {
    let input = rules("oxlin", "POST", "/connections/1/channels/2/user_input");
    let body = r#"{"credentials":[{"id":"306","value":"123456","id":"307","value":"true"}]}"#;
    for media in ["", "application/json", "application/x-www-form-urlencoded"] {
        assert_eq!(wrong(input, media, body, Credentials::Bearer), []);
    }
    let bad = body.replace("\"true\"", "true");
    assert_eq!(wrong(input, "", &bad, Credentials::Bearer).len(), 1);
}

#[test]
fn what_chooses_the_shape_is_said_once() {
    let token = rules("flinks", "POST", "/api/v1/token");
    let body = |second: &str| {
        let body = format!(
            r#"{{"grant_type":"client_credentials","client_id":"a","client_secret":"b",
            "grant_type":"{second}"}}"#
        );
        wrong(token, "application/json", &body, Credentials::None)
    };
    assert_eq!(body("client_credentials"), []);
    assert!(matches!(body("refresh_token").as_slice(), [Fault::GrantUnsupported(_)]));
}

#[test]
fn no_body_means_none() {
    let revoke = rules("flinks", "DELETE", "/api/v1/revoke");
    assert_eq!(wrong(revoke, "", "", Credentials::Bearer), []);
    assert_eq!(wrong(revoke, "text/plain", "x", Credentials::Bearer), [Fault::BodyUnexpected]);
}

#[test]
fn failures_have_the_status_that_the_document_says() {
    let status = |contract: &str, method: &str, path: &str, fault: &Fault| {
        let rule = rules(contract, method, path).style.rule(fault).copied();
        rule.map(|rule| (rule.status, rule.error))
    };
    let media = Fault::MediaTypeRefused("a/b".into());
    assert_eq!(status("konsentus", "POST", "/v1/obie/tokens", &media), Some((406, None)));
    let token = ("flinks", "POST", "/api/v1/token");
    let unknown = Fault::ClientUnknown;
    assert_eq!(status(token.0, token.1, token.2, &unknown), Some((400, None)));
    let bearer = status(token.0, token.1, token.2, &Fault::BearerMissing);
    assert_eq!(bearer, Some((400, Some("invalid_request"))));
    assert_eq!(status("flinks", "GET", "/accounts", &Fault::BearerMissing), None);
    assert_eq!(status("oxlin", "POST", "/token", &unknown), None);
}

proptest! {
    #[test]
    fn any_body_query_and_path_are_checked_without_a_panic(
        body in proptest::collection::vec(any::<u8>(), 0..200),
        json in r#"[\[\]{}":, a-z0-9]{0,80}"#,
        path in "/[a-z%./{}0-9]{0,40}",
    ) {
        for name in ["konsentus", "flinks", "oxlin"] {
            for operation in &built_in(name).operations {
                let Some(rules) = operation.native() else { continue };
                let mut wrong = Vec::new();
                rules.check_path(&path, &mut wrong);
                for kind in 0..3 {
                    let _ = rules.check_body(&body, kind, Credentials::None, &mut wrong);
                    let json = json.as_bytes();
                    let _ = rules.check_body(json, kind, Credentials::Basic, &mut wrong);
                }
                if let Ok(query) = Form::parse(&body) {
                    rules.check_query(&query, &mut wrong);
                }
                prop_assert!(wrong.len() < 1_000);
            }
            let _ = built_in(name).find(&Method::GET, &path);
        }
    }
}

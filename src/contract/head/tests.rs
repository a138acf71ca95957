//! The head's rows of CONTRACT 4.4, on the built-in contracts.

use proptest::prelude::*;

use super::*;
use crate::contract::{Contract, Operation, built_in};
use crate::oauth::Call;

const GOOD: [(&str, &str); 8] = [
    ("x-corapi-client-id", "CIDX0000000001"),
    ("x-correlation-id", "8f6d2a4e-3c1b-4b7e-9a53-0d1f2e3c4b5a"),
    ("user-agent", "tpp/1.0"),
    ("x-corapi-target-id", "IIDX00001"),
    ("x-psu-ip-address", "192.0.2.1"),
    ("x-psu-user-agent", "Mozilla/5.0"),
    ("accept", "application/json"),
    ("content-type", "application/x-www-form-urlencoded"),
];

/// A good head with one header changed: no value removes it, two repeat it.
fn head(name: &'static str, values: &[&[u8]]) -> HeaderMap {
    let mut headers = HeaderMap::new();
    for (name, value) in GOOD {
        headers.append(name, HeaderValue::from_static(value));
    }
    headers.remove(name);
    for value in values {
        headers.append(name, HeaderValue::from_bytes(value).unwrap());
    }
    headers
}

fn rules(contract: &Contract) -> &HeadRules {
    &contract
        .operations
        .iter()
        .find(|operation| operation.call() == Some(Call::Token))
        .unwrap()
        .head
}

/// What a check of the token call's head says: the sentence of its fault.
fn sentence<T>(result: Result<T, Fault>) -> Option<String> {
    let fault = result.err()?;
    assert_eq!(fault.row().status, 400, "{fault:?}");
    Some(fault.sentence().into_owned())
}

fn fields(contract: &Contract, name: &'static str, values: &[&[u8]]) -> Option<String> {
    sentence(rules(contract).fields(&head(name, values)))
}

#[test]
fn a_good_head_passes_each_check() {
    for name in ["blink-fi", "blink-six"] {
        let contract = built_in(name);
        let (rules, headers) = (rules(contract), head("x-other", &[]));
        assert_eq!(rules.check_correlation_id(&headers), Ok(()));
        assert_eq!(rules.own_correlation(), None);
        assert_eq!(rules.client_id(&headers), Ok(Some("CIDX0000000001")));
        assert_eq!(rules.fields(&headers), Ok(()));
        assert_eq!(rules.target_id(&headers), Ok(Some("IIDX00001")));
        assert_eq!(rules.authorization(&headers, AuthorizationPolicy::Refuse), Ok(()));
        assert_eq!(rules.media(&headers), Ok(()));
        assert_eq!(rules.target_id_name().map(|name| &**name), Some("X-CorAPI-Target-ID"));
    }
}

#[test]
fn row_4_the_correlation_id_is_required() {
    let contract = built_in("blink-fi");
    let result = rules(contract).check_correlation_id(&head("x-correlation-id", &[]));
    assert_eq!(result, Err(Fault::HeaderMissing("X-Correlation-ID".into())));
    assert_eq!(sentence(result).unwrap(), "X-Correlation-ID header is required");
}

#[test]
fn row_5_the_correlation_id_is_one_value_of_1_to_64_visible_characters() {
    let contract = built_in("blink-fi");
    let check = |values: &[&[u8]]| {
        sentence(rules(contract).check_correlation_id(&head("x-correlation-id", values)))
    };
    assert_eq!(check(&[&[b'~'; 64]]), None);
    assert_eq!(check(&[b"!"]), None);
    for bad in [&[&[b'~'; 65][..]][..], &[b""], &[b"a b"], &[b"\xe4"], &[b"a\tb"], &[b"a", b"a"]] {
        assert_eq!(
            check(bad).unwrap(),
            "X-Correlation-ID must be one value of 1 to 64 visible ASCII characters"
        );
    }
}

#[test]
fn row_6_the_client_id_is_required_by_fi_only() {
    let headers = head("x-corapi-client-id", &[]);
    let fi = built_in("blink-fi");
    assert_eq!(
        rules(fi).client_id(&headers),
        Err(Fault::HeaderMissing("X-CorAPI-Client-ID".into()))
    );
    assert_eq!(rules(built_in("blink-six")).client_id(&headers), Ok(None));
}

#[test]
fn row_7_and_12_an_id_is_one_value_of_1_to_30_plain_characters() {
    for contract in ["blink-fi", "blink-six"].map(built_in) {
        let rules = rules(contract);
        let client = |values: &[&[u8]]| {
            sentence(rules.client_id(&head("x-corapi-client-id", values)).map(drop))
        };
        let target = |values: &[&[u8]]| {
            sentence(rules.target_id(&head("x-corapi-target-id", values)).map(drop))
        };
        assert_eq!((client(&[&[b'a'; 30]]), target(&[&[b'a'; 30]])), (None, None));
        for bad in [&[&[b'a'; 31][..]][..], &[b""], &[b"a b"], &[b"a/b"], &[b"\xe4"], &[b"a", b"a"]]
        {
            assert_eq!(client(bad).unwrap(), "X-CorAPI-Client-ID is malformed");
            assert_eq!(target(bad).unwrap(), "X-CorAPI-Target-ID is malformed");
        }
    }
}

#[test]
fn row_10_the_user_agent_is_one_value_of_1_to_512_octets() {
    let contract = built_in("blink-fi");
    for good in [&[b'a'; 512][..], b"a", b"\xe4 \xff", b"a\tb"] {
        assert_eq!(fields(contract, "user-agent", &[good]), None);
    }
    let no_line: &[&[u8]] = &[];
    for bad in [no_line, &[b""], &[&[b'a'; 513]], &[&[0xe4; 513]], &[b"a", b"a"]] {
        let sentence = fields(contract, "user-agent", bad);
        assert_eq!(sentence.as_deref(), Some("User-Agent header is required"));
    }
}

#[test]
fn row_11_the_target_id_is_required_by_six_only() {
    let headers = head("x-corapi-target-id", &[]);
    assert_eq!(rules(built_in("blink-fi")).target_id(&headers), Ok(None));
    let six = built_in("blink-six");
    let missing = rules(six).target_id(&headers);
    assert_eq!(sentence(missing).unwrap(), "X-CorAPI-Target-ID header is required");
}

#[test]
fn row_17_the_psu_ip_address_is_an_address_or_auto() {
    let (fi, six) = (built_in("blink-fi"), built_in("blink-six"));
    let check =
        |contract: &Contract, values: &[&[u8]]| fields(contract, "x-psu-ip-address", values);
    assert_eq!(check(fi, &[]), None);
    assert_eq!(check(six, &[]).unwrap(), "X-PSU-IP-Address header is required");
    for contract in [fi, six] {
        for good in ["AUTO", "192.0.2.1", "2001:db8::1", "::ffff:192.0.2.1"] {
            assert_eq!(check(contract, &[good.as_bytes()]), None, "{good}");
        }
        for bad in [&[&b""[..]][..], &[b"auto"], &[b"1.2.3"], &[b"x"], &[b"\xff"], &[b"::", b"::"]]
        {
            assert_eq!(check(contract, bad).unwrap(), "X-PSU-IP-Address is malformed");
        }
    }
}

#[test]
fn row_18_the_psu_user_agent_has_at_most_1024_octets_and_no_control_characters() {
    let (fi, six) = (built_in("blink-fi"), built_in("blink-six"));
    let check =
        |contract: &Contract, values: &[&[u8]]| fields(contract, "x-psu-user-agent", values);
    assert_eq!((check(fi, &[]), check(fi, &[b""])), (None, None));
    assert_eq!(check(six, &[]).unwrap(), "X-PSU-User-Agent header is required");
    assert_eq!(check(six, &[b""]).unwrap(), "X-PSU-User-Agent is malformed");
    for contract in [fi, six] {
        for good in [&[b'a'; 1024][..], b"AUTO", b"\xe4"] {
            assert_eq!(check(contract, &[good]), None);
        }
        for bad in [&[&[b'a'; 1025][..]][..], &[b"a\tb"], &[b"a", b"a"]] {
            assert_eq!(check(contract, bad).unwrap(), "X-PSU-User-Agent is malformed");
        }
    }
}

#[test]
fn rows_19_to_21_by_operation_and_policy() {
    let contract = built_in("blink-fi");
    let bearer = head("authorization", &[b"Bearer abc"]);
    let absent = head("authorization", &[]);
    for operation in &contract.operations {
        let check = |headers, policy| operation.head.authorization(headers, policy);
        let wants_bearer = operation.call() == Some(Call::Username);
        assert_eq!(operation.head.wants_bearer(), wants_bearer);
        let refused = Err(Fault::AuthorizationRefused(r#"Bearer realm="corgate""#));
        let (given, none) =
            if wants_bearer { (Ok(()), Err(Fault::BearerMissing)) } else { (refused, Ok(())) };
        assert_eq!(check(&bearer, AuthorizationPolicy::Refuse), given);
        assert_eq!(check(&bearer, AuthorizationPolicy::Forward), Ok(()));
        assert_eq!(check(&absent, AuthorizationPolicy::Refuse), none);
        assert_eq!(check(&absent, AuthorizationPolicy::Forward), none);
    }
}

#[test]
fn rows_22_to_24_hold_for_each_operation_revoke_too() {
    let contract = built_in("blink-fi");
    for Operation { head: rules, .. } in &contract.operations {
        let check = |name, value: &[u8]| rules.media(&head(name, &[value]));
        assert_eq!(check("accept", b"text/html"), Err(Fault::NotAcceptable));
        let form: Name = "application/x-www-form-urlencoded".into();
        assert_eq!(check("content-type", b"text/plain"), Err(Fault::MediaTypeRefused(form)));
        assert_eq!(check("content-encoding", b"gzip"), Err(Fault::CodingRefused));
    }
}

proptest! {
    #[test]
    fn any_head_is_checked_without_a_panic(
        lines in proptest::collection::vec(
            (0..GOOD.len(), proptest::collection::vec(32_u8..=255, 0..80)),
            0..12,
        ),
    ) {
        let contract = built_in("blink-six");
        let mut headers = HeaderMap::new();
        for (name, value) in lines {
            if let Ok(value) = HeaderValue::from_bytes(&value) {
                headers.append(GOOD[name].0, value);
            }
        }
        for Operation { head, .. } in &contract.operations {
            let _ = head.check_correlation_id(&headers);
            let _ = head.client_id(&headers);
            let _ = head.fields(&headers);
            let _ = head.target_id(&headers);
            let _ = head.authorization(&headers, AuthorizationPolicy::Refuse);
            let _ = head.media(&headers);
        }
    }
}

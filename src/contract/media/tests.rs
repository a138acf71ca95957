//! Rows 22 to 24, value by value.

use proptest::prelude::*;

use super::*;

const FORM: &str = "application/x-www-form-urlencoded";

fn rules() -> MediaRules {
    MediaRules { offered: vec!["application/json".into()], taken: FORM.into() }
}

fn headers(lines: &[(&'static str, &str)]) -> HeaderMap {
    let mut headers = HeaderMap::new();
    for (name, value) in lines {
        headers.append(*name, HeaderValue::from_str(value).unwrap());
    }
    headers
}

fn accept(values: &[&str]) -> bool {
    let mut lines = vec![("content-type", FORM)];
    lines.extend(values.iter().map(|value| ("accept", *value)));
    match rules().check(&headers(&lines)) {
        Ok(()) => true,
        Err(Fault::NotAcceptable) => false,
        Err(other) => panic!("{other:?}"),
    }
}

#[test]
fn row_22_json_is_accepted_by_name_by_kind_by_any_and_by_silence() {
    for good in [
        "application/json",
        "Application/JSON",
        "application/*",
        "*/*",
        "application/json;charset=utf-8",
        "application/json; q=0.001",
        "application/json;Q=1.000",
        "text/html, application/json;q=0.9",
        "text/html;level=\"a,b\", */*;q=0.1",
        "application/json;q=1;ext=\"x\"",
        "application/json;v=1;q=0, */*",
        "*/*;q=0, application/json",
        "text/html, image/gif, *; q=.2, */*; q=.2",
        ", ,application/json,",
        "",
    ] {
        assert!(accept(&[good]), "{good}");
    }
    assert!(accept(&[]));
    assert!(accept(&["text/html", "application/json"]), "two lines are one list");
}

#[test]
fn row_22_a_weight_of_zero_and_the_most_specific_range_exclude() {
    for bad in [
        "text/html",
        "application/xml",
        "application/jsonx",
        "application/json;q=0",
        "application/json;q=0.000",
        "application/json;q=0, */*",
        "*/*, application/json;q=0",
        "application/*;q=0, */*;q=1",
        "text/*",
        "application/json;q=2",
        "application/json;q=",
        "application/json;q=1.1",
        "application/json;q=-1",
        "application",
        "text/html;a=\", application/json\"",
    ] {
        assert!(!accept(&[bad]), "{bad}");
    }
    assert!(!accept(&["application/json;q=0", "*/*"]));
    let unreadable = HeaderValue::from_bytes(b"\xff").unwrap();
    let mut headers = headers(&[("content-type", FORM)]);
    headers.insert(ACCEPT, unreadable);
    assert_eq!(rules().check(&headers), Err(Fault::NotAcceptable));
}

#[test]
fn row_23_the_type_in_any_case_with_any_parameter_and_utf_8() {
    for good in [
        FORM,
        "Application/X-WWW-Form-URLEncoded",
        "application/x-www-form-urlencoded;charset=utf-8",
        "application/x-www-form-urlencoded; charset=UTF-8",
        "application/x-www-form-urlencoded ; Charset=\"Utf-8\"",
        "application/x-www-form-urlencoded;",
        "application/x-www-form-urlencoded; boundary=\"a;b\"; x=y",
    ] {
        assert_eq!(rules().check(&headers(&[("content-type", good)])), Ok(()), "{good}");
    }
}

#[test]
fn row_23_anything_else_is_415_and_two_lines_are_400() {
    let refused = Err(Fault::MediaTypeRefused(FORM.into()));
    assert_eq!(rules().check(&headers(&[])), refused);
    for bad in [
        "",
        "application/json",
        "application/x-www-form-urlencoded, application/json",
        "application/x-www-form-urlencoded;charset=iso-8859-1",
        "application/x-www-form-urlencoded;charset=utf-8, x",
        "application/x-www-form-urlencoded;charset=",
        "application/x-www-form-urlencoded;charset",
        "application/x-www-form-urlencoded;charset=utf-8;charset=latin1",
        "application/x-www-form-urlencoded;a=b c",
        "application/x-www-form-urlencodedx",
        "multipart/form-data",
    ] {
        assert_eq!(rules().check(&headers(&[("content-type", bad)])), refused, "{bad}");
    }
    let twice = headers(&[("content-type", FORM), ("content-type", FORM)]);
    let Err(Fault::HeaderMalformed(name, _)) = rules().check(&twice) else { panic!() };
    assert_eq!(&*name, "Content-Type");
}

#[test]
fn row_24_only_identity_is_no_coding() {
    let check = |values: &[&'static str]| {
        let mut lines = vec![("content-type", FORM)];
        lines.extend(values.iter().map(|value| ("content-encoding", *value)));
        rules().check(&headers(&lines))
    };
    for good in [&["identity"][..], &["Identity"], &["identity, identity"], &[""], &[]] {
        assert_eq!(check(good), Ok(()), "{good:?}");
    }
    for bad in [&["gzip"][..], &["identity, gzip"], &["identity", "br"], &["identityx"]] {
        assert_eq!(check(bad), Err(Fault::CodingRefused), "{bad:?}");
    }
}

#[test]
fn accept_is_checked_before_the_type_and_the_type_before_the_coding() {
    let lines = [("accept", "text/html"), ("content-encoding", "gzip")];
    assert_eq!(rules().check(&headers(&lines)), Err(Fault::NotAcceptable));
    assert_eq!(rules().check(&headers(&lines[1..])), Err(Fault::MediaTypeRefused(FORM.into())));
}

#[test]
fn an_operation_can_offer_several_types_or_none() {
    let offered = |offered: &[&str]| MediaRules {
        offered: offered.iter().map(|name| Name::from(*name)).collect(),
        ..rules()
    };
    let html = headers(&[("content-type", FORM), ("accept", "text/html")]);
    assert_eq!(offered(&["application/json", "text/html"]).check(&html), Ok(()));
    assert_eq!(offered(&[]).check(&html), Ok(()));
}

#[test]
fn an_essence_is_lower_case_and_without_parameters() {
    assert_eq!(essence("Application/JSON; charset=UTF-8").as_deref(), Some("application/json"));
    for bad in ["", "json", "a/", "/b", "a/b/c", "a b/c"] {
        assert_eq!(essence(bad), None, "{bad}");
    }
}

proptest! {
    #[test]
    fn any_media_headers_are_read_without_a_panic(
        accept in "[ -~]{0,60}",
        sent in "[a-z/;=\", ]{0,60}",
    ) {
        let lines = [("accept", &*accept), ("content-type", &*sent), ("content-encoding", &*sent)];
        let _ = rules().check(&headers(&lines));
    }
}

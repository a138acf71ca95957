//! The correlation id where a document of a system's own has a field of its own for it.

use crate::answer::Answer;
use crate::ask::{Ask, unique};
use crate::native::{Stage, said};

const DOCUMENT: &str = r"
openapi: 3.1.0
info: {title: Own, version: '1'}
x-corgate-native: true
paths:
  /fapi:
    get:
      operationId: fapi
      parameters:
        - name: x-fapi-interaction-id
          in: header
          x-corgate-role: correlation-id
          schema: {type: string, maxLength: 40}
        - {name: page, in: query, schema: {type: string, maxLength: 3}}
      responses:
        '200':
          description: good
          headers: {x-fapi-interaction-id: {schema: {type: string}}}
  /berlin:
    post:
      operationId: berlin
      parameters:
        - name: X-Request-ID
          in: header
          required: true
          x-corgate-role: correlation-id
          schema: {type: string, format: uuid}
        - {name: X-Correlation-ID, in: header, schema: {type: string}}
      responses: {'200': {description: good}}
  /strict:
    get:
      operationId: strict
      parameters:
        - name: X-Strict-ID
          in: header
          x-corgate-role: correlation-id
          schema: {type: string, format: uuid}
      responses: {'200': {description: good}}
  /plain:
    get:
      operationId: plain
      parameters: [{name: X-Request-ID, in: header, schema: {type: string}}]
      responses: {'200': {description: good}}
";

const FAPI: &str = "x-fapi-interaction-id";

fn fapi() -> Ask {
    Ask::native("GET", "/native/fapi", "").correlated_by(FAPI)
}

/// The values of a field of an answer.
fn all<'a>(answer: &'a Answer, name: &str) -> Vec<&'a str> {
    answer.headers.get_all(name).iter().map(|value| value.to_str().unwrap()).collect()
}

fn berlin() -> Ask {
    Ask::native("POST", "/native/berlin", "").correlated_by("X-Request-ID")
}

over_both! {
    fn the_id_in_the_documents_own_field_is_echoed_logged_and_sent_on_under_its_own_name(http) {
        let stage = Stage::of_document(DOCUMENT);
        // The system's own word for it is not believed.
        stage.say(said(200, "{}").with(FAPI, "another"));
        let id = unique("id");
        let ask = fapi().with(FAPI, &id).with("X-Correlation-ID", "not-this-one");
        let answer = stage.world.call(http, ask).good();
        assert_eq!(all(&answer, FAPI), [id.as_str()]);
        assert_eq!(all(&answer, "x-correlation-id"), [id.as_str()]);
        let line = stage.world.line(|line| line["correlation_id"] == id.as_str());
        assert_eq!((&line["operation"], &line["status"]), (&"fapi".into(), &200.into()));
        let heard = stage.heard().pop().unwrap();
        assert_eq!(heard.header_all(FAPI), [id.as_str()]);
        assert_eq!(heard.header_all("x-correlation-id"), Vec::<&str>::new());
    }

    fn a_call_without_one_gets_the_hubs_under_the_documents_name_too(http) {
        let stage = Stage::of_document(DOCUMENT);
        let sent = unique("id");
        for ask in [fapi(), fapi().with("X-Correlation-ID", &sent)] {
            let was_sent = ask.values("x-correlation-id").len() == 1;
            let answer = stage.world.call(http, ask).good();
            let id = answer.header("x-correlation-id").unwrap();
            assert_eq!(all(&answer, FAPI), [id]);
            assert_eq!(id == sent, was_sent);
            assert_eq!(stage.heard().pop().unwrap().header_all(FAPI), [id]);
            stage.world.line(|line| line["correlation_id"] == id);
        }
    }

    fn an_id_of_ours_that_the_document_lets_not_in_is_not_sent_under_its_name(http) {
        let stage = Stage::of_document(DOCUMENT);
        let ask = Ask::native("GET", "/native/strict", "").correlated_by("X-Strict-ID");
        // What stands in the hub's own field counts for as much as none.
        let request = ask.with("X-Correlation-ID", "a b");
        let answer = stage.world.call(http, request).good();
        let id = answer.header("x-strict-id").unwrap();
        assert_eq!(stage.heard().pop().unwrap().header_all("x-strict-id"), [id]);
        let other = Ask::native("GET", "/native/strict", "").correlated_by("X-Strict-ID");
        let other = other.with("X-Correlation-ID", "no-uuid").without_correlation();
        let answer = stage.world.call(http, other).good();
        assert!(uuid::Uuid::parse_str(answer.header("x-strict-id").unwrap()).is_ok());
        let id = answer.header("x-correlation-id").unwrap();
        assert_eq!(stage.heard().pop().unwrap().header_all("x-strict-id"), [id]);
    }

    fn a_refusal_carries_the_id_and_a_bad_id_is_refused_and_never_echoed(http) {
        let stage = Stage::of_document(DOCUMENT);
        let id = unique("id");
        let ask = fapi().target("/native/fapi?page=1234").with(FAPI, &id);
        let answer = stage.world.call(http, ask);
        assert_eq!((answer.status.as_u16(), all(&answer, FAPI)), (400, vec![id.as_str()]));
        answer.logged("parameter_malformed");
        let long = format!("{}{}", unique("long"), "i".repeat(41)).split_off(2);
        let long = &long[..41];
        for ask in [
            fapi().with(FAPI, "a b"),
            fapi().with(FAPI, "i".repeat(65)),
            fapi().with(FAPI, "one").with(FAPI, "two"),
        ] {
            let answer = stage.world.call(http, ask);
            assert_eq!(answer.status, 400, "{answer:?}");
            let fresh = answer.header("x-correlation-id").unwrap();
            assert_eq!((fresh.len(), all(&answer, FAPI)), (36, vec![fresh]));
            let line = stage.world.line(|line| line["correlation_id"] == fresh);
            assert_eq!(line["fault"], "header_malformed");
            assert!(line["refused_id_bytes"].as_u64().is_some(), "{line}");
        }
        // One id, but not as the document wants it: it names the refusal.
        let answer = stage.world.call(http, fapi().with(FAPI, long));
        assert_eq!((answer.status.as_u16(), all(&answer, FAPI)), (400, vec![long]));
        assert_eq!(stage.heard().len(), 0, "the system hears of no refusal");
    }

    fn where_the_document_declares_the_hubs_field_too_both_have_the_id(http) {
        let stage = Stage::of_document(DOCUMENT);
        let id = "7f8d2a4e-3c1b-4b7e-9a53-0d1f2e3c4b5a";
        let ask = berlin().with("X-Request-ID", id).with("X-Correlation-ID", "forged");
        let answer = stage.world.call(http, ask).good();
        assert_eq!(all(&answer, "x-request-id"), [id]);
        let heard = stage.heard().pop().unwrap();
        assert_eq!(heard.header_all("x-request-id"), [id]);
        assert_eq!(heard.header_all("x-correlation-id"), [id]);
        stage.world.call(http, berlin()).logged("header_missing");
        stage.world.call(http, berlin().with("X-Request-ID", "7")).logged("header_malformed");
    }

    fn a_field_without_the_role_is_only_carried(http) {
        let stage = Stage::of_document(DOCUMENT);
        let ask = Ask::native("GET", "/native/plain", "").with("X-Request-ID", "seven");
        let answer = stage.world.call(http, ask).good();
        assert_eq!(answer.header("x-request-id"), None);
        assert_ne!(answer.header("x-correlation-id"), Some("seven"));
        assert_eq!(stage.heard().pop().unwrap().header_all("x-request-id"), ["seven"]);
    }
}

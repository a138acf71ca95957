//! The whole walk, from a parsed head to the answer and its record, with a bank in memory.

use std::hint::black_box;

use corgate::record::Record;
use http::HeaderValue;

use super::Work;
use super::world::{Call, PLENTY, TOKEN_FORM, World, call};

/// A code is exchanged.
pub(super) fn token() -> Work {
    walk(World::new(10, PLENTY), call("token", TOKEN_FORM), 200)
}

/// A token is revoked.
pub(super) fn revoke() -> Work {
    let form = "token=2YotnFZFEjr1zCsicMWpAA8d4f6b1e&token_type_hint=access_token\
                &client_id=CIDX0000000001";
    walk(World::new(10, PLENTY), call("revoke", form), 200)
}

/// A username is validated.
pub(super) fn username() -> Work {
    let mut call = call("username", "username=anna.muster");
    let bearer = HeaderValue::from_static("Bearer 2YotnFZFEjr1zCsicMWpAA8d4f6b1e");
    call.head.headers.insert("authorization", bearer);
    walk(World::new(10, PLENTY), call, 200)
}

/// The first check of all fails.
pub(super) fn no_correlation_id() -> Work {
    let mut call = call("token", TOKEN_FORM);
    call.head.headers.remove("x-correlation-id");
    walk(World::new(10, PLENTY), call, 400)
}

/// The target is in nobody's file.
pub(super) fn unknown_target() -> Work {
    let mut call = call("token", TOKEN_FORM);
    call.head.headers.insert("x-corapi-target-id", HeaderValue::from_static("IIDX999999"));
    walk(World::new(10, PLENTY), call, 400)
}

/// The client's bucket is empty.
pub(super) fn rate_limited() -> Work {
    let world = World::new(10, "{ rate = \"1/h\", burst = 1 }");
    let call = call("token", TOKEN_FORM);
    assert_eq!(world.walk(&call, &mut Record::default()).status, 200);
    walk(world, call, 429)
}

fn walk(world: &'static World, call: Call, status: u16) -> Work {
    Box::new(move || {
        let mut record = Record::default();
        let answer = world.walk(black_box(&call), &mut record);
        assert_eq!(answer.status, status);
        black_box((answer, record));
    })
}

//! The correlation id of a call: where it comes from, and where an answer has it.
//!
//! This file decides which field's id is the call's (CONTRACT C1 to C5). It must not know what an
//! id looks like.

use http::{HeaderMap, HeaderName};

use super::Entropy;
use crate::answer::{Answer, X_CORRELATION_ID};
use crate::contract::Operation;
use crate::ids::CorrelationId;
use crate::record::{Record, RefusedId};

/// The id that the answer will carry: the caller's own where it is one good value, else a fresh
/// one (CONTRACT C1 to C5). It is settled before the path is known, so that a 404 carries it too.
pub(crate) fn correlation_for_the_answer(
    headers: &HeaderMap,
    entropy: &mut impl Entropy,
    record: &mut Record<'_>,
) -> CorrelationId {
    match id_in(&X_CORRELATION_ID, headers) {
        Some(Ok(correlation)) => return correlation,
        refused => record.refused_id = refused.and_then(Result::err),
    }
    fresh(entropy)
}

fn fresh(entropy: &mut impl Entropy) -> CorrelationId {
    CorrelationId::fresh(uuid::Builder::from_random_bytes(entropy.bits().to_ne_bytes()).into_uuid())
}

/// What stands in a field for the correlation id, if anything: an id, or none.
fn id_in(name: &HeaderName, headers: &HeaderMap) -> Option<Result<CorrelationId, RefusedId>> {
    let value = headers.get(name)?;
    let is_once = headers.len() == headers.keys_len() || headers.get_all(name).iter().count() == 1;
    let parsed = if is_once { CorrelationId::parse(value).ok() } else { None };
    let refused = || RefusedId { bytes: value.len(), hash: short_hash(value.as_bytes()) };
    Some(parsed.ok_or_else(refused))
}

/// The id of a call, once its operation is known. Where the document has a field of its own for it,
/// the id in that one is the call's, and `X-Correlation-ID` says nothing. A bad one is refused
/// later, under the id so far; where there is none, that is also the one that the system gets, as
/// far as the document lets such an id in.
pub(super) fn settle<'c>(
    operation: &Operation,
    headers: &HeaderMap,
    correlation: &'c mut CorrelationId,
    entropy: &mut impl Entropy,
    record: &mut Record<'_>,
) -> &'c CorrelationId {
    if let Some(name) = operation.head.own_correlation() {
        take_own(name, headers, correlation, record);
        if !headers.contains_key(name) && !operation.head.takes_correlation(correlation) {
            *correlation = fresh(entropy);
            record.correlation = Some(correlation.clone());
        }
    }
    correlation
}

#[cold]
fn take_own(
    name: &HeaderName,
    headers: &HeaderMap,
    correlation: &mut CorrelationId,
    record: &mut Record<'_>,
) {
    match id_in(name, headers) {
        Some(Ok(own)) => {
            record.refused_id = None;
            record.correlation = Some(own.clone());
            *correlation = own;
        }
        Some(Err(refused)) => record.refused_id = Some(refused),
        None => {}
    }
}

fn short_hash(bytes: &[u8]) -> u32 {
    use sha2::Digest as _;
    let digest = sha2::Sha256::digest(bytes);
    digest.iter().take(4).fold(0, |hash, byte| hash << 8 | u32::from(*byte))
}

/// The marks of every answer, and the id in the field that the document has for it.
pub(crate) fn mark(
    answer: &mut Answer,
    correlation: &CorrelationId,
    operation: Option<&Operation>,
) {
    answer.mark(correlation);
    if let Some(name) = operation.and_then(|operation| operation.head.own_correlation()) {
        answer.headers.insert(name.clone(), correlation.header_value().clone());
    }
}

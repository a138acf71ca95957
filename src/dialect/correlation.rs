//! The fields in which a request carries the correlation id of its call.
//!
//! Banks want it under names of their own, and give it back under the same. This file holds which
//! these are in one request. It must not know what an id means.

use http::{HeaderName, HeaderValue};

use crate::framing::fields::Fields;

/// At most two: the hub's own field, and that of a document or a bank.
#[derive(Debug, Clone, Default)]
pub struct CorrelationFields([Option<HeaderName>; 2]);

impl CorrelationFields {
    /// What stands in these fields of a message, in the order of the fields.
    pub fn values_in<'f>(&'f self, fields: &'f Fields) -> impl Iterator<Item = &'f HeaderValue> {
        self.0.iter().flatten().flat_map(|name| fields.get_all(name))
    }
}

impl From<[Option<&HeaderName>; 2]> for CorrelationFields {
    fn from(names: [Option<&HeaderName>; 2]) -> Self {
        Self(names.map(Option::<&HeaderName>::cloned))
    }
}

//! stub
use crate::fault::{Fault, Name};
use crate::ids::CorrelationId;
use http::HeaderMap;

/// What happens to `Authorization` where the contract does not ask for it (CONTRACT row 19).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum AuthorizationPolicy {
    /// 401 `invalid_client` with a challenge of the same scheme.
    #[default]
    Refuse,
    /// Let it through to the bank.
    Forward,
}

/// The header rules.
#[derive(Debug)]
pub struct HeadRules {}

impl HeadRules {
    /// Rows 4 and 5. `None` where the contract has no such header.
    pub fn correlation_id(&self, _headers: &HeaderMap) -> Result<Option<CorrelationId>, Fault> {
        todo!()
    }
    /// Rows 6 and 7.
    pub fn client_id<'h>(&self, _headers: &'h HeaderMap) -> Result<Option<&'h str>, Fault> {
        todo!()
    }
    /// Rows 10, 17, 18.
    pub fn fields(&self, _headers: &HeaderMap) -> Result<(), Fault> {
        todo!()
    }
    /// Row 12, and 11 where the contract requires it.
    pub fn target_id<'h>(&self, _headers: &'h HeaderMap) -> Result<Option<&'h str>, Fault> {
        todo!()
    }
    /// The target header's name.
    pub fn target_id_name(&self) -> Option<&Name> {
        todo!()
    }
    /// Rows 19 to 21.
    pub fn authorization(&self, _h: &HeaderMap, _p: AuthorizationPolicy) -> Result<(), Fault> {
        todo!()
    }
    /// Whether the operation wants a Bearer token, which then is forwarded.
    pub fn wants_bearer(&self) -> bool {
        todo!()
    }
    /// Rows 22 to 24.
    pub fn media(&self, _headers: &HeaderMap) -> Result<(), Fault> {
        todo!()
    }
}

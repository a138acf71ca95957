//! stub
use crate::fault::{Fault, Name};
use crate::oauth::form::Form;

/// Requirements that a client's entry waives.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Waivers {
    /// `username_on_refresh = "optional"` (CONTRACT decision 7).
    pub username_on_refresh: bool,
}

/// The body's rules.
#[derive(Debug)]
pub struct BodyRules {}

impl BodyRules {
    /// Parses the body and checks it.
    pub fn check<'b>(&self, _body: &'b [u8], _waivers: Waivers) -> Result<Form<'b>, Fault> {
        todo!()
    }
    /// The parameter that must equal the caller's client id (`x-corgate-role: client-id`).
    pub fn client_id_parameter(&self) -> Option<&Name> {
        todo!()
    }
}

//! What the table holds of a bank behind Konsentus.
//!
//! This file decides which settings there are and how the token that stands for a PSP is come by.
//! It must not know how they are used, nor TOML.

use std::collections::HashMap;
use std::time::Duration;

use http::{HeaderName, HeaderValue, Method};

use crate::fault::Name;
use crate::ids::ClientId;
use crate::routes::Secret;

/// `[target.konsentus]`: the hub is the FI, and each client is a PSP (seed 001).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Konsentus {
    /// `Authorization`: "Basic Auth Header". Marked sensitive.
    pub basic: HeaderValue,
    /// `fi_reference_id`: "the FI authenticating with the system".
    pub fi_reference_id: HeaderValue,
    /// `version`: "1" or "latest".
    pub version: HeaderValue,
    /// The clients that are PSPs there, and where the `ccg_token` of each comes from.
    pub psp: HashMap<ClientId, Ccg>,
    /// The same for every client that `psp` does not name; none where only those may call.
    pub ccg: Option<Ccg>,
}

impl Konsentus {
    /// Where the token of a client's PSP comes from; none where the client is no PSP there.
    pub fn ccg_of(&self, client: &ClientId) -> Option<&Ccg> {
        self.psp.get(client).or(self.ccg.as_ref())
    }
}

/// Where a `ccg_token` ("Client credentials grant token") comes from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Ccg {
    /// The table has it.
    Static(Secret),
    /// It is asked for, kept, and asked for again before its end.
    Fetch(Box<CcgFetch>),
}

/// How a `ccg_token` is asked for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CcgFetch {
    /// Where.
    pub path: Name,
    /// With which method.
    pub method: Method,
    /// Fields of the request, such as `eidas`, the PSP's certificate. Marked sensitive.
    pub headers: Vec<(HeaderName, HeaderValue)>,
    /// The body. It may hold secrets.
    pub body: Secret,
    /// Where the token is in the JSON of the answer (RFC 6901).
    pub token_pointer: Name,
    /// Where its life in seconds is.
    pub expires_pointer: Name,
    /// Its life where the answer does not say.
    pub default_ttl: Duration,
}

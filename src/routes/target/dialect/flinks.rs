//! Reads `[target.flinks]`.
//!
//! This file decides what its words mean. It must not know how Flinks is spoken to.

use super::{read_correlation_header, registrations};
use crate::routes::reader::Reader;
use crate::routes::table::Dialect;
use crate::routes::table::dialect::Flinks;

/// Reads the table.
pub(super) fn read(section: &Reader<'_>) -> Dialect {
    Dialect::Flinks(Box::new(Flinks {
        registrations: registrations::read(section, true),
        sends_form: section.choice("body_encoding") == Some("form"),
        uses_basic: section.choice("authentication") == Some("basic"),
        revokes_by_post: section.choice("revoke_method") == Some("POST"),
        correlation_header: read_correlation_header(section),
    }))
}

//! stub
use super::Contract;

/// Something in the document that can't be enforced.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CompileError {
    /// JSON pointer (RFC 6901) into the document.
    pub pointer: String,
    /// What is wrong, and what would be right.
    pub message: String,
}

pub(super) fn compile(_name: &str, _document: &str) -> Result<Contract, Vec<CompileError>> {
    todo!()
}

//! Tests of the loader as a whole, in worlds in memory.

mod defaults;
mod dialects;
mod diff;
mod grants;
mod include;
mod mistakes;
mod providers;
mod ranges;
mod scale;
mod secrets;
mod sharing;
mod windows;
mod words;

use std::path::Path;
use std::sync::Arc;

use super::{Loaded, MemorySources, Report, load_with};
use crate::contract::{CompileError, Contract};

/// The smallest `[gateway]` and `[[api]]`.
pub(super) const GATEWAY: &str = "
[gateway]
insecure_plain_listen = \"127.0.0.1:8080\"
insecure_header_identity = true
[[api]]
contract = \"blink-fi\"
";

/// Loads `routes.toml` of a world.
pub(super) fn load(sources: &MemorySources) -> Result<Loaded, Report> {
    load_with(Path::new("routes.toml"), sources, &mut no_operations)
}

/// Contracts have no operations, except that a document that says `broken` has two mistakes.
pub(super) fn no_operations(name: &str, document: &str) -> Result<Contract, Vec<CompileError>> {
    if document.starts_with("broken") {
        let error = |pointer: &str, message: &str| CompileError {
            pointer: pointer.to_owned(),
            message: message.to_owned(),
        };
        return Err(vec![
            error("/paths/~1token/post", "`oneOf` has no `discriminator`"),
            error("", "`openapi` is missing"),
        ]);
    }
    let name: Arc<str> = Arc::from(name);
    let version = Arc::from("1");
    let title = Arc::clone(&name);
    let (operations, notes) = (Vec::new(), Vec::new());
    Ok(Contract { title, version, name, operations, native: None, notes })
}

/// Loads a text as the operator's file.
pub(super) fn load_text(text: &str) -> Result<Loaded, Report> {
    load(&MemorySources::default().file("routes.toml", text))
}

/// The smallest target, with more keys.
pub(super) fn target(id: &str, more: &str) -> String {
    format!("[[target]]\nid = \"{id}\"\nupstream = \"https://{id}.example\"\n{more}\n")
}

/// Loads the smallest gateway with more behind it, which must be right.
pub(super) fn good(more: &str) -> Loaded {
    match load_text(&format!("{GATEWAY}{more}")) {
        Ok(loaded) => loaded,
        Err(report) => panic!("{report}"),
    }
}

/// Loads the smallest gateway with more behind it, which must be wrong, and returns the problems
/// in short.
pub(super) fn bad(more: &str) -> Vec<String> {
    let report = load_text(&format!("{GATEWAY}{more}")).expect_err("this must be wrong");
    report.problems.iter().map(|problem| problem.what.clone()).collect()
}

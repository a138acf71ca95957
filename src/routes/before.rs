//! What is known of included files from before: from the table that serves, or from what a process
//! before has left.
//!
//! This file decides what may be asked. It must not know where it is kept.

use std::path::Path;
use std::sync::Arc;

use super::table::{Gateway, RouteTable};
use crate::ids::TargetId;

/// What was known before a table is loaded.
pub trait Before {
    /// The file whose target of this id serves.
    fn owner(&self, id: &TargetId) -> Option<Arc<Path>>;

    /// The text of an included file when it was last good, where it is kept outside of the process
    /// that served it. It is parsed as if it were the file's.
    fn text(&self, file: &Path) -> Option<String>;
}

/// Nothing was.
impl Before for () {
    fn owner(&self, _: &TargetId) -> Option<Arc<Path>> {
        None
    }

    fn text(&self, _: &Path) -> Option<String> {
        None
    }
}

/// A table that serves: whose an id is, stays so. Its entries are kept by
/// [`super::Loaded::keep_last_good`].
impl Before for &RouteTable {
    fn owner(&self, id: &TargetId) -> Option<Arc<Path>> {
        self.targets.get(id).map(|target| Arc::clone(&target.source))
    }

    fn text(&self, _: &Path) -> Option<String> {
        None
    }
}

/// What finds out what was known before, of the table's own `[gateway]`.
pub type AskBefore<'b> = &'b dyn Fn(&Gateway) -> Box<dyn Before + 'b>;

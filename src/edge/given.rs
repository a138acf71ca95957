//! What a gateway is started with: a table, and the file that it came from.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::names::{Names, SystemNames};
use super::reload::Aside;
use super::reload::set_aside;
use crate::routes::{Loaded, RouteTable};

/// A table; with a file, it can be loaded anew while the gateway runs.
#[derive(Debug)]
pub struct Given {
    pub(super) table: RouteTable,
    pub(super) aside: Vec<Aside>,
    pub(super) config: Option<PathBuf>,
    pub(super) names: Arc<dyn Names>,
    /// Where the process that is there already is asked about refreshes.
    pub(super) predecessor: Option<PathBuf>,
}

impl Given {
    /// What was loaded from `config`.
    pub fn from_file(loaded: Loaded, config: &Path) -> Self {
        let aside = set_aside(&loaded, &[]);
        Self { aside, config: Some(config.to_owned()), ..Self::from(loaded.table) }
    }

    /// With another resolver than the system's for the names of banks.
    pub fn with_names(self, names: Arc<dyn Names>) -> Self {
        Self { names, ..self }
    }
}

/// A table that is in no file: it stays as it is.
impl From<RouteTable> for Given {
    fn from(table: RouteTable) -> Self {
        Self {
            table,
            aside: Vec::new(),
            config: None,
            names: Arc::new(SystemNames),
            predecessor: None,
        }
    }
}

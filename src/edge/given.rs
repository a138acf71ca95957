//! What a gateway is started with: a table, and the file that it came from.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::last_good::LastGood;
use super::names::{Names, SystemNames};
use super::reload::Aside;
use super::reload::set_aside;
use crate::routes::{self, Loaded, Report, RouteTable, SystemSources};

/// A table; with a file, it can be loaded anew while the gateway runs.
#[derive(Debug)]
pub struct Given {
    pub(super) table: RouteTable,
    pub(super) aside: Vec<Aside>,
    pub(super) config: Option<PathBuf>,
    pub(super) names: Arc<dyn Names>,
    /// The included files that are right, with their texts.
    pub(super) good: Vec<(Arc<Path>, String)>,
    /// All included files.
    pub(super) included: Vec<Arc<Path>>,
    /// Where the process that is there already is asked about refreshes.
    pub(super) predecessor: Option<PathBuf>,
}

/// Loads what a process is to serve: a file that is broken by its last good text, where a process
/// before has kept that.
///
/// # Errors
/// Everything that is wrong, when the operator's own file is.
pub fn load(config: &Path) -> Result<Loaded, Report> {
    routes::load_after(config, &SystemSources, &|gateway| Box::new(LastGood::of(gateway)))
}

impl Given {
    /// What was loaded from `config`.
    pub fn from_file(loaded: Loaded, config: &Path) -> Self {
        let aside = set_aside(&loaded, &loaded.kept);
        let config = Some(config.to_owned());
        let Loaded { table, good, included, .. } = loaded;
        Self { aside, config, good, included, ..Self::from(table) }
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
            good: Vec::new(),
            included: Vec::new(),
            predecessor: None,
        }
    }
}

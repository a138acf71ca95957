//! The files that TLS rests on, as they were when they were read: what they are told apart by, and
//! until when they are good.
//!
//! This file decides when a changed one is out of its time. It must not know what they hold beyond
//! dates and numbers; no key material is kept.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use chrono::DateTime;

use super::{TlsError, of_file};

/// Most files whose ends are shown.
const SHOWN_MAX: usize = 1_000;

/// A file with certificates, a key or a revocation list.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(in crate::edge) struct Paper {
    /// What it is used as, for a metric's label: `edge`, `client_ca`, `client_crl`, `bank_ca`,
    /// `hub`, `key`, `system_ca`.
    pub(in crate::edge) role: &'static str,
    /// The file.
    pub(in crate::edge) file: PathBuf,
    /// SHA-256 of its bytes.
    pub(super) hash: [u8; 32],
    /// From when it is good, in Unix seconds.
    pub(super) not_before: Option<i64>,
    /// Until when: of several certificates, the first that ends.
    pub(in crate::edge) not_after: Option<i64>,
    /// The serial number of a party's own certificate, in hexadecimal.
    pub(in crate::edge) serial: Option<String>,
}

impl Paper {
    /// Its end, as people read it.
    pub(in crate::edge) fn end(&self) -> Option<String> {
        self.not_after.map(date)
    }
}

/// Several of them, by file.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(in crate::edge) struct Papers(BTreeMap<PathBuf, Paper>);

impl Papers {
    pub(in crate::edge) fn add(&mut self, paper: Paper) {
        self.0.insert(paper.file.clone(), paper);
    }

    pub(in crate::edge) fn append(&mut self, others: &Self) {
        self.0.extend(others.0.iter().map(|(file, paper)| (file.clone(), paper.clone())));
    }

    pub(in crate::edge) fn iter(&self) -> impl Iterator<Item = &Paper> {
        self.0.values()
    }

    /// Those that end first, with their ends in Unix seconds: a table may have a hundred thousand.
    pub(in crate::edge) fn ending_first(&self) -> Vec<(&Paper, i64)> {
        let mut ending: Vec<_> =
            self.iter().filter_map(|paper| Some((paper, paper.not_after?))).collect();
        ending.sort_by_key(|(_, end)| *end);
        ending.truncate(SHOWN_MAX);
        ending
    }

    pub(in crate::edge) fn get(&self, file: &Path) -> Option<&Paper> {
        self.0.get(file)
    }

    /// Whether a file has the same bytes in both.
    pub(in crate::edge) fn same(&self, other: &Self, file: &Path) -> bool {
        let hash = |papers: &Self| papers.0.get(file).map(|paper| paper.hash);
        hash(self) == hash(other)
    }

    /// Refuses what is out of its time and not among those in use. What is in use is served on
    /// whatever its dates say: it must not stand in the way of other changes. With nothing to
    /// compare with, which is at the start alone, nothing is refused.
    ///
    /// # Errors
    /// [`TlsError`] names the file and the date.
    pub(in crate::edge) fn check_times(
        &self,
        in_use: Option<&Self>,
        now: i64,
        accepts_expired_crl: bool,
    ) -> Result<(), TlsError> {
        let Some(in_use) = in_use else { return Ok(()) };
        for paper in self.iter().filter(|paper| !in_use.same(self, &paper.file)) {
            let checked = match paper.role {
                "edge" | "hub" => true,
                "client_crl" => !accepts_expired_crl,
                _ => false,
            };
            if !checked {
                continue;
            }
            if let Some(end) = paper.not_after.filter(|end| *end <= now) {
                return Err(of_file(&paper.file, format_args!("has expired on {}", date(end))));
            }
            if let Some(start) = paper.not_before.filter(|start| *start > now) {
                let problem = of_file(&paper.file, format_args!("is good from {} on", date(start)));
                return Err(TlsError { good_from: Some(start), ..problem });
            }
        }
        Ok(())
    }
}

fn date(seconds: i64) -> String {
    let date = DateTime::from_timestamp(seconds, 0).unwrap_or_default();
    date.format("%Y-%m-%dT%H:%M:%SZ").to_string()
}

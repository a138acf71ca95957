//! The hub's TLS configurations towards banks, one for each different setting.
//!
//! This file decides that they are built once and shared by all workers, so that a session with a
//! bank resumes whichever worker dials, and that a broken one never replaces a good one. It must
//! not know when a bank is dialled.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;

use dashmap::DashMap;
use rustls::ClientConfig;

use super::tls::{Papers, Shelf, TlsError, target_config, target_papers};
use super::unix_now;
use crate::routes::{Origin, Scheme, Target, TargetTls, UpstreamHttp};

/// What a configuration is made for.
pub(super) type Setting = (TargetTls, UpstreamHttp);

/// A configuration, or why there is none, and the files behind it.
#[derive(Debug, Clone)]
struct Made {
    config: Result<Arc<ClientConfig>, TlsError>,
    papers: Arc<Papers>,
}

/// The configurations in use.
#[derive(Debug, Default)]
pub(super) struct ClientConfigs {
    made: DashMap<Setting, Made>,
}

/// The configurations of a table that is not yet in use.
#[derive(Debug, Default)]
pub(super) struct StagedConfigs {
    made: HashMap<Setting, Made>,
    /// Settings that can't be used, and why. Their good configuration of before, if there is one,
    /// stays.
    pub(super) broken: HashMap<Setting, TlsError>,
    /// Settings whose files are others than before: connections made under them are not used again.
    pub(super) stale: HashSet<Setting>,
}

/// The setting of a target; none where it is not spoken to over TLS.
pub(super) fn setting(target: &Target) -> Option<Setting> {
    let https = |origin: &Origin| origin.scheme == Scheme::Https;
    let any = target.upstream.iter().chain(&target.auth_upstream).any(https);
    any.then(|| setting_of(target))
}

/// The name to ask for is told at each dial: banks that differ in it alone share a configuration,
/// which is large.
fn setting_of(target: &Target) -> Setting {
    (TargetTls { server_name: None, ..TargetTls::clone(&target.tls) }, target.http)
}

impl ClientConfigs {
    /// The configuration for a target.
    ///
    /// # Errors
    /// [`TlsError`] names the file.
    pub(super) fn get(&self, target: &Target) -> Result<Arc<ClientConfig>, TlsError> {
        let setting = setting_of(target);
        if let Some(made) = self.made.get(&setting) {
            return made.config.clone();
        }
        let made = make(&setting, &Shelf::new(unix_now()), None, None);
        self.made.entry(setting).or_insert(made).config.clone()
    }

    /// Builds what these settings need, as far as it is not there already; `in_use` are all files
    /// in use before, none at the start.
    pub(super) fn stage<'t>(
        &self,
        targets: impl Iterator<Item = &'t Arc<Target>>,
        shelf: &Shelf,
        in_use: Option<&Papers>,
    ) -> StagedConfigs {
        let mut staged = StagedConfigs::default();
        for setting in targets.filter_map(|target| setting(target)) {
            self.stage_one(&mut staged, setting, shelf, in_use);
        }
        staged
    }

    /// Builds what one more setting needs.
    pub(super) fn stage_one(
        &self,
        staged: &mut StagedConfigs,
        setting: Setting,
        shelf: &Shelf,
        in_use: Option<&Papers>,
    ) {
        if staged.made.contains_key(&setting) {
            return;
        }
        let old = self.made.get(&setting).map(|made| made.clone());
        let fresh = make(&setting, shelf, old.as_ref(), in_use);
        let made = match (&fresh.config, old) {
            (Ok(_), Some(old)) if old.config.is_ok() && old.papers == fresh.papers => old,
            (Ok(_), old) => {
                if old.is_some() {
                    staged.stale.insert(setting.clone());
                }
                fresh
            }
            (Err(error), old) => {
                staged.broken.insert(setting.clone(), error.clone());
                old.filter(|old| old.config.is_ok()).unwrap_or(fresh)
            }
        };
        staged.made.insert(setting, made);
    }

    /// Puts staged configurations to use, and forgets all others.
    pub(super) fn replace(&self, staged: StagedConfigs) {
        self.made.retain(|setting, _| staged.made.contains_key(setting));
        for (setting, made) in staged.made {
            self.made.insert(setting, made);
        }
    }

    /// The files behind all of them.
    pub(super) fn papers(&self) -> Papers {
        let mut papers = Papers::default();
        self.made.iter().for_each(|made| papers.append(&made.papers));
        papers
    }

    /// The files behind those that can be used.
    pub(super) fn papers_in_use(&self) -> Papers {
        let mut papers = Papers::default();
        let good = self.made.iter().filter(|made| made.config.is_ok());
        good.for_each(|made| papers.append(&made.papers));
        papers
    }
}

impl StagedConfigs {
    /// The files behind all of them.
    pub(super) fn papers(&self) -> Papers {
        let mut papers = Papers::default();
        self.made.values().for_each(|made| papers.append(&made.papers));
        papers
    }
}

fn make((tls, http): &Setting, shelf: &Shelf, old: Option<&Made>, in_use: Option<&Papers>) -> Made {
    let papers = match target_papers(tls, shelf) {
        Ok(papers) => Arc::new(papers),
        Err(error) => return Made { config: Err(error), papers: Arc::default() },
    };
    let config = match old.filter(|old| old.config.is_ok() && old.papers == papers) {
        Some(old) => old.config.clone(),
        None => papers
            .check_times(in_use, shelf.now(), true)
            .and_then(|()| target_config(tls, *http, shelf))
            .map(Arc::new),
    };
    Made { config, papers }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::routes::{MemorySources, load};

    #[test]
    fn banks_that_differ_in_their_name_alone_share_a_configuration() {
        let target = |id: &str, tls: &str| {
            format!("[[target]]\nid = '{id}'\nupstream = 'https://{id}.example'\ntls = {tls}\n")
        };
        let text = format!(
            "[gateway]\ninsecure_plain_listen = '127.0.0.1:0'\ninsecure_header_identity = true\n\
             [[api]]\ncontract = 'blink-fi'\n{}{}{}",
            target("A", "{ server_name = 'a.example' }"),
            target("B", "{ server_name = 'b.example' }"),
            target("C", "{ ca = 'ca.pem' }"),
        );
        let sources = MemorySources::default().file("routes.toml", &text).present("ca.pem");
        let table = load("routes.toml".as_ref(), &sources).unwrap().table;
        let setting = |id: &str| setting(&table.targets[id]).unwrap();
        assert!(setting("A") == setting("B") && setting("A") != setting("C"));
    }
}

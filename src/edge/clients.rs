//! The hub's TLS configurations towards banks, one for each different setting.
//!
//! This file decides that they are built once and shared by all workers, so that a session with a
//! bank resumes whichever worker dials. It must not know when a bank is dialled.

use std::sync::Arc;

use dashmap::DashMap;
use rustls::ClientConfig;

use super::tls::{TlsError, target_config};
use crate::routes::{Target, TargetTls, UpstreamHttp};

/// The configurations made so far.
#[derive(Debug, Default)]
pub(super) struct ClientConfigs {
    made: DashMap<(TargetTls, UpstreamHttp), Result<Arc<ClientConfig>, TlsError>>,
}

impl ClientConfigs {
    /// The configuration for a target. A broken one stays broken until the table is loaded anew.
    ///
    /// # Errors
    /// [`TlsError`] names the file.
    pub(super) fn get(&self, target: &Target) -> Result<Arc<ClientConfig>, TlsError> {
        let key = ((*target.tls).clone(), target.http);
        if let Some(made) = self.made.get(&key) {
            return made.clone();
        }
        let made = target_config(&target.tls, target.http).map(Arc::new);
        self.made.entry(key).or_insert(made).clone()
    }
}

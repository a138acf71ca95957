//! SIGHUP: the operator asks for a reload.

use tokio::signal::unix::{SignalKind, signal};

use super::{Cause, Reloader, Task};

/// Asks for a reload at each SIGHUP, for as long as the process lives.
pub(in crate::edge) async fn reload_on_hangup(reloader: Reloader) {
    let Ok(mut hangups) = signal(SignalKind::hangup()) else {
        tracing::error!("SIGHUP can't be received; ask the admin listener for a reload");
        return;
    };
    while hangups.recv().await.is_some() {
        // What comes of it is logged, and nobody waits for more.
        if let Err(error) = reloader.ask(Task::Reload, Cause::Signal) {
            tracing::error!(?error, "no reload");
        }
    }
}

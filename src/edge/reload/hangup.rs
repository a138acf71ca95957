//! SIGHUP: the operator asks for a reload.

use tokio::signal::unix::Signal;

use super::{Cause, Reloader, Task};
use crate::edge::notify;

/// Asks for a reload at each SIGHUP, for as long as the process lives. In a drain its manager is
/// told nothing of it: it was told of the end.
pub(in crate::edge) async fn reload_on_hangup(
    reloader: Reloader,
    mut hangups: Signal,
    is_leaving: impl Fn() -> bool,
) {
    while hangups.recv().await.is_some() {
        let tells = !is_leaving();
        if tells {
            notify::reloading();
        }
        match reloader.ask(Task::Reload, Cause::Signal) {
            // What comes of it is logged; systemd waits for no more than its end.
            Ok(report) => drop(report.await),
            Err(error) => tracing::error!(?error, "no reload"),
        }
        if tells {
            notify::ready();
        }
    }
}

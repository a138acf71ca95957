//! What systemd is told, where it has started us (`Type=notify`); nothing where it has not.
//!
//! This file decides the words (sd_notify(3)). It must not know what they are about.

use sd_notify::NotifyState;

/// It serves.
pub(super) fn ready() {
    tell(&[NotifyState::Ready]);
}

/// It reads its files; [`ready`] ends it.
pub(super) fn reloading() {
    match NotifyState::monotonic_usec_now() {
        Ok(now) => tell(&[NotifyState::Reloading, now]),
        Err(error) => tracing::warn!(%error, "systemd can't be told of a reload"),
    }
}

/// It ends, and nobody takes over.
pub(super) fn stopping() {
    tell(&[NotifyState::Stopping]);
}

/// That process is the service from now on.
pub(super) fn main_process(process: u32) {
    tell(&[NotifyState::MainPid(process)]);
}

/// It is alive.
pub(super) fn alive() {
    tell(&[NotifyState::Watchdog]);
}

fn tell(state: &[NotifyState<'_>]) {
    if let Err(error) = sd_notify::notify(state) {
        tracing::warn!(%error, "systemd can't be told");
    }
}

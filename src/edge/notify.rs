//! What systemd is told, where it has started us (`Type=notify`); nothing where it has not.
//!
//! This file decides the words (sd_notify(3)), and that a manager that does not listen holds nobody
//! up for long: its socket blocks when it is full. It must not know what they are about.

use std::sync::OnceLock;
use std::sync::mpsc::{SyncSender, sync_channel};
use std::time::Duration;

use sd_notify::NotifyState;

/// How long it is waited for: what systemd hears first decides whom it listens to.
const HEARD_MAX: Duration = Duration::from_secs(1);
/// Words that wait; what comes beyond is not said.
const WAITING_MAX: usize = 16;

/// It serves.
pub(super) fn ready() {
    tell(vec![NotifyState::Ready]);
}

/// It reads its files; [`ready`] ends it.
pub(super) fn reloading() {
    match NotifyState::monotonic_usec_now() {
        Ok(now) => tell(vec![NotifyState::Reloading, now]),
        Err(error) => tracing::warn!(%error, "systemd can't be told of a reload"),
    }
}

/// It ends, and nobody takes over.
pub(super) fn stopping() {
    tell(vec![NotifyState::Stopping]);
}

/// That process is the service from now on.
pub(super) fn main_process(process: u32) {
    tell(vec![NotifyState::MainPid(process)]);
}

/// It is alive.
pub(super) fn alive() {
    tell(vec![NotifyState::Watchdog]);
}

/// Something to say, and whom to tell when it was said.
type Word = (Vec<NotifyState<'static>>, SyncSender<()>);

/// Says it, after all that was said before.
fn tell(state: Vec<NotifyState<'static>>) {
    static SPEAKER: OnceLock<Option<SyncSender<Word>>> = OnceLock::new();
    if std::env::var_os("NOTIFY_SOCKET").is_none() {
        return;
    }
    let (said, heard) = sync_channel(1);
    let told = match SPEAKER.get_or_init(speaker) {
        Some(speaker) => speaker.try_send((state, said)).is_ok(),
        None => false,
    };
    if !told || heard.recv_timeout(HEARD_MAX).is_err() {
        tracing::warn!("systemd does not listen");
    }
}

/// The thread that speaks. Nobody waits for its end.
fn speaker() -> Option<SyncSender<Word>> {
    let (speaker, words) = sync_channel::<Word>(WAITING_MAX);
    let speaks = std::thread::Builder::new().name("notify".to_owned()).spawn(move || {
        for (state, said) in words {
            if let Err(error) = sd_notify::notify(&state) {
                tracing::warn!(%error, "systemd can't be told");
            }
            let _ = said.send(());
        }
    });
    speaks.ok().map(|_| speaker)
}

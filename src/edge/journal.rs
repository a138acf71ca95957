//! The journal of tokens: what is remembered of them lives longer than the process.
//!
//! In `state_dir` each process has a file of its own, which it appends to, and reads those of
//! others: what a process before left, and what one beside it writes (during an upgrade, both
//! serve). This file decides when what was left is taken over. A worker never waits for it: what
//! finds no room in the queue is lost and counted. It must not know what is remembered.

mod folder;
#[cfg(test)]
mod tests;
mod writer;

use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc::{SyncSender, sync_channel};
use std::thread::JoinHandle;
use std::time::{Duration, SystemTime};

use self::folder::Folder;
use self::writer::{Message, Writer};
use super::{StartError, now};
use crate::dialect::told::{Journal, Memory, Record};
use crate::routes::{Target, UnknownTokens};
use crate::snapshot::Snapshot;

/// Most changes that wait for the disk.
const WAITING_MAX: usize = 16_384;
/// How long a disk that hangs may hold up the end.
const STOP_PATIENCE: Duration = Duration::from_secs(2);

/// A memory whose changes are written down.
#[derive(Debug)]
pub(super) struct Kept {
    memory: Arc<Memory>,
    sender: SyncSender<Message>,
    thread: Option<JoinHandle<()>>,
}

/// The queue to the thread that writes.
#[derive(Debug)]
struct Queue {
    sender: SyncSender<Message>,
    lost: Arc<AtomicU64>,
}

impl Journal for Queue {
    fn note(&self, record: Record) {
        if self.sender.try_send(Message::Note(record)).is_err() {
            self.lost.fetch_add(1, Ordering::Relaxed);
        }
    }

    fn lost(&self) -> u64 {
        self.lost.load(Ordering::Relaxed)
    }
}

/// Reads what is kept in the table's `state_dir`, and keeps it on; nothing without one. A folder
/// that can't be used stops no start, unless a bank's unknown tokens are refused: then all that
/// are good would be unknown.
///
/// # Errors
/// [`StartError`] where the folder can't be used, and has to be.
pub(super) fn open(mut snapshot: Snapshot) -> Result<(Snapshot, Option<Kept>), StartError> {
    let table = &snapshot.table;
    let Some(place) = &table.gateway.state_dir else { return Ok((snapshot, None)) };
    let refuses = |target: &Arc<Target>| {
        target.translation.unknown_tokens == UnknownTokens::Refuse
            && target.dialect.registers_the_hub()
    };
    match keep(place) {
        Ok(kept) => {
            snapshot.memory = kept.memory.clone();
            Ok((snapshot, Some(kept)))
        }
        Err(error) if snapshot.table.targets.values().any(refuses) => Err(error),
        Err(error) => {
            tracing::error!(%error, "what is known of tokens is in memory only");
            Ok((snapshot, None))
        }
    }
}

fn keep(place: &Path) -> Result<Kept, StartError> {
    let folder = Folder::open(place)?;
    let failed =
        |error| StartError::new(format!("`state_dir` {} can't be used", place.display()), error);
    let unix_ms = unix_ms();
    let key = folder.key().map_err(failed)?;
    let memory = Arc::new(Memory::durable(&key, now(), unix_ms));
    let lost = Arc::new(AtomicU64::new(0));
    let writer = Writer::open(folder, memory.clone(), lost.clone(), unix_ms).map_err(failed)?;
    let (sender, messages) = sync_channel(WAITING_MAX);
    memory.keep_journal(Box::new(Queue { sender: sender.clone(), lost }));
    let thread = std::thread::Builder::new().name("journal".to_owned());
    let thread = thread.spawn(move || writer.run(&messages)).map_err(failed)?;
    tracing::info!(tokens = memory.len(), "what was remembered of tokens is taken over");
    Ok(Kept { memory, sender, thread: Some(thread) })
}

impl Drop for Kept {
    /// Writes the last changes. The workers are gone.
    fn drop(&mut self) {
        let Some(thread) = self.thread.take() else { return };
        let end = now() + STOP_PATIENCE;
        while !thread.is_finished() && now() < end {
            let _ = self.sender.try_send(Message::Stop);
            std::thread::sleep(Duration::from_millis(1));
        }
        if !thread.is_finished() {
            // A file system that hangs must not hold up the end.
            tracing::error!("the journal of tokens is not written to its end; it is left behind");
        } else if thread.join().is_err() {
            tracing::error!("the journal's thread panicked");
        }
    }
}

/// Milliseconds since 1970.
#[expect(clippy::disallowed_methods, reason = "the edge is where time is read")]
fn unix_ms() -> u64 {
    let since = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
    u64::try_from(since.as_millis()).unwrap_or(u64::MAX)
}

//! The access log's way to the disk: formatted by the worker, written by one thread.
//!
//! This file decides when lines leave a worker and what is dropped. It never blocks a worker: when
//! the disk can't follow, whole chunks are dropped and their lines counted. It must not know what a
//! line says.

use std::cell::RefCell;
use std::fs::{File, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc::{Receiver, SyncSender, TrySendError, sync_channel};
use std::thread::JoinHandle;
use std::time::Duration;

use super::now;
use crate::routes::AccessLog;

/// Lines leave a worker when there is so much of them, or at its next tick.
const CHUNK_BYTES: usize = 32 * 1024;
/// How often the writer looks whether the file was rotated away.
const ROTATION_CHECK: Duration = Duration::from_secs(1);

/// What the writer and the workers count.
#[derive(Debug, Default)]
pub(super) struct LogCounters {
    /// Lines that reached the file.
    pub written: AtomicU64,
    /// Lines that were dropped: the queue was full, or the disk was.
    pub dropped: AtomicU64,
}

/// Where workers send their lines.
#[derive(Debug, Clone)]
pub(super) struct LogSender {
    queue: SyncSender<Chunk>,
    counters: Arc<LogCounters>,
}

#[derive(Debug)]
struct Chunk {
    bytes: Vec<u8>,
    lines: u64,
}

/// One worker's lines, not yet sent.
#[derive(Debug)]
pub(super) struct LogBuffer {
    sender: Option<LogSender>,
    chunk: RefCell<Chunk>,
}

/// Starts the writer.
///
/// # Errors
/// The file can't be opened.
pub(super) fn start(
    log: &AccessLog,
    counters: Arc<LogCounters>,
) -> io::Result<(LogSender, JoinHandle<()>)> {
    let sink = match &log.path {
        Some(path) => Sink::open(path)?,
        None => Sink::Stdout,
    };
    let (queue, chunks) = sync_channel((log.buffer_bytes_max / CHUNK_BYTES).max(1));
    let writer = Writer { sink, counters: counters.clone(), torn: false };
    let thread = std::thread::Builder::new()
        .name("access-log".to_owned())
        .spawn(move || writer.run(&chunks))?;
    Ok((LogSender { queue, counters }, thread))
}

impl LogBuffer {
    /// An empty buffer; without a sender, lines are not even formatted.
    pub(super) fn new(sender: Option<LogSender>) -> Self {
        Self { sender, chunk: RefCell::new(Chunk { bytes: Vec::new(), lines: 0 }) }
    }

    /// Lets `write` add one line.
    pub(super) fn line(&self, write: impl FnOnce(&mut Vec<u8>)) {
        if self.sender.is_none() {
            return;
        }
        let full = {
            let mut chunk = self.chunk.borrow_mut();
            write(&mut chunk.bytes);
            chunk.lines += 1;
            chunk.bytes.len() >= CHUNK_BYTES
        };
        if full {
            self.flush();
        }
    }

    /// Sends what there is.
    pub(super) fn flush(&self) {
        let Some(sender) = &self.sender else { return };
        let mut chunk = self.chunk.borrow_mut();
        if chunk.lines == 0 {
            return;
        }
        let empty = Chunk { bytes: Vec::with_capacity(CHUNK_BYTES + CHUNK_BYTES / 8), lines: 0 };
        let full = std::mem::replace(&mut *chunk, empty);
        match sender.queue.try_send(full) {
            Ok(()) => {}
            Err(TrySendError::Full(lost) | TrySendError::Disconnected(lost)) => {
                sender.counters.dropped.fetch_add(lost.lines, Ordering::Relaxed);
            }
        }
    }
}

impl Drop for LogBuffer {
    fn drop(&mut self) {
        self.flush();
    }
}

#[derive(Debug)]
enum Sink {
    Stdout,
    File { path: PathBuf, file: File, inode: u64 },
}

impl Sink {
    fn open(path: &Path) -> io::Result<Self> {
        let file = OpenOptions::new().create(true).append(true).open(path)?;
        let inode = file.metadata()?.ino();
        Ok(Self::File { path: path.to_owned(), file, inode })
    }

    /// A log that was rotated away is opened anew: by its name, so that no signal is needed.
    fn follow_rotation(&mut self) {
        if let Self::File { path, inode, .. } = self
            && std::fs::metadata(&*path).map_or(true, |now| now.ino() != *inode)
            && let Ok(fresh) = Self::open(path)
        {
            *self = fresh;
        }
    }

    fn write_all(&mut self, bytes: &[u8]) -> io::Result<()> {
        match self {
            Self::Stdout => io::stdout().lock().write_all(bytes),
            Self::File { file, .. } => file.write_all(bytes),
        }
    }
}

struct Writer {
    sink: Sink,
    counters: Arc<LogCounters>,
    /// The last write failed half way: a line may be cut, and the next one needs a fresh start.
    torn: bool,
}

impl Writer {
    fn run(mut self, chunks: &Receiver<Chunk>) {
        let mut looked = now();
        while let Ok(chunk) = chunks.recv() {
            if now().saturating_duration_since(looked) >= ROTATION_CHECK {
                looked = now();
                self.sink.follow_rotation();
            }
            if self.torn && self.sink.write_all(b"\n").is_ok() {
                self.torn = false;
            }
            let written = !self.torn && self.sink.write_all(&chunk.bytes).is_ok();
            self.torn = !written;
            let counter = if written { &self.counters.written } else { &self.counters.dropped };
            counter.fetch_add(chunk.lines, Ordering::Relaxed);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_reach_the_file_and_a_rotated_one_is_followed() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("access.log");
        let log = AccessLog { path: Some(path.clone()), buffer_bytes_max: 1 << 20 };
        let counters = Arc::new(LogCounters::default());
        let (sender, thread) = start(&log, counters.clone()).unwrap();
        let buffer = LogBuffer::new(Some(sender));
        buffer.line(|out| out.extend_from_slice(b"one\n"));
        buffer.flush();
        while counters.written.load(Ordering::Relaxed) < 1 {
            std::thread::yield_now();
        }
        std::fs::rename(&path, folder.path().join("access.log.1")).unwrap();
        std::thread::sleep(ROTATION_CHECK);
        buffer.line(|out| out.extend_from_slice(b"two\n"));
        drop(buffer);
        thread.join().unwrap();
        assert_eq!(std::fs::read_to_string(path).unwrap(), "two\n");
    }

    #[test]
    fn a_full_disk_drops_and_counts() {
        let log = AccessLog { path: Some("/dev/full".into()), buffer_bytes_max: 1 << 20 };
        let counters = Arc::new(LogCounters::default());
        let (sender, thread) = start(&log, counters.clone()).unwrap();
        let buffer = LogBuffer::new(Some(sender));
        buffer.line(|out| out.extend_from_slice(b"lost\n"));
        drop(buffer);
        thread.join().unwrap();
        assert_eq!(counters.dropped.load(Ordering::Relaxed), 1);
        assert_eq!(counters.written.load(Ordering::Relaxed), 0);
    }
}

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

use crate::routes::AccessLog;

/// Lines leave a worker when there is so much of them, or at its next tick.
const CHUNK_BYTES: usize = 32 * 1024;

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
    let writer = Writer { sink, counters: counters.clone(), torn: false, losing: false };
    let thread = std::thread::Builder::new()
        .name("access-log".to_owned())
        .spawn(move || writer.run(&chunks))?;
    Ok((LogSender { queue, counters }, thread))
}

impl LogSender {
    /// Ends the writer once it has written what was sent before; what is sent later is lost, and
    /// counted.
    pub(super) fn end(&self) {
        // A chunk without lines is sent by nobody else. It waits for its turn as long as the disk
        // takes.
        let _ = self.queue.send(Chunk { bytes: Vec::new(), lines: 0 });
    }
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

    /// The log that was opened anew, if it was rotated away: found by its name, so that no signal
    /// is needed.
    fn after_rotation(&self) -> Option<Self> {
        let Self::File { path, inode, .. } = self else { return None };
        let rotated = std::fs::metadata(path).map_or(true, |now| now.ino() != *inode);
        if rotated { Self::open(path).ok() } else { None }
    }

    /// Writes as much as there is room for; how many bytes, and what stopped it.
    fn write(&mut self, mut bytes: &[u8]) -> (usize, io::Result<()>) {
        let all = bytes.len();
        while !bytes.is_empty() {
            let written = match self {
                Self::Stdout => {
                    let mut out = io::stdout().lock();
                    // What stays in its buffer could be lost without a word.
                    out.write(bytes).and_then(|count| out.flush().map(|()| count))
                }
                Self::File { file, .. } => file.write(bytes),
            };
            match written {
                Ok(0) => return (all - bytes.len(), Err(io::ErrorKind::WriteZero.into())),
                Ok(count) => bytes = bytes.get(count..).unwrap_or_default(),
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return (all - bytes.len(), Err(error)),
            }
        }
        (all, Ok(()))
    }
}

struct Writer {
    sink: Sink,
    counters: Arc<LogCounters>,
    /// The last write ended within a line, and the next one needs a fresh start.
    torn: bool,
    /// The last lines were lost.
    losing: bool,
}

impl Writer {
    fn run(mut self, chunks: &Receiver<Chunk>) {
        while let Ok(chunk) = chunks.recv() {
            if chunk.lines == 0 {
                return;
            }
            // Each time: a rotated file may be packed away at once, and what came later with it.
            if let Some(fresh) = self.sink.after_rotation() {
                self.sink = fresh;
                self.torn = false;
            }
            let (written, outcome) = self.write(&chunk.bytes);
            self.tell(outcome);
            let lines = if written == chunk.bytes.len() {
                chunk.lines
            } else {
                let written = chunk.bytes.get(..written).unwrap_or_default();
                memchr::memchr_iter(b'\n', written).count() as u64
            };
            self.counters.written.fetch_add(lines, Ordering::Relaxed);
            self.counters.dropped.fetch_add(chunk.lines.saturating_sub(lines), Ordering::Relaxed);
        }
    }

    fn write(&mut self, bytes: &[u8]) -> (usize, io::Result<()>) {
        if self.torn {
            if let (0, outcome) = self.sink.write(b"\n") {
                return (0, outcome);
            }
            self.torn = false;
        }
        let (written, outcome) = self.sink.write(bytes);
        let before = written.checked_sub(1).and_then(|last| bytes.get(last));
        self.torn = before.is_some_and(|byte| *byte != b'\n');
        (written, outcome)
    }

    /// Tells the operator once that lines are lost, and once that they are not any more.
    fn tell(&mut self, outcome: io::Result<()>) {
        match outcome {
            Err(error) if !self.losing => {
                tracing::error!(%error, "access lines are lost; calls go on");
                self.losing = true;
            }
            Ok(()) if self.losing => {
                let lost = self.counters.dropped.load(Ordering::Relaxed);
                tracing::warn!(lost, "access lines are written again");
                self.losing = false;
            }
            _ => {}
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

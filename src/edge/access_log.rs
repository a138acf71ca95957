//! The access log's way to the disk: formatted by the worker, written by one thread.
//!
//! This file decides when lines leave a worker and what is dropped. It never blocks a worker: when
//! the disk can't follow, whole chunks are dropped and their lines counted. It must not know what a
//! line says.

mod sink;

use std::cell::RefCell;
use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::thread::JoinHandle;
use std::time::Duration;

use self::sink::Sink;
use super::line_queue::{Chunk, LineReceiver, LineSender, Message, line_queue};
use crate::routes::AccessLog;

/// Lines leave a worker when there is so much of them, or at its next tick.
const CHUNK_BYTES: usize = 32 * 1024;
/// How long the end waits for a writer that does not get on, and how long at most: with the default
/// drain it stays below the 40 s after which packaging/corgate.service kills.
const END_STALLED: Duration = Duration::from_secs(2);
const END_MAX: Duration = Duration::from_secs(5);

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
    queue: LineSender,
    counters: Arc<LogCounters>,
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
        None => Sink::stdout()?,
    };
    let (queue, chunks) = line_queue(log.buffer_bytes_max);
    let writer =
        Writer { sink, counters: counters.clone(), torn: false, losing: false, stuck: false };
    let thread = std::thread::Builder::new()
        .name("access-log".to_owned())
        .spawn(move || writer.run(&chunks))?;
    Ok((LogSender { queue, counters }, thread))
}

impl LogSender {
    /// Ends the writer once it has written what was sent before. What it does not get written in
    /// time is lost, and so is what is sent later; both are counted.
    pub(super) fn end(&self, writer: JoinHandle<()>) {
        let lost = self.queue.end(writer, END_STALLED, END_MAX);
        if lost > 0 {
            self.counters.dropped.fetch_add(lost, Ordering::Relaxed);
            tracing::error!(lost, "access lines are lost: nobody took them before the end");
        }
    }

    /// Has the file opened anew.
    pub(super) fn reopen(&self) {
        self.queue.reopen();
    }
}

impl LogBuffer {
    /// An empty buffer; without a sender, lines are not even formatted.
    pub(super) fn new(sender: Option<LogSender>) -> Self {
        Self { sender, chunk: RefCell::default() }
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
        let lines = std::mem::take(&mut chunk.lines);
        let bytes = if chunk.bytes.len() >= CHUNK_BYTES / 2 {
            let fresh = Vec::with_capacity(CHUNK_BYTES + CHUNK_BYTES / 8);
            std::mem::replace(&mut chunk.bytes, fresh)
        } else {
            // A few lines of a quiet worker: they take the room that they need, and no more.
            let few = chunk.bytes.as_slice().to_vec();
            chunk.bytes.clear();
            few
        };
        if let Err(lost) = sender.queue.send(Chunk { bytes, lines }) {
            sender.counters.dropped.fetch_add(lost.lines, Ordering::Relaxed);
        }
    }
}

impl Drop for LogBuffer {
    fn drop(&mut self) {
        self.flush();
    }
}

struct Writer {
    sink: Sink,
    counters: Arc<LogCounters>,
    /// The last write ended within a line, and the next one needs a fresh start.
    torn: bool,
    /// The last lines were lost.
    losing: bool,
    /// A new file could not be opened, and the old one is written on.
    stuck: bool,
}

impl Writer {
    fn run(mut self, chunks: &LineReceiver) {
        while let Some(message) = chunks.next() {
            match message {
                Message::End => return,
                Message::Reopen => self.follow(true),
                Message::Lines(chunk) => {
                    // Each time: a rotated file may be packed away at once, and what came later
                    // with it.
                    self.follow(false);
                    self.write_chunk(&chunk);
                }
            }
        }
    }

    /// Opens the file anew where it was rotated away, or where somebody asks for it.
    fn follow(&mut self, asked: bool) {
        match self.sink.after_rotation(asked) {
            Ok(None) => self.stuck = false,
            Ok(Some(fresh)) => {
                self.sink = fresh;
                (self.torn, self.stuck) = (false, false);
            }
            // The old file is written on, under whatever name it has.
            Err(error) => {
                if !std::mem::replace(&mut self.stuck, true) || asked {
                    tracing::error!(
                        %error,
                        "the access log can't be opened anew: lines go to the file before"
                    );
                }
            }
        }
    }

    fn write_chunk(&mut self, chunk: &Chunk) {
        let (written, outcome) = if self.stuck && self.sink.is_deleted() {
            // Nobody will read what is written there.
            (0, Err(io::Error::new(io::ErrorKind::NotFound, "the file before is deleted")))
        } else {
            self.write(&chunk.bytes)
        };
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

    fn written(counters: &LogCounters, count: u64) {
        while counters.written.load(Ordering::Relaxed) < count {
            std::thread::yield_now();
        }
    }

    #[test]
    fn a_rotated_file_whose_successor_can_not_be_opened_is_written_on() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("access.log");
        let log = AccessLog { path: Some(path.clone()), buffer_bytes_max: 1 << 20 };
        let counters = Arc::new(LogCounters::default());
        let (sender, thread) = start(&log, counters.clone()).unwrap();
        let buffer = LogBuffer::new(Some(sender.clone()));
        let line = |text: &'static str| {
            buffer.line(|out| out.extend_from_slice(text.as_bytes()));
            buffer.flush();
        };
        let old = folder.path().join("access.log.1");
        std::fs::rename(&path, &old).unwrap();
        // Nobody can open a folder for writing, root neither.
        std::fs::create_dir(&path).unwrap();
        line("one\n");
        written(&counters, 1);
        assert_eq!(std::fs::read_to_string(&old).unwrap(), "one\n");
        // Deleted: what went there would be lost, and is counted so.
        std::fs::remove_file(&old).unwrap();
        line("lost\n");
        while counters.dropped.load(Ordering::Relaxed) < 1 {
            std::thread::yield_now();
        }
        std::fs::remove_dir(&path).unwrap();
        line("two\n");
        drop(buffer);
        sender.end(thread);
        assert_eq!(std::fs::read_to_string(&path).unwrap(), "two\n");
        assert_eq!(counters.written.load(Ordering::Relaxed), 2);
        assert_eq!(counters.dropped.load(Ordering::Relaxed), 1);
    }

    #[test]
    fn a_rotated_file_whose_successor_is_a_pipe_that_nobody_reads_is_written_on() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("access.log");
        let log = AccessLog { path: Some(path.clone()), buffer_bytes_max: 1 << 20 };
        let counters = Arc::new(LogCounters::default());
        let (sender, thread) = start(&log, counters.clone()).unwrap();
        let old = folder.path().join("access.log.1");
        std::fs::rename(&path, &old).unwrap();
        mkfifo(&path);
        let buffer = LogBuffer::new(Some(sender.clone()));
        buffer.line(|out| out.extend_from_slice(b"one\n"));
        drop(buffer);
        sender.reopen();
        sender.end(thread);
        assert_eq!(std::fs::read_to_string(&old).unwrap(), "one\n");
    }

    #[test]
    fn a_pipe_that_nobody_reads_is_no_access_log() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("pipe");
        mkfifo(&path);
        let log = AccessLog { path: Some(path), buffer_bytes_max: 1 << 20 };
        let error = start(&log, Arc::default()).unwrap_err().to_string();
        assert!(error.contains("nobody reads"), "{error}");
    }

    fn mkfifo(path: &std::path::Path) {
        let made = std::process::Command::new("mkfifo").arg(path).status().unwrap();
        assert!(made.success());
    }

    #[test]
    fn small_chunks_of_a_disk_that_does_not_follow_fill_the_whole_buffer() {
        const BUFFER: usize = 1 << 20;
        let (queue, _nobody_takes_them) = line_queue(BUFFER);
        let counters = Arc::new(LogCounters::default());
        let sender = LogSender { queue, counters: counters.clone() };
        let buffer = LogBuffer::new(Some(sender));
        let line = [b'x'; 400];
        let mut sent = 0;
        while counters.dropped.load(Ordering::Relaxed) == 0 {
            buffer.line(|out| out.extend_from_slice(&line));
            buffer.flush();
            sent += line.len();
        }
        assert!(sent > BUFFER / 2, "{sent} of {BUFFER} bytes");
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

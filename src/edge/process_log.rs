//! The process log: to standard error, through one writer, and one line for a cause.
//!
//! This file decides that nobody waits for whoever reads it. Lines go into a queue that is bounded;
//! what finds no room is dropped and counted, and so is what would say again what was said just
//! before (`limit`). It must not know what a line says.

mod limit;

use std::fs::File;
use std::io::{self, Write};
use std::os::fd::AsFd as _;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc::RecvTimeoutError;
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use tracing_subscriber::fmt::MakeWriter;

pub use self::limit::{LineLimit, REPEAT_REST};
use super::line_queue::{Chunk, LineReceiver, LineSender, Message, line_queue};
use super::now;

/// What may wait for whoever reads standard error.
const BUFFER_BYTES_MAX: usize = 1024 * 1024;
/// How long the end waits for a reader that does not read, and for one that does.
const END_STALLED: Duration = Duration::from_millis(500);
const END_MAX: Duration = Duration::from_secs(1);

/// What became of lines. The process has one log, and so one of these.
#[derive(Debug)]
pub(super) struct Counts {
    /// Lines that were written.
    pub(super) written: AtomicU64,
    /// Lines that found no room, or could not be written.
    pub(super) dropped: AtomicU64,
    /// Lines that would have said again what was just said.
    pub(super) repeated: AtomicU64,
}

pub(super) static COUNTS: Counts =
    Counts { written: AtomicU64::new(0), dropped: AtomicU64::new(0), repeated: AtomicU64::new(0) };

/// The writer's thread, until the process ends.
#[derive(Debug)]
pub struct ProcessLog {
    lines: Lines,
    writer: JoinHandle<()>,
}

/// Where lines are put in. Clones are the same.
#[derive(Debug, Clone)]
pub struct Lines(LineSender);

/// One line on its way into the queue.
#[derive(Debug)]
pub struct Line<'l>(&'l Lines);

impl ProcessLog {
    /// Starts the writer to standard error. From now on a panic is a line of the log, too: what
    /// the library would write of it would wait for a reader.
    ///
    /// # Errors
    /// There is no standard error, or no thread.
    pub fn start() -> io::Result<Self> {
        // Past the library's lock on it: who waits for that one can't end.
        let out = File::from(io::stderr().as_fd().try_clone_to_owned()?);
        let (queue, lines) = line_queue(BUFFER_BYTES_MAX);
        let writer = Writer { out, told: (0, 0), told_at: now() };
        let writer = std::thread::Builder::new()
            .name("process-log".to_owned())
            .spawn(move || writer.run(&lines))?;
        std::panic::set_hook(Box::new(|panic| {
            let thread = std::thread::current();
            let trace = std::backtrace::Backtrace::capture();
            let trace = match trace.status() {
                std::backtrace::BacktraceStatus::Captured => trace.to_string(),
                _ => String::new(),
            };
            let name = thread.name().unwrap_or_default();
            tracing::error!(thread = name, %panic, trace, "a thread panicked");
        }));
        Ok(Self { lines: Lines(queue), writer })
    }

    /// Where lines are put in.
    pub fn lines(&self) -> Lines {
        self.lines.clone()
    }

    /// Writes what waits, and a last word; neither is waited for longer than a second.
    pub fn end(self, last_word: &str) {
        let Self { lines: Lines(queue), writer } = self;
        if !last_word.is_empty() {
            queue.send_last(Chunk { bytes: last_word.as_bytes().to_vec(), lines: 1 });
        }
        queue.end(writer, END_STALLED, END_MAX);
    }
}

impl<'l> MakeWriter<'l> for Lines {
    type Writer = Line<'l>;

    fn make_writer(&'l self) -> Self::Writer {
        Line(self)
    }
}

impl Write for Line<'_> {
    /// Takes the line, whatever becomes of it. A subscriber writes each in one piece.
    fn write(&mut self, line: &[u8]) -> io::Result<usize> {
        if self.0.0.send(Chunk { bytes: line.to_vec(), lines: 1 }).is_err() {
            COUNTS.dropped.fetch_add(1, Ordering::Relaxed);
        }
        Ok(line.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

struct Writer {
    out: File,
    /// How many dropped and repeated lines the operator was told of, and when.
    told: (u64, u64),
    told_at: Instant,
}

impl Writer {
    fn run(mut self, lines: &LineReceiver) {
        loop {
            match lines.next_within(REPEAT_REST) {
                Ok(Message::Lines(chunk)) => self.write(&chunk),
                Ok(Message::End) | Err(RecvTimeoutError::Disconnected) => return,
                Ok(Message::Reopen) | Err(RecvTimeoutError::Timeout) => {}
            }
            if now().saturating_duration_since(self.told_at) >= REPEAT_REST {
                self.tell();
            }
        }
    }

    fn write(&mut self, chunk: &Chunk) {
        let count = match self.out.write_all(&chunk.bytes) {
            Ok(()) => &COUNTS.written,
            Err(_) => &COUNTS.dropped,
        };
        count.fetch_add(chunk.lines, Ordering::Relaxed);
    }

    /// Says how many lines there were besides, now that there is room.
    fn tell(&mut self) {
        let load = |count: &AtomicU64| count.load(Ordering::Relaxed);
        let now_at = (load(&COUNTS.dropped), load(&COUNTS.repeated));
        let (lost, repeated) = (now_at.0 - self.told.0, now_at.1 - self.told.1);
        if lost > 0 {
            tracing::warn!(lost, "lines of this log were lost: nobody took them");
        }
        if repeated > 0 {
            tracing::warn!(repeated, "lines that said the same again were left out");
        }
        (self.told, self.told_at) = (now_at, now());
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_nobody_takes_is_dropped_and_nobody_waits() {
        let (queue, _nobody) = line_queue(2_000);
        let lines = Lines(queue);
        let before = COUNTS.dropped.load(Ordering::Relaxed);
        for _ in 0..100 {
            assert_eq!(lines.make_writer().write(&[b'x'; 100]).unwrap(), 100);
        }
        assert!(COUNTS.dropped.load(Ordering::Relaxed) - before >= 90);
    }
}

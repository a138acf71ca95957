//! A queue of lines on their way to a file: bounded in bytes, and nobody waits to get in.
//!
//! This file decides what there is room for, and how long an end may take. It must not know what a
//! line says nor where it goes. Whoever writes may be held up by a pipe that nobody reads or a disk
//! that hangs, so who puts lines in never waits for it, and neither does the end of the process.

use std::cell::Cell;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender, channel};
use std::thread::JoinHandle;
use std::time::Duration;

use super::now;

/// What a chunk takes besides its bytes.
const CHUNK_COST: usize = 128;
/// How often it is looked whether the writer has ended.
const LOOK: Duration = Duration::from_millis(5);

/// Some whole lines.
#[derive(Debug, Default)]
pub(super) struct Chunk {
    pub(super) bytes: Vec<u8>,
    pub(super) lines: u64,
}

impl Chunk {
    fn cost(&self) -> usize {
        self.bytes.capacity().saturating_add(CHUNK_COST)
    }
}

/// What the writer is told.
#[derive(Debug)]
pub(super) enum Message {
    Lines(Chunk),
    /// The file is to be opened anew.
    Reopen,
    /// Nothing more comes.
    End,
}

/// How much waits, in the queue and in the writer's hand.
#[derive(Debug, Default)]
struct Waiting {
    bytes: AtomicUsize,
    lines: AtomicU64,
    /// Chunks that the writer is done with.
    done: AtomicU64,
}

/// The end where lines are put in. Clones are the same.
#[derive(Debug, Clone)]
pub(super) struct LineSender {
    queue: Sender<Message>,
    waiting: Arc<Waiting>,
    bytes_max: usize,
}

/// The writer's end.
#[derive(Debug)]
pub(super) struct LineReceiver {
    queue: Receiver<Message>,
    waiting: Arc<Waiting>,
    /// What the chunk that was given last took.
    given: Cell<(usize, u64)>,
}

/// A queue that holds so many bytes.
pub(super) fn line_queue(bytes_max: usize) -> (LineSender, LineReceiver) {
    let (sender, receiver) = channel();
    let waiting = Arc::new(Waiting::default());
    let given = Cell::default();
    let receiver = LineReceiver { queue: receiver, waiting: waiting.clone(), given };
    (LineSender { queue: sender, waiting, bytes_max }, receiver)
}

impl LineSender {
    /// Puts lines in, if there is room for them and somebody who takes them; gives them back if
    /// not.
    pub(super) fn send(&self, chunk: Chunk) -> Result<(), Chunk> {
        let cost = chunk.cost();
        let room = |bytes: usize| bytes.checked_add(cost).filter(|sum| *sum <= self.bytes_max);
        let bytes = &self.waiting.bytes;
        if bytes.fetch_update(Ordering::Relaxed, Ordering::Relaxed, room).is_err() {
            return Err(chunk);
        }
        self.put(chunk)
    }

    /// Puts lines in though there may be no room: the last ones.
    pub(super) fn send_last(&self, chunk: Chunk) {
        self.waiting.bytes.fetch_add(chunk.cost(), Ordering::Relaxed);
        let _ = self.put(chunk);
    }

    fn put(&self, chunk: Chunk) -> Result<(), Chunk> {
        self.waiting.lines.fetch_add(chunk.lines, Ordering::Relaxed);
        self.queue.send(Message::Lines(chunk)).map_err(|refused| match refused.0 {
            Message::Lines(chunk) => chunk,
            Message::Reopen | Message::End => Chunk::default(),
        })
    }

    /// Asks the writer to open its file anew.
    pub(super) fn reopen(&self) {
        let _ = self.queue.send(Message::Reopen);
    }

    /// Ends the writer once it has written what was sent before, and waits for that: not longer
    /// than `stalled` without a chunk that gets away, and not longer than `most`. Says how many
    /// lines it left behind.
    pub(super) fn end(&self, writer: JoinHandle<()>, stalled: Duration, most: Duration) -> u64 {
        let _ = self.queue.send(Message::End);
        let begun = now();
        let (mut done, mut moved) = (self.done(), begun);
        while !writer.is_finished() {
            let now = now();
            if self.done() != done {
                (done, moved) = (self.done(), now);
            }
            let since = |then| now.saturating_duration_since(then);
            if since(moved) > stalled || since(begun) > most {
                // It is left behind: what holds it up may do so for ever.
                return self.waiting.lines.load(Ordering::Relaxed);
            }
            std::thread::sleep(LOOK);
        }
        if writer.join().is_err() {
            tracing::error!("a thread that writes a log panicked");
        }
        0
    }

    fn done(&self) -> u64 {
        self.waiting.done.load(Ordering::Relaxed)
    }
}

impl LineReceiver {
    /// What comes next; the chunk before is done with. `None` when nobody is left who could send.
    pub(super) fn next(&self) -> Option<Message> {
        self.settle();
        self.queue.recv().ok().inspect(|message| self.note(message))
    }

    /// The same, or [`RecvTimeoutError::Timeout`] when nothing comes in that time.
    pub(super) fn next_within(&self, time: Duration) -> Result<Message, RecvTimeoutError> {
        self.settle();
        self.queue.recv_timeout(time).inspect(|message| self.note(message))
    }

    fn note(&self, message: &Message) {
        if let Message::Lines(chunk) = message {
            self.given.set((chunk.cost(), chunk.lines));
        }
    }

    fn settle(&self) {
        let (cost, lines) = self.given.take();
        if cost > 0 {
            self.waiting.bytes.fetch_sub(cost, Ordering::Relaxed);
            self.waiting.lines.fetch_sub(lines, Ordering::Relaxed);
            self.waiting.done.fetch_add(1, Ordering::Relaxed);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn chunk(bytes: usize) -> Chunk {
        Chunk { bytes: vec![b'x'; bytes], lines: 1 }
    }

    #[test]
    fn bytes_are_counted_and_not_chunks() {
        let (sender, receiver) = line_queue(100_000);
        // Small ones, as a quiet worker sends them: hundreds find room.
        for _ in 0..400 {
            sender.send(chunk(100)).unwrap();
        }
        assert_eq!(sender.send(chunk(20_000)).unwrap_err().bytes.len(), 20_000);
        for _ in 0..400 {
            assert!(matches!(receiver.next(), Some(Message::Lines(_))));
        }
        // The last one is in the writer's hand still.
        assert!(sender.send(chunk(100_000 - CHUNK_COST)).is_err());
        assert!(receiver.next_within(Duration::ZERO).is_err());
        sender.send(chunk(100_000 - CHUNK_COST)).unwrap();
        assert!(sender.send(chunk(1)).is_err());
    }

    #[test]
    fn a_writer_that_hangs_is_left_behind_with_what_it_has() {
        let (sender, receiver) = line_queue(1_000_000);
        let (release, held) = channel::<()>();
        let writer = std::thread::spawn(move || {
            let _first = receiver.next();
            let _ = held.recv();
        });
        for _ in 0..3 {
            sender.send(chunk(10)).unwrap();
        }
        let (stalled, most) = (Duration::from_millis(50), Duration::from_secs(60));
        assert_eq!(sender.end(writer, stalled, most), 3);
        drop(release);
    }

    #[test]
    fn without_a_writer_lines_come_back() {
        let (sender, receiver) = line_queue(1_000_000);
        drop(receiver);
        assert_eq!(sender.send(chunk(10)).unwrap_err().lines, 1);
    }
}

//! What a connection's socket, its driver and its exchanges tell each other.
//!
//! This file decides what a connection counts as waiting for, and when it owes its peer something.
//! It must not know what requests mean, or how a connection is ended.

use std::cell::{Cell, RefCell};
use std::rc::Rc;
use std::task::{Context, Waker};

use tokio::time::Instant;

use super::cut::Cut;
use super::flights::Owed;
use crate::fault::Fault;

/// What a connection waits for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Phase {
    /// The first byte of a request.
    Idle,
    /// The rest of a head.
    Head,
    /// An exchange is under way; its own deadlines hold.
    Busy,
}

/// What the guard, the driver of the connection and its exchanges tell each other.
#[derive(Debug)]
pub(super) struct Progress {
    phase: Cell<Phase>,
    since: Cell<Instant>,
    /// Whether a request ever came.
    asked: Cell<bool>,
    /// Whether the peer has ended its side of the connection.
    half_closed: Cell<bool>,
    /// Set when the deadline moved closer than the one that the driver last saw.
    hurry: Cell<bool>,
    in_flight: Cell<u32>,
    /// Whether a part of a head waits for the rest.
    head_begun: Cell<bool>,
    fault: RefCell<Option<Fault>>,
    /// Whether bytes of an answer may still be on their way to the socket.
    unwritten: Cell<bool>,
    /// Whoever waits for the answers under way to be gone.
    waits: RefCell<Option<Waker>>,
    /// HTTP/2 streams whose answer is not at its end.
    streams: Cell<u32>,
    /// Answers that the HTTP/2 library gave by itself.
    bare_answers: Cell<u32>,
    /// Whether an answer went out to its end since this was last asked.
    ended: Cell<bool>,
    cut: Cell<Option<Cut>>,
    pub(super) owed: Owed,
}

impl Progress {
    pub(super) fn new(now: Instant) -> Rc<Self> {
        Rc::new(Self {
            phase: Cell::new(Phase::Idle),
            since: Cell::new(now),
            asked: Cell::new(false),
            half_closed: Cell::new(false),
            hurry: Cell::new(false),
            in_flight: Cell::new(0),
            head_begun: Cell::new(false),
            fault: RefCell::new(None),
            unwritten: Cell::new(false),
            waits: RefCell::new(None),
            streams: Cell::new(0),
            bare_answers: Cell::new(0),
            ended: Cell::new(false),
            cut: Cell::new(None),
            owed: Owed::default(),
        })
    }

    /// What the connection waits for, and since when.
    pub(super) fn phase(&self) -> (Phase, Instant) {
        let phase = if self.in_flight.get() > 0 { Phase::Busy } else { self.phase.get() };
        (phase, self.since.get())
    }

    /// Whether the driver has to look at its timer again.
    pub(super) fn take_hurry(&self) -> bool {
        self.hurry.replace(false)
    }

    /// An exchange begins.
    pub(super) fn begin(&self) {
        self.asked.set(true);
        self.in_flight.set(self.in_flight.get() + 1);
    }

    /// An exchange ended; the connection may be idle from now on.
    pub(super) fn end(&self, now: Instant) {
        self.in_flight.set(self.in_flight.get().saturating_sub(1));
        // The next head may have begun while this exchange was under way: its time starts now.
        let begun = self.in_flight.get() == 0 && self.head_begun.get();
        self.enter(if begun { Phase::Head } else { Phase::Idle }, now);
        self.hurry.set(self.hurry.get() || begun);
        self.wake();
    }

    /// Whether an answer is owed, or not all of it is written. A last word would get between its
    /// bytes.
    pub(super) fn owes(&self) -> bool {
        self.in_flight.get() > 0 || self.unwritten.get()
    }

    /// Whether an answer is done and its client has not taken all of it: bytes wait for the socket,
    /// or a stream waits for its window.
    pub(super) fn is_untaken(&self) -> bool {
        self.unwritten.get() || self.streams.get() > self.in_flight.get()
    }

    /// So many HTTP/2 streams wait for their answer's end.
    pub(super) fn set_streams(&self, streams: usize) {
        self.streams.set(u32::try_from(streams).unwrap_or(u32::MAX));
    }

    /// An answer went out to its end.
    pub(super) fn note_end(&self) {
        self.ended.set(true);
    }

    /// Whether one did since this was last asked.
    pub(super) fn take_end(&self) -> bool {
        self.ended.take()
    }

    /// The library answered by itself.
    pub(super) fn add_bare_answers(&self, count: u32) {
        self.bare_answers.set(self.bare_answers.get() + count);
    }

    /// How often it did so since this was last asked.
    pub(super) fn take_bare_answers(&self) -> u32 {
        self.bare_answers.take()
    }

    /// The connection is to end, for this.
    pub(super) fn cut(&self, cut: Cut) {
        self.cut.set(Some(cut));
    }

    /// Why it was cut, if it was.
    pub(super) fn take_cut(&self) -> Option<Cut> {
        self.cut.take()
    }

    /// Whether a request ever came.
    pub(super) fn has_asked(&self) -> bool {
        self.asked.get()
    }

    /// The peer has ended its side, and may still wait for its answers (RFC 9112 section 9.6,
    /// RFC 8446 section 6.1). Who waits for the end of what is owed is woken then.
    pub(super) fn half_close(&self, cx: &Context<'_>) {
        self.owed.note_peer_end();
        self.half_closed.set(true);
        self.owed.note_peer_end();
        self.wait(cx);
    }

    /// Whether it has: nobody can tell then whether it is still there.
    pub(super) fn is_half_closed(&self) -> bool {
        self.half_closed.get()
    }

    /// Whether no call is under way, and nothing is owed: it may be closed where there is no room.
    pub(super) fn is_reusable(&self) -> bool {
        !self.owes() && !self.is_untaken()
    }

    /// Wakes whoever polls now once an answer is gone.
    pub(super) fn wait(&self, cx: &Context<'_>) {
        self.waits.replace(Some(cx.waker().clone()));
    }

    /// Notes whether a part of a head waits for the rest, which has its own deadline.
    pub(super) fn note_part_of_a_head(&self, is_late: bool) {
        self.hurry.set(self.hurry.get() || is_late);
        self.head_begun.set(is_late);
        if is_late && self.phase().0 == Phase::Idle {
            // It came with the last request, and the exchange ended before anybody looked for it:
            // its time starts now.
            self.enter(Phase::Head, Instant::now());
        }
    }

    /// Somebody reads on.
    pub(super) fn begin_reading(&self) {
        self.head_begun.set(false);
    }

    /// A head was refused.
    pub(super) fn refuse(&self, fault: Option<Fault>) {
        self.fault.replace(fault);
    }

    /// Bytes of an answer are on their way.
    pub(super) fn begin_writing(&self) {
        self.unwritten.set(true);
    }

    /// All of them are with the socket.
    pub(super) fn end_writing(&self) {
        if self.unwritten.replace(false) {
            self.note_end();
            self.owed.settle();
            self.wake();
        }
    }

    /// Wakes whoever waits for answers to be gone.
    pub(super) fn wake(&self) {
        if let Some(waker) = self.waits.take() {
            waker.wake();
        }
    }

    /// The fault that ended the connection, for the driver to answer.
    pub(super) fn take_fault(&self) -> Option<Fault> {
        self.fault.borrow_mut().take()
    }

    /// It waits for something else from now on.
    pub(super) fn enter(&self, phase: Phase, now: Instant) {
        self.phase.set(phase);
        self.since.set(now);
    }
}

//! Frames: what travels on an HTTP/2 connection, counted by the heads of its frames.
//!
//! This file decides when a peer sends more frames than its requests need (floods of PING,
//! SETTINGS, PRIORITY, WINDOW_UPDATE, empty DATA and their like), and which streams still wait for
//! their answer's end. The library behind it decodes; here nothing but the nine bytes of each
//! frame's head is looked at (RFC 9113 section 4.1). This file must not know sockets or clocks.

/// The kinds of frames that are told apart (RFC 9113 section 6).
const DATA: u8 = 0;
const HEADERS: u8 = 1;
const RST_STREAM: u8 = 3;
const SETTINGS: u8 = 4;
const GOAWAY: u8 = 7;
/// On DATA and HEADERS: the last frame of its stream in this direction.
const END_STREAM: u8 = 1;
/// The reason of a GOAWAY (RFC 9113 section 7).
const ENHANCE_YOUR_CALM: u8 = 0xb;
const HEAD_BYTES: usize = 9;
/// What a client says first (RFC 9113 section 3.4).
const PREFACE_BYTES: u32 = 24;

/// The frames that a request earns its connection: acknowledgements, windows, pings of its own.
const EARNED_BY_REQUEST: u32 = 16;
/// The frames that a second earns.
const EARNED_BY_SECOND: u64 = 10;
/// DATA below this size costs a frame: a body in crumbs is no better than an empty one.
const CRUMB_BYTES: u32 = 64;
/// A HEADERS frame with nothing but `:status` is at most so long. Ours carry the marks.
const BARE_HEAD_BYTES: u32 = 5;

/// The head of a frame.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct FrameHead {
    bytes: u32,
    kind: u8,
    flags: u8,
    stream: u32,
}

impl FrameHead {
    const fn of(head: [u8; HEAD_BYTES]) -> Self {
        let [a, b, c, kind, flags, d, e, f, g] = head;
        let stream = u32::from_be_bytes([d, e, f, g]) & 0x7fff_ffff;
        Self { bytes: u32::from_be_bytes([0, a, b, c]), kind, flags, stream }
    }

    const fn ends_stream(self) -> bool {
        matches!(self.kind, DATA | HEADERS) && self.flags & END_STREAM != 0
    }
}

/// Finds the heads of frames in bytes that come in any pieces.
#[derive(Debug, Default)]
struct Walk {
    head: [u8; HEAD_BYTES],
    have: usize,
    /// Bytes until the next head.
    skip: u32,
}

impl Walk {
    fn feed(&mut self, mut bytes: &[u8], mut found: impl FnMut(FrameHead)) {
        while !bytes.is_empty() {
            if self.skip > 0 {
                let skipped = bytes.len().min(self.skip as usize);
                // At most `skip`, which is 32 bits wide.
                self.skip -= u32::try_from(skipped).unwrap_or(self.skip);
                bytes = bytes.get(skipped..).unwrap_or_default();
                continue;
            }
            let missing = self.head.get_mut(self.have..).unwrap_or_default();
            let taken = missing.len().min(bytes.len());
            let (now, rest) = bytes.split_at(taken);
            missing.iter_mut().zip(now).for_each(|(to, from)| *to = *from);
            self.have += taken;
            bytes = rest;
            if self.have == HEAD_BYTES {
                let head = FrameHead::of(self.head);
                (self.have, self.skip) = (0, head.bytes);
                found(head);
            }
        }
    }

    const fn is_between_frames(&self) -> bool {
        self.have == 0 && self.skip == 0
    }
}

/// What is known of one HTTP/2 connection by its frames.
#[derive(Debug)]
pub struct Ledger {
    heard: Walk,
    said: Walk,
    book: Book,
}

/// A stream whose answer is not at its end.
#[derive(Debug, Clone, Copy)]
struct Open {
    stream: u32,
    /// Whether its request is (END_STREAM).
    is_asked: bool,
    /// Whether a head of its answer came, where the peer is a server.
    is_answered: bool,
}

#[derive(Debug)]
struct Book {
    /// Frames that the peer may still send beside requests.
    credit: u32,
    credit_max: u32,
    /// Streams that were opened and whose answer is not at its end.
    open: Vec<Open>,
    open_max: usize,
    newest: u32,
    /// The oldest of the open streams that were reset since this was last asked.
    reset: Option<u32>,
    goaways: u32,
    bare_answers: u32,
    /// Whether the peer is a server: it opens no stream, and what it may send is earned by ours.
    is_server: bool,
    has_settings: bool,
    is_leaving: bool,
}

impl Ledger {
    /// The ledger of a new connection: `frames_max` frames beside requests, `streams_max` streams.
    pub fn new(frames_max: u32, streams_max: u32) -> Self {
        let book = Book {
            credit: frames_max,
            credit_max: frames_max,
            open: Vec::new(),
            // The library refuses what is above `streams_max`, and may be slow to say so.
            open_max: (streams_max as usize).saturating_mul(2).saturating_add(16),
            newest: 0,
            reset: None,
            goaways: 0,
            bare_answers: 0,
            is_server: false,
            has_settings: false,
            is_leaving: false,
        };
        Self { heard: Walk { skip: PREFACE_BYTES, ..Walk::default() }, said: Walk::default(), book }
    }

    /// The ledger of a new connection to a server, which may send `frames_max` frames beside
    /// answers.
    pub fn of_server(frames_max: u32) -> Self {
        let Self { heard, said, mut book } = Self::new(frames_max, u32::MAX);
        book.is_server = true;
        Self { heard: said, said: heard, book }
    }

    /// Whether the peer's first SETTINGS frame came, all of it: a server says so first of all (RFC
    /// 9113 section 3.4).
    pub const fn has_settings(&self) -> bool {
        self.book.has_settings && (self.heard.skip == 0 || self.book.newest > 0)
    }

    /// Whether the peer said GOAWAY: it takes no new stream.
    pub const fn is_leaving(&self) -> bool {
        self.book.is_leaving
    }

    /// These bytes came from the peer.
    pub fn hear(&mut self, bytes: &[u8]) {
        let book = &mut self.book;
        self.heard.feed(bytes, |head| book.hear(head));
    }

    /// These bytes went to the peer.
    pub fn say(&mut self, bytes: &[u8]) {
        let book = &mut self.book;
        self.said.feed(bytes, |head| book.say(head));
    }

    /// Whether the peer has sent more than it had credit for, or opens streams without end.
    pub const fn is_overdrawn(&self) -> bool {
        self.book.credit == 0 || self.book.open.len() > self.book.open_max
    }

    /// Time brings credit, too. Only asked where there is none, so that no frame costs a look at
    /// the clock: milliseconds since it was last asked, or since the beginning.
    pub fn earn(&mut self, milliseconds: u64) {
        let earned = milliseconds.saturating_mul(EARNED_BY_SECOND) / 1_000;
        let earned = u32::try_from(earned).unwrap_or(u32::MAX);
        self.book.credit = self.book.credit.saturating_add(earned).min(self.book.credit_max);
    }

    /// Streams whose answer is not at its end.
    pub fn open_streams(&self) -> usize {
        self.book.open.len()
    }

    /// The newest stream that was opened.
    pub const fn newest(&self) -> u32 {
        self.book.newest
    }

    /// The oldest stream whose answer is not at its end.
    pub fn oldest_open(&self) -> Option<u32> {
        self.book.open.iter().map(|open| open.stream).min()
    }

    /// The oldest stream that was reset, by either side, before its answer's end since this was
    /// last asked.
    pub const fn take_reset(&mut self) -> Option<u32> {
        self.book.reset.take()
    }

    /// Whether a request that came whole has no whole answer yet.
    pub fn owes_answers(&self) -> bool {
        self.book.open.iter().any(|open| open.is_asked)
    }

    /// Answers that the library gave by itself since this was last asked: a head that was larger
    /// than it reads gets a bare 431.
    pub fn take_bare_answers(&mut self) -> u32 {
        std::mem::take(&mut self.book.bare_answers)
    }

    /// GOAWAY with ENHANCE_YOUR_CALM (RFC 9113 sections 6.8 and 7); none in the middle of another
    /// frame. It names the newest stream as seen, so that nobody takes a call for unheard and
    /// sends it again.
    pub fn farewell(&self) -> Option<[u8; 17]> {
        // A server opens no stream here, so none of its was seen.
        let newest = if self.book.is_server { 0 } else { self.book.newest };
        let [a, b, c, d] = newest.to_be_bytes();
        let frame = [0, 0, 8, GOAWAY, 0, 0, 0, 0, 0, a, b, c, d, 0, 0, 0, ENHANCE_YOUR_CALM];
        self.said.is_between_frames().then_some(frame)
    }
}

impl Book {
    fn hear(&mut self, head: FrameHead) {
        if self.is_server {
            return self.hear_server(head);
        }
        if head.ends_stream()
            && let Some(open) = self.open.iter_mut().find(|open| open.stream == head.stream)
        {
            open.is_asked = true;
        }
        match head.kind {
            HEADERS if head.stream > self.newest => {
                self.newest = head.stream;
                self.credit = self.credit.saturating_add(EARNED_BY_REQUEST).min(self.credit_max);
                // After the second GOAWAY the library reads no new streams (RFC 9113 section 6.8).
                if self.goaways < 2 {
                    let is_asked = head.ends_stream();
                    self.open.push(Open { stream: head.stream, is_asked, is_answered: false });
                }
                return;
            }
            DATA if head.bytes >= CRUMB_BYTES || head.ends_stream() => return,
            RST_STREAM => self.reset(head.stream),
            _ => {}
        }
        self.credit = self.credit.saturating_sub(1);
    }

    /// What a server sends: an answer's first head and body are free, for a stream that waits for
    /// them.
    fn hear_server(&mut self, head: FrameHead) {
        let open = self.open.iter_mut().find(|open| open.stream == head.stream);
        let is_free = match (head.kind, open) {
            (HEADERS, Some(open)) => {
                !std::mem::replace(&mut open.is_answered, true) || head.ends_stream()
            }
            (DATA, Some(_)) => head.bytes >= CRUMB_BYTES || head.ends_stream(),
            (SETTINGS, _) => {
                self.has_settings = true;
                false
            }
            (GOAWAY, _) => {
                self.is_leaving = true;
                false
            }
            _ => false,
        };
        if head.ends_stream() || head.kind == RST_STREAM {
            self.close(head.stream);
        }
        if !is_free {
            self.credit = self.credit.saturating_sub(1);
        }
    }

    /// What we send to a server.
    fn say_server(&mut self, head: FrameHead) {
        if head.kind == HEADERS && head.stream > self.newest {
            self.newest = head.stream;
            self.credit = self.credit.saturating_add(EARNED_BY_REQUEST).min(self.credit_max);
            self.open.push(Open { stream: head.stream, is_asked: true, is_answered: false });
        } else if head.kind == RST_STREAM {
            self.close(head.stream);
        }
    }

    fn say(&mut self, head: FrameHead) {
        if self.is_server {
            return self.say_server(head);
        }
        if head.ends_stream() {
            let bare = head.kind == HEADERS && head.bytes <= BARE_HEAD_BYTES;
            self.bare_answers += u32::from(bare);
            self.close(head.stream);
        } else if head.kind == RST_STREAM {
            self.reset(head.stream);
        } else if head.kind == GOAWAY {
            self.goaways += 1;
        }
    }

    fn reset(&mut self, stream: u32) {
        if self.open.iter().any(|open| open.stream == stream) {
            self.reset = Some(self.reset.map_or(stream, |before| before.min(stream)));
        }
        self.close(stream);
    }

    fn close(&mut self, stream: u32) {
        if let Some(at) = self.open.iter().position(|open| open.stream == stream) {
            self.open.swap_remove(at);
        }
    }
}

#[cfg(test)]
mod tests;

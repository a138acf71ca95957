//! Why a connection is cut for what it does as a whole.
//!
//! This file decides what the reasons are called. It must not know who finds them.

/// Why a connection was cut by whoever owns it, and not for one of its requests.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Cut {
    /// More HTTP/2 frames than its requests need.
    Frames,
    /// Streams that were opened to be reset.
    Resets,
    /// Answers that it does not take.
    Untaken,
    /// More bytes of answers under way than it may hold.
    Held,
    /// It had no call under way, and somebody new had no room.
    Room,
}

impl Cut {
    /// Its name in the metrics.
    pub(super) const fn as_str(self) -> &'static str {
        match self {
            Self::Frames => "frames",
            Self::Resets => "resets",
            Self::Untaken => "untaken",
            Self::Held => "held",
            Self::Room => "room",
        }
    }
}

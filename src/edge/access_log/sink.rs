//! The file that access lines go to: how it is opened, and when anew.
//!
//! This file decides that nothing is waited for when it is opened: a pipe (FIFO) without a reader
//! is an error, not a wait. It must not know what a line is.

use std::fs::{File, OpenOptions};
use std::io::{self, Write as _};
use std::os::fd::AsFd as _;
use std::os::unix::fs::{FileTypeExt as _, MetadataExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};

use rustix::fs::OFlags;

/// An open log.
#[derive(Debug)]
pub(super) struct Sink {
    file: File,
    /// Where it is found again; standard output has no name.
    place: Option<Place>,
}

#[derive(Debug)]
struct Place {
    path: PathBuf,
    /// Which file it was.
    id: (u64, u64),
}

impl Sink {
    /// Opens or makes the file.
    pub(super) fn open(path: &Path) -> io::Result<Self> {
        // Without `NONBLOCK`, a pipe is opened once somebody reads it: maybe never.
        let flags = (OFlags::NONBLOCK | OFlags::NOCTTY).bits().cast_signed();
        let file = OpenOptions::new().create(true).append(true).custom_flags(flags).open(path);
        let file = file.map_err(|error| match is_pipe(path) {
            true => io::Error::new(error.kind(), "it is a pipe that nobody reads"),
            false => error,
        })?;
        // From here on the writer may wait: it is a thread of its own.
        let flags = rustix::fs::fcntl_getfl(&file)?;
        rustix::fs::fcntl_setfl(&file, flags - OFlags::NONBLOCK)?;
        let found = file.metadata()?;
        let place = Place { path: path.to_owned(), id: (found.dev(), found.ino()) };
        Ok(Self { file, place: Some(place) })
    }

    /// Standard output, past the buffer of the library: what stays in one could be lost without a
    /// word, and a lock on it would hold up the end of the process.
    pub(super) fn stdout() -> io::Result<Self> {
        let file = File::from(io::stdout().as_fd().try_clone_to_owned()?);
        Ok(Self { file, place: None })
    }

    /// The log opened anew, if it was rotated away: found by its name, so that no signal is needed.
    /// `asked` opens it anew in any case.
    ///
    /// # Errors
    /// It can't be opened. This one is as good as before.
    pub(super) fn after_rotation(&self, asked: bool) -> io::Result<Option<Self>> {
        let Some(Place { path, id }) = &self.place else { return Ok(None) };
        let is_there = || std::fs::metadata(path).is_ok_and(|now| (now.dev(), now.ino()) == *id);
        if !asked && is_there() { Ok(None) } else { Self::open(path).map(Some) }
    }

    /// Whether the file has no name any more: what is written to it is lost when it is closed.
    pub(super) fn is_deleted(&self) -> bool {
        self.place.is_some() && self.file.metadata().is_ok_and(|now| now.nlink() == 0)
    }

    /// Writes as much as there is room for; how many bytes, and what stopped it.
    pub(super) fn write(&mut self, mut bytes: &[u8]) -> (usize, io::Result<()>) {
        let all = bytes.len();
        while !bytes.is_empty() {
            match self.file.write(bytes) {
                Ok(0) => return (all - bytes.len(), Err(io::ErrorKind::WriteZero.into())),
                Ok(count) => bytes = bytes.get(count..).unwrap_or_default(),
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return (all - bytes.len(), Err(error)),
            }
        }
        (all, Ok(()))
    }
}

fn is_pipe(path: &Path) -> bool {
    std::fs::metadata(path).is_ok_and(|found| found.file_type().is_fifo())
}

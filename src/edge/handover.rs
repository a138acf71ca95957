//! The hand-over: what a process and its successor say to each other, and how sockets travel.
//!
//! The successor asks on the upgrade socket ([`TAKE`]), gets a copy of every listening socket,
//! starts, and says so ([`READY`]). The other one offers to leave ([`LEAVING`]), and leaves once it
//! has heard [`TAKEN`]. That word alone settles it: an end or a silence in its place changes
//! nothing for the process that serves, and a successor that can't say it any more ends. [`YOURS`]
//! and the end of the line are courtesies: whom systemd knows, who can be asked for a successor.
//!
//! One message is one packet (SOCK_SEQPACKET), with at most one socket, so there is no limit on
//! their number but [`SOCKETS_MAX`]. This file decides the words. It must not know what a process
//! does with them.

use std::collections::HashMap;
use std::io::{self, IoSlice, IoSliceMut};
use std::mem::MaybeUninit;
use std::net::TcpListener;
use std::os::fd::{AsFd as _, BorrowedFd, OwnedFd};
use std::path::Path;
use std::time::Duration;

use nix::sys::socket::{getsockopt, sockopt::PeerCredentials};
use rustix::io::retry_on_intr;
use rustix::net::sockopt::{Timeout, set_socket_timeout};
use rustix::net::{
    AddressFamily, RecvAncillaryBuffer, RecvAncillaryMessage, RecvFlags, SendAncillaryBuffer,
    SendAncillaryMessage, SendFlags, Shutdown, SocketAddrUnix, SocketFlags, SocketType,
};

use super::StartError;
use super::run_dir::RunDir;
use crate::routes::SOCKETS_MAX;

/// Asks for the sockets. The number is the version of this conversation.
pub(super) const TAKE: &str = "take 2";
/// Asks the process to start its successor itself.
pub(super) const SPAWN: &str = "spawn";
/// The successor serves; its process id follows.
pub(super) const READY: &str = "ready ";
/// The other one leaves if it is taken at its word.
pub(super) const LEAVING: &str = "leaving";
/// The successor has taken over.
pub(super) const TAKEN: &str = "taken";
/// The other one has told systemd.
pub(super) const YOURS: &str = "yours";
/// How long a successor may take to serve.
pub(super) const STARTUP_MAX: Duration = Duration::from_secs(60);
/// How long the other side may take over a word that needs no work.
pub(super) const WORD_MAX: Duration = Duration::from_secs(10);
/// The longest word, in bytes.
const WORD_BYTES_MAX: usize = 1_024;

/// Listening sockets by their names.
pub(super) type Sockets = HashMap<String, TcpListener>;

/// A connection to the other process.
#[derive(Debug)]
pub(super) struct Line(OwnedFd);

impl Line {
    /// Calls whoever listens there.
    pub(super) fn call(path: &Path) -> io::Result<Self> {
        let socket = open()?;
        let place = SocketAddrUnix::new(path)?;
        retry_on_intr(|| rustix::net::connect(&socket, &place))?;
        let line = Self::over(socket)?;
        line.check_peer()?;
        Ok(line)
    }

    fn over(socket: OwnedFd) -> io::Result<Self> {
        let line = Self(socket);
        line.wait_at_most(WORD_MAX)?;
        set_socket_timeout(&line.0, Timeout::Send, Some(WORD_MAX))?;
        Ok(line)
    }

    /// The other side must be the same user: as it connected, or as it began to listen. A private
    /// folder says so too, but it was looked at by its name.
    pub(super) fn check_peer(&self) -> io::Result<()> {
        // rustix can't read these of a process in another PID namespace, which has no id here.
        let peer = getsockopt(&self.0, PeerCredentials)?.uid();
        let us = rustix::process::geteuid().as_raw();
        if peer == us {
            return Ok(());
        }
        let wrong = format!("the other side is user {peer}, and corgate runs as user {us}");
        Err(io::Error::new(io::ErrorKind::PermissionDenied, wrong))
    }

    /// How long the next word may take to come.
    pub(super) fn wait_at_most(&self, time: Duration) -> io::Result<()> {
        Ok(set_socket_timeout(&self.0, Timeout::Recv, Some(time))?)
    }

    /// Says a word.
    pub(super) fn say(&self, word: &str) -> io::Result<()> {
        self.send(word, &[])
    }

    /// Says no, and why. Whether it is heard is the other side's affair.
    pub(super) fn refuse(&self, why: &str) {
        let _ = self.say(&format!("no: {why}"));
    }

    fn send(&self, word: &str, sockets: &[BorrowedFd<'_>]) -> io::Result<()> {
        let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(1))];
        let mut control = SendAncillaryBuffer::new(&mut space);
        if !sockets.is_empty() && !control.push(SendAncillaryMessage::ScmRights(sockets)) {
            return Err(io::Error::other("one packet carries one socket"));
        }
        let bytes = [IoSlice::new(word.as_bytes())];
        // A signal interrupts whoever waits with a deadline (signal(7)).
        retry_on_intr(|| rustix::net::sendmsg(&self.0, &bytes, &mut control, SendFlags::NOSIGNAL))?;
        Ok(())
    }

    /// The next word, and the socket that came with it.
    fn receive(&self) -> io::Result<(String, Option<OwnedFd>)> {
        let mut bytes = [0; WORD_BYTES_MAX];
        let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(1))];
        let mut control = RecvAncillaryBuffer::new(&mut space);
        let received = retry_on_intr(|| {
            let mut into = [IoSliceMut::new(&mut bytes)];
            rustix::net::recvmsg(&self.0, &mut into, &mut control, RecvFlags::CMSG_CLOEXEC)
        })?;
        let mut sockets = control.drain().filter_map(|message| match message {
            RecvAncillaryMessage::ScmRights(sockets) => Some(sockets),
            _ => None,
        });
        let socket = sockets.next().and_then(|mut sockets| sockets.next());
        if received.bytes == 0 && socket.is_none() {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        let word = bytes.get(..received.bytes).unwrap_or_default();
        let word = str::from_utf8(word).map_err(|_| io::ErrorKind::InvalidData)?;
        Ok((word.to_owned(), socket))
    }

    /// The next word.
    pub(super) fn hear(&self) -> io::Result<String> {
        self.receive().map(|(word, _)| word)
    }

    /// The next word, or never one again: once this has failed, the other side can't say any more,
    /// and knows it.
    pub(super) fn hear_or_close(&self) -> io::Result<String> {
        self.hear().or_else(|error| {
            rustix::net::shutdown(&self.0, Shutdown::Read)?;
            // What was said before it was closed is still there.
            self.hear().map_err(|_| error)
        })
    }

    /// Sends sockets and their names.
    pub(super) fn send_sockets(&self, sockets: &[(String, TcpListener)]) -> io::Result<()> {
        self.say(&sockets.len().to_string())?;
        sockets.iter().try_for_each(|(name, socket)| self.send(name, &[socket.as_fd()]))
    }

    fn receive_sockets(&self) -> io::Result<Sockets> {
        let word = self.hear()?;
        let count = word.parse().ok().filter(|count| *count <= SOCKETS_MAX);
        let count: usize = count.ok_or_else(|| io::Error::other(word))?;
        let mut sockets = HashMap::with_capacity(count);
        for _ in 0..count {
            let (name, socket) = self.receive()?;
            let socket = socket.ok_or(io::ErrorKind::InvalidData)?;
            sockets.insert(name, TcpListener::from(socket));
        }
        Ok(sockets)
    }
}

/// The upgrade socket of a process. Where it was not shown, nothing is left of it.
#[derive(Debug)]
pub(super) struct Listening {
    socket: OwnedFd,
    place: RunDir,
    shown: bool,
}

impl Listening {
    /// Listens in the run directory, where nobody looks yet.
    pub(super) fn open(place: RunDir) -> io::Result<Self> {
        let us = std::process::id();
        place.forget(us);
        let listening = Self { socket: open()?, place, shown: false };
        let path = SocketAddrUnix::new(listening.place.new_socket(us))?;
        rustix::net::bind(&listening.socket, &path)?;
        rustix::net::listen(&listening.socket, 8)?;
        Ok(listening)
    }

    /// Takes the place of whatever an earlier process left there.
    pub(super) fn show(&mut self) -> io::Result<()> {
        std::fs::rename(self.place.new_socket(std::process::id()), self.place.socket())?;
        self.shown = true;
        Ok(())
    }

    /// The next one who calls.
    pub(super) fn accept(&self) -> io::Result<Line> {
        let accept = || rustix::net::accept_with(&self.socket, SocketFlags::CLOEXEC);
        Line::over(retry_on_intr(accept)?)
    }
}

impl Drop for Listening {
    fn drop(&mut self) {
        if !self.shown {
            self.place.forget(std::process::id());
        }
    }
}

fn open() -> io::Result<OwnedFd> {
    let kind = SocketType::SEQPACKET;
    Ok(rustix::net::socket_with(AddressFamily::UNIX, kind, SocketFlags::CLOEXEC, None)?)
}

/// A successor, from its question until it can be asked for one of its own; then it is dropped.
#[derive(Debug)]
pub(super) struct Successor(Line);

impl Successor {
    /// Asks the process that serves for its sockets; none if there is no such process.
    ///
    /// # Errors
    /// [`StartError`] when it does not give them.
    pub(super) fn ask(place: &RunDir) -> Result<Option<(Self, Sockets)>, StartError> {
        let failed = |error| StartError::new("the process that serves gives no sockets", error);
        let line = match Line::call(&place.socket()) {
            Ok(line) => line,
            Err(error) if is_nobody(&error) => return Ok(None),
            Err(error) => return Err(failed(error)),
        };
        line.say(TAKE).map_err(failed)?;
        let sockets = line.receive_sockets().map_err(failed)?;
        Ok(Some((Self(line), sockets)))
    }

    /// Says that we serve, and takes over when the other one offers to leave.
    ///
    /// # Errors
    /// [`StartError`] when it goes on. That it died is no error: then we are the ones who have the
    /// sockets.
    pub(super) fn take_over(&self) -> Result<(), StartError> {
        match self.settle() {
            // Settled; if it can't answer now, it finds our word when it can.
            Ok(None) => {
                if let Err(error) = self.0.hear() {
                    tracing::warn!(%error, "the process before this one has not said goodbye");
                }
                Ok(())
            }
            Ok(Some(word)) => Err(StartError::new("the process that serves does not leave", word)),
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                Err(StartError::new("the process that serves does not answer", error))
            }
            Err(error) => {
                tracing::warn!(%error, "the process before this one died while it handed over");
                Ok(())
            }
        }
    }

    /// What the other one says instead of leaving; nothing if it has our word.
    fn settle(&self) -> io::Result<Option<String>> {
        // Where a word can't be said, the other one does not listen any more: because it goes on,
        // and then it has said so, or because it is dead.
        let _ = self.0.say(&format!("{READY}{}", std::process::id()));
        let word = self.0.hear()?;
        if word != LEAVING {
            return Ok(Some(word));
        }
        match self.0.say(TAKEN) {
            Ok(()) => Ok(None),
            Err(_) => self.0.hear().map(Some),
        }
    }
}

fn is_nobody(error: &io::Error) -> bool {
    matches!(error.kind(), io::ErrorKind::NotFound | io::ErrorKind::ConnectionRefused)
}

/// Asks the process that serves to start its successor, and waits for the outcome.
///
/// # Errors
/// What went wrong, in words. Then the process that was asked still serves.
pub(super) fn ask_for_a_successor(place: &RunDir) -> Result<String, String> {
    let failed = |error: io::Error| match error {
        error if is_nobody(&error) => "no process serves with this `run_dir`".to_owned(),
        error => format!("the process that serves gives no answer: {error}"),
    };
    let line = Line::call(&place.socket()).map_err(failed)?;
    // The start, and then up to three words of the hand-over.
    line.wait_at_most(STARTUP_MAX + 4 * WORD_MAX).map_err(failed)?;
    line.say(SPAWN).map_err(failed)?;
    let word = line.hear().map_err(failed)?;
    match word.strip_prefix("no: ") {
        Some(why) => Err(why.to_owned()),
        None => Ok(word),
    }
}

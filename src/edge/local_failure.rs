//! What goes wrong on the way to a bank through no fault of its: the hub has no room, or may not.
//!
//! This file decides which errors of the system are the hub's own (connect(2), socket(2)). They
//! count against no bank. It must not know what is dialled.

use std::io;

/// No descriptor, port or memory is left, or the system of the hub does not allow it or has no such
/// protocol.
pub(super) fn is_local(error: &io::Error) -> bool {
    matches!(
        error.raw_os_error(),
        Some(
            libc::EMFILE
                | libc::ENFILE
                | libc::EADDRNOTAVAIL
                | libc::EADDRINUSE
                | libc::EAGAIN
                | libc::ENOBUFS
                | libc::ENOMEM
                | libc::ENOSPC
                | libc::EACCES
                | libc::EPERM
                | libc::EAFNOSUPPORT
                | libc::EPROTONOSUPPORT
        )
    ) || error.kind() == io::ErrorKind::OutOfMemory
}

/// Whether the hub can't open a socket now: a resolver that could not says no more than that it
/// failed.
pub(super) fn is_without_sockets() -> bool {
    let socket = socket2::Socket::new(socket2::Domain::IPV4, socket2::Type::DGRAM, None);
    socket.is_err_and(|error| is_local(&error))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_the_system_lacks_is_the_hubs_own_and_what_the_peer_does_is_not() {
        let is = |code| is_local(&io::Error::from_raw_os_error(code));
        for code in [libc::EMFILE, libc::ENFILE, libc::EADDRNOTAVAIL, libc::ENOBUFS] {
            assert!(is(code));
        }
        for code in [libc::ENOMEM, libc::EACCES, libc::EPERM, libc::EAFNOSUPPORT] {
            assert!(is(code));
        }
        for code in [libc::ECONNREFUSED, libc::ETIMEDOUT, libc::EHOSTUNREACH, libc::ENETUNREACH] {
            assert!(!is(code));
        }
        assert!(!is_local(&io::Error::other("anything")));
    }
}

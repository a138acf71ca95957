//! The folder of the journal: the key of its hashes, and its files.
//!
//! This file decides what the files are called, and whose they are: each is locked by the process
//! that writes it, for as long as that lives. It must not know what is in them.

use std::fs::{File, OpenOptions, TryLockError};
use std::io::{self, Read as _, Write as _};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};

use rustls::crypto::SecureRandom;
use zeroize::Zeroizing;

use crate::dialect::told::KEY_BYTES;
use crate::edge::StartError;
use crate::edge::run_dir::open_private;

const KEY: &str = "tokens.key";
const START: &str = "tokens-";
const END: &str = ".journal";
/// Most files that are looked at.
const FILES_MAX: usize = 256;

#[derive(Debug)]
pub(super) struct Folder(PathBuf);

impl Folder {
    pub(super) fn open(place: &Path) -> Result<Self, StartError> {
        open_private(place, "state_dir")?;
        Ok(Self(place.to_owned()))
    }

    /// The key, made by the process that comes first.
    pub(super) fn key(&self) -> io::Result<Zeroizing<[u8; KEY_BYTES]>> {
        let place = self.0.join(KEY);
        match read_key(&place) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => {}
            read => return read,
        }
        let mut key = Zeroizing::new([0; KEY_BYTES]);
        random(&mut key[..])?;
        let draft = self.0.join(format!("{KEY}.{}", std::process::id()));
        let mut file = private().write(true).create(true).truncate(true).open(&draft)?;
        file.write_all(&key[..])?;
        file.sync_all()?;
        // Whoever comes first has made it; a half-written one is never there.
        let made = std::fs::hard_link(&draft, &place);
        std::fs::remove_file(&draft)?;
        match made {
            Err(error) if error.kind() != io::ErrorKind::AlreadyExists => Err(error),
            Ok(()) | Err(_) => read_key(&place),
        }
    }

    /// The journals that are there, the oldest first.
    pub(super) fn journals(&self) -> io::Result<Vec<PathBuf>> {
        let mut found = Vec::new();
        for entry in std::fs::read_dir(&self.0)? {
            let name = entry?.file_name();
            let is_journal =
                name.to_str().is_some_and(|name| name.starts_with(START) && name.ends_with(END));
            if is_journal {
                found.push(self.0.join(name));
            }
        }
        found.sort();
        // The newest are the ones that matter.
        Ok(found.split_off(found.len().saturating_sub(FILES_MAX)))
    }

    /// A new journal, which is this process's until it is dropped.
    pub(super) fn make(&self, unix_ms: u64) -> io::Result<(PathBuf, File)> {
        let mut number = [0; 4];
        random(&mut number)?;
        let (process, number) = (std::process::id(), u32::from_ne_bytes(number));
        let place = self.0.join(format!("{START}{unix_ms:016x}-{process}-{number:08x}{END}"));
        let file = private().read(true).append(true).create_new(true).open(&place)?;
        match file.try_lock() {
            Ok(()) => Ok((place, file)),
            Err(error) => Err(io::Error::other(error)),
        }
    }
}

/// A journal that no process writes any more, locked so that nobody else takes it.
pub(super) fn abandoned(file: &File) -> io::Result<bool> {
    match file.try_lock() {
        Ok(()) => Ok(true),
        Err(TryLockError::WouldBlock) => Ok(false),
        Err(TryLockError::Error(error)) => Err(error),
    }
}

fn read_key(place: &Path) -> io::Result<Zeroizing<[u8; KEY_BYTES]>> {
    let mut key = Zeroizing::new([0; KEY_BYTES]);
    let short = |error: io::Error| match error.kind() {
        io::ErrorKind::UnexpectedEof => io::Error::other(format!("{KEY} is too short")),
        _ => error,
    };
    File::open(place)?.read_exact(&mut key[..]).map_err(short)?;
    Ok(key)
}

fn private() -> OpenOptions {
    let mut options = OpenOptions::new();
    options.mode(0o600);
    options
}

fn random(bytes: &mut [u8]) -> io::Result<()> {
    let provider = rustls::crypto::aws_lc_rs::default_provider();
    let source: &dyn SecureRandom = provider.secure_random;
    source.fill(bytes).map_err(|_| io::Error::other("the system gives no random bytes"))
}

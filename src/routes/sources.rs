//! What the loader may ask of the world: files and environment variables.
//!
//! This file decides how the world is asked, so that the loader itself touches nothing and a test
//! can hand it a world of its own. It must not know what the files mean.

use std::collections::{BTreeMap, BTreeSet};
use std::fs::{File, OpenOptions};
use std::io::{Error, ErrorKind, Read as _};
use std::os::fd::AsRawFd as _;
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Component, Path, PathBuf};

/// Longest file that is read, in bytes: room for 100,000 targets several times over.
pub const FILE_BYTES_MAX: u64 = 256 * 1024 * 1024;

/// Where the loader reads from. No file holds a reader up, and none is longer than it may be: what
/// a name leads to may be a pipe, a device, or a log of the kernel's.
pub trait Sources {
    /// Reads a text file of at most `bytes_max` bytes.
    ///
    /// # Errors
    /// The system's; `InvalidData` when it is no UTF-8 or too long.
    fn read(&self, path: &Path, bytes_max: u64) -> Result<String, Error>;

    /// Reads a file that the operator's file includes.
    ///
    /// # Errors
    /// As [`Self::read`]; and when it should not be read now.
    fn read_included(&self, path: &Path, bytes_max: u64) -> Result<String, Error> {
        self.read(path, bytes_max)
    }

    /// The path of a file within a folder. Its name may not lead out of the folder: neither by `..`
    /// nor by a symbolic link.
    ///
    /// # Errors
    /// The system's; `PermissionDenied` when it leads out.
    fn locate(&self, folder: &Path, name: &str) -> Result<PathBuf, Error>;

    /// Reads a text file within a folder.
    ///
    /// # Errors
    /// As [`Self::read`] and [`Self::locate`].
    fn read_within(&self, folder: &Path, name: &str, bytes_max: u64) -> Result<String, Error> {
        let path = self.locate(folder, name)?;
        self.read(&path, bytes_max)
    }

    /// The files of a directory, each with the directory before its name, in any order.
    ///
    /// # Errors
    /// The system's; `NotFound` when there is no such directory.
    fn list(&self, directory: &Path) -> Result<Vec<PathBuf>, Error>;

    /// Whether a file of this name exists.
    fn exists(&self, path: &Path) -> bool;

    /// The value of an environment variable; `None` when it is not set or no UTF-8.
    fn variable(&self, name: &str) -> Option<String>;
}

/// Opens a file for reading, which is a regular file. It is looked at before, because to open a
/// device can be more than to look at it; and after, because another one may have taken its name.
pub(crate) fn open_regular(path: &Path) -> Result<File, Error> {
    let refused = || Error::other("is no regular file");
    if !std::fs::metadata(path)?.is_file() {
        return Err(refused());
    }
    // A pipe is not waited for, nor what the system itself keeps open, such as `/proc/kmsg`.
    let file = OpenOptions::new().read(true).custom_flags(libc::O_NONBLOCK).open(path)?;
    if file.metadata()?.is_file() { Ok(file) } else { Err(refused()) }
}

fn read_text(file: File, bytes_max: u64) -> Result<String, Error> {
    let too_long = || {
        let (size, unit) = match bytes_max {
            0..1_024 => (bytes_max, "bytes"),
            1_024..1_048_576 => (bytes_max / 1_024, "KiB"),
            _ => (bytes_max / 1_048_576, "MiB"),
        };
        Error::new(ErrorKind::InvalidData, format!("longer than {size} {unit}"))
    };
    // What the system says of its length is known before a byte is read; it may grow meanwhile.
    if file.metadata()?.len() > bytes_max {
        return Err(too_long());
    }
    let mut text = String::new();
    file.take(bytes_max + 1).read_to_string(&mut text)?;
    if text.len() as u64 > bytes_max { Err(too_long()) } else { Ok(text) }
}

fn leads_out() -> Error {
    Error::new(ErrorKind::PermissionDenied, "it leads out of the folder that is granted")
}

/// Whether a name stays within a folder, as far as the name itself says.
fn stays_within(name: &str) -> bool {
    let mut parts = Path::new(name).components().peekable();
    parts.peek().is_some() && parts.all(|part| matches!(part, Component::Normal(_)))
}

/// The process's own files and environment.
#[derive(Debug, Clone, Copy, Default)]
pub struct SystemSources;

impl SystemSources {
    /// A file within a folder by its real name, and the folder's own.
    fn real(folder: &Path, name: &str) -> Result<[PathBuf; 2], Error> {
        if !stays_within(name) {
            return Err(leads_out());
        }
        let folder = folder.canonicalize()?;
        let real = folder.join(name).canonicalize()?;
        if real.starts_with(&folder) { Ok([real, folder]) } else { Err(leads_out()) }
    }
}

impl Sources for SystemSources {
    fn read(&self, path: &Path, bytes_max: u64) -> Result<String, Error> {
        read_text(open_regular(path)?, bytes_max)
    }

    fn locate(&self, folder: &Path, name: &str) -> Result<PathBuf, Error> {
        let [real, _] = Self::real(folder, name)?;
        // By the name that it was given, because that is the one whose change is looked for.
        if real.is_file() { Ok(folder.join(name)) } else { Err(Error::other("is no regular file")) }
    }

    fn read_within(&self, folder: &Path, name: &str, bytes_max: u64) -> Result<String, Error> {
        let [real, folder] = Self::real(folder, name)?;
        let file = open_regular(&real)?;
        // A folder on the way may have become a link meanwhile. Where the system does not say what
        // was opened, what was found before has to do.
        let opened = std::fs::read_link(format!("/proc/self/fd/{}", file.as_raw_fd()));
        if opened.is_ok_and(|opened| !opened.starts_with(&folder)) {
            return Err(leads_out());
        }
        read_text(file, bytes_max)
    }

    fn list(&self, directory: &Path) -> Result<Vec<PathBuf>, Error> {
        // An empty directory name is the current one, as it is in `Path::join`.
        let asked = if directory.as_os_str().is_empty() { Path::new(".") } else { directory };
        let mut files = Vec::new();
        for entry in std::fs::read_dir(asked)? {
            let path = directory.join(entry?.file_name());
            // Asked of the path, not of the entry: a link to a file is a file.
            if path.is_file() {
                files.push(path);
            }
        }
        Ok(files)
    }

    fn exists(&self, path: &Path) -> bool {
        path.is_file()
    }

    #[expect(clippy::disallowed_methods, reason = "this is the one door to the environment")]
    fn variable(&self, name: &str) -> Option<String> {
        std::env::var(name).ok()
    }
}

/// A world in memory, for tests and fuzzing.
#[derive(Debug, Clone, Default)]
pub struct MemorySources {
    files: BTreeMap<PathBuf, String>,
    present: BTreeSet<PathBuf>,
    variables: BTreeMap<String, String>,
}

impl MemorySources {
    /// Adds a file with its text.
    #[must_use]
    pub fn file(mut self, path: &str, text: &str) -> Self {
        self.files.insert(PathBuf::from(path), text.to_owned());
        self
    }

    /// Adds a file that exists and is never read, such as a certificate.
    #[must_use]
    pub fn present(mut self, path: &str) -> Self {
        self.present.insert(PathBuf::from(path));
        self
    }

    /// Sets an environment variable.
    #[must_use]
    pub fn with_variable(mut self, name: &str, value: &str) -> Self {
        self.variables.insert(name.to_owned(), value.to_owned());
        self
    }
}

impl Sources for MemorySources {
    fn read(&self, path: &Path, bytes_max: u64) -> Result<String, Error> {
        let text = self.files.get(path).ok_or_else(|| Error::from(ErrorKind::NotFound))?;
        if text.len() as u64 > bytes_max {
            return Err(Error::new(ErrorKind::InvalidData, "too long"));
        }
        Ok(text.clone())
    }

    fn locate(&self, folder: &Path, name: &str) -> Result<PathBuf, Error> {
        let path = folder.join(name);
        if !stays_within(name) {
            Err(leads_out())
        } else if self.exists(&path) {
            Ok(path)
        } else {
            Err(Error::from(ErrorKind::NotFound))
        }
    }

    fn list(&self, directory: &Path) -> Result<Vec<PathBuf>, Error> {
        let files: Vec<_> =
            self.files.keys().filter(|file| file.parent() == Some(directory)).cloned().collect();
        if files.is_empty() { Err(Error::from(ErrorKind::NotFound)) } else { Ok(files) }
    }

    fn exists(&self, path: &Path) -> bool {
        self.files.contains_key(path) || self.present.contains(path)
    }

    fn variable(&self, name: &str) -> Option<String> {
        self.variables.get(name).cloned()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Tests run in the crate's own directory.
    #[test]
    fn the_system_has_this_crates_files() {
        let here = Path::new("routes.toml");
        assert!(SystemSources.exists(here) && !SystemSources.exists(Path::new("src")));
        assert!(SystemSources.read(here, 1 << 20).unwrap().contains("[gateway]"));
        let error = SystemSources.read(here, 1_024).unwrap_err().to_string();
        assert_eq!(error, "longer than 1 KiB");
        assert!(SystemSources.list(Path::new("")).unwrap().iter().any(|file| file == here));
        let listed = SystemSources.list(Path::new("src/routes")).unwrap();
        assert!(listed.contains(&PathBuf::from("src/routes/sources.rs")));
        assert!(!listed.contains(&PathBuf::from("src/routes/target")), "a directory is no file");
        assert_eq!(SystemSources.list(Path::new("none")).unwrap_err().kind(), ErrorKind::NotFound);
        assert!(SystemSources.read(Path::new("none"), 1).is_err());
        assert!(SystemSources.variable("CARGO_MANIFEST_DIR").is_some());
        assert_eq!(SystemSources.variable("CORGATE_TEST_NOT_SET"), None);
    }
}

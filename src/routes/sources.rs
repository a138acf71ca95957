//! What the loader may ask of the world: files and environment variables.
//!
//! This file decides how the world is asked, so that the loader itself touches nothing and a test
//! can hand it a world of its own. It must not know what the files mean.

use std::collections::{BTreeMap, BTreeSet};
use std::io::{Error, ErrorKind, Read as _};
use std::path::{Path, PathBuf};

/// Longest file that is read, in bytes: room for 100,000 targets several times over.
pub const FILE_BYTES_MAX: u64 = 256 * 1024 * 1024;

/// Where the loader reads from.
pub trait Sources {
    /// Reads a text file.
    ///
    /// # Errors
    /// The system's; `InvalidData` when it is no UTF-8 or longer than [`FILE_BYTES_MAX`].
    fn read(&self, path: &Path) -> Result<String, Error>;

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

/// The process's own files and environment.
#[derive(Debug, Clone, Copy, Default)]
pub struct SystemSources;

impl Sources for SystemSources {
    fn read(&self, path: &Path) -> Result<String, Error> {
        let mut text = String::new();
        std::fs::File::open(path)?.take(FILE_BYTES_MAX + 1).read_to_string(&mut text)?;
        if text.len() as u64 > FILE_BYTES_MAX {
            return Err(Error::new(ErrorKind::InvalidData, "longer than 256 MiB"));
        }
        Ok(text)
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
    fn read(&self, path: &Path) -> Result<String, Error> {
        self.files.get(path).cloned().ok_or_else(|| Error::from(ErrorKind::NotFound))
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
        assert!(SystemSources.read(here).unwrap().contains("[gateway]"));
        assert!(SystemSources.list(Path::new("")).unwrap().iter().any(|file| file == here));
        let listed = SystemSources.list(Path::new("src/routes")).unwrap();
        assert!(listed.contains(&PathBuf::from("src/routes/sources.rs")));
        assert!(!listed.contains(&PathBuf::from("src/routes/target")), "a directory is no file");
        assert_eq!(SystemSources.list(Path::new("none")).unwrap_err().kind(), ErrorKind::NotFound);
        assert!(SystemSources.read(Path::new("none")).is_err());
        assert!(SystemSources.variable("CARGO_MANIFEST_DIR").is_some());
        assert_eq!(SystemSources.variable("CORGATE_TEST_NOT_SET"), None);
    }
}

//! Finds out that a file changed, by looking.
//!
//! This file decides what counts as a change: another file under the name (a symbolic link that
//! leads elsewhere, a rename), another size, another time of change. It asks the file system again
//! and again rather than to be told: a notification is not sent for what lies behind a bind mount,
//! a network or a chain of links, which is how secrets are mounted. It must not know what the files
//! mean.

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::collections::hash_map::DefaultHasher;
use std::hash::{Hash as _, Hasher as _};
use std::io::Error;
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};

use crate::routes::{Sources, SystemSources};

/// What a file is told apart by: device, inode, size, and both times of change with nanoseconds.
/// None where there is no file.
type Stamp = Option<[i64; 7]>;

type Stamps = BTreeMap<PathBuf, Stamp>;

fn stamp(path: &Path) -> Stamp {
    let data = std::fs::metadata(path).ok()?;
    let [device, inode, size] = [data.dev(), data.ino(), data.size()].map(u64::cast_signed);
    let times = [data.mtime(), data.mtime_nsec(), data.ctime(), data.ctime_nsec()];
    let [written, written_ns, changed, changed_ns] = times;
    Some([device, inode, size, written, written_ns, changed, changed_ns])
}

/// The process's files and environment; whatever is asked for is remembered, as it was before it
/// was read.
#[derive(Debug, Default)]
pub(super) struct Recorder(RefCell<Stamps>);

impl Recorder {
    fn note(&self, path: &Path) {
        let path = if path.as_os_str().is_empty() { Path::new(".") } else { path };
        let mut stamps = self.0.borrow_mut();
        if !stamps.contains_key(path) {
            stamps.insert(path.to_owned(), stamp(path));
        }
    }
}

impl Sources for Recorder {
    fn read(&self, path: &Path) -> Result<String, Error> {
        self.note(path);
        // A pipe would be waited for, and hold up every reload after this one.
        if !std::fs::metadata(path)?.is_file() {
            return Err(Error::other("is no regular file"));
        }
        SystemSources.read(path)
    }

    fn list(&self, directory: &Path) -> Result<Vec<PathBuf>, Error> {
        self.note(directory);
        SystemSources.list(directory)
    }

    fn exists(&self, path: &Path) -> bool {
        self.note(path);
        SystemSources.exists(path)
    }

    fn variable(&self, name: &str) -> Option<String> {
        SystemSources.variable(name)
    }
}

/// Looks at the files of the last reload.
#[derive(Debug, Default)]
pub(super) struct Watcher {
    /// The files, as they were when they were last read; none before the first reload.
    seen: Option<Stamps>,
    /// What the last look saw, where it saw something else.
    pending: Option<u64>,
}

impl Watcher {
    /// Whether it does not know yet which files there are.
    pub(super) const fn is_new(&self) -> bool {
        self.seen.is_none()
    }

    /// Whether something changed and has stood still since the last look: a file that is being
    /// written, or a certificate whose key is not there yet, gets its time.
    pub(super) fn has_changed(&mut self) -> bool {
        let Some(seen) = &self.seen else { return true };
        let now = digest(&self.look());
        if now == digest(seen) {
            self.pending = None;
            return false;
        }
        self.pending.replace(now) == Some(now)
    }

    /// The known files as they are now.
    pub(super) fn look(&self) -> Stamps {
        let paths = self.seen.iter().flat_map(|seen| seen.keys());
        paths.map(|path| (path.clone(), stamp(path))).collect()
    }

    /// From now on, these files are looked at. After a reload that failed, those of `before` still
    /// are: what a broken file does not name may be what mends it.
    pub(super) fn keep(&mut self, recorder: Recorder, before: Option<Stamps>) {
        let mut stamps = before.unwrap_or_default();
        stamps.extend(recorder.0.into_inner());
        self.seen = Some(stamps);
        self.pending = None;
    }
}

fn digest(stamps: &Stamps) -> u64 {
    let mut hasher = DefaultHasher::new();
    stamps.hash(&mut hasher);
    hasher.finish()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_change_counts_once_it_stands_still() {
        let folder = tempfile::tempdir().unwrap();
        let (file, link) = (folder.path().join("a"), folder.path().join("link"));
        std::fs::write(&file, "one").unwrap();
        std::os::unix::fs::symlink(&file, &link).unwrap();
        let mut watcher = Watcher::default();
        assert!(watcher.has_changed(), "nothing is known yet");
        let read = |watcher: &mut Watcher| {
            let recorder = Recorder::default();
            recorder.read(&link).unwrap();
            recorder.list(folder.path()).unwrap();
            watcher.keep(recorder, None);
        };
        read(&mut watcher);
        assert!(!watcher.has_changed());

        // Another file behind the same name, as a mounted secret changes.
        let other = tempfile::tempdir().unwrap();
        std::fs::write(other.path().join("b"), "two").unwrap();
        std::os::unix::fs::symlink(other.path().join("b"), folder.path().join("new")).unwrap();
        std::fs::rename(folder.path().join("new"), &link).unwrap();
        assert!(!watcher.has_changed(), "it has not stood still");
        assert!(watcher.has_changed());
        read(&mut watcher);
        assert!(!watcher.has_changed());

        // One that is gone, and one that is new.
        std::fs::remove_file(other.path().join("b")).unwrap();
        assert!(!watcher.has_changed());
        std::fs::write(folder.path().join("c"), "three").unwrap();
        assert!(!watcher.has_changed(), "it changed again");
        assert!(watcher.has_changed());
    }

    #[test]
    fn a_pipe_is_not_waited_for() {
        let folder = tempfile::tempdir().unwrap();
        let pipe = folder.path().join("pipe");
        let made = std::process::Command::new("mkfifo").arg(&pipe).status().unwrap();
        assert!(made.success());
        let error = Recorder::default().read(&pipe).unwrap_err();
        assert_eq!(error.to_string(), "is no regular file");
    }
}

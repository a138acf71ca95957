//! Finds out that a file changed, by looking.
//!
//! This file decides what counts as a change: another file under the name (a symbolic link that
//! leads elsewhere, a rename), another size, another time of change. It asks the file system again
//! and again rather than to be told: a notification is not sent for what lies behind a bind mount,
//! a network or a chain of links, which is how secrets are mounted.
//!
//! A change counts once its file has stood still from one look to the next, and changes that come
//! together are taken up together. But each file is judged by itself, and the wait has an end: who
//! touches one file all the time keeps nobody's changes away. This file must not know what the
//! files mean.

use std::cell::RefCell;
use std::collections::hash_map::DefaultHasher;
use std::collections::{BTreeMap, BTreeSet};
use std::hash::Hasher as _;
use std::io::{Error, Read as _};
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use crate::routes::{Sources, SystemSources, open_regular};

/// How long a change that stands still waits for others that do not.
pub(super) const WAIT_MAX: Duration = Duration::from_secs(5);
/// How often it is said that a file does not stand still.
const TOLD_EVERY: Duration = Duration::from_secs(60);
/// Most bytes of files that are read in one look.
const COMPARED_BYTES_MAX: u64 = 32 * 1024 * 1024;
/// Most files that one line of the log names.
const NAMED_MAX: usize = 5;
/// The stamp of a file that was left out of a reload: no file has it, so it counts as changed.
const UNREAD: Stamp = Some([-1; 7]);

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
pub(super) struct Recorder {
    stamps: RefCell<Stamps>,
    /// The digests of restless files, as they were read.
    digests: RefCell<BTreeMap<PathBuf, u64>>,
    restless: Restless,
}

/// The files that were found to change all the time.
#[derive(Debug, Default, Clone, PartialEq, Eq)]
pub(super) struct Restless {
    /// Those whose dates say nothing: they are told apart by their text.
    by_text: BTreeSet<PathBuf>,
    /// Those whose text changes, too: where one is a bank's file, it is left out.
    unsettled: BTreeSet<PathBuf>,
}

impl Recorder {
    /// For a reload while some files are restless.
    pub(super) fn new(restless: Restless) -> Self {
        Self { restless, ..Self::default() }
    }

    fn note(&self, path: &Path) {
        let path = if path.as_os_str().is_empty() { Path::new(".") } else { path };
        let mut stamps = self.stamps.borrow_mut();
        if stamps.contains_key(path) {
            return;
        }
        stamps.insert(path.to_owned(), stamp(path));
        if self.restless.by_text.contains(path)
            && let Some(digest) = digest(path, &mut COMPARED_BYTES_MAX.clone())
        {
            self.digests.borrow_mut().insert(path.to_owned(), digest);
        }
    }
}

impl Sources for Recorder {
    fn read(&self, path: &Path, bytes_max: u64) -> Result<String, Error> {
        self.note(path);
        SystemSources.read(path, bytes_max)
    }

    fn read_included(&self, path: &Path, bytes_max: u64) -> Result<String, Error> {
        if self.restless.unsettled.contains(path) {
            self.stamps.borrow_mut().insert(path.to_owned(), UNREAD);
            return Err(Error::other(
                "it changes all the time, and is not read until it stands still",
            ));
        }
        self.read(path, bytes_max)
    }

    fn locate(&self, folder: &Path, name: &str) -> Result<PathBuf, Error> {
        self.note(&folder.join(name));
        SystemSources.locate(folder, name)
    }

    fn read_within(&self, folder: &Path, name: &str, bytes_max: u64) -> Result<String, Error> {
        self.note(&folder.join(name));
        SystemSources.read_within(folder, name, bytes_max)
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

/// One file, as it was at the last reload and at the last look.
#[derive(Debug, Default)]
struct Watched {
    /// When it was last read.
    read: Stamp,
    /// At the last look.
    last: Stamp,
    /// Since when it has been another one at each look.
    restless_since: Option<Instant>,
    /// Its text at the last look, if it was restless then.
    digest: Option<u64>,
    /// The text that was read, where it was restless then: only another text is a change.
    read_digest: Option<u64>,
}

/// What a look says of one file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Verdict {
    Unchanged,
    /// It changed and stands still.
    Settled,
    /// It changed, and again since the last look.
    Unsettled,
}

impl Watched {
    fn look(&mut self, path: &Path, now: Instant, budget: &mut u64) -> Verdict {
        let stamp = stamp(path);
        let before = std::mem::replace(&mut self.last, stamp);
        if stamp == self.read || stamp == before {
            (self.restless_since, self.digest) = (None, None);
            return if stamp == self.read { Verdict::Unchanged } else { Verdict::Settled };
        }
        let text = digest(path, budget);
        if text.is_some() && text == self.read_digest {
            (self.read, self.restless_since, self.digest) = (stamp, None, None);
            return Verdict::Unchanged;
        }
        self.restless_since.get_or_insert(now);
        let same = text.is_some() && text == self.digest;
        self.digest = text;
        if same { Verdict::Settled } else { Verdict::Unsettled }
    }

    fn is_restless(&self, now: Instant) -> bool {
        self.restless_since.is_some_and(|since| now.saturating_duration_since(since) >= WAIT_MAX)
    }
}

/// Looks at the files of the last reload.
#[derive(Debug, Default)]
pub(super) struct Watcher {
    /// The files; none before the first reload.
    files: Option<BTreeMap<PathBuf, Watched>>,
    /// Since when a change that stands still has waited for others.
    waiting_since: Option<Instant>,
    told_at: Option<Instant>,
}

impl Watcher {
    /// Whether it does not know yet which files there are.
    pub(super) const fn is_new(&self) -> bool {
        self.files.is_none()
    }

    /// Whether something changed that is to be taken up now, and which files are restless then. A
    /// file that is being written, or a certificate whose key is not there yet, gets its time;
    /// `config`, the operator's own file, gets all that it wants.
    pub(super) fn look(&mut self, now: Instant, config: &Path) -> Option<Restless> {
        let Some(files) = &mut self.files else { return Some(Restless::default()) };
        let mut budget = COMPARED_BYTES_MAX;
        let (mut settled, mut all_restless) = (false, true);
        let (mut restless, mut told) = (Restless::default(), Vec::new());
        for (path, file) in files {
            let verdict = file.look(path, now, &mut budget);
            settled |= verdict == Verdict::Settled;
            if verdict == Verdict::Unsettled {
                all_restless &= file.is_restless(now);
                restless.unsettled.insert(path.clone());
            }
            if file.restless_since.is_some() || file.read_digest.is_some() {
                restless.by_text.insert(path.clone());
            }
            if file.is_restless(now) {
                told.push(path.clone());
            }
        }
        self.tell(now, &told);
        if !settled {
            self.waiting_since = None;
            return None;
        }
        let since = *self.waiting_since.get_or_insert(now);
        let over = all_restless || now.saturating_duration_since(since) >= WAIT_MAX;
        (over && !restless.unsettled.contains(config)).then_some(restless)
    }

    /// Says which files do not stand still, now and then.
    fn tell(&mut self, now: Instant, restless: &[PathBuf]) {
        let lately = |at: Instant| now.saturating_duration_since(at) < TOLD_EVERY;
        if restless.is_empty() || self.told_at.is_some_and(lately) {
            return;
        }
        self.told_at = Some(now);
        let shown = restless.iter().take(NAMED_MAX);
        let files: Vec<_> = shown.map(|file| file.display().to_string()).collect();
        let (files, count) = (files.join(", "), restless.len());
        tracing::warn!(
            files,
            count,
            "these files change all the time; other changes do not wait for them"
        );
    }

    /// The known files as they are now.
    pub(super) fn stamps(&self) -> Stamps {
        let paths = self.files.iter().flat_map(|files| files.keys());
        paths.map(|path| (path.clone(), stamp(path))).collect()
    }

    /// From now on, these files are looked at. After a reload that failed, those of `before` still
    /// are: what a broken file does not name may be what mends it.
    pub(super) fn keep(&mut self, recorder: Recorder, before: Option<Stamps>) {
        let mut stamps = before.unwrap_or_default();
        stamps.extend(recorder.stamps.into_inner());
        let mut known = self.files.take().unwrap_or_default();
        let digests = recorder.digests.into_inner();
        let watched = |(path, stamp): (PathBuf, Stamp)| {
            let mut old = known.remove(&path).unwrap_or_default();
            let unread = stamp == UNREAD;
            let (last, restless_since) =
                if unread { (old.last, old.restless_since) } else { (stamp, None) };
            let read_digest =
                if unread { old.read_digest.take() } else { digests.get(&path).copied() };
            let digest = old.digest.filter(|_| unread);
            (path, Watched { read: stamp, last, restless_since, digest, read_digest })
        };
        self.files = Some(stamps.into_iter().map(watched).collect());
        self.waiting_since = None;
    }
}

/// A digest of a file's bytes, which are taken out of the budget of this look; none where there is
/// no regular file, or no budget for it. Who may write the file gains nothing by two texts with one
/// digest: theirs is then the one that is not taken up.
fn digest(path: &Path, budget: &mut u64) -> Option<u64> {
    let file = open_regular(path).ok()?;
    let length = file.metadata().ok()?.len();
    *budget = budget.checked_sub(length)?;
    let mut bytes = Vec::new();
    file.take(length + 1).read_to_end(&mut bytes).ok()?;
    let mut hasher = DefaultHasher::new();
    hasher.write(&bytes);
    (bytes.len() as u64 == length).then(|| hasher.finish())
}

#[cfg(test)]
mod tests;

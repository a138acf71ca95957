//! The files of banks as they were when they were good, kept where the next process finds them.
//!
//! A bank whose file is broken is served by its last good entry. While the process lives, that is
//! the entry itself; this file decides what outlives the process: the text of each included file
//! that was taken up, in a private folder. It may hold secrets that stand in the file itself, so
//! nobody else may read it; references to secrets stay references. What is found there is never
//! believed: it is parsed as the file itself would be, and by today's rules. This file must not
//! know what is in a text.

use std::collections::{HashMap, HashSet};
use std::ffi::OsString;
use std::fs::{self, OpenOptions};
use std::io::{self, Read as _, Write as _};
use std::os::unix::fs::{MetadataExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use sha2::{Digest as _, Sha256};

use super::run_dir::{check_private, open_private};
use crate::ids::TargetId;
use crate::routes::{Before, Gateway, open_regular};

/// The folder in `state_dir`.
const FOLDER: &str = "last-good";
/// What a kept text begins with; behind it is the name of its file.
const HEADING: &str = "# corgate: the last good text of ";
/// Longest file that is read back, in bytes: a text, and its heading.
const BYTES_MAX: u64 = 1_048_576 + 16 * 1_024;
/// Up to so many files at once are written through to the disk. Of more, which is a first start,
/// the system takes its time: what a crash leaves half written is not believed, and comes again.
const SYNCED_MAX: usize = 64;

/// Where the texts are.
#[derive(Debug, Clone, Default)]
pub(super) struct LastGood {
    /// None where there is no such folder, or it is not ours alone.
    folder: Option<PathBuf>,
}

impl LastGood {
    /// What the process before has left.
    pub(super) fn of(gateway: &Gateway) -> Self {
        let folder = gateway.state_dir().map(|folder| folder.join(FOLDER));
        let folder = folder.filter(|folder| folder.exists());
        // Who can write above it can put another one in its place.
        let private = |folder: &PathBuf| {
            folder.parent().map_or(Ok(()), |above| check_private(above, "state_dir"))?;
            check_private(folder, "state_dir")
        };
        let is_private = |folder: &PathBuf| match private(folder) {
            Ok(()) => true,
            Err(error) => {
                tracing::error!(%error, "what is kept there is not believed");
                false
            }
        };
        Self { folder: folder.filter(is_private) }
    }
}

impl Before for LastGood {
    fn owner(&self, _: &TargetId) -> Option<Arc<Path>> {
        // Told by the texts.
        None
    }

    fn text(&self, file: &Path) -> Option<String> {
        let kept = self.folder.as_ref()?.join(name_of(file));
        let whole = read(&kept).ok()?;
        let (heading, text) = whole.split_once('\n')?;
        (heading == heading_of(file)).then(|| text.to_owned())
    }
}

/// Keeps the texts of what is served.
#[derive(Debug, Default)]
pub(super) struct Keeper {
    /// What stands in each file of the folder.
    kept: HashMap<OsString, [u8; 32]>,
    folder: PathBuf,
}

impl Keeper {
    /// Keeps the texts of the `good` files, and forgets those that are not `included` any more.
    /// That nothing can be kept is told, and stops nobody.
    pub(super) fn keep(
        &mut self,
        gateway: &Gateway,
        good: &[(Arc<Path>, String)],
        included: &[Arc<Path>],
    ) {
        let Some(state_dir) = gateway.state_dir() else { return };
        if good.is_empty() && self.kept.is_empty() && !state_dir.exists() {
            return;
        }
        if let Err(error) = self.write(gateway, &state_dir, good, included) {
            let folder = state_dir.display();
            tracing::error!(%folder, %error, "the last good entries of banks can't be kept");
        }
    }

    fn write(
        &mut self,
        gateway: &Gateway,
        state_dir: &Path,
        good: &[(Arc<Path>, String)],
        included: &[Arc<Path>],
    ) -> io::Result<()> {
        if let Some(run_dir) = gateway.run_dir.as_ref().filter(|_| gateway.state_dir.is_none()) {
            open_private(run_dir, "run_dir").map_err(io::Error::other)?;
        }
        let folder = state_dir.join(FOLDER);
        for folder in [state_dir, &folder] {
            open_private(folder, "state_dir").map_err(io::Error::other)?;
        }
        if self.folder != folder {
            *self = Self { folder, ..Self::default() };
            self.look();
        }
        let changed: Vec<_> = good
            .iter()
            .map(|(file, text)| (name_of(file), format!("{}\n{text}", heading_of(file))))
            .filter(|(name, whole)| self.kept.get(name) != Some(&digest(whole)))
            .collect();
        let synced = changed.len() <= SYNCED_MAX;
        for (name, whole) in changed {
            replace(&self.folder, &name, &whole, synced)?;
            self.kept.insert(name, digest(&whole));
        }
        let wanted: HashSet<_> = included.iter().map(|file| name_of(file)).collect();
        let folder = &self.folder;
        self.kept
            .retain(|name, _| wanted.contains(name) || fs::remove_file(folder.join(name)).is_err());
        Ok(())
    }

    /// Finds out what is there already.
    fn look(&mut self) {
        for entry in fs::read_dir(&self.folder).into_iter().flatten().flatten() {
            // One that can't be read is written anew.
            let digest = read(&entry.path()).map_or([0; 32], |whole| digest(&whole));
            self.kept.insert(entry.file_name(), digest);
        }
    }
}

/// A file's own name in the folder, whatever its name is.
fn name_of(file: &Path) -> OsString {
    let hash = Sha256::digest(whole_name(file).as_encoded_bytes());
    let hash: String = hash.iter().take(16).map(|octet| format!("{octet:02x}")).collect();
    format!("{hash}.toml").into()
}

fn heading_of(file: &Path) -> String {
    format!("{HEADING}{:?}", whole_name(file))
}

/// The next process may stand in another directory.
fn whole_name(file: &Path) -> OsString {
    std::path::absolute(file).unwrap_or_else(|_| file.to_owned()).into_os_string()
}

fn digest(text: &str) -> [u8; 32] {
    Sha256::digest(text).into()
}

/// Reads a file that nobody else can have written.
fn read(path: &Path) -> io::Result<String> {
    let file = open_regular(path)?;
    let data = file.metadata()?;
    let private = data.uid() == rustix::process::geteuid().as_raw() && data.mode() & 0o077 == 0;
    if !private || data.len() > BYTES_MAX {
        return Err(io::Error::other("it is not one that was kept here"));
    }
    let mut text = String::new();
    file.take(BYTES_MAX).read_to_string(&mut text)?;
    Ok(text)
}

/// Writes a file anew under its name, so that no reader sees a part of it.
fn replace(folder: &Path, name: &OsString, text: &str, synced: bool) -> io::Result<()> {
    // Two processes may do so at once, in an upgrade.
    let new = folder.join(format!("new.{}", std::process::id()));
    let _ = fs::remove_file(&new);
    let mut file = OpenOptions::new().write(true).create_new(true).mode(0o600).open(&new)?;
    let written = file.write_all(text.as_bytes());
    let written = written.and_then(|()| if synced { file.sync_data() } else { Ok(()) });
    written.and_then(|()| fs::rename(&new, folder.join(name))).inspect_err(|_| {
        let _ = fs::remove_file(&new);
    })
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::{PermissionsExt as _, symlink};

    use super::*;
    use crate::routes::{MemorySources, load};

    fn gateway(state_dir: &Path) -> Gateway {
        let text = format!(
            "[gateway]\ninsecure_plain_listen = '127.0.0.1:0'\ninsecure_header_identity = true\n\
             state_dir = {state_dir:?}\n[[api]]\ncontract = 'blink-fi'\n"
        );
        let sources = MemorySources::default().file("routes.toml", &text);
        load("routes.toml".as_ref(), &sources).unwrap().table.gateway
    }

    fn good(files: &[(&str, &str)]) -> Vec<(Arc<Path>, String)> {
        files.iter().map(|(file, text)| (Path::new(file).into(), (*text).to_owned())).collect()
    }

    fn names(files: &[(Arc<Path>, String)]) -> Vec<Arc<Path>> {
        files.iter().map(|(file, _)| file.clone()).collect()
    }

    #[test]
    fn what_was_good_is_kept_for_the_next_process_and_for_nobody_else() {
        let place = tempfile::tempdir().unwrap();
        let state = place.path().join("state");
        let gateway = gateway(&state);
        let text = |file: &str| LastGood::of(&gateway).text(Path::new(file));
        assert_eq!(text("a.toml"), None);
        let files = good(&[("a.toml", "one"), ("b.toml", "two\n\nthree")]);
        let mut keeper = Keeper::default();
        keeper.keep(&gateway, &files, &names(&files));
        assert_eq!(text("a.toml").as_deref(), Some("one"));
        assert_eq!(text("b.toml").as_deref(), Some("two\n\nthree"));
        let mode = |path: &Path| fs::symlink_metadata(path).unwrap().mode() & 0o777;
        assert_eq!((mode(&state), mode(&state.join(FOLDER))), (0o700, 0o700));
        for entry in fs::read_dir(state.join(FOLDER)).unwrap() {
            assert_eq!(mode(&entry.unwrap().path()), 0o600);
        }
        // One is broken, and one is not included any more; by another process.
        Keeper::default().keep(&gateway, &[], &names(&files[..1]));
        assert_eq!((text("a.toml").as_deref(), text("b.toml")), (Some("one"), None));
        // What one process wrote, the other one writes over.
        keeper.keep(&gateway, &good(&[("a.toml", "four")]), &names(&files[..1]));
        assert_eq!(text("a.toml").as_deref(), Some("four"));
    }

    #[test]
    fn what_somebody_else_left_there_is_not_believed() {
        let place = tempfile::tempdir().unwrap();
        let state = place.path().join("state");
        let gateway = gateway(&state);
        let files = good(&[("a.toml", "one"), ("b.toml", "two")]);
        let keep = || Keeper::default().keep(&gateway, &files, &names(&files));
        let text = |file: &str| LastGood::of(&gateway).text(Path::new(file));
        keep();
        let (a, b) = (name_of(Path::new("a.toml")), name_of(Path::new("b.toml")));
        let [a, b] = [a, b].map(|name| state.join(FOLDER).join(name));
        for spoil in [
            // Another file's text, half a text, no text, too much, a link, others may write it.
            &(|| assert!(fs::copy(&b, &a).unwrap() > 0)) as &dyn Fn(),
            &|| fs::write(&a, "# corgate: the last").unwrap(),
            &|| fs::write(&a, [0xFF, 0xFE]).unwrap(),
            &|| fs::write(&a, vec![b'#'; 2 * 1_048_576]).unwrap(),
            &|| {
                fs::remove_file(&a).unwrap();
                symlink("/dev/zero", &a).unwrap();
            },
            &|| fs::set_permissions(&a, fs::Permissions::from_mode(0o666)).unwrap(),
        ] {
            spoil();
            assert_eq!(text("a.toml"), None);
            assert_eq!(text("b.toml").as_deref(), Some("two"));
            fs::remove_file(&a).unwrap();
            keep();
            assert_eq!(text("a.toml").as_deref(), Some("one"));
        }
        // The folder above, and the folder itself.
        fs::set_permissions(&state, fs::Permissions::from_mode(0o777)).unwrap();
        assert_eq!(text("b.toml"), None);
        fs::set_permissions(&state, fs::Permissions::from_mode(0o700)).unwrap();
        assert_eq!(text("b.toml").as_deref(), Some("two"));
        fs::set_permissions(state.join(FOLDER), fs::Permissions::from_mode(0o755)).unwrap();
        assert_eq!(text("b.toml"), None);
    }

    #[test]
    fn a_folder_that_can_not_be_used_stops_nobody() {
        let place = tempfile::tempdir().unwrap();
        let state = place.path().join("state");
        fs::write(&state, "no folder").unwrap();
        let files = good(&[("a.toml", "one")]);
        Keeper::default().keep(&gateway(&state), &files, &names(&files));
        assert_eq!(LastGood::of(&gateway(&state)).text(Path::new("a.toml")), None);
        assert_eq!(fs::read_to_string(state).unwrap(), "no folder");
    }
}

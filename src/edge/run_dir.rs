//! The run directory: the private folder where a process can be asked for its sockets.
//!
//! This file decides which folder is private enough: ours, and closed to everybody else. Whoever
//! can write there could take the listening sockets over. A folder above it may still be another's,
//! so who calls there is asked for their user too (`handover`). It must not know what is said.

use std::fs::DirBuilder;
use std::io;
use std::os::unix::fs::{DirBuilderExt as _, MetadataExt as _};
use std::path::{Path, PathBuf};

use super::StartError;

/// The name of the upgrade socket in it.
const SOCKET: &str = "upgrade.sock";
/// How the names of sockets begin where a successor asks about refreshes.
const FLIGHTS: &str = "flights.";

/// A folder that was looked at and is private.
#[derive(Debug, Clone)]
pub(super) struct RunDir(PathBuf);

/// Makes a folder that is ours alone, or looks at the one that is there. `key` is what names it.
///
/// # Errors
/// [`StartError`] says why it is not private, or could not be made.
pub(super) fn open_private(folder: &Path, key: &str) -> Result<(), StartError> {
    let shown = folder.display();
    match DirBuilder::new().mode(0o700).create(folder) {
        Err(error) if error.kind() != io::ErrorKind::AlreadyExists => {
            Err(StartError::new(format!("`{key}` {shown} can't be made"), error))
        }
        _ => check_private(folder, key),
    }
}

/// Looks at a folder that is to be ours alone.
///
/// # Errors
/// [`StartError`] says why it is not.
pub(super) fn check_private(folder: &Path, key: &str) -> Result<(), StartError> {
    let shown = folder.display();
    let found = folder
        .symlink_metadata()
        .map_err(|error| StartError::new(format!("`{key}` {shown} can't be read"), error))?;
    let (owner, us) = (found.uid(), rustix::process::geteuid().as_raw());
    let mode = found.mode() & 0o7777;
    let wrong = if !found.is_dir() {
        "it is no folder".to_owned()
    } else if owner != us {
        format!("it belongs to user {owner}, and corgate runs as user {us}")
    } else if mode & 0o077 != 0 {
        format!("others can reach it: its mode is {mode:04o}, and 0700 would be right")
    } else {
        return Ok(());
    };
    Err(StartError::new(format!("`{key}` {shown} is not private"), wrong))
}

impl RunDir {
    /// Makes the folder, or looks at the one that is there.
    ///
    /// # Errors
    /// [`StartError`] says why it is not private, or could not be made.
    pub(super) fn open(folder: &Path) -> Result<Self, StartError> {
        open_private(folder, "run_dir")?;
        Ok(Self(folder.to_owned()))
    }

    /// Where the upgrade socket is.
    pub(super) fn socket(&self) -> PathBuf {
        self.0.join(SOCKET)
    }

    /// Where a process makes it, before it takes the place of the one that is there.
    pub(super) fn new_socket(&self, process: u32) -> PathBuf {
        self.0.join(format!("{SOCKET}.{process}"))
    }

    /// Where a process is asked about refreshes once it hands over: a name that no other process
    /// has, also where two of them have one process id (containers).
    pub(super) fn new_flights_socket(&self) -> PathBuf {
        self.0.join(format!("{FLIGHTS}{:08x}", fastrand::u32(..)))
    }

    /// Where the process that hands over now is asked: it has just begun to listen.
    pub(super) fn latest_flights_socket(&self) -> Option<PathBuf> {
        let entries = std::fs::read_dir(&self.0).ok()?.filter_map(Result::ok);
        let named = entries.filter(|entry| {
            entry.file_name().to_str().is_some_and(|name| name.starts_with(FLIGHTS))
        });
        let latest =
            named.max_by_key(|entry| entry.metadata().and_then(|data| data.modified()).ok());
        latest.map(|entry| entry.path())
    }

    /// Removes what a process has made and not shown.
    pub(super) fn forget(&self, process: u32) {
        // That there is nothing is the rule.
        let _ = std::fs::remove_file(self.new_socket(process));
    }
}

#[cfg(test)]
mod tests {
    use std::fs::{self, Permissions};
    use std::os::unix::fs::{PermissionsExt as _, symlink};

    use super::*;

    #[test]
    fn a_folder_that_is_not_there_is_made_for_its_owner_alone() {
        let place = tempfile::tempdir().unwrap();
        let folder = place.path().join("run");
        for _ in 0..2 {
            RunDir::open(&folder).unwrap();
            assert_eq!(fs::metadata(&folder).unwrap().mode() & 0o777, 0o700);
        }
    }

    #[test]
    fn a_folder_that_others_can_reach_is_refused() {
        let place = tempfile::tempdir().unwrap();
        for mode in [0o710, 0o701, 0o777, 0o1777] {
            fs::set_permissions(place.path(), Permissions::from_mode(mode)).unwrap();
            let error = RunDir::open(place.path()).unwrap_err().to_string();
            assert!(error.contains(&format!("{mode:04o}, and 0700")), "{error}");
        }
        assert!(RunDir::open(&std::env::temp_dir()).is_err());
    }

    #[test]
    fn a_link_or_a_file_is_no_run_directory() {
        let place = tempfile::tempdir().unwrap();
        let (link, file) = (place.path().join("link"), place.path().join("file"));
        symlink(place.path(), &link).unwrap();
        fs::write(&file, "").unwrap();
        for path in [link, file] {
            let error = RunDir::open(&path).unwrap_err().to_string();
            assert!(error.contains("no folder"), "{error}");
        }
    }
}

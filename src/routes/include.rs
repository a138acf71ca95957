//! Finds the files that `include` names.
//!
//! This file decides which files a pattern means. It must not know what is in them.

use std::collections::BTreeSet;
use std::io::ErrorKind;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::page::{At, Wrong};
use super::reader::{Reader, shorten};
use super::shown::misleads;

/// Most files that are included.
const FILES_MAX: usize = 100_000;

/// The files that `include` names, by name, each once, the including file itself left out.
pub(super) fn read(root: &Reader<'_>) -> Vec<Arc<Path>> {
    let mut files = BTreeSet::new();
    for pattern in root.texts("include") {
        files.extend(find(root, pattern));
    }
    if files.len() > FILES_MAX {
        let what = format!("`include` names {} files", files.len());
        let right = format!("at most {FILES_MAX}");
        root.page.error(root.key_span("include"), Wrong::new(what).right(right));
        return Vec::new();
    }
    files.into_iter().filter(|file| **file != *root.page.file).map(Arc::from).collect()
}

fn find(root: &Reader<'_>, pattern: At<&str>) -> Vec<PathBuf> {
    let path = Path::new(pattern.value);
    let folder = path.parent().unwrap_or(Path::new(""));
    let Some(last) = path.file_name().and_then(|last| last.to_str()) else {
        let what = format!("`{}` names no file", shorten(pattern.value));
        root.page.error(pattern.span, Wrong::new(what).right("such as `routes.d/*.toml`"));
        return Vec::new();
    };
    if folder.to_str().is_none_or(|folder| folder.contains('*')) {
        let what = "`*` can stand in the last part of a name alone";
        root.page.error(pattern.span, Wrong::new(what).right("such as `routes.d/*.toml`"));
        return Vec::new();
    }
    let directory = root.page.directory().join(folder);
    if !last.contains('*') {
        // A name without `*` is read whatever becomes of it: if it is missing, the bank that
        // should be in it is set aside, and the operator's file stands.
        return vec![directory.join(last)];
    }
    let listed = match root.page.sources.list(&directory) {
        Ok(files) => files,
        Err(error) if error.kind() == ErrorKind::NotFound => Vec::new(),
        Err(error) => {
            let what = format!("the directory `{}` can't be read: {error}", directory.display());
            root.page.error(pattern.span, Wrong::new(what));
            return Vec::new();
        }
    };
    let name_fits = |file: &PathBuf| {
        let name = file.file_name().and_then(|name| name.to_str());
        // As in a shell: what an editor hides behind a dot is not meant.
        name.is_some_and(|name| !name.starts_with('.') && matches(last, name))
    };
    // Its name stands in the log and on terminals.
    let name_misleads = |file: &PathBuf| file.to_str().is_none_or(|name| name.contains(misleads));
    let (odd, files): (Vec<_>, Vec<_>) =
        listed.into_iter().filter(name_fits).partition(name_misleads);
    if !odd.is_empty() {
        let what = format!("the names of {} files hold control characters", odd.len());
        root.page.warn(pattern.span, Wrong::new(what).right("other names; they are left out"));
    }
    if files.is_empty() {
        let what = format!("no file fits `{}`", shorten(pattern.value));
        let right = format!("it was looked for in `{}`", directory.display());
        root.page.warn(pattern.span, Wrong::new(what).right(right));
    }
    files
}

/// Whether a name fits a pattern in which `*` stands for any characters, or none.
pub(super) fn matches(pattern: &str, name: &str) -> bool {
    let Some((first, rest)) = pattern.split_once('*') else { return pattern == name };
    let Some(mut name) = name.strip_prefix(first) else { return false };
    let mut parts: Vec<&str> = rest.split('*').collect();
    let last = parts.pop().unwrap_or_default();
    // Each part between two stars is taken where it is first found: what is left is longest.
    for part in parts {
        let Some((_, after)) = name.split_once(part).filter(|_| !part.is_empty()) else {
            if part.is_empty() {
                continue;
            }
            return false;
        };
        name = after;
    }
    name.ends_with(last)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_star_stands_for_any_characters() {
        for (pattern, name) in [
            ("*.toml", "a.toml"),
            ("*.toml", ".toml"),
            ("bank-*.toml", "bank-.toml"),
            ("a*b*c", "abc"),
            ("a*b*c", "axbxbxc"),
            ("**", ""),
            ("*", "anything"),
            ("plain", "plain"),
        ] {
            assert!(matches(pattern, name), "{pattern} {name}");
        }
        for (pattern, name) in [
            ("*.toml", "a.toml.bak"),
            ("a*a", "a"),
            ("a*b*c", "acb"),
            ("bank-*.toml", "bank.toml"),
            ("plain", "plainer"),
        ] {
            assert!(!matches(pattern, name), "{pattern} {name}");
        }
    }
}

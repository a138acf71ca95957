//! Walks a file in pieces, so that 100,000 targets never stand in memory as one TOML document.
//!
//! This file decides where a file may be cut. It must not change what a file means: wherever the
//! pieces could say something else than the whole, the whole is read.

use toml::de::{DeTable, DeValue};

use super::page::Page;
use super::reader::Reader;
use super::reference;
use super::unshown;

/// Where a file is cut: at lines that begin with this.
const HEADER: &str = "[[target]]";
/// The least that a piece of targets holds, in bytes.
const PIECE_BYTES_MIN: usize = 128 * 1024;

/// Reads the top of a file with `read_top` and adds each further piece, which holds targets alone,
/// with `read_more`. `None` when the file is no TOML; then that has been reported.
pub(super) fn walk<T>(
    page: &Page<'_>,
    mut read_top: impl FnMut(&Reader<'_>) -> T,
    mut read_more: impl FnMut(&Reader<'_>, &mut T),
) -> Option<T> {
    let pieces = cut(page.text);
    if pieces.len() > 1 {
        if let Some(read) = walk_pieces(page, &pieces, &mut read_top, &mut read_more) {
            return Some(read);
        }
        // What has been found so far will be found again.
        page.forget();
    }
    let table = page.parse()?;
    unshown::hide(page, &table, 0);
    Some(read_top(&Reader::new(page, &table, 0, page.top(), &reference::ROOT)))
}

/// `None` when the pieces can't be told to mean what the whole means: one of them is no TOML, the
/// top holds targets, or another piece holds something else.
fn walk_pieces<T>(
    page: &Page<'_>,
    pieces: &[(usize, &str)],
    read_top: &mut impl FnMut(&Reader<'_>) -> T,
    read_more: &mut impl FnMut(&Reader<'_>, &mut T),
) -> Option<T> {
    let (&(_, top), more) = pieces.split_first()?;
    let table = DeTable::parse(top).ok()?.into_inner();
    if table.contains_key("target") {
        return None;
    }
    unshown::hide(page, &table, 0);
    let mut read = read_top(&Reader::new(page, &table, 0, page.top(), &reference::ROOT));
    for &(base, piece) in more {
        let table = DeTable::parse(piece).ok()?.into_inner();
        let targets = table.get("target").map(toml::Spanned::get_ref);
        if table.len() != 1 || !matches!(targets, Some(DeValue::Array(_))) {
            return None;
        }
        unshown::hide(page, &table, base);
        read_more(&Reader::new(page, &table, base, page.top(), &reference::ROOT), &mut read);
    }
    Some(read)
}

/// Cuts a file before its first target, and then before a target whenever a piece is long enough.
/// A header within a text or a list is cut at as well, and leaves pieces that are no TOML.
fn cut(text: &str) -> Vec<(usize, &str)> {
    let mut pieces = Vec::new();
    let mut from = 0;
    let headers = memchr::memmem::find_iter(text.as_bytes(), HEADER);
    for at in headers.filter(|at| *at > 0) {
        let begins_line = text.as_bytes().get(at - 1) == Some(&b'\n');
        let long_enough = pieces.is_empty() || at - from >= PIECE_BYTES_MIN;
        if begins_line && long_enough {
            pieces.push((from, text.get(from..at).unwrap_or_default()));
            from = at;
        }
    }
    pieces.push((from, text.get(from..).unwrap_or_default()));
    pieces
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::routes::MemorySources;
    use std::path::Path;
    use std::sync::Arc;

    /// How many targets each call saw; `None` when the file is no TOML.
    fn seen(text: &str) -> Option<Vec<usize>> {
        let sources = MemorySources::default();
        let page = Page::new(Arc::from(Path::new("routes.toml")), text, &sources);
        let count = |root: &Reader<'_>| root.tables("target", &reference::TARGET).len();
        walk(&page, |root| vec![count(root)], |root, seen| seen.push(count(root)))
    }

    #[test]
    fn a_file_is_cut_before_targets_and_nowhere_else() {
        let target = format!("[[target]]\nid = 'T'\n#{}\n", "-".repeat(PIECE_BYTES_MIN / 2));
        assert_eq!(seen("x = 1\n"), Some(vec![0]));
        assert_eq!(seen(&format!("x = 1\n{target}")), Some(vec![0, 1]));
        assert_eq!(seen(&format!("x = 1\n{}", target.repeat(5))), Some(vec![0, 2, 2, 1]));
        assert_eq!(seen(&format!("x = 1\n{target}[target.tls]\nca = 'c'\n")), Some(vec![0, 1]));
    }

    #[test]
    fn a_file_that_can_not_be_cut_is_read_whole() {
        for (text, targets) in [
            ("[[target]]\n[[target]]\n", 2),
            ("a = '''\n[[target]]\n'''\n", 0),
            ("a = [\n[[target]]\n]\n", 0),
            ("[[target]]\n[gateway]\n[[target]]\n", 2),
            ("x = 1\n[[target]]\n[gateway]\n[[target]]\n", 2),
        ] {
            let text = text.replace("a = [\n[[target]]\n]", "a = [\n[['target']]\n]");
            assert_eq!(seen(&text), Some(vec![targets]), "{text}");
        }
        assert_eq!(seen("target = []\n[[target]]\n"), None);
        assert_eq!(seen("[target.tls]\nca = 'c'\n[[target]]\n"), None);
        assert_eq!(seen("a = 1\n[[target]]\nid = \n[[target]]\n"), None);
    }
}

//! Tests of what lives longer than a process, and of what does not harm it.

use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;

use super::*;
use crate::dialect::told::{Owner, Tokens};
use crate::routes::{MemorySources, load};

const BANK: &str = "IIDX00001";

/// A table with this folder, and a bank of which this is said.
fn table(place: &Path, lines: &str) -> Snapshot {
    let text = format!(
        "[gateway]\ninsecure_plain_listen = '127.0.0.1:0'\ninsecure_header_identity = true\n\
         state_dir = {place:?}\n[[api]]\ncontract = 'blink-fi'\n[[target]]\nid = 'T'\n\
         upstream = 'https://t.example'\ndialect = 'oauth2'\n{lines}\n[target.oauth2]\n\
         authentication = 'none'\nclient_id = 'hub'\n"
    );
    let sources = MemorySources::default().file("routes.toml", &text);
    Snapshot::build(load("routes.toml".as_ref(), &sources).unwrap().table, None)
}

fn kept(place: &Path) -> Kept {
    open(table(place, "")).unwrap().1.unwrap()
}

fn tell(kept: &Kept, client: &str, number: usize) {
    let (access, refresh) = (format!("secret-at-{number}"), format!("secret-rt-{number}"));
    let access = (&*access, Duration::from_secs(600));
    let (refresh, presented, username) = (Some(&*refresh), None, Some("secret-anna"));
    let tokens = Tokens { target: BANK, client, access, refresh, presented, username };
    kept.memory.tell(&tokens, now());
}

fn owner(kept: &Kept, client: &str, number: usize) -> Owner {
    kept.memory.owner(BANK, client, &format!("secret-rt-{number}"), now())
}

fn journals(place: &Path) -> Vec<std::path::PathBuf> {
    Folder::open(place).unwrap().journals().unwrap()
}

fn until(what: &str, mut is_so: impl FnMut() -> bool) {
    let end = now() + Duration::from_secs(60);
    while !is_so() {
        assert!(now() < end, "it never came: {what}");
        std::thread::sleep(Duration::from_millis(10));
    }
}

#[test]
fn what_one_process_was_told_the_next_one_knows_and_no_file_says_it() {
    let folder = tempfile::tempdir().unwrap();
    let place = folder.path().join("state");
    let first = kept(&place);
    tell(&first, "C1", 1);
    tell(&first, "C1", 2);
    first.memory.forget_name(BANK, "C1", "secret-rt-2", now());
    let begun = first.memory.begun();
    assert!(begun > 0);
    drop(first);
    let next = kept(&place);
    assert_eq!(owner(&next, "C1", 1), Owner::Own);
    assert_eq!(owner(&next, "C2", 1), Owner::Another);
    let told = next.memory.recall(BANK, "C1", "secret-at-1", now()).unwrap();
    assert!(next.memory.is_same_name(&told, BANK, "secret-anna"));
    assert_eq!(next.memory.recall(BANK, "C1", "secret-at-2", now()), None, "it was revoked");
    assert_eq!(next.memory.begun(), begun, "the record goes on");
    assert_eq!(journals(&place).len(), 1, "what is gone was cleared away");
    for entry in fs::read_dir(&place).unwrap() {
        let entry = entry.unwrap();
        assert_eq!(entry.metadata().unwrap().permissions().mode() & 0o777, 0o600);
        let bytes = fs::read(entry.path()).unwrap();
        assert!(!bytes.windows(6).any(|bytes| bytes == b"secret"), "{:?}", entry.path());
    }
    assert_eq!(fs::metadata(&place).unwrap().permissions().mode() & 0o777, 0o700);
    drop(next);
}

#[test]
fn a_torn_end_and_a_broken_record_cost_no_other_record() {
    let folder = tempfile::tempdir().unwrap();
    let place = folder.path().join("state");
    let first = kept(&place);
    for number in 0..20 {
        tell(&first, "C1", number);
    }
    drop(first);
    let journal = journals(&place).remove(0);
    let mut bytes = fs::read(&journal).unwrap();
    assert_eq!(bytes.len() % 64, 0);
    // One record in the midst is another one's bytes, and the last is half there.
    bytes[64 * 7 + 20] ^= 0xff;
    bytes.extend_from_slice(&[7; 37]);
    fs::write(&journal, bytes).unwrap();
    let next = kept(&place);
    let known = (0..20).filter(|number| owner(&next, "C1", *number) == Owner::Own).count();
    assert!(known >= 19, "{known}");
    drop(next);
}

#[test]
fn two_processes_at_once_learn_from_each_other_and_lose_nothing() {
    let folder = tempfile::tempdir().unwrap();
    let place = folder.path().join("state");
    let old = kept(&place);
    tell(&old, "C1", 1);
    let new = kept(&place);
    tell(&new, "C1", 2);
    tell(&old, "C1", 3);
    until("the old one's", || owner(&new, "C1", 3) == Owner::Own);
    until("the new one's", || owner(&old, "C1", 2) == Owner::Own);
    until("what was told before", || owner(&new, "C1", 1) == Owner::Own);
    assert_eq!(journals(&place).len(), 2, "each has its own");
    tell(&old, "C1", 4);
    drop(old);
    until("what the old one was told last", || owner(&new, "C1", 4) == Owner::Own);
    tell(&new, "C1", 5);
    drop(new);
    let last = kept(&place);
    for number in 1..=5 {
        assert_eq!(owner(&last, "C1", number), Owner::Own, "{number}");
    }
    assert_eq!(journals(&place).len(), 1);
    drop(last);
}

#[test]
fn a_folder_that_cannot_be_used_stops_a_start_only_where_it_would_end_consents() {
    let folder = tempfile::tempdir().unwrap();
    let place = folder.path().join("state");
    drop(kept(&place));
    let refuses = |place: &Path| {
        assert!(open(table(place, "")).unwrap().1.is_none());
        open(table(place, "unknown_tokens = 'refuse'")).unwrap_err().to_string()
    };
    fs::write(place.join("tokens.key"), b"short").unwrap();
    assert!(refuses(&place).contains("tokens.key is too short"));
    fs::set_permissions(&place, fs::Permissions::from_mode(0o755)).unwrap();
    assert!(refuses(&place).contains("`state_dir`"));
}

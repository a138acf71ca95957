//! Tests of what is remembered of tokens, for whom, and for how long.
#![expect(clippy::disallowed_methods, reason = "a test's first instant has to come from somewhere")]

use super::*;

const BANK: &str = "IIDX00001";
const HOUR: Duration = Duration::from_secs(3_600);
const DAY: Duration = Duration::from_secs(86_400);

fn memory(entries_max: usize) -> Memory {
    Memory::with_key(&[7; KEY_BYTES], entries_max)
}

fn of<'a>(client: &'a str, access: &'a str, username: &'a str) -> Tokens<'a> {
    let access = (access, Duration::from_secs(60));
    let username = Some(username);
    Tokens { target: BANK, client, access, refresh: None, presented: None, username }
}

#[test]
fn a_token_is_recalled_with_its_name_and_its_end() {
    let (memory, now) = (Memory::default(), Instant::now());
    memory.tell(&of("C1", "at-1", "anna"), now);
    let told = memory.recall(BANK, "C1", "at-1", now).unwrap();
    assert!(!told.expired);
    assert!(memory.is_same_name(&told, BANK, "anna"));
    assert!(!memory.is_same_name(&told, BANK, "berta"));
    assert!(memory.recall(BANK, "C1", "at-1", now + Duration::from_secs(60)).unwrap().expired);
    assert_eq!(memory.recall("IIDX00002", "C1", "at-1", now), None);
    assert_eq!(memory.recall(BANK, "C1", "at-1", now + 2 * DAY), None, "long past");
    assert!(!format!("{memory:?}").contains("anna"));
}

#[test]
fn nobody_vouches_for_a_name_to_another_client() {
    let (memory, now) = (memory(100), Instant::now());
    memory.tell(&of("C1", "at-1", "anna"), now);
    assert_eq!(memory.recall(BANK, "C2", "at-1", now), None);
    assert_eq!(memory.owner(BANK, "C2", "at-1", now), Owner::Another);
    assert_eq!(memory.owner(BANK, "C1", "at-1", now), Owner::Own);
    assert_eq!(memory.owner(BANK, "C1", "at-2", now), Owner::Unknown);
    // Whoever brings it later does not get it.
    memory.tell(&of("C2", "at-1", "beat"), now);
    assert_eq!(memory.owner(BANK, "C1", "at-1", now), Owner::Own);
}

#[test]
fn what_came_together_is_forgotten_together_when_one_of_it_is_revoked() {
    for revoked in ["rt-1", "at-1", "at-2", "rt-2"] {
        let (memory, now) = (memory(100), Instant::now());
        let code = Tokens { refresh: Some("rt-1"), ..of("C1", "at-1", "anna") };
        memory.tell(&code, now);
        let (refresh, presented) = (Some("rt-2"), Some("rt-1"));
        memory.tell(&Tokens { refresh, presented, ..of("C1", "at-2", "anna") }, now);
        memory.tell(&of("C1", "at-3", "anna"), now);
        memory.forget_name(BANK, "C2", revoked, now);
        assert!(memory.recall(BANK, "C1", "at-1", now).is_some(), "another client revokes nothing");
        memory.forget_name(BANK, "C1", revoked, now);
        for token in ["at-1", "at-2"] {
            assert_eq!(memory.recall(BANK, "C1", token, now), None, "{revoked}");
            assert_eq!(memory.owner(BANK, "C1", token, now), Owner::Own, "it may revoke it, too");
        }
        assert!(memory.recall(BANK, "C1", "at-3", now).is_some(), "another consent");
        // A refresh that the bank answers says that the consent lives.
        let presented = Some("rt-2");
        memory.tell(&Tokens { presented, ..of("C1", "at-4", "anna") }, now);
        assert!(memory.recall(BANK, "C1", "at-4", now).is_some());
        assert_eq!(memory.recall(BANK, "C1", "at-1", now), None);
    }
}

#[test]
fn a_refresh_without_a_name_ends_the_names_before_it_when_it_is_revoked() {
    let (memory, now) = (memory(100), Instant::now());
    memory.tell(&Tokens { refresh: Some("rt-1"), ..of("C1", "at-1", "anna") }, now);
    let (refresh, presented, username) = (Some("rt-2"), Some("rt-1"), None);
    memory.tell(&Tokens { refresh, presented, username, ..of("C1", "at-2", "") }, now);
    let told = memory.recall(BANK, "C1", "at-2", now).unwrap();
    assert!(!memory.is_same_name(&told, BANK, "anna") && !memory.is_same_name(&told, BANK, ""));
    memory.forget_name(BANK, "C1", "rt-2", now);
    assert_eq!(memory.recall(BANK, "C1", "at-1", now), None);
}

#[test]
fn a_token_that_was_rotated_away_is_still_its_owners_for_a_while() {
    let (memory, now) = (memory(100), Instant::now());
    memory.tell(&Tokens { refresh: Some("rt-1"), ..of("C1", "at-1", "anna") }, now);
    let (refresh, presented) = (Some("rt-2"), Some("rt-1"));
    memory.tell(&Tokens { refresh, presented, ..of("C1", "at-2", "anna") }, now);
    assert_eq!(memory.owner(BANK, "C2", "rt-1", now), Owner::Another);
    assert_eq!(memory.owner(BANK, "C2", "rt-1", now + DAY + 2 * HOUR), Owner::Unknown);
    assert_eq!(memory.owner(BANK, "C2", "rt-2", now + 189 * DAY), Owner::Another);
    assert_eq!(memory.owner(BANK, "C2", "rt-2", now + 192 * DAY), Owner::Unknown);
    // Where the bank names no new one, the old one stays good (RFC 6749 section 6).
    let later = now + 100 * DAY;
    memory.tell(&Tokens { presented: Some("rt-2"), ..of("C1", "at-3", "anna") }, later);
    assert_eq!(memory.owner(BANK, "C2", "rt-2", now + 250 * DAY), Owner::Another);
}

#[test]
fn no_life_that_a_bank_says_is_too_long() {
    let (memory, now) = (memory(100), Instant::now());
    for seconds in [u64::MAX, i64::MAX as u64, 0] {
        let access = ("at-1", Duration::from_secs(seconds));
        memory.tell(&Tokens { access, ..of("C1", "", "anna") }, now);
        assert_eq!(memory.recall(BANK, "C1", "at-1", now).unwrap().expired, seconds == 0);
    }
    assert_eq!(memory.recall(BANK, "C1", "at-1", now + 400 * DAY), None);
}

#[test]
fn a_full_memory_forgets_what_is_its_greediest_clients() {
    let (memory, now) = (memory(400), Instant::now());
    for number in 0..20 {
        memory.tell(&of("small", &format!("small-{number}"), "anna"), now);
    }
    let small = memory.len();
    for number in 0..5_000 {
        memory.tell(&of("greedy", &format!("greedy-{number}"), "berta"), now);
    }
    assert!(memory.len() <= 400 && memory.evicted() > 4_000, "{memory:?}");
    // A client that fills all room has pushed out next to nobody: shards fill unevenly.
    let left = (0..20)
        .filter(|number| memory.recall(BANK, "small", &format!("small-{number}"), now).is_some());
    let left = left.count();
    assert!(left >= 18, "{left} of {small}");
    assert!(memory.recall(BANK, "greedy", "greedy-4999", now).is_some(), "the newest is there");
}

#[test]
fn what_has_ended_makes_room_and_is_not_counted_as_pushed_out() {
    let (memory, now) = (memory(2_000), Instant::now());
    for number in 0..1_000 {
        memory.tell(&of("gone", &format!("a{number}"), "anna"), now);
    }
    // Another client's calls clear it away, a few entries at a time.
    for number in 0..3_000 {
        let access = (&*format!("b{number}"), Duration::ZERO);
        let at = now + 3 * DAY + Duration::from_millis(number);
        memory.tell(&Tokens { access, ..of("here", "", "berta") }, at);
    }
    assert!(memory.len() <= 2_000);
    assert_eq!(memory.recall(BANK, "gone", "a1", now + 3 * DAY), None);
    let hashes = |client: &str| memory.owner_hash(client);
    let mut gone = 0;
    memory.book.each_shard(|entries| {
        gone += entries.iter().filter(|(_, entry)| entry.owner == hashes("gone")).count();
    });
    assert_eq!(gone, 0, "nothing of a client that calls no more is left");
}

#[test]
fn a_record_is_read_back_and_a_broken_one_is_not() {
    let (memory, now) = (memory(100), Instant::now());
    memory.tell(&Tokens { refresh: Some("rt-1"), ..of("C1", "at-1", "anna") }, now);
    let other = Memory::with_key(&[7; KEY_BYTES], 100);
    let stranger = Memory::with_key(&[8; KEY_BYTES], 100);
    memory.each_piece(|records| {
        for record in records {
            let bytes = record.to_bytes(&memory);
            assert_eq!(Record::read(&bytes, &other), Some(record));
            assert_eq!(Record::read(&bytes, &stranger), None);
            for at in 0..RECORD_BYTES {
                let mut broken = bytes;
                broken[at] ^= 1;
                assert_eq!(Record::read(&broken, &other), None, "{at}");
            }
            other.take_over(&record, now);
        }
    });
    let told = other.recall(BANK, "C1", "at-1", now).unwrap();
    assert!(other.is_same_name(&told, BANK, "anna"));
    assert_eq!(other.owner(BANK, "C2", "rt-1", now), Owner::Another);
}

#[test]
fn the_record_of_owners_is_whole_once_it_is_older_than_tokens_get() {
    let now = Instant::now();
    let memory = Memory::durable(&[7; KEY_BYTES], now, 1_000);
    assert!(!memory.is_complete(now + 400 * DAY), "a restart forgets all");
    memory.take_over(&Record::Begun(1_000), now);
    assert!(!memory.is_complete(now + 189 * DAY));
    assert!(memory.is_complete(now + 191 * DAY));
    // Something was missed: it begins anew.
    memory.begin(millis(10 * DAY));
    assert!(!memory.is_complete(now + 191 * DAY));
    assert!(memory.is_complete(now + 201 * DAY));
}

#[test]
fn spaces_around_a_token_make_no_other_token() {
    let (memory, now) = (memory(100), Instant::now());
    memory.tell(&of("C1", "at-1", "anna"), now);
    for token in ["at-1 ", " at-1", "  at-1  "] {
        assert_eq!(memory.owner(BANK, "C2", token, now), Owner::Another, "{token:?}");
    }
    assert_eq!(memory.owner(BANK, "C2", "at -1", now), Owner::Unknown);
}

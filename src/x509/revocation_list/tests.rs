//! Which lists are used and which are told to be none, on lists that are made by hand.

use proptest::prelude::*;

use super::*;

#[test]
fn an_identifier_is_shown_in_its_usual_form() {
    assert_eq!(dotted(&[0x55, 0x1d, 28]), "2.5.29.28");
    assert_eq!(dotted(&[0x2b, 6, 1, 4, 1, 0xce, 0x0f, 1]), "1.3.6.1.4.1.9999.1");
    assert_eq!(dotted(&[]), "");
}

fn element(tag: u8, value: &[u8]) -> Vec<u8> {
    match u8::try_from(value.len()) {
        Ok(length) if length < 0x80 => [&[tag, length], value].concat(),
        Ok(length) => [&[tag, 0x81, length], value].concat(),
        Err(_) => panic!("longer than a test needs"),
    }
}

/// A list with these extensions, each by its last arc below 2.5.29, and these entries.
fn list(extensions: &[(u8, &[u8])], entries: &[u8]) -> Vec<u8> {
    let extension = |(arc, value): &(u8, &[u8])| {
        let id = element(6, &[0x55, 0x1d, *arc]);
        element(0x30, &[id, element(1, &[0xff]), element(4, value)].concat())
    };
    let extensions: Vec<u8> = extensions.iter().flat_map(extension).collect();
    let inside = [
        element(2, &[1]),
        element(0x30, &[]),
        element(0x30, &[]),
        element(0x17, b"260101000000Z"),
        element(0x17, b"270101000000Z"),
        element(0x30, entries),
        element(0xa0, &element(0x30, &extensions)),
    ];
    let inside = element(0x30, &inside.concat());
    element(0x30, &[inside, element(0x30, &[]), element(3, &[0, 7])].concat())
}

fn fault(extensions: &[(u8, &[u8])], entries: &[u8]) -> Option<ListFault> {
    RevocationList::parse(&list(extensions, entries)).err()
}

#[test]
fn deltas_parts_without_a_name_and_lists_of_others_are_not_used() {
    assert_eq!(fault(&[], &[]), None);
    assert_eq!(fault(&[(27, &element(2, &[1]))], &[]), Some(ListFault::Delta));
    let point = |parts: &[Vec<u8>]| element(0x30, &parts.concat());
    let named = element(0xa0, &element(0xa0, &element(0x86, b"http://a")));
    let of = |parts: &[Vec<u8>]| fault(&[(28, &point(parts))], &[]);
    assert_eq!(of(std::slice::from_ref(&named)), None);
    assert_eq!(of(&[]), Some(ListFault::NamelessScope));
    assert_eq!(of(&[element(0x81, &[0xff])]), Some(ListFault::NamelessScope));
    let reasons = element(0x83, &[6, 0x40]);
    assert_eq!(of(&[named.clone(), reasons]), Some(ListFault::SomeReasons));
    assert_eq!(of(&[named.clone(), element(0x84, &[0xff])]), Some(ListFault::Indirect));
    let attributes = element(0x85, &[0xff]);
    assert_eq!(of(&[named, attributes]), Some(ListFault::AttributeCertificates));
    let unknown = ListFault::CriticalExtension("2.5.29.99".to_owned());
    assert_eq!(fault(&[(99, &[])], &[]), Some(unknown.clone()));
    // And so of an entry.
    let entry = |arc: u8| {
        let id = element(6, &[0x55, 0x1d, arc]);
        let extension = element(0x30, &[id, element(1, &[0xff]), element(4, &[])].concat());
        let parts = [element(2, &[5]), element(0x17, b"260101000000Z"), element(0x30, &extension)];
        element(0x30, &parts.concat())
    };
    assert_eq!(fault(&[], &entry(99)), Some(unknown));
    assert_eq!(fault(&[], &entry(29)), Some(ListFault::Indirect));
}

proptest! {
    #[test]
    fn whatever_comes_is_no_list_or_one(
        bytes in proptest::collection::vec(any::<u8>(), 0..400)
    ) {
        prop_assert!(RevocationList::parse(&bytes).is_err());
    }
}

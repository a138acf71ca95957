//! What the search for paths keeps to, on certificates that are made by hand: no key, no signature.

use proptest::prelude::*;

use super::*;

fn element(tag: u8, value: &[u8]) -> Vec<u8> {
    let length = match value.len() {
        short @ 0..0x80 => vec![short as u8],
        length @ 0x80..0x100 => vec![0x81, length as u8],
        length => vec![0x82, (length >> 8) as u8, length as u8],
    };
    [&[tag], &length[..], value].concat()
}

fn name(text: &str) -> Vec<u8> {
    let inside = [element(6, &[0x55, 4, 3]), element(0x0c, text.as_bytes())].concat();
    element(0x31, &element(0x30, &inside))
}

/// A certificate of a subject, by an issuer, with a key and so many extensions nobody knows.
fn certificate(subject: &str, issuer: &str, key: u8, extensions: usize) -> Vec<u8> {
    let time = |text: &str| element(0x17, text.as_bytes());
    let unknown = element(0x30, &[element(6, &[0x2a, 3]), element(4, &[])].concat());
    let inside = [
        element(0xa0, &[2, 1, 2]),
        element(2, &[key]),
        element(0x30, &[]),
        element(0x30, &name(issuer)),
        element(0x30, &[time("200101000000Z"), time("400101000000Z")].concat()),
        element(0x30, &name(subject)),
        element(0x30, &[key]),
        element(0xa3, &element(0x30, &unknown.repeat(extensions))),
    ];
    element(0x30, &element(0x30, &inside.concat()))
}

fn anchors(names: &[&str]) -> SubjectIndex {
    let mut index = SubjectIndex::default();
    names.iter().for_each(|one| index.add(&name(one), None));
    index
}

fn paths(leaf: &[u8], others: &[Vec<u8>], anchors: &SubjectIndex) -> Vec<Path> {
    let others: Vec<_> = others.iter().map(Vec::as_slice).collect();
    Chain::read(leaf, &others).unwrap().paths(anchors, 1_700_000_000)
}

fn fault(leaf: &[u8], others: &[Vec<u8>]) -> Option<ChainFault> {
    let others: Vec<_> = others.iter().map(Vec::as_slice).collect();
    Chain::read(leaf, &others).err()
}

#[test]
fn unordered_chains_with_strays_twins_and_the_root_itself_lead_to_their_anchor() {
    let leaf = certificate("client", "between", 1, 3);
    let (between, root) = (certificate("between", "root", 2, 3), certificate("root", "root", 3, 3));
    let stray = certificate("stray", "stray", 4, 3);
    let others = [stray.clone(), root.clone(), stray, between, leaf.clone(), root];
    let found = paths(&leaf, &others, &anchors(&["root", "another"]));
    assert_eq!(found[0], Path { between: vec![3], anchor: 0 });
    // The root that was sent leads to itself once more; the stray is on no way.
    assert_eq!(found[1..], [Path { between: vec![3, 1], anchor: 0 }]);
}

#[test]
fn a_cross_signed_authority_gives_a_way_to_each_anchor() {
    let leaf = certificate("client", "between", 1, 0);
    let others =
        [certificate("between", "old root", 2, 0), certificate("between", "new root", 2, 0)];
    let found = paths(&leaf, &others, &anchors(&["new root", "old root"]));
    let ways: Vec<_> = found.iter().map(|path| (path.between[0], path.anchor)).collect();
    assert_eq!(ways, [(0, 1), (1, 0)]);
}

#[test]
fn an_anchor_whose_name_is_written_in_another_way_is_found() {
    let leaf = certificate("client", "THE  Root", 1, 0);
    assert_eq!(paths(&leaf, &[], &anchors(&["the root"])).len(), 1);
    assert!(paths(&leaf, &[], &anchors(&["a root"])).is_empty());
}

#[test]
fn a_chain_of_24_certificates_of_one_name_is_refused_before_any_way_is_tried() {
    let leaf = certificate("client", "x", 0, 3);
    let many = |count: u8, extensions| -> Vec<_> {
        (1..=count).map(|key| certificate("x", "x", key, extensions)).collect()
    };
    assert_eq!(fault(&leaf, &many(23, 180)), Some(ChainFault::Certificates));
    assert_eq!(fault(&leaf, &many(10, 480)), Some(ChainFault::Extensions));
    let long = |bytes: usize| {
        let base = certificate("client", "x", 0, 0).len();
        [certificate("client", "x", 0, 0), vec![0; bytes - base]]
    };
    assert_eq!(fault(&leaf, &long(CHAIN_BYTES_MAX - leaf.len())), None);
    assert_eq!(fault(&leaf, &long(CHAIN_BYTES_MAX - leaf.len() + 1)), Some(ChainFault::Bytes));
    assert_eq!(fault(&leaf, &many(5, 3)), Some(ChainFault::SameSubject));
    assert_eq!(fault(&leaf, &many(4, 3)), None);
    assert_eq!(fault(&leaf, &many(4, EXTENSIONS_MAX)), None);
    assert_eq!(fault(&leaf, &many(4, EXTENSIONS_MAX + 1)), Some(ChainFault::Extensions));
    let wide = certificate("client", "x", 0, EXTENSIONS_MAX + 1);
    assert_eq!(fault(&wide, &[]), Some(ChainFault::Extensions));
    assert_eq!(fault(b"", &[]), Some(ChainFault::Unreadable));
    let distinct = |count: u8| -> Vec<_> {
        (1..=count).map(|key| certificate(&key.to_string(), "x", key, 0)).collect()
    };
    assert_eq!(fault(&leaf, &distinct(CERTIFICATES_MAX as u8 - 1)), None);
    assert_eq!(fault(&leaf, &distinct(CERTIFICATES_MAX as u8)), Some(ChainFault::Certificates));
}

#[test]
fn certificates_that_lead_to_no_anchor_are_on_no_way() {
    // Names in a ring, and all of them of the anchor's name but signed by a stranger.
    let leaf = certificate("client", "a", 0, 0);
    let ring: Vec<_> = [("a", "b"), ("b", "c"), ("c", "a")]
        .iter()
        .flat_map(|(subject, issuer)| (1..=4).map(|key| certificate(subject, issuer, key, 0)))
        .collect();
    assert!(paths(&leaf, &ring, &anchors(&["root"])).is_empty());
}

#[test]
fn however_the_names_are_tied_a_few_ways_are_handed_out() {
    // Every certificate may have certified every other, and each leads to the anchor.
    let leaf = certificate("client", "root", 0, 0);
    let tied: Vec<_> = (1..=4).map(|key| certificate("root", "root", key, 0)).collect();
    assert_eq!(paths(&leaf, &tied, &anchors(&["root"; 40])).len(), PATHS_MAX);
}

proptest! {
    #[test]
    fn a_way_is_made_of_certificates_that_follow_each_other_to_an_anchor(
        ties in proptest::collection::vec((0_u8..5, 0_u8..5), 0..15),
        issuer in 0_u8..5,
    ) {
        let name_of = |number: u8| format!("ca {number}");
        let leaf = certificate("client", &name_of(issuer), 100, 0);
        let others: Vec<_> = ties
            .iter()
            .zip(1..)
            .map(|((subject, issuer), key)| {
                certificate(&name_of(*subject), &name_of(*issuer), key, 0)
            })
            .collect();
        let slices: Vec<_> = others.iter().map(Vec::as_slice).collect();
        let Ok(chain) = Chain::read(&leaf, &slices) else { return Ok(()) };
        let found = chain.paths(&anchors(&["ca 0", "ca 1"]), 1_700_000_000);
        prop_assert!(found.len() <= PATHS_MAX);
        for path in found {
            let mut wanted = issuer;
            for place in &path.between {
                prop_assert_eq!(ties[*place].0, wanted);
                wanted = ties[*place].1;
            }
            prop_assert_eq!(usize::from(wanted), path.anchor);
            prop_assert!(path.between.len() <= BETWEEN_MAX);
        }
    }
}

//! What a stranger, or a long list, makes a handshake cost.

use rcgen::CustomExtension;

use super::*;
use crate::x509::RevocationList;

#[test]
fn too_many_names_of_cas_are_not_sent_and_that_is_told() {
    let named = |number: usize| Authority::new(format!("{number:0>200}"));
    let few: Vec<_> = (0..70).map(named).collect();
    let files = Files::new(&few.iter().collect::<Vec<_>>());
    let trust = files.trust_in(&[], None).unwrap();
    let bytes = |trust: &Trust| -> usize {
        trust.verifier.root_hint_subjects().iter().map(|name| name.as_ref().len() + 2).sum()
    };
    assert!(bytes(&trust) > 14_000 && trust.notices.is_empty(), "{}", bytes(&trust));
    let many: Vec<_> = (0..80).map(named).collect();
    let files = Files::new(&many.iter().collect::<Vec<_>>());
    let trust = files.trust_in(&[], None).unwrap();
    assert_eq!(bytes(&trust), 0);
    assert!(trust.notices[0].to_string().contains("they are sent none"), "{:?}", trust.notices);
    assert_eq!(check(&trust, &[many[79].client(1)]), Ok(()));
}

/// What a stranger can send to be verified for long.
#[test]
fn a_strangers_chain_costs_no_more_than_a_few_signatures() {
    let ca = Authority::new("root");
    let files = Files::new(&[&ca]);
    let trust = files.trust_in(&[], None).unwrap();
    let unknown = |params: &mut CertificateParams, count: u64| {
        params.custom_extensions = (0..count)
            .map(|id| CustomExtension::from_oid_content(&[1, 2, 3, id], vec![5, 0]))
            .collect();
    };
    // Certificates of one name that all may have certified each other; and the same under the
    // anchor's own name, which is sent to everybody.
    for (name, count, extensions) in [("x", 24, 180), ("x", 11, 480), ("x", 4, 60), ("root", 4, 60)]
    {
        let twins: Vec<_> = (0..count)
            .map(|_| {
                let mut params = authority_params(name);
                unknown(&mut params, extensions);
                let key = KeyPair::generate().unwrap();
                let certificate = params.self_signed(&key).unwrap();
                Authority { certificate, issuer: Issuer::new(params, key) }
            })
            .collect();
        let mut chain = vec![twins[0].client(1)];
        chain.extend(twins.iter().map(Authority::der));
        let started = crate::edge::now();
        assert_eq!(check(&trust, &chain), Err(Ending::Untrusted));
        // It was seconds where code is optimised, and is a few milliseconds where it is not.
        let took = started.elapsed();
        assert!(took < Duration::from_secs(1), "{name} {count} {extensions}: {took:?}");
    }
}

#[test]
fn a_list_of_200_000_is_looked_up_and_not_read_again() {
    let ca = Authority::new("root");
    let files = Files::new(&[&ca]);
    let revoked: Vec<u64> = (0..200_000).map(|number| number * 7 + 1).collect();
    let trust = files.trust(&[ca.list(&revoking(&revoked))]).unwrap();
    assert_eq!(check(&trust, &[ca.client(7 * 150_000 + 1)]), Err(Ending::Revoked));
    let lists = Shelf::new(at(2030)).read_lists(&files.path("lists.pem")).unwrap();
    let signed = RevocationList::signed(&lists[0]).unwrap();
    let key = trust.anchors.iter().next().unwrap().key();
    let least = |work: &dyn Fn(u64)| {
        let took = |number| {
            let started = crate::edge::now();
            work(number);
            started.elapsed()
        };
        (0..20).map(took).min().unwrap()
    };
    let clients: Vec<_> = (0..20).map(|number| ca.client(7 * number + 2)).collect();
    let looked_up = least(&|number| {
        assert_eq!(check(&trust, &[clients[number as usize].clone()]), Ok(()));
    });
    let verified = least(&|_| assert!(trust.anchors.is_signed_by(&signed, key)));
    assert!(looked_up < verified / 2, "{looked_up:?} {verified:?}");
}

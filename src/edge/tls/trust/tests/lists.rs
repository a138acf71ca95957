//! Anchors that other anchors have revoked, and lists that are too old, too young, or of CAs alone.

use super::*;

#[test]
fn an_intermediate_that_is_trusted_itself_is_out_once_its_root_revokes_it() {
    let (root, twin) = (Authority::new("root"), Authority::new("root"));
    let (good, bad) = (root.below("good", 5), root.below("bad", 6));
    let files = Files::new(&[&root, &twin, &good, &bad]);
    let own = [twin.list(&LIST), good.list(&LIST), bad.list(&LIST)].concat();
    let trust = files.trust(&[root.list(&revoking(&[6])), own.clone()]).unwrap();
    let told: Vec<_> = trust.notices.iter().map(ToString::to_string).collect();
    assert_eq!(told.len(), 1, "{told:?}");
    assert!(told[0].contains("ca.pem: `CN=bad` is revoked by a CA of this file"), "{told:?}");
    // Whether the client sends it or not.
    assert_eq!(check(&trust, &[bad.client(2)]), Err(Ending::Revoked));
    assert_eq!(check(&trust, &[bad.client(3), bad.der()]), Err(Ending::Revoked));
    assert_eq!(check(&trust, &[good.client(2)]), Ok(()));
    // The number alone is no proof: it has to be its own CA's list.
    let both = [root.list(&LIST), twin.list(&revoking(&[6])), good.list(&LIST), bad.list(&LIST)];
    assert_eq!(check(&files.trust(&both).unwrap(), &[bad.client(2)]), Ok(()));
    // A root whose first client has its own number is not put out by its list.
    let key = KeyPair::generate().unwrap();
    let mut own = authority_params("named");
    own.serial_number = Some(SerialNumber::from(1_u64));
    let named =
        Authority { certificate: own.self_signed(&key).unwrap(), issuer: Issuer::new(own, key) };
    let files = Files::new(&[&named]);
    let trust = files.trust(&[named.list(&revoking(&[1]))]).unwrap();
    assert_eq!(check(&trust, &[named.client(2)]), Ok(()));
}

#[test]
fn a_reload_does_not_take_an_older_list_than_the_one_in_use() {
    let root = Authority::new("root");
    let below = root.below("below", 5);
    let files = Files::new(&[&root]);
    let newest = List { year: 2025, ..revoking(&[7]) };
    files.write("root", &root.list(&newest));
    files.write("below", &below.list(&newest));
    let first = files.trust_in(&["root", "below"], None).unwrap();
    for (file, issuer) in [("root", &root), ("below", &below)] {
        // A mirror that lags, or somebody who wants the revoked back in.
        files.write(file, &issuer.list(&List { year: 2024, number: 9, ..LIST }));
        let taken = files.trust_in(&["root", "below"], Some(&first));
        refused(taken, file, &["older than the one in use", file]);
        // A new process has nothing to compare with.
        files.trust_in(&["root", "below"], None).unwrap();
        // Beside the newest one it does no harm.
        let both = issuer.list(&List { year: 2024, ..LIST }) + &issuer.list(&newest);
        files.write(file, &both);
        let trust = files.trust_in(&["root", "below"], Some(&first)).unwrap();
        assert_eq!(check(&trust, &[root.client(7)]), Err(Ending::Revoked));
    }
    // The same list again, and one of the same day that takes an entry back by its number.
    files.trust_in(&["root", "below"], Some(&first)).unwrap();
    files.write("root", &root.list(&List { year: 2025, number: 2, ..LIST }));
    let back = files.trust_in(&["root", "below"], Some(&first)).unwrap();
    assert_eq!(check(&back, &[root.client(7)]), Ok(()));
}

#[test]
fn a_list_of_the_future_is_told_and_stands_in_nobodys_way() {
    let root = Authority::new("root");
    let files = Files::new(&[&root]);
    let future = files.trust(&[root.list(&List { year: 2035, ..LIST })]).unwrap();
    let told: Vec<_> = future.notices.iter().map(ToString::to_string).collect();
    assert!(told[0].contains("lists.pem: holds a list of `CN=root` that was made in the future"));
    files.write("lists.pem", &root.list(&revoking(&[7])));
    let trust = files.trust_in(&["lists.pem"], Some(&future)).unwrap();
    assert_eq!(check(&trust, &[root.client(7)]), Err(Ending::Revoked));
}

#[test]
fn a_ca_whose_only_list_is_of_cas_is_told() {
    let scope = CrlIssuingDistributionPoint {
        distribution_point: CrlDistributionPoint { uris: vec!["http://a/1".to_owned()] },
        scope: Some(CrlScope::CaCertsOnly),
    };
    let root = Authority::new("root");
    let below = root.below("below", 5);
    let files = Files::new(&[&root]);
    let of_cas = root.list(&List { scope: Some(scope), ..LIST });
    let trust = files.trust(&[of_cas.clone(), below.list(&LIST)]).unwrap();
    let told = trust.notices.last().unwrap().to_string();
    assert!(told.contains("lists.pem: holds of `CN=root` a list of CAs alone"), "{told}");
    assert_eq!(check(&trust, &[root.client(1)]), Err(Ending::Untrusted));
    assert_eq!(check(&trust, &[below.client(1), below.der()]), Ok(()));
    let trust = files.trust(&[of_cas, root.list(&LIST)]).unwrap();
    assert!(trust.notices.is_empty(), "{:?}", trust.notices);
}

//! Whom the edge lets in, on certificates and lists that are made here and really signed.

use std::path::PathBuf;

use rcgen::{
    BasicConstraints, CertificateParams, CertificateRevocationListParams, CrlDistributionPoint,
    CrlIssuingDistributionPoint, CrlScope, DnType, DnValue, IsCa, Issuer, KeyIdMethod, KeyPair,
    KeyUsagePurpose, RevokedCertParams, SerialNumber, date_time_ymd,
};
use tempfile::TempDir;

use super::*;

mod cost;
mod lists;

/// A CA: its certificate, and its key.
struct Authority {
    certificate: rcgen::Certificate,
    issuer: Issuer<'static, KeyPair>,
}

/// A list, as far as the tests differ in it.
#[derive(Clone)]
struct List {
    year: i32,
    until: i32,
    number: u64,
    revoked: Vec<u64>,
    scope: Option<CrlIssuingDistributionPoint>,
}

const LIST: List = List { year: 2020, until: 2040, number: 1, revoked: Vec::new(), scope: None };

fn params(name: impl Into<DnValue>) -> CertificateParams {
    let mut params = CertificateParams::default();
    params.distinguished_name.push(DnType::CommonName, name);
    (params.not_before, params.not_after) = (date_time_ymd(2020, 1, 1), date_time_ymd(2040, 1, 1));
    params
}

fn authority_params(name: impl Into<DnValue>) -> CertificateParams {
    let mut params = params(name);
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
    params
}

impl Authority {
    fn new(name: impl Into<DnValue>) -> Self {
        let (params, key) = (authority_params(name), KeyPair::generate().unwrap());
        Self { certificate: params.self_signed(&key).unwrap(), issuer: Issuer::new(params, key) }
    }

    /// An intermediate of this one.
    fn below(&self, name: &str, serial: u64) -> Self {
        self.below_with(authority_params(name), serial)
    }

    fn below_with(&self, mut params: CertificateParams, serial: u64) -> Self {
        let key = KeyPair::generate().unwrap();
        params.serial_number = Some(SerialNumber::from(serial));
        let certificate = params.signed_by(&key, &self.issuer).unwrap();
        // Its list is signed also where its certificate does not let it.
        params.key_usages.push(KeyUsagePurpose::CrlSign);
        Self { certificate, issuer: Issuer::new(params, key) }
    }

    fn pem(&self) -> String {
        self.certificate.pem()
    }

    fn der(&self) -> CertificateDer<'static> {
        self.certificate.der().clone()
    }

    fn client(&self, serial: u64) -> CertificateDer<'static> {
        self.client_with(serial, |_| {})
    }

    fn client_with(
        &self,
        serial: u64,
        change: impl FnOnce(&mut CertificateParams),
    ) -> CertificateDer<'static> {
        let mut params = params("client");
        params.serial_number = Some(SerialNumber::from(serial));
        change(&mut params);
        let key = KeyPair::generate().unwrap();
        params.signed_by(&key, &self.issuer).unwrap().der().clone()
    }

    fn list(&self, list: &List) -> String {
        let entry = |serial: &u64| RevokedCertParams {
            serial_number: SerialNumber::from(*serial),
            revocation_time: date_time_ymd(2020, 1, 1),
            reason_code: None,
            invalidity_date: None,
        };
        let params = CertificateRevocationListParams {
            this_update: date_time_ymd(list.year, 1, 1),
            next_update: date_time_ymd(list.until, 1, 1),
            crl_number: SerialNumber::from(list.number),
            issuing_distribution_point: list.scope.clone(),
            revoked_certs: list.revoked.iter().map(entry).collect(),
            key_identifier_method: KeyIdMethod::Sha256,
        };
        params.signed_by(&self.issuer).unwrap().pem().unwrap()
    }
}

/// The files of an edge.
struct Files(TempDir);

impl Files {
    fn new(authorities: &[&Authority]) -> Self {
        let files = Self(tempfile::tempdir().unwrap());
        files.write("ca.pem", &authorities.iter().map(|one| one.pem()).collect::<String>());
        files
    }

    fn path(&self, name: &str) -> PathBuf {
        self.0.path().join(name)
    }

    fn write(&self, name: &str, text: &str) {
        std::fs::write(self.path(name), text).unwrap();
    }

    fn tls(&self, lists: &[&str]) -> EdgeTls {
        EdgeTls {
            cert: self.path("unused"),
            key: self.path("unused"),
            client_ca: self.path("ca.pem"),
            client_crl: lists.iter().map(|name| self.path(name)).collect(),
            client_auth: ClientAuth::Required,
            accepts_expired_crl: false,
        }
    }

    /// Trust with these lists in one file.
    fn trust(&self, lists: &[String]) -> Result<Trust, TlsError> {
        self.write("lists.pem", &lists.concat());
        self.trust_in(&["lists.pem"], None)
    }

    fn trust_in(&self, lists: &[&str], previous: Option<&Trust>) -> Result<Trust, TlsError> {
        Trust::build(&self.tls(lists), &Shelf::new(at(2030)), previous)
    }
}

fn at(year: i32) -> i64 {
    date_time_ymd(year, 1, 1).unix_timestamp()
}

/// Whether a chain is let in, in 2030.
fn check(trust: &Trust, chain: &[CertificateDer<'static>]) -> Result<(), Ending> {
    trust.check(&Fingerprint::of_der(&chain[0]), chain, at(2030)).map(drop)
}

#[track_caller]
fn refused(trust: Result<Trust, TlsError>, file: &str, words: &[&str]) {
    let problem = trust.map(drop).unwrap_err();
    assert!(problem.file.as_ref().is_some_and(|path| path.ends_with(file)), "{problem}");
    for word in words {
        assert!(problem.to_string().contains(word), "{problem}");
    }
}

fn revoking(revoked: &[u64]) -> List {
    List { revoked: revoked.to_vec(), ..LIST }
}

#[test]
fn of_two_lists_of_one_ca_the_newest_decides_in_whichever_order_they_stand() {
    let ca = Authority::new("root");
    let files = Files::new(&[&ca]);
    let older = ca.list(&List { year: 2021, ..LIST });
    let newer = ca.list(&List { year: 2022, ..revoking(&[7]) });
    let numbered = ca.list(&List { year: 2022, number: 300, ..LIST });
    for lists in [[older.clone(), newer.clone()], [newer.clone(), older]] {
        let trust = files.trust(&lists).unwrap();
        assert_eq!(check(&trust, &[ca.client(7)]), Err(Ending::Revoked));
        assert_eq!(check(&trust, &[ca.client(8)]), Ok(()));
    }
    // Of one day, the number decides; 300 has an octet more than 1.
    for lists in [[newer.clone(), numbered.clone()], [numbered, newer]] {
        assert_eq!(check(&files.trust(&lists).unwrap(), &[ca.client(7)]), Ok(()));
    }
}

#[test]
fn two_cas_of_one_name_each_have_their_own_list() {
    let (old, new) = (Authority::new("root"), Authority::new("root"));
    let files = Files::new(&[&old, &new]);
    let lists = [old.list(&revoking(&[1])), new.list(&List { year: 2025, ..revoking(&[2]) })];
    let turned = [lists[1].clone(), lists[0].clone()];
    for lists in [lists, turned] {
        let trust = files.trust(&lists).unwrap();
        assert!(trust.notices.is_empty(), "{:?}", trust.notices);
        assert_eq!(check(&trust, &[old.client(1)]), Err(Ending::Revoked));
        assert_eq!(check(&trust, &[old.client(2)]), Ok(()));
        assert_eq!(check(&trust, &[new.client(1)]), Ok(()));
        assert_eq!(check(&trust, &[new.client(2)]), Err(Ending::Revoked));
    }
}

#[test]
fn a_list_whose_issuer_is_written_in_another_string_type_is_its_cas() {
    // One key, its name written in two ways: the certificate has one, the list the other.
    let ca = Authority::new(DnValue::Utf8String("Clients Root".to_owned()));
    let key = KeyPair::from_pem(&ca.issuer.key().serialize_pem()).unwrap();
    let printable = DnValue::PrintableString("CLIENTS  root".try_into().unwrap());
    let written = authority_params(printable);
    let other = Authority {
        certificate: written.self_signed(&key).unwrap(),
        issuer: Issuer::new(written, key),
    };
    let files = Files::new(&[&ca]);
    let trust = files.trust(&[other.list(&revoking(&[3]))]).unwrap();
    assert_eq!(check(&trust, &[ca.client(3)]), Err(Ending::Revoked));
    assert_eq!(check(&trust, &[ca.client(4)]), Ok(()));
    // So is the issuer in a client's certificate.
    assert_eq!(check(&trust, &[other.client(3)]), Err(Ending::Revoked));
    assert_eq!(check(&trust, &[other.client(4)]), Ok(()));
}

#[test]
fn a_revoked_intermediate_shuts_out_all_below_it() {
    let root = Authority::new("root");
    let (good, bad) = (root.below("good", 5), root.below("bad", 6));
    let files = Files::new(&[&root]);
    let lists = [root.list(&revoking(&[6])), good.list(&revoking(&[1])), bad.list(&LIST)];
    let trust = files.trust(&lists).unwrap();
    assert_eq!(check(&trust, &[bad.client(2), bad.der()]), Err(Ending::Revoked));
    assert_eq!(check(&trust, &[good.client(2), good.der()]), Ok(()));
    assert_eq!(check(&trust, &[good.client(1), good.der()]), Err(Ending::Revoked));
    // An intermediate's list that nobody has is an unknown status.
    let trust = files.trust(&[root.list(&LIST)]).unwrap();
    assert_eq!(check(&trust, &[good.client(2), good.der()]), Err(Ending::Untrusted));
    assert_eq!(check(&trust, &[root.client(2)]), Ok(()));
}

#[test]
fn a_list_counts_for_an_intermediate_if_its_key_has_signed_it_and_may() {
    let root = Authority::new("root");
    let mut may_not = authority_params("named");
    may_not.key_usages = vec![KeyUsagePurpose::KeyCertSign];
    let (good, twin) = (root.below("named", 5), root.below("named", 6));
    let mute = root.below_with(may_not, 7);
    let files = Files::new(&[&root]);
    let trust = files.trust(&[root.list(&LIST), good.list(&LIST), mute.list(&LIST)]).unwrap();
    assert_eq!(check(&trust, &[good.client(1), good.der()]), Ok(()));
    assert_eq!(check(&trust, &[twin.client(1), twin.der()]), Err(Ending::Untrusted));
    assert_eq!(check(&trust, &[mute.client(1), mute.der()]), Err(Ending::Untrusted));
    // Keys that were seen are remembered, and no more than a few.
    let many: Vec<_> = (10..30).map(|serial| root.below("named", serial)).collect();
    for one in &many {
        assert_eq!(check(&trust, &[one.client(1), one.der()]), Err(Ending::Untrusted));
    }
    assert_eq!(check(&trust, &[good.client(2), good.der()]), Ok(()));
}

#[test]
fn lists_of_a_part_cover_that_part_alone() {
    let scope = |uri: &str, scope| {
        Some(CrlIssuingDistributionPoint {
            distribution_point: CrlDistributionPoint { uris: vec![uri.to_owned()] },
            scope,
        })
    };
    let ca = Authority::new("root");
    let files = Files::new(&[&ca]);
    let part = |uri: &str, revoked: &[u64]| {
        ca.list(&List { scope: scope(uri, None), ..revoking(revoked) })
    };
    let trust = files.trust(&[part("http://a/1", &[1]), part("http://a/2", &[2])]).unwrap();
    let client = |serial, uri: &str| {
        ca.client_with(serial, |params| {
            params.crl_distribution_points =
                vec![CrlDistributionPoint { uris: vec![uri.to_owned()] }];
        })
    };
    assert_eq!(check(&trust, &[client(1, "http://a/1")]), Err(Ending::Revoked));
    assert_eq!(check(&trust, &[client(2, "http://a/1")]), Ok(()));
    assert_eq!(check(&trust, &[client(2, "http://a/2")]), Err(Ending::Revoked));
    assert_eq!(check(&trust, &[client(3, "http://a/3")]), Err(Ending::Untrusted));
    // Who does not say where its list is may be on any.
    assert_eq!(check(&trust, &[ca.client(1)]), Err(Ending::Revoked));
    let users = scope("http://a/1", Some(CrlScope::UserCertsOnly));
    let below = ca.below("below", 9);
    let trust = files.trust(&[ca.list(&List { scope: users, ..LIST }), below.list(&LIST)]).unwrap();
    assert_eq!(check(&trust, &[ca.client(1)]), Ok(()));
    assert_eq!(check(&trust, &[below.client(1), below.der()]), Err(Ending::Untrusted));
}

#[test]
fn lists_that_cover_no_ca_are_refused_and_a_ca_without_one_is_told() {
    let (one, two, stranger) =
        (Authority::new("one"), Authority::new("two"), Authority::new("stranger"));
    let files = Files::new(&[&one, &two]);
    refused(files.trust(&[stranger.list(&LIST)]), "lists.pem", &["no client could be let in"]);
    // A list of the CA's name is not yet its own.
    let forged = Authority::new("one").list(&LIST);
    refused(files.trust(&[forged]), "lists.pem", &["no client could be let in"]);
    let trust = files.trust(&[one.list(&LIST), stranger.list(&LIST)]).unwrap();
    let told: Vec<_> = trust.notices.iter().map(ToString::to_string).collect();
    assert!(told[0].contains("`CN=stranger`, which is no CA of `client_ca`"), "{told:?}");
    assert!(told[1].contains("no file of `client_crl` holds a list of `CN=two`"), "{told:?}");
    assert_eq!(check(&trust, &[one.client(1)]), Ok(()));
    assert_eq!(check(&trust, &[two.client(1)]), Err(Ending::Untrusted));
}

#[test]
fn a_ca_whose_clients_are_let_in_does_not_lose_its_list_unnoticed() {
    let (one, two) = (Authority::new("one"), Authority::new("two"));
    let files = Files::new(&[&one, &two]);
    files.write("one", &one.list(&LIST));
    files.write("two", &two.list(&LIST));
    let both = files.trust_in(&["one", "two"], None).unwrap();
    // The file that had it is named.
    files.write("two", &one.list(&LIST));
    refused(files.trust_in(&["one", "two"], Some(&both)), "two", &["`CN=two`", "shut out"]);
    let without = files.trust_in(&[], None).unwrap();
    refused(files.trust_in(&["one"], Some(&without)), "one", &["`CN=two`", "shut out"]);
    // Who was shut out before, stays so: that keeps nothing else from being taken up.
    let before = files.trust_in(&["one"], None).unwrap();
    assert_eq!(files.trust_in(&["one"], Some(&before)).unwrap().notices.len(), 1);
}

#[test]
fn a_list_that_can_not_be_used_is_told_with_the_file_that_holds_it() {
    let ca = Authority::new("root");
    let files = Files::new(&[&ca]);
    files.write("good", &ca.list(&LIST));
    files.write("bad", "-----BEGIN X509 CRL-----\nMAA=\n-----END X509 CRL-----\n");
    refused(files.trust_in(&["good", "bad"], None), "bad", &["can't be read"]);
    files.write("bad", &ca.list(&LIST).replace("X509 CRL", "CERTIFICATE"));
    refused(files.trust_in(&["good", "bad"], None), "bad", &["1 `CERTIFICATE`"]);
}

#[test]
fn a_certificate_that_is_no_cas_is_not_trusted_as_one() {
    let ca = Authority::new("root");
    let leaf = pem_of(&ca.client_with(1, |params| params.is_ca = IsCa::ExplicitNoCa));
    let files = Files::new(&[&ca]);
    files.write("ca.pem", &(ca.pem() + &leaf));
    refused(files.trust_in(&[], None), "ca.pem", &["`CN=client`", "is no CA"]);
}

fn pem_of(der: &CertificateDer<'_>) -> String {
    use base64::Engine as _;
    let text = base64::engine::general_purpose::STANDARD.encode(der);
    format!("-----BEGIN CERTIFICATE-----\n{text}\n-----END CERTIFICATE-----\n")
}

#[test]
fn every_list_that_lapses_ends_its_clients_and_not_the_first_alone() {
    let (one, two) = (Authority::new("one"), Authority::new("two"));
    let files = Files::new(&[&one, &two]);
    let lists = [one.list(&List { until: 2031, ..LIST }), two.list(&List { until: 2032, ..LIST })];
    files.write("one", &lists[0]);
    files.write("two", &lists[1]);
    files.write("both", &lists.concat());
    let clients = [one.client(1), two.client(1)];
    for names in [["one", "two"].as_slice(), &["both"]] {
        let trust = files.trust_in(names, None).unwrap();
        let check = |client: &CertificateDer<'static>, now: i64| {
            trust.check(&Fingerprint::of_der(client), std::slice::from_ref(client), now)
        };
        for client in &clients {
            assert_eq!(check(client, at(2030)), Ok(at(2031) + 1));
        }
        assert_eq!(check(&clients[0], at(2031) + 1), Err(Ending::Untrusted));
        assert_eq!(check(&clients[1], at(2031) + 1), Ok(at(2032) + 1));
        assert_eq!(check(&clients[1], at(2032) + 1), Err(Ending::Untrusted));
        // A clock that jumped forward and came back keeps nobody out.
        assert_eq!(check(&clients[0], at(2030)), Ok(at(2031) + 1));
    }
}

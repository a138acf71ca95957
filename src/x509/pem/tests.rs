//! What is said of files that hold something else, and that nothing of them is said.

use proptest::prelude::*;

use super::*;

const CERTIFICATE: &str = "-----BEGIN CERTIFICATE-----\nMAA=\n-----END CERTIFICATE-----\n";
const LIST: &str = "-----BEGIN X509 CRL-----\nMAA=\n-----END X509 CRL-----\n";
const KEY: &str = "-----BEGIN PRIVATE KEY-----\nMAA=\n-----END PRIVATE KEY-----\n";

fn certificates(text: &str) -> Result<usize, String> {
    check("f.pem", text.as_bytes(), Wanted::Certificates)
}

#[track_caller]
fn says(problem: &Result<usize, String>, words: &[&str]) {
    let problem = problem.as_ref().unwrap_err();
    for word in words {
        assert!(problem.contains(word), "{problem}");
    }
}

#[test]
fn two_blocks_on_one_line_are_not_lost_but_told() {
    let glued = format!("{}{CERTIFICATE}", CERTIFICATE.trim_end());
    says(&certificates(&glued), &["line 3", "a line of its own"]);
    let behind_text = format!("subject=a {CERTIFICATE}");
    says(&certificates(&behind_text), &["line 1", "a line of its own"]);
    // A byte order mark hides the first of them.
    says(&certificates(&format!("\u{feff}{CERTIFICATE}{CERTIFICATE}")), &["line 1"]);
    let lists = format!("{}{LIST}", LIST.trim_end());
    says(&check("f", lists.as_bytes(), Wanted::Lists), &["line 3"]);
}

#[test]
fn blocks_are_counted_with_text_between_and_any_line_ends() {
    let text = format!("subject=/CN=a\n{CERTIFICATE}\n\nissuer ----- b\n{CERTIFICATE}");
    assert_eq!(certificates(&text), Ok(2));
    assert_eq!(certificates(&text.replace('\n', "\r\n")), Ok(2));
    assert_eq!(certificates(&text.replace('\n', " \n")), Ok(2));
    assert_eq!(certificates(text.trim_end()), Ok(2));
    // A key beside its certificates, as one file for both.
    assert_eq!(certificates(&format!("{KEY}{CERTIFICATE}")), Ok(1));
    assert_eq!(check("f", format!("{KEY}{CERTIFICATE}").as_bytes(), Wanted::Key), Ok(1));
}

#[test]
fn a_block_that_is_cut_off_is_told_with_its_line() {
    let cut = format!("{CERTIFICATE}-----BEGIN CERTIFICATE-----\nMAA=\n");
    says(&certificates(&cut), &["line 4", "cut off"]);
    let twice = format!("-----BEGIN CERTIFICATE-----\nMAA=\n{CERTIFICATE}");
    says(&certificates(&twice), &["line 3", "line 1"]);
    says(&certificates("-----END CERTIFICATE-----\n"), &["line 1"]);
    says(&certificates("-----BEGIN CERTIFICATE-----\n-----END X509 CRL-----\n"), &["line 2"]);
}

#[test]
fn what_would_be_passed_over_is_told_with_the_command_that_converts_it() {
    let named = |label: &str| CERTIFICATE.replace("CERTIFICATE", label);
    let trusted = format!("{CERTIFICATE}{}", named("TRUSTED CERTIFICATE"));
    says(&certificates(&trusted), &["TRUSTED CERTIFICATE", "openssl x509 -in f.pem"]);
    says(&certificates(&named("PKCS7")), &["openssl pkcs7"]);
    says(&certificates(&named("CERTIFICATE REQUEST")), &["before a CA has signed it"]);
    says(&certificates(KEY), &["no PEM certificate", "1 `PRIVATE KEY`"]);
    let key = |text: &str| check("k.pem", text.as_bytes(), Wanted::Key);
    says(&key(&named("ENCRYPTED PRIVATE KEY")), &["encrypted", "openssl pkey -in k.pem"]);
    let headed = KEY
        .replace("PRIVATE", "RSA PRIVATE")
        .replace("-----\nMAA", "-----\nProc-Type: 4,ENCRYPTED\nDEK-Info: AES-128-CBC,00\n\nMAA");
    says(&key(&headed), &["encrypted", "openssl pkey -in k.pem"]);
    says(&key(&named("OPENSSH PRIVATE KEY")), &["ssh-keygen"]);
    says(&key(CERTIFICATE), &["no PEM private key", "1 `CERTIFICATE`"]);
    let list = check("l.pem", CERTIFICATE.as_bytes(), Wanted::Lists);
    says(&list, &["no PEM revocation list", "1 `CERTIFICATE`"]);
}

#[test]
fn what_is_no_pem_is_told_by_what_it_is() {
    let of = |bytes: &[u8], wanted| check("f", bytes, wanted);
    says(&of(b" \n", Wanted::Certificates), &["is empty"]);
    says(&of(b"hello", Wanted::Certificates), &["-----BEGIN CERTIFICATE-----"]);
    let pfx = [0x30, 0x80, 2, 1, 3, 0x30, 0x80, 0];
    says(&of(&pfx, Wanted::Certificates), &["PKCS#12", "openssl pkcs12 -in f -nokeys"]);
    says(&of(&pfx, Wanted::Key), &["PKCS#12", "-nocerts"]);
    let pkcs8 = [0x30, 5, 2, 1, 0, 0x30, 0];
    says(&of(&pkcs8, Wanted::Key), &["private key in DER", "openssl pkey -inform der"]);
    let sealed = [0x30, 7, 0x30, 3, 6, 1, 0x2a, 4, 0];
    says(&of(&sealed, Wanted::Key), &["encrypted private key in DER", "openssl pkcs8"]);
    let certificate = [0x30, 2, 0x30, 0];
    says(&of(&certificate, Wanted::Certificates), &["DER", "openssl x509 -inform der"]);
    says(&of(&certificate, Wanted::Lists), &["DER", "openssl crl -inform der"]);
    let jks = [0xfe, 0xed, 0xfe, 0xed, 0];
    says(&of(&jks, Wanted::Certificates), &["Java key store", "keytool"]);
    says(&of(b"\xff\xfe-\0", Wanted::Certificates), &["UTF-16"]);
}

proptest! {
    #[test]
    fn nothing_of_a_file_is_in_a_message_and_it_is_short(
        secret in "[A-Za-z0-9+/]{24,200}",
        at in 0..6_usize,
        wanted in prop_oneof![
            Just(Wanted::Certificates), Just(Wanted::Key), Just(Wanted::Lists)
        ],
    ) {
        let text = match at {
            0 => format!("-----BEGIN PRIVATE KEY-----{secret}-----END PRIVATE KEY-----"),
            1 => format!("-----BEGIN {secret}-----\nMAA=\n-----END {secret}-----"),
            2 => format!("-----BEGIN PRIVATE KEY-----\n{secret}"),
            3 => secret.clone(),
            4 => format!("{KEY}{secret}{KEY}"),
            _ => format!("-----END {secret}"),
        };
        if let Err(problem) = check("f", text.as_bytes(), wanted) {
            prop_assert!(problem.len() < 500);
            let hidden = secret.len() <= LABEL_BYTES_MAX && at == 1;
            prop_assert!(hidden || !problem.contains(&secret), "{}", problem);
        }
    }

    #[test]
    fn whatever_comes_is_told_or_counted(bytes in proptest::collection::vec(any::<u8>(), 0..300)) {
        let _ = check("f", &bytes, Wanted::Certificates);
    }
}

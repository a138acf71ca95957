//! Banks that do not speak bLink, beside the world's own.
//!
//! This file decides how a target of theirs is written. It must not know what they are asked.

use std::path::PathBuf;
use std::time::Duration;

use corgate::sim::flinks::{Flinks, FlinksConfig};
use corgate::sim::oauth2::{OAuth2Bank, OAuth2Config};
use corgate::sim::server::Received;
use rcgen::{KeyPair, PKCS_ECDSA_P256_SHA256};
use tempfile::TempDir;

use super::{Setup, World, listening};

/// The id of the foreign bank.
pub(crate) const FOREIGN: &str = "IIDX00077";

/// A world with one bank that speaks another language.
pub(crate) struct Foreign<B> {
    pub(crate) world: World,
    pub(crate) bank: B,
    _secrets: TempDir,
}

impl Foreign<OAuth2Bank> {
    /// An OAuth 2.0 bank that rotates and thinks so long; with these lines in its entry, and these
    /// keys in `oauth2`.
    pub(crate) fn oauth2(think: Duration, lines: &str, keys: &str) -> Self {
        let bank = OAuth2Config { think, ..OAuth2Config::new(listening()) };
        let bank = OAuth2Bank::start(bank).unwrap();
        let (secrets, file) = secret("hub-secret");
        let lines = format!(
            "{lines}\ndialect = \"oauth2\"\n[target.oauth2]\nclient_id = \"hub\"\n\
             client_secret = \"${{file:{}}}\"\n{keys}",
            file.display()
        );
        let world = start(bank.address().port(), &lines, "hub-secret");
        Self { world, bank, _secrets: secrets }
    }

    /// One that the hub signs for, with a key that the bank knows or with another.
    pub(crate) fn oauth2_signed(knows_key: bool, keys: &str) -> Self {
        let fresh = || KeyPair::generate_for(&PKCS_ECDSA_P256_SHA256).unwrap();
        let pair = fresh();
        let known = if knows_key { pair.public_key_pem() } else { fresh().public_key_pem() };
        let bank = OAuth2Config { public_key: Some(known), ..OAuth2Config::new(listening()) };
        let bank = OAuth2Bank::start(bank).unwrap();
        let pem = pair.serialize_pem();
        let (secrets, file) = secret(&pem);
        let lines = format!(
            "dialect = \"oauth2\"\n[target.oauth2]\nauthentication = \"private_key_jwt\"\n\
             client_id = \"hub\"\nprivate_key = \"${{file:{}}}\"\n{keys}",
            file.display()
        );
        let world = start(bank.address().port(), &lines, pem.lines().nth(1).unwrap());
        Self { world, bank, _secrets: secrets }
    }

    pub(crate) fn heard(&self) -> Vec<Received> {
        self.bank.requests()
    }
}

impl Foreign<Flinks> {
    /// A Flinks, with these lines in its entry and this secret in the table.
    pub(crate) fn flinks(lines: &str, secret_text: &str, keys: &str) -> Self {
        let bank = Flinks::start(FlinksConfig::new(listening())).unwrap();
        let (secrets, file) = secret(secret_text);
        let lines = format!(
            "{lines}\ndialect = \"flinks\"\n[target.flinks]\nclient_id = \"dc-hub\"\n\
             client_secret = \"${{file:{}}}\"\n{keys}",
            file.display()
        );
        let world = start(bank.address().port(), &lines, secret_text);
        Self { world, bank, _secrets: secrets }
    }

    pub(crate) fn heard(&self) -> Vec<Received> {
        self.bank.requests()
    }
}

fn start(port: u16, lines: &str, secret: &str) -> World {
    let setup = Setup::new().limits("handshakes_max = 1000");
    let world = setup.target_at(FOREIGN, port, lines).start();
    world.notes().learn(secret);
    world
}

fn secret(text: &str) -> (TempDir, PathBuf) {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("secret");
    std::fs::write(&file, text).unwrap();
    (folder, file)
}

/// Nothing of bLink or of the client went along.
#[track_caller]
pub(crate) fn is_foreign(request: &Received) {
    assert_eq!(request.header("User-Agent"), Some("corgate"));
    assert_eq!(request.header("Accept"), Some("application/json"));
    assert!(request.header("Traceparent").is_some());
    assert_eq!(request.header("Via"), Some("1.1 corgate"));
    for (name, _) in &request.headers {
        let name = name.to_ascii_lowercase();
        for prefix in ["x-corapi", "x-psu", "x-correlation", "cookie"] {
            assert!(!name.starts_with(prefix), "{request:?}");
        }
    }
}

/// A parameter of a form that was received; nothing where it is no form or has no such one.
pub(crate) fn parameter(request: &Received, name: &str) -> Option<String> {
    let text = String::from_utf8_lossy(&request.body).into_owned();
    let pairs = text.split('&').filter_map(|pair| pair.split_once('='));
    pairs.filter(|(present, _)| *present == name).map(|(_, value)| value.to_owned()).next()
}

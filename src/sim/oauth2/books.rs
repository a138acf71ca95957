//! The books of a simulated OAuth 2.0 bank: codes, consents and tokens.
//!
//! This file decides which grant is good and which token holds. It must not know HTTP.

use std::collections::{HashMap, HashSet};

use super::ANYBODY;
use crate::sim::mint::Mint;

/// A code that begins like this is good once, for whoever comes first.
const DEMO_CODE: &str = "demo-code-";

/// What a good grant brings.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Tokens {
    pub(super) access: String,
    /// None where the old refresh token stays.
    pub(super) refresh: Option<String>,
}

impl Tokens {
    /// Those of a call that asks for mischief.
    pub(super) fn fixed() -> Self {
        Self { access: "at-static".to_owned(), refresh: Some("rt-static".to_owned()) }
    }
}

#[derive(Debug)]
struct Consent {
    username: String,
    live: bool,
}

#[derive(Debug, Clone, Copy)]
struct Token {
    consent: usize,
    is_refresh: bool,
    spent: bool,
}

/// All that the bank knows.
#[derive(Debug)]
pub(super) struct Books {
    mint: Mint,
    rotates: bool,
    codes: HashMap<String, String>,
    used: HashSet<String>,
    consents: Vec<Consent>,
    tokens: HashMap<String, Token>,
}

impl Books {
    pub(super) fn new(seed: u64, rotates: bool) -> Self {
        Self {
            mint: Mint::new(seed),
            rotates,
            codes: HashMap::new(),
            used: HashSet::new(),
            consents: Vec::new(),
            tokens: HashMap::new(),
        }
    }

    pub(super) fn reset(&mut self) {
        self.mint.reset();
        self.codes.clear();
        self.used.clear();
        self.consents.clear();
        self.tokens.clear();
    }

    pub(super) fn issue_code(&mut self, username: &str) -> String {
        let code = self.mint.next("code");
        self.codes.insert(code.clone(), username.to_owned());
        code
    }

    /// Redeems a code, once.
    pub(super) fn exchange(&mut self, code: &str) -> Option<Tokens> {
        let demo = code.starts_with(DEMO_CODE).then(|| ANYBODY.to_owned());
        let username = self.codes.remove(code).or(demo)?;
        if !self.used.insert(code.to_owned()) {
            return None;
        }
        self.consents.push(Consent { username, live: true });
        let consent = self.consents.len() - 1;
        let (access, refresh) = (self.issue("at", consent), self.issue("rt", consent));
        Some(Tokens { access, refresh: Some(refresh) })
    }

    /// Refreshes. Where tokens rotate, one that comes again ends the consent (RFC 9700 section
    /// 4.14.2).
    pub(super) fn refresh(&mut self, refresh: &str) -> Option<Tokens> {
        let token = self.tokens.get_mut(refresh).filter(|token| token.is_refresh)?;
        let replayed = std::mem::replace(&mut token.spent, self.rotates);
        let number = token.consent;
        let consent = self.consents.get_mut(number)?;
        consent.live &= !replayed;
        if !consent.live {
            return None;
        }
        let access = self.issue("at", number);
        let refresh = self.rotates.then(|| self.issue("rt", number));
        Some(Tokens { access, refresh })
    }

    pub(super) fn revoke(&mut self, token: &str) {
        self.tokens.remove(token);
    }

    /// Whose consent an access token stands for.
    pub(super) fn user(&self, access: &str) -> Option<String> {
        let token = self.tokens.get(access).filter(|token| !token.is_refresh)?;
        let consent = self.consents.get(token.consent).filter(|consent| consent.live)?;
        Some(consent.username.clone())
    }

    fn issue(&mut self, prefix: &str, consent: usize) -> String {
        let text = self.mint.next(prefix);
        let token = Token { consent, is_refresh: prefix == "rt", spent: false };
        self.tokens.insert(text.clone(), token);
        text
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_rotated_refresh_token_that_comes_again_ends_the_consent() {
        let mut books = Books::new(0, true);
        let code = books.issue_code("beat");
        let first = books.exchange(&code).unwrap();
        assert_eq!(books.exchange(&code), None);
        let old = first.refresh.unwrap();
        let second = books.refresh(&old).unwrap();
        assert_eq!(books.user(&second.access).as_deref(), Some("beat"));
        assert_eq!(books.refresh(&old), None);
        assert_eq!(books.user(&second.access), None);
    }

    #[test]
    fn without_rotation_a_refresh_token_stays() {
        let mut books = Books::new(0, false);
        let refresh = books.exchange("demo-code-1").unwrap().refresh.unwrap();
        for _ in 0..2 {
            assert_eq!(books.refresh(&refresh).unwrap().refresh, None);
        }
        books.revoke(&refresh);
        assert_eq!(books.refresh(&refresh), None);
    }
}

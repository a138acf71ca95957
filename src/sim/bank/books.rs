//! The books of a simulated bank: codes, consents and tokens.
//!
//! This file decides which grant is good and which token holds. It must not know HTTP.

use std::collections::HashMap;
use std::time::Duration;

use sha2::Digest as _;

use super::Temper;

/// bLink: "code 30 s (mandatory)".
const CODE_LIFETIME: Duration = Duration::from_secs(30);
/// bLink recommends 24 hours.
pub(super) const ACCESS_LIFETIME: Duration = Duration::from_secs(24 * 3_600);
/// bLink: 30 days at least, extended by each refresh.
const REFRESH_LIFETIME: Duration = Duration::from_secs(30 * 24 * 3_600);
/// A code that begins like this is good once, for whoever comes first: there is no browser in a
/// terminal to fetch a real one with.
const DEMO_CODE: &str = "demo-code-";

/// Why a grant or a token is no good.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Denied {
    /// Unknown, expired, revoked, or used before.
    Invalid,
    /// Issued to another client.
    Foreign,
    /// Issued for another user or redirect URI.
    Mismatch,
    /// Carried out, and yet answered with a failure ([`Temper::LosesRefresh`]).
    Lost,
}

/// A new access token and a new refresh token.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Pair {
    pub(super) access: String,
    pub(super) refresh: String,
}

/// A request for tokens: who asks, for whom.
#[derive(Debug, Clone, Copy)]
pub(super) struct Asker<'a> {
    pub(super) client: &'a str,
    pub(super) username: Option<&'a str>,
}

#[derive(Debug)]
struct Code {
    client: String,
    username: String,
    redirect_uri: Option<String>,
    expires: Duration,
    /// The consent that it was redeemed for.
    consent: Option<usize>,
}

#[derive(Debug)]
struct Consent {
    client: String,
    username: String,
    live: bool,
    refreshed: bool,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    Access,
    Refresh,
}

#[derive(Debug, Clone, Copy)]
struct Token {
    kind: Kind,
    consent: usize,
    expires: Duration,
    /// Rotated out by a refresh: to show it again is a sign of theft.
    spent: bool,
}

/// All that the bank knows.
#[derive(Debug)]
pub(super) struct Books {
    seed: u64,
    temper: Temper,
    issued: u64,
    codes: HashMap<String, Code>,
    consents: Vec<Consent>,
    tokens: HashMap<String, Token>,
}

impl Books {
    pub(super) fn new(seed: u64, temper: Temper) -> Self {
        let (codes, consents, tokens) = (HashMap::new(), Vec::new(), HashMap::new());
        Self { seed, temper, issued: 0, codes, consents, tokens }
    }

    pub(super) fn reset(&mut self) {
        *self = Self::new(self.seed, self.temper);
    }

    pub(super) fn issue_code(
        &mut self,
        now: Duration,
        client: &str,
        username: &str,
        redirect_uri: Option<&str>,
    ) -> String {
        let code = self.fresh("code");
        let entry = Code {
            client: client.to_owned(),
            username: username.to_owned(),
            redirect_uri: redirect_uri.map(ToOwned::to_owned),
            expires: now + CODE_LIFETIME,
            consent: None,
        };
        self.codes.insert(code.clone(), entry);
        code
    }

    /// Redeems a code (RFC 6749 section 4.1.3).
    pub(super) fn exchange(
        &mut self,
        now: Duration,
        asker: Asker<'_>,
        code: &str,
        redirect_uri: Option<&str>,
    ) -> Result<Pair, Denied> {
        if code.starts_with(DEMO_CODE) && !self.codes.contains_key(code) {
            let entry = Code {
                client: asker.client.to_owned(),
                username: asker.username.unwrap_or_default().to_owned(),
                redirect_uri: redirect_uri.map(ToOwned::to_owned),
                expires: now + CODE_LIFETIME,
                consent: None,
            };
            self.codes.insert(code.to_owned(), entry);
        }
        let entry = self.codes.get_mut(code).ok_or(Denied::Invalid)?;
        if entry.client != asker.client {
            return Err(Denied::Foreign);
        }
        if let Some(consent) = entry.consent {
            // RFC 6749 section 4.1.2: deny, and revoke what the code was redeemed for.
            self.end(consent);
            return Err(Denied::Invalid);
        }
        if entry.expires <= now {
            return Err(Denied::Invalid);
        }
        let same_uri =
            entry.redirect_uri.is_none() || entry.redirect_uri.as_deref() == redirect_uri;
        if !same_uri || asker.username != Some(entry.username.as_str()) {
            return Err(Denied::Mismatch);
        }
        let username = entry.username.clone();
        entry.consent = Some(self.consents.len());
        Ok(self.consent(now, asker.client, username))
    }

    /// Refreshes (RFC 6749 section 6). The refresh token rotates.
    pub(super) fn refresh(
        &mut self,
        now: Duration,
        asker: Asker<'_>,
        refresh: &str,
    ) -> Result<Pair, Denied> {
        let token = self.tokens.get_mut(refresh).filter(|token| token.kind == Kind::Refresh);
        let token = token.ok_or(Denied::Invalid)?;
        let number = token.consent;
        let expired = token.expires <= now;
        let consent = self.consents.get_mut(number).ok_or(Denied::Invalid)?;
        if consent.client != asker.client {
            return Err(Denied::Foreign);
        }
        if asker.username.is_some_and(|username| username != consent.username) {
            return Err(Denied::Mismatch);
        }
        if std::mem::replace(&mut token.spent, true) {
            // RFC 9700 section 4.14.2: a replayed refresh token ends the consent.
            self.end(number);
            return Err(Denied::Invalid);
        }
        if expired || !consent.live {
            return Err(Denied::Invalid);
        }
        let first = !std::mem::replace(&mut consent.refreshed, true);
        let pair = self.pair(now, number);
        if first && self.temper == Temper::LosesRefresh { Err(Denied::Lost) } else { Ok(pair) }
    }

    /// Revokes one token. An unknown one is as good as revoked (RFC 7009 section 2.2).
    pub(super) fn revoke(&mut self, client: &str, token: &str) -> Result<(), Denied> {
        let Some(entry) = self.tokens.get(token) else {
            return Ok(());
        };
        let owner = self.consents.get(entry.consent).map(|consent| consent.client.as_str());
        if owner != Some(client) {
            return Err(Denied::Foreign);
        }
        // Seed: "must be done separately for access token and refresh token".
        self.tokens.remove(token);
        Ok(())
    }

    /// Whether `username` is the user whose consent the access token stands for.
    pub(super) fn check_username(
        &self,
        now: Duration,
        client: &str,
        access: &str,
        username: &str,
    ) -> Result<bool, Denied> {
        let token = self.tokens.get(access).filter(|token| token.kind == Kind::Access);
        let token = token.filter(|token| token.expires > now).ok_or(Denied::Invalid)?;
        let consent = self.consents.get(token.consent).filter(|consent| consent.live);
        let consent = consent.ok_or(Denied::Invalid)?;
        if consent.client != client {
            return Err(Denied::Foreign);
        }
        Ok(consent.username == username)
    }

    fn consent(&mut self, now: Duration, client: &str, username: String) -> Pair {
        if self.temper == Temper::OneConsent {
            for consent in &mut self.consents {
                consent.live &= consent.client != client || consent.username != username;
            }
        }
        let client = client.to_owned();
        self.consents.push(Consent { client, username, live: true, refreshed: false });
        self.pair(now, self.consents.len() - 1)
    }

    fn pair(&mut self, now: Duration, consent: usize) -> Pair {
        let (access, refresh) = (self.fresh("at"), self.fresh("rt"));
        let access_token =
            Token { kind: Kind::Access, consent, expires: now + ACCESS_LIFETIME, spent: false };
        let refresh_token =
            Token { kind: Kind::Refresh, consent, expires: now + REFRESH_LIFETIME, spent: false };
        self.tokens.insert(access.clone(), access_token);
        self.tokens.insert(refresh.clone(), refresh_token);
        Pair { access, refresh }
    }

    fn end(&mut self, consent: usize) {
        if let Some(consent) = self.consents.get_mut(consent) {
            consent.live = false;
        }
    }

    /// A text that nobody has, and that the seed and the count of texts before it determine.
    fn fresh(&mut self, prefix: &str) -> String {
        self.issued += 1;
        let digest = sha2::Sha256::new()
            .chain_update(self.seed.to_be_bytes())
            .chain_update(self.issued.to_be_bytes())
            .finalize();
        let mut text = format!("{prefix}-");
        for byte in digest.iter().take(12) {
            text.push_str(&format!("{byte:02x}"));
        }
        text
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: Duration = Duration::from_secs(1);
    const ANNA: Asker<'_> = Asker { client: "CIDX1", username: Some("anna") };

    fn consented(books: &mut Books) -> Pair {
        let code = books.issue_code(NOW, "CIDX1", "anna", None);
        books.exchange(NOW, ANNA, &code, None).unwrap()
    }

    #[test]
    fn a_code_is_good_once_and_its_second_use_ends_the_consent() {
        let mut books = Books::new(0, Temper::Correct);
        let code = books.issue_code(NOW, "CIDX1", "anna", Some("https://app.test/cb"));
        let uri = Some("https://app.test/cb");
        assert_eq!(books.exchange(NOW, ANNA, &code, None), Err(Denied::Mismatch));
        let pair = books.exchange(NOW, ANNA, &code, uri).unwrap();
        assert_eq!(books.check_username(NOW, "CIDX1", &pair.access, "anna"), Ok(true));
        assert_eq!(books.exchange(NOW, ANNA, &code, uri), Err(Denied::Invalid));
        assert_eq!(books.check_username(NOW, "CIDX1", &pair.access, "anna"), Err(Denied::Invalid));
    }

    #[test]
    fn a_code_lives_thirty_seconds_and_belongs_to_one_client_and_user() {
        let mut books = Books::new(0, Temper::Correct);
        let code = books.issue_code(NOW, "CIDX1", "anna", None);
        let other = Asker { client: "CIDX2", ..ANNA };
        assert_eq!(books.exchange(NOW, other, &code, None), Err(Denied::Foreign));
        let other = Asker { username: Some("beat"), ..ANNA };
        assert_eq!(books.exchange(NOW, other, &code, None), Err(Denied::Mismatch));
        let late = NOW + CODE_LIFETIME;
        assert_eq!(books.exchange(late, ANNA, &code, None), Err(Denied::Invalid));
    }

    #[test]
    fn a_refresh_token_rotates_and_its_replay_ends_the_consent() {
        let mut books = Books::new(0, Temper::Correct);
        let first = consented(&mut books);
        let second = books.refresh(NOW, ANNA, &first.refresh).unwrap();
        assert_ne!(first, second);
        assert_eq!(books.refresh(NOW, ANNA, &first.refresh), Err(Denied::Invalid));
        assert_eq!(books.refresh(NOW, ANNA, &second.refresh), Err(Denied::Invalid));
    }

    #[test]
    fn only_its_client_revokes_a_token_and_an_unknown_one_is_revoked_already() {
        let mut books = Books::new(0, Temper::Correct);
        let pair = consented(&mut books);
        assert_eq!(books.revoke("CIDX2", &pair.access), Err(Denied::Foreign));
        assert_eq!(books.revoke("CIDX1", &pair.access), Ok(()));
        assert_eq!(books.revoke("CIDX1", &pair.access), Ok(()));
        assert!(books.check_username(NOW, "CIDX1", &pair.access, "anna").is_err());
        assert!(books.refresh(NOW, ANNA, &pair.refresh).is_ok());
    }

    #[test]
    fn tempers_end_the_first_consent_and_lose_the_first_refresh() {
        let mut books = Books::new(0, Temper::OneConsent);
        let (first, second) = (consented(&mut books), consented(&mut books));
        assert_eq!(books.refresh(NOW, ANNA, &first.refresh), Err(Denied::Invalid));
        assert!(books.refresh(NOW, ANNA, &second.refresh).is_ok());

        let mut books = Books::new(0, Temper::LosesRefresh);
        let pair = consented(&mut books);
        assert_eq!(books.refresh(NOW, ANNA, &pair.refresh), Err(Denied::Lost));
        assert_eq!(books.refresh(NOW, ANNA, &pair.refresh), Err(Denied::Invalid));
    }

    #[test]
    fn the_seed_alone_determines_the_tokens() {
        let pair = |seed| consented(&mut Books::new(seed, Temper::Correct));
        assert_eq!(pair(1), pair(1));
        assert_ne!(pair(1), pair(2));
    }
}

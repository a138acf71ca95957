//! The books of a simulated Konsentus: codes, and the tokens that stand for PSPs.
//!
//! This file decides which is good. It must not know HTTP.

use std::collections::HashMap;
use std::time::Duration;

use super::{CcgTokens, GOOD_ACCESS_TOKEN};
use crate::sim::mint::Mint;

/// Seed: "a life time of 60 seconds".
const CODE_LIFE: Duration = Duration::from_secs(60);
/// A code that begins like this is good once, for whoever comes first: there is no browser in a
/// terminal to fetch a real one with.
const DEMO_CODE: &str = "demo-code-";

/// Why a code is no good.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Denied {
    Unknown,
    Used,
    Expired,
    Foreign,
    Mismatch,
}

struct Code {
    psp: String,
    redirect_uri: String,
    expires: Duration,
    used: bool,
}

/// All that it knows.
pub(super) struct Books {
    mint: Mint,
    kind: CcgTokens,
    ccg_life: Duration,
    codes: HashMap<String, Code>,
    /// The PSP that a `ccg_token` stands for, and until when.
    ccg: HashMap<String, (String, Duration)>,
}

impl Books {
    pub(super) fn new(seed: u64, kind: CcgTokens, ccg_life: Duration) -> Self {
        let (codes, ccg) = (HashMap::new(), HashMap::new());
        Self { mint: Mint::new(seed), kind, ccg_life, codes, ccg }
    }

    pub(super) fn reset(&mut self) {
        self.mint.reset();
        self.codes.clear();
        self.ccg.clear();
    }

    pub(super) fn issue_code(&mut self, now: Duration, psp: &str, redirect_uri: &str) -> String {
        let code = self.fresh("code");
        let entry = Code {
            psp: psp.to_owned(),
            redirect_uri: redirect_uri.to_owned(),
            expires: now + CODE_LIFE,
            used: false,
        };
        self.codes.insert(code.clone(), entry);
        code
    }

    pub(super) fn agree_on(&mut self, psp: &str, token: &str) {
        self.ccg.insert(token.to_owned(), (psp.to_owned(), Duration::MAX));
    }

    pub(super) fn withdraw_ccg_tokens(&mut self) {
        self.ccg.retain(|_, (_, expires)| *expires == Duration::MAX);
    }

    /// A `ccg_token` for a PSP, and its life in seconds.
    pub(super) fn give_ccg(&mut self, now: Duration, psp: &str) -> (String, u64) {
        let token = match self.kind {
            CcgTokens::Hardcoded => GOOD_ACCESS_TOKEN.to_owned(),
            CcgTokens::Distinct => self.fresh("ccg"),
        };
        self.ccg.insert(token.clone(), (psp.to_owned(), now + self.ccg_life));
        (token, self.ccg_life.as_secs())
    }

    /// The PSP that a `ccg_token` stands for, if it is good.
    pub(super) fn psp_of(&self, now: Duration, token: &str) -> Option<String> {
        let (psp, expires) = self.ccg.get(token)?;
        (*expires > now).then(|| psp.clone())
    }

    /// Redeems a code for an access token.
    pub(super) fn redeem(
        &mut self,
        now: Duration,
        psp: &str,
        code: &str,
        redirect_uri: &str,
    ) -> Result<String, Denied> {
        if code.starts_with(DEMO_CODE) && !self.codes.contains_key(code) {
            let demo = self.issue_code(now, psp, redirect_uri);
            let entry = self.codes.remove(&demo).ok_or(Denied::Unknown)?;
            self.codes.insert(code.to_owned(), entry);
        }
        let entry = self.codes.get_mut(code).ok_or(Denied::Unknown)?;
        if entry.used {
            return Err(Denied::Used);
        }
        if entry.expires <= now {
            return Err(Denied::Expired);
        }
        if entry.psp != psp {
            return Err(Denied::Foreign);
        }
        if entry.redirect_uri != redirect_uri {
            return Err(Denied::Mismatch);
        }
        entry.used = true;
        Ok(self.fresh("at"))
    }

    /// A text that nobody has.
    pub(super) fn fresh(&mut self, prefix: &str) -> String {
        self.mint.next(prefix)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: Duration = Duration::from_secs(1);
    const URI: &str = "https://app.test/cb";

    #[test]
    fn a_code_is_good_once_for_its_psp_and_its_redirect_uri_within_a_minute() {
        let mut books = Books::new(0, CcgTokens::Hardcoded, CODE_LIFE);
        let code = books.issue_code(NOW, "PSP", URI);
        assert_eq!(books.redeem(NOW, "OTHER", &code, URI), Err(Denied::Foreign));
        assert_eq!(books.redeem(NOW, "PSP", &code, "https://x.test"), Err(Denied::Mismatch));
        assert!(books.redeem(NOW, "PSP", &code, URI).is_ok());
        assert_eq!(books.redeem(NOW, "PSP", &code, URI), Err(Denied::Used));
        let code = books.issue_code(NOW, "PSP", URI);
        assert_eq!(books.redeem(NOW + CODE_LIFE, "PSP", &code, URI), Err(Denied::Expired));
        assert_eq!(books.redeem(NOW, "PSP", "nobodys", URI), Err(Denied::Unknown));
        assert!(books.redeem(NOW, "PSP", "demo-code-1", URI).is_ok());
        assert_eq!(books.redeem(NOW, "PSP", "demo-code-1", URI), Err(Denied::Used));
    }

    #[test]
    fn a_ccg_token_ends() {
        let mut books = Books::new(0, CcgTokens::Hardcoded, CODE_LIFE);
        let (token, life) = books.give_ccg(NOW, "PSP");
        assert_eq!((token.as_str(), life), (GOOD_ACCESS_TOKEN, 60));
        assert_eq!(books.psp_of(NOW, &token).as_deref(), Some("PSP"));
        assert_eq!(books.psp_of(NOW + CODE_LIFE, &token), None);
        books.agree_on("PSP", "for-good");
        books.withdraw_ccg_tokens();
        assert_eq!(books.psp_of(NOW, &token), None);
        assert!(books.psp_of(NOW, "for-good").is_some());
    }
}

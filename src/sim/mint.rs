//! Makes tokens that nobody has, and that a seed and the count of those before determine.
//!
//! This file decides what a simulated token looks like. It must not know what it is good for.

use sha2::Digest as _;

/// A source of tokens.
#[derive(Debug)]
pub(super) struct Mint {
    seed: u64,
    issued: u64,
}

impl Mint {
    pub(super) fn new(seed: u64) -> Self {
        Self { seed, issued: 0 }
    }

    /// The next token.
    pub(super) fn next(&mut self, prefix: &str) -> String {
        self.issued += 1;
        let digest = sha2::Sha256::new()
            .chain_update(self.seed.to_be_bytes())
            .chain_update(self.issued.to_be_bytes())
            .finalize();
        let hex: String = digest.iter().take(12).map(|byte| format!("{byte:02x}")).collect();
        format!("{prefix}-{hex}")
    }

    /// Begins again.
    pub(super) fn reset(&mut self) {
        self.issued = 0;
    }
}

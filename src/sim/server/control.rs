//! The control listener of a simulated server: what it received, and how to make it forget.
//!
//! This file decides what `/__sim/…` answers. It must not know what the party does; and it is
//! never served where the party is.

use std::sync::Arc;

use http::StatusCode;

use super::journal::House;
use super::{Answer, Party, Received, Reply};

/// The control listener's party.
pub(super) struct Control {
    of: Arc<House>,
}

impl Control {
    pub(super) fn new(of: Arc<House>) -> Self {
        Self { of }
    }
}

impl Party for Control {
    fn answer(&self, request: &Received) -> Reply {
        match (request.method.as_str(), request.path.as_str()) {
            ("GET", "/__sim/requests") => {
                let body = serde_json::to_vec_pretty(&self.of.requests()).unwrap_or_default();
                Answer::new(StatusCode::OK).with("Content-Type", "application/json").body(body)
            }
            ("POST", "/__sim/reset") => {
                self.of.reset();
                Answer::new(StatusCode::NO_CONTENT)
            }
            _ => Answer::new(StatusCode::NOT_FOUND)
                .with("Content-Type", "text/plain")
                .body("GET /__sim/requests, POST /__sim/reset\n"),
        }
        .into()
    }

    fn reset(&self) {}
}

//! The banks of a storm: they answer anybody, and remember every call.
//!
//! This file decides what an answer proves: the token in it is made of the call's own id and code.

use std::collections::HashMap;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use corgate::sim::server::{Answer, Party, Received, Reply, Server};
use http::StatusCode;

use crate::world::listening;

/// A bank's own record: how often it saw each id with each code.
#[derive(Default)]
pub(super) struct Books(Mutex<HashMap<(String, String), u32>>);

/// A bank that runs.
pub(super) struct StormBank {
    pub(super) books: Arc<Books>,
    server: Server,
}

/// The token that answers this call and no other.
pub(super) fn token(id: &str, code: &str) -> String {
    format!("at.{id}.{code}")
}

impl StormBank {
    pub(super) fn start() -> Self {
        let books = Arc::new(Books::default());
        let mut listening = listening();
        // The books are enough, and a storm is long.
        listening.journal_max = 0;
        Self { server: Server::start(listening, books.clone()).unwrap(), books }
    }

    pub(super) fn port(&self) -> u16 {
        self.server.address().port()
    }
}

impl Books {
    pub(super) fn calls(&self) -> HashMap<(String, String), u32> {
        self.0.lock().unwrap().clone()
    }
}

impl Party for Books {
    fn answer(&self, request: &Received) -> Reply {
        let id = request.header("X-Correlation-ID").unwrap_or_default().to_owned();
        let body = String::from_utf8_lossy(&request.body).into_owned();
        let code = body.split('&').find_map(|pair| pair.strip_prefix("code=")).unwrap_or_default();
        let json = serde_json::json!({
            "access_token": token(&id, code),
            "token_type": "bearer",
            "expires_in": 300,
        });
        let count = {
            let mut calls = self.0.lock().unwrap();
            let count = calls.entry((id.clone(), code.to_owned())).or_default();
            *count += 1;
            calls.len() as u64
        };
        let answer = Answer::new(StatusCode::OK)
            .with("Content-Type", "application/json")
            .with("X-Correlation-ID", id)
            .body(json.to_string());
        // Some take their time, so that there is always something under way.
        let wait = Duration::from_millis([0, 1, 3, 40][usize::try_from(count % 4).unwrap()]);
        Reply { wait, ..Reply::from(answer) }
    }

    fn reset(&self) {
        self.0.lock().unwrap().clear();
    }
}

//! The same over HTTP/2, where one connection carries many calls.
//!
//! This file decides which connection a call shares, when one more is made, and when a call that
//! the bank has not processed is sent once more. It must not know what a request means.

use std::time::Instant;

use http::header::CONTENT_LENGTH;
use http::{Method, Request};
use tokio::time::{Instant as Deadline, timeout_at};

use super::{Line, Sent, check_echo};
use crate::answer::X_CORRELATION_ID;
use crate::deadline::later;
use crate::dialect::ProviderRequest;
use crate::echoes::{Echo, Habit, IdHash};
use crate::edge::forward::dial::Dialled;
use crate::edge::forward::http2::Shared;
use crate::edge::forward::pool::Many;
use crate::edge::forward::{Fate, Unsent};
use crate::edge::now;
use crate::fault::Fault;
use crate::ids::ClientKey;
use crate::routes::{Scheme, Timeouts};

/// What the log says of a client that holds too many of the bank's streams.
const STREAMS_TAKEN: &str = "the client's share of the streams is taken";

impl Line {
    /// The same in HTTP/2. What the bank refused over one connection is sent again over a new one,
    /// once.
    pub(super) async fn ask_in_http2(
        &self,
        endpoint: usize,
        request: &ProviderRequest,
        fate: &Fate,
        started: Instant,
        client: Option<ClientKey>,
    ) -> Sent {
        let free = if self.reuses() { self.pool.shared(endpoint) } else { Many::None };
        match free {
            Many::Free(shared) => {
                fate.note(|trail| trail.reused = true);
                match self.over_shared(shared, request, fate, started, client).await {
                    // Another connection would not be its share either.
                    sent @ Err(Unsent::Untouched(Fault::TargetBusy(_))) => return sent,
                    Err(Unsent::Untouched(_)) if self.pool.may_share(endpoint) => {}
                    sent => return sent,
                }
            }
            Many::None => {}
            Many::Full => return Err(Unsent::Untouched(Fault::RequestRefused)),
        }
        let shared = self.fresh(endpoint, fate).await.map_err(Unsent::Untouched)?;
        fate.note(|trail| trail.reused = shared.is_used());
        self.over_shared(shared, request, fate, now(), client).await
    }

    /// A new connection in HTTP/2: of calls that come at once, one dials, and the others wait.
    async fn fresh(&self, endpoint: usize, fate: &Fate) -> Result<Shared, Fault> {
        if !self.reuses() {
            return self.dial_shared(endpoint, fate).await;
        }
        loop {
            if let Some(dial) = self.dials.under_way(endpoint) {
                let end = later(Deadline::now(), self.route.target.timeouts.connect);
                match timeout_at(end, dial.end()).await {
                    Ok(None) => {}
                    Ok(Some(fault)) => return Err(fault),
                    Err(_) => return Err(Fault::ConnectTimeout),
                }
                match self.pool.shared(endpoint) {
                    Many::Free(shared) => return Ok(shared),
                    Many::None => continue,
                    Many::Full => return Err(Fault::RequestRefused),
                }
            }
            let guard = self.dials.begin(endpoint);
            let dialled = self.dial_shared(endpoint, fate).await;
            match &dialled {
                Ok(shared) => self.pool.share(shared.clone()),
                Err(fault) => guard.fail(fault.clone()),
            }
            return dialled;
        }
    }

    async fn dial_shared(&self, endpoint: usize, fate: &Fate) -> Result<Shared, Fault> {
        match self.dialer.dial(endpoint, fate).await? {
            Dialled::Shared(shared) => Ok(shared),
            Dialled::Single(_) => Err(Fault::Internal("another HTTP than was asked for")),
        }
    }

    async fn over_shared(
        &self,
        shared: Shared,
        request: &ProviderRequest,
        fate: &Fate,
        started: Instant,
        client: Option<ClientKey>,
    ) -> Sent {
        let endpoint = shared.endpoint;
        if let Some(client) = client
            && self.reuses()
            && self.route.places.has_several_clients()
            && !self.pool.has_share(&shared, client)
        {
            return Err(Unsent::Untouched(Fault::TargetBusy(STREAMS_TAKEN)));
        }
        fate.note(|trail| trail.endpoint = Some(endpoint));
        let http = self.in_http2(request, endpoint).map_err(Unsent::Lost)?;
        if let Some(id) = request.headers.get(&X_CORRELATION_ID).and_then(IdHash::of) {
            self.pool.note_sent(id);
            shared.note_sent(id);
        }
        let Timeouts { first_byte, .. } = self.route.target.timeouts;
        let end = later(started, first_byte);
        let bytes_max = self.route.target.response_bytes_max;
        let used_before = shared.is_used();
        let body = request.body.clone();
        let sent = shared.clone().exchange(http, body, bytes_max, end.into(), fate, client).await;
        match sent {
            Ok(answer) => {
                let habit = self.habit(request, endpoint);
                let sent = |id| shared.has_sent(id) || self.pool.was_sent(id);
                let echo = self.echo((request, endpoint), &answer, used_before, sent);
                // A stream is bound to its call: an answer without an id is nobody else's.
                let habit = if echo == Echo::Missing { Habit::NONE } else { habit };
                if matches!(echo, Echo::Unknown | Echo::AnotherCalls) {
                    self.pool.unshare(&shared);
                }
                check_echo(echo, habit, used_before).map(|()| answer)
            }
            // Its path may have died without a word; the next call dials anew.
            Err(unsent) => {
                // Its path may have died without a word; the next call dials anew.
                if matches!(unsent, Unsent::Lost(_)) {
                    self.pool.unshare(&shared);
                }
                Err(unsent)
            }
        }
    }

    fn in_http2(&self, request: &ProviderRequest, endpoint: usize) -> Result<Request<()>, Fault> {
        let origin = self.route.target.origins(self.host).get(endpoint);
        let (authority, _) =
            self.authorities.get(endpoint).ok_or(Fault::Internal("target host"))?;
        let scheme = match origin.map(|origin| origin.scheme) {
            Some(Scheme::Https) => http::uri::Scheme::HTTPS,
            Some(Scheme::Http) | None => http::uri::Scheme::HTTP,
        };
        let uri = http::Uri::builder().scheme(scheme).authority(authority.clone());
        let uri = uri.path_and_query(&*request.path).build();
        let mut http = Request::new(());
        *http.method_mut() = request.method.clone();
        *http.uri_mut() = uri.map_err(|_| Fault::Internal("target path"))?;
        *http.headers_mut() = request.headers.to_map();
        // As over HTTP/1.1: a method that has a body as a rule says also that there is none.
        if !request.body.is_empty() || matches!(request.method, Method::POST | Method::PUT) {
            http.headers_mut().insert(CONTENT_LENGTH, request.body.len().into());
        }
        Ok(http)
    }
}

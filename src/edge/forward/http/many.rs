//! The same over HTTP/2, where one connection carries many calls.
//!
//! This file decides which connection a call shares, when one more is made, and when a call that
//! the bank has not processed is sent once more. It must not know what a request means.

use std::time::Instant;

use http::header::CONTENT_LENGTH;
use http::{Method, Request};
use tokio::time::{Instant as Deadline, timeout_at};

use super::{Line, Sent, check_echo, sent_id};
use crate::deadline::later;
use crate::dialect::ProviderRequest;
use crate::echoes::{Echo, Habit, Strange};
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
    /// The same in HTTP/2. What the bank refused over one connection, be it a new one, is sent
    /// again over another one, once.
    pub(super) async fn ask_in_http2(
        &self,
        endpoint: usize,
        request: &ProviderRequest,
        fate: &Fate,
        started: Instant,
        client: Option<ClientKey>,
    ) -> Sent {
        // Not seen whether the bank makes ids up: beside other calls, an id that nobody sent may
        // mean that an answer is another's. So this call has a connection to itself.
        let is_alone = !self.reuses() || self.pool.may_share(endpoint) && self.wants_alone.take();
        let free = if is_alone { Many::None } else { self.pool.shared(endpoint, None) };
        let (first, started) = match free {
            Many::Free(shared) => (shared, started),
            Many::None if is_alone => {
                let dialled = self.dial_shared(endpoint, fate).await;
                (dialled.map_err(Unsent::Untouched)?, now())
            }
            Many::None => {
                let dialled = self.fresh(endpoint, fate, None).await;
                (dialled.map_err(Unsent::Untouched)?, now())
            }
            Many::Full => return Err(Unsent::Untouched(Fault::RequestRefused)),
        };
        fate.note(|trail| trail.reused = first.is_used());
        match self.over_shared(first.clone(), request, fate, started, client).await {
            // Another connection would not be its share either.
            sent @ Err(Unsent::Untouched(Fault::TargetBusy(_))) => return sent,
            Err(Unsent::Untouched(_)) if self.pool.may_share(endpoint) && !first.allows_none() => {}
            sent => return sent,
        }
        let another = self.fresh(endpoint, fate, Some(&first)).await;
        let another = another.map_err(Unsent::Untouched)?;
        fate.note(|trail| trail.reused = another.is_used());
        self.over_shared(another, request, fate, now(), client).await
    }

    /// A new connection in HTTP/2: of calls that come at once, one dials, and the others wait. It
    /// is another than the one on which a call was refused.
    async fn fresh(
        &self,
        endpoint: usize,
        fate: &Fate,
        refused: Option<&Shared>,
    ) -> Result<Shared, Fault> {
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
                match self.pool.shared(endpoint, refused) {
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
        let id = sent_id(request);
        if let Some(id) = id {
            shared.note_sent(id);
        }
        let _under_way = id.map(|id| self.pool.send_under(id));
        let Timeouts { first_byte, .. } = self.route.target.timeouts;
        let end = later(started, first_byte);
        let bytes_max = self.route.target.response_bytes_max;
        let body = request.body.clone();
        let sent = shared.clone().exchange(http, body, bytes_max, end.into(), fate, client).await;
        match sent {
            Ok(answer) => {
                let habit = self.habit(request, endpoint);
                let used = shared.carried_others();
                let sent =
                    |strange: &Strange| shared.has_sent(strange) || self.pool.were_sent(strange);
                let echo = self.echo((request, endpoint), &answer, used, sent);
                // A stream is bound to its call: an answer without an id is nobody else's.
                let habit = if echo == Echo::Missing { Habit::NONE } else { habit };
                let checked = check_echo(echo, habit, used);
                if echo == Echo::Unknown && checked.is_err() {
                    self.wants_alone.set(true);
                }
                if checked.is_err() || echo == Echo::Unknown {
                    self.pool.unshare(&shared);
                }
                checked.map(|()| answer)
            }
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

//! Konsentus: a token service for banks. The hub is the FI, and each client is a PSP.
//!
//! There is one call, `POST /v1/obie/tokens` (seed 001): a code becomes an access token. This file
//! decides how it is said and heard (DIALECTS 4.2), and that what Konsentus does not have is
//! refused before anything is sent. It must not know where the `ccg_token` is kept.

mod refusal;

use bytes::Bytes;
use http::header::{AUTHORIZATION, CONTENT_TYPE};
use http::{HeaderName, HeaderValue, Method};
use serde_json::json;

use super::held::HeldKey;
use super::reply::{self, object};
use super::request::{fields, needed, path};
use super::{Asked, CorrelationFields, Held, Host, ProviderAnswer, ProviderRequest, Recipe, Turn};
use crate::fault::{Fault, Name};
use crate::framing::fields::Fields;
use crate::oauth::Call;
use crate::routes::table::dialect::{Ccg, CcgFetch, Konsentus};

/// HTTP allows underscores in the names of fields (RFC 9110 section 5.6.2), and these have them.
const FI_REFERENCE_ID: HeaderName = HeaderName::from_static("fi_reference_id");
const VERSION: HeaderName = HeaderName::from_static("version");
const CCG_TOKEN: HeaderName = HeaderName::from_static("ccg_token");
const JSON: HeaderValue = HeaderValue::from_static("application/json");

const NO_REFRESH: &str = "provider issues no refresh tokens; request new consent";

/// What can be asked: a code, for the PSP that the client is.
struct Exchange<'a> {
    code: &'a str,
    redirect_uri: &'a str,
    ccg: &'a Ccg,
    path: &'a Name,
}

/// The call, if Konsentus has it and all that it needs is there.
fn exchange<'a>(asked: &Asked<'a>, konsentus: &'a Konsentus) -> Result<Exchange<'a>, Fault> {
    match asked.call {
        Call::Revoke => return Err(Fault::RevokeNotSpoken),
        Call::Username => return Err(Fault::UsernameNotSpoken),
        Call::Token => {}
    }
    if asked.form.value("grant_type") != Some("authorization_code") {
        return Err(Fault::GrantNotSpoken(NO_REFRESH));
    }
    let redirect_uri = needed(asked, "redirect_uri")?;
    let code = needed(asked, "code")?;
    let ccg = konsentus.ccg_of(asked.client_id).ok_or(Fault::ClientUnmapped)?;
    let path = path(asked)?;
    Ok(Exchange { code, redirect_uri, ccg, path })
}

/// The `ccg_token` stands for the PSP, so each client has its own. A call that will not be made
/// fetches none.
pub(super) fn recipe(asked: &Asked<'_>, konsentus: &Konsentus) -> Result<Option<Recipe>, Fault> {
    Ok(Some(match exchange(asked, konsentus)?.ccg {
        Ccg::Static(token) => Recipe::Static(Held::fixed(token.expose())),
        Ccg::Fetch(fetch) => Recipe::Fetch {
            key: key(asked, konsentus, fetch),
            request: Box::new(request_ccg(asked, konsentus, fetch)),
            token_pointer: fetch.token_pointer.clone(),
            expires_pointer: fetch.expires_pointer.clone(),
            default_life: fetch.default_ttl,
        },
    }))
}

pub(super) fn open(
    asked: &Asked<'_>,
    konsentus: &Konsentus,
    held: Option<&Held>,
) -> Result<Turn, Fault> {
    let Exchange { code, redirect_uri, path, .. } = exchange(asked, konsentus)?;
    let held = held.ok_or(Fault::Internal("no ccg_token"))?;
    let mut headers = head(asked, konsentus);
    let mut token =
        HeaderValue::from_str(held.expose()).map_err(|_| Fault::ResponseMalformed("ccg_token"))?;
    token.set_sensitive(true);
    headers.insert(CCG_TOKEN, token);
    let body = json!({ "auth_code": code, "redirect_uri": redirect_uri }).to_string();
    let (host, method, path) = (Host::Main, Method::POST, path.clone());
    let correlation = CorrelationFields::default();
    Ok(Turn::Ask(
        0,
        ProviderRequest { host, method, path, headers, correlation, body: body.into() },
    ))
}

/// "201: Request received and access token created" (seed); any 2xx is taken for it.
pub(super) fn hear(
    asked: &Asked<'_>,
    held: Option<&Held>,
    answer: &ProviderAnswer,
) -> Result<Turn, Fault> {
    if !answer.status.is_success() {
        return refusal::hear(asked, held, answer).map(reply::done);
    }
    let data = object(answer)?.object("data").ok_or(Fault::ResponseMalformed("no data"))?;
    // `state` belongs to the browser's redirect, and what would refresh is of no use here.
    let hidden: Vec<_> = held.map(Held::expose).into_iter().collect();
    reply::tokens(asked, &data, None, &["state", "refresh_token"], &hidden)
}

/// What Konsentus wants to see on every request.
fn head(asked: &Asked<'_>, konsentus: &Konsentus) -> Fields {
    let mut headers = fields(asked, None);
    headers.insert(AUTHORIZATION, konsentus.basic.clone());
    headers.insert(FI_REFERENCE_ID, konsentus.fi_reference_id.clone());
    headers.insert(VERSION, konsentus.version.clone());
    headers.insert(CONTENT_TYPE, JSON);
    headers
}

fn request_ccg(asked: &Asked<'_>, konsentus: &Konsentus, fetch: &CcgFetch) -> ProviderRequest {
    let mut headers = head(asked, konsentus);
    for (name, value) in &fetch.headers {
        headers.insert(name.clone(), value.clone());
    }
    ProviderRequest {
        host: Host::Main,
        method: fetch.method.clone(),
        path: fetch.path.clone(),
        headers,
        correlation: CorrelationFields::default(),
        body: Bytes::copy_from_slice(fetch.body.expose().as_bytes()),
    }
}

/// Whatever makes one `ccg_token` differ from another, the credentials too: a table with new ones
/// does not go on with a token that the old ones brought.
fn key(asked: &Asked<'_>, konsentus: &Konsentus, fetch: &CcgFetch) -> HeldKey {
    let text = |value: &HeaderValue| String::from_utf8_lossy(value.as_bytes()).into_owned();
    let mut parts = vec![
        "konsentus".to_owned(),
        asked.target.id.as_str().to_owned(),
        text(&konsentus.fi_reference_id),
        asked.client_id.as_str().to_owned(),
        text(&konsentus.basic),
        fetch.path.to_string(),
        fetch.body.expose().to_owned(),
    ];
    // A bank that moved is not shown what another host gave.
    parts.extend(asked.target.upstream.iter().map(ToString::to_string));
    for (name, value) in &fetch.headers {
        parts.extend([name.as_str().to_owned(), text(value)]);
    }
    let parts: Vec<_> = parts.iter().map(String::as_str).collect();
    HeldKey::of(&parts)
}

#[cfg(test)]
mod tests;

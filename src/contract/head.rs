//! The head's rules: what the headers of a request must be (CONTRACT 4.4).
//!
//! This file decides which header breaks the contract and how. It must not know in which order the
//! walk asks, nor who is registered: an id that is well-formed here may still be unknown.

pub(super) mod authorization;

use http::{HeaderMap, HeaderName, HeaderValue};

use super::asserted::X_CORRELATION_ID;
use super::media::MediaRules;
use super::rule::TextRule;
use crate::fault::{Fault, Name};
use crate::ids::{self, CorrelationId};

/// What happens to `Authorization` where the contract does not ask for it (CONTRACT row 19).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum AuthorizationPolicy {
    /// 401 `invalid_client` with a challenge of the same scheme.
    #[default]
    Refuse,
    /// Let it through to the bank.
    Forward,
}

/// The header rules of one operation. A check that finds nothing wrong allocates nothing.
#[derive(Debug)]
pub struct HeadRules {
    /// The header with `x-corgate-role: correlation-id`.
    pub(super) correlation_id: Option<HeaderRule>,
    /// Whether that is another one than `X-Correlation-ID`.
    pub(super) correlation_is_own: bool,
    /// The header with `x-corgate-role: client-id`.
    pub(super) client_id: Option<HeaderRule>,
    /// The header with `x-corgate-role: target-id`.
    pub(super) target_id: Option<HeaderRule>,
    /// Every other header, in the document's order.
    pub(super) fields: Vec<HeaderRule>,
    /// Those of them that are about the person.
    pub(super) psu_fields: Vec<HeaderName>,
    /// Whether `security` asks for a Bearer token.
    pub(super) wants_bearer: bool,
    /// `Accept`, `Content-Type` and `Content-Encoding`.
    pub(super) media: MediaRules,
}

/// The rule of one header parameter. A header with a rule stands at most once.
#[derive(Debug)]
pub(super) struct HeaderRule {
    /// The name as the document spells it; sentences use it.
    pub(super) name: Name,
    /// The name as a request is searched for it.
    pub(super) header: HeaderName,
    /// Whether a request must have it.
    pub(super) required: bool,
    /// What its value must be.
    pub(super) text: TextRule,
    /// What the client is told if it is not.
    pub(super) refusal: Name,
    /// Whether the hub alone writes such a field.
    pub(super) is_hubs: bool,
}

/// How often a header stands in a request.
pub(super) enum Line<'h> {
    /// Not at all.
    Absent,
    /// Once.
    One(&'h HeaderValue),
    /// On two lines or more.
    Repeated,
}

impl<'h> Line<'h> {
    /// Finds a header.
    pub(super) fn find(headers: &'h HeaderMap, name: &HeaderName) -> Self {
        let mut values = headers.get_all(name).iter();
        match (values.next(), values.next()) {
            (None, _) => Self::Absent,
            (Some(value), None) => Self::One(value),
            (Some(_), Some(_)) => Self::Repeated,
        }
    }
}

impl HeadRules {
    /// Rows 4 and 5: the correlation id, which may be absent where the contract does not require
    /// it.
    ///
    /// # Errors
    /// [`Fault::HeaderMissing`], [`Fault::HeaderMalformed`].
    pub fn check_correlation_id(&self, headers: &HeaderMap) -> Result<(), Fault> {
        match find(self.correlation_id.as_ref(), headers)? {
            Some((rule, value)) if !CorrelationId::is_shape_of(value) => Err(rule.malformed()),
            Some(_) | None => Ok(()),
        }
    }

    /// Whether an id of ours may stand in the field for it.
    pub fn takes_correlation(&self, id: &CorrelationId) -> bool {
        let rule = self.correlation_id.as_ref();
        rule.is_none_or(|rule| rule.text.check_header(id.header_value()).is_ok())
    }

    /// The field that has the correlation id, where the document means another one than
    /// `X-Correlation-ID`.
    pub fn own_correlation(&self) -> Option<&HeaderName> {
        let rule = self.correlation_id.as_ref().filter(|_| self.correlation_is_own);
        rule.map(|rule| &rule.header)
    }

    /// Rows 6 and 7: the client id that the caller claims, well-formed.
    ///
    /// # Errors
    /// [`Fault::HeaderMissing`], [`Fault::HeaderMalformed`].
    pub fn client_id<'h>(&self, headers: &'h HeaderMap) -> Result<Option<&'h str>, Fault> {
        party_id(self.client_id.as_ref(), headers)
    }

    /// Rows 10, 17 and 18: every header that has a rule but no role, in the document's order.
    ///
    /// # Errors
    /// [`Fault::HeaderMissing`], [`Fault::HeaderMalformed`]: the first.
    pub fn fields(&self, headers: &HeaderMap) -> Result<(), Fault> {
        self.fields.iter().try_for_each(|rule| rule.check(headers).map(|_| ()))
    }

    /// Row 12, and row 11 where the contract requires the header: the target id, well-formed.
    ///
    /// # Errors
    /// [`Fault::HeaderMissing`], [`Fault::HeaderMalformed`].
    pub fn target_id<'h>(&self, headers: &'h HeaderMap) -> Result<Option<&'h str>, Fault> {
        party_id(self.target_id.as_ref(), headers)
    }

    /// The target header's name, for row 11 where the target can't be derived either.
    pub fn target_id_name(&self) -> Option<&Name> {
        self.target_id.as_ref().map(|rule| &rule.name)
    }

    /// Rows 19 to 21: a Bearer token where the operation wants one, else the policy. The token is
    /// neither decoded nor verified; that is the bank's.
    ///
    /// # Errors
    /// [`Fault::BearerMissing`], [`Fault::BearerSchemeWrong`], [`Fault::BearerMalformed`];
    /// [`Fault::AuthorizationRefused`] with a challenge of the scheme that the client used.
    pub fn authorization(
        &self,
        headers: &HeaderMap,
        policy: AuthorizationPolicy,
    ) -> Result<(), Fault> {
        if self.wants_bearer {
            return authorization::check_bearer(headers);
        }
        match policy {
            AuthorizationPolicy::Refuse => authorization::refuse(headers),
            AuthorizationPolicy::Forward => Ok(()),
        }
    }

    /// Whether the operation wants a Bearer token, which then is forwarded.
    pub fn wants_bearer(&self) -> bool {
        self.wants_bearer
    }

    /// Every header that has a rule and breaks it, in the document's order (`x-corgate-report`).
    pub fn broken_fields(&self, headers: &HeaderMap) -> Vec<Fault> {
        self.fields.iter().filter_map(|rule| rule.check(headers).err()).collect()
    }

    /// The headers that have a rule, but for those that are the hub's to write: a native call
    /// carries them on.
    pub fn declared(&self) -> impl Iterator<Item = &HeaderName> {
        let rules = self.correlation_id.iter().chain(&self.fields);
        rules.filter(|rule| !rule.is_hubs).map(|rule| &rule.header)
    }

    /// Whether a field about the person (`x-psu-*`) has a rule.
    pub fn declares_psu(&self, name: &HeaderName) -> bool {
        self.psu_fields.contains(name)
    }

    /// The fields that the hub writes into a native call, because the document declares them: for
    /// the correlation id in the hub's own field and in the document's, the client's and the
    /// target's.
    pub fn asserted(&self) -> [Option<&HeaderName>; 4] {
        let is_hubs = |rule: &&HeaderRule| rule.is_hubs && rule.header == X_CORRELATION_ID;
        let beside = self.fields.iter().find(is_hubs);
        [beside, self.correlation_id.as_ref(), self.client_id.as_ref(), self.target_id.as_ref()]
            .map(|rule| rule.map(|rule| &rule.header))
    }

    /// Row 22 alone.
    ///
    /// # Errors
    /// [`Fault::NotAcceptable`].
    pub fn accept(&self, headers: &HeaderMap) -> Result<(), Fault> {
        self.media.check_accept(headers)
    }

    /// Rows 22 to 24: `Accept`, then `Content-Type`, then `Content-Encoding`.
    ///
    /// # Errors
    /// [`Fault::NotAcceptable`], [`Fault::MediaTypeRefused`], [`Fault::CodingRefused`];
    /// [`Fault::HeaderMalformed`] for two `Content-Type` lines.
    pub fn media(&self, headers: &HeaderMap) -> Result<(), Fault> {
        self.media.check(headers)
    }
}

impl HeaderRule {
    fn check<'h>(&self, headers: &'h HeaderMap) -> Result<Option<&'h HeaderValue>, Fault> {
        match Line::find(headers, &self.header) {
            Line::Absent if self.required => Err(Fault::HeaderMissing(self.name.clone())),
            Line::Absent => Ok(None),
            Line::One(value) => match self.text.check_header(value) {
                Ok(()) => Ok(Some(value)),
                Err(_) => Err(self.malformed()),
            },
            Line::Repeated => Err(self.malformed()),
        }
    }

    fn malformed(&self) -> Fault {
        Fault::HeaderMalformed(self.name.clone(), self.refusal.clone())
    }
}

fn find<'r, 'h>(
    rule: Option<&'r HeaderRule>,
    headers: &'h HeaderMap,
) -> Result<Option<(&'r HeaderRule, &'h HeaderValue)>, Fault> {
    let Some(rule) = rule else { return Ok(None) };
    Ok(rule.check(headers)?.map(|value| (rule, value)))
}

fn party_id<'h>(
    rule: Option<&HeaderRule>,
    headers: &'h HeaderMap,
) -> Result<Option<&'h str>, Fault> {
    let Some((rule, value)) = find(rule, headers)? else { return Ok(None) };
    let id = value.to_str().ok().and_then(|text| ids::check_party_id(text).ok());
    id.map(Some).ok_or_else(|| rule.malformed())
}

#[cfg(test)]
mod tests;

//! One look over all fields of a head, for what would else take a look-up each.
//!
//! This file decides what a field's mere presence, name or size means. It must not know what a
//! contract says of it.

use http::{HeaderMap, HeaderName, HeaderValue, Version, header, request};

use crate::contract::{AuthorizationPolicy, Operation};
use crate::fault::Fault;
use crate::framing::check_http2_head;
use crate::routes::EdgeLimits;

/// The name that corgate goes by in `Via`; see `dialect`.
const VIA_OURS: &str = "corgate";

/// What a head has among its fields.
#[derive(Debug, Clone, Copy)]
pub(super) struct Survey {
    underscore: bool,
    expect: bool,
    via: bool,
    dpop: bool,
    authorization: bool,
}

impl Survey {
    /// Looks at a head. Rows 26 and 27: the limits of `framing`, on the shortest HTTP/1.1 head that
    /// says the same. One that came over HTTP/1.x is never shorter than that, so this refuses none
    /// that `framing` let in.
    ///
    /// # Errors
    /// [`Fault::UriTooLong`], [`Fault::HeadTooLarge`]; [`Fault::HttpMalformed`] over HTTP/2.
    pub(super) fn of(limits: &EdgeLimits, head: &request::Parts) -> Result<Self, Fault> {
        let target_bytes = head.uri.path_and_query().map_or(0, |target| target.as_str().len());
        if target_bytes > limits.uri_bytes_max {
            return Err(Fault::UriTooLong);
        }
        let mut bytes = head.method.as_str().len() + target_bytes + "  HTTP/1.1\r\n\r\n".len();
        let mut survey = Self {
            underscore: false,
            expect: false,
            via: false,
            dpop: false,
            authorization: false,
        };
        for (name, value) in &head.headers {
            bytes += name.as_str().len() + value.len() + ":\r\n".len();
            survey.see(name);
        }
        if bytes > limits.head_bytes_max || head.headers.len() > limits.head_fields_max {
            return Err(Fault::HeadTooLarge);
        }
        if head.version == Version::HTTP_2 {
            check_http2_head(head)?;
        }
        Ok(survey)
    }

    fn see(&mut self, name: &HeaderName) {
        let name = name.as_str();
        match name.len() {
            3 => self.via |= name == "via",
            4 => self.dpop |= name == "dpop",
            6 => self.expect |= name == "expect",
            13 => self.authorization |= name == "authorization",
            _ => {}
        }
        // Names are short: looking at all of one is cheaper than looking for a place to stop.
        self.underscore |= name.bytes().fold(false, |odd, byte| odd | (byte == b'_'));
    }

    /// An underscore in a field's name is one hyphen to some servers behind us: two names for one
    /// header, of which we would have checked only one. Those that the contract declares are
    /// checked.
    ///
    /// # Errors
    /// [`Fault::HttpMalformed`].
    pub(super) fn check_names(
        self,
        operation: &Operation,
        headers: &HeaderMap,
    ) -> Result<(), Fault> {
        let is_declared =
            |name: &HeaderName| operation.head.declared().any(|declared| declared == name);
        let is_odd = |name: &HeaderName| name.as_str().contains('_') && !is_declared(name);
        if self.underscore && headers.keys().any(is_odd) {
            return Err(Fault::HttpMalformed("underscore in a field name"));
        }
        Ok(())
    }

    /// RFC 9110 section 10.1.1: `100-continue` is the only expectation there is.
    ///
    /// # Errors
    /// [`Fault::ExpectationRefused`].
    pub(super) fn check_expectation(self, headers: &HeaderMap) -> Result<(), Fault> {
        let known = |value: &HeaderValue| value.as_bytes().eq_ignore_ascii_case(b"100-continue");
        if self.expect && !headers.get_all(header::EXPECT).iter().all(known) {
            return Err(Fault::ExpectationRefused);
        }
        Ok(())
    }

    /// Rows 19 to 21. Where no credentials are wanted and none are there, nothing is looked for.
    ///
    /// # Errors
    /// What [`HeadRules::authorization`](crate::contract::HeadRules::authorization) returns.
    #[inline]
    pub(super) fn check_authorization(
        self,
        operation: &Operation,
        headers: &HeaderMap,
        policy: AuthorizationPolicy,
    ) -> Result<(), Fault> {
        if self.authorization || operation.head.wants_bearer() {
            return operation.head.authorization(headers, policy);
        }
        Ok(())
    }

    /// Row 32: a proof of possession (RFC 9449). It names the URL that it is for, which is the
    /// hub's, and the hub carries none on: dropped, it would make a token that was to be bound to a
    /// key one that is good for whoever has it. It travels where a document of a system's own
    /// declares it.
    ///
    /// # Errors
    /// [`Fault::DpopRefused`].
    pub(super) fn check_dpop(self, operation: &Operation) -> Result<(), Fault> {
        let declared = || operation.head.declared().any(|name| name.as_str() == "dpop");
        if self.dpop && !(operation.native().is_some() && declared()) {
            return Err(Fault::DpopRefused);
        }
        Ok(())
    }

    /// CONTRACT H13: a request that has been here before is going in circles.
    ///
    /// # Errors
    /// [`Fault::ProxyLoop`].
    pub(super) fn check_loop(self, headers: &HeaderMap) -> Result<(), Fault> {
        let ours = |value: &HeaderValue| {
            value.as_bytes().split(|byte| *byte == b',').any(|hop| {
                let mut words = hop.split(u8::is_ascii_whitespace).filter(|word| !word.is_empty());
                words.nth(1).is_some_and(|by| by.eq_ignore_ascii_case(VIA_OURS.as_bytes()))
            })
        };
        if self.via && headers.get_all(header::VIA).iter().any(ours) {
            return Err(Fault::ProxyLoop);
        }
        Ok(())
    }
}

//! Native operations: the rules of a system's own endpoints (Konsentus, Flinks, Oxlin).
//!
//! This module decides whether a native call keeps its document: credentials, media types, path,
//! query and body. It must not know which target is meant, nor in which words a refusal is told:
//! it keeps only what the document says about that ([`FaultStyle`]).

mod basic;
mod json;
mod path;
mod shape;

use http::header::{AUTHORIZATION, CONTENT_TYPE};
use http::{HeaderMap, HeaderName};

use super::head::{Line, authorization};
use super::media::{check_content_encoding, is_content_type};
use crate::fault::{Fault, Name};
use crate::oauth::form::Form;

pub(super) use json::Json;
pub(super) use path::{PathParameter, Segment, Template};
pub(super) use shape::{Choice, Condition, ObjectRule, Rule, Shape, ValueError};

/// In which words a native contract refuses (`x-corgate-errors`).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum ErrorFormat {
    /// RFC 6749 section 5.2.
    #[default]
    Oauth,
    /// Seed Konsentus: `{"errors":[{"id","code","title","link"}]}`.
    Konsentus,
    /// FDX: `{"code","message","debugMessage"}`.
    Fdx,
}

/// A kind of failure that a document can give a status of its own (`x-corgate-failures`).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Failure {
    /// No Bearer token, or none that is well-formed.
    Bearer,
    /// Whatever else is an `invalid_client`.
    Client,
    /// Another `Content-Type` than the body may have.
    MediaType,
}

/// What a document says about one kind of failure.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct FailureRule {
    /// Which failure.
    pub failure: Failure,
    /// Its status.
    pub status: u16,
    /// Its `error`, where that differs too.
    pub error: Option<&'static str>,
}

/// How the faults of an operation, or of a whole native contract, are told.
#[derive(Debug, Clone, Default)]
pub struct FaultStyle {
    /// The words.
    pub format: ErrorFormat,
    /// The failures with a status of their own.
    pub failures: Vec<FailureRule>,
}

impl FaultStyle {
    /// What the document says about this fault.
    pub fn rule(&self, fault: &Fault) -> Option<&FailureRule> {
        let failure = match fault {
            Fault::BearerMissing
            | Fault::BearerSchemeWrong
            | Fault::BearerUnknown
            | Fault::BearerMalformed => Failure::Bearer,
            Fault::MediaTypeRefused(_) => Failure::MediaType,
            _ if fault.row().error == crate::oauth::ErrorCode::InvalidClient => Failure::Client,
            _ => return None,
        };
        self.failures.iter().find(|rule| rule.failure == failure)
    }
}

/// The rules of one native operation, besides its header rules.
#[derive(Debug)]
pub struct NativeRules {
    /// How its faults are told.
    pub style: FaultStyle,
    /// `x-corgate-report: all`: every wrong field in one refusal.
    pub reports_all: bool,
    /// `x-corgate-redirect-errors`: once its `redirect_uri` is trusted, refusals are redirects
    /// (RFC 6749 section 4.1.2.1).
    pub redirects_errors: bool,
    /// `x-corgate-host: auth`: it goes to the target's authorization host, where it has one.
    pub on_auth_host: bool,
    /// The fields of an answer that the document declares.
    pub answer_fields: Vec<HeaderName>,
    /// Whether a value of the query or body can say who calls (`x-corgate-role: client-id`).
    pub(super) claims_client: bool,
    /// Where the path has a template.
    pub(super) template: Option<Template>,
    /// `security`.
    pub(super) security: Security,
    /// Query parameters; `None` where none is declared.
    pub(super) query: Option<Rule>,
    /// The body; `None` where none is declared.
    pub(super) body: Option<BodyRule>,
}

/// Which credentials `Authorization` may or must hold.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Security {
    /// `http` `basic`.
    pub(super) basic: bool,
    /// `http` `bearer`.
    pub(super) bearer: bool,
    /// Whether there is an alternative without either.
    pub(super) optional: bool,
    /// `x-corgate-basic-replaces`: parameters of the body that Basic credentials stand for.
    pub(super) replaces: Vec<Name>,
}

/// What a body may be.
#[derive(Debug)]
pub(super) struct BodyRule {
    /// Whether there must be one.
    pub(super) required: bool,
    /// `x-corgate-content-type: optional`: without the header, it is of the first kind.
    pub(super) untyped: bool,
    /// By media type, in the document's order; never empty.
    pub(super) kinds: Vec<BodyKind>,
}

/// One media type of a body.
#[derive(Debug)]
pub(super) struct BodyKind {
    /// The media type, lower case.
    pub(super) media: Name,
    /// How it is read.
    pub(super) encoding: Encoding,
    /// What it must be.
    pub(super) rule: Rule,
}

/// How a body is read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Encoding {
    /// As a form.
    Form,
    /// As JSON, whatever its media type says (`x-corgate-read-as: json`).
    Json,
}

/// Credentials that a call came with.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Credentials {
    /// None, or none that the operation looks at.
    None,
    /// HTTP Basic.
    Basic,
    /// A Bearer token.
    Bearer,
}

impl NativeRules {
    /// Whether it declares query parameters.
    pub fn takes_query(&self) -> bool {
        self.query.is_some()
    }

    /// Whether `Authorization` is part of the contract, and so is forwarded.
    pub fn takes_authorization(&self) -> bool {
        self.security.basic || self.security.bearer
    }

    /// Whether this operation's path template has the path `below` the mount.
    pub(super) fn matches(&self, below: &str) -> bool {
        self.template.as_ref().is_some_and(|template| template.matches(below))
    }

    /// Checks `Authorization`, where the document asks for it.
    ///
    /// # Errors
    /// [`Fault::BasicMissing`], [`Fault::BasicMalformed`], and the Bearer faults.
    pub fn authorization(&self, headers: &HeaderMap) -> Result<Credentials, Fault> {
        let Security { basic, bearer, optional, .. } = self.security;
        let value = match Line::find(headers, &AUTHORIZATION) {
            Line::Absent if optional => return Ok(Credentials::None),
            Line::Absent if basic => return Err(Fault::BasicMissing),
            Line::Repeated if basic => return Err(Fault::BasicMalformed),
            Line::Absent | Line::Repeated => &[],
            Line::One(value) => value.as_bytes(),
        };
        let is_basic = value.get(..6).is_some_and(|scheme| scheme.eq_ignore_ascii_case(b"basic "));
        match (basic, bearer) {
            (true, _) if is_basic && basic::is_credentials(value) => Ok(Credentials::Basic),
            (true, false) => Err(Fault::BasicMalformed),
            (true, true) if is_basic => Err(Fault::BasicMalformed),
            (_, _) => authorization::check_bearer(headers).map(|()| Credentials::Bearer),
        }
    }

    /// Checks `Content-Type` and `Content-Encoding`: how the body will be read.
    ///
    /// # Errors
    /// [`Fault::MediaTypeRefused`], [`Fault::CodingRefused`].
    pub fn media(&self, headers: &HeaderMap) -> Result<usize, Fault> {
        let Some(body) = &self.body else { return Ok(0) };
        let first = body.kinds.first().ok_or(Fault::Internal("no media type"))?;
        let refused = || Fault::MediaTypeRefused(first.media.clone());
        let kind = match Line::find(headers, &CONTENT_TYPE) {
            Line::Absent if body.untyped || !body.required => 0,
            Line::Absent | Line::Repeated => return Err(refused()),
            Line::One(value) => {
                let fits = |kind: &BodyKind| is_content_type(value, &kind.media);
                body.kinds.iter().position(fits).ok_or_else(refused)?
            }
        };
        check_content_encoding(headers).map(|()| kind)
    }

    /// Checks the parameters of the path `below` the mount.
    pub fn check_path(&self, below: &str, wrong: &mut Vec<Fault>) {
        if let Some(template) = &self.template {
            template.check(below, wrong);
        }
    }

    /// Checks the query's parameters. What has no value counts as left out, but it travels on:
    /// where that would be against its schema, it is refused. Not so at an authorization endpoint,
    /// where the one who reads it leaves it out, too (RFC 6749 section 3.1).
    pub fn check_query(&self, query: &Form<'_>, wrong: &mut Vec<Fault>) {
        let Some(rule) = &self.query else { return };
        rule.check(&Json::of_form(query), wrong);
        if let Shape::Object(object) = &rule.shape
            && !self.redirects_errors
        {
            let empty = |name: &Name| query.pairs().any(|pair| pair == (&**name, ""));
            let optional = object.members.iter().filter(|(name, _, must)| !must && empty(name));
            optional.for_each(|(_, rule, _)| rule.check(&Json::Text(String::new()), wrong));
        }
    }

    /// Checks the body, of the kind that [`NativeRules::media`] found. Its bytes stay as they are.
    ///
    /// # Errors
    /// What can't be read at all: [`Fault::BodyUnexpected`], [`Fault::JsonMalformed`], and what
    /// [`Form::parse`] refuses. What is wrong inside goes to `wrong`.
    pub fn check_body(
        &self,
        bytes: &[u8],
        kind: usize,
        credentials: Credentials,
        wrong: &mut Vec<Fault>,
    ) -> Result<(), Fault> {
        let Some(body) = &self.body else {
            return if bytes.is_empty() { Ok(()) } else { Err(Fault::BodyUnexpected) };
        };
        if bytes.is_empty() && !body.required {
            return Ok(());
        }
        let kind = body.kinds.get(kind).ok_or(Fault::Internal("no media type"))?;
        let value = kind.read(bytes)?;
        kind.rule.check(&value, wrong);
        self.check_replaced(&value, credentials, wrong);
        Ok(())
    }

    /// Checks that whoever a well-formed query and body say is calling is the caller.
    ///
    /// # Errors
    /// [`Fault::FormClientMismatch`]; what [`NativeRules::check_body`] returns.
    pub fn check_claims(
        &self,
        query: &Form<'_>,
        bytes: &[u8],
        kind: usize,
        goes_by: &dyn Fn(&str) -> bool,
    ) -> Result<(), Fault> {
        if !self.claims_client {
            return Ok(());
        }
        let agrees = |rule: &Rule, value: &Json| rule.agrees(value, goes_by);
        let query = self.query.as_ref().is_none_or(|rule| agrees(rule, &Json::of_form(query)));
        let body = match &self.body {
            Some(body) if !bytes.is_empty() => {
                let kind = body.kinds.get(kind).ok_or(Fault::Internal("no media type"))?;
                agrees(&kind.rule, &kind.read(bytes)?)
            }
            _ => true,
        };
        if query && body { Ok(()) } else { Err(Fault::FormClientMismatch) }
    }

    /// Basic credentials and those in the body: one of the two (RFC 6749 section 2.3: "The client
    /// MUST NOT use more than one authentication method in each request").
    fn check_replaced(&self, value: &Json, credentials: Credentials, wrong: &mut Vec<Fault>) {
        for name in &self.security.replaces {
            let given = value.get(name).is_some();
            if given && credentials == Credentials::Basic {
                let sentence = format!("{name} is not allowed beside Basic credentials");
                wrong.push(Fault::ParameterMalformed(name.clone(), sentence.into()));
            } else if !given && credentials != Credentials::Basic {
                wrong.push(Fault::CredentialsMissing(name.clone()));
            }
        }
    }
}

impl BodyKind {
    fn read(&self, bytes: &[u8]) -> Result<Json, Fault> {
        match self.encoding {
            Encoding::Form => Ok(Json::of_form(&Form::parse_plain(bytes)?)),
            Encoding::Json => Json::parse(bytes),
        }
    }
}

#[cfg(test)]
mod tests;

//! Contracts: OpenAPI documents compiled to flat rules, and the checks that run on them.
//!
//! This module decides whether a request keeps the contract of the operation it calls. It must not
//! know who is calling, which bank is meant, or in which order the walk asks.
//!
//! # What of OpenAPI is enforced
//!
//! OpenAPI 3.0 and 3.1, in YAML or JSON, references within `#/components/` followed. A keyword that
//! is not understood is an error that names its place; keywords for people (`description`,
//! `example`, `servers`, the schemas and headers of answers …) and extensions of other tools (`x-`
//! but not `x-corgate-`) are understood to have no effect.
//!
//! - **Header parameters**: `required`; a string schema of `minLength`, `maxLength`, `enum`,
//!   `const`, `pattern`, `format` (`ipv4`, `ipv6`, `uuid`, `uri-reference`), `anyOf`. One octet is
//!   one character. A header with a rule stands at most once.
//! - **Form bodies**: `properties`, each a string schema, `required`, `additionalProperties`, and
//!   `oneOf` with a `discriminator`, whose branches are chosen by `mapping`, `const` or `enum`.
//! - **Answers**: the statuses, and the media types that `Accept` is held against. Ranges (`4XX`)
//!   and `default` list no status: `strict_statuses` keeps to those that are named.
//! - **Security**: `http` `bearer`, and `mutualTLS`, which every listener with certificates has.
//! - `pattern` is ECMA-262 without look-around and back references, and as in JSON Schema it is not
//!   anchored unless it says so.
//!
//! # What OpenAPI has no word for
//!
//! | extension | on | meaning |
//! |---|---|---|
//! | `x-corgate-call` | an operation, required | `token`, `revoke` or `username`: which call of the consent flow it is |
//! | `x-corgate-open-to-suspended` | an operation | `true`: suspended clients and targets may use it |
//! | `x-corgate-role` | a header | `correlation-id`, `client-id` or `target-id`; besides its schema the value must be such an id ([`crate::ids`]) |
//! | `x-corgate-role` | a form property | `client-id`: must be the caller's |
//! | `x-corgate-refusal` | a header or form property | the `error_description` for a value that breaks the schema. Without it: `{name} is malformed`; in forms more precise for `maxLength` (`{name} must be at most {n} characters`) and `enum` (`{name} must be {a} or {b}`) |
//! | `x-corgate-waiver` | a required form property | `username_on_refresh`: a client's entry may make it optional. On a branch's property it holds for that branch |
//! | `x-corgate-error` | a form property | `unsupported_grant_type`: the `error` for a value outside its `enum`, or that chooses no branch; else `invalid_request` |
//!
//! A role that nothing reads is an error, as a keyword that nobody knows is.
//!
//! # Documents of a system's own
//!
//! `x-corgate-native: true` at the top makes every operation a native one: nothing is translated,
//! the call is checked and its bytes are forwarded. Such operations have no `x-corgate-call`, and
//! understand more:
//!
//! - **Paths** with templates, `/keys/{id}`. A parameter is one whole segment, decoded for its
//!   schema; `.`, `..` and encoded slashes are none. An exact path wins over a template.
//! - **Query parameters**: string schemas; those that are not declared travel on. `get`, `put`,
//!   `post` and `delete`.
//! - **Bodies** that are absent, optional, forms or JSON, one schema for each media type: `object`
//!   (`properties`, `required`, `additionalProperties`, `oneOf` with a `discriminator` and its
//!   `mapping`, or of sets: `required`, and `properties` that are `false` or a flag's `const`),
//!   `array` (`items`, `minItems`, `maxItems`), `string`, `boolean`, `integer` and `number`
//!   (`minimum`, `maximum`).
//!   JSON is read strictly and nests at most 32 deep; a name may stand twice, and each is checked.
//! - **Security**: `http` `basic` and `bearer`, and a choice between them or none.
//! - **Headers of answers** pass where they are declared. Names with an underscore are let in where
//!   the operation declares them, and nowhere else.
//!
//! - **Fields that the hub asserts** (`X-CorAPI-*`, `X-Correlation-ID`, `Forwarded`,
//!   `X-Forwarded-*`, `Client-Cert*`, `Via`, `traceparent`) are never the client's. Where a
//!   document declares one, the system gets what the hub writes there, or nothing; `corgate check`
//!   says so.
//!
//! | extension | on | meaning |
//! |---|---|---|
//! | `x-corgate-role` | a header | `correlation-id`: its value is the call's id, echoed under this name, logged, and sent on; the hub's where there is none |
//! | `x-corgate-role` | a header | `client-id`: the hub writes the caller's id there; one that the client sent must agree |
//! | `x-corgate-role` | a query parameter, a text of a body | `client-id`: must be an id that the caller goes by |
//! | `x-corgate-errors` | the document, an operation | `oauth` (if left out), `konsentus` or `fdx`: the words of refusals |
//! | `x-corgate-failures` | the document, an operation | what fails with a status of its own: `bearer`, `client` (every other `invalid_client`), `media_type`; each `{status, error}`, `error` may be left out. An operation's replaces the document's |
//! | `x-corgate-report` | an operation | `all`: every wrong field in one refusal, not the first alone |
//! | `x-corgate-redirect-errors` | an operation | `true`: the query's `client_id` must be the caller's and its `redirect_uri` one of the caller's entry; then refusals are redirects there with `error`, `error_description` and `state` (RFC 6749 section 4.1.2.1) |
//! | `x-corgate-host` | an operation | `auth`: it goes to the target's authorization host, where it has one |
//! | `x-corgate-basic-replaces` | an operation | names of body members that Basic credentials stand for: either those or these |
//! | `x-corgate-content-type` | a body | `optional`: without the header it is of the first media type |
//! | `x-corgate-read-as` | a media type | `json`: read as JSON, whatever it is called |
//! | `x-corgate-refusal` | a schema | as above |
//! | `x-corgate-error` | a schema | `unsupported_grant_type`, `unsupported_response_type`, `invalid_scope`, or `invalid_client` (also where it is missing): the `error` for a value that breaks it |
//! | `x-corgate-unique` | an array | the member that is different in each item |
//! | `x-corgate-pgp-needs` | an object | the member that must be there if any text within is PGP-armoured |

mod asserted;
mod body;
mod compile;
mod head;
mod media;
mod native;
mod rule;

pub(crate) use asserted::{X_CORAPI_CLIENT_ID, X_CORAPI_TARGET_ID};
pub use body::{BodyRules, Waivers};
pub use compile::CompileError;
pub use head::{AuthorizationPolicy, HeadRules};
pub use native::{Credentials, ErrorFormat, Failure, FailureRule, FaultStyle, NativeRules};

use http::Method;

use crate::fault::{Fault, Name};
use crate::oauth::Call;

/// A compiled OpenAPI document.
#[derive(Debug)]
pub struct Contract {
    /// The name that `routes.toml` mounts it by, for example `blink-fi`.
    pub name: Name,
    /// `info.title`.
    pub title: Name,
    /// `info.version`.
    pub version: Name,
    /// Every path and method of the document.
    pub operations: Vec<Operation>,
    /// How faults are told, where the document is a system's own (`x-corgate-native`).
    pub native: Option<FaultStyle>,
    /// What the document says and the hub does otherwise, for people.
    pub notes: Vec<CompileError>,
}

/// What an operation is to corgate.
#[derive(Debug)]
pub enum Kind {
    /// A call of the consent flow, which dialects can say to any target (`x-corgate-call`).
    Consent(Call),
    /// An endpoint of the system that the document is of: forwarded as it is.
    Native(Box<NativeRules>),
}

/// What an operation is called in metrics: a call, or the `operationId` of a native one.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Label {
    /// A call of the consent flow.
    Call(Call),
    /// A native operation.
    Native(Name),
}

impl Label {
    /// The label's text. No native operation has the name of a call.
    pub fn as_str(&self) -> &str {
        match self {
            Self::Call(call) => call.as_str(),
            Self::Native(id) => id,
        }
    }
}

/// One path and method, with its rules.
#[derive(Debug)]
pub struct Operation {
    /// `operationId`.
    pub id: Name,
    /// A call of the consent flow, or native.
    pub kind: Kind,
    /// The HTTP method.
    pub method: Method,
    /// The path below the base path, starting with `/`.
    pub path: Name,
    /// The header rules.
    pub head: HeadRules,
    /// The body rules.
    pub body: BodyRules,
    /// The statuses that the document names, ascending (for `strict_statuses`).
    pub statuses: Vec<u16>,
    /// Whether suspended clients and targets may still use it (`x-corgate-open-to-suspended`):
    /// a consent can always be withdrawn.
    pub open_to_suspended: bool,
}

impl Contract {
    /// The names and documents that are built in.
    pub const BUILT_IN: [(&'static str, &'static str); 5] = [
        ("blink-fi", include_str!("../contracts/blink-fi.yaml")),
        ("blink-six", include_str!("../contracts/blink-six.yaml")),
        ("flinks", include_str!("../contracts/flinks.yaml")),
        ("konsentus", include_str!("../contracts/konsentus.yaml")),
        ("oxlin", include_str!("../contracts/oxlin.yaml")),
    ];

    /// Compiles an OpenAPI 3.x document, YAML or JSON.
    ///
    /// # Errors
    /// Every keyword that is not understood and every rule that can't be compiled, each with its
    /// JSON pointer.
    pub fn compile(name: &str, document: &str) -> Result<Self, Vec<CompileError>> {
        compile::compile(name, document)
    }

    /// Finds the operation for a method and a path below the base path.
    ///
    /// # Errors
    /// [`Fault::PathUnknown`]; [`Fault::MethodRefused`] with the methods that the path has.
    pub fn find(&self, method: &Method, path: &str) -> Result<&Operation, Fault> {
        let mut allow: Vec<&str> = Vec::new();
        for operation in self.operations.iter().filter(|operation| *operation.path == *path) {
            if operation.method == method {
                return Ok(operation);
            }
            allow.push(operation.method.as_str());
        }
        if allow.is_empty() && self.native.is_some() {
            return self.find_template(method, path);
        }
        if allow.is_empty() {
            Err(Fault::PathUnknown)
        } else {
            Err(Fault::MethodRefused(allow.join(", ").into()))
        }
    }

    /// Looks among the templates: an exact path wins over them (OpenAPI 3.1 section 4.8.8.1).
    fn find_template(&self, method: &Method, path: &str) -> Result<&Operation, Fault> {
        let mut allow: Vec<&str> = Vec::new();
        let has_path = |operation: &&Operation| operation.native().is_some_and(|n| n.matches(path));
        for operation in self.operations.iter().filter(has_path) {
            if operation.method == method {
                return Ok(operation);
            }
            allow.push(operation.method.as_str());
        }
        match allow.is_empty() {
            true => Err(Fault::PathUnknown),
            false => Err(Fault::MethodRefused(allow.join(", ").into())),
        }
    }
}

impl Operation {
    /// The call, where it is one of the consent flow.
    pub const fn call(&self) -> Option<Call> {
        match &self.kind {
            Kind::Consent(call) => Some(*call),
            Kind::Native(_) => None,
        }
    }

    /// The native rules, where it is native.
    pub const fn native(&self) -> Option<&NativeRules> {
        match &self.kind {
            Kind::Consent(_) => None,
            Kind::Native(rules) => Some(rules),
        }
    }

    /// What it is called in metrics.
    pub fn label(&self) -> Label {
        match &self.kind {
            Kind::Consent(call) => Label::Call(*call),
            Kind::Native(_) => Label::Native(self.id.clone()),
        }
    }
}

/// A built-in contract, for the tests of its rules.
#[cfg(test)]
fn built_in(name: &str) -> &'static Contract {
    static CONTRACTS: std::sync::LazyLock<Vec<Contract>> = std::sync::LazyLock::new(|| {
        let compile = |(name, document)| Contract::compile(name, document).unwrap();
        Contract::BUILT_IN.into_iter().map(compile).collect()
    });
    CONTRACTS.iter().find(|contract| *contract.name == *name).unwrap()
}

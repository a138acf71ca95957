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
//! - **Answers**: the statuses, and the media types that `Accept` is held against.
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

mod body;
mod compile;
mod head;
mod media;
mod rule;

pub use body::{BodyRules, Waivers};
pub use compile::CompileError;
pub use head::{AuthorizationPolicy, HeadRules};

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
}

/// One path and method, with its rules.
#[derive(Debug)]
pub struct Operation {
    /// `operationId`.
    pub id: Name,
    /// Which call of the consent flow it is (`x-corgate-call`).
    pub call: Call,
    /// The HTTP method.
    pub method: Method,
    /// The path below the base path, starting with `/`.
    pub path: Name,
    /// The header rules.
    pub head: HeadRules,
    /// The body rules.
    pub body: BodyRules,
    /// The statuses that the document lists, ascending (for `strict_statuses`).
    pub statuses: Vec<u16>,
    /// Whether suspended clients and targets may still use it (`x-corgate-open-to-suspended`):
    /// a consent can always be withdrawn.
    pub open_to_suspended: bool,
}

impl Contract {
    /// The names and documents that are built in.
    pub const BUILT_IN: [(&'static str, &'static str); 2] = [
        ("blink-fi", include_str!("../contracts/blink-fi.yaml")),
        ("blink-six", include_str!("../contracts/blink-six.yaml")),
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
        if allow.is_empty() {
            Err(Fault::PathUnknown)
        } else {
            Err(Fault::MethodRefused(allow.join(", ").into()))
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

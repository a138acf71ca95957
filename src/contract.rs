//! Contracts: OpenAPI documents compiled to flat rules, and the checks that run on them.
//!
//! This module decides whether a request keeps the contract of the operation it calls. It must not
//! know who is calling, which bank is meant, or in which order the walk asks.

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

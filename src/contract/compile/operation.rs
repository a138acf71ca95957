//! Paths and their operations: what is called, and what can be answered.
//!
//! This file decides how the parts of an operation come together. It must not know how a part is
//! checked.

use http::Method;

use super::form;
use super::header::{Header, HeaderRole, read_headers};
use super::node::{Compiler, Fields, Node};
use super::security;
use crate::contract::Operation;
use crate::contract::head::{HeadRules, HeaderRule};
use crate::contract::media::{self, MediaRules};
use crate::fault::Name;
use crate::oauth::Call;

/// The methods that a path item can have, by their keywords.
const METHODS: [(&str, Method); 8] = [
    ("get", Method::GET),
    ("put", Method::PUT),
    ("post", Method::POST),
    ("delete", Method::DELETE),
    ("options", Method::OPTIONS),
    ("head", Method::HEAD),
    ("patch", Method::PATCH),
    ("trace", Method::TRACE),
];

/// Reads a path item: one operation for each of its methods.
pub(super) fn read_path<'d>(
    compiler: &mut Compiler<'d>,
    path: &str,
    item: &Node<'d>,
) -> Vec<Operation> {
    check_path(compiler, path, item);
    let mut known: Vec<&str> = METHODS.iter().map(|(keyword, _)| *keyword).collect();
    known.push("parameters");
    let documentation = ["summary", "description", "servers"];
    let Some(fields) = compiler.fields(item, &known, &documentation) else { return Vec::new() };
    let common = fields.get("parameters");
    let mut operations = Vec::new();
    for (keyword, method) in METHODS {
        let Some(node) = fields.get(keyword) else { continue };
        operations.extend(read_operation(compiler, path, method, &node, common.as_ref()));
    }
    operations
}

fn check_path<'d>(compiler: &mut Compiler<'d>, path: &str, item: &Node<'d>) {
    if path.contains('{') {
        compiler.error(&item.pointer, "not supported yet: a path with a template");
    } else if !path.starts_with('/') || !path.bytes().all(is_path_byte) {
        compiler.error(&item.pointer, "must start with `/` and be a path without a query");
    }
}

/// `pchar` without percent-encodings, or `/` (RFC 3986 section 3.3).
fn is_path_byte(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || b"-._~!$&'()*+,;=:@/".contains(&byte)
}

fn read_operation<'d>(
    compiler: &mut Compiler<'d>,
    path: &str,
    method: Method,
    node: &Node<'d>,
    common: Option<&Node<'d>>,
) -> Option<Operation> {
    let known = [
        "operationId",
        "parameters",
        "requestBody",
        "responses",
        "security",
        "x-corgate-call",
        "x-corgate-open-to-suspended",
    ];
    let documentation = ["tags", "summary", "description", "externalDocs", "deprecated", "servers"];
    let fields = compiler.fields(node, &known, &documentation)?;
    let id = compiler.required_text(&fields, "operationId");
    let call = compiler.required(&fields, "x-corgate-call");
    let calls = Call::ALL.map(|call| (call.as_str(), call));
    let call = call.and_then(|call| compiler.one_of(&call, calls));
    let headers = read_headers(compiler, common, fields.get("parameters").as_ref());
    let body = compiler.required(&fields, "requestBody");
    let body = body.and_then(|body| form::read_body(compiler, &body));
    let (statuses, offered) = read_responses(compiler, &fields);
    let security = fields.get("security").or_else(|| compiler.root().find("security"));
    let wants_bearer = security::wants_bearer(compiler, security.as_ref());
    let open_to_suspended = compiler.flag(&fields, "x-corgate-open-to-suspended");
    let (taken, body) = body?;
    let media = MediaRules { offered, taken };
    let head = build_head(compiler, headers, wants_bearer, media);
    Some(Operation {
        id: id?.into(),
        call: call?,
        method,
        path: path.into(),
        head,
        body,
        statuses,
        open_to_suspended,
    })
}

fn build_head(
    compiler: &mut Compiler<'_>,
    headers: Vec<Header>,
    wants_bearer: bool,
    media: MediaRules,
) -> HeadRules {
    let mut head = HeadRules {
        correlation_id: None,
        client_id: None,
        target_id: None,
        fields: Vec::new(),
        wants_bearer,
        media,
    };
    for Header { role, rule, pointer } in headers {
        let slot: &mut Option<HeaderRule> = match role {
            None => {
                head.fields.push(rule);
                continue;
            }
            Some(HeaderRole::Correlation) => &mut head.correlation_id,
            Some(HeaderRole::Client) => &mut head.client_id,
            Some(HeaderRole::Target) => &mut head.target_id,
        };
        if slot.is_some() {
            compiler.error(&pointer, "another header has this x-corgate-role already");
        }
        *slot = Some(rule);
    }
    head
}

/// The statuses, ascending, and every media type that an answer can have: an operation whose
/// success has no content still answers its errors in one.
fn read_responses<'d>(compiler: &mut Compiler<'d>, fields: &Fields<'d>) -> (Vec<u16>, Vec<Name>) {
    let mut statuses: Vec<u16> = Vec::new();
    let mut offered: Vec<Name> = Vec::new();
    let Some(responses) = compiler.required(fields, "responses") else {
        return (statuses, offered);
    };
    for (status, response) in compiler.patterned(&responses) {
        match status.parse::<u16>() {
            Ok(number) if (100..600).contains(&number) && status.len() == 3 => {
                statuses.push(number);
            }
            Ok(_) | Err(_) => {
                let message = "not supported yet: `default` and ranges; three digits";
                compiler.error(&response.pointer, message);
            }
        }
        read_response(compiler, &response, &mut offered);
    }
    statuses.sort_unstable();
    (statuses, offered)
}

/// Headers and schemas of an answer are for people: what a bank answers is passed on as it is.
fn read_response<'d>(compiler: &mut Compiler<'d>, node: &Node<'d>, offered: &mut Vec<Name>) {
    let Some(node) = compiler.resolve(node) else { return };
    let fields = compiler.fields(&node, &["content"], &["description", "summary", "headers"]);
    let Some(content) = fields.and_then(|fields| fields.get("content")) else { return };
    for (media, body) in compiler.entries(&content) {
        compiler.fields(&body, &[], &["schema", "example", "examples"]);
        match media::essence(media) {
            None => compiler.error(&body.pointer, "is no media type"),
            Some(media) if offered.iter().any(|known| **known == *media) => {}
            Some(media) => offered.push(media.into()),
        }
    }
}

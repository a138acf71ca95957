//! Paths and their operations: what is called, and what can be answered.
//!
//! This file decides how the parts of an operation come together. It must not know how a part is
//! checked.

use http::Method;

use super::form;
use super::header::{Header, HeaderRole, read_headers};
use super::native;
use super::node::{Compiler, Fields, Node};
use super::security;
use crate::contract::asserted::X_CORRELATION_ID;
use crate::contract::head::{HeadRules, HeaderRule};
use crate::contract::media::{self, MediaRules};
use crate::contract::{FaultStyle, Kind, Operation};
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
    style: Option<&FaultStyle>,
) -> Vec<Operation> {
    check_path(compiler, path, item, style.is_some());
    let mut known: Vec<&str> = METHODS.iter().map(|(keyword, _)| *keyword).collect();
    known.push("parameters");
    let documentation = ["summary", "description", "servers"];
    let Some(fields) = compiler.fields(item, &known, &documentation) else { return Vec::new() };
    let common = fields.get("parameters");
    let mut operations = Vec::new();
    for (keyword, method) in METHODS {
        let Some(node) = fields.get(keyword) else { continue };
        operations.extend(match style {
            None => read_operation(compiler, path, method, &node, common.as_ref()),
            Some(style) => {
                native::read_operation(compiler, path, method, &node, common.as_ref(), style)
            }
        });
    }
    operations
}

fn check_path<'d>(compiler: &mut Compiler<'d>, path: &str, item: &Node<'d>, native: bool) {
    let is_literal = |part: &str| part.bytes().all(is_path_byte);
    let is_parameter = |part: &str| {
        let name = part.strip_prefix('{').and_then(|part| part.strip_suffix('}'));
        name.is_some_and(|name| !name.is_empty() && !name.contains(['{', '}']))
    };
    if native && path.contains('{') {
        let fits = |part: &str| is_literal(part) || is_parameter(part);
        if !path.starts_with('/') || !path.split('/').all(fits) {
            compiler.error(&item.pointer, "a template's parameter must be a whole segment");
        }
    } else if path.contains('{') {
        compiler.error(&item.pointer, "not supported yet: a path with a template");
    } else if !path.starts_with('/') || !path.bytes().all(is_path_byte) {
        compiler.error(&item.pointer, "must start with `/` and be a path without a query");
    }
}

/// `pchar` without percent-encodings, or `/` (RFC 3986 section 3.3).
fn is_path_byte(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || b"-._~!$&'()*+,;=:@/".contains(&byte)
}

/// Keywords of an operation that say something to people only.
pub(super) const OPERATION_DOCUMENTATION: [&str; 6] =
    ["tags", "summary", "description", "externalDocs", "deprecated", "servers"];

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
    let fields = compiler.fields(node, &known, &OPERATION_DOCUMENTATION)?;
    let id = compiler.required_text(&fields, "operationId");
    let call = compiler.required(&fields, "x-corgate-call");
    let calls = Call::ALL.map(|call| (call.as_str(), call));
    let call = call.and_then(|call| compiler.one_of(&call, calls));
    let headers = read_headers(compiler, common, fields.get("parameters").as_ref());
    let body = compiler.required(&fields, "requestBody");
    let body = body.and_then(|body| form::read_body(compiler, &body));
    let (statuses, offered, _) = read_responses(compiler, &fields);
    let security = fields.get("security").or_else(|| compiler.root().find("security"));
    let wants_bearer = security::wants_bearer(compiler, security.as_ref());
    let open_to_suspended = compiler.flag(&fields, "x-corgate-open-to-suspended");
    let (taken, body) = body?;
    let media = MediaRules { offered, taken };
    let head = build_head(compiler, headers, wants_bearer, media);
    Some(Operation {
        id: id?.into(),
        kind: Kind::Consent(call?),
        method,
        path: path.into(),
        head,
        body,
        statuses,
        open_to_suspended,
    })
}

pub(super) fn build_head(
    compiler: &mut Compiler<'_>,
    headers: Vec<Header>,
    wants_bearer: bool,
    media: MediaRules,
) -> HeadRules {
    let mut head = HeadRules {
        correlation_id: None,
        correlation_is_own: false,
        client_id: None,
        target_id: None,
        fields: Vec::new(),
        psu_fields: Vec::new(),
        wants_bearer,
        media,
    };
    for Header { role, rule, pointer, .. } in headers {
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
    let psu = head.fields.iter().map(|rule| &rule.header);
    head.psu_fields = psu.filter(|name| name.as_str().starts_with("x-psu-")).cloned().collect();
    let is_own = |rule: &HeaderRule| rule.header != X_CORRELATION_ID;
    head.correlation_is_own = head.correlation_id.as_ref().is_some_and(is_own);
    head
}

/// The statuses, ascending, and every media type that an answer can have: an operation whose
/// success has no content still answers its errors in one. Ranges and `default` say how an answer
/// looks; they list no status, so that `strict_statuses` keeps to those that are named.
pub(super) fn read_responses<'d>(
    compiler: &mut Compiler<'d>,
    fields: &Fields<'d>,
) -> (Vec<u16>, Vec<Name>, Vec<(&'d str, Node<'d>)>) {
    let mut statuses: Vec<u16> = Vec::new();
    let mut offered: Vec<Name> = Vec::new();
    let mut carried = Vec::new();
    let Some(responses) = compiler.required(fields, "responses") else {
        return (statuses, offered, carried);
    };
    for (status, response) in compiler.patterned(&responses) {
        match status.parse::<u16>() {
            Ok(number) if (100..600).contains(&number) && status.len() == 3 => {
                statuses.push(number);
            }
            Err(_) if RANGES.contains(&status) => {}
            Ok(_) | Err(_) => {
                let message = "must be three digits, a range such as `4XX`, or `default`";
                compiler.error(&response.pointer, message);
            }
        }
        read_response(compiler, &response, &mut offered, &mut carried);
    }
    statuses.sort_unstable();
    (statuses, offered, carried)
}

/// What a document can say instead of a status (OpenAPI 3.1 section 4.8.16).
const RANGES: [&str; 6] = ["1XX", "2XX", "3XX", "4XX", "5XX", "default"];

/// Schemas of an answer are for people: what a bank answers is passed on as it is. Its headers are
/// named in `carried`; only native operations make something of them.
fn read_response<'d>(
    compiler: &mut Compiler<'d>,
    node: &Node<'d>,
    offered: &mut Vec<Name>,
    carried: &mut Vec<(&'d str, Node<'d>)>,
) {
    let Some(node) = compiler.resolve(node) else { return };
    let Some(fields) = compiler.fields(&node, &["content", "headers"], &["description", "summary"])
    else {
        return;
    };
    carried.extend(fields.get("headers").map_or(Vec::new(), |headers| compiler.entries(&headers)));
    let Some(content) = fields.get("content") else { return };
    for (media, body) in compiler.entries(&content) {
        compiler.fields(&body, &[], &["schema", "example", "examples"]);
        match media::essence(media) {
            None => compiler.error(&body.pointer, "is no media type"),
            Some(media) if offered.iter().any(|known| **known == *media) => {}
            Some(media) => offered.push(media.into()),
        }
    }
}

//! Header parameters: a rule for each, and the three that corgate knows the meaning of.
//!
//! This file decides which header has which role. It must not know what a caller is.

use http::HeaderName;

use super::node::{Compiler, Fields, Node, ROLE};
use super::text::{read_refusal, read_text};
use crate::contract::asserted::is_hubs;
use crate::contract::head::HeaderRule;
use crate::fault::Name;

/// Most header parameters in one list.
const HEADERS_MAX: usize = 64;

/// Fields of an answer that mean something else: an id in one would break it.
const NO_ID: [&str; 22] = [
    "cache-control",
    "connection",
    "content-encoding",
    "content-language",
    "content-length",
    "content-range",
    "date",
    "host",
    "keep-alive",
    "location",
    "pragma",
    "proxy-authenticate",
    "proxy-connection",
    "proxy-status",
    "retry-after",
    "set-cookie",
    "te",
    "trailer",
    "transfer-encoding",
    "upgrade",
    "www-authenticate",
    "x-corapi-source",
];

/// `x-corgate-role` on a header.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum HeaderRole {
    /// `correlation-id`.
    Correlation,
    /// `client-id`.
    Client,
    /// `target-id`.
    Target,
}

impl HeaderRole {
    const ALL: [(&'static str, Self); 3] = [
        ("correlation-id", Self::Correlation),
        ("client-id", Self::Client),
        ("target-id", Self::Target),
    ];
}

/// A header parameter.
pub(super) struct Header {
    /// What it is for; `None` for one that is only checked.
    pub(super) role: Option<HeaderRole>,
    /// Its rule.
    pub(super) rule: HeaderRule,
    /// Where the document says so.
    pub(super) pointer: String,
    /// Whether the document itself gives it the role.
    pub(super) is_explicit: bool,
}

/// Reads the parameters of an operation; those of its path item come first, and one that stands in
/// both is the operation's (OpenAPI 3.1 section 4.8.10).
pub(super) fn read_headers<'d>(
    compiler: &mut Compiler<'d>,
    common: Option<&Node<'d>>,
    own: Option<&Node<'d>>,
) -> Vec<Header> {
    let mut headers: Vec<Header> = Vec::new();
    for list in [common, own].into_iter().flatten() {
        let own_from = headers.len();
        let items = compiler.items(list);
        if items.len() > HEADERS_MAX {
            compiler.error(&list.pointer, format!("over {HEADERS_MAX} parameters"));
            continue;
        }
        for item in items {
            let Some(header) = read_header(compiler, &item) else { continue };
            let same = |other: &Header| other.rule.header == header.rule.header;
            match headers.iter().position(same) {
                None => headers.push(header),
                Some(at) if at >= own_from => {
                    let message = format!("the header `{}` stands twice", header.rule.name);
                    compiler.error(&item.pointer, message);
                }
                Some(at) => {
                    if let Some(slot) = headers.get_mut(at) {
                        *slot = header;
                    }
                }
            }
        }
    }
    headers
}

pub(super) fn read_header<'d>(compiler: &mut Compiler<'d>, node: &Node<'d>) -> Option<Header> {
    let node = compiler.resolve(node)?;
    let known = ["name", "in", "required", "schema", ROLE, "x-corgate-refusal"];
    let documentation = ["description", "deprecated", "example", "examples"];
    let fields = compiler.fields(&node, &known, &documentation)?;
    let place = compiler.required_text(&fields, "in")?;
    if place != "header" {
        let message = format!("not supported yet: a parameter in `{place}`; only in `header`");
        compiler.error(&fields.pointer_of("in"), message);
        return None;
    }
    let (name, header) = read_name(compiler, &fields)?;
    let required = compiler.flag(&fields, "required");
    let role = compiler.role(&fields, HeaderRole::ALL);
    if role == Some(HeaderRole::Correlation) && NO_ID.contains(&header.as_str()) {
        compiler.error(&fields.pointer_of(ROLE), "a field of this name can't carry an id back");
    }
    let own = read_refusal(compiler, &fields);
    let schema = compiler.required(&fields, "schema")?;
    let (text, _) = read_text(compiler, &schema, &[])?;
    let refusal = own.unwrap_or_else(|| format!("{name} is malformed").into());
    let is_hubs = is_hubs(&header);
    let rule = HeaderRule { name, header, required, text, refusal, is_hubs };
    Some(Header { role, rule, pointer: node.pointer, is_explicit: role.is_some() })
}

fn read_name<'d>(compiler: &mut Compiler<'d>, fields: &Fields<'d>) -> Option<(Name, HeaderName)> {
    let name = compiler.required_text(fields, "name")?;
    let pointer = fields.pointer_of("name");
    let Ok(header) = HeaderName::from_bytes(name.as_bytes()) else {
        compiler.error(&pointer, "is no header name (RFC 9110 section 5.6.2, token)");
        return None;
    };
    // OpenAPI 3.1 section 4.8.12.2.1: a parameter of one of these names "SHALL be ignored".
    let elsewhere = match header.as_str() {
        "accept" => "the content of `responses`",
        "content-type" => "the content of `requestBody`",
        "authorization" => "`security`",
        _ => return Some((name.into(), header)),
    };
    compiler.error(&pointer, format!("OpenAPI ignores a parameter of this name: use {elsewhere}"));
    None
}

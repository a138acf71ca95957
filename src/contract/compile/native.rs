//! Native operations: what a system's own document says beyond a consent flow's.
//!
//! This file decides how the parts of a native operation come together, and what their extensions
//! mean. It must not know any system by name.

use std::collections::HashSet;

use http::{HeaderName, Method};

use super::header::{Header, HeaderRole, read_header};
use super::node::{Compiler, Fields, Node, ROLE};
use super::operation::{OPERATION_DOCUMENTATION, build_head, read_responses};
use super::security;
use super::shape::{read_names, read_role, read_rule};
use super::text::{read_refusal, read_text};
use crate::contract::asserted::{X_CORAPI_CLIENT_ID, X_CORAPI_TARGET_ID, X_CORRELATION_ID};
use crate::contract::body::{BodyRules, is_sentence};
use crate::contract::media::{self, MediaRules};
use crate::contract::native::{
    BodyKind, BodyRule, Encoding, ErrorFormat, Failure, FailureRule, FaultStyle, NativeRules,
    ObjectRule, PathParameter, Rule, Segment, Shape, Template,
};
use crate::contract::{Kind, Operation};
use crate::oauth::Call;

/// Keywords that the whole document and an operation share.
pub(super) const STYLE: [&str; 2] = ["x-corgate-errors", "x-corgate-failures"];

const FORMATS: [(&str, ErrorFormat); 3] = [
    ("oauth", ErrorFormat::Oauth),
    ("konsentus", ErrorFormat::Konsentus),
    ("fdx", ErrorFormat::Fdx),
];

const FAILURES: [(&str, Failure); 3] =
    [("bearer", Failure::Bearer), ("client", Failure::Client), ("media_type", Failure::MediaType)];

const ERRORS: [(&str, &str); 4] = [
    ("invalid_request", "invalid_request"),
    ("invalid_client", "invalid_client"),
    ("invalid_token", "invalid_token"),
    ("access_denied", "access_denied"),
];

const KNOWN: [&str; 12] = [
    "operationId",
    "parameters",
    "requestBody",
    "responses",
    "security",
    "x-corgate-open-to-suspended",
    "x-corgate-report",
    "x-corgate-redirect-errors",
    "x-corgate-host",
    "x-corgate-basic-replaces",
    STYLE[0],
    STYLE[1],
];

/// Reads `x-corgate-native` of a document, and how its faults are told.
pub(super) fn read_style<'d>(
    compiler: &mut Compiler<'d>,
    fields: &Fields<'d>,
    common: &FaultStyle,
) -> FaultStyle {
    let mut style = common.clone();
    if let Some(node) = fields.get("x-corgate-errors")
        && let Some(format) = compiler.one_of(&node, FORMATS)
    {
        style.format = format;
    }
    let Some(node) = fields.get("x-corgate-failures") else { return style };
    style.failures.clear();
    let names = FAILURES.map(|(name, _)| name);
    let Some(failures) = compiler.fields(&node, &names, &[]) else { return style };
    for (name, failure) in FAILURES {
        let Some(node) = failures.get(name) else { continue };
        let Some(fields) = compiler.fields(&node, &["status", "error"], &[]) else { continue };
        let status = compiler.count(&fields, "status").and_then(|code| u16::try_from(code).ok());
        let error = fields.get("error").and_then(|node| compiler.one_of(&node, ERRORS));
        match status.filter(|status| (400..500).contains(status)) {
            Some(status) => style.failures.push(FailureRule { failure, status, error }),
            None => compiler.error(&fields.pointer_of("status"), "must be 400 to 499"),
        }
    }
    style
}

/// Reads one operation.
pub(super) fn read_operation<'d>(
    compiler: &mut Compiler<'d>,
    path: &str,
    method: Method,
    node: &Node<'d>,
    common: Option<&Node<'d>>,
    style: &FaultStyle,
) -> Option<Operation> {
    let fields = compiler.fields(node, &KNOWN, &OPERATION_DOCUMENTATION)?;
    if ![Method::GET, Method::POST, Method::PUT, Method::DELETE].contains(&method) {
        compiler.error(&node.pointer, "not supported yet: only get, post, put and delete");
    }
    let id = compiler.required_text(&fields, "operationId")?;
    if Call::ALL.iter().any(|call| call.as_str() == id) || id == "none" {
        compiler.error(&fields.pointer_of("operationId"), "is the name of a consent flow's call");
    }
    let parameters = read_parameters(compiler, common, fields.get("parameters").as_ref());
    let template = read_template(compiler, path, &parameters.path, node);
    let (statuses, offered, answer_fields) = read_responses(compiler, &fields);
    let body = fields.get("requestBody").and_then(|body| read_body(compiler, &body));
    let security = fields.get("security").or_else(|| compiler.root().find("security"));
    let mut security = security::read_choice(compiler, security.as_ref());
    let replaces = fields.get("x-corgate-basic-replaces");
    security.replaces = read_names(compiler, replaces.as_ref());
    let report = fields.get("x-corgate-report");
    let reports_all = report.is_some_and(|n| compiler.one_of(&n, [("all", ())]).is_some());
    let host = fields.get("x-corgate-host");
    let on_auth_host = host.is_some_and(|n| compiler.one_of(&n, [("auth", ())]).is_some());
    let open_to_suspended = compiler.flag(&fields, "x-corgate-open-to-suspended");
    let head = build_head(
        compiler,
        parameters.headers,
        security.bearer,
        MediaRules { offered, taken: "".into() },
    );
    let query = parameters.query;
    let claims = query.as_ref().is_some_and(Rule::claims_client);
    let claims = claims || body.iter().flat_map(|body| &body.kinds).any(|k| k.rule.claims_client());
    let rules = NativeRules {
        claims_client: claims,
        style: read_style(compiler, &fields, style),
        reports_all,
        redirects_errors: compiler.flag(&fields, "x-corgate-redirect-errors"),
        on_auth_host,
        answer_fields: check_answer_fields(compiler, &answer_fields),
        template,
        security,
        query,
        body,
    };
    Some(Operation {
        id: id.into(),
        kind: Kind::Native(Box::new(rules)),
        method,
        path: path.into(),
        head,
        body: BodyRules::none(),
        statuses,
        open_to_suspended,
    })
}

/// The fields of an answer that never pass: those of the connection, and those that corgate writes.
const KEPT_BACK: [&str; 13] = [
    "connection",
    "keep-alive",
    "te",
    "trailer",
    "transfer-encoding",
    "upgrade",
    "content-length",
    "set-cookie",
    "cache-control",
    "pragma",
    "x-correlation-id",
    "x-corapi-source",
    "proxy-status",
];

fn check_answer_fields<'d>(
    compiler: &mut Compiler<'d>,
    fields: &[(&'d str, Node<'d>)],
) -> Vec<HeaderName> {
    let mut names: Vec<HeaderName> = Vec::new();
    for (name, node) in fields {
        match HeaderName::from_bytes(name.as_bytes()) {
            Ok(name) if !KEPT_BACK.contains(&name.as_str()) => {
                if !names.contains(&name) {
                    names.push(name);
                }
            }
            Ok(_) => compiler.error(&node.pointer, "a native answer can't carry this field"),
            Err(_) => compiler.error(&node.pointer, "is no header name"),
        }
    }
    names
}

#[derive(Default)]
struct Parameters {
    headers: Vec<Header>,
    path: Vec<PathParameter>,
    query: Option<Rule>,
}

/// Reads all parameters; one of the operation replaces one of the path item with the same place
/// and name.
fn read_parameters<'d>(
    compiler: &mut Compiler<'d>,
    common: Option<&Node<'d>>,
    own: Option<&Node<'d>>,
) -> Parameters {
    let mut nodes: Vec<(Option<&'d str>, Option<&'d str>, Node<'d>)> = Vec::new();
    for list in [common, own].into_iter().flatten() {
        let own_from = nodes.len();
        for item in compiler.items(list) {
            let Some(node) = compiler.resolve(&item) else { continue };
            let word = |key: &str| node.find(key).and_then(|found| found.value.as_str());
            let (place, name) = (word("in"), word("name"));
            let same = |(p, n, _): &(_, _, _)| (*p, *n) == (place, name);
            match nodes.iter().position(same) {
                Some(at) if at >= own_from => {
                    compiler.error(&node.pointer, "this parameter stands twice");
                }
                Some(at) => {
                    nodes.remove(at);
                    nodes.push((place, name, node));
                }
                None => nodes.push((place, name, node)),
            }
        }
    }
    let mut read = Parameters::default();
    let mut members = Vec::new();
    for (place, _, node) in nodes {
        match place {
            Some("header") => {
                if let Some(header) = read_header(compiler, &node) {
                    if header.role == Some(HeaderRole::Target) {
                        compiler.error(&node.pointer, "routes.toml says how a target is found");
                    }
                    read.headers.push(assert_header(compiler, header));
                }
            }
            Some("path") => read.path.extend(read_path_parameter(compiler, &node)),
            Some("query") => members.extend(read_query_parameter(compiler, &node)),
            _ => compiler.error(&node.pointer, "not supported yet: only header, path and query"),
        }
    }
    // Where the document means another field by it, the hub's own only gets the id besides.
    let correlates = |header: &Header| header.role == Some(HeaderRole::Correlation);
    if read.headers.iter().filter(|header| correlates(header)).count() > 1 {
        let mut hubs = read.headers.iter_mut().filter(|header| header.rule.is_hubs);
        let besides = hubs.find(|header| correlates(header) && !header.is_explicit);
        besides.into_iter().for_each(|header| header.role = None);
    }
    if !members.is_empty() {
        let rule = ObjectRule { members, ..ObjectRule::default() };
        let shape = Shape::Object(Box::new(rule));
        read.query = Some(Rule {
            name: "".into(),
            shape,
            refusal: "query is malformed".into(),
            error: None,
            is_client_id: false,
        });
    }
    read
}

/// A header that the hub asserts has its role by its name, whatever the document says of it.
fn assert_header(compiler: &mut Compiler<'_>, header: Header) -> Header {
    if !header.rule.is_hubs {
        return header;
    }
    let by_name = match &header.rule.header {
        name if *name == X_CORAPI_CLIENT_ID => Some(HeaderRole::Client),
        name if *name == X_CORAPI_TARGET_ID => Some(HeaderRole::Target),
        name if *name == X_CORRELATION_ID => Some(HeaderRole::Correlation),
        _ => None,
    };
    let does = if by_name.is_some() { "writes this field itself" } else { "sends no such field" };
    if header.role.is_some_and(|role| by_name != Some(role)) {
        let at = format!("{}/{ROLE}", header.pointer);
        compiler.error(&at, format!("has no effect: the hub {does}"));
    }
    let message = format!("the hub {does}; what a client puts there goes to nobody");
    compiler.note(&header.pointer, message);
    Header { role: by_name, ..header }
}

const PARAMETER_DOCUMENTATION: [&str; 4] = ["description", "deprecated", "example", "examples"];

fn read_path_parameter<'d>(compiler: &mut Compiler<'d>, node: &Node<'d>) -> Option<PathParameter> {
    let known = ["name", "in", "required", "schema", "x-corgate-refusal"];
    let fields = compiler.fields(node, &known, &PARAMETER_DOCUMENTATION)?;
    let name = compiler.required_text(&fields, "name")?;
    if !compiler.flag(&fields, "required") {
        compiler.error(fields.pointer(), "a path parameter must be `required: true`");
    }
    let refusal = read_refusal(compiler, &fields);
    let schema = compiler.required(&fields, "schema")?;
    let (text, _) = read_text(compiler, &schema, &[])?;
    if !is_sentence(name) {
        compiler.error(&fields.pointer_of("name"), "must be a name that a sentence can hold");
    }
    let refusal = refusal.unwrap_or_else(|| format!("{name} is malformed").into());
    Some(PathParameter { name: name.into(), text, refusal })
}

fn read_query_parameter<'d>(
    compiler: &mut Compiler<'d>,
    node: &Node<'d>,
) -> Option<(crate::fault::Name, Rule, bool)> {
    let known = ["name", "in", "required", "schema", "x-corgate-role"];
    let fields = compiler.fields(node, &known, &PARAMETER_DOCUMENTATION)?;
    let name = compiler.required_text(&fields, "name")?;
    let required = compiler.flag(&fields, "required");
    let schema = compiler.required(&fields, "schema")?;
    let mut rule = read_rule(compiler, &schema, name)?;
    rule.is_client_id |= read_role(compiler, &fields);
    if !matches!(rule.shape, Shape::Text(_)) {
        compiler.error(&schema.pointer, "not supported yet: only `string`; a query is text");
    }
    Some((name.into(), rule, required))
}

fn read_template<'d>(
    compiler: &mut Compiler<'d>,
    path: &str,
    parameters: &[PathParameter],
    node: &Node<'d>,
) -> Option<Template> {
    let mut used = HashSet::new();
    let mut segments = Vec::new();
    for part in path.strip_prefix('/').unwrap_or(path).split('/') {
        let Some(name) = part.strip_prefix('{').and_then(|part| part.strip_suffix('}')) else {
            segments.push(Segment::Literal(part.into()));
            continue;
        };
        let Some(found) = parameters.iter().find(|parameter| *parameter.name == *name) else {
            compiler.error(&node.pointer, format!("the path's `{name}` is no path parameter"));
            continue;
        };
        used.insert(name);
        let (name, text, refusal) = (found.name.clone(), found.text.clone(), found.refusal.clone());
        segments.push(Segment::Parameter(PathParameter { name, text, refusal }));
    }
    for parameter in parameters.iter().filter(|parameter| !used.contains(&*parameter.name)) {
        let message = format!("the path has no `{{{}}}`", parameter.name);
        compiler.error(&node.pointer, message);
    }
    (!used.is_empty()).then_some(Template { segments })
}

fn read_body<'d>(compiler: &mut Compiler<'d>, node: &Node<'d>) -> Option<BodyRule> {
    let node = compiler.resolve(node)?;
    let known = ["content", "required", "x-corgate-content-type"];
    let fields = compiler.fields(&node, &known, &["description"])?;
    let required = compiler.flag(&fields, "required");
    let untyped = fields.get("x-corgate-content-type");
    let untyped = untyped.is_some_and(|n| compiler.one_of(&n, [("optional", ())]).is_some());
    let content = compiler.required(&fields, "content")?;
    let mut kinds = Vec::new();
    for (name, body) in compiler.entries(&content) {
        let fields =
            compiler.fields(&body, &["schema", "x-corgate-read-as"], &["example", "examples"])?;
        let read_as = fields.get("x-corgate-read-as");
        let read_as = read_as.and_then(|n| compiler.one_of(&n, [("json", Encoding::Json)]));
        let media = media::essence(name);
        let natural = match media.as_deref() {
            Some("application/x-www-form-urlencoded") => Some(Encoding::Form),
            Some(media) if media == "application/json" || media.ends_with("+json") => {
                Some(Encoding::Json)
            }
            _ => None,
        };
        let (Some(media), Some(encoding)) = (media, read_as.or(natural)) else {
            compiler.error(&body.pointer, "not supported yet: a body other than JSON or a form");
            continue;
        };
        let schema = compiler.required(&fields, "schema")?;
        let rule = read_rule(compiler, &schema, "")?;
        kinds.push(BodyKind { media: media.into(), encoding, rule });
    }
    if kinds.is_empty() {
        compiler.error(&content.pointer, "a media type is required");
    }
    Some(BodyRule { required, untyped, kinds })
}

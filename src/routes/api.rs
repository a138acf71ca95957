//! Reads `[[api]]`: contracts and where they are mounted.
//!
//! This file decides which document a name means and that no two share a place. It must not know
//! what a contract says.

use std::collections::HashMap;
use std::path::Path;
use std::sync::Arc;

use sha2::{Digest as _, Sha256};

use super::client::parse_target_id;
use super::grammar;
use super::load::Compile;
use super::page::{At, Wrong};
use super::reader::{Reader, did_you_mean, shorten};
use super::reference;
use super::table::{Api, NativeTarget, QueryPolicy};
use crate::contract::{AuthorizationPolicy, Contract};
use crate::fault::Name;
use crate::ids::TargetId;

/// Most mounted contracts.
const APIS_MAX: usize = 64;

/// Longest document of a contract, in bytes.
const DOCUMENT_BYTES_MAX: u64 = 16 * 1_048_576;

/// Reads every `[[api]]`. What it returns counts only where no error was reported.
pub(super) fn read_all(
    root: &Reader<'_>,
    compile: &mut dyn Compile,
    mentions: &mut Vec<At<TargetId>>,
) -> Vec<Api> {
    root.require("api", "[{ contract = \"blink-fi\" }]");
    let sections = root.tables("api", &reference::API);
    if sections.len() > APIS_MAX {
        let what = format!("{} contracts are mounted", sections.len());
        let right = format!("at most {APIS_MAX}");
        root.page.error(root.key_span("api"), Wrong::new(what).right(right));
        return Vec::new();
    }
    let mut compiled = HashMap::new();
    let mut mounted: Vec<Name> = Vec::new();
    let mut apis = Vec::new();
    for section in sections {
        let base_path = section.parse("base_path", grammar::parse_base_path);
        let span = base_path.as_ref().map_or(section.span, |path| path.span);
        let path = base_path.map_or_else(|| Arc::from(""), |path| path.value);
        if mounted.contains(&path) {
            let what = format!("two contracts are mounted at `{path}`");
            let right = "another `base_path` for one of them";
            section.page.error(span, Wrong::new(what).right(right));
        }
        mounted.push(Arc::clone(&path));
        let native_target = read_native_target(&section, mentions);
        let api = read(&section, path, &mut compiled, compile);
        apis.extend(api.map(|api| Api { native_target, ..api }).inspect(|api| {
            check_native(&section, api);
        }));
    }
    // The mount that says more about a path is the one that it belongs to.
    apis.sort_by_key(|api| std::cmp::Reverse(api.base_path.len()));
    apis
}

/// A contract, and the SHA-256 of its document.
type Compiled = (Arc<Contract>, [u8; 32]);

fn read<'d>(
    section: &Reader<'d>,
    base_path: Name,
    compiled: &mut HashMap<&'d str, Option<Compiled>>,
    compile: &mut dyn Compile,
) -> Option<Api> {
    section.require("contract", "\"blink-fi\"");
    let contract = section.text("contract").and_then(|name| {
        // A document that is mounted twice is compiled, and its problems reported, once.
        let known = compiled.entry(name.value);
        known.or_insert_with(|| read_contract(section, name, compile)).clone()
    });
    let query = match section.choice("query") {
        Some("drop") => QueryPolicy::Drop,
        _ => QueryPolicy::Refuse,
    };
    let authorization = match section.choice("authorization") {
        Some("forward") => AuthorizationPolicy::Forward,
        _ => AuthorizationPolicy::Refuse,
    };
    let strict_statuses = section.flag("strict_statuses");
    let validate_token_response = section.flag("validate_token_response");
    let error_uri = section.parse("error_uri", grammar::parse_error_uri).map(|uri| uri.value);
    let (contract, document) = contract?;
    Some(Api {
        contract,
        document,
        base_path,
        query,
        authorization,
        strict_statuses,
        validate_token_response,
        error_uri,
        native_target: None,
    })
}

/// How a native call finds its target: one of three ways.
fn read_native_target(
    section: &Reader<'_>,
    mentions: &mut Vec<At<TargetId>>,
) -> Option<NativeTarget> {
    let fixed = section.parse("target", parse_target_id).map(|target| {
        mentions.push(target.clone());
        NativeTarget::Fixed(target.value)
    });
    let header = section.parse("target_header", grammar::parse_target_header);
    let query = section.parse("target_query", grammar::parse_target_query);
    let header = header.map(|header| NativeTarget::Header(header.value));
    let query = query.map(|query| NativeTarget::Query(query.value));
    let mut ways = [fixed, header, query].into_iter().flatten();
    let way = ways.next();
    if ways.next().is_some() {
        let what = "`target`, `target_header` and `target_query` are three ways to find a target";
        section.page.error(section.span, Wrong::new(what).right("one of them"));
    }
    way
}

/// A native contract needs a way to a target; in others it is the contract's.
fn check_native(section: &Reader<'_>, api: &Api) {
    let name = &api.contract.name;
    match (&api.contract.native, &api.native_target) {
        (Some(_), None) => {
            let what = format!("no call of the native contract `{name}` can find its target");
            let right = "`target = \"…\"`, or `target_header`, or `target_query`";
            section.page.error(section.span, Wrong::new(what).right(right));
        }
        (None, Some(_)) => {
            let what = format!("the contract `{name}` says itself where a target is named");
            let right = "without `target`, `target_header` and `target_query`";
            section.page.error(section.span, Wrong::new(what).right(right));
        }
        (Some(_), Some(_)) | (None, None) => {}
    }
}

fn read_contract(
    section: &Reader<'_>,
    name: At<&str>,
    compile: &mut dyn Compile,
) -> Option<Compiled> {
    let shown = shorten(name.value);
    let extension = Path::new(name.value).extension().and_then(|extension| extension.to_str());
    let hash = |document: &str| Sha256::digest(document.as_bytes()).into();
    let (result, document) = if matches!(extension, Some("yaml" | "yml" | "json")) {
        let path = section.page.directory().join(name.value);
        match section.page.sources.read(&path, DOCUMENT_BYTES_MAX) {
            Ok(document) => (compile.compile(name.value, &document), hash(&document)),
            Err(error) => {
                let what = format!("the contract `{shown}` can't be read: {error}");
                let right = format!("it was looked for as `{}`", path.display());
                section.page.error(name.span, Wrong::new(what).right(right));
                return None;
            }
        }
    } else {
        let built_in = Contract::BUILT_IN.iter().find(|(built_in, _)| *built_in == name.value);
        let Some((_, document)) = built_in else {
            let names = || Contract::BUILT_IN.iter().map(|(name, _)| *name);
            let right = did_you_mean(name.value, names()).unwrap_or_else(|| {
                let names: Vec<_> = names().map(|name| format!("`{name}`")).collect();
                format!("{}, or a file ending in `.yaml`, `.yml` or `.json`", names.join(", "))
            });
            let what = format!("there is no built-in contract `{shown}`");
            section.page.error(name.span, Wrong::new(what).right(right));
            return None;
        };
        (compile.compile(name.value, document), hash(document))
    };
    match result {
        Ok(contract) => {
            for note in &contract.notes {
                let what =
                    format!("the contract `{shown}` at `{}`: {}", note.pointer, note.message);
                section.page.warn(name.span, Wrong::new(what));
            }
            Some((Arc::new(contract), document))
        }
        Err(errors) => {
            for error in errors {
                // The compiler's own text says what would be right.
                let what = match error.pointer.as_str() {
                    "" => format!("the contract `{shown}`: {}", error.message),
                    pointer => format!("the contract `{shown}` at `{pointer}`: {}", error.message),
                };
                section.page.error(name.span, Wrong::new(what));
            }
            None
        }
    }
}

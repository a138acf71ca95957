//! Security requirements: whether an operation wants a Bearer token, or Basic credentials.
//!
//! This file decides which schemes are understood. It must not check credentials. `mutualTLS` is
//! understood and leaves no rule: who the caller is comes from its certificate on every listener
//! that has one, whatever the document says.

use super::node::{Compiler, Node};
use crate::contract::native::Security;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Scheme {
    Basic,
    Bearer,
    MutualTls,
}

/// Reads `security`: all schemes of one requirement must hold; a choice is not supported.
pub(super) fn wants_bearer<'d>(compiler: &mut Compiler<'d>, security: Option<&Node<'d>>) -> bool {
    let Some(security) = security else { return false };
    let requirements = compiler.items(security);
    if requirements.len() > 1 {
        let message = "not supported yet: a choice of requirements; one object, all of which hold";
        compiler.error(&security.pointer, message);
    }
    let mut bearer = false;
    for requirement in &requirements {
        for (name, scopes) in compiler.entries(requirement) {
            if !compiler.items(&scopes).is_empty() {
                let message = "not supported yet: scopes, which are inside the token";
                compiler.error(&scopes.pointer, message);
            }
            match read_scheme(compiler, name, &scopes) {
                Some(Scheme::Bearer) => bearer = true,
                Some(Scheme::Basic) => {
                    let message = "not supported yet: `http` `basic`, but in a native document";
                    compiler.error(&scopes.pointer, message);
                }
                Some(Scheme::MutualTls) | None => {}
            }
        }
    }
    bearer
}

/// Reads `security` of a native operation: a choice of requirements, each of which wants Basic, or
/// a Bearer token, or neither.
pub(super) fn read_choice<'d>(
    compiler: &mut Compiler<'d>,
    security: Option<&Node<'d>>,
) -> Security {
    let mut read = Security::default();
    for requirement in security.map_or(Vec::new(), |node| compiler.items(node)) {
        let mut wanted = 0;
        for (name, scopes) in compiler.entries(&requirement) {
            if !compiler.items(&scopes).is_empty() {
                let message = "not supported yet: scopes, which are inside the token";
                compiler.error(&scopes.pointer, message);
            }
            match read_scheme(compiler, name, &scopes) {
                Some(Scheme::Basic) => (read.basic, wanted) = (true, wanted + 1),
                Some(Scheme::Bearer) => (read.bearer, wanted) = (true, wanted + 1),
                Some(Scheme::MutualTls) | None => {}
            }
        }
        read.optional |= wanted == 0;
        if wanted > 1 {
            compiler.error(&requirement.pointer, "a request has only one `Authorization`");
        }
    }
    read
}

fn read_scheme<'d>(compiler: &mut Compiler<'d>, name: &str, at: &Node<'d>) -> Option<Scheme> {
    let root = compiler.root();
    let schemes = root.find("components").and_then(|node| node.find("securitySchemes"));
    let Some(scheme) = schemes.and_then(|schemes| schemes.find(name)) else {
        let message = format!("there is no `{name}` in /components/securitySchemes");
        compiler.error(&at.pointer, message);
        return None;
    };
    let scheme = compiler.resolve(&scheme)?;
    let fields = compiler.fields(&scheme, &["type", "scheme"], &["description", "bearerFormat"])?;
    let kind = compiler.required(&fields, "type")?;
    let known = [("http", Scheme::Bearer), ("mutualTLS", Scheme::MutualTls)];
    let kind = compiler.one_of(&kind, known)?;
    let http = fields.get("scheme");
    match (kind, http.as_ref().and_then(|http| http.value.as_str())) {
        (Scheme::MutualTls, None) => Some(Scheme::MutualTls),
        // RFC 9110 section 11.1: the name of a scheme is case-insensitive.
        (Scheme::Bearer, Some(http)) if http.eq_ignore_ascii_case("bearer") => Some(Scheme::Bearer),
        (Scheme::Bearer, Some(http)) if http.eq_ignore_ascii_case("basic") => Some(Scheme::Basic),
        (Scheme::Basic | Scheme::Bearer | Scheme::MutualTls, _) => {
            let message = "not supported yet: a scheme other than `http` `bearer` or `mutualTLS`";
            compiler.error(fields.pointer(), message);
            None
        }
    }
}

//! Secrets that `routes.toml` names and never holds: `${env:NAME}` and `${file:path}`.
//!
//! This file decides how a reference is written and found, and that its value is shown to nobody.
//! It must not know what a secret is for.

use std::fmt;
use std::path::Path;

use zeroize::Zeroizing;

use super::sources::Sources;

/// A secret's text. It is wiped from memory when it is dropped, and no text of ours shows it.
#[derive(Clone, PartialEq, Eq)]
pub struct Secret(Zeroizing<String>);

impl Secret {
    /// Puts the values of all references into `text`. `directory` is where a relative file name
    /// starts: that of the file that holds the reference.
    ///
    /// # Errors
    /// A sentence that names the reference, never a value: not closed, of an unknown kind, a
    /// variable that is not set, a file that can't be read, an empty value.
    pub fn resolve(text: &str, directory: &Path, sources: &dyn Sources) -> Result<Self, String> {
        let mut value = Zeroizing::new(String::new());
        let mut rest = text;
        while let Some((before, from)) = rest.split_once("${") {
            value.push_str(before);
            let Some((reference, after)) = from.split_once('}') else {
                return Err("a reference that begins with `${` is not closed with `}`".to_owned());
            };
            value.push_str(&look_up(reference, directory, sources)?);
            rest = after;
        }
        value.push_str(rest);
        Ok(Self(value))
    }

    /// The secret itself. Whoever asks must not print it.
    pub fn expose(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Secret(…)")
    }
}

/// Whether a text is a reference and nothing else: then it holds no secret itself.
pub(super) fn is_reference(text: &str) -> bool {
    let inner = text.strip_prefix("${").and_then(|rest| rest.strip_suffix('}'));
    inner.is_some_and(|inner| {
        (inner.starts_with("env:") || inner.starts_with("file:")) && !inner.contains(['{', '}'])
    })
}

/// The value of one reference, written without `${` and `}`.
fn look_up(
    reference: &str,
    directory: &Path,
    sources: &dyn Sources,
) -> Result<Zeroizing<String>, String> {
    let value = match reference.split_once(':') {
        Some(("env", name)) if !name.is_empty() => Zeroizing::new(
            sources
                .variable(name)
                .ok_or_else(|| format!("the environment variable `{name}` is not set"))?,
        ),
        Some(("file", name)) if !name.is_empty() => {
            let mut text = Zeroizing::new(
                sources
                    .read(&directory.join(name))
                    .map_err(|error| format!("the file `{name}` can't be read: {error}"))?,
            );
            // An editor ends the file with a newline that nobody means.
            if text.ends_with('\n') {
                text.pop();
                if text.ends_with('\r') {
                    text.pop();
                }
            }
            text
        }
        // What stands between the braces may be a secret pasted there by mistake: not repeated.
        _ => return Err("`${…}` holds neither `env:NAME` nor `file:path`".to_owned()),
    };
    if value.is_empty() {
        return Err(format!("`${{{reference}}}` is empty"));
    }
    Ok(value)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::routes::sources::MemorySources;

    fn check(text: &str) -> Result<String, String> {
        let sources = MemorySources::default()
            .with_variable("KEY", "s3cret")
            .with_variable("EMPTY", "")
            .file("etc/keys/alpine", "from-file\n\n")
            .file("etc/keys/dos", "from-dos\r\n");
        Secret::resolve(text, Path::new("etc"), &sources).map(|secret| secret.expose().to_owned())
    }

    #[test]
    fn references_are_replaced_where_they_stand() {
        assert_eq!(check("plain").as_deref(), Ok("plain"));
        assert_eq!(check("${env:KEY}").as_deref(), Ok("s3cret"));
        assert_eq!(check("a ${env:KEY}-${env:KEY} $ { }").as_deref(), Ok("a s3cret-s3cret $ { }"));
        assert_eq!(check("${file:keys/alpine}").as_deref(), Ok("from-file\n"));
        assert_eq!(check("${file:keys/dos}").as_deref(), Ok("from-dos"));
    }

    #[test]
    fn a_reference_that_leads_nowhere_is_named() {
        for (text, named) in [
            ("${env:MISSING}", "MISSING"),
            ("${file:keys/none}", "keys/none"),
            ("${env:EMPTY}", "${env:EMPTY}"),
            ("${env:KEY", "not closed"),
            ("${KEY}", "neither"),
            ("${env:}", "neither"),
            ("${vault:x}", "neither"),
        ] {
            let error = check(text).unwrap_err();
            assert!(error.contains(named), "{text}: {error}");
        }
    }

    #[test]
    fn only_a_whole_reference_may_be_shown() {
        assert!(is_reference("${env:KEY}") && is_reference("${file:keys/alpine}"));
        for text in ["", "${KEY}", "x${env:KEY}", "${env:KEY}x${env:KEY}", "${env:KEY", "env:KEY"] {
            assert!(!is_reference(text), "{text}");
        }
    }

    #[test]
    fn a_value_is_not_read_for_references_again() {
        let sources = MemorySources::default().with_variable("A", "${env:B}");
        let secret = Secret::resolve("${env:A}", Path::new(""), &sources).unwrap();
        assert_eq!(secret.expose(), "${env:B}");
    }

    #[test]
    fn debug_shows_nothing() {
        let secret = Secret::resolve("hunter2", Path::new(""), &MemorySources::default()).unwrap();
        assert_eq!(format!("{secret:?}"), "Secret(…)");
    }
}

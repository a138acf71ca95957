//! Secrets that `routes.toml` names and never holds: `${env:NAME}` and `${file:path}`.
//!
//! This file decides how a reference is written and found, and that its value is shown to nobody.
//! It must not know what a secret is for.

use std::fmt;
use std::path::Path;

use zeroize::Zeroizing;

use super::grants::Granted;
use super::sources::Sources;

/// Longest text with its references replaced, in bytes, and so the longest file that holds one.
pub(super) const SECRET_BYTES_MAX: u64 = 64 * 1024;
/// Most references in one text.
const REFERENCES_MAX: usize = 16;

/// A secret's text. It is wiped from memory when it is dropped, and no text of ours shows it.
#[derive(Clone, PartialEq, Eq)]
pub struct Secret(Zeroizing<String>);

/// Where the references of a file lead.
#[derive(Clone, Copy)]
pub(super) struct References<'r> {
    /// Where a relative file name starts: the folder of the file that holds the reference.
    pub(super) directory: &'r Path,
    pub(super) sources: &'r dyn Sources,
    /// What the operator grants to an included file; the operator's own has all.
    pub(super) granted: Option<&'r Granted>,
}

impl Secret {
    /// Puts the values of all references into `text`, as it would be in the operator's own file.
    /// `directory` is where a relative file name starts: that of the file that holds the text.
    ///
    /// # Errors
    /// A sentence that names the reference, never a value: not closed, of an unknown kind, a
    /// variable that is not set, a file that can't be read, an empty value, too much of it.
    pub fn resolve(text: &str, directory: &Path, sources: &dyn Sources) -> Result<Self, String> {
        References { directory, sources, granted: None }.resolve(text)
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

/// Appends both, unless that is too long. The text grows once, so that no copy of it is left behind
/// unwiped.
fn append(value: &mut Zeroizing<String>, [one, other]: [&str; 2]) -> Option<()> {
    let length = value.len() + one.len() + other.len();
    if length as u64 > SECRET_BYTES_MAX {
        return None;
    }
    let mut longer = Zeroizing::new(String::with_capacity(length));
    [value, one, other].iter().for_each(|part| longer.push_str(part));
    *value = longer;
    Some(())
}

impl References<'_> {
    /// Puts the values of all references into `text`.
    ///
    /// # Errors
    /// As [`Secret::resolve`]; and what is not granted.
    pub(super) fn resolve(self, text: &str) -> Result<Secret, String> {
        let mut value = Zeroizing::new(String::new());
        let mut rest = text;
        let mut count = 0;
        let too_long = || format!("this is longer than {} KiB", SECRET_BYTES_MAX / 1_024);
        while let Some((before, from)) = rest.split_once("${") {
            let Some((reference, after)) = from.split_once('}') else {
                return Err("a reference that begins with `${` is not closed with `}`".to_owned());
            };
            count += 1;
            if count > REFERENCES_MAX {
                return Err(format!("there are more than {REFERENCES_MAX} references in one text"));
            }
            let found = self.look_up(reference)?;
            append(&mut value, [before, &found]).ok_or_else(too_long)?;
            rest = after;
        }
        append(&mut value, [rest, ""]).ok_or_else(too_long)?;
        Ok(Secret(value))
    }

    /// The value of one reference, written without `${` and `}`.
    fn look_up(self, reference: &str) -> Result<Zeroizing<String>, String> {
        let value = match reference.split_once(':') {
            Some(("env", name)) if !name.is_empty() => {
                if let Some(granted) = self.granted {
                    granted.check_variable(name)?;
                }
                let unset = || format!("the environment variable `{name}` is not set");
                Zeroizing::new(self.sources.variable(name).ok_or_else(unset)?)
            }
            Some(("file", name)) if !name.is_empty() => self.read(name)?,
            // What stands between the braces may be a secret pasted there by mistake: not repeated.
            _ => return Err("`${…}` holds neither `env:NAME` nor `file:path`".to_owned()),
        };
        if value.is_empty() {
            return Err(format!("`${{{reference}}}` is empty"));
        }
        Ok(value)
    }

    fn read(self, name: &str) -> Result<Zeroizing<String>, String> {
        let read = match self.granted {
            None => self.sources.read(&self.directory.join(name), SECRET_BYTES_MAX),
            Some(granted) => self.sources.read_within(granted.folder()?, name, SECRET_BYTES_MAX),
        };
        let mut text = Zeroizing::new(
            read.map_err(|error| format!("the file `{name}` can't be read: {error}"))?,
        );
        // An editor ends the file with a newline that nobody means.
        if text.ends_with('\n') {
            text.pop();
            if text.ends_with('\r') {
                text.pop();
            }
        }
        Ok(text)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::routes::sources::MemorySources;

    fn resolve(text: &str, sources: &MemorySources) -> Result<Secret, String> {
        Secret::resolve(text, Path::new("etc"), sources)
    }

    fn check(text: &str) -> Result<String, String> {
        let sources = MemorySources::default()
            .with_variable("KEY", "s3cret")
            .with_variable("EMPTY", "")
            .file("etc/keys/alpine", "from-file\n\n")
            .file("etc/keys/dos", "from-dos\r\n");
        resolve(text, &sources).map(|secret| secret.expose().to_owned())
    }

    #[test]
    fn a_text_and_its_references_have_a_bound() {
        let long = "x".repeat(SECRET_BYTES_MAX as usize);
        let sources = MemorySources::default().with_variable("L", &long).with_variable("S", "s");
        assert!(resolve("${env:L}", &sources).is_ok() && resolve(&long, &sources).is_ok());
        for text in ["x${env:L}", "${env:L}${env:S}", "${env:L}x", &format!("{long}x")] {
            assert!(resolve(text, &sources).unwrap_err().contains("longer than 64 KiB"));
        }
        assert!(resolve(&"${env:S}".repeat(16), &sources).is_ok());
        assert!(resolve(&"${env:S}".repeat(17), &sources).unwrap_err().contains("more than 16"));
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
        let secret = resolve("${env:A}", &sources).unwrap();
        assert_eq!(secret.expose(), "${env:B}");
    }

    #[test]
    fn debug_shows_nothing() {
        let secret = resolve("hunter2", &MemorySources::default()).unwrap();
        assert_eq!(format!("{secret:?}"), "Secret(…)");
    }
}

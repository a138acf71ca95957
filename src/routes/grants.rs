//! What a file that the operator's file includes may do beyond its own entries: `[[included]]`.
//!
//! Who writes a bank's file is not the operator. This file decides that such a writer reads no
//! secret, opens no file and calls no address that the operator did not grant, and takes no more of
//! what all share than a bank needs. It must not know what the keys of a bank are for.

use std::path::{Path, PathBuf};
use std::time::Duration;

use super::include::matches;
use super::page::Wrong;
use super::reader::{Reader, shorten};
use super::reference;
use super::sources::Sources;

/// Most `[[included]]`, and most patterns of one.
const GRANTS_MAX: usize = 1_000;
/// Longest pattern, in bytes.
const PATTERN_BYTES_MAX: usize = 200;
/// What stands for the name of an included file, without what is behind its last dot.
const STEM: &str = "{stem}";

/// The most that an included file may ask for without `wide_limits`, where the operator's
/// `[target_defaults]` are not wider themselves.
pub(super) struct Wide {
    pub(super) concurrency: u32,
    pub(super) total: Duration,
    pub(super) idle_connections: usize,
    pub(super) response_bytes: usize,
    /// The least, of this one.
    pub(super) probe_after: Duration,
}

pub(super) const WIDE: Wide = Wide {
    concurrency: 1_024,
    total: Duration::from_secs(60),
    idle_connections: 256,
    response_bytes: 8 * 1_048_576,
    probe_after: Duration::from_secs(5),
};

/// All `[[included]]`, in their order: of those that fit a file, the first holds.
#[derive(Debug, Default)]
pub(super) struct Grants(Vec<Grant>);

/// One `[[included]]`.
#[derive(Debug)]
struct Grant {
    files: Vec<String>,
    ids: Vec<String>,
    env_prefix: Option<String>,
    /// With the folder of the operator's file before it.
    folder: Option<PathBuf>,
    allow_private_addresses: bool,
    insecure_plain_upstream: bool,
    wide_limits: bool,
    targets_max: usize,
}

/// What one file may do.
#[derive(Debug)]
pub(super) struct Granted {
    pub(super) allow_private_addresses: bool,
    pub(super) insecure_plain_upstream: bool,
    pub(super) wide_limits: bool,
    pub(super) targets_max: usize,
    ids: Vec<String>,
    env_prefix: Result<String, String>,
    folder: Result<PathBuf, String>,
}

impl Grants {
    /// Reads every `[[included]]`.
    pub(super) fn read(root: &Reader<'_>) -> Self {
        let sections = root.tables("included", &reference::INCLUDED);
        if sections.len() > GRANTS_MAX {
            let what = format!("there are {} `[[included]]`", sections.len());
            let right = format!("at most {GRANTS_MAX}");
            root.page.error(root.key_span("included"), Wrong::new(what).right(right));
            return Self::default();
        }
        Self(sections.iter().map(Grant::read).collect())
    }

    /// What a file may do.
    pub(super) fn of(&self, file: &Path) -> Granted {
        let name = file.file_name().and_then(|name| name.to_str()).unwrap_or_default();
        let fits = |grant: &&Grant| {
            grant.files.is_empty() || grant.files.iter().any(|pattern| matches(pattern, name))
        };
        let Some(grant) = self.0.iter().find(fits) else { return Granted::default() };
        let stem = Path::new(name).file_stem().and_then(|stem| stem.to_str()).unwrap_or_default();
        grant.to(stem)
    }
}

impl Grant {
    fn read(section: &Reader<'_>) -> Self {
        let texts = |key, parse: fn(&str) -> Result<String, Wrong>| {
            let texts = section.texts(key);
            if section.has(key) && !(1..=GRANTS_MAX).contains(&texts.len()) {
                let what = format!("`{key}` has {} patterns", texts.len());
                let right = format!("1 to {GRANTS_MAX}, or without the key: any");
                section.page.error(section.key_span(key), Wrong::new(what).right(right));
            }
            let parsed = texts.into_iter().filter_map(|text| section.parsed(text, parse));
            parsed.map(|text| text.value).collect::<Vec<_>>()
        };
        let env_prefix = section.parse("env_prefix", parse_env_prefix);
        let folder = section.parse("folder", parse_folder);
        let targets_max = section.count_or_default("targets_max");
        Self {
            files: texts("files", parse_pattern),
            ids: texts("ids", parse_pattern),
            env_prefix: env_prefix.map(|prefix| prefix.value),
            folder: folder.map(|folder| section.page.directory().join(folder.value)),
            allow_private_addresses: section.flag("allow_private_addresses"),
            insecure_plain_upstream: section.flag("insecure_plain_upstream"),
            wide_limits: section.flag("wide_limits"),
            targets_max: usize::try_from(targets_max).unwrap_or(usize::MAX),
        }
    }

    fn to(&self, stem: &str) -> Granted {
        let env_prefix = self.env_prefix.as_deref().map(|prefix| {
            // With anything else in it, the prefix of one file could be the beginning of another's.
            let plain = !stem.is_empty() && stem.bytes().all(|b| b.is_ascii_alphanumeric());
            fill(prefix, stem, plain, "letters and digits alone")
        });
        let folder = self.folder.as_deref().and_then(Path::to_str).map(|folder| {
            let is_plain = |byte: u8| byte.is_ascii_alphanumeric() || b"._-".contains(&byte);
            let plain = !stem.is_empty() && !stem.starts_with('.') && stem.bytes().all(is_plain);
            fill(folder, stem, plain, "of `A-Z a-z 0-9 . _ -`").map(PathBuf::from)
        });
        Granted {
            allow_private_addresses: self.allow_private_addresses,
            insecure_plain_upstream: self.insecure_plain_upstream,
            wide_limits: self.wide_limits,
            targets_max: self.targets_max,
            ids: self.ids.iter().map(|pattern| fill_id(pattern, stem)).collect(),
            env_prefix: env_prefix.unwrap_or_else(|| Granted::default().env_prefix),
            folder: folder.unwrap_or_else(|| Granted::default().folder),
        }
    }
}

/// Nothing is granted.
impl Default for Granted {
    fn default() -> Self {
        let nothing = |key: &str| format!("no `{key}` of an `[[included]]` grants it to this file");
        Self {
            allow_private_addresses: false,
            insecure_plain_upstream: false,
            wide_limits: false,
            targets_max: usize::try_from(targets_max_default()).unwrap_or(usize::MAX),
            ids: Vec::new(),
            env_prefix: Err(nothing("env_prefix")),
            folder: Err(nothing("folder")),
        }
    }
}

fn targets_max_default() -> u64 {
    super::reader::default_count(&reference::INCLUDED, "targets_max")
}

impl Granted {
    /// Whether the file may read an environment variable.
    ///
    /// # Errors
    /// A sentence that says what would be granted.
    pub(super) fn check_variable(&self, name: &str) -> Result<(), String> {
        let shown = shorten(name);
        match &self.env_prefix {
            Ok(prefix)
                if name.strip_prefix(prefix.as_str()).is_some_and(|rest| !rest.is_empty()) =>
            {
                Ok(())
            }
            Ok(prefix) => Err(format!(
                "the environment variable `{shown}` is not this file's: its own begin with \
                 `{prefix}`"
            )),
            Err(why) => Err(format!("the environment variable `{shown}` can't be used: {why}")),
        }
    }

    /// The folder that all files are in that this file may name.
    ///
    /// # Errors
    /// A sentence that says why there is none.
    pub(super) fn folder(&self) -> Result<&Path, String> {
        self.folder.as_deref().map_err(|why| format!("no file can be used: {why}"))
    }

    /// The path of a file that this file names.
    ///
    /// # Errors
    /// Why it may not be used, or is not there.
    pub(super) fn locate(&self, name: &str, sources: &dyn Sources) -> Result<PathBuf, Wrong> {
        let folder = self.folder().map_err(Wrong::new)?;
        sources.locate(folder, name).map_err(|error| {
            Wrong::new(format!("the file `{}` can't be used: {error}", shorten(name)))
                .right(format!("a file in `{}`, named from there", folder.display()))
        })
    }

    /// Whether the file may have a target of this id.
    pub(super) fn may_claim(&self, id: &str) -> bool {
        self.ids.is_empty() || self.ids.iter().any(|pattern| matches(pattern, id))
    }
}

/// Puts a file's stem into a pattern of ids. One that is no part of an id, such as `*`, leaves a
/// pattern that no id fits.
fn fill_id(pattern: &str, stem: &str) -> String {
    let is_plain = |byte: u8| byte.is_ascii_alphanumeric() || b"._-".contains(&byte);
    let stem = if stem.bytes().all(is_plain) { stem } else { STEM };
    pattern.replace(STEM, stem)
}

/// Puts a file's stem into a text.
fn fill(text: &str, stem: &str, plain: bool, form: &str) -> Result<String, String> {
    if text.contains(STEM) && !plain {
        return Err(format!("`{STEM}` needs a file whose name is {form} before its last dot"));
    }
    Ok(text.replace(STEM, stem))
}

fn parse_pattern(text: &str) -> Result<String, Wrong> {
    let plain = !text.contains('/') && !text.chars().any(char::is_control);
    if (1..=PATTERN_BYTES_MAX).contains(&text.len()) && plain {
        return Ok(text.to_owned());
    }
    Err(Wrong::new(format!("`{}` is no pattern", shorten(text)))
        .right("a name, in which `*` stands for any characters"))
}

/// A beginning of names of variables. What is behind the stem has to end it: `BANK_{stem}` of the
/// file `a` would begin the variables of the file `ab`, too.
fn parse_env_prefix(text: &str) -> Result<String, Wrong> {
    let rest = text.replacen(STEM, "", 1);
    let plain = rest.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'_');
    let ended = text.split_once(STEM).is_none_or(|(_, after)| after.starts_with('_'));
    if plain && ended && (2..=PATTERN_BYTES_MAX).contains(&text.len()) {
        return Ok(text.to_owned());
    }
    Err(Wrong::new(format!("`{}` is no beginning of variables' names", shorten(text)))
        .right("letters, digits and `_`, and `_` behind `{stem}`: `BANK_{stem}_`"))
}

fn parse_folder(text: &str) -> Result<String, Wrong> {
    if (1..=1_000).contains(&text.len()) && !text.contains('\0') {
        return Ok(text.to_owned());
    }
    Err(Wrong::new("`folder` is no name of a folder").right("such as `secrets/{stem}`"))
}

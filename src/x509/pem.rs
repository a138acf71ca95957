//! What a file holds that should hold PEM (RFC 7468), where it does not hold what it should.
//!
//! The reader of PEM passes over what it does not know: a block that begins on the line where
//! another ends is lost, and so is a `TRUSTED CERTIFICATE`. Here it is found, said with what would
//! be right, and with the command that makes it. This file decides the words; nothing of a file
//! but labels, line numbers and kinds is in them. It must not know which setting names the file.

mod binary;

use std::collections::BTreeMap;

use self::binary::kind_of;

/// What a file is read for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Wanted {
    /// One certificate, or a chain of them.
    Certificates,
    /// A private key.
    Key,
    /// Revocation lists.
    Lists,
}

/// A block, by its label.
#[derive(Debug)]
struct Block<'f> {
    label: &'f str,
    /// Whether it has a header of its own that says it is encrypted (RFC 1421).
    encrypted: bool,
}

/// Checks that a file holds what is wanted, and that nothing of it would be passed over. Gives
/// back how many blocks of the wanted kind there are.
///
/// # Errors
/// What is wrong, and what would be right. `file` is its name, for the commands.
pub fn check(file: &str, bytes: &[u8], wanted: Wanted) -> Result<usize, String> {
    let blocks = blocks(bytes)?;
    if blocks.is_empty() {
        return Err(no_pem(file, bytes, wanted));
    }
    let mut count = 0;
    for block in &blocks {
        if wanted.labels().contains(&block.label) {
            if block.encrypted {
                return Err(encrypted(file));
            }
            count += 1;
        } else if let Some(problem) = lost(file, block.label, wanted) {
            return Err(problem);
        }
    }
    if count == 0 { Err(another_kind(&blocks, wanted)) } else { Ok(count) }
}

impl Wanted {
    const fn labels(self) -> &'static [&'static str] {
        match self {
            Self::Certificates => &["CERTIFICATE"],
            Self::Key => &["PRIVATE KEY", "RSA PRIVATE KEY", "EC PRIVATE KEY"],
            Self::Lists => &["X509 CRL"],
        }
    }

    const fn noun(self) -> &'static str {
        match self {
            Self::Certificates => "certificate",
            Self::Key => "private key",
            Self::Lists => "revocation list",
        }
    }

    /// `openssl`'s command that reads it.
    const fn command(self) -> &'static str {
        match self {
            Self::Certificates => "x509",
            Self::Key => "pkey",
            Self::Lists => "crl",
        }
    }
}

/// All blocks of a file, each begun and ended on lines of their own.
fn blocks(bytes: &[u8]) -> Result<Vec<Block<'_>>, String> {
    let mut blocks = Vec::new();
    let mut open: Option<(&str, usize, bool)> = None;
    for (number, line) in (1_usize..).zip(bytes.split(|byte| matches!(byte, b'\n' | b'\r'))) {
        if open.is_some() && line.starts_with(b"Proc-Type: 4,ENCRYPTED") {
            open = open.map(|(label, began, _)| (label, began, true));
        }
        let Some(at) = memchr::memmem::find(line, b"-----") else { continue };
        let (begins, ends) = (has(line, b"-----BEGIN "), has(line, b"-----END "));
        if !begins && !ends {
            continue;
        }
        // As many PEM files are counted in CR LF, so that CR alone is no line of its own.
        let shown = line_number(bytes, line).unwrap_or(number);
        let label = label(line.trim_ascii_end()).filter(|_| at == 0);
        let Some(label) = label else { return Err(not_alone(shown)) };
        match (begins, open.take()) {
            (true, None) => open = Some((label, shown, false)),
            (false, Some((began, _, encrypted))) if began == label => {
                blocks.push(Block { label, encrypted });
            }
            (true, Some((_, began, _))) => {
                return Err(format!(
                    "line {shown} begins a PEM block while that of line {began} has no \
                     `-----END ...-----` yet"
                ));
            }
            (false, _) => {
                return Err(format!("line {shown} ends a PEM block that was not begun before it"));
            }
        }
    }
    match open {
        Some((_, began, _)) => {
            Err(format!("the PEM block of line {began} has no `-----END ...-----`: is it cut off?"))
        }
        None => Ok(blocks),
    }
}

fn has(line: &[u8], what: &[u8]) -> bool {
    memchr::memmem::find(line, what).is_some()
}

/// Which line of a file this piece of it is, counted by LF.
fn line_number(bytes: &[u8], line: &[u8]) -> Option<usize> {
    let offset = (line.as_ptr() as usize).checked_sub(bytes.as_ptr() as usize)?;
    let before = bytes.get(..offset)?;
    if !before.contains(&b'\n') {
        return None;
    }
    Some(memchr::memchr_iter(b'\n', before).count() + 1)
}

/// The label of a whole `-----BEGIN LABEL-----` or `-----END LABEL-----`.
fn label(line: &[u8]) -> Option<&str> {
    let rest = line.strip_prefix(b"-----BEGIN ").or_else(|| line.strip_prefix(b"-----END "))?;
    let label = rest.strip_suffix(b"-----")?;
    let is_label = |octet: &u8| octet.is_ascii_alphanumeric() || *octet == b' ';
    let fits = label.len() <= LABEL_BYTES_MAX && label.iter().all(is_label);
    std::str::from_utf8(label).ok().filter(|_| fits)
}

/// Longest label that is one.
const LABEL_BYTES_MAX: usize = 40;

fn not_alone(line: usize) -> String {
    format!(
        "holds no PEM that can be read: line {line} holds more than one `-----BEGIN ...-----` or \
         `-----END ...-----`; each needs a line of its own (is a line break missing where two \
         files were joined?)"
    )
}

fn encrypted(file: &str) -> String {
    format!(
        "holds an encrypted private key, and there is nobody to ask for its passphrase; decrypt \
         it: openssl pkey -in {file} -out NEW.pem, and let nobody but corgate read that"
    )
}

/// What a block that is not wanted would be lost for, if it is more than a companion.
fn lost(file: &str, label: &str, wanted: Wanted) -> Option<String> {
    Some(match (label, wanted) {
        ("TRUSTED CERTIFICATE" | "X509 CERTIFICATE", Wanted::Certificates) => format!(
            "holds a `{label}`, which only OpenSSL reads; write it as `CERTIFICATE`: \
             openssl x509 -in {file} -out NEW.pem"
        ),
        ("PKCS7" | "CMS", Wanted::Certificates) => format!(
            "holds a `{label}`; take the certificates out: \
             openssl pkcs7 -print_certs -in {file} -out NEW.pem"
        ),
        ("ENCRYPTED PRIVATE KEY", Wanted::Key) => encrypted(file),
        ("OPENSSH PRIVATE KEY", Wanted::Key) => format!(
            "holds a key in OpenSSH's own form; write it as PKCS#8: \
             ssh-keygen -p -N '' -m PKCS8 -f {file}"
        ),
        ("DSA PRIVATE KEY", Wanted::Key) => {
            "holds a DSA key, which TLS does not use any more; make an EC or RSA key".to_owned()
        }
        _ => return None,
    })
}

fn another_kind(blocks: &[Block<'_>], wanted: Wanted) -> String {
    let mut found: BTreeMap<&str, usize> = BTreeMap::new();
    for block in blocks {
        *found.entry(block.label).or_default() += 1;
    }
    let found: Vec<_> = found
        .iter()
        .take(KINDS_SHOWN_MAX)
        .map(|(label, count)| format!("{count} `{label}`"))
        .collect();
    let request = blocks.iter().any(|block| block.label.ends_with("CERTIFICATE REQUEST"));
    let more = if request && wanted == Wanted::Certificates {
        "; a request is no certificate before a CA has signed it"
    } else {
        ""
    };
    format!("holds no PEM {}, but {}{more}", wanted.noun(), found.join(", "))
}

const KINDS_SHOWN_MAX: usize = 5;

/// A file without a block: what it is, as far as its first bytes tell.
fn no_pem(file: &str, bytes: &[u8], wanted: Wanted) -> String {
    let noun = wanted.noun();
    if bytes.trim_ascii().is_empty() {
        return format!("is empty; it should hold a PEM {noun}");
    }
    let of = |what: &str, command: String| format!("holds {what}, no PEM; convert it: {command}");
    let convert = |command: &str| format!("openssl {command} -inform der -in {file} -out NEW.pem");
    match kind_of(bytes) {
        Some(binary::Kind::Pkcs12) => of(
            "a PKCS#12 archive",
            match wanted {
                Wanted::Key => format!("openssl pkcs12 -in {file} -nocerts -noenc -out NEW.pem"),
                Wanted::Certificates | Wanted::Lists => {
                    format!("openssl pkcs12 -in {file} -nokeys -out NEW.pem")
                }
            },
        ),
        Some(binary::Kind::JavaKeyStore) => of(
            "a Java key store",
            format!(
                "keytool -importkeystore -srckeystore {file} -destkeystore NEW.p12 \
                 -deststoretype PKCS12, and then with openssl pkcs12"
            ),
        ),
        Some(binary::Kind::EncryptedKey) => of("an encrypted private key in DER", convert("pkcs8")),
        Some(binary::Kind::Key) => of("a private key in DER", convert("pkey")),
        Some(binary::Kind::Pkcs7) => of("a PKCS#7 message in DER", convert("pkcs7 -print_certs")),
        Some(binary::Kind::CertificateOrList) => of("DER", convert(wanted.command())),
        Some(binary::Kind::Utf16) => {
            format!("is written in UTF-16; save it as plain ASCII text: it holds PEM {noun}s")
        }
        None => format!(
            "holds no PEM {noun}: no line of it is `-----BEGIN {}-----`",
            wanted.labels().first().unwrap_or(&"")
        ),
    }
}

#[cfg(test)]
mod tests;

//! Upstream addresses: `https://host:port`, and which of them a bank must not have by accident.
//!
//! This file decides what an upstream's URL may be. It must not know how it is reached.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::sync::Arc;

use super::page::Wrong;
use super::reader::shorten;
use super::table::{Origin, Scheme};
use crate::fault::Name;

/// Longest host name, in bytes (RFC 1035 section 2.3.4, without the last dot).
const HOST_BYTES_MAX: usize = 253;
/// Longest label of a host name, in bytes.
const LABEL_BYTES_MAX: usize = 63;

/// Whether an address belongs to this host, this link or a private network, or to nobody: where a
/// bank on the internet can't be, and where a name that turns hostile would like to lead us.
pub fn is_private_address(address: IpAddr) -> bool {
    match address {
        IpAddr::V4(v4) => is_private_v4(v4),
        IpAddr::V6(v6) => match v6.to_ipv4_mapped() {
            Some(v4) => is_private_v4(v4),
            None => is_private_v6(v6),
        },
    }
}

fn is_private_v4(address: Ipv4Addr) -> bool {
    let [first, second, ..] = address.octets();
    address.is_private()
        || address.is_loopback()
        || address.is_link_local()
        || address.is_multicast()
        || address.is_broadcast()
        // "This network" (RFC 1122) and the carriers' shared space 100.64.0.0/10 (RFC 6598).
        || first == 0
        || (first == 100 && second & 0xC0 == 64)
}

fn is_private_v6(address: Ipv6Addr) -> bool {
    address.is_loopback()
        || address.is_unspecified()
        || address.is_multicast()
        || address.is_unique_local()
        || address.is_unicast_link_local()
}

/// Whether an upstream's own text says that it leads to a private address.
pub(super) fn is_private(origin: &Origin) -> bool {
    let host = &*origin.host;
    match host.parse::<IpAddr>() {
        Ok(address) => is_private_address(address),
        // RFC 6761 section 6.3: `localhost` and all below it are loopback.
        Err(_) => host == "localhost" || host.ends_with(".localhost"),
    }
}

/// Parses `https://host`, `https://host:port`, or the same with `http`. The host comes out in
/// lower case, an IPv6 address without brackets.
pub(super) fn parse_origin(text: &str) -> Result<Origin, Wrong> {
    let right = "`https://host:port`";
    let (scheme, rest) = match text.split_once("://") {
        Some((scheme, rest)) if scheme.eq_ignore_ascii_case("https") => (Scheme::Https, rest),
        Some((scheme, rest)) if scheme.eq_ignore_ascii_case("http") => (Scheme::Http, rest),
        _ => return Err(Wrong::new("an upstream begins with `https://`").right(right)),
    };
    let end = rest.find(['/', '?', '#']).unwrap_or(rest.len());
    let (authority, tail) = rest.split_at_checked(end).unwrap_or((rest, ""));
    // Looked at first, and never repeated: it may be a password.
    if authority.contains('@') {
        return Err(Wrong::new("an upstream can't hold a user or a password")
            .right("`headers` for what the bank wants to be shown"));
    }
    if tail.starts_with('/') {
        return Err(Wrong::new("an upstream can't hold a path")
            .right("`base_path` or `paths` for where its calls are"));
    }
    if !tail.is_empty() {
        return Err(Wrong::new("an upstream can't hold a query or a fragment").right(right));
    }
    let (host, port) = split_port(authority)?;
    let port = match (port, scheme) {
        (Some(port), _) => port,
        (None, Scheme::Https) => 443,
        (None, Scheme::Http) => 80,
    };
    Ok(Origin { scheme, host: parse_host(host)?, port })
}

/// Parses a host name alone: what `server_name` may be.
pub(super) fn parse_server_name(text: &str) -> Result<Name, Wrong> {
    parse_host(text)
}

fn split_port(authority: &str) -> Result<(&str, Option<u16>), Wrong> {
    let (host, port) = match authority.rsplit_once(':') {
        // A colon within brackets belongs to the address.
        Some((host, port)) if !port.contains(']') => (host, Some(port)),
        _ => (authority, None),
    };
    let Some(port) = port else { return Ok((host, None)) };
    let number = port.bytes().all(|byte| byte.is_ascii_digit()).then(|| port.parse::<u16>());
    match number {
        Some(Ok(number)) if number != 0 => Ok((host, Some(number))),
        _ => {
            Err(Wrong::new(format!("`{}` is no port", shorten(port)))
                .right("a number from 1 to 65535"))
        }
    }
}

fn parse_host(host: &str) -> Result<Name, Wrong> {
    if let Some(inner) = host.strip_prefix('[').and_then(|rest| rest.strip_suffix(']')) {
        return match inner.parse::<Ipv6Addr>() {
            Ok(address) => Ok(Arc::from(address.to_string())),
            Err(_) => Err(Wrong::new(format!("`{}` is no IPv6 address", shorten(inner)))
                .right("an address such as `[2001:db8::1]`")),
        };
    }
    if let Ok(address) = host.parse::<Ipv4Addr>() {
        return Ok(Arc::from(address.to_string()));
    }
    let labels_fit = host.split('.').all(is_label);
    // A name that ends in a number would be read as an IPv4 address by some and not by others.
    let last = host.rsplit('.').next().unwrap_or_default();
    let numeric = last.bytes().all(|byte| byte.is_ascii_digit());
    if host.len() > HOST_BYTES_MAX || !labels_fit || numeric {
        return Err(Wrong::new(format!("`{}` is no host", shorten(host)))
            .right("a DNS name, an IPv4 address, or an IPv6 address in brackets"));
    }
    Ok(Arc::from(host.to_ascii_lowercase()))
}

/// Letters, digits, hyphens within, and the underscore that internal names are fond of.
fn is_label(label: &str) -> bool {
    (1..=LABEL_BYTES_MAX).contains(&label.len())
        && !label.starts_with('-')
        && !label.ends_with('-')
        && label.bytes().all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_'))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_upstream_is_scheme_host_and_port() {
        for (text, printed) in [
            ("https://bank.example", "https://bank.example:443"),
            ("https://Bank.Example:7443", "https://bank.example:7443"),
            ("HTTPS://bank", "https://bank:443"),
            ("http://bank", "http://bank:80"),
            ("https://192.0.2.7:1", "https://192.0.2.7:1"),
            ("https://[2001:DB8::1]", "https://[2001:db8::1]:443"),
            ("https://[2001:db8::1]:65535", "https://[2001:db8::1]:65535"),
            ("https://bank_a.internal", "https://bank_a.internal:443"),
        ] {
            assert_eq!(parse_origin(text).unwrap().to_string(), printed, "{text}");
        }
    }

    #[test]
    fn nothing_else_is_an_upstream() {
        let long_label = format!("https://{}.example", "a".repeat(LABEL_BYTES_MAX + 1));
        let long_name = format!("https://{}", vec!["a".repeat(62); 5].join("."));
        for bad in [
            "",
            "bank",
            "bank:443",
            "ftp://bank",
            "//bank",
            "https:/bank",
            "https://",
            "https://bank/",
            "https://bank/path",
            "https://bank?query",
            "https://bank#fragment",
            "https://user@bank",
            "https://user:pass@bank",
            "https://bank:",
            "https://bank:0",
            "https://bank:65536",
            "https://bank:+1",
            "https://bank:a",
            "https://2001:db8::1",
            "https://[::1",
            "https://::1]",
            "https://[bank]",
            "https://ba nk",
            "https://bänk",
            "https://-bank",
            "https://bank-",
            "https://bank..example",
            "https://.bank",
            "https://10.0.0.256",
            "https://1.2.3",
            "https://bank.1",
            "https://bank\\x",
            "https://bank.",
            &long_label,
            &long_name,
        ] {
            assert!(parse_origin(bad).is_err(), "{bad:?}");
        }
    }

    #[test]
    fn a_password_is_not_repeated() {
        let wrong = parse_origin("https://user:hunter2@bank:99999/x").unwrap_err();
        assert!(!format!("{wrong:?}").contains("hunter2"), "{wrong:?}");
    }

    #[test]
    fn private_addresses_are_known() {
        for private in [
            "127.0.0.1",
            "10.1.2.3",
            "172.16.0.1",
            "192.168.0.1",
            "169.254.169.254",
            "0.0.0.0",
            "100.64.0.1",
            "100.127.255.255",
            "255.255.255.255",
            "224.0.0.1",
            "::1",
            "::",
            "fe80::1",
            "fd00::1",
            "ff02::1",
            "::ffff:127.0.0.1",
        ] {
            assert!(is_private_address(private.parse().unwrap()), "{private}");
        }
        for public in ["192.0.2.1", "100.63.0.1", "100.128.0.1", "8.8.8.8", "2001:db8::1"] {
            assert!(!is_private_address(public.parse().unwrap()), "{public}");
        }
    }
}

//! Upstream addresses: `https://host:port`, and which of them a bank must not have by accident.
//!
//! This file decides what an upstream's URL may be. It must not know how it is reached.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::sync::Arc;

use super::page::Wrong;
use super::reader::shorten;
use super::table::{Origin, Scheme};
use crate::fault::Name;

/// Longest host name, in bytes (RFC 1035 section 2.3.4, without the last dot).
const HOST_BYTES_MAX: usize = 253;
/// Longest label of a host name, in bytes.
const LABEL_BYTES_MAX: usize = 63;

/// Whether an address is of this host, of this link, of a private network or of nobody: where a
/// bank on the internet can't be, and where a name that turns hostile would like to lead us. It
/// follows IANA's registries of special-purpose addresses (RFC 6890): what is not globally
/// reachable is private here, and so is every address that leads to such an IPv4 address.
pub fn is_private_address(address: IpAddr) -> bool {
    match address {
        IpAddr::V4(v4) => is_private_v4(v4),
        IpAddr::V6(v6) => match embedded_v4(v6) {
            Some(v4) => is_private_v4(v4),
            None => is_private_v6(v6),
        },
    }
}

fn is_private_v4(address: Ipv4Addr) -> bool {
    match address.octets() {
        // "This network" (RFC 791), private (RFC 1918), loopback, multicast, and what is reserved
        // with the limited broadcast address (RFC 1112).
        [0 | 10 | 127 | 224.., ..] => true,
        // The carriers' shared space, 100.64.0.0/10 (RFC 6598).
        [100, second, ..] => second & 0xC0 == 64,
        // Link-local (RFC 3927), where clouds keep their metadata.
        [169, 254, ..] => true,
        [172, second, ..] => second & 0xF0 == 16,
        // IETF protocol assignments, the first documentation network, the old 6to4 relays
        // (RFC 7526), private.
        [192, 0, 0 | 2, _] | [192, 88, 99, _] | [192, 168, ..] => true,
        // Benchmarks, 198.18.0.0/15 (RFC 2544), and two more documentation networks (RFC 5737).
        [198, 18 | 19, ..] | [198, 51, 100, _] | [203, 0, 113, _] => true,
        _ => false,
    }
}

/// The IPv4 address that an IPv6 address stands for: mapped (`::ffff:0:0/96`), or behind the
/// well-known prefix of a translator (`64:ff9b::/96`, RFC 6052), which is how a network without
/// IPv4 reaches a bank that has nothing else.
fn embedded_v4(address: Ipv6Addr) -> Option<Ipv4Addr> {
    match address.segments() {
        [0, 0, 0, 0, 0, 0xFFFF, high, low] | [0x64, 0xFF9B, 0, 0, 0, 0, high, low] => {
            Some(Ipv4Addr::from_bits(u32::from(high) << 16 | u32::from(low)))
        }
        _ => None,
    }
}

fn is_private_v6(address: Ipv6Addr) -> bool {
    match address.segments() {
        // IETF protocol assignments with Teredo, benchmarks and ORCHID (2001::/23), the
        // documentation networks (RFC 3849, RFC 9637), and 6to4 (RFC 7526), which leads to any
        // IPv4 address.
        [0x2001, second, ..] if second < 0x200 || second == 0xDB8 => true,
        [0x3FFF, second, ..] => second < 0x1000,
        [0x2002, ..] => true,
        // Global unicast is 2000::/3. All else is of this host (::, ::1), a translator of this
        // network (64:ff9b:1::/48), discarded, unique-local, link-local, site-local, multicast, or
        // not given to anybody.
        [first, ..] => first & 0xE000 != 0x2000,
    }
}

/// Whether an upstream's own text says that it leads to a private address.
pub(super) fn is_private(origin: &Origin) -> bool {
    let host = &*origin.host;
    match host.parse::<IpAddr>() {
        Ok(address) => is_private_address(address),
        Err(_) => is_localhost(host),
    }
}

/// Whether an address is one that the gateway itself listens on: a call to it would be the hub's
/// own to its admin listener, or come back for ever.
pub fn is_own_address(address: SocketAddr, own: &[SocketAddr]) -> bool {
    let ip = address.ip().to_canonical();
    // To connect to the address of none leads to this host.
    let is_local = ip.is_loopback() || ip.is_unspecified();
    own.iter().filter(|own| own.port() == address.port()).any(|own| {
        let own = own.ip().to_canonical();
        own == ip
            || (own.is_unspecified() && is_local)
            || (ip.is_unspecified() && own.is_loopback())
    })
}

/// Whether an upstream's own text says that it leads to the gateway itself.
pub(super) fn is_own(origin: &Origin, own: &[SocketAddr]) -> bool {
    let at = |ip: IpAddr| is_own_address(SocketAddr::new(ip, origin.port), own);
    match origin.host.parse::<IpAddr>() {
        Ok(ip) => at(ip),
        Err(_) if is_localhost(&origin.host) => {
            at(Ipv4Addr::LOCALHOST.into()) || at(Ipv6Addr::LOCALHOST.into())
        }
        Err(_) => false,
    }
}

/// RFC 6761 section 6.3: `localhost` and all below it are loopback.
fn is_localhost(host: &str) -> bool {
    host == "localhost" || host.ends_with(".localhost")
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

    const PRIVATE: [&str; 50] = [
        "0.0.0.0",
        "0.255.0.1",
        "10.1.2.3",
        "100.64.0.1",
        "100.127.255.255",
        "127.0.0.1",
        "127.255.255.254",
        "169.254.169.254",
        "172.16.0.1",
        "172.31.255.255",
        "192.0.0.1",
        "192.0.0.170",
        "192.0.2.1",
        "192.88.99.1",
        "192.168.0.1",
        "198.18.0.1",
        "198.19.255.255",
        "198.51.100.1",
        "203.0.113.1",
        "224.0.0.1",
        "240.0.0.1",
        "255.255.255.255",
        "::",
        "::1",
        "::7f00:1",
        "::ffff:127.0.0.1",
        "::ffff:198.18.0.1",
        "::ffff:0:127.0.0.1",
        "64:ff9b::127.0.0.1",
        "64:ff9b::10.0.0.1",
        "64:ff9b:1::1",
        "64:ff9b:1::8.8.8.8",
        "100::1",
        "2001::1",
        "2001:2::1",
        "2001:10::1",
        "2001:20::1",
        "2001:db8::1",
        "2002:7f00:1::",
        "2002:808:808::1",
        "3fff::1",
        "3fff:fff::1",
        "4000::1",
        "5f00::1",
        "fc00::1",
        "fd00::1",
        "fe80::1",
        "febf::1",
        "fec0::1",
        "ff02::1",
    ];
    const PUBLIC: [&str; 19] = [
        "1.1.1.1",
        "8.8.8.8",
        "100.63.0.1",
        "100.128.0.1",
        "172.15.0.1",
        "172.32.0.1",
        "192.0.1.1",
        "192.88.98.1",
        "198.17.0.1",
        "198.20.0.1",
        "198.51.101.1",
        "223.255.255.254",
        "::ffff:8.8.8.8",
        "64:ff9b::8.8.8.8",
        "2001:200::1",
        "2001:db9::1",
        "2606:4700::1111",
        "3ffe::1",
        "3fff:1000::1",
    ];

    #[test]
    fn private_addresses_are_known() {
        for private in PRIVATE {
            assert!(is_private_address(private.parse().unwrap()), "{private}");
        }
        for public in PUBLIC {
            assert!(!is_private_address(public.parse().unwrap()), "{public}");
        }
    }
}

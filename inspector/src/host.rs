//! Whom a browser may be sent here by. A page whose host name resolves to this
//! machine could read the targets and attach to them ("DNS rebinding"): so the
//! Host header must be one that no such page has, an IP address or `localhost`,
//! as with Node.js.

use std::net::{Ipv4Addr, Ipv6Addr};

/// Whether a Host header is an IP address or `localhost`, with or without a port.
pub(crate) fn is_allowed(header: &str) -> bool {
    match header.strip_prefix('[') {
        Some(rest) => rest.split_once(']').is_some_and(|(host, port)| {
            host.parse::<Ipv6Addr>().is_ok() && (port.is_empty() || port.strip_prefix(':').is_some_and(is_port))
        }),
        None => {
            let (host, port) = header.split_once(':').map_or((header, None), |(host, port)| (host, Some(port)));
            let is_local = host.eq_ignore_ascii_case("localhost") || host.parse::<Ipv4Addr>().is_ok();
            is_local && port.is_none_or(is_port)
        }
    }
}

fn is_port(text: &str) -> bool {
    text.bytes().all(|byte| byte.is_ascii_digit()) && text.parse::<u16>().is_ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_addresses_and_localhost_are_allowed() {
        for host in ["127.0.0.1:9229", "127.0.0.1", "localhost:9229", "LOCALHOST", "[::1]:9229", "[::1]", "10.1.2.3:80"]
        {
            assert!(is_allowed(host), "{host}");
        }
        for host in [
            "example.com",
            "example.com:9229",
            "127.0.0.1.example.com",
            "localhost.example.com",
            "127.1",
            "2130706433",
            "localhost:",
            "localhost:x",
            "localhost:+1",
            "localhost:1:2",
            "[::1",
            "[::1]x",
            "[example.com]",
            "::1",
            "",
        ] {
            assert!(!is_allowed(host), "{host}");
        }
    }
}

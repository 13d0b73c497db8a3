//! Where debuggers attach, as it is written behind `--inspect=`: a host, a port,
//! or both (Node.js: "Command-line API", --inspect).

use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::str::FromStr;

/// An address to listen on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Address(pub SocketAddr);

/// What is not one.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0:?} is not an address: PORT, IP or IP:PORT, for example 9229 or 127.0.0.1:9229 ([::1]:9229)")]
pub struct AddressError(String);

impl Default for Address {
    fn default() -> Address {
        Address(SocketAddr::new(HOST, PORT))
    }
}

impl FromStr for Address {
    type Err = AddressError;

    fn from_str(text: &str) -> Result<Address, AddressError> {
        let refused = || AddressError(text.to_owned());
        if let Ok(port) = text.parse() {
            return Ok(Address(SocketAddr::new(HOST, port)));
        }
        if let Ok(address) = text.parse() {
            return Ok(Address(address));
        }
        let (host, port) = match text.rsplit_once(':') {
            Some((host, port)) if !host.contains(':') => (host, port.parse().map_err(|_| refused())?),
            _ => (text, PORT),
        };
        let host = match host {
            "localhost" => HOST,
            host => host.trim_start_matches('[').trim_end_matches(']').parse().map_err(|_| refused())?,
        };
        Ok(Address(SocketAddr::new(host, port)))
    }
}

const HOST: IpAddr = IpAddr::V4(Ipv4Addr::LOCALHOST);
const PORT: u16 = 9229;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hosts_and_ports_stand_alone_or_together() {
        assert_eq!(Address::default().0.to_string(), "127.0.0.1:9229");
        for (text, expected) in [
            ("9230", "127.0.0.1:9230"),
            ("0", "127.0.0.1:0"),
            ("0.0.0.0", "0.0.0.0:9229"),
            ("127.0.0.1:80", "127.0.0.1:80"),
            ("localhost", "127.0.0.1:9229"),
            ("localhost:1", "127.0.0.1:1"),
            ("[::1]:1", "[::1]:1"),
            ("[::1]", "[::1]:9229"),
            ("::1", "[::1]:9229"),
        ] {
            assert_eq!(text.parse::<Address>().unwrap().0.to_string(), expected, "{text}");
        }
        for text in ["", "example.com", "localhost:", "127.0.0.1:65536", "-1"] {
            let error = text.parse::<Address>().map_err(|error| error.to_string());
            assert!(error.is_err_and(|error| error.contains("is not an address")), "{text}");
        }
    }
}

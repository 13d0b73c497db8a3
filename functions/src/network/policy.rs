//! Where a function may connect to. Public addresses are open; everything near
//! the machine is closed unless the function's configuration names it; port 25
//! is closed always.

use super::address::{Kind, effective};
use serde::{Serialize, Serializer};
use std::fmt;
use std::net::{IpAddr, SocketAddr};
use std::str::FromStr;

/// What a function's configuration allows beyond public addresses.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct NetworkPolicy {
    allow: Vec<Allowed>,
}

impl NetworkPolicy {
    /// Reads entries such as `127.0.0.1:9000`, `10.0.0.0/8`, `10.1.2.0/24:5432`, `::1` and `[fd00::1]:443`.
    ///
    /// # Errors
    /// The first entry that cannot be one.
    pub fn parse<'a>(entries: impl IntoIterator<Item = &'a str>) -> Result<NetworkPolicy, AllowedError> {
        Ok(NetworkPolicy { allow: entries.into_iter().map(str::parse).collect::<Result<_, _>>()? })
    }

    /// Whether `to` may be reached. `is_own` tells whether the machine has an address itself, and
    /// `resolvers` are its name servers.
    pub(super) fn judge(
        &self,
        to: SocketAddr,
        resolvers: &[IpAddr],
        is_own: impl FnOnce(IpAddr) -> bool,
    ) -> Result<(), Refusal> {
        if to.port() == PORT_OF_MAIL {
            return Err(Refusal { rule: "port 25 is always blocked", can_allow: false });
        }
        let address = effective(to.ip());
        let named = |allowed: &Allowed| allowed.covers(address, to.port()) || allowed.covers(to.ip(), to.port());
        if self.allow.iter().any(named) || (to.port() == PORT_OF_NAMES && resolvers.contains(&address)) {
            return Ok(());
        }
        match Kind::of(address) {
            Kind::Near(rule) => Err(Refusal { rule, can_allow: true }),
            Kind::Never(rule) => Err(Refusal { rule, can_allow: false }),
            Kind::Public if is_own(address) => {
                Err(Refusal { rule: "addresses of this machine are denied", can_allow: true })
            }
            Kind::Public => Ok(()),
        }
    }
}

/// Why a connection was refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Refusal {
    pub(super) rule: &'static str,
    pub(super) can_allow: bool,
}

/// One entry: a network, and a port if only one is meant.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Allowed {
    network: IpAddr,
    prefix: u8,
    port: Option<u16>,
}

/// An entry that cannot be one.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum AllowedError {
    #[error(
        "{0:?} must be an address or a network, with a port or without, as in \"10.0.0.0/8\" or \"127.0.0.1:9000\""
    )]
    Form(String),
    #[error("{0:?}: port 25 is always blocked")]
    Mail(String),
    #[error("{text:?} has bits beyond its prefix, {network}/{prefix} is meant")]
    Bits { text: String, network: IpAddr, prefix: u8 },
}

impl Allowed {
    fn covers(&self, address: IpAddr, port: u16) -> bool {
        self.port.is_none_or(|own| own == port)
            && masked(address, self.prefix) == Some(self.network)
            && address.is_ipv4() == self.network.is_ipv4()
    }
}

impl FromStr for Allowed {
    type Err = AllowedError;

    fn from_str(text: &str) -> Result<Allowed, AllowedError> {
        let form = || AllowedError::Form(text.to_owned());
        let (network, port) = split_port(text).ok_or_else(form)?;
        let port = port.map(str::parse::<u16>).transpose().map_err(|_| form())?;
        let (address, prefix) = match network.split_once('/') {
            Some((address, prefix)) => (address, Some(prefix.parse::<u8>().map_err(|_| form())?)),
            None => (network, None),
        };
        let address: IpAddr = address.parse().map_err(|_| form())?;
        let prefix = prefix.unwrap_or(if address.is_ipv4() { 32 } else { 128 });
        let network = masked(address, prefix).ok_or_else(form)?;
        if network != address {
            return Err(AllowedError::Bits { text: text.to_owned(), network, prefix });
        }
        match port {
            Some(0) => Err(form()),
            Some(PORT_OF_MAIL) => Err(AllowedError::Mail(text.to_owned())),
            port => Ok(Allowed { network, prefix, port }),
        }
    }
}

/// `[v6]:port` and `v4:port`; an address of version 6 without brackets has no port.
fn split_port(text: &str) -> Option<(&str, Option<&str>)> {
    if let Some(rest) = text.strip_prefix('[') {
        let (network, rest) = rest.split_once(']')?;
        return Some((network, if rest.is_empty() { None } else { Some(rest.strip_prefix(':')?) }));
    }
    match text.split_once(':') {
        Some((network, port)) if !port.contains(':') => Some((network, Some(port))),
        _ => Some((text, None)),
    }
}

/// The first `prefix` bits; `None` when there are fewer.
fn masked(address: IpAddr, prefix: u8) -> Option<IpAddr> {
    match address {
        IpAddr::V4(v4) => {
            let cut = 32_u32.checked_sub(prefix.into())?;
            Some(IpAddr::V4((u32::from(v4) & u32::MAX.checked_shl(cut).unwrap_or(0)).into()))
        }
        IpAddr::V6(v6) => {
            let cut = 128_u32.checked_sub(prefix.into())?;
            Some(IpAddr::V6((u128::from(v6) & u128::MAX.checked_shl(cut).unwrap_or(0)).into()))
        }
    }
}

impl fmt::Display for Allowed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match (self.network, self.port) {
            (IpAddr::V6(network), Some(port)) => write!(f, "[{network}/{}]:{port}", self.prefix),
            (network, Some(port)) => write!(f, "{network}/{}:{port}", self.prefix),
            (network, None) => write!(f, "{network}/{}", self.prefix),
        }
    }
}

impl Serialize for Allowed {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

const PORT_OF_MAIL: u16 = 25;
const PORT_OF_NAMES: u16 = 53;

#[cfg(test)]
mod tests {
    use super::*;

    fn judge(allow: &[&str], to: &str) -> Result<(), Refusal> {
        let resolvers = ["10.0.0.2".parse().unwrap()];
        let own: IpAddr = "203.0.113.9".parse().unwrap();
        let policy = NetworkPolicy::parse(allow.iter().copied()).unwrap();
        policy.judge(to.parse().unwrap(), &resolvers, |address| address == own)
    }

    #[test]
    fn everything_near_the_machine_is_denied_in_every_spelling() {
        for to in [
            "127.0.0.1:80",
            "127.9.9.9:80",
            "0.0.0.0:80",
            "0.1.2.3:80",
            "10.1.2.3:80",
            "172.16.0.1:80",
            "172.31.255.255:80",
            "192.168.1.1:80",
            "169.254.169.254:80",
            "169.254.170.2:80",
            "100.64.0.1:80",
            "192.0.0.8:80",
            "198.18.0.1:80",
            "224.0.0.1:80",
            "239.255.255.250:1900",
            "240.0.0.1:80",
            "255.255.255.255:80",
            "203.0.113.9:80",
            "[::]:80",
            "[::1]:80",
            "[fe80::1]:80",
            "[fec0::1]:80",
            "[fc00::1]:80",
            "[fd00:ec2::254]:80",
            "[ff02::1]:80",
            "[::ffff:127.0.0.1]:80",
            "[::ffff:169.254.169.254]:80",
            "[::127.0.0.1]:80",
            "[64:ff9b::7f00:1]:80",
            "[64:ff9b:1::1]:80",
            "[2002:7f00:1::]:80",
            "[2001::1]:80",
            "[::ffff:0:7f00:1]:80",
        ] {
            assert!(judge(&[], to).is_err(), "{to}");
        }
    }

    #[test]
    fn public_addresses_are_open_but_never_for_mail() {
        for to in
            ["1.1.1.1:443", "8.8.8.8:53", "[2606:4700::1111]:443", "172.32.0.1:80", "100.128.0.1:80", "11.0.0.1:80"]
        {
            assert_eq!(judge(&[], to), Ok(()), "{to}");
        }
        for to in ["1.1.1.1:25", "[2606:4700::1111]:25"] {
            assert!(judge(&["0.0.0.0/0", "::/0"], to).is_err(), "{to}");
        }
    }

    #[test]
    fn an_entry_opens_what_it_names_and_no_more() {
        let allow = ["127.0.0.1:9000", "10.0.0.0/8", "192.168.7.0/24:5432", "[fd00::1]:443", "::1"];
        for to in [
            "127.0.0.1:9000",
            "[::ffff:127.0.0.1]:9000",
            "10.255.0.1:1",
            "192.168.7.9:5432",
            "[fd00::1]:443",
            "[::1]:7",
        ] {
            assert_eq!(judge(&allow, to), Ok(()), "{to}");
        }
        for to in [
            "127.0.0.1:9001",
            "127.0.0.2:9000",
            "192.168.7.9:5433",
            "192.168.8.9:5432",
            "[fd00::1]:80",
            "[fd00::2]:443",
        ] {
            assert!(judge(&allow, to).is_err(), "{to}");
        }
    }

    #[test]
    fn the_machines_name_servers_are_reached_on_their_port_only() {
        assert_eq!(judge(&[], "10.0.0.2:53"), Ok(()));
        assert!(judge(&[], "10.0.0.2:54").is_err());
        assert!(judge(&[], "10.0.0.3:53").is_err());
    }

    #[test]
    fn entries_that_mean_nothing_are_refused() {
        for text in [
            "",
            "localhost",
            "10.0.0.0/33",
            "10.0.0.1:",
            "10.0.0.1:0",
            "10.0.0.1:70000",
            "[::1",
            "[::1]x",
            "1.2.3",
            "::/129",
        ] {
            assert_eq!(text.parse::<Allowed>(), Err(AllowedError::Form(text.to_owned())));
        }
        assert_eq!("10.0.0.1:25".parse::<Allowed>(), Err(AllowedError::Mail("10.0.0.1:25".into())));
        let bits = "10.1.2.3/8".parse::<Allowed>().unwrap_err().to_string();
        assert!(bits.contains("10.0.0.0/8 is meant"), "{bits}");
    }

    #[test]
    fn an_entry_keeps_its_meaning_in_the_digest() {
        for text in ["10.0.0.0/8", "127.0.0.1/32:9000", "[fd00::/8]:443"] {
            assert_eq!(text.parse::<Allowed>().unwrap().to_string(), text);
        }
    }
}

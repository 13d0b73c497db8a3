//! What an address is near to (IANA: "Special-Purpose Address Registry", IPv4
//! and IPv6), whatever way it is written, and what the machine itself has.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, UdpSocket};

/// What an address is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    Public,
    /// Denied unless allowed by name.
    Near(&'static str),
    /// Never a peer.
    Never(&'static str),
}

impl Kind {
    /// Of an address that [`effective`] has unwrapped.
    pub(super) fn of(address: IpAddr) -> Kind {
        match address {
            IpAddr::V4(v4) => of_v4(v4),
            IpAddr::V6(v6) => of_v6(v6),
        }
    }
}

fn of_v4(address: Ipv4Addr) -> Kind {
    match address.octets() {
        [0, ..] => Kind::Near("0.0.0.0/8, this machine, is denied"),
        [127, ..] => Kind::Near("loopback addresses are denied"),
        [169, 254, ..] => Kind::Near("link-local addresses, metadata services among them, are denied"),
        [10, ..] | [172, 16..=31, ..] | [192, 168, ..] => Kind::Near("private addresses are denied"),
        [100, 64..=127, ..] => Kind::Near("shared addresses (100.64.0.0/10) are denied"),
        [192, 0, 0, _] | [198, 18..=19, ..] => Kind::Near("addresses for special use are denied"),
        [224..=239, ..] => Kind::Never("multicast is denied"),
        [240..=255, ..] => Kind::Never("broadcast and reserved addresses are denied"),
        _ => Kind::Public,
    }
}

fn of_v6(address: Ipv6Addr) -> Kind {
    match address.segments() {
        [0, 0, 0, 0, 0, 0, 0, 0] => Kind::Near("the unspecified address, this machine, is denied"),
        [0, 0, 0, 0, 0, 0, 0, 1] => Kind::Near("loopback addresses are denied"),
        [0xfe80..=0xfebf, ..] => Kind::Near("link-local addresses are denied"),
        [0xfec0..=0xfeff, ..] | [0xfc00..=0xfdff, ..] => Kind::Near("private addresses are denied"),
        [0xff00..=0xffff, ..] => Kind::Never("multicast is denied"),
        [0x64, 0xff9b, 1, ..] | [0x2001, 0, ..] | [0x100, 0, 0, 0, ..] | [0x5f00, ..] => {
            Kind::Near("addresses for special use are denied")
        }
        _ => Kind::Public,
    }
}

/// The address that is really meant: the one of version 4 inside one of version 6.
pub(super) fn effective(address: IpAddr) -> IpAddr {
    let IpAddr::V6(v6) = address else { return address };
    let [a, b, c, d, e, f, g, h] = v6.segments();
    let inside = |high: u16, low: u16| IpAddr::V4(Ipv4Addr::from(u32::from(high) << 16 | u32::from(low)));
    match (a, b, c, d, e, f) {
        // Mapped, and translated (::ffff:0:a.b.c.d).
        (0, 0, 0, 0, 0, 0xffff) | (0, 0, 0, 0, 0xffff, 0) => inside(g, h),
        // Compatible, but for the two addresses that are none.
        (0, 0, 0, 0, 0, 0) if g != 0 || h > 1 => inside(g, h),
        // NAT64 and 6to4.
        (0x64, 0xff9b, 0, 0, 0, 0) => inside(g, h),
        (0x2002, ..) => inside(b, c),
        _ => address,
    }
}

/// Whether the machine has this address: packets to it would leave from it. Sends nothing.
pub(super) fn is_own(address: IpAddr) -> bool {
    let any: IpAddr = if address.is_ipv4() { Ipv4Addr::UNSPECIFIED.into() } else { Ipv6Addr::UNSPECIFIED.into() };
    let source = UdpSocket::bind((any, 0)).and_then(|socket| {
        socket.connect((address, PORT_OF_NOBODY))?;
        socket.local_addr()
    });
    source.is_ok_and(|source| source.ip() == address)
}

/// The name servers of the machine, as its resolver reads them.
pub(super) fn resolvers() -> Vec<IpAddr> {
    let settings = std::fs::read_to_string("/etc/resolv.conf").unwrap_or_default();
    let found = resolvers_in(&settings);
    // Without any the resolver asks this machine.
    if found.is_empty() { vec![Ipv4Addr::LOCALHOST.into()] } else { found }
}

fn resolvers_in(settings: &str) -> Vec<IpAddr> {
    let address = |line: &str| {
        let mut words = line.split_whitespace();
        let is_server = words.next() == Some("nameserver");
        // A scope after a link-local address is the interface.
        words.next().filter(|_| is_server)?.split('%').next()?.parse().ok()
    };
    settings.lines().filter_map(address).collect()
}

const PORT_OF_NOBODY: u16 = 9;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn name_servers_are_read_as_the_resolver_does() {
        let settings =
            "# a\nnameserver 10.0.0.2\nsearch x\n nameserver\t::1\nnameserver fe80::1%eth0\nnameserverx 1.1.1.1\n";
        let found: Vec<String> = resolvers_in(settings).iter().map(ToString::to_string).collect();
        assert_eq!(found, ["10.0.0.2", "::1", "fe80::1"]);
    }

    #[test]
    fn the_machine_knows_its_own_addresses() {
        assert!(is_own("127.0.0.1".parse().unwrap()));
        assert!(!is_own("192.0.2.1".parse().unwrap()));
    }
}

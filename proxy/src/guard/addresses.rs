//! How many connections each viewer address has open.

use parking_lot::Mutex;
use std::collections::HashMap;
use std::net::{IpAddr, Ipv6Addr};
use std::sync::Arc;

/// Counts connections by address; an IPv6 /64 counts as one address, because one viewer
/// usually owns all of it.
#[derive(Debug)]
pub(crate) struct Addresses {
    limit: usize,
    open: Mutex<HashMap<IpAddr, usize>>,
}

/// One counted connection; dropping it gives the place back.
#[derive(Debug)]
pub(crate) struct Place {
    addresses: Arc<Addresses>,
    address: IpAddr,
}

impl Addresses {
    pub(crate) fn new(limit: usize) -> Arc<Addresses> {
        Arc::new(Addresses { limit, open: Mutex::new(HashMap::new()) })
    }

    /// `None` when the address has its limit of connections open.
    pub(crate) fn take(self: &Arc<Self>, address: IpAddr) -> Option<Place> {
        let address = group(address);
        let mut open = self.open.lock();
        let count = open.entry(address).or_insert(0);
        if *count >= self.limit {
            return None;
        }
        *count += 1;
        Some(Place { addresses: self.clone(), address })
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        let mut open = self.addresses.open.lock();
        if let Some(count) = open.get_mut(&self.address) {
            *count -= 1;
            if *count == 0 {
                open.remove(&self.address);
            }
        }
    }
}

fn group(address: IpAddr) -> IpAddr {
    match address.to_canonical() {
        IpAddr::V4(v4) => IpAddr::V4(v4),
        IpAddr::V6(v6) => IpAddr::V6(Ipv6Addr::from_bits(v6.to_bits() & !u128::from(u64::MAX))),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ip(text: &str) -> IpAddr {
        text.parse().unwrap()
    }

    #[test]
    fn an_address_gets_its_limit_and_places_come_back() {
        let addresses = Addresses::new(2);
        let first = addresses.take(ip("192.0.2.1")).unwrap();
        let _second = addresses.take(ip("::ffff:192.0.2.1")).unwrap();
        assert!(addresses.take(ip("192.0.2.1")).is_none());
        assert!(addresses.take(ip("192.0.2.2")).is_some());
        drop(first);
        assert!(addresses.take(ip("192.0.2.1")).is_some());
    }

    #[test]
    fn an_ipv6_network_of_one_viewer_counts_as_one() {
        let addresses = Addresses::new(1);
        let _place = addresses.take(ip("2001:db8::1")).unwrap();
        assert!(addresses.take(ip("2001:db8::2")).is_none());
        assert!(addresses.take(ip("2001:db8:0:1::1")).is_some());
    }

    #[test]
    fn closed_connections_leave_nothing_behind() {
        let addresses = Addresses::new(1);
        drop(addresses.take(ip("192.0.2.1")));
        assert!(addresses.open.lock().is_empty());
    }
}

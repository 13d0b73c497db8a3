//! One network call: what the caller asked for, and doing it for it. Addresses
//! are copied before they are judged, and the copy is what is used.

use super::notification::{Notification, disconnect, socket};
use super::policy::Refusal;
use nix::errno::Errno;
use nix::fcntl::{FcntlArg, OFlag, fcntl};
use nix::sys::socket::{self, Backlog, MsgFlags, SockType, SockaddrStorage, getsockopt, sockopt};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, SocketAddrV6};
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd};

/// What a call wants.
pub(super) enum Call {
    Socket { family: i32, kind: i32, protocol: i32 },
    Connect { to: Address },
    Bind { to: Address },
    Send { to: Address, bytes: Vec<u8> },
    Listen { backlog: i32 },
}

/// An address as the caller passed it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Address {
    /// "No peer any more".
    Nobody,
    Of(SocketAddr),
}

/// What is refused, for the log.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Refused {
    Peer(SocketAddr, Refusal),
    Listening(SocketAddr),
    ListeningUnbound,
    Process,
}

impl Call {
    /// Reads the call and the memory it points to.
    pub(super) fn read(notification: &Notification) -> Result<Call, Errno> {
        let [_, second, third, _, fifth, sixth] = notification.arguments;
        match notification.call {
            libc::SYS_socket => {
                Ok(Call::Socket { family: int(notification.arguments[0]), kind: int(second), protocol: int(third) })
            }
            libc::SYS_connect => Ok(Call::Connect { to: address(notification, second, third)? }),
            libc::SYS_listen => Ok(Call::Listen { backlog: int(second) }),
            libc::SYS_bind => Ok(Call::Bind { to: address(notification, second, third)? }),
            libc::SYS_sendto => {
                let to = address(notification, fifth, sixth)?;
                let length = usize::try_from(third).ok().filter(|length| *length <= DATAGRAM_BYTES_MAX);
                let bytes = notification.read(second, length.ok_or(Errno::EMSGSIZE)?)?;
                Ok(Call::Send { to, bytes })
            }
            _ => Err(Errno::ENOSYS),
        }
    }

    /// Makes the caller's socket, in the machine's network.
    pub(super) fn open(family: i32, kind: i32, protocol: i32) -> Result<OwnedFd, Errno> {
        socket(family, kind, protocol)
    }
}

/// Begins to connect. A socket that does not wait is under way with `EINPROGRESS`.
pub(super) fn connect(own: BorrowedFd<'_>, to: Address) -> Result<(), Errno> {
    match to {
        Address::Nobody => disconnect(own),
        Address::Of(to) => socket::connect(own.as_raw_fd(), &SockaddrStorage::from(to)),
    }
}

/// Gives a datagram socket a port, always one of the machine's choice: resolvers bind the sockets
/// they ask with. Nobody knows the port, and streams never get one, so nothing listens.
pub(super) fn bind(own: &OwnedFd, to: SocketAddr) -> Result<(), Errno> {
    let is_datagram = getsockopt(own, sockopt::SockType)? == SockType::Datagram;
    if !is_datagram || !to.ip().is_unspecified() {
        return Err(Errno::EACCES);
    }
    socket::bind(own.as_raw_fd(), &SockaddrStorage::from(SocketAddr::new(to.ip(), 0)))
}

/// Binds a socket of an environment's own network.
pub(super) fn bind_to(own: &OwnedFd, to: SocketAddr) -> Result<(), Errno> {
    socket::bind(own.as_raw_fd(), &SockaddrStorage::from(to))
}

/// Lets such a socket listen.
pub(super) fn listen(own: &OwnedFd, backlog: i32) -> Result<(), Errno> {
    let backlog = Backlog::new(backlog).unwrap_or(Backlog::MAXCONN);
    socket::listen(own, backlog)
}

/// Sends one datagram, without waiting for room: datagrams may be lost, and the guard has others to answer.
pub(super) fn send(own: &OwnedFd, to: SocketAddr, bytes: &[u8]) -> Result<i64, Errno> {
    // A stream would connect by it.
    if getsockopt(own, sockopt::SockType)? != SockType::Datagram {
        return Err(Errno::EOPNOTSUPP);
    }
    let flags = MsgFlags::MSG_NOSIGNAL | MsgFlags::MSG_DONTWAIT;
    let sent = socket::sendto(own.as_raw_fd(), bytes, &SockaddrStorage::from(to), flags)?;
    Ok(i64::try_from(sent).unwrap_or(i64::MAX))
}

/// Whether it is a stream socket.
pub(super) fn is_stream(own: &OwnedFd) -> Result<bool, Errno> {
    Ok(getsockopt(own, sockopt::SockType)? == SockType::Stream)
}

/// Whether calls on the socket wait, and setting that.
pub(super) fn waits(own: impl AsFd) -> Result<bool, Errno> {
    Ok(!flags(&own)?.contains(OFlag::O_NONBLOCK))
}

pub(super) fn set_waiting(own: impl AsFd, waiting: Waiting) -> Result<(), Errno> {
    let mut flags = flags(&own)?;
    flags.set(OFlag::O_NONBLOCK, waiting == Waiting::Never);
    fcntl(own, FcntlArg::F_SETFL(flags)).map(drop)
}

/// What calls on a socket do that cannot be done at once.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Waiting {
    Never,
    AsLongAsItTakes,
}

fn flags(own: &impl AsFd) -> Result<OFlag, Errno> {
    fcntl(own, FcntlArg::F_GETFL).map(OFlag::from_bits_retain)
}

fn address(notification: &Notification, pointer: u64, length: u64) -> Result<Address, Errno> {
    let length = usize::try_from(length & 0xffff_ffff).map_err(|_| Errno::EINVAL)?;
    if !(2..=ADDRESS_BYTES_MAX).contains(&length) {
        return Err(Errno::EINVAL);
    }
    parse(&notification.read(pointer, length)?)
}

fn parse(bytes: &[u8]) -> Result<Address, Errno> {
    let short = |from: usize| bytes.get(from..from + 2).map(|pair| [pair[0], pair[1]]).ok_or(Errno::EINVAL);
    let long =
        |from: usize| bytes.get(from..from + 4).and_then(|four| <[u8; 4]>::try_from(four).ok()).ok_or(Errno::EINVAL);
    match i32::from(u16::from_ne_bytes(short(0)?)) {
        libc::AF_UNSPEC => Ok(Address::Nobody),
        libc::AF_INET => {
            let address = IpAddr::V4(Ipv4Addr::from(long(4)?));
            Ok(Address::Of(SocketAddr::new(address, u16::from_be_bytes(short(2)?))))
        }
        libc::AF_INET6 => {
            let octets = bytes.get(8..24).and_then(|octets| <[u8; 16]>::try_from(octets).ok()).ok_or(Errno::EINVAL)?;
            let scope = long(24).map_or(0, u32::from_ne_bytes);
            let (port, flow) = (u16::from_be_bytes(short(2)?), u32::from_be_bytes(long(4)?));
            Ok(Address::Of(SocketAddrV6::new(Ipv6Addr::from(octets), port, flow, scope).into()))
        }
        _ => Err(Errno::EAFNOSUPPORT),
    }
}

/// Arguments of type `int` are the lower half of a register.
fn int(argument: u64) -> i32 {
    u32::try_from(argument & 0xffff_ffff).unwrap_or(0).cast_signed()
}

/// `struct sockaddr_storage`.
const ADDRESS_BYTES_MAX: usize = 128;
const DATAGRAM_BYTES_MAX: usize = 65_535;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_are_read_as_the_kernel_does() {
        let v4 = [2, 0, 0x23, 0x28, 127, 0, 0, 1, 0, 0, 0, 0, 0, 0, 0, 0];
        assert_eq!(parse(&v4), Ok(Address::Of("127.0.0.1:9000".parse().unwrap())));
        let mut v6 = [0; 28];
        (v6[0], v6[2], v6[3], v6[23]) = (10, 0, 80, 1);
        assert_eq!(parse(&v6), Ok(Address::Of("[::1]:80".parse().unwrap())));
        assert_eq!(parse(&[0, 0]), Ok(Address::Nobody));
        assert_eq!(parse(&v4[..7]), Err(Errno::EINVAL));
        assert_eq!(parse(&v6[..20]), Err(Errno::EINVAL));
        assert_eq!(parse(&[1, 0, b'/', b'x']), Err(Errno::EAFNOSUPPORT));
    }
}

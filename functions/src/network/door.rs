//! The way from a custom runtime to its Runtime API. A program connects to
//! [`RUNTIME_API`]; its socket is one of the machine's network, so it is
//! connected to a listener on loopback that is opened for it alone, and the
//! other end of the connection is handed into the environment, where the
//! Runtime API is served. Whoever else connects to the listener in the moment
//! that it exists is turned away: only the caller's socket has its port. Connections
//! to programs that listen in the environment go the same way, and on from inside.

use super::call::Address;
use crate::sys::send_packet;
use environment::manifest::RUNTIME_API;
use nix::errno::Errno;
use nix::sys::socket::{AddressFamily, SockFlag, SockType, SockaddrStorage, getsockname, socketpair};
use std::io;
use std::net::{IpAddr, Ipv4Addr, SocketAddr, SocketAddrV6, TcpListener};
use std::os::fd::{AsFd, AsRawFd, OwnedFd};
use std::sync::Arc;
use std::time::Duration;

/// The PoP's end of what connections are handed over by. Cloning shares it.
#[derive(Clone, Debug)]
pub(crate) struct Door {
    socket: Arc<OwnedFd>,
}

/// One connection that is being made.
pub(super) struct Knock {
    door: Door,
    listener: TcpListener,
    at: SocketAddr,
}

impl Door {
    /// A door, and the end that is inside.
    pub(crate) fn pair() -> io::Result<(Door, OwnedFd)> {
        let (socket, inside) = socketpair(AddressFamily::Unix, SockType::SeqPacket, None, SockFlag::SOCK_CLOEXEC)?;
        Ok((Door { socket: Arc::new(socket) }, inside))
    }

    /// Whether this address means it.
    pub(super) fn is_at(to: Address) -> bool {
        let Address::Of(to) = to else { return false };
        to.ip().to_canonical() == IpAddr::V4(*RUNTIME_API.ip()) && to.port() == RUNTIME_API.port()
    }

    /// Opens a listener for a socket that wants to connect to `to`.
    pub(super) fn open(&self, to: SocketAddr) -> Result<Knock, Errno> {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).map_err(|error| errno(&error))?;
        listener.set_nonblocking(true).map_err(|error| errno(&error))?;
        let port = listener.local_addr().map_err(|error| errno(&error))?.port();
        // A socket of version 6 is given the address as it wrote it.
        let at = match to {
            SocketAddr::V4(_) => SocketAddr::from((Ipv4Addr::LOCALHOST, port)),
            SocketAddr::V6(_) => SocketAddrV6::new(Ipv4Addr::LOCALHOST.to_ipv6_mapped(), port, 0, 0).into(),
        };
        Ok(Knock { door: self.clone(), listener, at })
    }
}

impl Knock {
    /// Where the socket is to be connected.
    pub(super) fn at(&self) -> SocketAddr {
        self.at
    }

    /// Waits for the connection of `own` and hands its other end over; with the one `inside`, a connection to
    /// whoever listens in the environment's own network, that both are made one.
    pub(super) async fn hand_over(self, own: &OwnedFd, inside: Option<&OwnedFd>) -> Result<(), Errno> {
        let expected = port(own)?;
        let listener = tokio::net::TcpListener::from_std(self.listener).map_err(|error| errno(&error))?;
        let arrival = async {
            loop {
                let (stream, peer) = listener.accept().await?;
                if peer.port() == expected {
                    return stream.into_std();
                }
            }
        };
        let arrived = tokio::time::timeout(ARRIVAL_MAX, arrival).await.map_err(|_| Errno::ETIMEDOUT)?;
        let stream = arrived.map_err(|error| errno(&error))?;
        let mut attached = vec![stream.as_fd()];
        attached.extend(inside.map(AsFd::as_fd));
        let handed = send_packet(self.door.socket.as_fd(), &[u8::from(inside.is_some())], &attached);
        handed.map_err(|_| Errno::ECONNREFUSED)
    }
}

fn port(own: &OwnedFd) -> Result<u16, Errno> {
    let address: SockaddrStorage = getsockname(own.as_raw_fd())?;
    let v4 = address.as_sockaddr_in().map(nix::sys::socket::SockaddrIn::port);
    v4.or_else(|| address.as_sockaddr_in6().map(nix::sys::socket::SockaddrIn6::port)).ok_or(Errno::EAFNOSUPPORT)
}

fn errno(error: &io::Error) -> Errno {
    error.raw_os_error().map_or(Errno::ECONNREFUSED, Errno::from_raw)
}

/// On loopback it is there at once, unless the machine is very busy.
const ARRIVAL_MAX: Duration = Duration::from_secs(5);

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sys::receive_packet;
    use std::io::{Read, Write};
    use std::net::TcpStream;
    use std::time::Instant;

    #[test]
    fn the_runtime_api_is_at_one_address_in_either_spelling() {
        for (to, is_it) in [
            ("127.0.0.1:9001", true),
            ("[::ffff:127.0.0.1]:9001", true),
            ("127.0.0.1:9002", false),
            ("127.0.0.2:9001", false),
            ("[::1]:9001", false),
        ] {
            assert_eq!(Door::is_at(Address::Of(to.parse().unwrap())), is_it, "{to}");
        }
    }

    #[tokio::test]
    async fn only_the_connection_that_was_asked_for_goes_in() {
        let (door, inside) = Door::pair().unwrap();
        let knock = door.open("127.0.0.1:9001".parse().unwrap()).unwrap();
        let stranger = TcpStream::connect(knock.at()).unwrap();
        let mut own = TcpStream::connect(knock.at()).unwrap();
        let descriptor = own.try_clone().unwrap().into();
        knock.hand_over(&descriptor, None).await.unwrap();
        own.write_all(b"hello").unwrap();
        let packet = receive_packet(inside.as_fd(), &mut [0; 8]).unwrap();
        let mut arrived = TcpStream::from(packet.attached.unwrap());
        arrived.set_nonblocking(false).unwrap();
        let mut word = [0; 5];
        arrived.read_exact(&mut word).unwrap();
        assert_eq!(&word, b"hello");
        // The stranger's was closed, and nothing else came in.
        let began = Instant::now();
        let mut stranger = stranger;
        assert!(matches!(stranger.read(&mut word), Ok(0) | Err(_)) && began.elapsed() < Duration::from_secs(5));
        assert_eq!(receive_packet(inside.as_fd(), &mut [0; 8]).err().unwrap().kind(), io::ErrorKind::WouldBlock);
    }
}

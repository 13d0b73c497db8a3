//! The network that an environment of a custom runtime has to itself: a loopback
//! where its programs listen to each other and nothing else is. Sockets there
//! are made by the environment's keeper; the PoP puts one in the place of a
//! program's socket when that is bound, and connects others to it.

use super::call::{Address, connect};
use super::notification::network_of;
use crate::sys::{receive_packet, send_packet, watch_descriptor};
use nix::errno::Errno;
use nix::fcntl::{FcntlArg, OFlag, fcntl};
use nix::sys::socket::{SetSockOpt, getsockopt, setsockopt, sockopt};
use std::io;
use std::net::{IpAddr, SocketAddr};
use std::os::fd::{AsFd, OwnedFd};
use std::rc::Rc;
use std::time::Duration;
use tokio::io::unix::AsyncFd;
use tokio::sync::Mutex;

/// Where sockets of one environment's network come from. Cloning shares it.
#[derive(Clone, Debug)]
pub(super) struct Own {
    /// The keeper's other end; one asks at a time.
    keeper: Rc<Mutex<AsyncFd<OwnedFd>>>,
    machine: u64,
}

impl Own {
    /// Must be called inside a tokio runtime.
    pub(super) fn new(keeper: OwnedFd) -> io::Result<Own> {
        let machine = network_of(std::net::UdpSocket::bind(("127.0.0.1", 0))?.as_fd())?;
        Ok(Own { keeper: Rc::new(Mutex::new(watch_descriptor(keeper)?)), machine })
    }

    /// Whether a socket is one of that network, and not of the machine's.
    pub(super) fn has(&self, socket: &OwnedFd) -> Result<bool, Errno> {
        Ok(network_of(socket.as_fd())? != self.machine)
    }

    /// Whether something can be listening there.
    pub(super) fn is_at(to: SocketAddr) -> bool {
        let address: IpAddr = to.ip().to_canonical();
        address.is_loopback() || address.is_unspecified()
    }

    /// A socket that is bound to `to` and otherwise like `model`.
    pub(super) async fn bound(&self, model: &OwnedFd, to: SocketAddr) -> Result<OwnedFd, Errno> {
        let made = self.socket(to).await?;
        alike(model, &made, sockopt::ReuseAddr)?;
        alike(model, &made, sockopt::KeepAlive)?;
        alike(model, &made, sockopt::TcpNoDelay)?;
        if to.is_ipv6() {
            alike(model, &made, sockopt::Ipv6V6Only)?;
        }
        let flags = OFlag::from_bits_retain(fcntl(model, FcntlArg::F_GETFL)?);
        fcntl(&made, FcntlArg::F_SETFL(flags))?;
        super::call::bind_to(&made, to)?;
        Ok(made)
    }

    /// A connection to whoever listens at `to`.
    pub(super) async fn connection(&self, to: SocketAddr) -> Result<OwnedFd, Errno> {
        let made = self.socket(to).await?;
        fcntl(&made, FcntlArg::F_SETFL(OFlag::O_NONBLOCK))?;
        let made = watch_descriptor(made).map_err(|_| Errno::ENOBUFS)?;
        match connect(made.get_ref().as_fd(), Address::Of(to)) {
            Ok(()) => return Ok(made.into_inner()),
            Err(Errno::EINPROGRESS) => {}
            Err(error) => return Err(error),
        }
        let ready = tokio::time::timeout(ACCEPTED_WITHIN, made.writable()).await;
        drop(ready.map_err(|_| Errno::ETIMEDOUT)?.map_err(|_| Errno::ENOBUFS)?);
        match getsockopt(made.get_ref(), sockopt::SocketError)? {
            0 => Ok(made.into_inner()),
            error => Err(Errno::from_raw(error)),
        }
    }

    async fn socket(&self, like: SocketAddr) -> Result<OwnedFd, Errno> {
        let keeper = self.keeper.lock().await;
        let asked = tokio::time::timeout(MADE_WITHIN, async {
            send_packet(keeper.get_ref().as_fd(), &[if like.is_ipv6() { 6 } else { 4 }], &[])?;
            loop {
                let mut ready = keeper.readable().await?;
                let mut word = [0];
                if let Ok(packet) = ready.try_io(|socket| receive_packet(socket.get_ref().as_fd(), &mut word)) {
                    return packet.map(|packet| (word, packet));
                }
            }
        });
        match asked.await.unwrap_or_else(|_| Err(io::ErrorKind::TimedOut.into())) {
            Ok((_, packet)) if packet.length == 0 => Err(Errno::ENETDOWN),
            Ok((_, packet)) if packet.attached.is_some() => packet.attached.ok_or(Errno::ENETDOWN),
            Ok((word, _)) => Err(Errno::from_raw(word[0].into())),
            Err(_) => Err(Errno::ENETDOWN),
        }
    }
}

fn alike<O, T>(model: &OwnedFd, made: &OwnedFd, option: O) -> Result<(), Errno>
where
    O: nix::sys::socket::GetSockOpt<Val = T> + SetSockOpt<Val = T> + Copy,
{
    setsockopt(made, option, &getsockopt(model, option)?)
}

/// A program that does not take its connections holds up whoever connects, as everywhere.
const ACCEPTED_WITHIN: Duration = Duration::from_secs(5);
/// The keeper has nothing else to do, but the machine may.
const MADE_WITHIN: Duration = Duration::from_secs(5);

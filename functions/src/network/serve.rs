//! Answers the calls of one listener, in order; a connection that makes its
//! caller wait goes on beside.

use super::Caller;
use super::address::{is_own, resolvers};
use super::call::{self, Address, Call, Refused, Waiting};
use super::door::Door;
use super::notification::{News, Notification, receive};
use crate::log::put_line;
use crate::sys;
use bytes::BytesMut;
use nix::errno::Errno;
use nix::sys::socket::{getsockopt, sockopt};
use std::net::{IpAddr, SocketAddr};
use std::os::fd::{AsFd, OwnedFd};
use std::rc::Rc;
use std::time::{Duration, Instant};
use tokio::io::unix::AsyncFd;

/// Returns when no process uses the listener any more.
pub(super) async fn serve(listener: OwnedFd, caller: Caller) {
    let listener = match sys::watch_descriptor(listener) {
        Ok(listener) => Rc::new(listener),
        Err(error) => return tracing::error!(%error, function = %caller.function, "network calls cannot be answered"),
    };
    let mut desk = Desk { listener: Rc::clone(&listener), caller, resolvers: resolvers(), notices: Notices::new() };
    while let Ok(mut ready) = listener.readable().await {
        match receive(listener.as_fd()) {
            Ok(News::Call(notification)) => desk.answer(&notification),
            Ok(News::Nothing) => ready.clear_ready(),
            Ok(News::Over) => return,
            Err(error) => {
                tracing::error!(%error, function = %desk.caller.function, "network calls cannot be answered");
                return;
            }
        }
    }
}

struct Desk {
    listener: Rc<AsyncFd<OwnedFd>>,
    caller: Caller,
    resolvers: Vec<IpAddr>,
    notices: Notices,
}

impl Desk {
    fn answer(&mut self, notification: &Notification) {
        if notification.call == libc::SYS_clone {
            return self.answer_fork(notification);
        }
        let result = match Call::read(notification) {
            Ok(Call::Socket { family, kind, protocol }) => match Call::open(family, kind, protocol) {
                Ok(socket) => {
                    return notification.answer_with(self.listener.as_fd(), &socket, kind & libc::SOCK_CLOEXEC);
                }
                Err(error) => Err(error),
            },
            Ok(Call::Connect { to }) => match self.connect(notification, to) {
                // Goes on beside.
                Ok(None) => return,
                Ok(Some(done)) => Ok(done),
                Err(error) => Err(error),
            },
            Ok(Call::Bind { to }) => self.bind(notification, to),
            Ok(Call::Send { to, bytes }) => self.judge(to).and_then(|to| {
                let own = notification.descriptor(self.listener.as_fd())?;
                call::send(&own, to.ok_or(Errno::EAFNOSUPPORT)?, &bytes)
            }),
            Err(error) => Err(error),
        };
        notification.answer(self.listener.as_fd(), result);
    }

    /// A new process: only when the PoP has asked for one, never for user code.
    fn answer_fork(&mut self, notification: &Notification) {
        if self.caller.forks.take() {
            return notification.go_on(self.listener.as_fd());
        }
        self.notices.put(&self.caller, &Refused::Process);
        notification.answer(self.listener.as_fd(), Err(Errno::EPERM));
    }

    fn connect(&mut self, notification: &Notification, to: Address) -> Result<Option<i64>, Errno> {
        if let (Some(door), Address::Of(to)) = (self.caller.door.clone().filter(|_| Door::is_at(to)), to) {
            let own = notification.descriptor(self.listener.as_fd())?;
            if call::is_stream(&own)? {
                return self.knock(notification, &door, (own, to));
            }
        }
        self.judge(to)?;
        let own = notification.descriptor(self.listener.as_fd())?;
        if !call::waits(&own)? {
            return call::connect(own.as_fd(), to).map(|()| Some(0));
        }
        call::set_waiting(&own, Waiting::Never)?;
        match call::connect(own.as_fd(), to) {
            Err(Errno::EINPROGRESS) => {
                let waiting = Waited { listener: Rc::clone(&self.listener), notification: *notification };
                tokio::task::spawn_local(waiting.run(own));
                Ok(None)
            }
            done => {
                call::set_waiting(&own, Waiting::AsLongAsItTakes)?;
                done.map(|()| Some(0))
            }
        }
    }

    /// Connects to the Runtime API: through a listener that is there for this one connection.
    fn knock(
        &self,
        notification: &Notification,
        door: &Door,
        (own, to): (OwnedFd, SocketAddr),
    ) -> Result<Option<i64>, Errno> {
        let waits = call::waits(&own)?;
        let knock = door.open(to)?;
        call::set_waiting(&own, Waiting::Never)?;
        match call::connect(own.as_fd(), Address::Of(knock.at())) {
            Ok(()) | Err(Errno::EINPROGRESS) => {}
            Err(error) => return Err(error),
        }
        let (listener, notification) = (Rc::clone(&self.listener), *notification);
        tokio::task::spawn_local(async move {
            let arrived = knock.hand_over(&own).await;
            if waits {
                let restored = call::set_waiting(&own, Waiting::AsLongAsItTakes);
                notification.answer(listener.as_fd(), arrived.and(restored).map(|()| 0));
            }
        });
        if waits { Ok(None) } else { Err(Errno::EINPROGRESS) }
    }

    fn bind(&mut self, notification: &Notification, to: Address) -> Result<i64, Errno> {
        let Address::Of(to) = to else { return Err(Errno::EAFNOSUPPORT) };
        let own = notification.descriptor(self.listener.as_fd())?;
        let bound = call::bind(&own, to);
        if bound == Err(Errno::EACCES) {
            self.notices.put(&self.caller, &Refused::Listening(to));
        }
        bound.map(|()| 0)
    }

    /// The peer, if the policy lets it be one.
    fn judge(&mut self, to: Address) -> Result<Option<SocketAddr>, Errno> {
        let Address::Of(to) = to else { return Ok(None) };
        match self.caller.policy.judge(to, &self.resolvers, is_own) {
            Ok(()) => Ok(Some(to)),
            Err(refusal) => {
                self.notices.put(&self.caller, &Refused::Peer(to, refusal));
                Err(Errno::EACCES)
            }
        }
    }
}

/// A connection whose caller waits for its end.
struct Waited {
    listener: Rc<AsyncFd<OwnedFd>>,
    notification: Notification,
}

impl Waited {
    async fn run(self, own: OwnedFd) {
        let listener = self.listener.as_fd();
        let result = match sys::watch_descriptor(own) {
            Ok(own) => {
                let result = self.outcome(&own).await;
                let restored = call::set_waiting(&own, Waiting::AsLongAsItTakes);
                result.and(restored)
            }
            Err(_) => Err(Errno::ENOBUFS),
        };
        self.notification.answer(listener, result.map(|()| 0));
    }

    async fn outcome(&self, own: &AsyncFd<OwnedFd>) -> Result<(), Errno> {
        loop {
            match tokio::time::timeout(CALLER_LOOKED_AT_EVERY, own.writable()).await {
                Ok(Ok(_)) => {
                    return match getsockopt(own.get_ref(), sockopt::SocketError)? {
                        0 => Ok(()),
                        error => Err(Errno::from_raw(error)),
                    };
                }
                Ok(Err(_)) => return Err(Errno::ENOBUFS),
                Err(_) if self.notification.is_waiting(self.listener.as_fd()) => {}
                Err(_) => return Err(Errno::ESRCH),
            }
        }
    }
}

/// Refusals in the function's log, so many in a while.
struct Notices {
    since: Instant,
    count: u32,
}

impl Notices {
    fn new() -> Notices {
        Notices { since: Instant::now(), count: 0 }
    }

    fn put(&mut self, caller: &Caller, refused: &Refused) {
        if self.since.elapsed() > NOTICES_PERIOD {
            *self = Notices::new();
        }
        self.count += 1;
        let line = match self.count {
            ..NOTICES_MAX => text(&caller.function, refused),
            NOTICES_MAX => "network: more refusals follow and are not logged for a while".to_owned(),
            _ => return,
        };
        let mut lines = BytesMut::new();
        put_line(&mut lines, line.as_bytes());
        caller.log.write(&caller.function, lines.freeze());
    }
}

fn text(function: &str, refused: &Refused) -> String {
    match refused {
        Refused::Process => "sandbox: a new process refused: a function is one process".to_owned(),
        Refused::Listening(at) => format!("network: binding {at} refused: functions cannot listen"),
        Refused::Peer(to, refusal) if refusal.can_allow => format!(
            "network: {to} refused: {}; to allow it, write allow = [\"{to}\"] in [functions.{function}.network]",
            refusal.rule
        ),
        Refused::Peer(to, refusal) => format!("network: {to} refused: {}", refusal.rule),
    }
}

const CALLER_LOOKED_AT_EVERY: Duration = Duration::from_secs(1);
const NOTICES_PERIOD: Duration = Duration::from_secs(10);
const NOTICES_MAX: u32 = 50;

//! Answers the calls of one listener, in order; a connection that makes its
//! caller wait goes on beside.

use super::Caller;
use super::address::{is_own, resolvers};
use super::call::{self, Address, Call, Refused, Waiting};
use super::door::Door;
use super::notification::{News, Notification, receive};
use super::own::Own;
use crate::log_lines::put_line;
use crate::parent::Calls;
use crate::sys;
use bytes::BytesMut;
use nix::errno::Errno;
use nix::sys::socket::{getsockopt, sockopt};
use std::cell::{Cell, RefCell};
use std::net::{IpAddr, SocketAddr};
use std::os::fd::{AsFd, OwnedFd};
use std::rc::Rc;
use std::time::{Duration, Instant};
use tokio::io::unix::AsyncFd;

/// Returns when no process uses the listener any more.
pub(super) async fn serve(calls: Calls, caller: Caller) {
    let listener = match sys::watch_descriptor(calls.listener) {
        Ok(listener) => Rc::new(listener),
        Err(error) => return tracing::error!(%error, function = %caller.function, "network calls cannot be answered"),
    };
    let own = calls.sockets.map(Own::new).transpose().unwrap_or_else(|error| {
        tracing::error!(%error, function = %caller.function, "programs of an environment cannot listen");
        None
    });
    let desk = Desk {
        listener: Rc::clone(&listener),
        caller,
        resolvers: resolvers(),
        notices: RefCell::new(Notices::new()),
        own,
        has_bound: Cell::new(false),
    };
    let desk = Rc::new(desk);
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
    notices: RefCell<Notices>,
    /// Where its programs may listen.
    own: Option<Own>,
    /// Whether one of them has bound a socket there.
    has_bound: Cell<bool>,
}

impl Desk {
    fn answer(self: &Rc<Self>, notification: &Notification) {
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
            Ok(Call::Bind { to }) => match self.bind(notification, to) {
                Ok(None) => return,
                Ok(Some(done)) => Ok(done),
                Err(error) => Err(error),
            },
            Ok(Call::Listen { backlog }) => self.listen(notification, backlog),
            Ok(Call::Send { to, bytes }) => self.judge(to).and_then(|to| {
                let own = notification.descriptor(self.listener.as_fd())?;
                call::send(&own, to.ok_or(Errno::EAFNOSUPPORT)?, &bytes)
            }),
            Err(error) => Err(error),
        };
        notification.answer(self.listener.as_fd(), result);
    }

    /// A new process: only when the PoP has asked for one, never for user code.
    fn answer_fork(&self, notification: &Notification) {
        if self.caller.forks.take() {
            return notification.go_on(self.listener.as_fd());
        }
        self.note(&Refused::Process);
        notification.answer(self.listener.as_fd(), Err(Errno::EPERM));
    }

    fn connect(self: &Rc<Self>, notification: &Notification, to: Address) -> Result<Option<i64>, Errno> {
        if let (Some(door), Address::Of(to)) = (self.caller.door.clone().filter(|_| Door::is_at(to)), to) {
            let own = notification.descriptor(self.listener.as_fd())?;
            if call::is_stream(&own)? && !self.is_inside(&own)? {
                return self.knock(notification, &door, (own, to));
            }
        }
        let own = match to {
            Address::Of(at) if self.own.is_some() && Own::is_at(at) => {
                let own = notification.descriptor(self.listener.as_fd())?;
                if !self.is_inside(&own)? {
                    if self.has_bound.get() && self.is_refused(at) && call::is_stream(&own)? {
                        return self.connect_inside(notification, (own, at));
                    }
                    self.judge(to)?;
                }
                own
            }
            _ => {
                self.judge(to)?;
                notification.descriptor(self.listener.as_fd())?
            }
        };
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
            let arrived = knock.hand_over(&own, None).await;
            if waits {
                let restored = call::set_waiting(&own, Waiting::AsLongAsItTakes);
                notification.answer(listener.as_fd(), arrived.and(restored).map(|()| 0));
            }
        });
        if waits { Ok(None) } else { Err(Errno::EINPROGRESS) }
    }

    /// Connects to a program of the same environment, if one listens there.
    fn connect_inside(
        self: &Rc<Self>,
        notification: &Notification,
        (own, to): (OwnedFd, SocketAddr),
    ) -> Result<Option<i64>, Errno> {
        let (Some(network), Some(door)) = (self.own.clone(), self.caller.door.clone()) else {
            return Err(Errno::EACCES);
        };
        let (desk, notification) = (Rc::clone(self), *notification);
        tokio::task::spawn_local(async move {
            let listener = desk.listener.as_fd();
            let made = async {
                let inside = network.connection(to).await.or_else(|error| match error {
                    // Nobody listens there: it is as without this network.
                    Errno::ECONNREFUSED => desk.judge(Address::Of(to)).and(Err(error)),
                    error => Err(error),
                })?;
                let (waits, knock) = (call::waits(&own)?, door.open(to)?);
                call::set_waiting(&own, Waiting::Never)?;
                match call::connect(own.as_fd(), Address::Of(knock.at())) {
                    Ok(()) | Err(Errno::EINPROGRESS) => Ok((inside, waits, knock)),
                    Err(error) => Err(error),
                }
            };
            let (inside, waits, knock) = match made.await {
                Ok(made) => made,
                Err(error) => return notification.answer(listener, Err(error)),
            };
            if !waits {
                notification.answer(listener, Err(Errno::EINPROGRESS));
            }
            let arrived = knock.hand_over(&own, Some(&inside)).await;
            if waits {
                let restored = call::set_waiting(&own, Waiting::AsLongAsItTakes);
                notification.answer(listener, arrived.and(restored).map(|()| 0));
            }
        });
        Ok(None)
    }

    /// Binds a datagram socket to a port of the system's choice, and a stream by one of the environment's own network
    /// in its place.
    fn bind(self: &Rc<Self>, notification: &Notification, to: Address) -> Result<Option<i64>, Errno> {
        let Address::Of(to) = to else { return Err(Errno::EAFNOSUPPORT) };
        let own = notification.descriptor(self.listener.as_fd())?;
        if let Some(network) = self.own.clone() {
            if network.has(&own)? {
                return call::bind_to(&own, to).map(|()| Some(0));
            }
            if call::is_stream(&own)? && Own::is_at(to) {
                let (desk, notification) = (Rc::clone(self), *notification);
                tokio::task::spawn_local(async move {
                    let listener = desk.listener.as_fd();
                    let bound = network.bound(&own, to).await.and_then(|made| notification.exchange(listener, &made));
                    desk.has_bound.set(desk.has_bound.get() || bound.is_ok());
                    notification.answer(listener, bound.map(|()| 0));
                });
                return Ok(None);
            }
        }
        let bound = call::bind(&own, to);
        if bound == Err(Errno::EACCES) {
            self.note(&Refused::Listening(to));
        }
        bound.map(|()| Some(0))
    }

    /// Lets a socket listen that is one of the environment's own network.
    fn listen(&self, notification: &Notification, backlog: i32) -> Result<i64, Errno> {
        let own = notification.descriptor(self.listener.as_fd())?;
        if self.is_inside(&own)? {
            return call::listen(&own, backlog).map(|()| 0);
        }
        self.note(&Refused::ListeningUnbound);
        Err(Errno::EACCES)
    }

    fn is_inside(&self, socket: &OwnedFd) -> Result<bool, Errno> {
        self.own.as_ref().map_or(Ok(false), |own| own.has(socket))
    }

    fn is_refused(&self, to: SocketAddr) -> bool {
        self.caller.policy.judge(to, &self.resolvers, is_own).is_err()
    }

    /// The peer, if the policy lets it be one.
    fn judge(&self, to: Address) -> Result<Option<SocketAddr>, Errno> {
        let Address::Of(to) = to else { return Ok(None) };
        match self.caller.policy.judge(to, &self.resolvers, is_own) {
            Ok(()) => Ok(Some(to)),
            Err(refusal) => {
                self.note(&Refused::Peer(to, refusal));
                Err(Errno::EACCES)
            }
        }
    }

    fn note(&self, refused: &Refused) {
        self.notices.borrow_mut().put(&self.caller, refused);
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
        Refused::Listening(at) => {
            format!("network: binding {at} refused: only programs of custom runtimes listen, on their own loopback")
        }
        Refused::ListeningUnbound => {
            "network: listening refused: the socket is not bound to a port of the environment's own loopback".to_owned()
        }
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

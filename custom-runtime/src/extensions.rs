//! Extensions of an environment: who has registered for what, and who still has
//! to do (AWS: "Using the Lambda Extensions API to create extensions"). Pure;
//! `supervisor` does what follows.

use nix::unistd::Pid;
use uuid::Uuid;

/// All of an environment's.
#[derive(Debug, Default)]
pub(crate) struct Extensions {
    /// Started from layers and not registered yet.
    started: Vec<(String, Pid)>,
    registered: Vec<Extension>,
    /// The programs have begun to run: nobody registers any more.
    is_closed: bool,
}

#[derive(Debug)]
struct Extension {
    id: Uuid,
    name: String,
    /// Its process, when it was started from a layer; the runtime's own extensions have none.
    process: Option<Pid>,
    wants: Wants,
    is_waiting: bool,
}

/// What an extension is told of.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Wants {
    pub(crate) invoke: bool,
    pub(crate) shutdown: bool,
}

/// Why something was refused, as Lambda calls it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Refused {
    Name,
    AlreadyRegistered,
    Closed,
    TooMany,
    ShutdownOfInternal,
    UnknownId,
}

impl Extensions {
    /// Those that were started.
    pub(crate) fn new(started: Vec<(String, Pid)>) -> Extensions {
        Extensions { started, ..Extensions::default() }
    }

    /// Takes one in under its name: one from a layer is called like its file.
    pub(crate) fn register(&mut self, name: &str, wants: Wants) -> Result<Uuid, Refused> {
        if name.is_empty() {
            return Err(Refused::Name);
        }
        if self.registered.iter().any(|extension| extension.name == name) {
            return Err(Refused::AlreadyRegistered);
        }
        if self.is_closed {
            return Err(Refused::Closed);
        }
        if self.registered.len() >= EXTENSIONS_MAX {
            return Err(Refused::TooMany);
        }
        let position = self.started.iter().position(|(started, _)| started == name);
        if position.is_none() && wants.shutdown {
            return Err(Refused::ShutdownOfInternal);
        }
        let process = position.map(|position| self.started.remove(position).1);
        let id = Uuid::new_v4();
        self.registered.push(Extension { id, name: name.to_owned(), process, wants, is_waiting: false });
        Ok(id)
    }

    /// Names of those who have registered, and of what they are told.
    pub(crate) fn each(&self) -> Vec<(String, Vec<&'static str>)> {
        let told = |wants: Wants| {
            let events = [(wants.invoke, "INVOKE"), (wants.shutdown, "SHUTDOWN")];
            events.into_iter().filter(|(is_told, _)| *is_told).map(|(_, event)| event).collect()
        };
        self.registered.iter().map(|extension| (extension.name.clone(), told(extension.wants))).collect()
    }

    /// From now on nobody registers.
    pub(crate) fn close(&mut self) {
        self.is_closed = true;
    }

    /// Whether everybody who was started has registered.
    pub(crate) fn all_registered(&self) -> bool {
        self.started.is_empty()
    }

    /// Whether everybody waits for the next event.
    pub(crate) fn all_waiting(&self) -> bool {
        self.started.is_empty() && self.registered.iter().all(|extension| extension.is_waiting)
    }

    /// Whether somebody is to be told of the end.
    pub(crate) fn linger(&self) -> bool {
        self.registered.iter().any(|extension| extension.process.is_some())
    }

    /// One asks for the next event, and waits.
    pub(crate) fn ask(&mut self, id: Uuid) -> Result<(), Refused> {
        self.of(id).map(|extension| extension.is_waiting = true)
    }

    /// The name of one.
    pub(crate) fn name(&mut self, id: Uuid) -> Result<&str, Refused> {
        self.of(id).map(|extension| extension.name.as_str())
    }

    /// An invocation begins: those who want to know, and work from here on.
    pub(crate) fn invoke(&mut self) -> Vec<Uuid> {
        self.begin(|wants| wants.invoke)
    }

    /// The environment ends: the same.
    pub(crate) fn shut_down(&mut self) -> Vec<Uuid> {
        self.begin(|wants| wants.shutdown)
    }

    /// A process has ended: the name of the extension that it was.
    pub(crate) fn ended(&mut self, process: Pid) -> Option<String> {
        let started = self.started.iter().position(|(_, pid)| *pid == process);
        if let Some(position) = started {
            return Some(self.started.remove(position).0);
        }
        let extension = self.registered.iter_mut().find(|extension| extension.process == Some(process))?;
        extension.process = None;
        extension.is_waiting = true;
        Some(extension.name.clone())
    }

    fn begin(&mut self, wants: impl Fn(Wants) -> bool) -> Vec<Uuid> {
        let told = self.registered.iter_mut().filter(|extension| wants(extension.wants));
        told.map(|extension| {
            extension.is_waiting = false;
            extension.id
        })
        .collect()
    }

    fn of(&mut self, id: Uuid) -> Result<&mut Extension, Refused> {
        self.registered.iter_mut().find(|extension| extension.id == id).ok_or(Refused::UnknownId)
    }
}

/// AWS: "Lambda Extensions API", limits.
const EXTENSIONS_MAX: usize = 10;

#[cfg(test)]
mod tests {
    use super::*;

    const BOTH: Wants = Wants { invoke: true, shutdown: true };
    const INVOKE: Wants = Wants { invoke: true, shutdown: false };

    #[test]
    fn an_invocation_is_over_when_everybody_who_knew_of_it_waits_again() {
        let mut extensions = Extensions::new(vec![("one".to_owned(), Pid::from_raw(7))]);
        assert!(!extensions.all_registered());
        let one = extensions.register("one", BOTH).unwrap();
        let own = extensions.register("own", Wants::default()).unwrap();
        assert!(extensions.all_registered() && !extensions.all_waiting());
        assert_eq!((extensions.ask(one), extensions.ask(own)), (Ok(()), Ok(())));
        assert!(extensions.all_waiting());
        assert_eq!(extensions.invoke(), [one]);
        assert!(!extensions.all_waiting());
        extensions.ask(one).unwrap();
        assert!(extensions.all_waiting());
        assert_eq!(extensions.shut_down(), [one]);
        assert!(extensions.linger());
        assert_eq!(extensions.ended(Pid::from_raw(7)).as_deref(), Some("one"));
        assert!(!extensions.linger() && extensions.all_waiting());
    }

    #[test]
    fn who_may_not_register_is_told_why() {
        let mut extensions = Extensions::new(vec![("one".to_owned(), Pid::from_raw(7))]);
        assert_eq!(extensions.register("", INVOKE), Err(Refused::Name));
        assert_eq!(extensions.register("own", BOTH), Err(Refused::ShutdownOfInternal));
        extensions.register("one", BOTH).unwrap();
        assert_eq!(extensions.register("one", BOTH), Err(Refused::AlreadyRegistered));
        for number in 0..9 {
            extensions.register(&format!("own {number}"), INVOKE).unwrap();
        }
        assert_eq!(extensions.register("own", INVOKE), Err(Refused::TooMany));
        assert_eq!(extensions.ask(Uuid::from_u128(1)), Err(Refused::UnknownId));
        extensions.close();
        assert_eq!(extensions.register("late", INVOKE), Err(Refused::Closed));
    }
}

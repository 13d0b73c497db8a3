//! What the function's program may ask for, and when: the states of the Runtime
//! API (AWS: "Using the Lambda runtime API for custom runtimes"). Pure;
//! `supervisor` does what follows.

use environment::ErrorPayload;
use uuid::Uuid;

/// Where the program is.
#[derive(Debug)]
pub(crate) enum Desk {
    /// It has not asked for an event yet.
    Starting,
    /// It has said why it cannot start.
    Failed(ErrorPayload),
    /// It waits for an event.
    Idle,
    /// It has one.
    Running(Uuid),
    /// It has answered. Until it asks for the next event it may still have to do for this one.
    Answered,
}

/// Why something was refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Refused {
    /// Not in this state.
    Transition { from: &'static str, to: &'static str },
    /// The invocation is another one, or over.
    RequestId,
}

/// What the PoP is told when the program asks for the next event.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Told {
    Ready,
    Done,
    Nothing,
}

impl Desk {
    /// The program asks for the next event, and waits for it.
    pub(crate) fn ask(&mut self) -> Result<Told, Refused> {
        match std::mem::replace(self, Desk::Idle) {
            Desk::Starting => Ok(Told::Ready),
            Desk::Idle => Ok(Told::Nothing),
            Desk::Answered => Ok(Told::Done),
            other @ (Desk::Failed(_) | Desk::Running(_)) => {
                *self = other;
                Err(self.transition("Ready"))
            }
        }
    }

    /// It is given one.
    pub(crate) fn begin(&mut self, id: Uuid) {
        *self = Desk::Running(id);
    }

    /// It answers invocation `id`, in the words of a URL.
    pub(crate) fn answer(&mut self, id: &str) -> Result<(), Refused> {
        match self {
            Desk::Running(running) if running.to_string() == id => {
                *self = Desk::Answered;
                Ok(())
            }
            Desk::Running(_) => Err(Refused::RequestId),
            _ => Err(self.transition("InvocationResponse")),
        }
    }

    /// It cannot start.
    pub(crate) fn fail(&mut self, error: ErrorPayload) -> Result<(), Refused> {
        match self {
            Desk::Starting => {
                *self = Desk::Failed(error);
                Ok(())
            }
            _ => Err(self.transition("InitError")),
        }
    }

    fn transition(&self, to: &'static str) -> Refused {
        let from = match self {
            Desk::Starting => "Started",
            Desk::Failed(_) => "InitError",
            Desk::Idle => "Ready",
            Desk::Running(_) => "Running",
            Desk::Answered => "ResponseSent",
        };
        Refused::Transition { from, to }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const ONE: Uuid = Uuid::from_u128(1);

    #[test]
    fn a_program_has_done_when_it_asks_for_the_next_event() {
        let mut desk = Desk::Starting;
        assert_eq!(desk.ask(), Ok(Told::Ready));
        assert_eq!(desk.ask(), Ok(Told::Nothing));
        desk.begin(ONE);
        assert_eq!(desk.answer(&Uuid::from_u128(2).to_string()), Err(Refused::RequestId));
        assert_eq!(desk.answer(&ONE.to_string()), Ok(()));
        assert_eq!(desk.ask(), Ok(Told::Done));
    }

    #[test]
    fn what_is_out_of_turn_is_refused_and_changes_nothing() {
        let mut desk = Desk::Starting;
        let refused = |from, to| Err(Refused::Transition { from, to });
        assert_eq!(desk.answer(&ONE.to_string()), refused("Started", "InvocationResponse"));
        assert_eq!(desk.ask(), Ok(Told::Ready));
        assert_eq!(desk.fail(ErrorPayload::default()), refused("Ready", "InitError"));
        desk.begin(ONE);
        assert_eq!(desk.ask().err(), refused("Running", "Ready").err());
        assert_eq!(desk.answer(&ONE.to_string()), Ok(()));
        assert_eq!(desk.answer(&ONE.to_string()), refused("ResponseSent", "InvocationResponse"));
    }
}

//! How a watch stops a handler: each language has its own way.

use environment::frame::Exiting;

/// Stops the handler of one process, from any thread.
pub trait Stopper: Send + 'static {
    /// Asks it to end where it is because this limit is reached, and to note where that was. Asked again
    /// and again until the invocation is over. May end the process instead.
    fn stop(&self, reached: &Exiting);

    /// Ends it as soon as it can be ended, noted or not.
    fn force(&self);

    /// Whether the log was told where it was.
    fn has_noted(&self) -> bool;

    /// What the log is told when that is not known.
    fn not_known(&self) -> &'static str;
}

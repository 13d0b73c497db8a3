//! The process tree of a runtime and what each process in it gives up. A zygote
//! (no user code) forks templates and environments into a [`Cell`]: namespaces
//! with a root of their own, watched over by a keeper. Each child enters the
//! sandbox before it runs user code; its copies inherit it and add to it. No
//! engine here: `js-runtime` loads and runs the code.

mod attached;
mod cell;
mod children;
mod code;
mod control;
mod failure;
mod filter;
mod fork;
mod keeper;
mod landlock;
mod listener;
mod loopback;
mod mount;
mod namespaces;
mod privileges;
mod probe;
mod request;
mod root;
mod sockets;
mod tmp;

pub use attached::receive_attached;
pub use cell::{Cell, Entry};
pub use children::{AroundFork, Birth, Children, Source, restore_signals};
pub use code::Code;
pub use control::{Control, fit_line, fit_packet};
pub use fork::{adopt, exit_now, thread_count};
pub use probe::Sandbox;
pub use root::CODE_DIR;

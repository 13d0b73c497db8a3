//! Debuggers of JavaScript functions under development: what Chrome DevTools and
//! editors know from Node.js's `--inspect`, over HTTP and WebSocket. It lists the
//! targets that `functions` has and passes messages between them and debuggers;
//! V8, which understands those, is in the environments. Never part of `serve`.

mod address;
mod documents;
mod host;
mod server;
mod session;

pub use address::{Address, AddressError};
pub use server::{BindError, Server};

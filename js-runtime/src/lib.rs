//! The JavaScript engine of an execution environment. The only crate that names
//! V8: `snapshot` makes and loads the start-up file, `engine` loads and runs one
//! function. Processes and sockets belong to the binary `selvedge-js`.

pub mod engine;
pub mod exports;
pub mod snapshot;

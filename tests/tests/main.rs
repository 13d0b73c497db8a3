//! The plays: real binaries, real sockets, real origins. They are modules of one
//! test binary because linking one for each costs more than running them.

mod cache;
mod cache_model;
mod chaos;
mod collapse;
mod compiled;
mod conformance;
mod control;
mod crash;
mod demo;
mod disk_cache;
mod documents;
mod events;
mod failover;
mod geo;
mod http2;
mod http_cache;
mod limits;
mod metrics;
mod neighbour;
mod network;
mod poisoning;
mod policies;
mod purge;
mod python;
mod ranges;
mod reload;
mod sandbox;
mod signed;
mod smuggling;
mod soak;
mod stages;
mod tidy;
mod tls;
mod traps;
mod verdicts;

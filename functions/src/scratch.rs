//! What all environments together hold in `/tmp`, which is memory of the machine
//! that no function's `memory_mb` counts. Each has its quota; when all of them
//! hold more than the PoP's bound, the one that holds most ends, and the next,
//! until the bound is kept. Made by `functions`, told of environments by
//! `creation`.

use crate::log::Log;
use crate::log_lines::put_line;
use crate::parent::Handle;
use bytes::BytesMut;
use nix::sys::statvfs::statvfs;
use parking_lot::Mutex;
use std::collections::HashMap;
use std::sync::{Arc, OnceLock, Weak};
use std::time::Duration;

/// Everybody who has a `/tmp` in memory.
#[derive(Debug)]
pub(crate) struct Scratch {
    bytes_max: u64,
    log: Log,
    holders: Mutex<HashMap<u64, Weak<Holder>>>,
}

/// One environment with its `/tmp`.
#[derive(Debug)]
pub(crate) struct Holder {
    function: Arc<str>,
    process: Handle,
    ended: OnceLock<String>,
}

impl Holder {
    /// Why it was ended, if it was.
    pub(crate) fn ended(&self) -> Option<&str> {
        self.ended.get().map(String::as_str)
    }

    /// Bytes in its `/tmp`; none when it is gone.
    fn bytes(&self) -> u64 {
        let Ok(found) = statvfs(format!("/proc/{}/root/tmp", self.process.pid).as_str()) else { return 0 };
        found.fragment_size() * found.blocks().saturating_sub(found.blocks_free())
    }
}

impl Scratch {
    /// With a bound of `bytes_max`; half of the machine's memory when it is not given.
    pub(crate) fn new(bytes_max: Option<u64>, log: Log) -> Arc<Scratch> {
        let bytes_max = bytes_max.or_else(|| Some(kilobytes("MemTotal:")? * 1024 / 2)).unwrap_or(u64::MAX);
        Arc::new(Scratch { bytes_max, log, holders: Mutex::default() })
    }

    pub(crate) fn bytes_max(&self) -> u64 {
        self.bytes_max
    }

    /// Counts environment `id` of `function` for as long as the result lives.
    pub(crate) fn hold(&self, id: u64, function: &Arc<str>, process: Handle) -> Arc<Holder> {
        let holder = Arc::new(Holder { function: Arc::clone(function), process, ended: OnceLock::new() });
        self.holders.lock().insert(id, Arc::downgrade(&holder));
        holder
    }

    /// Keeps the bound until this is dropped.
    pub(crate) async fn keep(self: Arc<Self>) {
        loop {
            tokio::time::sleep(LOOK_EVERY).await;
            // All memory file systems of the machine: less than the bound is less in `/tmp`.
            let is_free = kilobytes("Shmem:").is_some_and(|held| held * 1024 <= self.bytes_max);
            let holders = self.living();
            if is_free || holders.is_empty() {
                continue;
            }
            let scratch = Arc::clone(&self);
            let _ = tokio::task::spawn_blocking(move || scratch.enforce(&holders)).await;
        }
    }

    fn living(&self) -> Vec<Arc<Holder>> {
        let mut holders = self.holders.lock();
        holders.retain(|_, holder| holder.strong_count() > 0);
        holders.values().filter_map(Weak::upgrade).collect()
    }

    fn enforce(&self, holders: &[Arc<Holder>]) {
        let mut held: Vec<_> = holders.iter().map(|holder| (holder.bytes(), holder)).collect();
        held.sort_by_key(|(bytes, _)| *bytes);
        let mut total: u64 = held.iter().map(|(bytes, _)| bytes).sum();
        while total > self.bytes_max {
            let Some((bytes, holder)) = held.pop() else { return };
            self.end(holder, bytes);
            total -= bytes;
        }
    }

    fn end(&self, holder: &Holder, bytes: u64) {
        let reason = format!(
            "all environments together held more than {} MB in /tmp (tmp_memory of [server]), this one {} MB, the most",
            self.bytes_max / MEBIBYTE,
            bytes / MEBIBYTE
        );
        tracing::warn!(function = %holder.function, reason, "environment ended");
        let mut line = BytesMut::new();
        put_line(&mut line, format!("tmp: environment ended: {reason}").as_bytes());
        self.log.write(&holder.function, line.freeze());
        // Said before it ends: whoever sees the end asks why.
        let _ = holder.ended.set(reason);
        holder.process.kill();
    }
}

/// A line of `/proc/meminfo`.
fn kilobytes(name: &str) -> Option<u64> {
    let text = std::fs::read_to_string("/proc/meminfo").ok()?;
    let line = text.lines().find_map(|line| line.strip_prefix(name))?;
    line.split_ascii_whitespace().next()?.parse().ok()
}

/// A core writes some hundred megabytes to a memory file system meanwhile.
const LOOK_EVERY: Duration = Duration::from_millis(100);
const MEBIBYTE: u64 = 1024 * 1024;

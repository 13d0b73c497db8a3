//! The processes below an edge, told apart by the names they give themselves,
//! and what each of them holds.

use nix::unistd::Pid;
use std::fs;

/// What a process below an edge is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    Zygote,
    Template,
    Environment,
}

/// What a process holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Held {
    /// Anonymous resident memory.
    pub memory_kb: u64,
    pub descriptors: usize,
    pub threads: usize,
}

/// From now on this process is the parent of every process that an edge below it leaves without one.
///
/// # Panics
/// When the system does not know of this.
pub fn adopt_orphans() {
    nix::sys::prctl::set_child_subreaper(true).expect("a process may adopt orphans");
}

/// Processes of a kind below `edge`, now; the zygote is its child. One that is just made may still
/// have its parent's name.
#[must_use]
pub fn below(edge: Pid, kind: Kind) -> Vec<Pid> {
    let all = all();
    let name = match kind {
        Kind::Zygote => return children(&all, edge),
        Kind::Template => "js-template",
        Kind::Environment => "js-environment",
    };
    let mut found = Vec::new();
    let mut rest = vec![edge];
    while let Some(pid) = rest.pop() {
        let below = children(&all, pid);
        found.extend(below.iter().filter(|pid| name_of(**pid) == name));
        rest.extend(below);
    }
    found
}

/// Ended processes below `edge` that nobody has reaped.
#[must_use]
pub fn zombies(edge: Pid) -> usize {
    let all = all();
    let mut rest = vec![edge];
    let mut count = 0;
    while let Some(pid) = rest.pop() {
        for row in all.iter().filter(|row| row.parent == pid) {
            count += usize::from(row.state == 'Z');
            rest.push(row.pid);
        }
    }
    count
}

/// What `pid` holds; `None` when it is gone.
#[must_use]
pub fn held(pid: Pid) -> Option<Held> {
    let status = fs::read_to_string(format!("/proc/{pid}/status")).ok()?;
    let number = |key: &str| {
        let line = status.lines().find(|line| line.starts_with(key))?;
        line.split_whitespace().nth(1)?.parse::<u64>().ok()
    };
    let descriptors = fs::read_dir(format!("/proc/{pid}/fd")).ok()?.count();
    Some(Held { memory_kb: number("RssAnon:")?, descriptors, threads: usize::try_from(number("Threads:")?).ok()? })
}

struct Row {
    pid: Pid,
    parent: Pid,
    state: char,
}

fn children(all: &[Row], parent: Pid) -> Vec<Pid> {
    all.iter().filter(|row| row.parent == parent && row.state != 'Z').map(|row| row.pid).collect()
}

fn all() -> Vec<Row> {
    let entries = fs::read_dir("/proc").expect("/proc is there").flatten();
    entries.filter_map(|entry| row(&fs::read_to_string(entry.path().join("stat")).ok()?)).collect()
}

/// `pid (name) state parent …`; the name may hold spaces and parentheses.
fn row(stat: &str) -> Option<Row> {
    let (before, after) = stat.rsplit_once(')')?;
    let pid = before.split(' ').next()?.parse().ok()?;
    let mut fields = after.split_whitespace();
    let (state, parent) = (fields.next()?.chars().next()?, fields.next()?.parse().ok()?);
    Some(Row { pid: Pid::from_raw(pid), parent: Pid::from_raw(parent), state })
}

fn name_of(pid: Pid) -> String {
    fs::read_to_string(format!("/proc/{pid}/comm")).unwrap_or_default().trim_end().to_owned()
}

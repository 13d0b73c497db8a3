//! Control groups (version 2) below the one that the operator has delegated to
//! the PoP, with the processor's controller: each environment that has used up
//! its burst gets one, whose quota the kernel keeps. Who gets one, and when, is
//! `cpu`'s to decide.

use environment::limits::CPU_PERIOD;
use parking_lot::Mutex;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// The delegated group.
#[derive(Debug)]
pub(crate) struct Groups {
    directory: PathBuf,
    /// Groups of environments that ended, and whose processes may still be ending.
    left: Mutex<Vec<PathBuf>>,
}

/// The group of one environment. Removed some time after this is dropped.
#[derive(Debug)]
pub(crate) struct Group {
    directory: PathBuf,
    groups: Arc<Groups>,
}

impl Groups {
    /// Takes over the group this process is in: moves the process, and with it all that it will
    /// start, to one below, because only a group without processes may control others.
    ///
    /// # Errors
    /// Why there is none to take over, for a person. Nothing has changed then.
    pub(crate) fn take_over() -> Result<Arc<Groups>, String> {
        let own = own_directory().ok_or("no control groups of version 2 are mounted")?;
        let (directory, is_taken) = match own.file_name() {
            Some(name) if name == LEAF => (own.parent().unwrap_or(&own).to_owned(), true),
            _ => (own, false),
        };
        let shown = directory.display();
        let controllers = fs::read_to_string(directory.join(CONTROLLERS)).map_err(|e| format!("{shown}: {e}"))?;
        if !controllers.split_ascii_whitespace().any(|controller| controller == "cpu") {
            return Err(format!("{shown} has no cpu controller"));
        }
        let groups = Groups { directory: directory.clone(), left: Mutex::default() };
        if !is_taken {
            groups.enable().map_err(|error| format!("{shown} is not delegated to this process: {error}"))?;
        }
        groups.remove_those_of_others();
        Ok(Arc::new(groups))
    }

    fn enable(&self) -> io::Result<()> {
        let leaf = self.directory.join(LEAF);
        make(&leaf)?;
        let own = std::process::id().to_string();
        fs::write(leaf.join(PROCESSES), &own)?;
        fs::write(self.directory.join(CONTROL), "+cpu").inspect_err(|_| {
            // Back to how it was found.
            let _ = fs::write(self.directory.join(PROCESSES), &own);
            let _ = fs::remove_dir(&leaf);
        })
    }

    /// Undoes [`Groups::take_over`], for whoever only tried.
    pub(crate) fn give_back(&self) {
        let _ = fs::write(self.directory.join(CONTROL), "-cpu");
        let _ = fs::write(self.directory.join(PROCESSES), std::process::id().to_string());
        let _ = fs::remove_dir(self.directory.join(LEAF));
    }

    /// Where it is.
    pub(crate) fn directory(&self) -> &Path {
        &self.directory
    }

    /// A group for process `pid`, which is moved there. Takes as long as the kernel needs to see no
    /// process of the machine fork: some milliseconds.
    pub(crate) fn group(self: &Arc<Self>, pid: i32) -> io::Result<Group> {
        let name = format!("{PREFIX}{}-{pid}", std::process::id());
        let group = Group { directory: self.directory.join(name), groups: Arc::clone(self) };
        make(&group.directory)?;
        fs::write(group.directory.join(PROCESSES), pid.to_string())?;
        Ok(group)
    }

    /// Removes groups that are empty by now.
    pub(crate) fn sweep(&self) {
        self.left.lock().retain(|directory| fs::remove_dir(directory).is_err() && directory.exists());
    }

    /// A PoP that was killed has left its groups behind.
    fn remove_those_of_others(&self) {
        for entry in fs::read_dir(&self.directory).into_iter().flatten().flatten() {
            if entry.file_name().to_string_lossy().starts_with(PREFIX) {
                // Refused while anybody is in it.
                let _ = fs::remove_dir(entry.path());
            }
        }
    }
}

impl Group {
    /// From now on its processes get `share` of a core, in the kernel's periods.
    pub(crate) fn hold_to(&self, share: f64) -> io::Result<()> {
        fs::write(self.directory.join(QUOTA), quota(share))
    }

    /// From now on they get what there is.
    pub(crate) fn let_go(&self) -> io::Result<()> {
        fs::write(self.directory.join(QUOTA), "max")
    }
}

impl Drop for Group {
    fn drop(&mut self) {
        self.groups.left.lock().push(std::mem::take(&mut self.directory));
    }
}

/// Microseconds in each period, and the period.
fn quota(share: f64) -> String {
    let period = CPU_PERIOD.as_micros();
    let microseconds = CPU_PERIOD.mul_f64(share).as_micros().max(MICROSECONDS_MIN);
    format!("{microseconds} {period}")
}

fn make(directory: &Path) -> io::Result<()> {
    match fs::create_dir(directory) {
        Err(error) if error.kind() != io::ErrorKind::AlreadyExists => Err(error),
        _ => Ok(()),
    }
}

/// The directory of this process's group.
fn own_directory() -> Option<PathBuf> {
    let groups = fs::read_to_string("/proc/self/cgroup").ok()?;
    let mounts = fs::read_to_string("/proc/self/mountinfo").ok()?;
    directory_of(&groups, &mounts)
}

/// `0::/path`, seen through the mount of a control-group file system: its root is the fourth
/// field, its place the fifth, and its type follows a hyphen.
fn directory_of(groups: &str, mounts: &str) -> Option<PathBuf> {
    let own = groups.lines().find_map(|line| line.strip_prefix("0::"))?;
    mounts.lines().find_map(|line| {
        let (left, right) = line.split_once(" - ")?;
        if right.split(' ').next() != Some("cgroup2") {
            return None;
        }
        let mut fields = left.split(' ').skip(3);
        let (root, place) = (fields.next()?, fields.next()?);
        let below = Path::new(own).strip_prefix(root).ok()?;
        Some(Path::new(place).join(below))
    })
}

const LEAF: &str = "selvedge";
const PREFIX: &str = "environment-";
const CONTROLLERS: &str = "cgroup.controllers";
const CONTROL: &str = "cgroup.subtree_control";
const PROCESSES: &str = "cgroup.procs";
const QUOTA: &str = "cpu.max";

/// The kernel takes no less.
const MICROSECONDS_MIN: u128 = 1_000;

#[cfg(test)]
mod tests {
    use super::*;

    const MOUNTS: &str = "\
25 1 0:22 / /proc rw - proc proc rw
30 24 0:26 / /sys/fs/cgroup rw,nosuid - cgroup2 cgroup2 rw,nsdelegate
31 24 0:27 /other /mnt rw - cgroup2 cgroup2 rw
";

    #[test]
    fn the_own_group_is_found_through_the_mount() {
        let found = |groups| directory_of(groups, MOUNTS);
        let service = "/sys/fs/cgroup/system.slice/selvedge.service";
        assert_eq!(found("0::/system.slice/selvedge.service\n"), Some(service.into()));
        assert_eq!(found("4:cpu:/x\n0::/\n"), Some("/sys/fs/cgroup/".into()));
        assert_eq!(found("4:cpu:/x\n"), None);
        assert_eq!(directory_of("0::/other/one\n", &MOUNTS[MOUNTS.find("31").unwrap()..]), Some("/mnt/one".into()));
        assert_eq!(directory_of("0::/elsewhere\n", &MOUNTS[MOUNTS.find("31").unwrap()..]), None);
    }

    #[test]
    fn a_share_is_a_quota_of_each_period() {
        assert_eq!(quota(128.0 / 1_769.0), "7235 100000");
        assert_eq!(quota(0.5), "50000 100000");
        assert_eq!(quota(0.001), "1000 100000");
    }

    #[test]
    fn the_group_of_an_environment_is_removed_when_it_is_empty() {
        let directory = tempfile::tempdir().unwrap();
        let groups = Arc::new(Groups { directory: directory.path().to_owned(), left: Mutex::default() });
        let group = groups.group(17).unwrap();
        let path = group.directory.clone();
        assert_eq!(fs::read_to_string(path.join(PROCESSES)).unwrap(), "17");
        group.hold_to(0.25).unwrap();
        assert_eq!(fs::read_to_string(path.join(QUOTA)).unwrap(), "25000 100000");
        group.let_go().unwrap();
        assert_eq!(fs::read_to_string(path.join(QUOTA)).unwrap(), "max");
        drop(group);
        groups.sweep();
        assert!(path.exists(), "a directory with files stands for a group with processes");
        fs::remove_file(path.join(PROCESSES)).unwrap();
        fs::remove_file(path.join(QUOTA)).unwrap();
        groups.sweep();
        assert!(!path.exists() && groups.left.lock().is_empty());
    }
}

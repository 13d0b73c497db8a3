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
use std::time::Duration;

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
    /// Cores.
    share: f64,
    groups: Arc<Groups>,
}

impl Groups {
    /// Takes over the group this process is in: moves the process, and with it all that it will
    /// start, to one below, because only a group without processes may control others.
    ///
    /// # Errors
    /// Why there is none to take over, for a person. Nothing has changed then.
    pub(crate) fn take_over() -> Result<Arc<Groups>, String> {
        let (groups, found) = Groups::enter()?;
        if found != Found::Taken {
            groups.remove_those_of_others();
        }
        Ok(Arc::new(groups))
    }

    /// Where [`Groups::take_over`] would work. Nothing has changed afterwards, for a PoP that is in this group either.
    ///
    /// # Errors
    /// As there.
    pub(crate) fn attempt() -> Result<PathBuf, String> {
        let (groups, found) = Groups::enter()?;
        groups.leave(found);
        Ok(groups.directory)
    }

    fn enter() -> Result<(Groups, Found), String> {
        let own = own_directory().ok_or("no control groups of version 2 are mounted")?;
        let is_taken = own.file_name().is_some_and(|name| name == LEAF);
        let directory = if is_taken { own.parent().unwrap_or(&own).to_owned() } else { own };
        let shown = directory.display().to_string();
        let has_cpu = |file: &str| {
            let names = fs::read_to_string(directory.join(file)).map_err(|error| format!("{shown}: {error}"))?;
            Ok::<_, String>(names.split_ascii_whitespace().any(|controller| controller == "cpu"))
        };
        if !has_cpu(CONTROLLERS)? {
            return Err(format!("{shown} has no cpu controller"));
        }
        let found = match (is_taken, has_cpu(CONTROL)?) {
            (true, _) => Found::Taken,
            (false, true) => Found::Controlling,
            (false, false) => Found::Untouched,
        };
        let groups = Groups { directory, left: Mutex::default() };
        if found != Found::Taken {
            groups.enable(found).map_err(|error| format!("{shown} is not delegated to this process: {error}"))?;
        }
        Ok((groups, found))
    }

    fn enable(&self, found: Found) -> io::Result<()> {
        let leaf = self.directory.join(LEAF);
        make(&leaf)?;
        let enabled = fs::write(leaf.join(PROCESSES), std::process::id().to_string())
            .and_then(|()| fs::write(self.directory.join(CONTROL), "+cpu"))
            .and_then(|()| fs::write(leaf.join(WEIGHT), WEIGHT_OF_POP.to_string()));
        enabled.inspect_err(|_| self.leave(found))
    }

    /// Back to how it was found.
    fn leave(&self, found: Found) {
        if found == Found::Taken {
            return;
        }
        if found == Found::Untouched {
            let _ = fs::write(self.directory.join(CONTROL), "-cpu");
        }
        let _ = fs::write(self.directory.join(PROCESSES), std::process::id().to_string());
        let _ = fs::remove_dir(self.directory.join(LEAF));
    }

    /// Where it is.
    pub(crate) fn directory(&self) -> &Path {
        &self.directory
    }

    /// A group for process `pid`, which is moved there, with the weight of its `share` of a core. Takes as long
    /// as the kernel needs to see no process of the machine fork: some milliseconds.
    pub(crate) fn group(self: &Arc<Self>, pid: i32, share: f64) -> io::Result<Group> {
        let name = format!("{PREFIX}{}-{pid}", std::process::id());
        let group = Group { directory: self.directory.join(name), share, groups: Arc::clone(self) };
        make(&group.directory)?;
        // An earlier process with this number may have left it held.
        group.let_go()?;
        fs::write(group.directory.join(WEIGHT), weight(share).to_string())?;
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
    /// From now on its processes get their share of a core, in the kernel's periods.
    pub(crate) fn hold(&self) -> io::Result<()> {
        fs::write(self.directory.join(QUOTA), quota(self.share))
    }

    /// From now on they get what there is.
    pub(crate) fn let_go(&self) -> io::Result<()> {
        fs::write(self.directory.join(QUOTA), "max")
    }

    /// Processor time of all that were ever in it; `None` when it cannot be read.
    pub(crate) fn cpu_time(&self) -> Option<Duration> {
        used(&fs::read_to_string(self.directory.join(STATISTICS)).ok()?)
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

/// Among the groups beside it, where a process of the usual nice value would have 100.
fn weight(share: f64) -> u32 {
    #[expect(clippy::cast_possible_truncation, reason = "clamped")]
    let weight = (share * 100.0).round().clamp(1.0, 100.0) as u32;
    weight
}

fn used(statistics: &str) -> Option<Duration> {
    let micros = statistics.lines().find_map(|line| line.strip_prefix("usage_usec "))?;
    Some(Duration::from_micros(micros.parse().ok()?))
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

/// How a group was found.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Found {
    Untouched,
    /// With the controller already on for those below it, which the machine's own first group may be beside processes.
    Controlling,
    /// With this process in the group that [`Groups::take_over`] makes.
    Taken,
}

/// A name that nobody gives to a group he delegates.
const LEAF: &str = "selvedge.pop";
const PREFIX: &str = "environment-";
const CONTROLLERS: &str = "cgroup.controllers";
const CONTROL: &str = "cgroup.subtree_control";
const PROCESSES: &str = "cgroup.procs";
const QUOTA: &str = "cpu.max";
const WEIGHT: &str = "cpu.weight";
const STATISTICS: &str = "cpu.stat";

/// Of the PoP with everybody who has no group of his own: that of ten processes, because the kernel weighs the whole
/// group like one, however many are in it.
const WEIGHT_OF_POP: u32 = 1_000;

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
    fn processor_time_is_read_in_microseconds() {
        assert_eq!(used("usage_usec 2500000\nuser_usec 7\n"), Some(Duration::from_millis(2_500)));
        assert_eq!(used("user_usec 7\n"), None);
    }

    #[test]
    fn the_weight_is_that_of_the_share() {
        for (share, expected) in [(128.0 / 1_769.0, 7), (0.5, 50), (0.000_1, 1), (6.0, 100)] {
            assert_eq!(weight(share), expected, "{share}");
        }
    }

    #[test]
    fn the_group_of_an_environment_is_removed_when_it_is_empty() {
        let directory = tempfile::tempdir().unwrap();
        let groups = Arc::new(Groups { directory: directory.path().to_owned(), left: Mutex::default() });
        let group = groups.group(17, 0.25).unwrap();
        let path = group.directory.clone();
        assert_eq!(fs::read_to_string(path.join(PROCESSES)).unwrap(), "17");
        assert_eq!(fs::read_to_string(path.join(WEIGHT)).unwrap(), "25");
        group.hold().unwrap();
        assert_eq!(fs::read_to_string(path.join(QUOTA)).unwrap(), "25000 100000");
        group.let_go().unwrap();
        assert_eq!(fs::read_to_string(path.join(QUOTA)).unwrap(), "max");
        drop(group);
        groups.sweep();
        assert!(path.exists(), "a directory with files stands for a group with processes");
        for name in [PROCESSES, WEIGHT, QUOTA] {
            fs::remove_file(path.join(name)).unwrap();
        }
        groups.sweep();
        assert!(!path.exists() && groups.left.lock().is_empty());
    }
}

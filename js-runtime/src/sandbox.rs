//! What a process gives up before it runs user code: new privileges, core
//! dumps, most descriptors, the standard streams, and (landlock, where the
//! kernel has it) every file but its own and every listening port.

use anyhow::Context;
use environment::Manifest;
use landlock::{
    ABI, Access, AccessFs, AccessNet, CompatLevel, Compatible, PathBeneath, PathFd, Ruleset, RulesetAttr,
    RulesetCreatedAttr, Scope, path_beneath_rules,
};
use nix::sys::resource::{Resource, setrlimit};
use nix::sys::stat::{Mode, umask};
use std::fs::OpenOptions;
use std::path::{Path, PathBuf};

/// What of the sandbox this kernel cannot give, for the operator; `None` when all is there.
pub(crate) fn missing() -> Option<String> {
    let probe = Ruleset::default()
        .set_compatibility(CompatLevel::HardRequirement)
        .handle_access(AccessFs::from_all(ABI::V1))
        .and_then(Ruleset::create);
    let error = probe.err()?;
    Some(format!("handlers are kept from other files by the runtime only, the kernel has no landlock: {error}"))
}

/// For a template, before it loads user code. Its environments inherit it.
pub(crate) fn enter_template(manifest: &Manifest) -> anyhow::Result<()> {
    nix::sys::prctl::set_no_new_privs().context("no-new-privs")?;
    setrlimit(Resource::RLIMIT_CORE, 0, 0).context("core limit")?;
    setrlimit(Resource::RLIMIT_NOFILE, DESCRIPTORS_MAX, DESCRIPTORS_MAX)
        .with_context(|| format!("descriptor limit of {DESCRIPTORS_MAX}"))?;
    umask(Mode::from_bits_truncate(0o077));
    close_standard_streams()?;
    restrict_files(&manifest.code_dir, &manifest.tmp_root, "/proc")
}

/// For an environment: of the template's private files only its own directory stays.
pub(crate) fn enter_environment(manifest: &Manifest, tmp_dir: &Path) -> anyhow::Result<()> {
    restrict_files(&manifest.code_dir, tmp_dir, "/proc/self")
}

fn close_standard_streams() -> anyhow::Result<()> {
    let null = OpenOptions::new().read(true).write(true).open("/dev/null").context("/dev/null")?;
    nix::unistd::dup2_stdin(&null)?;
    nix::unistd::dup2_stdout(&null)?;
    nix::unistd::dup2_stderr(&null)?;
    Ok(())
}

/// Layers only ever take away: an environment's is the smaller of its own and its template's.
fn restrict_files(code_dir: &Path, write_dir: &Path, proc_dir: &str) -> anyhow::Result<()> {
    let read = AccessFs::ReadFile | AccessFs::ReadDir;
    let mut readable: Vec<PathBuf> = READABLE.iter().map(PathBuf::from).collect();
    readable.push(code_dir.to_owned());
    readable.push(proc_dir.into());
    let writable = PathFd::new(write_dir).with_context(|| format!("private directory {}", write_dir.display()))?;
    Ruleset::default()
        .handle_access(AccessFs::from_all(NEWEST))?
        .handle_access(AccessNet::BindTcp)?
        .scope(Scope::from_all(NEWEST))?
        .create()?
        .add_rules(path_beneath_rules(readable, read))?
        .add_rules(path_beneath_rules(DEVICES, AccessFs::ReadFile | AccessFs::WriteFile))?
        .add_rule(PathBeneath::new(writable, AccessFs::from_all(NEWEST) & !AccessFs::Execute))?
        .restrict_self()
        .context("landlock")?;
    Ok(())
}

/// Newer rights are used where the kernel knows them, down to none at all.
const NEWEST: ABI = ABI::V6;

const DESCRIPTORS_MAX: u64 = 1024;

/// Name resolution, certificates, time zones, and what `os` reports.
const READABLE: [&str; 12] = [
    "/etc",
    "/etc/resolv.conf",
    "/usr/lib",
    "/usr/lib64",
    "/lib",
    "/lib64",
    "/usr/share",
    "/proc/cpuinfo",
    "/proc/meminfo",
    "/proc/stat",
    "/proc/loadavg",
    "/proc/version",
];

const DEVICES: [&str; 4] = ["/dev/null", "/dev/zero", "/dev/random", "/dev/urandom"];

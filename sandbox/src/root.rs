//! The root directory of a cell: the function's code and key value stores, what name
//! resolution and TLS read, four devices, and empty places for `/proc` and `/tmp`. Everything
//! else of the machine stays outside.

use crate::code::Code;
use crate::failure::during;
use crate::mount::{self, Mode};
use crate::probe::Wish;
use environment::manifest::{LAYERS_DIR, STORES_DIR};
use nix::mount::{MntFlags, MsFlags, mount, umount2};
use nix::unistd::{chdir, pivot_root};
use std::fs::{self, File};
use std::io::{self, Read};
use std::os::fd::OwnedFd;
use std::path::{Path, PathBuf};

/// Where a function's code is, inside.
pub const CODE_DIR: &str = "/var/task";

/// What goes into a root, opened before the old one is covered.
pub(crate) struct Sources {
    links: Vec<(PathBuf, PathBuf)>,
    trees: Vec<(PathBuf, OwnedFd)>,
    devices: Vec<(PathBuf, OwnedFd)>,
    files: Vec<(PathBuf, Vec<u8>)>,
}

impl Sources {
    /// Of a function whose code is `code`, in the directories of `wish`.
    pub(crate) fn open(wish: &Wish, code: &Code) -> io::Result<Sources> {
        let code_mode = if code.is_native() { Mode::Native } else { Mode::ReadOnly };
        let mut trees = vec![(CODE_DIR.into(), read_only(&wish.code_dir, code_mode)?)];
        if let Some(layers_dir) = &wish.layers_dir {
            trees.push((LAYERS_DIR.into(), read_only(layers_dir, code_mode)?));
        }
        for store in &wish.key_value_stores {
            // The directory, not the file: that is another one after each change of the store.
            let tree = read_only(&store.directory, Mode::ReadOnly)?;
            trees.push((Path::new(STORES_DIR).join(&store.id), tree));
        }
        let more = if code.has_programs() { DIRECTORIES_OF_PROGRAMS } else { &[] };
        for path in DIRECTORIES.iter().chain(more).map(Path::new).filter(|path| path.is_dir()) {
            trees.push((path.to_owned(), read_only(path, Mode::ReadOnly)?));
        }
        let mut links = Vec::new();
        if code.has_programs() {
            links.extend(LINKS_OF_PROGRAMS.map(|(path, target)| (path.into(), target.into())));
        }
        for path in code.libraries() {
            match fs::read_link(path) {
                Ok(target) => links.push((path.clone(), target)),
                Err(_) => trees.push((path.clone(), read_only(path, Mode::Native)?)),
            }
        }
        let mut devices = Vec::new();
        // Mapped by several processes, it is memory that is nobody's.
        let left_out = if code.has_programs() { "/dev/zero" } else { "" };
        for path in DEVICES.iter().filter(|path| **path != left_out).map(Path::new) {
            let device = mount::copy_of(path)?;
            mount::restrict(&device, Mode::Device)?;
            devices.push((path.to_owned(), device));
        }
        let mut files: Vec<(PathBuf, Vec<u8>)> = Vec::new();
        for path in COPIED.iter().map(Path::new) {
            if let Some(mut content) = short_content(path) {
                if code.has_programs() && path == Path::new("/etc/hosts") {
                    content.extend_from_slice(HOST_OF_PROGRAMS);
                }
                files.push((path.to_owned(), content));
            }
        }
        files.push(("/etc/resolv.conf".into(), resolver_settings()));
        files.extend(OWN.iter().map(|(path, text)| (PathBuf::from(path), text.as_bytes().to_vec())));
        Ok(Sources { links, trees, devices, files })
    }

    /// Builds the root at [`NEW_ROOT`], which hides what was there.
    pub(crate) fn build(&self) -> io::Result<()> {
        let private = MsFlags::MS_REC | MsFlags::MS_PRIVATE;
        mount(None::<&str>, "/", None::<&str>, private, None::<&str>).map_err(during("making mounts private"))?;
        let flags = MsFlags::MS_NOSUID | MsFlags::MS_NODEV | MsFlags::MS_NOEXEC;
        mount(Some("tmpfs"), NEW_ROOT, Some("tmpfs"), flags, Some("mode=0755,size=1m,nr_inodes=256"))
            .map_err(during("root"))?;
        for directory in ["/proc", "/tmp"] {
            fs::create_dir_all(inside(Path::new(directory))).map_err(during(directory))?;
        }
        for (path, content) in &self.files {
            write(path, content)?;
        }
        for (path, target) in &self.links {
            if let Some(parent) = path.parent() {
                fs::create_dir_all(inside(parent)).map_err(during(path.display()))?;
            }
            std::os::unix::fs::symlink(target, inside(path)).map_err(during(path.display()))?;
        }
        for (path, tree) in &self.trees {
            let target = inside(path);
            fs::create_dir_all(&target).map_err(during(path.display()))?;
            mount::attach(tree, &target)?;
        }
        for (path, device) in &self.devices {
            write(path, b"")?;
            mount::attach(device, &inside(path))?;
        }
        Ok(())
    }
}

/// Makes the built root the only one.
pub(crate) fn enter() -> io::Result<()> {
    chdir(NEW_ROOT).map_err(during("entering the root"))?;
    pivot_root(".", ".").map_err(during("changing the root"))?;
    // The old root is now mounted over the new one.
    umount2(".", MntFlags::MNT_DETACH).map_err(during("leaving the old root"))?;
    chdir("/").map_err(during("entering the root"))?;
    mount::restrict_root()
}

fn read_only(path: &Path, mode: Mode) -> io::Result<OwnedFd> {
    let tree = mount::copy_of(path)?;
    mount::restrict(&tree, mode)?;
    Ok(tree)
}

/// Where `path` of the new root is while it is built.
fn inside(path: &Path) -> PathBuf {
    Path::new(NEW_ROOT).join(path.strip_prefix("/").unwrap_or(path))
}

fn write(path: &Path, content: &[u8]) -> io::Result<()> {
    use std::os::unix::fs::PermissionsExt;
    let target = inside(path);
    if let Some(parent) = target.parent() {
        fs::create_dir_all(parent).map_err(during(path.display()))?;
    }
    fs::write(&target, content).map_err(during(path.display()))?;
    fs::set_permissions(&target, fs::Permissions::from_mode(0o644)).map_err(during(path.display()))
}

/// The machine's name servers. Queries of one name follow each other: the resolver would send both
/// at once with a system call that no policy can look into.
fn resolver_settings() -> Vec<u8> {
    let mut settings = short_content(Path::new("/etc/resolv.conf")).unwrap_or_default();
    settings.extend_from_slice(b"\noptions single-request\n");
    settings
}

/// A file's content; `None` when there is none, or more than a root has room for.
fn short_content(path: &Path) -> Option<Vec<u8>> {
    let mut content = Vec::new();
    File::open(path).ok()?.take(FILE_BYTES_MAX + 1).read_to_end(&mut content).ok()?;
    (content.len() as u64 <= FILE_BYTES_MAX).then_some(content)
}

/// Any directory that every machine has: what is in it is opened before it is hidden.
pub(crate) const NEW_ROOT: &str = "/tmp";

const FILE_BYTES_MAX: u64 = 64 * 1024;

/// Certificates and time zones.
const DIRECTORIES: [&str; 5] = [
    "/etc/ssl/certs",
    "/etc/pki/tls/certs",
    "/etc/pki/ca-trust/extracted",
    "/usr/share/ca-certificates",
    "/usr/share/zoneinfo",
];

/// Where some systems say which of several programs is meant by a name.
const DIRECTORIES_OF_PROGRAMS: &[&str] = &["/etc/alternatives"];

/// Where extensions listen (AWS: "Lambda Telemetry API", destination).
const HOST_OF_PROGRAMS: &[u8] = b"\n127.0.0.1 sandbox.localdomain sandbox\n";

/// What shells write to and read from by name.
const LINKS_OF_PROGRAMS: [(&str, &str); 4] = [
    ("/dev/fd", "/proc/self/fd"),
    ("/dev/stdin", "/proc/self/fd/0"),
    ("/dev/stdout", "/proc/self/fd/1"),
    ("/dev/stderr", "/proc/self/fd/2"),
];

const DEVICES: [&str; 4] = ["/dev/null", "/dev/zero", "/dev/random", "/dev/urandom"];

const COPIED: [&str; 4] = ["/etc/hosts", "/etc/host.conf", "/etc/gai.conf", "/etc/localtime"];

/// The user is Lambda's; names come from the file of hosts and from DNS, which need no plug-in.
const OWN: [(&str, &str); 3] = [
    ("/etc/passwd", "sbx_user1051:x:993:990::/home/sbx_user1051:/sbin/nologin\n"),
    ("/etc/group", "sbx_user1051:x:990:\n"),
    ("/etc/nsswitch.conf", "passwd: files\ngroup: files\nhosts: files dns\n"),
];

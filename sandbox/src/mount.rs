//! The mount calls that the safe wrappers lack: trees and file systems held by
//! descriptor before they are attached anywhere.
#![allow(unsafe_code)]

use crate::failure::during;
use crate::fork::adopt;
use std::ffi::{CStr, CString};
use std::io;
use std::os::fd::{AsFd, AsRawFd, OwnedFd, RawFd};
use std::os::unix::ffi::OsStrExt;
use std::path::Path;

/// What a mount forbids.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Mode {
    /// Reading regular files only.
    ReadOnly,
    /// The same, and native code may be loaded from it.
    Native,
    /// Writing too, but no programs and no devices.
    Data,
    /// A device node.
    Device,
}

impl Mode {
    fn attributes(self) -> u64 {
        match self {
            Mode::ReadOnly => {
                libc::MOUNT_ATTR_RDONLY | libc::MOUNT_ATTR_NOSUID | libc::MOUNT_ATTR_NODEV | libc::MOUNT_ATTR_NOEXEC
            }
            Mode::Native => libc::MOUNT_ATTR_RDONLY | libc::MOUNT_ATTR_NOSUID | libc::MOUNT_ATTR_NODEV,
            Mode::Data => libc::MOUNT_ATTR_NOSUID | libc::MOUNT_ATTR_NODEV | libc::MOUNT_ATTR_NOEXEC,
            Mode::Device => libc::MOUNT_ATTR_NOSUID | libc::MOUNT_ATTR_NOEXEC,
        }
    }
}

/// A copy of what is mounted at `path`, attached nowhere.
pub(crate) fn copy_of(path: &Path) -> io::Result<OwnedFd> {
    let name = text(path.as_os_str().as_bytes())?;
    let flags = OPEN_TREE_CLONE | u64::from(libc::O_CLOEXEC.cast_unsigned()) | u64::from(AT_RECURSIVE);
    // SAFETY: the path is a live C string.
    let answer = unsafe { libc::syscall(libc::SYS_open_tree, libc::AT_FDCWD, name.as_ptr(), flags) };
    descriptor(answer).map_err(during(format_args!("copy of the mount at {}", path.display())))
}

/// Sets `mode` on a whole unattached tree.
pub(crate) fn restrict(tree: &OwnedFd, mode: Mode) -> io::Result<()> {
    set_attributes(tree.as_raw_fd(), c"", mode).map_err(during("restricting a mount"))
}

/// Makes the mount at `/` read-only, not what is mounted below it.
pub(crate) fn restrict_root() -> io::Result<()> {
    set_attributes(libc::AT_FDCWD, c"/", Mode::ReadOnly).map_err(during("making the root read-only"))
}

fn set_attributes(directory: RawFd, path: &CStr, mode: Mode) -> io::Result<()> {
    let attributes = [mode.attributes(), 0, 0, 0];
    let flags = if path.is_empty() { libc::AT_EMPTY_PATH.cast_unsigned() | AT_RECURSIVE } else { 0 };
    // SAFETY: the path is a C string, the attributes are a live `struct mount_attr` of four words
    // and their size is given.
    let answer = unsafe {
        libc::syscall(
            libc::SYS_mount_setattr,
            directory,
            path.as_ptr(),
            flags,
            attributes.as_ptr(),
            size_of_val(&attributes),
        )
    };
    if answer < 0 { Err(io::Error::last_os_error()) } else { Ok(()) }
}

/// Attaches an unattached tree at `target`, which exists.
pub(crate) fn attach(tree: impl AsFd, target: &Path) -> io::Result<()> {
    let name = text(target.as_os_str().as_bytes())?;
    // SAFETY: both paths are live C strings, the descriptor is open.
    let answer = unsafe {
        libc::syscall(
            libc::SYS_move_mount,
            tree.as_fd().as_raw_fd(),
            c"".as_ptr(),
            libc::AT_FDCWD,
            name.as_ptr(),
            MOVE_MOUNT_F_EMPTY_PATH,
        )
    };
    if answer < 0 {
        return Err(during(format_args!("mount at {}", target.display()))(io::Error::last_os_error()));
    }
    Ok(())
}

/// A new, empty memory file system, attached nowhere.
pub(crate) fn memory_file_system(options: &[(&CStr, String)], mode: Mode) -> io::Result<OwnedFd> {
    // SAFETY: the name is a C string.
    let context = unsafe { libc::syscall(libc::SYS_fsopen, c"tmpfs".as_ptr(), FSOPEN_CLOEXEC) };
    let context = descriptor(context).map_err(during("tmpfs"))?;
    for (key, value) in options {
        if value.is_empty() {
            configure(&context, FSCONFIG_SET_FLAG, key, None)?;
        } else {
            configure(&context, FSCONFIG_SET_STRING, key, Some(&text(value.as_bytes())?))?;
        }
    }
    configure(&context, FSCONFIG_CMD_CREATE, c"", None)?;
    // SAFETY: integers only; the descriptor is open.
    let mounted = unsafe { libc::syscall(libc::SYS_fsmount, context.as_raw_fd(), FSMOUNT_CLOEXEC, mode.attributes()) };
    descriptor(mounted).map_err(during("mount of a tmpfs"))
}

fn configure(context: &OwnedFd, command: libc::c_uint, key: &CStr, value: Option<&CStr>) -> io::Result<()> {
    let key_pointer = if key.is_empty() { std::ptr::null() } else { key.as_ptr() };
    let value = value.map_or(std::ptr::null(), CStr::as_ptr);
    // SAFETY: key and value are live C strings or null, as the command wants them.
    let answer = unsafe { libc::syscall(libc::SYS_fsconfig, context.as_raw_fd(), command, key_pointer, value, 0) };
    if answer < 0 {
        return Err(during(format_args!("tmpfs option {key:?}"))(io::Error::last_os_error()));
    }
    Ok(())
}

fn descriptor(answer: libc::c_long) -> io::Result<OwnedFd> {
    match RawFd::try_from(answer) {
        Ok(number) if number >= 0 => Ok(adopt(number)),
        _ => Err(io::Error::last_os_error()),
    }
}

fn text(bytes: &[u8]) -> io::Result<CString> {
    CString::new(bytes).map_err(io::Error::other)
}

const OPEN_TREE_CLONE: u64 = 1;
const AT_RECURSIVE: u32 = 0x8000;
const MOVE_MOUNT_F_EMPTY_PATH: libc::c_uint = 4;
const FSOPEN_CLOEXEC: libc::c_uint = 1;
const FSMOUNT_CLOEXEC: libc::c_uint = 1;
const FSCONFIG_SET_FLAG: libc::c_uint = 0;
const FSCONFIG_SET_STRING: libc::c_uint = 1;
const FSCONFIG_CMD_CREATE: libc::c_uint = 6;

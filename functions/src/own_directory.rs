//! Directories that a PoP has for as long as it runs, beside those of others that use the same data directory.

use std::fs;
use std::io;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use tempfile::TempDir;

/// A directory of this process's own. Those of processes that are gone are removed.
pub(crate) fn own_directory(all: &Path) -> io::Result<TempDir> {
    fs::create_dir_all(all)?;
    for found in fs::read_dir(all)? {
        let found = found?;
        let name = found.file_name();
        let owner = name.to_str().and_then(|name| name.split('.').next());
        if owner.is_some_and(|pid| !Path::new("/proc").join(pid).exists()) {
            let _ = fs::remove_dir_all(found.path());
        }
    }
    let directory = tempfile::Builder::new().prefix(&format!("{}.", std::process::id())).tempdir_in(all)?;
    fs::set_permissions(directory.path(), fs::Permissions::from_mode(0o755))?;
    Ok(directory)
}

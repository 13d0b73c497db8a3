//! Copies of the state, taken while the edge runs and put back while it does not. The key
//! is not in them: who finds a copy cannot open it.

use crate::make_private;
use rusqlite::{Connection, TransactionBehavior};
use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::time::Duration;

/// Why there is no copy.
#[derive(Debug, thiserror::Error)]
pub enum BackupError {
    #[error("there is no state of a control plane in {}", .0.display())]
    NoState(PathBuf),
    #[error("{} has something in it already", .0.display())]
    NotEmpty(PathBuf),
    #[error("{}: {source}", path.display())]
    File { path: PathBuf, source: io::Error },
    #[error("the state cannot be copied: {0}")]
    Database(#[from] rusqlite::Error),
}

/// Copies the state in `data_dir` to the directory `to`, which is made. Changes wait
/// meanwhile; what was acknowledged before is in the copy. Returns how many packages there are.
///
/// # Errors
/// There is no state, or the copy cannot be written.
pub fn backup(data_dir: &Path, to: &Path) -> Result<usize, BackupError> {
    let from = data_dir.join(DIRECTORY);
    let database = from.join(DATABASE);
    if !database.is_file() {
        return Err(BackupError::NoState(from));
    }
    must_be_empty(to)?;
    make_private(to).map_err(failed(to))?;
    let mut holder = Connection::open(&database)?;
    holder.busy_timeout(BUSY_MAX)?;
    // Nobody else writes until this is dropped, so that database and packages fit each other.
    let held = holder.transaction_with_behavior(TransactionBehavior::Immediate)?;
    let copy = to.join(DATABASE);
    Connection::open(&database)?.execute("VACUUM INTO ?1", [copy.to_string_lossy()])?;
    let count = copy_packages(&from.join(PACKAGES), &to.join(PACKAGES))?;
    held.rollback()?;
    Ok(count)
}

/// Puts a copy back into `data_dir`, which must have no state. Returns how many packages there are.
///
/// # Errors
/// There is a state already, or none in the copy.
pub fn restore(data_dir: &Path, from: &Path) -> Result<usize, BackupError> {
    if !from.join(DATABASE).is_file() {
        return Err(BackupError::NoState(from.to_path_buf()));
    }
    let to = data_dir.join(DIRECTORY);
    if to.join(DATABASE).exists() {
        return Err(BackupError::NotEmpty(to));
    }
    make_private(&to).map_err(failed(&to))?;
    let count = copy_packages(&from.join(PACKAGES), &to.join(PACKAGES))?;
    // Last, and in one step: a state that is there has its packages.
    let part = to.join("state.part");
    fs::copy(from.join(DATABASE), &part).map_err(failed(&part))?;
    fs::rename(&part, to.join(DATABASE)).map_err(failed(&part))?;
    Ok(count)
}

fn copy_packages(from: &Path, to: &Path) -> Result<usize, BackupError> {
    fs::create_dir_all(to).map_err(failed(to))?;
    let mut count = 0;
    for entry in fs::read_dir(from).map_err(failed(from))? {
        let path = entry.map_err(failed(from))?.path();
        let name = path.file_name().filter(|name| name.len() == DIGEST_LENGTH);
        let Some(name) = name else { continue };
        match fs::copy(&path, to.join(name)) {
            Ok(_) => count += 1,
            // Removed because nothing uses it any more.
            Err(error) if error.kind() == io::ErrorKind::NotFound => {}
            Err(error) => return Err(failed(&path)(error)),
        }
    }
    Ok(count)
}

fn must_be_empty(directory: &Path) -> Result<(), BackupError> {
    match fs::read_dir(directory) {
        Ok(mut entries) => match entries.next() {
            Some(_) => Err(BackupError::NotEmpty(directory.to_path_buf())),
            None => Ok(()),
        },
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        Err(error) => Err(failed(directory)(error)),
    }
}

fn failed(path: &Path) -> impl Fn(io::Error) -> BackupError {
    let path = path.to_path_buf();
    move |source| BackupError::File { path: path.clone(), source }
}

/// Below the data directory.
pub(crate) const DIRECTORY: &str = "control";
pub(crate) const DATABASE: &str = "state.db";
pub(crate) const PACKAGES: &str = "packages";
/// Hex of a SHA-256.
const DIGEST_LENGTH: usize = 64;
/// How long one waits for another that writes, a backup among them.
pub(crate) const BUSY_MAX: Duration = Duration::from_secs(60);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_copy_is_refused_where_something_is_and_where_nothing_is() {
        let dir = tempfile::tempdir().unwrap();
        let (data, copy) = (dir.path().join("data"), dir.path().join("copy"));
        assert!(matches!(backup(&data, &copy), Err(BackupError::NoState(_))));
        assert!(matches!(restore(&data, &copy), Err(BackupError::NoState(_))));
        fs::create_dir_all(data.join("control/packages")).unwrap();
        Connection::open(data.join("control/state.db"))
            .unwrap()
            .execute_batch("CREATE TABLE t (a); INSERT INTO t VALUES (7);")
            .unwrap();
        fs::write(data.join("control/packages").join("a".repeat(64)), "sealed").unwrap();
        fs::write(data.join("control/key"), "secret").unwrap();
        assert_eq!(backup(&data, &copy).unwrap(), 1);
        assert!(!copy.join("key").exists());
        assert!(matches!(backup(&data, &copy), Err(BackupError::NotEmpty(_))));
        assert!(matches!(restore(&data, &copy), Err(BackupError::NotEmpty(_))));
        let other = dir.path().join("other");
        assert_eq!(restore(&other, &copy).unwrap(), 1);
        let restored = Connection::open(other.join("control/state.db")).unwrap();
        assert_eq!(restored.query_row("SELECT a FROM t", [], |row| row.get::<_, i64>(0)).unwrap(), 7);
    }
}

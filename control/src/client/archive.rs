//! A directory as the archive that Lambda takes.

use super::ClientError;
use std::fs;
use std::io::{Cursor, Write as _};
use std::path::Path;
use zip::ZipWriter;
use zip::write::SimpleFileOptions;

/// The archive at `path`, or one of everything in the directory there. The same content
/// gives the same bytes.
///
/// # Errors
/// It cannot be read.
pub fn archive(path: &Path) -> Result<Vec<u8>, ClientError> {
    let failed =
        |reason: &dyn std::fmt::Display| ClientError::Code { path: path.to_path_buf(), reason: reason.to_string() };
    if path.is_file() {
        return fs::read(path).map_err(|error| failed(&error));
    }
    let mut names = Vec::new();
    list(path, "", &mut names).map_err(|error| failed(&error))?;
    names.sort();
    let mut writer = ZipWriter::new(Cursor::new(Vec::new()));
    for name in names {
        use std::os::unix::fs::PermissionsExt as _;
        let file = path.join(&name);
        let mode = fs::metadata(&file).map_err(|error| failed(&error))?.permissions().mode();
        let mode = if mode & 0o111 == 0 { 0o644 } else { 0o755 };
        let options = SimpleFileOptions::default().unix_permissions(mode);
        writer.start_file(name.as_str(), options).map_err(|error| failed(&error))?;
        let content = fs::read(&file).map_err(|error| failed(&error))?;
        writer.write_all(&content).map_err(|error| failed(&error))?;
    }
    writer.finish().map(Cursor::into_inner).map_err(|error| failed(&error))
}

/// Of git: no part of the code.
const REPOSITORY: &str = ".git";

fn list(root: &Path, below: &str, names: &mut Vec<String>) -> std::io::Result<()> {
    for entry in fs::read_dir(root.join(below))? {
        let entry = entry?;
        let name = entry.file_name().to_string_lossy().into_owned();
        if name == REPOSITORY {
            continue;
        }
        let name = if below.is_empty() { name } else { format!("{below}/{name}") };
        if fs::metadata(entry.path())?.is_dir() {
            list(root, &name, names)?;
        } else {
            names.push(name);
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_same_directory_gives_the_same_archive() {
        let dir = tempfile::tempdir().unwrap();
        fs::create_dir(dir.path().join("lib")).unwrap();
        fs::write(dir.path().join("lib/a.mjs"), "a").unwrap();
        fs::write(dir.path().join("index.mjs"), "b").unwrap();
        fs::create_dir(dir.path().join(".git")).unwrap();
        fs::write(dir.path().join(".git/HEAD"), "c").unwrap();
        let one = archive(dir.path()).unwrap();
        assert_eq!(one, archive(dir.path()).unwrap());
        let mut read = zip::ZipArchive::new(Cursor::new(one)).unwrap();
        let names: Vec<String> =
            (0..read.len()).map(|nth| read.by_index(nth).unwrap().name().unwrap().into_owned()).collect();
        assert_eq!(names, ["index.mjs", "lib/a.mjs"]);
        assert!(archive(&dir.path().join("absent")).is_err());
    }
}

//! Packages good and bad.

use super::*;
use crate::config::{Scaling, SnapStart};
use crate::network::NetworkPolicy;
use environment::Runtime;
use std::fs::{self, File};
use std::io::Write;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::time::Duration;
use tempfile::TempDir;
use zip::ZipWriter;
use zip::write::SimpleFileOptions;

/// As the first package of a start: nothing is known yet.
fn install(config: &FunctionConfig, packages: &Path) -> Result<Installed, PackageError> {
    super::install(config, packages, &Known::default())
}

fn function(package: PackageSource) -> FunctionConfig {
    FunctionConfig {
        name: "f".into(),
        version: "1".into(),
        package,
        layers: Vec::new(),
        handler: "index.handler".into(),
        runtime: Runtime::Nodejs22,
        interpreter: None,
        memory_mb: 128,
        timeout: Duration::from_secs(3),
        tmp_mb: 512,
        network: NetworkPolicy::default(),
        variables: std::collections::BTreeMap::new(),
        scaling: Scaling { environments_max: 10, ..Scaling::default() },
        snap_start: SnapStart::default(),
        idempotent: false,
        key_value_stores: Vec::new(),
    }
}

fn directory(files: &[(&str, &str)]) -> TempDir {
    let root = tempfile::tempdir().unwrap();
    for (name, text) in files {
        let path = root.path().join(name);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, text).unwrap();
    }
    root
}

enum Zipped<'a> {
    File(&'a str, &'a [u8], u32),
    Link(&'a str, &'a str),
}

fn archive(at: &Path, entries: &[Zipped<'_>]) -> FunctionConfig {
    let path = at.join("code.zip");
    let mut writer = ZipWriter::new(File::create(&path).unwrap());
    for entry in entries {
        match entry {
            Zipped::File(name, content, mode) => {
                writer.start_file(*name, SimpleFileOptions::default().unix_permissions(*mode)).unwrap();
                writer.write_all(content).unwrap();
            }
            Zipped::Link(name, target) => {
                writer.add_symlink(*name, *target, SimpleFileOptions::default()).unwrap();
            }
        }
    }
    writer.finish().unwrap();
    function(PackageSource::Zip(path))
}

#[test]
fn a_directory_is_copied_with_its_modes_and_links() {
    let code = directory(&[("index.mjs", "export {}"), ("lib/run", "#!/bin/sh"), ("lib/data", "x")]);
    fs::set_permissions(code.path().join("lib/run"), fs::Permissions::from_mode(0o700)).unwrap();
    symlink("lib/data", code.path().join("link")).unwrap();
    let data = tempfile::tempdir().unwrap();
    let config = function(PackageSource::Directory(code.path().into()));
    let Installed { code_dir: installed, digest, .. } = install(&config, &data.path().join("packages")).unwrap();
    assert_eq!(digest, check_package(&config).unwrap());
    assert_eq!(installed, data.path().join("packages").join(&digest.0));
    let mode = |name: &str| fs::metadata(installed.join(name)).unwrap().permissions().mode() & 0o777;
    assert_eq!((mode("lib/run"), mode("lib/data"), mode("index.mjs")), (0o755, 0o644, 0o644));
    assert_eq!(fs::read_link(installed.join("link")).unwrap(), Path::new("lib/data"));
    assert_eq!(install(&config, &data.path().join("packages")).unwrap().code_dir, installed);
}

#[test]
fn an_edit_changes_the_digest() {
    let code = directory(&[("index.js", "1")]);
    let config = function(PackageSource::Directory(code.path().into()));
    let before = check_package(&config).unwrap();
    assert_eq!(check_package(&config).unwrap(), before);
    fs::write(code.path().join("index.js"), "2").unwrap();
    assert_ne!(check_package(&config).unwrap(), before);
}

#[test]
fn what_git_keeps_is_no_part_of_a_package() {
    let root = directory(&[("index.mjs", "1"), ("lib/a.mjs", "2")]);
    let before = check_package(&function(PackageSource::Directory(root.path().into()))).unwrap();
    fs::create_dir(root.path().join(".git")).unwrap();
    fs::write(root.path().join(".git/HEAD"), "ref").unwrap();
    assert_eq!(check_package(&function(PackageSource::Directory(root.path().into()))).unwrap(), before);
}

#[test]
fn a_handler_in_typescript_is_found() {
    for file in ["index.ts", "index.mts", "index.cts", "index/index.ts"] {
        let root = directory(&[(file, "")]);
        assert!(check_package(&function(PackageSource::Directory(root.path().into()))).is_ok(), "{file}");
    }
    let root = directory(&[("index.d.ts", "")]);
    let refused = check_package(&function(PackageSource::Directory(root.path().into()))).unwrap_err().to_string();
    assert!(refused.contains("index.ts, index.mts, index.cts in the package"), "{refused}");
}

#[test]
fn links_out_of_a_directory_are_refused() {
    for target in ["/etc/passwd", "../outside", "lib/../../outside"] {
        let code = directory(&[("index.js", ""), ("lib/data", "")]);
        symlink(target, code.path().join("link")).unwrap();
        let error = check_package(&function(PackageSource::Directory(code.path().into()))).unwrap_err();
        assert!(matches!(error, PackageError::Link(_)), "{target}: {error}");
    }
}

#[test]
fn sockets_in_a_directory_are_refused() {
    let code = directory(&[("index.js", "")]);
    let _socket = std::os::unix::net::UnixListener::bind(code.path().join("socket")).unwrap();
    let error = check_package(&function(PackageSource::Directory(code.path().into()))).unwrap_err();
    assert!(matches!(error, PackageError::Special(_)), "{error}");
}

#[test]
fn an_archive_is_unpacked_with_its_modes_and_links() {
    let at = tempfile::tempdir().unwrap();
    let entries = [
        Zipped::File("index.js", b"exports", 0o600),
        Zipped::File("bin/run", b"#!", 0o755),
        Zipped::Link("node_modules/.bin/run", "../../bin/run"),
    ];
    let config = archive(at.path(), &entries);
    let Installed { code_dir: installed, digest, .. } = install(&config, &at.path().join("packages")).unwrap();
    assert_eq!(digest, check_package(&config).unwrap());
    assert_eq!(fs::read(installed.join("node_modules/.bin/run")).unwrap(), b"#!");
    let mode = |name: &str| fs::metadata(installed.join(name)).unwrap().permissions().mode() & 0o777;
    assert_eq!((mode("index.js"), mode("bin/run"), mode("")), (0o644, 0o755, 0o755));
}

#[test]
fn archive_names_that_lead_out_are_refused() {
    for name in ["../evil", "/evil", "a/../../evil", "a\\..\\evil", "."] {
        let at = tempfile::tempdir().unwrap();
        let config = archive(at.path(), &[Zipped::File("index.js", b"", 0o644), Zipped::File(name, b"", 0o644)]);
        let error = install(&config, &at.path().join("packages")).unwrap_err();
        assert!(matches!(error, PackageError::Name(_) | PackageError::Archive { .. }), "{name}: {error}");
        assert!(!at.path().join("evil").exists());
    }
}

#[test]
fn archive_links_that_lead_out_are_refused() {
    let at = tempfile::tempdir().unwrap();
    for target in ["/etc", "../x", "a/../../x"] {
        let config = archive(at.path(), &[Zipped::File("index.js", b"", 0o644), Zipped::Link("link", target)]);
        let error = install(&config, &at.path().join("packages")).unwrap_err();
        assert!(matches!(error, PackageError::Link(_)), "{target}: {error}");
    }
}

#[test]
fn files_below_a_link_are_refused() {
    let at = tempfile::tempdir().unwrap();
    let entries =
        [Zipped::File("index.js", b"", 0o644), Zipped::Link("a", "b"), Zipped::File("a/written", b"x", 0o644)];
    let error = install(&archive(at.path(), &entries), &at.path().join("packages")).unwrap_err();
    assert!(matches!(error, PackageError::Name(_)), "{error}");
}

#[test]
fn names_that_become_the_same_are_refused() {
    let at = tempfile::tempdir().unwrap();
    let entries = [Zipped::File("index.js", b"1", 0o644), Zipped::File("./index.js", b"2", 0o644)];
    let error = check_package(&archive(at.path(), &entries)).unwrap_err();
    assert!(matches!(error, PackageError::Duplicate(_)), "{error}");
}

#[test]
fn a_bomb_is_refused_and_leaves_nothing() {
    let at = tempfile::tempdir().unwrap();
    let zeros = vec![0; 130 * 1024 * 1024];
    let entries =
        [Zipped::File("index.js", b"", 0o644), Zipped::File("a", &zeros, 0o644), Zipped::File("b", &zeros, 0o644)];
    let error = install(&archive(at.path(), &entries), &at.path().join("packages")).unwrap_err();
    assert!(matches!(error, PackageError::TooLarge), "{error}");
    assert_eq!(fs::read_dir(at.path().join("packages")).unwrap().count(), 0);
}

#[test]
fn directories_that_only_names_imply_are_counted() {
    let at = tempfile::tempdir().unwrap();
    let names: Vec<String> = (0..400).map(|nth| format!("{nth}/{}x", "d/".repeat(300))).collect();
    let entries = names.iter().map(|name| Zipped::File(name, b"", 0o644)).chain([Zipped::File("index.js", b"", 0o644)]);
    let config = archive(at.path(), &entries.collect::<Vec<_>>());
    let error = check_package(&config).unwrap_err();
    assert!(matches!(error, PackageError::TooManyFiles), "{error}");
}

#[test]
fn what_is_no_archive_is_refused() {
    let at = tempfile::tempdir().unwrap();
    fs::write(at.path().join("code.zip"), "not a zip").unwrap();
    let error = check_package(&function(PackageSource::Zip(at.path().join("code.zip")))).unwrap_err();
    assert!(matches!(error, PackageError::Archive { .. }), "{error}");
}

#[test]
fn the_handler_must_name_a_module_of_the_package() {
    let code = directory(&[("index.js", ""), ("src/app.mjs", ""), ("node_modules/pkg/main.js", "")]);
    let check = |handler: &str| {
        let mut config = function(PackageSource::Directory(code.path().into()));
        config.handler = handler.into();
        check_package(&config)
    };
    for good in ["index.handler", "index.a.b", "src/app.handler", "./index.handler", "pkg.handler"] {
        assert!(check(good).is_ok(), "{good}: {:?}", check(good));
    }
    for bad in ["index", "other.handler", "../index.handler", ".handler", "index.", "src/index.handler", ""] {
        assert!(matches!(check(bad), Err(PackageError::Handler { .. })), "{bad}");
    }
}

#[test]
fn an_archive_of_50_mb_is_read_and_a_larger_one_is_refused() {
    let at = tempfile::tempdir().unwrap();
    let config = archive(at.path(), &[Zipped::File("index.js", b"", 0o644)]);
    let file = File::options().write(true).open(config.package.path()).unwrap();
    file.set_len(PACKAGE_ZIP_BYTES_MAX + 1).unwrap();
    let error = check_package(&config).unwrap_err();
    assert!(matches!(error, PackageError::ArchiveTooLarge { bytes } if bytes == PACKAGE_ZIP_BYTES_MAX + 1), "{error}");
    assert!(error.to_string().contains("limit of 52428800"), "{error}");
    // One byte less passes this limit; padded with zeros it is only no archive any more.
    file.set_len(PACKAGE_ZIP_BYTES_MAX).unwrap();
    assert!(matches!(check_package(&config).unwrap_err(), PackageError::Archive { .. }));
}

#[test]
fn a_package_of_100_000_files_is_taken_and_a_larger_one_is_refused() {
    let at = tempfile::tempdir().unwrap();
    let packed = |files: usize| {
        let names: Vec<String> = (1..files).map(|nth| format!("f{nth}")).collect();
        let entries = names.iter().map(|name| Zipped::File(name, b"", 0o644));
        archive(at.path(), &entries.chain([Zipped::File("index.js", b"", 0o644)]).collect::<Vec<_>>())
    };
    check_package(&packed(PACKAGE_FILES_MAX)).unwrap();
    let error = check_package(&packed(PACKAGE_FILES_MAX + 1)).unwrap_err();
    assert!(matches!(error, PackageError::TooManyFiles), "{error}");

    let code = directory(&[("index.js", ""), ("a/0", "")]);
    for nth in 1..PACKAGE_FILES_MAX - 2 {
        fs::hard_link(code.path().join("a/0"), code.path().join(format!("a/{nth}"))).unwrap_or_else(|_| {
            // Some file systems allow fewer links than that.
            fs::write(code.path().join(format!("a/{nth}")), "").unwrap();
        });
    }
    let listed = |code: &TempDir| super::directory::list(code.path()).map(|listing| listing.entries.len());
    assert_eq!(listed(&code).unwrap(), PACKAGE_FILES_MAX);
    fs::write(code.path().join("one-more"), "").unwrap();
    assert!(matches!(listed(&code).unwrap_err(), PackageError::TooManyFiles));
}

#[test]
fn only_packages_that_nobody_holds_are_removed() {
    let (one, other) = (directory(&[("index.js", "1")]), directory(&[("index.js", "2")]));
    let data = tempfile::tempdir().unwrap();
    let packages = data.path().join("packages");
    assert_eq!(remove_unused(&packages).unwrap(), 0);
    let installed =
        |code: &TempDir| install(&function(PackageSource::Directory(code.path().into())), &packages).unwrap();
    let (kept, dropped) = (installed(&one), installed(&other));
    fs::create_dir(packages.join(".unpack-left-behind")).unwrap();
    let again = installed(&other);
    drop(dropped);
    assert_eq!(remove_unused(&packages).unwrap(), 1);
    assert!(again.code_dir.is_dir());
    drop(again);
    assert_eq!(remove_unused(&packages).unwrap(), 1);
    let left: Vec<_> = fs::read_dir(&packages).unwrap().map(|entry| entry.unwrap().path()).collect();
    assert_eq!(left, std::slice::from_ref(&kept.code_dir));
    assert!(installed(&other).code_dir.join("index.js").is_file());
}

//! Zip archives written byte by byte, so that they can lie, and what must be
//! true of the disk after one was unpacked or refused.

use arbitrary::{Arbitrary, Result, Unstructured};
use environment::limits::{PACKAGE_BYTES_MAX, PACKAGE_FILES_MAX};
use flate2::Compression;
use flate2::write::DeflateEncoder;
use functions::PackageError;
use std::collections::BTreeMap;
use std::fs;
use std::io::Write;
use std::os::unix::fs::MetadataExt;
use std::path::{Component, Path};
use std::sync::LazyLock;
use tempfile::TempDir;

/// One entry as an archive claims it.
#[derive(Debug)]
pub struct Entry {
    pub name: String,
    /// The name in the local header, when it is another one.
    pub local_name: Option<String>,
    /// Unix mode with its type bits.
    pub mode: u32,
    pub content: Vec<u8>,
    /// The content this many times more.
    pub repeats: u16,
    pub deflated: bool,
    /// Added to the true size, in the central directory.
    pub size_lie: i32,
}

impl<'a> Arbitrary<'a> for Entry {
    fn arbitrary(u: &mut Unstructured<'a>) -> Result<Entry> {
        let kind = if u.ratio(3, 4)? { FILE } else { *u.choose(&[DIRECTORY, LINK, LINK, PIPE, 0])? };
        let content = if kind == LINK { target(u)?.into_bytes() } else { u.arbitrary()? };
        // Twice what a package may have is bomb enough.
        let most = 2 * PACKAGE_BYTES_MAX / (content.len() as u64).max(1);
        let most = u16::try_from(most).unwrap_or(u16::MAX);
        Ok(Entry {
            name: name(u)?,
            local_name: if u.ratio(1, 32)? { Some(name(u)?) } else { None },
            mode: kind | u.int_in_range(0..=0o777)?,
            content,
            repeats: if u.ratio(1, 8)? { u.int_in_range(0..=most)? } else { 0 },
            deflated: u.arbitrary()?,
            size_lie: if u.ratio(1, 32)? { u.int_in_range(-100..=100)? } else { 0 },
        })
    }
}

/// Mostly lawful, or no archive with more than two entries would pass.
fn name(u: &mut Unstructured<'_>) -> Result<String> {
    if u.ratio(1, 48)? {
        return u.arbitrary();
    }
    let unlawful = ["..", ".", "", "a\\b", "\0"];
    let mut parts = Vec::new();
    for _ in 0..u.int_in_range(1..=4)? {
        let letter = *u.choose(&LETTERS)?;
        let part = if u.ratio(1, 24)? { (*u.choose(&unlawful)?).to_owned() } else { letter.to_string() };
        parts.push(part);
    }
    Ok(parts.join("/"))
}

/// Where a link leads: up as often as down.
fn target(u: &mut Unstructured<'_>) -> Result<String> {
    let ups = u.int_in_range(0..=3)?;
    Ok("../".repeat(ups) + &name(u)?)
}

const LETTERS: [char; 8] = ['a', 'b', 'c', 'd', 'e', 'f', 'g', 'h'];

const FILE: u32 = 0o100_000;
const DIRECTORY: u32 = 0o040_000;
const LINK: u32 = 0o120_000;
const PIPE: u32 = 0o010_000;

/// The bytes of an archive with these entries.
#[must_use]
pub fn write(entries: &[Entry]) -> Vec<u8> {
    let (mut file, mut directory) = (Vec::new(), Vec::new());
    for entry in entries {
        let content = entry.content.repeat(usize::from(entry.repeats) + 1);
        let mut crc = flate2::Crc::new();
        crc.update(&content);
        let stored = if entry.deflated { deflate(&content) } else { content.clone() };
        let size = u32::try_from(content.len()).unwrap_or(u32::MAX).saturating_add_signed(entry.size_lie);
        let offset = file.len();
        let method = if entry.deflated { 8 } else { 0 };
        let fields = Fields { method, crc: crc.sum(), stored: stored.len(), size };
        put32(&mut file, 0x0403_4b50);
        put16(&mut file, 20);
        let local_name = entry.local_name.as_ref().unwrap_or(&entry.name);
        fields.put(&mut file, local_name);
        file.extend_from_slice(local_name.as_bytes());
        file.extend_from_slice(&stored);

        put32(&mut directory, 0x0201_4b50);
        put16(&mut directory, 0x0314);
        put16(&mut directory, 20);
        fields.put(&mut directory, &entry.name);
        // Comment, disk, internal attributes.
        for _ in 0..3 {
            put16(&mut directory, 0);
        }
        put32(&mut directory, entry.mode << 16);
        put32(&mut directory, u32::try_from(offset).unwrap_or(u32::MAX));
        directory.extend_from_slice(entry.name.as_bytes());
    }
    let offset = file.len();
    file.extend_from_slice(&directory);
    put32(&mut file, 0x0605_4b50);
    put32(&mut file, 0);
    for _ in 0..2 {
        put16(&mut file, u16::try_from(entries.len()).unwrap_or(u16::MAX));
    }
    put32(&mut file, u32::try_from(directory.len()).unwrap_or(u32::MAX));
    put32(&mut file, u32::try_from(offset).unwrap_or(u32::MAX));
    put16(&mut file, 0);
    file
}

/// What a local header and the central directory both say.
struct Fields {
    method: u16,
    crc: u32,
    stored: usize,
    size: u32,
}

impl Fields {
    fn put(&self, out: &mut Vec<u8>, name: &str) {
        put16(out, 1 << 11);
        put16(out, self.method);
        put32(out, 0);
        put32(out, self.crc);
        put32(out, u32::try_from(self.stored).unwrap_or(u32::MAX));
        put32(out, self.size);
        put16(out, u16::try_from(name.len()).unwrap_or(u16::MAX));
        put16(out, 0);
    }
}

fn put16(out: &mut Vec<u8>, value: u16) {
    out.extend_from_slice(&value.to_le_bytes());
}

fn put32(out: &mut Vec<u8>, value: u32) {
    out.extend_from_slice(&value.to_le_bytes());
}

fn deflate(content: &[u8]) -> Vec<u8> {
    let mut encoder = DeflateEncoder::new(Vec::new(), Compression::fast());
    encoder.write_all(content).expect("memory takes every byte");
    encoder.finish().expect("memory takes every byte")
}

/// Unpacks `archive` and returns the regular files that are there then, by path.
///
/// # Errors
/// The archive was refused.
///
/// # Panics
/// Something is outside of the directory, over a limit, or of a kind that has no place in a package.
pub fn unpack(archive: &[u8]) -> std::result::Result<BTreeMap<String, Vec<u8>>, PackageError> {
    let (zip, out) = (ROOT.path().join("code.zip"), ROOT.path().join("out"));
    fs::write(&zip, archive).expect("the archive can be written");
    let _ = fs::remove_dir_all(&out);
    fs::create_dir(&out).expect("the directory can be made");
    let unpacked = functions::unpack(&zip, &out);

    let beside = fs::read_dir(ROOT.path()).expect("it can be listed").map(|entry| entry.expect("listed").path());
    for path in beside.filter(|path| *path != zip && *path != out) {
        let name = path.file_name().expect("it was listed by its name").to_string_lossy();
        assert!(LETTERS.iter().any(|letter| name == letter.to_string()), "{name} was written beside the directory");
        assert_eq!(fs::read(&path).expect("the witness is there"), b"untouched");
    }
    assert_eq!(fs::read(&zip).expect("the archive is there"), archive);

    let mut found = Found::default();
    found.walk(&out, &out);
    assert!(found.bytes <= PACKAGE_BYTES_MAX + 1, "{} bytes were written", found.bytes);
    assert!(found.count <= PACKAGE_FILES_MAX, "{} files and directories were written", found.count);
    unpacked.map(|_| found.files)
}

/// Where one run after the other unpacks. Beside it are witnesses with the names that [`name`] makes,
/// so that whatever leads out finds one of them.
static ROOT: LazyLock<TempDir> = LazyLock::new(|| {
    let root = tempfile::tempdir().expect("a directory for all runs");
    for letter in LETTERS {
        fs::write(root.path().join(letter.to_string()), "untouched").expect("a witness can be written");
    }
    root
});

#[derive(Default)]
struct Found {
    files: BTreeMap<String, Vec<u8>>,
    bytes: u64,
    count: usize,
}

impl Found {
    fn walk(&mut self, root: &Path, at: &Path) {
        for entry in fs::read_dir(at).expect("its own directory can be read") {
            let path = entry.expect("entries can be read").path();
            let metadata = fs::symlink_metadata(&path).expect("it is there");
            self.count += 1;
            if metadata.is_dir() {
                self.walk(root, &path);
            } else if metadata.is_symlink() {
                let real = fs::canonicalize(root).expect("it is there");
                let leads_out = fs::canonicalize(&path).is_ok_and(|target| !target.starts_with(&real));
                let depth = path.strip_prefix(root).expect("below it").components().count();
                let target = fs::read_link(&path).expect("it is a link");
                assert!(!leads_out && stays_below(depth - 1, &target), "{} leads out", path.display());
            } else {
                assert!(metadata.is_file() && metadata.nlink() == 1, "{} is no plain file", path.display());
                assert_eq!(metadata.mode() & 0o7000, 0, "{} has special bits", path.display());
                self.bytes += metadata.len();
                let name = path.strip_prefix(root).expect("below it").to_string_lossy().into_owned();
                self.files.insert(name, fs::read(&path).expect("it can be read"));
            }
        }
    }
}

/// Whether a link in a directory so far below another stays below that, whatever is there.
fn stays_below(depth: usize, target: &Path) -> bool {
    let step = |depth: usize, part| match part {
        Component::Normal(_) => Some(depth + 1),
        Component::CurDir => Some(depth),
        Component::ParentDir => depth.checked_sub(1),
        Component::RootDir | Component::Prefix(_) => None,
    };
    target.components().try_fold(depth, step).is_some()
}

//! Reads the directory once, at start, on a thread of its own: what is whole goes
//! into the index, what an ended process left unfinished is removed. Bodies are
//! held against their checksums when they are read, not here.

use super::blocks::stored_length;
use super::files::{in_blocks, new_number, remove};
use super::names::{FileName, parse};
use super::record::{self, Head, RecordError};
use super::{Disk, Entry};
use crate::cache::key::PlaceKey;
use pingora::cache::key::HashBinary;
use std::collections::{HashMap, HashSet};
use std::fs::{self, File};
use std::io;
use std::os::unix::fs::FileExt as _;
use std::path::{Path, PathBuf};
use std::time::{Instant, SystemTime};

/// One object found.
struct Found {
    key: HashBinary,
    entry: Entry,
    written: SystemTime,
}

impl Disk {
    /// Fills the index; nothing is written to the directory before.
    pub(super) fn scan(&self) {
        let started = Instant::now();
        let purged = read_purged(&self.layout.purged());
        let mut found = Vec::new();
        let mut leftovers = 0;
        for first in 0..=u8::MAX {
            let folder = self.layout.folder(first);
            match self.scan_folder(&folder, &purged, &mut found) {
                Ok(removed) => leftovers += removed,
                Err(error) => tracing::error!("the cache cannot read {}: {error}", folder.display()),
            }
        }
        found.sort_by_key(|found| found.written);
        let removed = self.index.fill(found.into_iter().map(|found| (found.key, found.entry)).collect());
        self.delete(&removed);
        remove(&self.layout.purged());
        let (objects, bytes) = self.index.size();
        let (directory, scan_ms) = (self.layout.root().display(), started.elapsed().as_millis());
        tracing::info!(objects, bytes, leftovers, %scan_ms, "the cache has read {directory}");
    }

    /// Adds a folder's objects; the number of files that were none and were removed.
    fn scan_folder(&self, folder: &Path, purged: &HashSet<PlaceKey>, found: &mut Vec<Found>) -> io::Result<usize> {
        let mut records = Vec::new();
        let mut bodies: HashMap<(HashBinary, u64), u64> = HashMap::new();
        let mut leftovers: Vec<PathBuf> = Vec::new();
        for file in fs::read_dir(folder)? {
            let file = file?;
            match file.file_name().to_str().and_then(parse) {
                Some(FileName::Record(key)) => records.push((key, file.path())),
                Some(FileName::Body(key, number)) => {
                    bodies.insert((key, number), file.metadata()?.len());
                }
                Some(FileName::Unfinished) => leftovers.push(file.path()),
                None => tracing::warn!("{} is not a file of the cache and is left alone", file.path().display()),
            }
        }
        for (key, path) in records {
            let read = read_head(&path).ok().filter(|(head, ..)| head.key == key && !purged.contains(&head.place));
            let whole = read.filter(|(head, ..)| {
                head.body.is_none_or(|number| bodies.get(&(key, number)) == Some(&stored_length(head.length)))
            });
            match whole {
                Some((head, written)) => {
                    head.body.and_then(|number| bodies.remove(&(key, number)));
                    found.push(Found { key, entry: entry(&head), written });
                }
                None => leftovers.push(path),
            }
        }
        leftovers.extend(bodies.keys().map(|(key, number)| self.layout.body(key, *number)));
        leftovers.iter().for_each(|path| remove(path));
        Ok(leftovers.len())
    }
}

fn entry(head: &Head) -> Entry {
    let body_bytes = head.body.map_or(0, |_| in_blocks(stored_length(head.length)));
    Entry {
        place: head.place,
        version: new_number(),
        body: head.body,
        length: head.length,
        bytes: in_blocks(head.record_bytes) + body_bytes,
    }
}

fn read_head(path: &Path) -> io::Result<(Head, SystemTime)> {
    let file = File::open(path)?;
    let metadata = file.metadata()?;
    let mut needed = HEAD_GUESS;
    loop {
        let mut bytes = vec![0; needed.min(usize::try_from(metadata.len()).unwrap_or(usize::MAX))];
        file.read_exact_at(&mut bytes, 0)?;
        match record::head(&bytes).map_err(io::Error::other)? {
            Ok(head) if head.record_bytes == metadata.len() => return Ok((head, metadata.modified()?)),
            Err(more) if more as u64 <= metadata.len() => needed = more,
            _ => return Err(io::Error::other(RecordError::Length)),
        }
    }
}

fn read_purged(path: &Path) -> HashSet<PlaceKey> {
    let bytes = fs::read(path).unwrap_or_default();
    bytes.as_chunks::<16>().0.iter().map(|place| PlaceKey::of(*place)).collect()
}

/// Most records' beginnings are shorter.
const HEAD_GUESS: usize = 4096;

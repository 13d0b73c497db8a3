//! Well-formed archives with unlawful entries: names that lead out, links,
//! names that are there twice, sizes that are lies, bombs. As `archive_bytes`;
//! and what passes is on the disk, byte for byte.
#![no_main]

use libfuzzer_sys::fuzz_target;
use selvedge_fuzz::archives::{Entry, unpack, write};

fuzz_target!(|entries: Vec<Entry>| {
    let Ok(files) = unpack(&write(&entries)) else { return };
    let regular = |entry: &&Entry| matches!(entry.mode & 0o170_000, 0 | 0o100_000) && !entry.name.ends_with('/');
    assert_eq!(files.len(), entries.iter().filter(regular).count(), "a file is lost or made up");
    for entry in entries.iter().filter(regular) {
        let parts: Vec<&str> = entry.name.split('/').filter(|part| !matches!(*part, "" | ".")).collect();
        let content = entry.content.repeat(usize::from(entry.repeats) + 1);
        assert!(files.get(&parts.join("/")) == Some(&content), "{:?} has other content", entry.name);
    }
});

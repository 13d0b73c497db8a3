//! A key value store's file: any bytes are refused, or every pair in them is found where it should be. The
//! checksum is made right, so that what lies behind it is reached.
#![no_main]

use environment::key_values::Table;
use libfuzzer_sys::fuzz_target;

/// Where the checksum is, and what it is of.
const CHECKSUM: std::ops::Range<usize> = 8..12;

fuzz_target!(|input: &[u8]| {
    let mut bytes = input.to_vec();
    if bytes.len() >= CHECKSUM.end {
        let checksum = crc32fast::hash(&bytes[CHECKSUM.end..]);
        bytes[CHECKSUM].copy_from_slice(&checksum.to_le_bytes());
    }
    let Ok(table) = Table::open(bytes) else { return };
    let mut before: Option<&str> = None;
    let mut count = 0;
    for (key, value) in table.pairs() {
        assert!(before.is_none_or(|before| before < key));
        assert_eq!(table.find(key), Some(value));
        (before, count) = (Some(key), count + 1);
    }
    assert_eq!(count, table.count());
});

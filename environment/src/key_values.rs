//! A key value store as environments get it: one file, sorted, with a checksum, never changed once
//! it has its name. Written by `functions`, read by each runtime where the handler runs: every number
//! in it is checked when it is opened, so that no read can leave it.
//!
//! Little-endian: 8 bytes of magic, the CRC-32 of all that follows, the count of pairs, two moments
//! (Unix milliseconds), for each pair the place of its key (4 bytes), the key's length and the value's
//! (2 each), and then the texts, each value after its key.

use std::collections::BTreeMap;

/// When a store was made and last changed, Unix milliseconds.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Times {
    pub created_ms: u64,
    pub updated_ms: u64,
}

/// The name of the file in a store's directory.
pub const FILE: &str = "pairs";

/// An opened store.
#[derive(Debug)]
pub struct Table<B> {
    bytes: B,
    times: Times,
    count: usize,
}

/// Why bytes are not a store.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum TableError {
    #[error("it does not begin as a key value store does")]
    Magic,
    #[error("its checksum is another one")]
    Checksum,
    #[error("it ends early")]
    Short,
    #[error("pair {0} is not where it should be, or not text")]
    Pair(usize),
    #[error("pair {0} is not in order")]
    Order(usize),
}

impl<B: AsRef<[u8]>> Table<B> {
    /// Checks everything: reads cannot fail after this.
    ///
    /// # Errors
    /// The first rule that the bytes break.
    pub fn open(bytes: B) -> Result<Table<B>, TableError> {
        let all = bytes.as_ref();
        if all.get(..MAGIC.len()) != Some(MAGIC) {
            return Err(TableError::Magic);
        }
        let checksum = number::<4>(all, CHECKSUM_AT).map(u32::from_le_bytes).ok_or(TableError::Short)?;
        let count = number::<4>(all, COUNT_AT).map(u32::from_le_bytes).ok_or(TableError::Short)?;
        let created_ms = number::<8>(all, CREATED_AT).map(u64::from_le_bytes).ok_or(TableError::Short)?;
        let updated_ms = number::<8>(all, UPDATED_AT).map(u64::from_le_bytes).ok_or(TableError::Short)?;
        if crc32fast::hash(&all[COUNT_AT..]) != checksum {
            return Err(TableError::Checksum);
        }
        let count = usize::try_from(count).map_err(|_| TableError::Short)?;
        let table = Table { times: Times { created_ms, updated_ms }, count, bytes };
        let mut before: Option<&[u8]> = None;
        for nth in 0..count {
            let (key, value) = table.pair(nth).ok_or(TableError::Pair(nth))?;
            if std::str::from_utf8(key).is_err() || std::str::from_utf8(value).is_err() {
                return Err(TableError::Pair(nth));
            }
            if before.is_some_and(|before| before >= key) {
                return Err(TableError::Order(nth));
            }
            before = Some(key);
        }
        Ok(table)
    }

    /// The value of a key.
    #[must_use]
    pub fn find(&self, key: &str) -> Option<&str> {
        let (mut low, mut high) = (0, self.count);
        while low < high {
            let middle = low + (high - low) / 2;
            let (found, value) = self.pair(middle)?;
            match found.cmp(key.as_bytes()) {
                std::cmp::Ordering::Less => low = middle + 1,
                std::cmp::Ordering::Greater => high = middle,
                std::cmp::Ordering::Equal => return std::str::from_utf8(value).ok(),
            }
        }
        None
    }

    /// How many pairs there are.
    #[must_use]
    pub fn count(&self) -> usize {
        self.count
    }

    #[must_use]
    pub fn times(&self) -> Times {
        self.times
    }

    /// Every pair, in the order of the keys' bytes.
    pub fn pairs(&self) -> impl Iterator<Item = (&str, &str)> {
        (0..self.count).filter_map(|nth| {
            let (key, value) = self.pair(nth)?;
            Some((std::str::from_utf8(key).ok()?, std::str::from_utf8(value).ok()?))
        })
    }

    fn pair(&self, nth: usize) -> Option<(&[u8], &[u8])> {
        let all = self.bytes.as_ref();
        let at = nth.checked_mul(ENTRY_BYTES)?.checked_add(HEAD_BYTES)?;
        let place = usize::try_from(u32::from_le_bytes(number(all, at)?)).ok()?;
        let key_length = usize::from(u16::from_le_bytes(number(all, at + 4)?));
        let value_length = usize::from(u16::from_le_bytes(number(all, at + 6)?));
        let texts = all.get(place..)?;
        Some((texts.get(..key_length)?, texts.get(key_length..key_length + value_length)?))
    }
}

/// The bytes of a store. `None` when a text or all of them together are longer than the format has
/// room for, which is more than a store may hold.
#[must_use]
pub fn encode(times: Times, pairs: &BTreeMap<&str, &str>) -> Option<Vec<u8>> {
    let texts: usize = pairs.iter().map(|(key, value)| key.len() + value.len()).sum();
    let mut place = HEAD_BYTES + pairs.len() * ENTRY_BYTES;
    let mut all = Vec::with_capacity(place + texts);
    all.extend_from_slice(MAGIC);
    all.extend_from_slice(&[0; COUNT_AT - CHECKSUM_AT]);
    all.extend_from_slice(&u32::try_from(pairs.len()).ok()?.to_le_bytes());
    all.extend_from_slice(&times.created_ms.to_le_bytes());
    all.extend_from_slice(&times.updated_ms.to_le_bytes());
    for (key, value) in pairs {
        all.extend_from_slice(&u32::try_from(place).ok()?.to_le_bytes());
        all.extend_from_slice(&u16::try_from(key.len()).ok()?.to_le_bytes());
        all.extend_from_slice(&u16::try_from(value.len()).ok()?.to_le_bytes());
        place += key.len() + value.len();
    }
    for (key, value) in pairs {
        all.extend_from_slice(key.as_bytes());
        all.extend_from_slice(value.as_bytes());
    }
    let checksum = crc32fast::hash(&all[COUNT_AT..]);
    all[CHECKSUM_AT..COUNT_AT].copy_from_slice(&checksum.to_le_bytes());
    Some(all)
}

fn number<const N: usize>(all: &[u8], at: usize) -> Option<[u8; N]> {
    all.get(at..)?.first_chunk().copied()
}

const MAGIC: &[u8] = b"SVKVS-1\n";
const CHECKSUM_AT: usize = 8;
const COUNT_AT: usize = 12;
const CREATED_AT: usize = 16;
const UPDATED_AT: usize = 24;
const HEAD_BYTES: usize = 32;
const ENTRY_BYTES: usize = 8;

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::collection::{btree_map, vec};
    use proptest::prelude::*;

    const TIMES: Times = Times { created_ms: 1, updated_ms: 2 };

    fn encoded(pairs: &BTreeMap<String, String>) -> Vec<u8> {
        encode(TIMES, &pairs.iter().map(|(key, value)| (key.as_str(), value.as_str())).collect()).unwrap()
    }

    /// Gives bytes that were changed their right checksum, so that what lies behind it is reached.
    fn sealed(mut bytes: Vec<u8>) -> Vec<u8> {
        if bytes.len() >= COUNT_AT {
            let checksum = crc32fast::hash(&bytes[COUNT_AT..]);
            bytes[CHECKSUM_AT..COUNT_AT].copy_from_slice(&checksum.to_le_bytes());
        }
        bytes
    }

    proptest! {
        #[test]
        fn what_was_written_is_found_and_nothing_else(
            pairs in btree_map(".{0,20}", ".{0,40}", 0..60), others in vec(".{0,20}", 0..20)
        ) {
            let table = Table::open(encoded(&pairs)).unwrap();
            prop_assert_eq!((table.count(), table.times()), (pairs.len(), TIMES));
            for key in pairs.keys().chain(&others) {
                prop_assert_eq!(table.find(key), pairs.get(key).map(String::as_str));
            }
            let all: BTreeMap<String, String> =
                table.pairs().map(|(key, value)| (key.to_owned(), value.to_owned())).collect();
            prop_assert_eq!(all, pairs);
        }

        #[test]
        fn a_damaged_store_is_refused_or_read_within_its_bounds(
            pairs in btree_map(".{0,8}", ".{0,8}", 0..8),
            changes in vec((any::<prop::sample::Index>(), any::<u8>()), 0..6),
            end in any::<prop::sample::Index>(),
            whole in any::<bool>(),
        ) {
            let mut bytes = encoded(&pairs);
            for (place, byte) in changes {
                let place = place.index(bytes.len());
                bytes[place] = byte;
            }
            if !whole {
                bytes.truncate(end.index(bytes.len() + 1));
            }
            if let Ok(table) = Table::open(sealed(bytes)) {
                let found = table.pairs().filter(|(key, value)| table.find(key) == Some(value)).count();
                prop_assert_eq!(found, table.count());
            }
        }

        #[test]
        fn any_bytes_are_refused_without_harm(bytes in vec(any::<u8>(), 0..200)) {
            let mut all = MAGIC.to_vec();
            all.extend(bytes);
            if let Ok(table) = Table::open(sealed(all)) {
                prop_assert_eq!(table.pairs().count(), table.count());
            }
        }
    }

    #[test]
    fn one_changed_bit_is_noticed() {
        let pairs = BTreeMap::from([("key".to_owned(), "value".to_owned())]);
        let bytes = encoded(&pairs);
        for place in 0..bytes.len() * 8 {
            let mut changed = bytes.clone();
            changed[place / 8] ^= 1 << (place % 8);
            assert!(Table::open(changed).is_err(), "bit {place}");
        }
    }
}

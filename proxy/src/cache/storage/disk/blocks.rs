//! A large body's file: blocks of 64 KiB, each followed by its checksum, so that
//! any range is read and vouched for alone, also while the file grows.

use bytes::Bytes;
use crc32fast::Hasher;
use std::fs::File;
use std::io;
use std::ops::Range;
use std::os::unix::fs::FileExt as _;
use std::sync::Arc;
use tokio::sync::Semaphore;

/// Bytes of a body in one block; the last one may have fewer.
pub(in crate::cache::storage) const BLOCK: u64 = 64 * 1024;
const CHECKSUM: usize = 4;

/// An open body file. Reading it goes on after it was removed.
#[derive(Debug)]
pub(in crate::cache::storage) struct BodyFile {
    file: File,
    /// The file's number, which is in each checksum: a block of another file is no good here.
    number: u64,
    /// File operations that may run at one time.
    pub(super) turns: Arc<Semaphore>,
}

/// Why a body cannot be read.
#[derive(Debug, thiserror::Error)]
pub(in crate::cache::storage) enum ReadError {
    #[error("block {0} does not match its checksum")]
    Damaged(u64),
    #[error("the body has {found} bytes on disk instead of {expected}")]
    Length { found: u64, expected: u64 },
    #[error(transparent)]
    Io(#[from] io::Error),
}

/// Bytes that a body of this length takes in its file.
pub(super) fn stored_length(length: u64) -> u64 {
    length + length.div_ceil(BLOCK) * CHECKSUM as u64
}

impl BodyFile {
    pub(super) fn new(file: File, number: u64, turns: Arc<Semaphore>) -> BodyFile {
        BodyFile { file, number, turns }
    }

    /// Opens a complete body of `length` bytes.
    pub(super) fn checked(self, length: u64) -> Result<BodyFile, ReadError> {
        let (found, expected) = (self.file.metadata()?.len(), stored_length(length));
        if found == expected { Ok(self) } else { Err(ReadError::Length { found, expected }) }
    }

    /// Writes blocks from number `first` on; only the body's last block may be short.
    pub(super) fn write(&self, first: u64, data: &[Bytes]) -> io::Result<()> {
        let mut block = Vec::with_capacity(to_usize(BLOCK) + CHECKSUM);
        let mut nth = first;
        for mut piece in data.iter().map(Bytes::as_ref) {
            while !piece.is_empty() {
                let (now, later) = piece.split_at(piece.len().min(to_usize(BLOCK) - block.len()));
                block.extend_from_slice(now);
                piece = later;
                if block.len() == to_usize(BLOCK) {
                    self.write_block(nth, &mut block)?;
                    nth += 1;
                }
            }
        }
        if block.is_empty() { Ok(()) } else { self.write_block(nth, &mut block) }
    }

    fn write_block(&self, nth: u64, block: &mut Vec<u8>) -> io::Result<()> {
        block.extend_from_slice(&self.checksum(nth, block).to_le_bytes());
        self.file.write_all_at(block, offset(nth))?;
        block.clear();
        Ok(())
    }

    /// Reads these blocks of a body that has `length` bytes so far, without their checksums.
    pub(super) fn read(&self, blocks: Range<u64>, length: u64) -> Result<Bytes, ReadError> {
        let blocks = blocks.start..blocks.end.min(length.div_ceil(BLOCK));
        let size = (blocks.end * BLOCK).min(length).saturating_sub(blocks.start * BLOCK);
        let mut data = vec![0; to_usize(stored_length(size))];
        self.file.read_exact_at(&mut data, offset(blocks.start))?;
        let (mut start, mut filled) = (0, 0);
        for nth in blocks {
            let end = start + to_usize((length - nth * BLOCK).min(BLOCK));
            let stated = data[end..end + CHECKSUM].try_into().map(u32::from_le_bytes);
            if stated.ok() != Some(self.checksum(nth, &data[start..end])) {
                return Err(ReadError::Damaged(nth));
            }
            data.copy_within(start..end, filled);
            filled += end - start;
            start = end + CHECKSUM;
        }
        data.truncate(filled);
        Ok(data.into())
    }

    fn checksum(&self, nth: u64, data: &[u8]) -> u32 {
        let mut hasher = Hasher::new();
        hasher.update(&self.number.to_le_bytes());
        hasher.update(&nth.to_le_bytes());
        hasher.update(data);
        hasher.finalize()
    }
}

fn offset(nth: u64) -> u64 {
    nth * (BLOCK + CHECKSUM as u64)
}

/// Sizes here are of a few blocks.
fn to_usize(size: u64) -> usize {
    usize::try_from(size).unwrap_or(usize::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn file() -> BodyFile {
        BodyFile::new(tempfile::tempfile().unwrap(), 7, Arc::new(Semaphore::new(1)))
    }

    fn body(length: usize) -> Vec<u8> {
        (0..length).map(|nth| u8::try_from(nth * 31 % 251).unwrap()).collect()
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(32))]
        #[test]
        fn what_is_written_in_any_pieces_is_read_in_any_blocks(
            length in 1..300_000_usize, piece in 1..100_000_usize, first in 0..5_u64, count in 1..5_u64,
        ) {
            let (file, body) = (file(), body(length));
            let pieces: Vec<Bytes> = body.chunks(piece).map(Bytes::copy_from_slice).collect();
            file.write(0, &pieces).unwrap();
            let file = file.checked(length as u64).unwrap();
            let total = (length as u64).div_ceil(BLOCK);
            let first = first.min(total - 1);
            let last = (first + count).min(total);
            let end = to_usize(last * BLOCK).min(length);
            let read = file.read(first..last, length as u64).unwrap();
            prop_assert!(read == body[to_usize(first * BLOCK)..end]);
        }

        #[test]
        fn a_flipped_bit_is_noticed_in_its_block_and_no_other(at in 0..140_012_u64, bit in 0..8_u32) {
            let file = file();
            file.write(0, &[body(140_000).into()]).unwrap();
            let mut byte = [0];
            file.file.read_exact_at(&mut byte, at).unwrap();
            file.file.write_all_at(&[byte[0] ^ (1 << bit)], at).unwrap();
            let damaged = at / (BLOCK + 4);
            for nth in 0..3 {
                let read = file.read(nth..nth + 1, 140_000);
                prop_assert_eq!(read.is_err(), nth == damaged, "block {}", nth);
            }
            prop_assert!(file.read(0..3, 140_000).is_err());
        }
    }

    #[test]
    fn a_block_of_another_file_or_place_is_no_good() {
        let (file, other) = (file(), BodyFile { number: 8, ..file() });
        file.write(0, &[body(140_000).into()]).unwrap();
        let mut block = vec![0; to_usize(BLOCK) + CHECKSUM];
        file.file.read_exact_at(&mut block, 0).unwrap();
        file.file.write_all_at(&block, offset(1)).unwrap();
        other.file.write_all_at(&block, 0).unwrap();
        assert!(file.read(0..1, 140_000).is_ok());
        assert!(matches!(file.read(1..2, 140_000), Err(ReadError::Damaged(1))));
        assert!(matches!(other.read(0..1, BLOCK), Err(ReadError::Damaged(0))));
    }

    #[test]
    fn a_file_of_another_length_is_no_good() {
        let file = file();
        file.write(0, &[body(100_000).into()]).unwrap();
        assert!(file.read(0..2, 100_001).is_err());
        assert!(matches!(file.checked(99_999), Err(ReadError::Length { .. })));
    }
}

//! The memory of this process that counts against its function: anonymous
//! resident memory, less what the zygote had. The supervisor counts the same
//! and kills; this side stops the handler first, so that its stack is known.

use nix::unistd::{SysconfVar, sysconf};
use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt;

/// Anonymous resident bytes of this process.
///
/// # Errors
/// `/proc` cannot be read.
pub fn anonymous_bytes() -> io::Result<u64> {
    let statm = File::open(STATM)?;
    read(&statm, page_bytes()).ok_or_else(|| io::Error::other(format!("{STATM} cannot be parsed")))
}

/// Looks at this process's memory.
pub struct Resident {
    statm: File,
    page_bytes: u64,
    bytes_max: u64,
}

impl Resident {
    /// Opened while `/proc` can be read. `shared_bytes` are not counted.
    ///
    /// # Errors
    /// It cannot.
    pub fn new(shared_bytes: u64, memory_mb: u32) -> io::Result<Resident> {
        let bytes_max = shared_bytes + u64::from(memory_mb) * 1024 * 1024;
        Ok(Resident { statm: File::open(STATM)?, page_bytes: page_bytes(), bytes_max })
    }

    /// Whether the function uses more than its memory now.
    #[must_use]
    pub fn is_over(&self) -> bool {
        read(&self.statm, self.page_bytes).is_some_and(|bytes| bytes > self.bytes_max)
    }
}

fn read(statm: &File, page_bytes: u64) -> Option<u64> {
    let mut text = [0; 128];
    let length = statm.read_at(&mut text, 0).ok()?;
    anonymous_pages(&text[..length]).map(|pages| pages * page_bytes)
}

/// `size resident shared ...`, in pages; shared is file-backed and shared memory.
fn anonymous_pages(statm: &[u8]) -> Option<u64> {
    let mut fields = std::str::from_utf8(statm).ok()?.split_ascii_whitespace().skip(1);
    let resident: u64 = fields.next()?.parse().ok()?;
    let shared: u64 = fields.next()?.parse().ok()?;
    Some(resident.saturating_sub(shared))
}

fn page_bytes() -> u64 {
    sysconf(SysconfVar::PAGE_SIZE).ok().flatten().and_then(|bytes| u64::try_from(bytes).ok()).unwrap_or(4096)
}

const STATM: &str = "/proc/self/statm";

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn memory_is_over_when_it_grew_by_more_than_the_limit() {
        assert_eq!(anonymous_pages(b"9000 500 120 3 0 700 0\n"), Some(380));
        let resident = Resident::new(anonymous_bytes().unwrap(), 32).unwrap();
        assert!(!resident.is_over());
        let touched = std::hint::black_box(vec![1_u8; 64 * 1024 * 1024]);
        assert!(resident.is_over());
        drop(touched);
    }
}

//! Moves the program's own code and constants into huge pages of anonymous
//! memory. What a copy of a process maps from a file it maps anew, page fault by
//! page fault, hundreds of them before its first answer; huge pages of anonymous
//! memory it has from its parent. Called by the zygote before anything else runs.
#![allow(unsafe_code)]

use std::ffi::c_void;
use std::io;

/// Does what it can: without huge pages, or without room for them, things stay as they are.
pub(crate) fn settle() {
    let maps = std::fs::read_to_string("/proc/self/maps").unwrap_or_default();
    let program = std::env::current_exe().unwrap_or_default();
    for part in parts(&maps, &program.to_string_lossy()) {
        if part.move_to_huge_pages().is_err() {
            return;
        }
    }
}

/// A read-only part of the program, cut to whole huge pages.
#[derive(Debug, PartialEq, Eq)]
struct Part {
    start: usize,
    length: usize,
    protection: i32,
}

/// The parts of `program` that nothing writes to, from the text of `/proc/self/maps`.
fn parts(maps: &str, program: &str) -> Vec<Part> {
    maps.lines().filter(|line| line.ends_with(program)).filter_map(part).collect()
}

/// `start-end protection offset device inode path`, addresses in hexadecimal.
fn part(line: &str) -> Option<Part> {
    let mut fields = line.split_ascii_whitespace();
    let (start, end) = fields.next()?.split_once('-')?;
    let protection = match fields.next()? {
        "r-xp" => libc::PROT_READ | libc::PROT_EXEC,
        "r--p" => libc::PROT_READ,
        _ => return None,
    };
    let start = usize::from_str_radix(start, 16).ok()?.next_multiple_of(HUGE_PAGE);
    let end = usize::from_str_radix(end, 16).ok()? / HUGE_PAGE * HUGE_PAGE;
    let length = end.checked_sub(start).filter(|length| *length > 0)?;
    Some(Part { start, length, protection })
}

impl Part {
    /// Copies the part aside, and puts the copy in its place once it is in huge pages throughout.
    fn move_to_huge_pages(&self) -> io::Result<()> {
        let Part { start, length, protection } = *self;
        let room = length + HUGE_PAGE;
        let flags = libc::MAP_PRIVATE | libc::MAP_ANONYMOUS | libc::MAP_NORESERVE;
        // SAFETY: a new mapping wherever there is room.
        let area = unsafe { libc::mmap(std::ptr::null_mut(), room, libc::PROT_READ | libc::PROT_WRITE, flags, -1, 0) };
        if area == libc::MAP_FAILED {
            return Err(io::Error::last_os_error());
        }
        let offset = area.addr().next_multiple_of(HUGE_PAGE) - area.addr();
        // SAFETY: within the new mapping, which is longer than a part by a huge page.
        let copy = unsafe { area.byte_add(offset) };
        let place: *mut c_void = std::ptr::with_exposed_provenance_mut(start);
        // SAFETY: source and target are mapped for this length, the source read-only and the target by
        // nobody else. The calls after it change nothing but the new mapping.
        let prepared = unsafe {
            let _ = libc::madvise(copy, length, libc::MADV_HUGEPAGE);
            std::ptr::copy_nonoverlapping(place.cast_const().cast::<u8>(), copy.cast::<u8>(), length);
            answer(libc::madvise(copy, length, MADV_COLLAPSE))
                .and_then(|()| answer(libc::mprotect(copy, length, protection)))
        };
        if prepared.is_err() {
            // SAFETY: nobody knows of the mapping.
            unsafe { libc::munmap(area, room) };
            return prepared;
        }
        // SAFETY: the rest of the new mapping, before and after the copy.
        unsafe {
            libc::munmap(area, offset);
            libc::munmap(copy.byte_add(length), HUGE_PAGE - offset);
        }
        let flags = libc::MREMAP_MAYMOVE | libc::MREMAP_FIXED;
        // SAFETY: the same bytes with the same protection come to the same addresses in one call, and
        // this thread, in that call meanwhile, is the only one.
        let moved = unsafe { libc::mremap(copy, length, length, flags, place) };
        if moved == libc::MAP_FAILED { Err(io::Error::last_os_error()) } else { Ok(()) }
    }
}

fn answer(answer: i32) -> io::Result<()> {
    if answer == 0 { Ok(()) } else { Err(io::Error::last_os_error()) }
}

/// Of x86-64, and of aarch64 with pages of 4 KiB; where they are larger, collapsing fails.
const HUGE_PAGE: usize = 2 * 1024 * 1024;

/// Linux 6.1.
const MADV_COLLAPSE: i32 = 25;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_nothing_writes_to_is_cut_to_whole_huge_pages() {
        let maps = "\
560040ed0000-560042c77000 r--p 00000000 fe:00 11 /bin/program
560042c78000-5600467e0000 r-xp 01da7000 fe:00 11 /bin/program
5600469d9000-5600469f7000 rw-p 05b06000 fe:00 11 /bin/program
5600469f7000-5600469f9000 r--p 05b06000 fe:00 11 /bin/program
7f3cb6b75000-7f3cb8ccb000 r-xp 00026000 fe:00 32 /usr/lib/libc.so.6
";
        let expected = [
            Part { start: 0x5600_4100_0000, length: 0x1c0_0000, protection: libc::PROT_READ },
            Part { start: 0x5600_42e0_0000, length: 0x380_0000, protection: libc::PROT_READ | libc::PROT_EXEC },
        ];
        assert_eq!(parts(maps, "/bin/program"), expected);
    }

    #[test]
    fn a_part_has_the_same_bytes_afterwards() {
        let length = 2 * HUGE_PAGE;
        let flags = libc::MAP_PRIVATE | libc::MAP_ANONYMOUS;
        // SAFETY: a new mapping wherever there is room.
        let area =
            unsafe { libc::mmap(std::ptr::null_mut(), 2 * length, libc::PROT_READ | libc::PROT_WRITE, flags, -1, 0) };
        assert_ne!(area, libc::MAP_FAILED);
        let start = area.expose_provenance().next_multiple_of(HUGE_PAGE);
        let bytes: *mut u8 = std::ptr::with_exposed_provenance_mut(start);
        for index in (0..length).step_by(4096) {
            // SAFETY: within the mapping.
            unsafe { bytes.add(index).write(u8::try_from(index / 4096 % 251).unwrap()) };
        }
        // Without huge pages it says so and changes nothing either.
        let _ = Part { start, length, protection: libc::PROT_READ }.move_to_huge_pages();
        for index in (0..length).step_by(4096) {
            // SAFETY: within the mapping.
            let byte = unsafe { bytes.add(index).read() };
            assert_eq!(usize::from(byte), index / 4096 % 251);
        }
    }
}

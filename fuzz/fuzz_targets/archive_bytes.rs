//! Any bytes as a function's zip archive: unpacked or refused, and either way
//! nothing is outside of its directory, over a limit or of an unlawful kind.
#![no_main]

use libfuzzer_sys::fuzz_target;

fuzz_target!(|archive: &[u8]| {
    let _ = selvedge_fuzz::archives::unpack(archive);
});

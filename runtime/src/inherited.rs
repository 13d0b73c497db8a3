//! What the zygote settles once so that each of its copies need not: how memory
//! is allocated, and which instructions the processor has.
#![allow(unsafe_code)]

/// For the zygote, before it forks.
pub fn settle() {
    // The watchdog's thread would otherwise map and cut an arena of 64 MB of addresses in each environment.
    // SAFETY: two integers; allocation goes on with the arena there is.
    unsafe { libc::mallopt(libc::M_ARENA_MAX, 1) };
    // Each question to the processor is a trap where there is a hypervisor; the answers are kept.
    #[cfg(target_arch = "x86_64")]
    let _ = std::is_x86_feature_detected!("avx2");
}

//! The sets of vector instructions that tests run one after the other.

use fearless_simd::{Level, Simd};

/// What this processor can run, from the plainest instructions to the widest.
pub(crate) fn levels() -> Vec<(&'static str, Level)> {
    let widest = Level::new();
    let mut levels = vec![("fallback", Level::fallback()), ("widest", widest)];
    #[cfg(target_arch = "x86_64")]
    levels.extend(
        [
            ("sse2", widest.as_sse2().map(Simd::level)),
            ("sse4.2", widest.as_sse4_2().map(Simd::level)),
            ("avx2", widest.as_avx2().map(Simd::level)),
            ("avx512", widest.as_avx512().map(Simd::level)),
        ]
        .into_iter()
        .filter_map(|(name, level)| Some((name, level?))),
    );
    #[cfg(target_arch = "aarch64")]
    levels.extend(widest.as_neon().map(|neon| ("neon", neon.level())));
    levels
}

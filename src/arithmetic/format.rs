//! Constants of the format, on which every result depends: they are never tuned.

/// Version of the arithmetic. Two records with the same version, logits and parameters have the same bits.
pub const ARITHMETIC_VERSION: u32 = 2;

/// Tokens of one tile: a run of consecutive tokens of one row that shares a reference maximum.
pub(crate) const TILE_TOKENS: usize = 4096;
/// Tokens of one subtile. Its maximum, the delegate, stands for it during top-k selection.
pub(crate) const SUBTILE_TOKENS: usize = 64;
/// Largest vocabulary of a row: beyond it the 64-bit mass of a row could overflow.
pub const MAX_VOCAB: usize = 1 << 20;
/// Entries that one workgroup can list; longer lists are made by further dispatches.
pub(crate) const MOST_LISTED: u32 = 1024;
/// In place of a token where there is none: past the last entry of a list, or for a row from which nothing was drawn.
pub const NO_TOKEN: u32 = u32::MAX;

/// Numbers that the shaders know too: a module of them, places of words (`usize`) or codes (`u32`), and in tests the
/// list of them under the names of the shaders, `PREFIX_NAME`.
macro_rules! layout {
    ($(#[$doc:meta])* $module:ident: $type:ty, $prefix:literal { $($(#[$what:meta])* $name:ident = $value:expr),* $(,)? }) => {
        $(#[$doc])*
        pub(crate) mod $module {
            $($(#[$what])* pub(crate) const $name: $type = $value;)*
            const _: () = { $(let _ = $name;)* }; // some are the device's alone
            /// Every number under the name that the shaders give it.
            #[cfg(all(test, feature = "gpu"))]
            pub(crate) const NAMED: &[(&str, u64)] = &[$((concat!($prefix, stringify!($name)), $name as u64)),*];
        }
    };
}
pub(crate) use layout;

//! Philox4x32-10, a counter-based generator (Salmon, Moraes, Dror, Shaw: Parallel Random Numbers: As Easy as 1, 2, 3,
//! SC 2011): four random words are a function of a counter and a key, so a draw depends on nothing else.

use super::format::layout;

layout! {
    /// What the numbers of a position are for: the upper half of the counter's last word.
    purposes: u32, "FOR_" {
        /// Plus the number of the draw.
        DRAW = 0,
        XTC = 1 << 16,
        /// Plus the number of the draft token.
        ACCEPT = 2 << 16,
        RESIDUAL = 3 << 16,
    }
}

/// What the numbers of a position are for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Purpose {
    /// The draw with this number.
    Draw(u32),
    /// XTC's coin.
    Xtc,
    /// Whether the draft token with this number stands.
    Accept(u32),
    /// The draw after a rejected draft token: whoever drafted may have used the numbers of the draw.
    Residual,
}

/// Where the numbers of a row come from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Key {
    pub(crate) seed: u64,
    pub(crate) position: u64,
    pub(crate) stream: u32,
}

impl Key {
    /// Four words for a purpose.
    pub(crate) fn words(self, purpose: Purpose) -> [u32; 4] {
        let last = match purpose {
            Purpose::Draw(number) => purposes::DRAW + number,
            Purpose::Xtc => purposes::XTC,
            Purpose::Accept(number) => purposes::ACCEPT + number,
            Purpose::Residual => purposes::RESIDUAL,
        };
        let [low, high] = halves(self.position);
        philox([low, high, self.stream, last], halves(self.seed))
    }

    /// Two numbers of 64 bits for a purpose.
    pub(crate) fn numbers(self, purpose: Purpose) -> [u64; 2] {
        let [a, b, c, d] = self.words(purpose).map(u64::from);
        [a | (b << 32), c | (d << 32)]
    }
}

/// Low and high word.
pub(crate) fn halves(value: u64) -> [u32; 2] {
    #[expect(clippy::cast_possible_truncation, reason = "the lower word")]
    let low = value as u32;
    [low, (value >> 32) as u32]
}

/// A point in `[0, mass)` from 64 random bits.
pub(crate) fn point(random: u64, mass: u64) -> u64 {
    ((u128::from(random) * u128::from(mass)) >> 64) as u64
}

fn philox(mut counter: [u32; 4], mut key: [u32; 2]) -> [u32; 4] {
    for _ in 0..10 {
        let [a_low, a_high] = halves(0xd251_1f53 * u64::from(counter[0]));
        let [b_low, b_high] = halves(0xcd9e_8d57 * u64::from(counter[2]));
        counter = [b_high ^ counter[1] ^ key[0], b_low, a_high ^ counter[3] ^ key[1], a_low];
        key = [key[0].wrapping_add(0x9e37_79b9), key[1].wrapping_add(0xbb67_ae85)];
    }
    counter
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The known answers of Random123, the authors' own implementation (`kat_vectors`, philox4x32 10).
    #[test]
    fn philox_gives_the_published_words() {
        let cases = [
            ([0; 4], [0; 2], [0x6627_e8d5, 0xe169_c58d, 0xbc57_ac4c, 0x9b00_dbd8]),
            ([u32::MAX; 4], [u32::MAX; 2], [0x408f_276d, 0x41c8_3b0e, 0xa20b_c7c6, 0x6d54_51fd]),
            (
                [0x243f_6a88, 0x85a3_08d3, 0x1319_8a2e, 0x0370_7344],
                [0xa409_3822, 0x299f_31d0],
                [0xd16c_fe09, 0x94fd_cceb, 0x5001_e420, 0x2412_6ea1],
            ),
        ];
        for (counter, key, words) in cases {
            assert_eq!(philox(counter, key), words, "{counter:x?} {key:x?}");
        }
        assert_ne!(philox([1, 0, 0, 0], [0; 2]), cases[0].2, "another counter");
    }

    #[test]
    fn every_part_of_the_key_changes_the_numbers() {
        let key = Key { seed: 1, position: 2, stream: 3 };
        let all = [
            key.words(Purpose::Draw(0)),
            key.words(Purpose::Draw(1)),
            key.words(Purpose::Xtc),
            key.words(Purpose::Accept(0)),
            key.words(Purpose::Accept(1)),
            key.words(Purpose::Residual),
            Key { seed: 1 + (1 << 40), ..key }.words(Purpose::Draw(0)),
            Key { position: 2 + (1 << 40), ..key }.words(Purpose::Draw(0)),
            Key { stream: 4, ..key }.words(Purpose::Draw(0)),
        ];
        for (i, words) in all.iter().enumerate() {
            assert!(!all[..i].contains(words), "{i}");
        }
    }

    #[test]
    fn points_stay_below_the_mass() {
        assert_eq!(point(u64::MAX, 5), 4);
        assert_eq!(point(0, 5), 0);
        assert_eq!(point(1 << 63, 1 << 63), 1 << 62);
    }
}

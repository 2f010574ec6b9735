//! Rows, masks and drafts that no engine should meet, and that some will.

use sortilege::Dtype;
use sortilege::synthetic::mix;

/// A row and what is read beside it.
#[derive(Clone)]
pub(crate) struct Stored {
    /// Bits of the logits, as many as the type has.
    pub(crate) logits: Vec<u32>,
    pub(crate) mask: Vec<u32>,
    pub(crate) draft: Vec<f32>,
}

/// Bit patterns of a type.
pub(crate) struct Bits {
    pub(crate) sign: u32,
    pub(crate) infinity: u32,
}

impl Bits {
    pub(crate) fn of(dtype: Dtype) -> Self {
        let infinity = match dtype {
            Dtype::F32 => 0x7f80_0000,
            Dtype::F16 => 0x7c00,
            Dtype::Bf16 => 0x7f80,
            _ => unreachable!("{dtype} has no line here"),
        };
        Self { sign: 1 << (8 * dtype.bytes() - 1), infinity }
    }

    fn largest(&self) -> u32 {
        self.infinity - 1
    }
}

type Poison = fn(&mut Stored, &Bits);

/// At one token, in the middle of the row.
fn at_one(row: &mut Stored, bits: u32) {
    let middle = row.logits.len() / 2;
    row.logits[middle] = bits;
}

fn at_each(row: &mut Stored, bits: impl Fn(usize) -> u32) {
    row.logits.iter_mut().enumerate().for_each(|(token, logit)| *logit = bits(token));
}

/// So many of them are of logits, the others of masks and drafts.
pub(crate) const OF_LOGITS: usize = 20;

pub(crate) const POISONS: [(&str, Poison); 27] = [
    ("a NaN", |row, bits| at_one(row, bits.infinity + (bits.infinity & !(bits.infinity << 1)) / 2)),
    ("a NaN with the sign set", |row, bits| at_one(row, bits.sign | (bits.sign - 1))),
    ("a signalling NaN", |row, bits| at_one(row, bits.infinity + 1)),
    ("a signalling NaN with the sign set", |row, bits| at_one(row, bits.sign | (bits.infinity + 1))),
    ("a NaN at the first token", |row, bits| row.logits[0] = bits.sign - 1),
    ("a NaN at the last token", |row, bits| *row.logits.last_mut().expect("a token") = bits.sign - 1),
    ("NaN throughout", |row, bits| at_each(row, |_| bits.sign - 1)),
    ("NaN of both signs throughout", |row, bits| {
        at_each(row, |i| (bits.infinity + 1) | (bits.sign * (i as u32 & 1)))
    }),
    ("an infinity", |row, bits| at_one(row, bits.infinity)),
    ("an infinity at the last token", |row, bits| *row.logits.last_mut().expect("a token") = bits.infinity),
    ("infinity throughout", |row, bits| at_each(row, |_| bits.infinity)),
    ("infinities of both signs", |row, bits| at_each(row, |i| bits.infinity | (bits.sign * (i as u32 & 1)))),
    ("nothing possible", |row, bits| at_each(row, |_| bits.infinity | bits.sign)),
    ("one token possible", |row, bits| {
        at_each(row, |_| bits.infinity | bits.sign);
        at_one(row, 0);
    }),
    ("all equal", |row, bits| at_each(row, |_| bits.infinity / 2)),
    ("the largest throughout", |row, bits| at_each(row, |_| bits.largest())),
    ("the lowest throughout", |row, bits| at_each(row, |_| bits.largest() | bits.sign)),
    ("largest and lowest", |row, bits| at_each(row, |i| bits.largest() | (bits.sign * (i as u32 & 1)))),
    ("the least of both signs", |row, bits| at_each(row, |i| 1 | (bits.sign * (i as u32 & 1)))),
    ("any bits", |row, bits| at_each(row, |i| mix(i as u64) as u32 & (bits.sign | (bits.sign - 1)))),
    ("a mask that allows nothing", |row, _| row.mask.fill(0)),
    ("a mask with bits past the vocabulary", |row, _| {
        let past = row.mask.len() * 32 - row.logits.len();
        *row.mask.last_mut().expect("a word") |= !(u32::MAX >> past);
    }),
    ("draft probabilities of NaN", |row, _| row.draft.fill(f32::NAN)),
    ("draft probabilities of NaN with the sign set", |row, _| row.draft.fill(f32::from_bits(u32::MAX))),
    ("negative draft probabilities", |row, _| row.draft.fill(-1.0)),
    ("draft probabilities over 1", |row, _| row.draft.fill(f32::INFINITY)),
    ("subnormal draft probabilities", |row, _| row.draft.fill(f32::from_bits(1))),
];

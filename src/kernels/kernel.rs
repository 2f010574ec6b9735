//! Kernels as data: source, bindings declared once. Tests compare the bindings with the WGSL and translate every
//! kernel for every backend.

use bytemuck::{Pod, Zeroable};

use crate::arithmetic::divergence::INFORMATION_TABLE;
use crate::arithmetic::exact::TABLE;
use crate::arithmetic::lane::LANE_TABLE;

/// The binding `table`: that of the integers, that of the lanes, that of information.
pub(crate) fn tables() -> Vec<u32> {
    [&TABLE[..], &LANE_TABLE, &INFORMATION_TABLE].concat()
}

/// The text of a kernel, `shaders/<name>.wgsl` first so that line numbers in errors are those of the file, then its
/// libraries: by the device's own floats, and by integers alone, where `integer_floats` stands in for `floats`.
macro_rules! wgsl {
    ($name:literal: $($lib:tt),*) => {
        $crate::kernels::kernel::Wgsl {
            floats: &[include_str!(concat!("../../shaders/", $name, ".wgsl")), $($crate::kernels::kernel::lib!($lib)),*],
            integers: &[include_str!(concat!("../../shaders/", $name, ".wgsl")), $($crate::kernels::kernel::lib!($lib by integers)),*],
        }
    };
}
pub(crate) use wgsl;

macro_rules! lib {
    ("floats" by integers) => {
        include_str!("../../shaders/lib/integer_floats.wgsl")
    };
    ($name:literal $(by integers)?) => {
        include_str!(concat!("../../shaders/lib/", $name, ".wgsl"))
    };
}
pub(crate) use lib;

/// The texts of a kernel, file by file, so that a program has a library of several kernels once. Both give the same bits; a
/// kernel without `floats` has one.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Wgsl {
    /// For a device whose floats round to nearest, each by itself and in order.
    pub(crate) floats: &'static [&'static str],
    /// For any device.
    pub(crate) integers: &'static [&'static str],
}

/// How a kernel computes weights, the quickest way first; all give the same bits.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) enum Means {
    Floats,
    /// Floats with something between any two operations that no compiler sees through: against reordering.
    WalledFloats,
    Integers,
}

impl Means {
    pub(crate) const ALL: [Self; 3] = [Self::Floats, Self::WalledFloats, Self::Integers];
}

impl Wgsl {
    pub(crate) fn text(&self, means: Means) -> String {
        match means {
            Means::Floats | Means::WalledFloats => self.floats,
            Means::Integers => self.integers,
        }
        .concat()
    }

    /// Both texts changed, each as a whole.
    #[cfg(test)]
    pub(crate) fn changed(&self, change: impl Fn(&str) -> String) -> Self {
        let changed = |files: &[&str]| &*vec![&*change(&files.concat()).leak()].leak();
        Self { floats: changed(self.floats), integers: changed(self.integers) }
    }
}

/// One binding of group 0; its index is its place in the list.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Slot {
    /// The uniform [`ChunkUniform`].
    Chunk,
    /// A storage buffer, read only.
    Read,
    /// A storage buffer, written.
    Write,
}

/// A compute shader with the entry point `main`.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Kernel {
    pub(crate) name: &'static str,
    pub(crate) wgsl: Wgsl,
    pub(crate) slots: &'static [Slot],
}

/// Whether a planted fault is wanted: the first of a list, or all where `SORTILEGE_FAULTS` is `all`, every third from the
/// second on where it is `2/3`, or those whose names contain it.
#[cfg(all(test, feature = "device"))]
pub(crate) fn is_wanted(number: usize, name: &str) -> bool {
    let which = std::env::var("SORTILEGE_FAULTS").unwrap_or_default();
    let share = which
        .split_once('/')
        .and_then(|(share, of)| share.parse::<usize>().ok().zip(of.parse::<usize>().ok()))
        .filter(|(share, of)| (1..=*of).contains(share));
    match (which.as_str(), share) {
        ("", _) => number == 0,
        ("all", _) => true,
        (_, Some((share, of))) => number % of == share - 1,
        (part, None) => name.contains(part),
    }
}

#[cfg(test)]
impl Kernel {
    /// The kernel with another piece of text in place of one that must be there.
    pub(crate) fn replaced(self, right: &str, wrong: &str) -> Self {
        assert!(self.wgsl.text(Means::Floats).contains(right), "{}: no {right:?}", self.name);
        Self { wgsl: self.wgsl.changed(|text| text.replace(right, wrong)), ..self }
    }

    /// The same in the text by floats alone.
    pub(crate) fn replaced_in_floats(self, right: &str, wrong: &str) -> Self {
        let floats = self.replaced(right, wrong).wgsl.floats;
        Self { wgsl: Wgsl { floats, ..self.wgsl }, ..self }
    }
}

/// The uniform of `shaders/lib/format.wgsl`, field by field.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, Pod, Zeroable)]
pub(crate) struct ChunkUniform {
    pub(crate) vocab: u32,
    pub(crate) tiles: u32,
    pub(crate) listed: u32,
    pub(crate) rows: u32,
    pub(crate) element_base: u32,
    pub(crate) row_stride: u32,
    pub(crate) record_words: u32,
    pub(crate) out_base: u32,
    pub(crate) first_row: u32,
    /// Comes back in every record.
    pub(crate) call: u32,
    pub(crate) views: u32,
    pub(crate) mask_words: u32,
    pub(crate) mask_base: u32,
    pub(crate) other_base: u32,
    pub(crate) other_stride: u32,
    pub(crate) draws: u32,
    pub(crate) top_raw: u32,
    /// Of a list of more than [`MOST_LISTED`](crate::arithmetic::format::MOST_LISTED) entries; of `row_sample`, a number of
    /// [`stage`](super::row_sample::stage).
    pub(crate) stage: u32,
    /// Whether that is the raw list of a sample's record.
    pub(crate) raw_list: u32,
    /// Zero, known at run time only.
    pub(crate) nothing: u32,
    /// Rounds of loops that an invocation of `row_sample` may take.
    pub(crate) most_rounds: u32,
    /// Given tokens of a row, the most of any; where they lie among the quads of the upload.
    pub(crate) token_ids: u32,
    pub(crate) first_given: u32,
}

impl ChunkUniform {
    /// Rounds of loops after which the device stops, where it does.
    pub(crate) fn most_rounds(&self) -> Option<u32> {
        (self.most_rounds < u32::MAX).then_some(self.most_rounds)
    }
}

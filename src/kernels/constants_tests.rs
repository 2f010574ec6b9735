//! Every `const` of every shader, compared with the host's number of the same name, or known to be the shader's alone; and
//! every file below `shaders/`, which some kernel lists.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use super::kernel::Means;
use super::kernel_tests::parse_text;
use super::{ALL, digit_count};
use crate::answer::words;
use crate::arithmetic::draw_scale::{LOG2_E_Q54, WEIGHTLESS};
use crate::arithmetic::exact::{self, Scale};
use crate::arithmetic::format::{MAX_VOCAB, MOST_LISTED, NO_TOKEN, SUBTILE_TOKENS, TILE_TOKENS};
use crate::arithmetic::lane::{self, LaneScale};
use crate::arithmetic::{divergence, merge, rng, wide};
use crate::filter::{CutKind, MAX_CUTS};
use crate::request;

/// The numbers that both sides know, under the names of the shaders.
fn shared() -> BTreeMap<String, i64> {
    let lists = [
        merge::tile::NAMED,
        merge::row_status::NAMED,
        words::record::NAMED,
        words::sample::NAMED,
        words::draw::NAMED,
        words::run::NAMED,
        words::given::NAMED,
        words::divergence::NAMED,
        divergence::divergence_tile::NAMED,
        divergence::unmatched::NAMED,
        request::words::asks::NAMED,
        request::change::words::NAMED,
        request::words::request::NAMED,
        request::ahead::ahead::NAMED,
        request::ahead::has::NAMED,
        request::ahead::slot::NAMED,
        rng::purposes::NAMED,
        super::row_sample::stage::NAMED,
    ];
    let of_lists = lists.into_iter().flatten().map(|(name, value)| (*name, (*value).cast_signed()));
    let of_cuts = CutKind::ALL.iter().map(|(name, kind)| (*name, i64::from(*kind as u32)));
    let single = [
        ("TILE", TILE_TOKENS as i64),
        ("SUBTILE", SUBTILE_TOKENS as i64),
        ("SUBTILES_PER_TILE", (TILE_TOKENS / SUBTILE_TOKENS) as i64),
        ("LAST_TOKEN", MAX_VOCAB as i64 - 1),
        ("NO_TOKEN", i64::from(NO_TOKEN)),
        ("MOST_LISTED", i64::from(MOST_LISTED)),
        ("MAX_CUTS", MAX_CUTS as i64),
        ("NONE", i64::from(request::NONE)),
        ("BLOCK", digit_count::BLOCK_ITEMS as i64),
        ("DIGITS", digit_count::DIGITS as i64),
        ("KTH_WORDS", digit_count::KTH_WORDS as i64),
        ("KEY_NEG_INFINITY", i64::from(exact::KEY_NEG_INFINITY)),
        ("KEY_INFINITY", i64::from(exact::KEY_INFINITY)),
        ("KEY_NAN", i64::from(exact::KEY_NAN)),
        ("LANE_TABLE", exact::TABLE_SIZE as i64),
        ("INFORMATION_TABLE", 2 * exact::TABLE_SIZE as i64),
        ("OCTAVES_OF_NAT", i64::from(Scale::new(1.0).rate)),
        ("CERTAIN", i64::from(divergence::CERTAIN)),
        // Of a tile's divergence, but for its maxima.
        ("SUM_WORDS", (divergence::divergence_tile::WORDS - divergence::divergence_tile::MASSES) as i64),
        ("CHORD", i64::from(lane::CHORD)),
        ("NEAREST", i64::from(lane::NEAREST.to_bits())),
        ("FARTHEST", i64::from(lane::FARTHEST.to_bits())),
        ("PER_LOGIT_ONE", i64::from(LaneScale::new(1.0).per_logit.to_bits())),
        ("WHOLE_OCTAVES", 0x7f80_0000),
        ("BITS_NEG_INFINITY", i64::from(exact::BITS_NEG_INFINITY)),
        ("BITS_LOWEST", i64::from(f32::MIN.to_bits())),
        ("BITS_NAN", i64::from(f32::NAN.to_bits())),
        ("FAR", i64::from(exact::FAR)),
        ("MAX_POINT", i64::from(wide::MAX_POINT)),
        ("MOST_COUNTED", i64::from(request::MOST_COUNTED)),
        ("WEIGHTLESS", i64::from(WEIGHTLESS)),
        ("BUCKET_WORDS", 4 * request::change::BUCKET as i64),
        ("BUCKET_PENALTY", 2 * request::change::BUCKET as i64),
        ("BUCKET_COUNT", 3 * request::change::BUCKET as i64),
        ("MOST_CROWDED", request::ahead::MOST_CROWDED as i64),
        ("LOG2_E_LOW", (LOG2_E_Q54 & 0xffff_ffff).cast_signed()),
        ("LOG2_E_HIGH", (LOG2_E_Q54 >> 32).cast_signed()),
        // Lanes of a workgroup, 256 on WebGPU's floor, and what follows from them.
        ("LANES", 256),
        ("FLAG_WORDS", 256 / 32),
        ("NO_DIGIT", digit_count::DIGITS as i64),
        // Digits of 8 bits of a code: a key of 32 and a place of 20.
        ("CODE_DIGITS", 32 / 8 + 20_i64.div_euclid(8) + 1),
        ("PLACE_BITS", 20),
        ("MOST_CHOSEN", i64::from(MOST_LISTED)),
        ("LEAST_REST", i64::from(super::residual::LEAST_REST)),
        ("ONE_Q31", i64::from(super::residual::ONE)),
    ];
    of_lists.chain(of_cuts).chain(single).map(|(name, value)| (name.to_owned(), value)).collect()
}

/// Names that only the lanes of one kernel tell each other: stations, tasks, ways to weigh.
const OWN_PREFIXES: &[&str] = &["AT_", "BY_", "SELECT_BY_", "OF_", "ROUND_", "DOES_", "STEP_"];
const OWN_NAMES: &[&str] = &[
    "NOTHING",
    "SUM",
    "TAKE",
    "DRAW",
    "DRAW_DIGITS",
    "PROCESSED",
    "FIRST_OPENED",
    "TOP_BITS",
    "MOST_MOVES",
    "ROUNDS_OF_DIGIT",
    "MOST_FEW",
    "CHAMPIONS",
    "NO_PLACE",
    "UNKNOWN",
    // Vectors and structures of them, whose parts stand beside them.
    "NO_ITEM",
    "LOWEST",
    "HIGHEST",
    "FIRST_WEIGHT",
    "ALL_CODES",
];

/// The named constants of all shaders: scalars by value, others without one.
fn declared() -> BTreeMap<String, Option<i64>> {
    let mut all = BTreeMap::new();
    for (kernel, means) in ALL.iter().flat_map(|kernel| [(kernel, Means::Floats), (kernel, Means::Integers)])
    {
        let (module, _) = parse_text(kernel, means);
        for (_, constant) in module.constants.iter() {
            let Some(name) = constant.name.clone() else { continue };
            let value = match module.global_expressions[constant.init] {
                naga::Expression::Literal(naga::Literal::U32(value)) => Some(i64::from(value)),
                naga::Expression::Literal(naga::Literal::I32(value)) => Some(i64::from(value)),
                _ => None,
            };
            let before = all.insert(name.clone(), value);
            assert!(before.is_none_or(|before| before == value), "{name} has two values");
        }
    }
    all
}

/// What is wrong with the constants of the shaders.
fn faults(shared: &BTreeMap<String, i64>, declared: &BTreeMap<String, Option<i64>>) -> Vec<String> {
    let is_own =
        |name: &str| OWN_NAMES.contains(&name) || OWN_PREFIXES.iter().any(|prefix| name.starts_with(prefix));
    let mut faults = Vec::new();
    for (name, value) in declared {
        match (shared.get(name), value) {
            (Some(ours), Some(theirs)) if ours == theirs => {}
            (Some(ours), theirs) => faults.push(format!("{name} is {theirs:?} in the shaders, {ours} here")),
            (None, _) if is_own(name) || name == "SCALE_ONE" => {}
            (None, _) => faults.push(format!("{name} is in no list of the host")),
        }
    }
    let missing = shared.keys().filter(|name| !declared.contains_key(*name));
    faults.extend(missing.map(|name| format!("{name} is in no shader")));
    faults
}

#[test]
fn every_constant_is_the_hosts() {
    let faults = faults(&shared(), &declared());
    assert!(faults.is_empty(), "{}", faults.join("\n"));
}

/// The comparison above must see a changed number, a new one and a missing one.
#[test]
fn a_changed_constant_is_seen() {
    let (shared, declared) = (shared(), declared());
    let mut changed = declared.clone();
    changed.insert("TILE".to_owned(), Some(2048));
    changed.insert("SAMPLE_NEW".to_owned(), Some(1));
    changed.remove("CUT_XTC");
    let found = faults(&shared, &changed);
    assert_eq!(found.len(), 3, "{found:?}");
    for name in ["TILE", "SAMPLE_NEW", "CUT_XTC"] {
        assert!(found.iter().any(|fault| fault.starts_with(name)), "{name}: {found:?}");
    }
}

#[test]
fn the_scale_of_temperature_one_is_the_hosts() {
    let Scale { shift, rate, half_window } = Scale::new(1.0);
    let line = format!("const SCALE_ONE: Scale = Scale({shift}, {rate}u, {half_window:?});");
    assert!(include_str!("../../shaders/lib/exact.wgsl").contains(&line), "{line}");
}

/// Files below `shaders/` that no kernel is made of.
fn orphans(files: &[String]) -> Vec<String> {
    let mut used: BTreeSet<&str> = BTreeSet::from(["integer_floats"]); // stands in for `floats`
    for kernel in ALL {
        used.insert(kernel.name);
        let lines = kernel.wgsl.floats.iter().flat_map(|file| file.lines());
        let heads = lines.filter_map(|line| line.strip_prefix("// ")?.split_once(": "));
        used.extend(heads.map(|(name, _)| name));
    }
    files.iter().filter(|name| !used.contains(name.as_str())).cloned().collect()
}

fn shader_files() -> Vec<String> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("shaders");
    let stems = |folder: &Path| -> Vec<String> {
        std::fs::read_dir(folder)
            .expect("the folder is there")
            .map(|entry| entry.expect("an entry").path())
            .filter(|path| path.extension().is_some_and(|end| end == "wgsl"))
            .map(|path| path.file_stem().expect("a name").to_string_lossy().into_owned())
            .collect()
    };
    [stems(&folder), stems(&folder.join("lib"))].concat()
}

#[test]
fn every_shader_belongs_to_a_kernel() {
    let mut files = shader_files();
    assert!(files.len() > 20, "{files:?}");
    assert_eq!(orphans(&files), [""; 0]);
    files.push("left_over".to_owned());
    assert_eq!(orphans(&files), ["left_over"], "an orphan is seen");
}

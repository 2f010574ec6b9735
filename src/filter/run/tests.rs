//! What a run says of its tokens, against plain sorts and sums.

use super::*;
use crate::arithmetic::lane::PassScale;
use crate::logits::RowBits;

pub(crate) const KEY: Key = Key { seed: 1, position: 2, stream: 3 };

pub(crate) fn bits_of(row: &[f32]) -> Vec<u32> {
    row.iter().map(|x| x.to_bits()).collect()
}

pub(crate) fn view_of(bits: &[u32]) -> View<'_> {
    crate::kernels::row_task::view_of(RowBits::of_f32(bits), PassScale::new(1.0), true)
}

/// Spread over 16, in no order, each value three times, every eighth token impossible.
fn row_of(vocab: usize) -> Vec<f32> {
    let value = |i: usize| if i % 8 == 5 { f32::NEG_INFINITY } else { (i * 7919 % vocab / 3) as f32 };
    (0..vocab).map(|i| value(i) * (48.0 / vocab as f32)).collect()
}

/// The possible tokens, in order, by a plain sort.
fn sorted(row: &[f32]) -> Vec<u32> {
    let mut order: Vec<u32> =
        (0u32..).zip(row).filter(|(_, x)| x.is_finite()).map(|(token, _)| token).collect();
    order.sort_by(|&a, &b| row[b as usize].total_cmp(&row[a as usize]).then(a.cmp(&b)));
    order
}

#[test]
fn the_order_grows_right() {
    let row = row_of(5003);
    let (bits, order) = (bits_of(&row), sorted(&row));
    let view = view_of(&bits);
    let mut run = Run::new(&view, Scale::new(1.0), KEY);
    assert_eq!(run.len(), order.len());
    for place in [0, 1, 63, 64, 200, 1023, 1024, 1025, 4000, order.len() - 1, 17] {
        let (key, token) = run.at(place);
        assert_eq!((token, key), (order[place], exact::key_of_bits(bits[order[place] as usize])), "{place}");
    }
    // Straight to the end, and from a place in the middle.
    let mut run = Run::new(&view, Scale::new(1.0), KEY);
    run.drop_first(1500);
    let ids = |tokens: &[(i32, u32)]| tokens.iter().map(|(_, token)| *token).collect::<Vec<u32>>();
    assert_eq!(ids(run.top(700)), order[1500..2200]);
    run.keep_first(100);
    assert_eq!((ids(run.top(700)), ids(run.top(0))), (order[1500..1600].to_vec(), vec![]));
    assert_eq!(ids(&run.tokens()), order[1500..1600]);
    assert_eq!(run.max_bits(), bits[order[1500] as usize]);
}

#[test]
fn ends_hold_the_run_and_nothing_else() {
    let row = row_of(500);
    let (bits, order) = (bits_of(&row), sorted(&row));
    let view = view_of(&bits);
    for (start, end) in [(0, order.len()), (0, 7), (3, order.len()), (5, 100)] {
        let mut run = Run::new(&view, Scale::new(1.0), KEY);
        run.keep_first(end);
        if start > 0 {
            run.drop_first(start);
        }
        let (first, last) = run.ends();
        let place = |(key, token): (i32, u32)| (std::cmp::Reverse(key), token);
        let codes = bits.iter().map(|&bits| exact::key_of_bits(bits)).zip(0u32..);
        let held = codes.filter(|&code| (place(first)..=place(last)).contains(&place(code)));
        let mut held: Vec<u32> = held.map(|(_, token)| token).collect();
        let mut expected = order[start..end].to_vec();
        held.sort_unstable();
        expected.sort_unstable();
        assert_eq!(held, expected, "{start}..{end}");
        let last = order[end - 1];
        assert_eq!(run.last(), (exact::key_of_bits(bits[last as usize]), last), "{start}..{end}");
    }
}

#[test]
fn one_token_stays() {
    let bits = bits_of(&[1.0, 3.0, 2.0]);
    let view = view_of(&bits);
    let mut run = Run::new(&view, Scale::new(1.0), KEY);
    run.keep_first(0);
    assert_eq!((run.len(), run.at(0).1), (1, 1));
    run.keep_first(5);
    assert_eq!(run.len(), 1, "what was dropped does not come back");
}

/// The sums of integers, against the same in f64.
#[test]
fn sums_are_the_definition() {
    let row = row_of(5003);
    let (bits, order) = (bits_of(&row), sorted(&row));
    let view = view_of(&bits);
    for (start, end, temperature) in
        [(0, order.len(), 1.0), (0, order.len(), 0.5), (0, 70, 1.0), (9, 2000, 2.5)]
    {
        let mut run = Run::new(&view, Scale::new(1.0), KEY);
        run.keep_first(end);
        run.drop_first(start);
        run.is_full = end - start == order.len();
        run.scale = Scale::new(temperature);
        let Sums { mass, surprisal, count } = run.sums();
        let max = f64::from(row[order[start] as usize]);
        let distances: Vec<f64> = order[start..end]
            .iter()
            .map(|&token| (max - f64::from(row[token as usize])) / f64::from(temperature))
            .collect();
        let of_mass: f64 = distances.iter().map(|d| (-d).exp()).sum();
        let of_surprisal: f64 =
            distances.iter().map(|d| (-d).exp() * d).sum::<f64>() / std::f64::consts::LN_2;
        let error = |got: u64, expected: f64| (got as f64 * exact::pow2(-43) / expected - 1.0).abs();
        assert_eq!(count as usize, end - start);
        assert!(error(mass, of_mass) < 1e-6, "mass of {start}..{end} at {temperature}");
        assert!(error(surprisal, of_surprisal) < 1e-6, "surprisal of {start}..{end} at {temperature}");
    }
}

/// Which of the two sums is taken is part of the result.
#[test]
fn pass_1_sums_the_whole_row_at_its_scale_only() {
    let bits = bits_of(&row_of(5003));
    let view = view_of(&bits);
    let mut run = Run::new(&view, Scale::new(1.0), KEY);
    let own = run.sums_at(run.scale, run.max_bits());
    assert_ne!(run.sums_of_row(), own, "their last bits differ");
    assert_eq!(run.sums(), run.sums_of_row());
    run.is_full = false;
    assert_eq!(run.sums(), own);
    (run.is_full, run.scale) = (true, Scale::new(2.0));
    assert_eq!(run.sums(), run.sums_at(Scale::new(2.0), run.max_bits()));
}

#[test]
fn the_length_of_a_prefix_is_counted_in_the_run() {
    let bits = bits_of(&[0.0, 3.0, 1.0, 3.0, f32::NEG_INFINITY, 2.0]);
    let view = view_of(&bits);
    let mut run = Run::new(&view, Scale::new(1.0), KEY);
    let least = |limit: f32| move |_: &Run<'_>, key: i32| key >= exact::key_of_bits(limit.to_bits());
    assert_eq!([3.0, 2.5, 1.0, -1.0, 4.0].map(|limit| run.prefix_len_where(least(limit))), [2, 2, 4, 5, 0]);
    run.drop_first(1);
    run.keep_first(2);
    assert_eq!([3.0, 2.0, 1.0].map(|limit| run.prefix_len_where(least(limit))), [1, 2, 2]);
}

#[test]
fn ranks_are_those_of_the_run() {
    let bits = bits_of(&[2.0, 3.0, 2.0, 3.0, 2.0, 1.0]); // order: 1 3 0 2 4 5
    let view = view_of(&bits);
    let mut run = Run::new(&view, Scale::new(1.0), KEY);
    let [two, three] = [2f32.to_bits(), 3f32.to_bits()];
    assert_eq!([run.describe(3), run.describe(0)], [[three, 0, 2], [two, 2, 3]]);
    run.drop_first(1);
    run.keep_first(3); // 3 0 2
    assert_eq!([run.describe(3), run.describe(2)], [[three, 0, 1], [two, 1, 2]]);
}

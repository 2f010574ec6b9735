//! Samplers that are subtly wrong: each of ten faults makes the check that it is here for fail, and the engine passes all
//! of them. A fault changes what the engine is asked, so that it draws from what the faulty sampler would draw from.

use sortilege::{Cpu, Engine, Logits, Order, Request, Row, SampleInputs, SamplingParams};

use crate::common::test_each;
use crate::independence::dependence;
use crate::{large_row, misfit, probabilities, sixteen, small_row};

/// What a sampler is asked: requests over one row of logits, a draw or several each.
struct Batch {
    row: Vec<f32>,
    /// A bit per token, for all requests.
    mask: Option<u32>,
    asked: Vec<Asked>,
}

#[derive(Clone)]
struct Asked {
    params: SamplingParams,
    output: Vec<u32>,
    position: u64,
}

impl Asked {
    fn new(params: &SamplingParams, position: u64) -> Self {
        Self { params: params.clone(), output: Vec::new(), position }
    }
}

/// Turns a sound sampler into a faulty one.
type Fault = fn(&mut Batch);

/// The tokens that are drawn for each request: the engine's, with the fault.
fn tokens(mut batch: Batch, fault: Fault) -> Vec<Vec<u32>> {
    fault(&mut batch);
    let Batch { row, mask, asked } = batch;
    let request = |asked: &Asked| {
        let mut request = Request::new(asked.params.clone()).unwrap();
        asked.output.iter().for_each(|token| request.accept_token(*token));
        request
    };
    let requests: Vec<Request> = asked.iter().map(request).collect();
    let rows: Vec<Row<'_>> =
        requests.iter().zip(&asked).map(|(request, asked)| request.row(asked.position).detached()).collect();
    let logits = row.repeat(rows.len());
    let logits = Logits::f32(&logits, rows.len(), row.len()).unwrap();
    let mask = mask.map(|word| vec![word; rows.len()]);
    let samples = Cpu.sample(&logits, &rows, &SampleInputs { mask: mask.as_deref(), draft: None }).unwrap();
    samples.iter().map(|sample| sample.draws.iter().map(|drawn| drawn.token).collect()).collect()
}

/// How often each token is drawn by so many requests of consecutive positions.
fn count(row: &[f32], asks: &[Asked], positions: u64, mask: Option<u32>, fault: Fault) -> Vec<u64> {
    let mut counts = vec![0; row.len()];
    let step = (2_000_000 / row.len() as u64).clamp(1, 20_000);
    for first in (0..positions).step_by(step as usize) {
        let places = first..(first + step).min(positions);
        let at = |position| asks.iter().map(move |ask| Asked { position, ..ask.clone() });
        let batch = Batch { row: row.to_vec(), mask, asked: places.flat_map(at).collect() };
        tokens(batch, fault).iter().flatten().for_each(|token| counts[*token as usize] += 1);
    }
    counts
}

/// Half of the mass on either side.
fn halves(fault: Fault) -> f64 {
    let row = small_row();
    let counts = count(&row, &[Asked::new(&sixteen(), 0)], 62_500, None, fault);
    misfit(&counts, &probabilities(&row, &sixteen(), true))
}

/// Everything of a long row, of which the least probable token is drawn 6 times in 100 000.
fn long_row(fault: Fault) -> f64 {
    let row = large_row();
    let counts = count(&row, &[Asked::new(&sixteen(), 0)], 62_500, None, fault);
    misfit(&counts, &probabilities(&row, &sixteen(), true))
}

/// A filter that ends before a token as heavy as the one that it keeps.
fn boundary(fault: Fault) -> f64 {
    let params = SamplingParams { top_k: 50, ..sixteen() };
    let row = large_row();
    let counts = count(&row, &[Asked::new(&params, 0)], 10_000, None, fault);
    misfit(&counts, &probabilities(&row, &params, true))
}

/// Ten tokens of one logit, between others.
fn ties(fault: Fault) -> f64 {
    let mut row = vec![-0.5f32; 16];
    row[3..13].fill(0.25);
    let counts = count(&row, &[Asked::new(&sixteen(), 0)], 62_500, None, fault);
    misfit(&counts, &probabilities(&row, &sixteen(), true))
}

/// The last of a row is as probable as the others.
fn last_token(fault: Fault) -> f64 {
    let counts = count(&[1.0; 33], &[Asked::new(&sixteen(), 0)], 2000, None, fault);
    misfit(&counts, &[1.0 / 33.0; 33])
}

const MASK: u32 = 0b1011_0100;

fn masked(fault: Fault) -> f64 {
    let mut row = small_row();
    let counts = count(&row, &[Asked::new(&sixteen(), 0)], 10_000, Some(MASK), fault);
    let hidden = (0..8).filter(|token| MASK >> token & 1 == 0);
    hidden.for_each(|token| row[token] = f32::NEG_INFINITY);
    misfit(&counts, &probabilities(&row, &sixteen(), true))
}

/// Two requests side by side, one of which has a token behind it: the draws of the other are those of the plain row.
fn neighbours(fault: Fault) -> f64 {
    let params = SamplingParams { frequency_penalty: 0.4, ..sixteen() };
    let row = small_row();
    let heard =
        Asked { output: vec![1], ..Asked::new(&SamplingParams { seed: Some(7), ..params.clone() }, 0) };
    let asks = [heard, Asked::new(&params, 0)];
    let mut counts = vec![0; row.len()];
    for position in (0..60_000).step_by(10_000) {
        let at = |position| asks.iter().map(move |ask| Asked { position, ..ask.clone() });
        let asked = (position..position + 10_000).flat_map(at).collect();
        let drawn = tokens(Batch { row: row.clone(), mask: None, asked }, fault);
        drawn.iter().skip(1).step_by(2).flatten().for_each(|token| counts[*token as usize] += 1);
    }
    misfit(&counts, &probabilities(&row, &sixteen(), true))
}

/// XTC's coin acts at its share of the positions of a request: the two most probable of these tokens are drawn where it
/// does not.
fn coins(fault: Fault) -> f64 {
    let row: Vec<f32> = [0.4f32, 0.3, 0.2, 0.1].iter().map(|p| p.ln()).collect();
    let params =
        SamplingParams { xtc_threshold: 0.15, xtc_probability: 0.5, n: 1, order: Order::Vllm, ..sixteen() };
    let counts = count(&row, &[Asked::new(&params, 0)], 20_000, None, fault);
    let [with, without] = [true, false].map(|acts| probabilities(&row, &params, acts));
    let expected: Vec<f64> = with.iter().zip(&without).map(|(a, b)| 0.5 * a + 0.5 * b).collect();
    misfit(&counts, &expected)
}

/// The same slots of two batches, whose requests have other seeds.
fn seeds(fault: Fault) -> f64 {
    let row = small_row();
    let of = |first_seed: u64| -> Vec<u32> {
        let params = |slot| SamplingParams { seed: Some(first_seed + slot), ..SamplingParams::default() };
        let asked = (0..20_000).map(|slot| Asked::new(&params(slot), 0)).collect();
        tokens(Batch { row: row.clone(), mask: None, asked }, fault).into_iter().flatten().collect()
    };
    let pairs: Vec<(u32, u32)> = of(1).into_iter().zip(of(1 << 20)).collect();
    dependence(&pairs, &row)
}

/// Tokens of a flat tail, each of one and a half times 2^-24: a number of 24 bits falls on some of them twice as often as
/// on others. Cells: the head, and tokens on which one such number falls, or two. 64 000 draws, 0.9 % of them from the
/// tail; the difference is λ = 64, over twice the limit.
fn fine_uniforms(fault: Fault) -> f64 {
    let row = fine_row();
    let counts = count(&row, &[Asked::new(&sixteen(), 0)], 4000, None, fault);
    let (p, numbers) = (softmax(&row), numbers_of(&row));
    let (mut seen, mut expected) = (vec![0; 3], vec![0.0; 3]);
    for ((count, p), numbers) in counts.iter().zip(&p).zip(numbers) {
        let cell = numbers.min(3) as usize % 3; // no tail token has none
        seen[cell] += count;
        expected[cell] += p;
    }
    misfit(&seen, &expected)
}

fn fine_row() -> Vec<f32> {
    let tail = 100_000;
    let share = 1.5 / 16_777_216.0;
    let mut row = vec![(share / (1.0 - share * f64::from(tail))).ln() as f32; tail as usize + 1];
    row[0] = 0.0;
    row
}

fn softmax(row: &[f32]) -> Vec<f64> {
    let weights: Vec<f64> = row.iter().map(|x| f64::from(*x).exp()).collect();
    let sum: f64 = weights.iter().sum();
    weights.iter().map(|weight| weight / sum).collect()
}

/// How many of the 2^24 numbers of 24 bits fall on each token, by the running sum.
fn numbers_of(row: &[f32]) -> Vec<u64> {
    let (mut sum, mut last) = (0.0, 0);
    let below = |p: &f64| {
        sum += p;
        let end = (sum * 16_777_216.0).ceil() as u64;
        let own = end - last;
        last = end;
        own
    };
    softmax(row).iter().map(below).collect()
}

/// Draws with a number of 24 bits.
fn coarse_uniform(batch: &mut Batch) {
    let numbers = numbers_of(&batch.row);
    batch.row = numbers.iter().map(|number| (*number as f32).ln()).collect();
}

/// A number whose upper half comes up 50.5 times of 100.
fn biased_half(batch: &mut Batch) {
    let mut sum = 0.0;
    let weigh = |p: &f64| {
        let upper = (sum + p - f64::max(sum, 0.5)).max(0.0);
        sum += p;
        (1.01 * upper + 0.99 * (p - upper)).ln() as f32
    };
    batch.row = softmax(&batch.row).iter().map(weigh).collect();
}

/// A filter keeps a token too many.
fn boundary_off_by_one(batch: &mut Batch) {
    batch.asked.iter_mut().for_each(|asked| asked.params.top_k += 1);
}

/// The last thousandth of the mass is never reached, as with a running sum that loses its small terms.
fn tail_cut(batch: &mut Batch) {
    batch.asked.iter_mut().for_each(|asked| asked.params.top_p = 0.999);
}

/// Draws by the place in the batch.
fn seed_of_the_slot(batch: &mut Batch) {
    for (slot, asked) in (0..).zip(&mut batch.asked) {
        asked.params.seed = Some(slot);
    }
}

/// Of equal tokens the first gets 5 % more.
fn uneven_ties(batch: &mut Batch) {
    let row = &mut batch.row;
    if let Some(first) = (1..row.len()).find(|&token| row[token] == row[token - 1]) {
        let tied = row[first];
        let first = row.iter().position(|logit| *logit == tied).unwrap_or(first);
        row[first] += 0.05;
    }
}

fn never_the_last(batch: &mut Batch) {
    batch.row.last_mut().into_iter().for_each(|logit| *logit = f32::NEG_INFINITY);
}

fn no_mask(batch: &mut Batch) {
    batch.mask = None;
}

/// Each request is punished for what the one before it in the batch has drawn.
fn penalty_of_the_neighbour(batch: &mut Batch) {
    let outputs: Vec<Vec<u32>> = batch.asked.iter().map(|asked| asked.output.clone()).collect();
    let before = outputs.iter().cycle().skip(outputs.len() - 1);
    batch.asked.iter_mut().zip(before).for_each(|(asked, output)| asked.output.clone_from(output));
}

/// XTC's coin is thrown once for all positions.
fn one_coin(batch: &mut Batch) {
    for asked in &mut batch.asked {
        asked.params.xtc_probability = asked.params.xtc_probability.round();
    }
}

/// What a check says of a sampler: over 1 rejects it, by chance once in a million.
type Check = fn(Fault) -> f64;

const FAULTS: &[(&str, Fault, Check)] = &[
    ("a uniform number of 24 bits", coarse_uniform, fine_uniforms),
    ("a biased half", biased_half, halves),
    ("a boundary that is off by one", boundary_off_by_one, boundary),
    ("a tail that is cut", tail_cut, long_row),
    ("the seed of the slot", seed_of_the_slot, seeds),
    ("uneven ties", uneven_ties, ties),
    ("never the last token", never_the_last, last_token),
    ("a mask that is ignored", no_mask, masked),
    ("the penalty of the neighbour", penalty_of_the_neighbour, neighbours),
    ("a coin for all positions", one_coin, coins),
];

#[test]
fn each_faulty_sampler_is_rejected() {
    test_each(FAULTS.iter().map(|(name, fault, check)| (name, (fault, check))), |(fault, check)| {
        let misfit = check(*fault);
        println!("rejected at {misfit:.2} times the limit");
        assert!(misfit > 1.0, "{misfit} times the limit");
    });
}

/// The engine passes every check that finds a fault.
#[test]
fn the_engine_passes_what_rejects_faulty_samplers() {
    test_each(FAULTS.iter().map(|(name, _, check)| (name, check)), |check| {
        let misfit = check(|_| ());
        println!("passed at {misfit:.2} times the limit");
        assert!(misfit <= 1.0, "{misfit} times the limit");
    });
}

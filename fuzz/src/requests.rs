//! Parameters with any bits, and histories of requests on the CPU engine: what is in its range gets an answer, whatever
//! the logits are.

use arbitrary::{Arbitrary, Result, Unstructured};
use sortilege::{
    Cpu, Dry, Dtype, Engine, Logits, Mirostat, Order, Request, Row, Sample, SampleInputs, SamplingParams,
    SamplingStep, Status,
};

/// A vocabulary, parameters, a prompt, and steps with their logits.
pub fn requests(data: &[u8]) {
    let _ = run(&mut Unstructured::new(data));
}

fn run(u: &mut Unstructured<'_>) -> Result<()> {
    // Some beside the first subtile.
    let vocab = u.int_in_range(1..=100)?;
    let params = params(u, vocab)?;
    let prompt = tokens(u, vocab)?;
    let Ok(mut request) = Request::with_prompt(params, &prompt) else { return Ok(()) };
    let steps = 3;
    let mut position = u64::arbitrary(u)?.min(u64::MAX - steps);
    for _ in 0..steps {
        position += u64::from(step(u, &mut request, position, vocab)?);
        if u.ratio(1, 4)? {
            let _ = request.set_params(self::params(u, vocab)?);
        }
    }
    Ok(())
}

/// Draws a token from any bits, and accepts it; `false` if there is no further one.
fn step(u: &mut Unstructured<'_>, request: &mut Request, position: u64, vocab: u32) -> Result<bool> {
    let dtype = *u.choose(Dtype::ALL)?;
    let columns = vocab as usize;
    let has_mask = u.ratio(1, 4)?;
    let mask: Vec<u32> = (0..columns.div_ceil(32)).map(|_| u32::arbitrary(u)).collect::<Result<_>>()?;
    let has_draft = u.ratio(1, 4)? && request.params().n == 1 && request.params().mirostat.is_none();
    // One token, or siblings, of which two may be the same.
    let draft: Vec<u32> = (0..if has_draft { u.int_in_range(1..=5)? } else { 0 })
        .map(|_| u.int_in_range(0..=vocab - 1))
        .collect::<Result<_>>()?;
    let probabilities: Vec<f32> =
        (0..if has_draft { columns } else { 0 }).map(|_| number(u, 1.0)).collect::<Result<_>>()?;
    let mut bytes = vec![0; columns * dtype.bytes()];
    u.fill_buffer(&mut bytes)?;
    let logits = Logits::new(&bytes, dtype, 1, columns).expect("a row");
    let inputs =
        SampleInputs { mask: has_mask.then_some(&mask[..]), draft: has_draft.then_some(&probabilities[..]) };
    // In a block or not: a lone row has no draft token there.
    let block_place = u.ratio(1, 8)?.then_some(0);
    let row = Row { draft: &draft, block_place, ..request.row(position).detached() };
    match Cpu.sample(&logits, &[row], &inputs) {
        Ok(samples) => {
            check(&samples[0], request.params(), vocab);
            let before = request.output().len();
            request.accept(&samples[0]).expect("in turn");
            Ok(request.output().len() > before)
        }
        Err(error) => {
            let is_refused = request.params().validate_tokens(columns).is_err();
            let may_fail = has_draft || block_place.is_some();
            assert!(is_refused || !error.to_string().is_empty() && may_fail, "{error}");
            Ok(false)
        }
    }
}

fn check(sample: &Sample, params: &SamplingParams, vocab: u32) {
    if sample.status != Status::Ok {
        assert!(sample.draws.is_empty(), "{sample:?}");
        return;
    }
    let draws = if params.temperature == 0.0 { 1 } else { params.n };
    assert_eq!(sample.draws.len(), draws as usize, "{sample:?}");
    // With a dynamic temperature the mass is that at 1, where the kept tokens may weigh less than a unit.
    assert!((1..=vocab).contains(&sample.kept) && sample.kept_mass >= 0.0, "{sample:?}");
    for drawn in &sample.draws {
        assert!(drawn.token < vocab && drawn.processed.rank() <= vocab, "{sample:?}");
        assert!(drawn.logprob <= 0.0 && drawn.logprob.is_finite(), "{sample:?}");
    }
}

/// Most often parameters in their ranges, of which few act at a time.
fn params(u: &mut Unstructured<'_>, vocab: u32) -> Result<SamplingParams> {
    let off = SamplingParams::default();
    let acts = <[u8; 3]>::arbitrary(u)?.map(u32::from);
    let acts = acts[0] | acts[1] << 8 | acts[2] << 16;
    let is_set = |bit: u32| acts >> bit & 1 != 0;
    let mut of = |bit: u32, most: f32, default: f32| if is_set(bit) { number(u, most) } else { Ok(default) };
    let mut params = SamplingParams {
        temperature: of(0, 2.0, 1.0)?,
        dynatemp_range: of(1, 2.0, 0.0)?,
        dynatemp_exponent: of(1, 4.0, 1.0)?,
        top_p: of(2, 1.0, 1.0)?,
        min_p: of(3, 1.0, 0.0)?,
        typical_p: of(4, 1.0, 1.0)?,
        top_n_sigma: of(5, 4.0, 0.0)?,
        top_a: of(6, 1.0, 0.0)?,
        epsilon_cutoff: of(7, 1.0, 0.0)?,
        eta_cutoff: of(8, 1.0, 0.0)?,
        xtc_threshold: of(9, 1.0, 0.1)?,
        xtc_probability: of(9, 1.0, 0.0)?,
        repetition_penalty: of(10, 2.0, 1.0)?,
        presence_penalty: of(11, 100.0, 0.0)?,
        frequency_penalty: of(12, 100.0, 0.0)?,
        ..off
    };
    params.top_k = if is_set(13) { u32::from(u8::arbitrary(u)?) } else { 0 };
    params.mirostat =
        if is_set(14) { Some(Mirostat { tau: number(u, 30.0)?, eta: number(u, 1.0)? }) } else { None };
    params.order = if is_set(15) { order(u)? } else { Order::Vllm };
    for token in if is_set(16) { tokens(u, vocab)? } else { Vec::new() } {
        params.logit_bias.push((token, number(u, 1e4)?));
    }
    params.penalty_last_n = if is_set(17) { Some(u32::from(u8::arbitrary(u)?)) } else { None };
    params.dry = if is_set(18) { Some(dry(u, vocab)?) } else { None };
    params.bad_words = if is_set(19) { vec![tokens(u, vocab)?, tokens(u, vocab)?] } else { Vec::new() };
    if is_set(20) {
        params.min_tokens = u64::arbitrary(u)?;
        params.stop_token_ids = tokens(u, vocab)?;
    }
    params.allowed_token_ids = if is_set(21) { Some(tokens(u, vocab)?) } else { None };
    params.n = if is_set(22) { u32::from(u8::arbitrary(u)? % 18) } else { 1 };
    (params.raw_logprobs, params.processed_logprobs, params.entropy) =
        if is_set(23) { (Some(u8::arbitrary(u)?.into()), Some(2), true) } else { (None, None, false) };
    params.seed = Some(u64::from(u8::arbitrary(u)?));
    let more = u8::arbitrary(u)?;
    if more & 1 != 0 {
        params.no_repeat_ngram_size = u.int_in_range(0..=4)?;
        params.no_repeat_ngram_window = Option::<u8>::arbitrary(u)?.map(u32::from);
    }
    if more & 2 != 0 {
        (params.penalty_exempt_token_ids, params.xtc_exempt_token_ids) =
            (tokens(u, vocab)?, tokens(u, vocab)?);
    }
    params.p_less = more & 4 != 0;
    params.top_h = if more & 8 != 0 { number(u, 1.0)? } else { 1.0 };
    Ok(params)
}

fn dry(u: &mut Unstructured<'_>, vocab: u32) -> Result<Dry> {
    Ok(Dry {
        multiplier: number(u, 100.0)?,
        base: 1.0 + number(u, 9.0)?,
        allowed_length: u.int_in_range(0..=4)?,
        last_n: Option::<u8>::arbitrary(u)?.map(u32::from),
        sequence_breakers: tokens(u, vocab)?,
    })
}

fn order(u: &mut Unstructured<'_>) -> Result<Order> {
    let mut steps = SamplingStep::ALL.to_vec();
    for last in (1..steps.len()).rev() {
        let place = u.int_in_range(0..=last)?;
        steps.swap(last, place);
    }
    Ok(if u.ratio(1, 4)? { Order::Llama } else { Order::List(steps) })
}

/// A few tokens, rarely one that is none.
fn tokens(u: &mut Unstructured<'_>, vocab: u32) -> Result<Vec<u32>> {
    let count = u.int_in_range(0..=6)?;
    (0..count).map(|_| u.int_in_range(0..=if vocab > 90 { vocab } else { vocab - 1 })).collect()
}

/// A number from 0 to `most`, one of its ends, or any bits.
fn number(u: &mut Unstructured<'_>, most: f32) -> Result<f32> {
    Ok(match u.int_in_range(0..=7u8)? {
        0 => most,
        1 => 0.0,
        2 => f32::from_bits(u32::arbitrary(u)?),
        3 => most * f32::from_bits(u.int_in_range(0..=0x3f80_0000)?),
        _ => most * f32::from(u16::arbitrary(u)?) / 65535.0,
    })
}

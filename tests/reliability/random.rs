//! Random requests on random batches: every device gives the CPU engine's bits. A case is a function of its number, which
//! a failure names: `SORTILEGE_RANDOM_FIRST` begins there. `SORTILEGE_RANDOM_CASES` says how many are tried, on the devices
//! in turn.

use std::time::Instant;

use sortilege::synthetic::{KINDS, SplitMix64, mix};
use sortilege::{
    Cpu, Dry, Dtype, Engine, Logits, LogprobsParams, Mirostat, Order, Request, Row, SampleInputs,
    SamplingParams, SamplingStep,
};

use crate::GPUS;

fn number_of(variable: &str, otherwise: u64) -> u64 {
    std::env::var(variable).map_or(otherwise, |text| text.parse().expect("a number"))
}

/// A batch in a buffer with something before it and between its rows.
struct Case {
    dtype: Dtype,
    rows: usize,
    vocab: usize,
    stride: usize,
    bytes: Vec<u8>,
    numbers: SplitMix64,
}

impl Case {
    fn new(number: u64) -> Self {
        let mut numbers = SplitMix64::new(mix(number));
        let dtype = Dtype::ALL[numbers.below(Dtype::ALL.len())];
        // Most are small; some have a second tile, few are long.
        let most = [3, 70, 70, 300, 300, 1100, 4200, 9000][numbers.below(8)];
        let vocab = 1 + numbers.below(most);
        let rows = 1 + numbers.below(if vocab > 1000 { 3 } else { 7 });
        let stride = vocab + [0, 0, 1, 5][numbers.below(4)];
        let mut bytes = vec![0xff; (rows * stride * dtype.bytes()).next_multiple_of(4)]; // NaN between the rows
        for row in 0..rows {
            let kind = &KINDS[numbers.below(KINDS.len())];
            let start = row * stride * dtype.bytes();
            kind.store(dtype, numbers.next() << 20, &mut bytes[start..start + vocab * dtype.bytes()]);
        }
        Self { dtype, rows, vocab, stride, bytes, numbers }
    }

    fn logits(&self) -> Logits<'_> {
        Logits::strided(&self.bytes, self.dtype, self.rows, self.vocab, self.stride).expect("a batch")
    }

    fn is(&mut self, one_in: usize) -> bool {
        self.numbers.below(one_in) == 0
    }

    fn token(&mut self) -> u32 {
        self.numbers.below(self.vocab) as u32
    }

    fn tokens(&mut self, most: usize) -> Vec<u32> {
        (0..self.numbers.below(most + 1)).map(|_| self.token()).collect()
    }

    /// One draft token, or several different ones.
    fn siblings(&mut self) -> Vec<u32> {
        let most = [1, 1, 2, 6, Row::MAX_DRAFT_TOKENS][self.numbers.below(5)];
        let mut tokens = vec![self.token()];
        for token in self.tokens(most - 1) {
            if !tokens.contains(&token) {
                tokens.push(token);
            }
        }
        tokens
    }

    /// Between two bounds; at times one of them, or beside one.
    fn between(&mut self, low: f32, high: f32) -> f32 {
        match self.numbers.below(12) {
            0 => low,
            1 => high,
            2 => low.next_up(),
            3 => high.next_down(),
            _ => (low + self.numbers.unit() as f32 * (high - low)).clamp(low, high),
        }
    }

    fn params(&mut self) -> SamplingParams {
        let mut params = SamplingParams {
            seed: Some(self.numbers.next() >> self.numbers.below(64)),
            stream: if self.is(2) { 0 } else { self.numbers.next() as u32 },
            n: if self.is(3) { 1 + self.numbers.below(16) as u32 } else { 1 },
            raw_logprobs: self.is(2).then(|| self.numbers.below(40) as u32),
            processed_logprobs: self.is(2).then(|| self.numbers.below(40) as u32),
            entropy: self.is(2),
            ..SamplingParams::default()
        };
        self.choose_temperature(&mut params);
        self.choose_filters(&mut params);
        self.choose_changes(&mut params);
        self.choose_order(&mut params);
        params
    }

    fn choose_temperature(&mut self, params: &mut SamplingParams) {
        params.temperature = match self.numbers.below(6) {
            0 => 0.0,
            1 => 1.0,
            2 => 2f32.powi(self.numbers.below(19) as i32 - 9),
            3 => self.between(0.001, 1000.0),
            _ => self.between(0.1, 2.0),
        };
        if self.is(4) {
            params.dynatemp_range = self.between(0.0, 2.0).min(1000.0 - params.temperature);
            params.dynatemp_exponent =
                [self.between(0.0, 3.0), self.between(0.0, 255.0)][self.numbers.below(2)];
        }
    }

    fn choose_filters(&mut self, params: &mut SamplingParams) {
        if self.is(4) {
            params.top_k = self.numbers.below(self.vocab + 3) as u32;
        }
        let small =
            |case: &mut Self| [case.between(0.0, 1.0), case.between(0.0, 0.01)][case.numbers.below(2)];
        if self.is(4) {
            params.top_p = [self.between(0.0, 1.0), 1.0 - self.between(0.0, 1e-5)][self.numbers.below(2)];
        }
        if self.is(4) {
            params.min_p = small(self);
        }
        if self.is(6) {
            params.typical_p = self.between(0.0, 1.0);
        }
        if self.is(6) {
            params.top_n_sigma = [self.between(0.0, 5.0), self.between(0.0, 1000.0)][self.numbers.below(2)];
        }
        if self.is(6) {
            params.top_a = small(self);
        }
        if self.is(6) {
            params.epsilon_cutoff = small(self).min(1.0f32.next_down());
        }
        if self.is(6) {
            params.eta_cutoff = small(self).min(1.0f32.next_down());
        }
        if self.is(6) {
            (params.p_less, params.top_h) = (self.is(2), small(self));
        }
        if self.is(4) {
            let threshold = small(self).max(2f32.powi(-43)); // a lower one is refused
            (params.xtc_threshold, params.xtc_probability) = (threshold, self.between(0.0, 1.0));
            params.xtc_exempt_token_ids = self.tokens(5);
        }
        if self.is(8) {
            let tau = self.between(f32::MIN_POSITIVE, 30.0);
            params.mirostat = Some(Mirostat { tau, eta: self.between(0.0, 1.0) });
        }
    }

    fn choose_changes(&mut self, params: &mut SamplingParams) {
        if self.is(3) {
            let size = [1.0, 100.0, 1e-39, 1e37][self.numbers.below(4)];
            params.logit_bias =
                self.tokens(9).into_iter().map(|token| (token, self.between(-size, size))).collect();
        }
        if self.is(3) {
            params.repetition_penalty =
                [self.between(0.01, 2.0), self.between(0.5, 100.0)][self.numbers.below(2)];
            params.presence_penalty = self.between(-2.0, 2.0);
            params.frequency_penalty = [0.0, self.between(-100.0, 100.0)][self.numbers.below(2)];
            params.penalty_exempt_token_ids = self.tokens(3);
            params.penalty_last_n = self.is(2).then(|| self.numbers.below(20) as u32);
        }
        if self.is(5) {
            params.dry = Some(Dry {
                multiplier: self.between(0.0, 5.0),
                base: self.between(1.0, 10.0),
                allowed_length: 1 + self.numbers.below(3) as u32,
                last_n: self.is(2).then(|| self.numbers.below(20) as u32),
                sequence_breakers: self.tokens(2),
            });
        }
        if self.is(5) {
            params.bad_words =
                (0..self.numbers.below(3)).map(|_| self.tokens(2)).filter(|word| !word.is_empty()).collect();
            (params.stop_token_ids, params.min_tokens) = (self.tokens(3), self.numbers.below(9) as u64);
        }
        if self.is(5) {
            params.no_repeat_ngram_size = self.numbers.below(4) as u32;
            params.no_repeat_ngram_window = self.is(2).then(|| self.numbers.below(20) as u32);
        }
        if self.is(6) {
            params.allowed_token_ids = Some(self.tokens(self.vocab.min(60)));
        }
    }

    /// One of the three orders; that of one's own has every step, shuffled.
    fn choose_order(&mut self, params: &mut SamplingParams) {
        params.order = match self.numbers.below(3) {
            0 => Order::Vllm,
            1 => Order::Llama,
            _ => {
                let mut steps = SamplingStep::ALL.to_vec();
                for end in (1..steps.len()).rev() {
                    steps.swap(end, self.numbers.below(end + 1));
                }
                Order::List(steps)
            }
        };
    }

    fn request(&mut self) -> Request {
        let params = self.params();
        let prompt = self.tokens(12);
        let mut request = Request::with_prompt(params, &prompt).expect("in range");
        // Few tokens, so that some repeat.
        let few = 1 + self.vocab.min(4);
        for _ in 0..self.numbers.below(20) {
            let token = self.numbers.below(few.min(self.vocab)) as u32;
            request.accept_token(token);
        }
        request
    }

    /// Draws or records or what stays on the device, on one engine: an answer that differs where a bit does.
    fn what(&mut self) -> Call {
        match self.numbers.below(8) {
            0..=4 => self.sampling(),
            5 => {
                let targets = (0..self.rows).map(|_| (!self.is(4)).then(|| self.token())).collect();
                let listed = [3, 30, self.vocab as u32 + 2][self.numbers.below(3)].min(1200);
                let temperature = self.between(0.001, 3.0);
                let params = LogprobsParams { top_logprobs: listed, temperature, entropy: self.is(2) };
                Call::Logprobs(params, targets)
            }
            6 => Call::TopK(1 + self.numbers.below(self.vocab + 2).min(1300) as u32),
            _ => Call::Values,
        }
    }

    fn sampling(&mut self) -> Call {
        let requests: Vec<Request> = (0..self.rows).map(|_| self.request()).collect();
        let positions = (0..self.rows).map(|_| self.numbers.next() >> self.numbers.below(64)).collect();
        let words = self.rows * self.vocab.div_ceil(32);
        let mask = self
            .is(3)
            .then(|| (0..words).map(|_| (self.numbers.next() | self.numbers.next()) as u32).collect());
        let may_draft = |request: &Request| request.params().n == 1 && request.params().mirostat.is_none();
        let in_blocks = self.is(2);
        let mut blocks: Vec<Option<usize>> = Vec::new();
        for request in &requests {
            let before = blocks.last().copied().flatten().filter(|_| !self.is(4));
            blocks.push((in_blocks && may_draft(request)).then(|| before.map_or(0, |place| place + 1)));
        }
        let drafts: Vec<Vec<u32>> = requests
            .iter()
            .zip(blocks.iter().skip(1).chain([&None]))
            .map(|(request, next)| match in_blocks {
                true => next.filter(|&place| place > 0).map(|_| self.token()).into_iter().collect(),
                false if self.is(3) && may_draft(request) => self.siblings(),
                false => Vec::new(),
            })
            .collect();
        let scale = 2.0 / self.vocab as f64;
        let mut draft: Vec<f32> =
            (0..self.rows * self.vocab).map(|_| (self.numbers.unit() * scale) as f32).collect();
        // What a draft all but never says makes good for the tokens before it.
        for (own, tokens) in draft.chunks_mut(self.vocab).zip(&drafts).filter(|_| in_blocks) {
            tokens
                .iter()
                .filter(|_| self.numbers.below(4) > 0)
                .for_each(|token| own[*token as usize] *= 1e-6);
        }
        Call::Sample { requests, positions, mask, drafts, blocks, draft }
    }
}

/// What is asked of an engine.
enum Call {
    Sample {
        requests: Vec<Request>,
        positions: Vec<u64>,
        mask: Option<Vec<u32>>,
        drafts: Vec<Vec<u32>>,
        blocks: Vec<Option<usize>>,
        draft: Vec<f32>,
    },
    Logprobs(LogprobsParams, Vec<Option<u32>>),
    TopK(u32),
    Values,
}

/// An engine's answer, equal where every bit is.
#[derive(Debug, PartialEq)]
enum Answer {
    Samples(Vec<sortilege::Sample>),
    Logprobs(Vec<sortilege::Logprobs>),
    Words(Vec<u32>),
}

impl Call {
    fn on(&self, engine: &dyn Engine, logits: &Logits<'_>) -> Answer {
        let words = |values: Vec<f32>| values.into_iter().map(f32::to_bits);
        match self {
            Self::Sample { requests, positions, mask, drafts, blocks, draft } => {
                let rows: Vec<Row<'_>> = requests
                    .iter()
                    .zip(positions.iter().zip(drafts.iter().zip(blocks)))
                    .map(|(request, (position, (draft, &block)))| Row {
                        draft,
                        block_place: block,
                        ..request.row(*position).detached()
                    })
                    .collect();
                let inputs = SampleInputs { mask: mask.as_deref(), draft: Some(draft) };
                Answer::Samples(engine.sample(logits, &rows, &inputs).expect("samples"))
            }
            Self::Logprobs(params, targets) => {
                Answer::Logprobs(engine.logprobs(logits, params, targets).expect("records"))
            }
            Self::TopK(k) => {
                let (values, tokens) = engine.top_k(logits, *k).expect("lists");
                Answer::Words(words(values).chain(tokens).collect())
            }
            Self::Values => {
                let all = [engine.row_max(logits), engine.log_sum_exp(logits), engine.log_softmax(logits)];
                Answer::Words(all.into_iter().flat_map(|values| words(values.expect("values"))).collect())
            }
        }
    }
}

/// The case of a number on the device whose turn it is: what it is called, if the CPU engine says something else.
fn mismatch(number: u64) -> Option<String> {
    let mut case = Case::new(number);
    let call = case.what();
    let logits = case.logits();
    let gpu = &GPUS[number as usize % GPUS.len()];
    let is_same = call.on(gpu, &logits) == call.on(&Cpu, &logits);
    let Case { dtype, rows, vocab, stride, .. } = case;
    (!is_same)
        .then(|| format!("case {number}, [{rows}][{vocab}] {dtype} by {stride}, on {}", gpu.info().name))
}

#[test]
fn random_calls_have_the_same_bits_everywhere() {
    let (first, count) = (number_of("SORTILEGE_RANDOM_FIRST", 0), number_of("SORTILEGE_RANDOM_CASES", 2000));
    assert!(count > 0 && !GPUS.is_empty());
    let start = Instant::now();
    let found: Vec<String> = (first..first + count).filter_map(mismatch).collect();
    let seconds = start.elapsed().as_secs_f64();
    println!("{count} random calls on {} devices, {} mismatches, {seconds:.1} s", GPUS.len(), found.len());
    assert!(found.is_empty(), "{} of {count}:\n{}", found.len(), found[..found.len().min(20)].join("\n"));
}

/// The generator reaches what it is for: every kind of call, filters that cut, drafts that fail, rows without a draw. And
/// one bit of one logit more makes answers differ.
#[test]
fn random_calls_are_of_every_kind() {
    let mut seen = [0; 10];
    let mut changed = 0;
    for number in 0..1500 {
        let mut case = Case::new(number);
        let call = case.what();
        let answer = call.on(&Cpu, &case.logits());
        match &answer {
            Answer::Samples(samples) => {
                let Call::Sample { blocks, .. } = &call else { unreachable!("samples of a call for them") };
                for (sample, block) in samples.iter().zip(blocks) {
                    let is_behind = block.is_some_and(|place| place > 0);
                    seen[8] += usize::from(is_behind && sample.accepted == Some(true));
                    seen[9] += usize::from(is_behind && sample.accepted == Some(false));
                    seen[0] += 1;
                    seen[1] += usize::from(sample.draws.is_empty());
                    seen[2] += usize::from(sample.kept > 1 && sample.kept < case.vocab as u32 / 2);
                    seen[3] += usize::from(sample.accepted == Some(false));
                    seen[4] += usize::from(sample.accepted == Some(true));
                }
            }
            Answer::Logprobs(_) => seen[5] += 1,
            Answer::Words(_) if matches!(call, Call::TopK(_)) => seen[6] += 1,
            Answer::Words(_) => seen[7] += 1,
        }
        // The lowest bit of the exponent, of the first logit.
        let at = if cfg!(target_endian = "little") { case.dtype.bytes() - 2 } else { 1 };
        case.bytes[at] ^= 0x80;
        changed += usize::from(call.on(&Cpu, &case.logits()) != answer);
    }
    assert!(seen.iter().all(|count| *count > 30), "{seen:?}");
    assert!(changed > 500, "{changed} of 1500 answers see another logit");
}

//! Validation: every kernel against the CPU engine, bit for bit, and against the oracle within the promised error.
//!
//! A case is a batch whose rows go through every kind of values in turn, so each row also has neighbours that are no
//! distributions at all.
#![expect(clippy::cast_possible_truncation, reason = "words cut out of wider numbers, and sizes of the grid")]

use crate::buffers::{GpuLogits, buffer};
mod compare;
mod grid;
mod sampling;

use compare::{
    against_truth, difference, float_difference, nearest_error, sample_difference, token_difference, worse,
};
#[cfg(test)]
use grid::long_lists;
use grid::{Case, cases, kind_of, mix};
use sampling::Turns;

use crate::cpu;
use crate::device::Gpu;
use crate::error::Result;
use crate::exact::{SUBTILE_TOKENS, Scale, TILE_TOKENS};
use crate::kernels::tile_stats;
use crate::logits::Logits;
use crate::oracle::{self, Truth};
use crate::readback::{map_on_submit, wait_mapped};
use crate::record::Record;

/// Promised error in nats of every logprob whose probability is above [`ERROR_FLOOR`].
pub const ERROR_LIMIT: f64 = 1e-6;
/// Probability below which a logprob's error is not counted.
pub const ERROR_FLOOR: f64 = 1e-9;

/// How much to try.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Extent {
    /// Every kind of values and every dtype, sizes to 50 257: seconds on a software adapter.
    Quick,
    /// Sizes to 2^20 as well: minutes on a software adapter.
    Full,
}

/// What to validate.
#[derive(Clone, Copy, Debug)]
pub enum Engine<'a> {
    /// The CPU engine against the oracle alone.
    Cpu,
    /// The kernels on this device against the CPU engine and the oracle.
    Gpu(&'a Gpu),
}

/// What was found of one kernel or operation.
#[derive(Clone, Debug, PartialEq)]
pub struct Report {
    /// The kernel's or operation's name.
    pub kernel: &'static str,
    /// Rows compared.
    pub cases: usize,
    /// Rows whose bits differ from the CPU engine's, or that lie outside the promised error.
    pub mismatches: usize,
    /// Largest error against the oracle, in nats; `None` where results are no probabilities.
    pub worst_error: Option<f64>,
    /// The first mismatch: case, row, field, both values.
    pub first_mismatch: Option<String>,
}

impl Report {
    fn new(kernel: &'static str) -> Self {
        Self { kernel, cases: 0, mismatches: 0, worst_error: None, first_mismatch: None }
    }

    /// Counts a row, with its error against the oracle and what else is wrong with it.
    fn row(&mut self, case: &Case, row: usize, error: Option<f64>, wrong: Option<String>) {
        self.cases += 1;
        if let Some(error) = error {
            self.worst_error = Some(worse(self.worst_error.unwrap_or(0.0), error));
        }
        let too_far = error.filter(|error| worse(ERROR_LIMIT, *error) != ERROR_LIMIT);
        if let Some(what) = wrong.or_else(|| too_far.map(|error| format!("error {error:e}"))) {
            self.mismatches += 1;
            self.first_mismatch
                .get_or_insert_with(|| format!("{case}, row {row} ({}): {what}", kind_of(row).name));
        }
    }
}

/// Runs the grid and reports per kernel. `progress` hears how many cases are done, and of how many.
///
/// # Errors
/// What the device says. A mismatch is a report, no error.
pub fn validate(
    engine: Engine<'_>,
    extent: Extent,
    progress: &mut dyn FnMut(usize, usize),
) -> Result<Vec<Report>> {
    let cases = cases(extent);
    let names = ["tile_stats", "record", "row_max", "log_sum_exp", "log_softmax", "top_k", "sample"];
    let mut reports = names.map(Report::new);
    for (done, case) in cases.iter().enumerate() {
        progress(done, cases.len());
        case.run(engine, &mut reports)?;
    }
    progress(cases.len(), cases.len());
    let [tile_stats, rest @ ..] = reports;
    Ok(match engine {
        Engine::Cpu => rest.to_vec(), // its tile_stats is the reference itself
        Engine::Gpu(_) => std::iter::once(tile_stats).chain(rest).collect(),
    })
}

impl Case {
    fn run(&self, engine: Engine<'_>, reports: &mut [Report; 7]) -> Result<()> {
        let width = self.dtype.bytes();
        let stride = self.vocab + self.gap;
        let bytes = self.bytes();
        let first = self.lead * width;
        let logits = Logits::strided(&bytes[first..], self.dtype, self.rows, self.vocab, stride)?;
        let targets: Vec<Option<u32>> = (0..self.rows)
            .map(|row| (row % 5 != 4).then(|| (mix(self.seed ^ row as u64) % self.vocab as u64) as u32))
            .collect();
        let wide: Vec<Vec<f32>> =
            (0..self.rows).map(|row| logits.row_bits(row).iter().map(f32::from_bits).collect()).collect();
        let truths: Vec<Option<Truth>> =
            wide.iter().map(|row| oracle::truth(row, self.params.temperature)).collect();

        let [stats, record, row_max, log_sum_exp, log_softmax, top_k, sample] = reports;
        let expected = cpu::record(&logits, &self.params, &targets)?;
        let got = match engine {
            Engine::Cpu => expected.clone(),
            Engine::Gpu(gpu) => self.on_device(gpu, &bytes, &logits, &targets, stats)?,
        };
        for (row, (got, expected)) in got.iter().zip(&expected).enumerate() {
            let (error, wrong) = against_truth(got, truths[row].as_ref(), &wide[row], self.params.top_k);
            record.row(self, row, error, difference(got, expected).or(wrong));
        }

        self.sample(engine, &bytes, &logits, sample)?;

        // The operations have no temperature.
        let truths: Vec<Option<Truth>> = match self.params.temperature {
            1.0 => truths,
            _ => wide.iter().map(|row| oracle::truth(row, 1.0)).collect(),
        };
        let k = self.params.top_k.max(1);
        let reference = (
            cpu::row_max(&logits),
            cpu::log_sum_exp(&logits),
            cpu::log_softmax(&logits),
            cpu::top_k(&logits, k)?,
        );
        let results = match engine {
            Engine::Cpu => reference.clone(),
            Engine::Gpu(gpu) => (
                gpu.row_max(&logits)?,
                gpu.log_sum_exp(&logits)?,
                gpu.log_softmax(&logits)?,
                gpu.top_k(&logits, k)?,
            ),
        };
        for row in 0..self.rows {
            let truth = truths[row].as_ref();
            let max = wide[row].iter().copied().fold(f32::NEG_INFINITY, f32::max);
            let wrong = float_difference(&results.0[row..=row], &reference.0[row..=row]).or_else(|| {
                truth.and_then(|_| float_difference(&results.0[row..=row], &[max + 0.0])) // -0 comes back as 0
            });
            row_max.row(self, row, None, wrong);

            let error = truth.map(|truth| nearest_error(results.1[row], truth.logsumexp));
            let wrong = float_difference(&results.1[row..=row], &reference.1[row..=row]);
            log_sum_exp.row(self, row, error, wrong);

            let span = row * self.vocab..(row + 1) * self.vocab;
            let got = &results.2[span.clone()];
            let error = truth.map(|truth| {
                let errors = got.iter().zip(&truth.logprobs).map(|(&got, &truth)| nearest_error(got, truth));
                errors.fold(0.0, worse)
            });
            log_softmax.row(self, row, error, float_difference(got, &reference.2[span]));

            let span = row * k as usize..(row + 1) * k as usize;
            let (values, tokens) = (&results.3.0[span.clone()], &results.3.1[span.clone()]);
            let possible: Vec<u32> =
                tokens.iter().copied().take_while(|t| *t != cpu::PAST_THE_LAST).collect();
            let order = truth.map_or(&[][..], |truth| &truth.order[..truth.order.len().min(k as usize)]);
            let wrong = float_difference(values, &reference.3.0[span.clone()])
                .or_else(|| token_difference(tokens, &reference.3.1[span]))
                .or_else(|| token_difference(&possible, order));
            top_k.row(self, row, None, wrong);
        }
        Ok(())
    }

    /// Draws from every row, each with a request of its own.
    fn sample(
        &self,
        engine: Engine<'_>,
        bytes: &[u8],
        logits: &Logits<'_>,
        report: &mut Report,
    ) -> Result<()> {
        if !self.samples {
            return Ok(());
        }
        let turns = Turns::new(self);
        let expected = turns.on_cpu(logits)?;
        let got = match engine {
            Engine::Cpu => expected.clone(),
            Engine::Gpu(gpu) => turns.on_device(self, gpu, &self.upload(gpu, bytes))?,
        };
        let inputs = turns.inputs(self.vocab)?;
        for (row, (got, expected)) in got.iter().zip(&expected).enumerate() {
            let (error, wrong) = turns.against_truth(row, &inputs.rows[row], logits.row_bits(row), got);
            let wrong = sample_difference(got, expected).or(wrong);
            report.row(self, row, error, wrong.map(|wrong| format!("{}: {wrong}", Turns::name(self, row))));
        }
        Ok(())
    }

    fn upload(&self, gpu: &Gpu, bytes: &[u8]) -> wgpu::Buffer {
        use wgpu::BufferUsages as Usage;
        let usage = Usage::STORAGE | Usage::COPY_DST;
        let source = buffer(gpu.device(), "sortilege validation", bytes.len() as u64, usage);
        gpu.queue().write_buffer(&source, 0, bytes);
        source
    }

    /// Records the batch out of a buffer in which it starts after `lead` elements; checks the scratch on the way.
    fn on_device(
        &self,
        gpu: &Gpu,
        bytes: &[u8],
        logits: &Logits<'_>,
        targets: &[Option<u32>],
        stats: &mut Report,
    ) -> Result<Vec<Record>> {
        use wgpu::BufferUsages as Usage;
        let make = |size: u64, usage| buffer(gpu.device(), "sortilege validation", size, usage);
        let source = self.upload(gpu, bytes);
        let batch = GpuLogits {
            buffer: &source,
            byte_offset: (self.lead * self.dtype.bytes()) as u64,
            dtype: self.dtype,
            rows: self.rows,
            vocab: self.vocab,
            row_stride: self.vocab + self.gap,
        };
        let mut encoder = gpu.device().create_command_encoder(&wgpu::CommandEncoderDescriptor::default());
        let pending = gpu.sampler().record(&mut encoder, &batch, &self.params, targets)?;
        let plan = pending.plan().clone();
        let mut scratch = None;
        if plan.chunks.len() == 1 && plan.demand.stages(self.dtype) == 0 {
            let from = gpu.sampler().scratch(&plan)?;
            let bytes = plan.scratch_bytes;
            let to = make(bytes, Usage::MAP_READ | Usage::COPY_DST);
            encoder.copy_buffer_to_buffer(&from, 0, &to, 0, bytes);
            let map = map_on_submit(&encoder, &to, bytes);
            scratch = Some((to, map));
        }
        gpu.queue().submit([encoder.finish()]);
        let records = pending.wait()?;
        if let Some((copy, map)) = scratch {
            wait_mapped(&map, gpu.device(), gpu.sampler().options().deadline)?;
            let words = match copy.slice(..).get_mapped_range() {
                Ok(view) => bytemuck::cast_slice::<u8, u32>(&view).to_vec(),
                Err(_) => Vec::new(), // reported as a mismatch below
            };
            self.compare_tiles(logits, targets, &words, stats);
        }
        Ok(records)
    }

    /// Compares what tile_stats left in the scratch with its twin.
    fn compare_tiles(
        &self,
        logits: &Logits<'_>,
        targets: &[Option<u32>],
        words: &[u32],
        report: &mut Report,
    ) {
        use tile_stats::{STATS_WORDS, TILE_WORDS};
        let scale = Scale::new(self.params.temperature);
        let tiles = self.vocab.div_ceil(TILE_TOKENS);
        for (row, target) in targets.iter().enumerate() {
            let bits = logits.row_bits(row);
            let target_key = target
                .map_or(crate::exact::KEY_NEG_INFINITY, |token| crate::exact::key(bits.get(token as usize)));
            let mut wrong = None;
            let twins = tile_stats::run(bits, target_key, scale);
            let delegates = twins.delegates.chunks(TILE_TOKENS / SUBTILE_TOKENS);
            for (tile, (twin, delegates)) in twins.stats.iter().zip(delegates).enumerate() {
                let [mass, surprisal] = [twin.mass, twin.surprisal].map(crate::rng::halves);
                let stats: [u32; STATS_WORDS] = [
                    twin.max_key.cast_unsigned(),
                    twin.max_bits,
                    mass[0],
                    mass[1],
                    surprisal[0],
                    surprisal[1],
                    twin.n_greater,
                    twin.n_equal,
                ];
                let mut expected = stats.to_vec();
                expected.extend(delegates.iter().map(|key| key.cast_unsigned()));
                let first = (row * tiles + tile) * TILE_WORDS;
                let got = words.get(first..first + expected.len()).unwrap_or(&[]);
                if got != expected {
                    let place = (0..expected.len()).find(|&i| got.get(i) != Some(&expected[i]));
                    wrong.get_or_insert(format!(
                        "tile {tile}: word {place:?} is {:?} instead of {:?}",
                        place.and_then(|place| got.get(place)),
                        place.map(|place| expected[place])
                    ));
                }
            }
            report.row(self, row, None, wrong);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::dtype::Dtype;
    use crate::params::Params;
    use crate::record::Status;

    const CASE: Case = Case {
        dtype: Dtype::F32,
        rows: 20,
        vocab: 300,
        gap: 0,
        lead: 0,
        params: Params { top_k: 5, temperature: 1.0 },
        seed: 1,
        samples: false,
    };

    /// Every fault that a record can have is seen by the comparison with the oracle.
    #[test]
    fn the_oracle_sees_every_fault() {
        let bytes = CASE.bytes();
        let logits = Logits::new(&bytes, Dtype::F32, CASE.rows, CASE.vocab).expect("a batch");
        let row: Vec<f32> = logits.row_bits(0).iter().map(f32::from_bits).collect();
        let truth = oracle::truth(&row, 1.0).expect("a distribution");
        let sound =
            cpu::record(&logits.slice_rows(0, 1), &CASE.params, &[Some(7)]).expect("a record").remove(0);
        let verdict = |record: &Record, truth| {
            let mut report = Report::new("test");
            let (error, wrong) = against_truth(record, truth, &row, 5);
            report.row(&CASE, 0, error, wrong);
            report.mismatches
        };
        assert_eq!(verdict(&sound, Some(&truth)), 0);
        assert_eq!(verdict(&sound, None), 1, "a record of a row that is none");
        type Fault = (&'static str, fn(&mut Record));
        let faults: [Fault; 9] = [
            ("status", |r| r.status = Status::Nan),
            ("no entries", |r| r.top.clear()),
            ("one entry less", |r| r.top.truncate(4)),
            ("two swapped", |r| r.top.swap(1, 2)),
            ("logprob", |r| r.top[3].logprob += 1.1e-6),
            ("a NaN", |r| r.top[0].logprob = f64::NAN),
            ("logsumexp", |r| r.logsumexp -= 1.1e-6),
            ("entropy", |r| r.entropy += 1.1e-6),
            ("rank", |r| r.target.as_mut().expect("a target").n_greater += 1),
        ];
        for (name, fault) in faults {
            let mut record = sound.clone();
            fault(&mut record);
            assert_eq!(verdict(&record, Some(&truth)), 1, "{name}");
        }
    }

    /// Every fault that a sample can have is seen by the comparison with the oracle.
    #[test]
    fn the_oracle_sees_every_fault_of_a_sample() {
        let case = Case { seed: 4, ..CASE };
        let bytes = case.bytes();
        let logits = Logits::new(&bytes, Dtype::F32, case.rows, case.vocab).expect("a batch");
        let turns = Turns::new(&case);
        let inputs = turns.inputs(case.vocab).expect("sound inputs");
        let sound = turns.on_cpu(&logits).expect("samples").remove(0);
        assert_eq!(Turns::name(&case, 0), "temperature 0.6");
        let verdict = |sample: &crate::Sample| {
            let mut report = Report::new("test");
            let (error, wrong) = turns.against_truth(0, &inputs.rows[0], logits.row_bits(0), sample);
            report.row(&case, 0, error, wrong);
            report.mismatches
        };
        assert_eq!(verdict(&sound), 0);
        type Fault = (&'static str, fn(&mut crate::Sample));
        let faults: [Fault; 7] = [
            ("status", |s| s.status = Status::Nan),
            ("kept", |s| s.kept -= 1),
            ("kept mass", |s| s.kept_mass -= 1.1e-6),
            ("entropy", |s| s.processed.entropy += 1.1e-6),
            ("two swapped", |s| s.processed.top.swap(0, 1)),
            ("logprob", |s| s.processed.top[2].logprob += 1.1e-6),
            ("a token from outside", |s| s.draws[0].token = 300),
        ];
        for (name, fault) in faults {
            let mut sample = sound.clone();
            fault(&mut sample);
            assert_eq!(verdict(&sample), 1, "{name}");
        }
    }

    #[test]
    fn one_bit_of_a_float_or_a_token_is_seen() {
        let values = [1.0f32, -0.0, f32::NAN];
        assert_eq!(float_difference(&values, &values), None);
        assert!(float_difference(&[1.0, 0.0, f32::NAN], &values).is_some(), "the sign of zero");
        assert!(float_difference(&[f32::from_bits(1f32.to_bits() + 1), -0.0, f32::NAN], &values).is_some());
        assert!(float_difference(&values[..2], &values).is_some());
        assert!(token_difference(&[1, 2], &[1, 3]).is_some() && token_difference(&[1], &[1, 3]).is_some());
    }

    /// A device that sorts wrongly is found by the longest lists.
    #[test]
    fn a_device_that_sorts_otherwise_is_found() {
        use crate::kernel::Kernel;
        use crate::kernels::digit_scatter;
        let case =
            long_lists(true).find(|case| case.vocab == 9001 && case.params.top_k == 5000).expect("a case");
        let faults: [(&str, Kernel, &str, &str); 4] = [
            ("sound", digit_scatter::KERNEL, "", ""),
            (
                "ties in no order",
                digit_scatter::KERNEL,
                "& (own_flag - 1u)",
                "& ~(own_flag | (own_flag - 1u))",
            ),
            (
                "one entry too few",
                digit_scatter::KERNEL,
                "place >= chunk.listed",
                "place + 1u >= chunk.listed",
            ),
            (
                "ties with the last before better ones",
                digit_scatter::KERNEL,
                "0u, code < kth)",
                "0u, code <= kth)",
            ),
        ];
        for (name, kernel, right, wrong) in faults {
            let gpu = Gpu::any().expect("an adapter: scripts/test installs a software driver");
            let faulty = kernel.replaced(right, wrong);
            gpu.sampler()
                .pipeline(&faulty, Some(case.dtype), false)
                .expect("it compiles, and stays in its place");
            let mut reports = ["", "record", "", "", "", "top_k", ""].map(Report::new);
            case.run(Engine::Gpu(&gpu), &mut reports).expect("the device works");
            for report in [&reports[1], &reports[5]] {
                assert_eq!(report.mismatches > 0, name != "sound", "{name}: {report:?}");
            }
        }
    }

    /// A device with one wrong number in its table: validation and self-check must both say so.
    #[test]
    fn a_device_that_computes_other_bits_is_found() {
        let mut table = crate::exact::TABLE;
        table[512] += 1;
        let gpu = Gpu::any().expect("an adapter: scripts/test installs a software driver").with_table(&table);
        let reports = validate(Engine::Gpu(&gpu), Extent::Quick, &mut |_, _| ()).expect("the device works");
        for kernel in ["tile_stats", "record", "sample"] {
            let report = reports.iter().find(|report| report.kernel == kernel).expect("a report");
            assert!(report.mismatches > 20, "{report:?}");
            assert!(report.first_mismatch.as_ref().is_some_and(|first| first.contains("row")), "{report:?}");
        }
        // The self-check is small: it is for drivers that miscompile, not for one unit in one entry.
        table[512] += 1 << 14;
        let gpu = gpu.with_table(&table);
        let check = gpu.sampler().self_check();
        assert!(matches!(check, Err(crate::Error::Mismatch(_))), "{check:?}");
        let check = gpu.sampler().self_check_sampling(Dtype::F32);
        assert!(matches!(check, Err(crate::Error::Mismatch(_))), "{check:?}");
    }
}

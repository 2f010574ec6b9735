//! How many rounds of loops a device carries out in one invocation. Mesa's software drivers before version 25 stop after
//! 65 535 and say nothing; a row that takes more is refused there.

use super::guard::{at_once, lock};
use super::passes::{Passes, Range};
use super::sampler::Sampler;
use crate::error::{Error, Result};
use crate::kernels::kernel::ChunkUniform;
use crate::kernels::loop_rounds;

/// So many times so many rounds are asked for: more than any row takes.
const OUTER: u32 = 2048;
const INNER: u32 = 256;
const SEED: u32 = 0x5eed;
/// Fewer than these would leave hardly any row.
const LEAST: u32 = 1 << 13;
const DOING: &str = "checking the device's loops";

impl Sampler {
    /// Rounds that one invocation may take: as many as it likes, or a part of those after which the device stops. Found out
    /// once for a device, with a submit of its own.
    pub(super) fn most_rounds(&self) -> Result<u32> {
        let known = *lock(self.pipelines.most_rounds());
        match known {
            Some(rounds) => Ok(rounds),
            // Nothing can wait for the device in a browser, and what browsers run on is newer.
            None if cfg!(target_family = "wasm") => Ok(u32::MAX),
            None => at_once(self.find_most_rounds()),
        }
    }

    /// The same, found out where it is not known.
    pub(super) async fn find_most_rounds(&self) -> Result<u32> {
        let known = *lock(self.pipelines.most_rounds());
        if let Some(rounds) = known {
            return Ok(rounds);
        }
        let carried_out = self.rounds_carried_out().await?;
        let most = match carried_out {
            Some(rounds) if rounds == OUTER * INNER => u32::MAX,
            // Some are spent on loops that the kernel does not count.
            Some(rounds) if rounds >= LEAST => rounds / 8 * 7,
            _ => return Err(Error::Mismatch("this device, which cuts loops short,".to_owned())),
        };
        *lock(self.pipelines.most_rounds()) = Some(most);
        Ok(most)
    }

    /// How many of the inner rounds came about; nothing where that is no number of them at all.
    async fn rounds_carried_out(&self) -> Result<Option<u32>> {
        use wgpu::BufferUsages as Usage;
        let kernel = self.pipelines.get(&loop_rounds::KERNEL, None, false)?;
        let words = self.words_after(DOING, || {
            let uniform = ChunkUniform { rows: OUTER, vocab: INNER, call: SEED, ..ChunkUniform::default() };
            let uniform = self.filled(bytemuck::bytes_of(&uniform), Usage::UNIFORM);
            let out = self.filled(&[0; 4], Usage::STORAGE | Usage::COPY_SRC);
            let mut passes = Passes::default();
            passes.add(&self.device, &kernel, &[&uniform, &out].map(Range::whole), [1, 1, 1]);
            (passes, out)
        });
        let words = words.await?;
        Ok((0..=OUTER * INNER)
            .zip(loop_rounds::states(SEED))
            .find(|(_, state)| *state == words[0])
            .map(|(n, _)| n))
    }
}

#[cfg(all(test, feature = "device"))]
mod tests {
    use super::*;
    use crate::gpu::{Gpu, SamplerOptions};
    use crate::{Cpu, Engine, Logits, Request, SampleInputs, SamplingParams};

    /// A device that stops short is found out, and is refused where it stops too soon.
    #[test]
    fn a_device_that_cuts_loops_is_told() {
        let gpu = Gpu::any().expect("an adapter: scripts/test installs a software driver");
        let rounds_of = |at: Option<u32>| {
            let end =
                at.map_or_else(String::new, |at| format!("if i * chunk.vocab + j >= {at}u {{ break; }}"));
            let right = "state = state * 1664525u";
            let cut = loop_rounds::KERNEL.replaced(right, &format!("{end} {right}"));
            gpu.beside_checked(SamplerOptions::default(), cut).expect("a sampler").sampler().most_rounds()
        };
        let own = gpu.sampler().most_rounds().expect("a sound device");
        assert_eq!(rounds_of(None).expect("sound"), own);
        assert_eq!(rounds_of(Some(40_000)).expect("enough for most"), 35_000);
        assert!(matches!(rounds_of(Some(300)), Err(Error::Mismatch(_))), "too few for any row");
    }

    /// One that is trusted with the fewest rounds.
    fn wary(gpu: &Gpu) -> Gpu {
        let right = "state = state * 1664525u";
        let cut = loop_rounds::KERNEL
            .replaced(right, &format!("if i * chunk.vocab + j >= {LEAST}u {{ break; }} {right}"));
        gpu.beside_checked(SamplerOptions::default(), cut).expect("a sampler")
    }

    /// A row that takes more rounds than the device is trusted with is refused by the kernel's own count, whatever the
    /// device would have done.
    #[test]
    fn a_row_over_the_limit_is_refused() {
        const VOCAB: usize = 131_072;
        let gpu = Gpu::any().expect("an adapter: scripts/test installs a software driver");
        let wary = wary(&gpu);
        let flat = vec![0.0; VOCAB];
        let logits = Logits::f32(&flat, 1, VOCAB).expect("a row");
        let sample = |gpu: &Gpu, n| {
            let params = SamplingParams { n, raw_logprobs: Some(20), seed: Some(1), ..Default::default() };
            let request = Request::new(params).expect("in range");
            gpu.sample(&logits, &[request.row(0)], &SampleInputs::default())
        };
        sample(&gpu, 16).expect("within the rounds of a sound device");
        sample(&wary, 1).expect("within these");
        let refused = sample(&wary, 16);
        assert!(matches!(&refused, Err(Error::Limit(why)) if why.contains("7168 rounds")), "{refused:?}");
    }

    /// What XTC spares is looked up, in a few rounds each.
    #[test]
    fn a_row_that_spares_many_tokens_is_not_refused() {
        const VOCAB: usize = 1000;
        let gpu = wary(&Gpu::any().expect("an adapter: scripts/test installs a software driver"));
        let mut values = vec![0.0; VOCAB];
        (values[5], values[9]) = (12.0, 12.5); // XTC takes the better of these; the spared ones lie behind both
        let logits = Logits::f32(&values, 1, VOCAB).expect("a row");
        let params = SamplingParams {
            xtc_threshold: 0.1,
            xtc_probability: 1.0,
            xtc_exempt_token_ids: (100..).take(SamplingParams::MAX_XTC_EXEMPT_TOKEN_IDS).collect(),
            seed: Some(1),
            ..SamplingParams::default()
        };
        let request = Request::new(params).expect("in range");
        let rows = [request.row(0)];
        let expected = Cpu.sample(&logits, &rows, &SampleInputs::default()).expect("a sample");
        assert_eq!(expected[0].kept_ends.map(|ends| ends[0].token), Some(5), "XTC acts");
        assert_eq!(gpu.sample(&logits, &rows, &SampleInputs::default()), Ok(expected));
    }
}

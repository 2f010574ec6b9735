//! Whether a device's floats do what the weights rest on: pass 1 over a small batch, word by word against its twin on the
//! CPU, once for every type of logits, before the first record. A device whose compiler reorders floats takes the kernel
//! with walls between them, one that rounds otherwise the kernel by integers (`docs/exact.md`, 11).

use super::buffers::buffer;
use super::guard::{alive, at_once, lock};
use super::passes::{Passes, Range};
use super::pipelines::Pipeline;
use super::sampler::Sampler;
use crate::arithmetic::exact::{KEY_NEG_INFINITY, key_or_nan};
use crate::arithmetic::format::{NO_TOKEN, SUBTILE_TOKENS, TILE_TOKENS};
use crate::arithmetic::lane::PassScale;
use crate::error::{Error, Result};
use crate::kernels::kernel::{ChunkUniform, Means};
use crate::kernels::tile_stats::{self, TILE_WORDS};
use crate::logits::{Dtype, Logits};
use crate::request::RequestWords;

/// One with a target and the surprisal, one without: the two ways through the kernel. One that is no distribution.
const ROWS: usize = 3;
/// Two tiles, the second one ragged. Each row is a binding of its own, of few bytes, for devices with small bindings, and
/// begins where whole tiles are read fast and a binding may begin: at a multiple of 256 bytes.
const VOCAB: usize = TILE_TOKENS + 128;
/// Words between what is left of one row and of the next.
const SCRATCH_WORDS: usize = 192;
const SCRATCH_STRIDE: u64 = SCRATCH_WORDS as u64 * 4;
const TILES: usize = VOCAB.div_ceil(TILE_TOKENS);
const TEMPERATURE: f32 = 0.7;
const DOING: &str = "checking the device's arithmetic";

impl Sampler {
    /// Whether this device computes weights of this type of logits by integers: asked for, or because its floats do not
    /// round to nearest, each by itself. Where nothing has yet, it checks the device, with a submit of its own for which it
    /// waits: in this call, in [`Sampler::prepare`], or in the first call that reads logits of this type.
    /// In a browser, where no call can wait, it is integers until [`Sampler::prepare_async`] has checked the device.
    ///
    /// # Errors
    /// [`Error::Mismatch`] if the bits differ from the CPU engine's by integers too, and what the device says.
    pub fn uses_integers(&self, dtype: Dtype) -> Result<bool> {
        let means = self.means(dtype)?;
        alive(&self.device, DOING)?;
        Ok(means == Means::Integers)
    }

    /// The kernel of pass 1, by the quickest means that hold.
    pub(super) fn first_pass(&self, dtype: Dtype) -> Result<Pipeline> {
        self.pipelines.first_pass(dtype, self.means(dtype)?)
    }

    pub(super) fn means(&self, dtype: Dtype) -> Result<Means> {
        match self.known_means(dtype) {
            Some(means) => Ok(means),
            // Nothing can wait for the device in a browser: integers hold everywhere.
            None if cfg!(target_family = "wasm") => Ok(Means::Integers),
            None => at_once(self.find_means(dtype)),
        }
    }

    fn known_means(&self, dtype: Dtype) -> Option<Means> {
        #[cfg(test)]
        if self.pipelines.is_unchecked() {
            return Some(if self.options.integers { Means::Integers } else { Means::Floats });
        }
        lock(self.pipelines.verdicts()).get(&(dtype, self.options.integers)).copied()
    }

    /// The same, found out where it is not known.
    pub(super) async fn find_means(&self, dtype: Dtype) -> Result<Means> {
        if let Some(means) = self.known_means(dtype) {
            return Ok(means);
        }
        let means = self.check_arithmetic(dtype).await?;
        lock(self.pipelines.verdicts()).insert((dtype, self.options.integers), means);
        Ok(means)
    }

    async fn check_arithmetic(&self, dtype: Dtype) -> Result<Means> {
        let mismatch = || Error::Mismatch("this device".to_owned());
        let mut refusal = mismatch();
        let wanted = |means: &Means| !self.options.integers || *means == Means::Integers;
        for means in Means::ALL.into_iter().filter(wanted) {
            // A device may lack what the text by floats asks for: to unpack a pair of f16.
            let agrees = match self.pipelines.first_pass(dtype, means) {
                Ok(kernel) => self.agrees(&kernel, dtype).await,
                Err(error) => Err(error),
            };
            match agrees {
                Ok(true) => return Ok(means),
                Ok(false) => refusal = mismatch(),
                Err(error @ Error::Validation { .. }) => refusal = error,
                Err(error) => return Err(error),
            }
        }
        Err(refusal)
    }

    /// Whether the kernel leaves of the batch what its twin does.
    async fn agrees(&self, kernel: &Pipeline, dtype: Dtype) -> Result<bool> {
        let bytes = rows(dtype);
        let got = self.tiles_of_batch(kernel, &bytes).await?;
        let logits = Logits::new(&bytes, dtype, ROWS, VOCAB)?;
        let tiles = (0..ROWS).flat_map(|row| {
            let bits = logits.row_bits(row);
            let key = target_of(row).map_or(KEY_NEG_INFINITY, |token| key_or_nan(bits.get(token)));
            tile_stats::run(bits, key, PassScale::new(TEMPERATURE), has_surprisal(row)).words()
        });
        let got = got.chunks(SCRATCH_WORDS).flat_map(|row| row.chunks(TILE_WORDS).take(TILES));
        Ok(got.zip(tiles).all(|(got, expected)| got.starts_with(&expected)))
    }

    /// What pass 1 leaves of the batch.
    #[expect(clippy::cast_possible_truncation, reason = "a small batch")]
    async fn tiles_of_batch(&self, kernel: &Pipeline, bytes: &[u8]) -> Result<Vec<u32>> {
        use wgpu::BufferUsages as Usage;
        let row_bytes = (bytes.len() / ROWS) as u64;
        self.words_after(DOING, || {
            let logits = self.filled(bytes, Usage::STORAGE);
            let scratch = buffer(
                &self.device,
                "sortilege check",
                ROWS as u64 * SCRATCH_STRIDE,
                Usage::STORAGE | Usage::COPY_SRC,
            );
            let uniform = ChunkUniform {
                vocab: VOCAB as u32,
                tiles: TILES as u32,
                rows: 1,
                row_stride: VOCAB as u32,
                views: 1,
                ..ChunkUniform::default()
            };
            let uniform = self.filled(bytemuck::bytes_of(&uniform), Usage::UNIFORM);
            let mut passes = Passes::default();
            for row in 0..ROWS {
                let head = [0, target_of(row).map_or(NO_TOKEN, |token| token as u32), 0, 0];
                let request = RequestWords::observing(PassScale::new(TEMPERATURE), has_surprisal(row));
                let head = self.filled(bytemuck::bytes_of(&head), Usage::STORAGE);
                let request = self.filled(bytemuck::bytes_of(&request), Usage::STORAGE);
                let [uniform, head, request, table] =
                    [&uniform, &head, &request, &self.table].map(Range::whole);
                let logits = Range::new(&logits, row as u64 * row_bytes, row_bytes);
                let scratch = Range::new(&scratch, row as u64 * SCRATCH_STRIDE, SCRATCH_STRIDE);
                let ranges = [uniform, logits, logits, head, request, table, table, scratch];
                passes.add(&self.device, kernel, &ranges, [TILES as u32, 1, 1]);
            }
            (passes, scratch)
        })
        .await
    }
}

/// Whether a row's surprisal is asked for.
fn has_surprisal(row: usize) -> bool {
    row == 1
}

/// The second row has a target.
fn target_of(row: usize) -> Option<usize> {
    (row % 2 == 1).then_some(VOCAB - 1 - row)
}

/// Subtile by subtile: spread over many octaves, as models' logits are; within one octave; subnormals of both signs, which
/// f16 can say; of few values; with -infinity; negative. In the last row besides: NaN of both signs, and infinity.
fn rows(dtype: Dtype) -> Vec<u8> {
    let mut bytes = vec![0; ROWS * VOCAB * dtype.bytes()];
    for (i, element) in bytes.chunks_exact_mut(dtype.bytes()).enumerate() {
        let noise = (i.wrapping_mul(2_654_435_761) >> 7) & 0xffff;
        let spread = noise as f32 / 4096.0;
        let in_row = i % VOCAB;
        let is_odd = i / VOCAB == 2 && in_row % SUBTILE_TOKENS == in_row / SUBTILE_TOKENS;
        let value = match in_row / SUBTILE_TOKENS % 6 {
            0 if is_odd => f32::NAN,
            1 if is_odd => -f32::NAN,
            2 if is_odd => f32::INFINITY,
            0 => spread * spread / 8.0 - 20.0,
            1 => spread / 24.0,
            2 => (spread - 8.0) * 7e-6,
            3 => (noise % 5) as f32 - 2.0,
            4 if noise % 4 > 0 => f32::NEG_INFINITY,
            4 => spread,
            _ => -spread * spread / 20.0,
        };
        dtype.store(value, element);
    }
    bytes
}

#[cfg(all(test, feature = "device", feature = "validate"))]
mod tests {
    use crate::gpu::{Gpu, SamplerOptions};
    use crate::kernels::kernel::Means;
    use crate::kernels::tile_stats::KERNEL;
    use crate::{Cpu, Dtype, Engine, Error, Logits, LogprobsParams};

    /// What drivers could do to floats, as texts in place of the sound one.
    const BY_FLOATS: &[(&str, Dtype, &str, &str)] = &[
        (
            "a difference and a product fused",
            Dtype::F32,
            "return min(multiply4(subtract4(vec4<u32>(max_bits), bits), vec4<u32>(per_logit)), vec4<u32>(FARTHEST));",
            "let product = bitcast<vec4<f32>>(multiply4(bits, vec4<u32>(per_logit)));
            let fused = vec4<f32>(bitcast<f32>(max_bits) * bitcast<f32>(per_logit)) - product;
            return min(bitcast<vec4<u32>>(fused), vec4<u32>(FARTHEST));",
        ),
        (
            "products rounded towards zero",
            Dtype::F32,
            "fn multiply4(a: vec4<u32>, b: vec4<u32>) -> vec4<u32> {",
            "fn cut(a: u32, b: u32) -> u32 {
                if a == 0u { return 0u; }
                let product = mul_wide((a << 8u) | 0x80000000u, (b << 8u) | 0x80000000u).y;
                let top = product >> 31u;
                return (((a >> 23u) + (b >> 23u) - 127u + top) << 23u) | ((product >> (7u + top)) & 0x7fffffu);
            }
            fn multiply4(a: vec4<u32>, b: vec4<u32>) -> vec4<u32> {
                if true { return vec4<u32>(cut(a.x, b.x), cut(a.y, b.y), cut(a.z, b.z), cut(a.w, b.w)); }",
        ),
        (
            "a reassociated sum",
            Dtype::F32,
            "add4(add4(t.a, t.b), add4(t.c, t.d))",
            "add4(add4(add4(t.a, t.b), t.c), t.d)",
        ),
        (
            "neighbours in another order",
            Dtype::Bf16,
            "add1(add1(four.x, four.y), add1(four.z, four.w))",
            "add1(add1(add1(four.x, four.y), four.z), four.w)",
        ),
        (
            "a reassociated sum, without the surprisal alone",
            Dtype::F32,
            "weights(max_bits, t.b, per_logit),\n        weights(max_bits, t.c, per_logit),",
            "weights(max_bits, t.c, per_logit),\n        weights(max_bits, t.b, per_logit),",
        ),
        (
            "flushed subnormals",
            Dtype::F16,
            "return bitcast<vec2<u32>>(unpack2x16float(word));",
            "let wide = bitcast<vec2<u32>>(unpack2x16float(word));
            return select(wide, vec2<u32>(0u), (wide & vec2<u32>(0x7fffffffu)) < vec2<u32>(113u << 23u));",
        ),
        (
            "conversions that round to nearest",
            Dtype::F32,
            "return vec4<u32>(bitcast<vec4<f32>>(a));",
            "return vec4<u32>(round(bitcast<vec4<f32>>(a)));",
        ),
    ];

    fn device() -> Gpu {
        Gpu::any().expect("an adapter: scripts/test installs a software driver")
    }

    #[test]
    fn a_device_whose_floats_differ_takes_integers() {
        let gpu = device();
        let sound = gpu.beside(SamplerOptions::default(), None).expect("a sampler");
        for &dtype in Dtype::ALL {
            assert!(
                !sound.sampler().uses_integers(dtype).expect("a verdict"),
                "{dtype}: no fault is planted"
            );
        }
        for (what, dtype, right, wrong) in BY_FLOATS {
            // In the text by floats alone: another driver would do it to those.
            let planted = KERNEL.replaced_in_floats(right, wrong);
            let faulty = gpu.beside_checked(SamplerOptions::default(), planted).expect("a sampler");
            assert!(faulty.sampler().uses_integers(*dtype).expect("a verdict"), "{what} is not seen");
            let bytes = super::rows(*dtype);
            let logits = Logits::new(&bytes, *dtype, super::ROWS, super::VOCAB).expect("a batch");
            let params = LogprobsParams::default();
            let got = faulty.logprobs(&logits, &params, &[]).expect("answers");
            assert_eq!(got, Cpu.logprobs(&logits, &params, &[]).expect("answers"), "{what}");
        }
    }

    /// What a compiler does only where it sees through to it ends at the walls.
    #[test]
    fn a_device_whose_compiler_reorders_floats_takes_walls() {
        let right = "let four = add4(add4(t.a, t.b), add4(t.c, t.d));";
        let wrong = "var four = add4(add4(t.a, t.b), add4(t.c, t.d));
            if !WALLS { four = add4(add4(add4(t.a, t.b), t.c), t.d); }";
        let planted = KERNEL.replaced_in_floats(right, wrong);
        let faulty = device().beside_checked(SamplerOptions::default(), planted).expect("a sampler");
        assert_eq!(faulty.sampler().means(Dtype::F32).expect("a verdict"), Means::WalledFloats);
        assert!(!faulty.sampler().uses_integers(Dtype::F32).expect("a verdict"));
    }

    #[test]
    fn a_device_that_computes_integers_wrong_is_refused() {
        let gpu = device();
        for (what, right, wrong) in [
            ("a sum cut short", "atomicAdd(&mass_limbs[2], limbs.z);", ""),
            ("a lost carry", "a.y + b.y + u32(low < a.x)", "a.y + b.y"),
            ("a test for NaN folded away", "(bits & 0x7fffffffu) > 0x7f800000u", "false"),
            ("a test for NaN of a set sign folded away", "largest_bits > BITS_NEG_INFINITY", "false"),
            (
                "a shift by no places",
                "((value.y << 1u) << (31u - part))",
                "(value.y << (31u - (part + 31u) % 32u))",
            ),
            (
                "a shift by a word",
                "vec2<u32>(high, 0u), amount >= 32u)",
                "vec2<u32>(high, 0u), amount > 32u)",
            ),
        ] {
            for integers in [false, true] {
                let options = SamplerOptions { integers, ..SamplerOptions::default() };
                let faulty = gpu.beside_checked(options, KERNEL.replaced(right, wrong)).expect("a sampler");
                let verdict = faulty.sampler().uses_integers(Dtype::F32);
                assert!(matches!(verdict, Err(Error::Mismatch(_))), "{what}: {verdict:?}");
            }
        }
    }
}

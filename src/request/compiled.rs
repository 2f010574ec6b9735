//! A request's numbers as both engines take them: scales, and the cuts of its steps.

use super::{Request, SamplingParams};
use crate::exact::{self, Scale};
use crate::filter::{Cut, SamplingStep};
use crate::params::Params;

/// What is drawn at: a scale, and the temperature as `unit · 2^-shift`.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct DrawScale {
    pub(crate) scale: Scale,
    pub(crate) unit: u32,
}

impl DrawScale {
    fn new(temperature: f32) -> Self {
        let scale = Scale::new(temperature);
        #[expect(clippy::cast_possible_truncation, reason = "exact, in (2^23, 2^24], see `Scale`")]
        let unit = (f64::from(temperature) * exact::pow2(scale.shift)) as u32;
        Self { scale, unit }
    }

    /// The temperature.
    pub(crate) fn temperature(shift: i32, unit: u32) -> f64 {
        f64::from(unit) * exact::pow2(-shift)
    }

    /// Of a temperature in Q22, at least a thousandth: docs/sampling.md, "Dynamic temperature".
    fn of_q22(temperature: u32) -> Self {
        const LOG2_E_Q54: u64 = 25_989_283_394_227_192;
        let lead = temperature.leading_zeros();
        let (mut unit, mut shift) = ((temperature << lead) >> 8, 14 + lead.cast_signed());
        if unit == 1 << 23 {
            (unit, shift) = (1 << 24, shift + 1);
        }
        #[expect(clippy::cast_possible_truncation, reason = "below 1.45 · 2^31")]
        let rate = ((LOG2_E_Q54 + u64::from(unit >> 1)) / u64::from(unit)) as u32;
        let half_window = 24.0 * (temperature as f32 / 4_194_304.0); // any rounding will do
        Self { scale: Scale { shift, rate, half_window }, unit }
    }
}

/// The dynamic temperature: Q22 bounds and a Q16 exponent.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Dynamic {
    pub(crate) low: u32,
    pub(crate) span: u32,
    pub(crate) power: u32,
}

impl Dynamic {
    fn new(params: &SamplingParams) -> Self {
        #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "validated: 0 to 1000")]
        let fixed = |value: f64, fraction: i32| (value * exact::pow2(fraction)).round() as u32;
        let temperature = f64::from(params.temperature);
        let range = f64::from(params.dynatemp_range);
        let low = fixed((temperature - range).max(f64::from(Params::MIN_TEMPERATURE)), 22);
        Self {
            low,
            span: fixed(temperature + range, 22) - low,
            power: fixed(f64::from(params.dynatemp_exponent), 16),
        }
    }

    /// What is drawn at, from mass, surprisal (Q43) and number of the tokens that are left, at temperature 1.
    pub(crate) fn scale(self, mass: u64, surprisal: u64, count: u32) -> DrawScale {
        use crate::exact::log2_q26;
        use crate::numbers::quotient_q24;
        let most = log2_q26(u64::from(count.max(1)));
        let mut raised = 0; // Q31
        if most > 0 {
            let spread = quotient_q24(surprisal, mass) << 2;
            let entropy = log2_q26(mass).wrapping_sub(43 << 26).wrapping_add(spread).cast_signed().max(0);
            let entropy = entropy.cast_unsigned(); // bits, Q26
            raised = 1 << 31;
            if entropy < most {
                let ratio = (u64::from(entropy) << 31) / u64::from(most); // Q31
                let octaves = (u64::from((31 << 26) - log2_q26(ratio.max(1))) * u64::from(self.power)) >> 18;
                raised = match u32::try_from(octaves) {
                    Ok(octaves) if octaves < 31 << 24 => exact::mantissa(octaves) >> (octaves >> 24),
                    _ => 0,
                };
            }
        }
        #[expect(clippy::cast_possible_truncation, reason = "at most the span")]
        let above = ((u64::from(self.span) * u64::from(raised)) >> 31) as u32;
        DrawScale::of_q22(self.low + above)
    }
}

/// A request as the engines take it.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Compiled {
    /// Scale of the view that is drawn from, in pass 1: where the first filter wants the mass of the whole row, the one
    /// in force there.
    pub(crate) pass: Scale,
    /// What is drawn at, unless it is dynamic.
    pub(crate) draw: DrawScale,
    pub(crate) dynamic: Option<Dynamic>,
    pub(crate) is_greedy: bool,
    pub(crate) seed: u64,
    pub(crate) stream: u32,
    pub(crate) n_draws: u32,
    pub(crate) top_processed: u32,
    pub(crate) top_raw: Option<u32>,
    /// What acts, in order.
    pub(crate) cuts: Vec<Cut>,
}

impl Compiled {
    pub(crate) fn new(request: &Request) -> Self {
        let params = &request.params;
        let is_greedy = params.temperature == 0.0;
        let one = DrawScale::new(1.0);
        let mut compiled = Self {
            pass: one.scale,
            draw: one,
            dynamic: None,
            is_greedy,
            seed: request.seed,
            stream: params.stream,
            n_draws: if is_greedy { 1 } else { params.n },
            top_processed: params.processed_logprobs.unwrap_or(0),
            top_raw: params.raw_logprobs,
            cuts: Vec::new(),
        };
        if is_greedy {
            return compiled;
        }
        let order = params.order.steps(params.mirostat.is_some());
        if order.contains(&SamplingStep::Temperature) {
            if params.dynatemp_range > 0.0 {
                compiled.dynamic = Some(Dynamic::new(params));
            } else {
                compiled.draw = DrawScale::new(params.temperature);
            }
        }
        compiled.cuts = order.iter().filter_map(|step| step.cut(params, request.mu)).collect();
        // Where no filter comes first, the draw itself wants the mass.
        let temperature_is_first = compiled.cuts.first() == Some(&Cut::TEMPERATURE);
        if compiled.dynamic.is_none() && temperature_is_first {
            compiled.pass = compiled.draw.scale;
        }
        compiled
    }
}

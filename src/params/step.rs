//! The steps between logits and draw, by name, and the orders in which they act.

/// A step between logits and draw: the temperature, or one of the filters.
///
/// # Example
/// ```
/// use sortilege::SamplingStep;
/// assert_eq!("top_n_sigma".parse(), Ok(SamplingStep::TopNSigma));
/// assert_eq!(SamplingStep::TypicalP.to_string(), "typical_p");
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum SamplingStep {
    /// From here on probabilities are those at the temperature.
    Temperature,
    /// [`SamplingParams::top_k`](crate::SamplingParams::top_k)
    TopK,
    /// [`SamplingParams::top_p`](crate::SamplingParams::top_p)
    TopP,
    /// [`SamplingParams::min_p`](crate::SamplingParams::min_p)
    MinP,
    /// [`SamplingParams::typical_p`](crate::SamplingParams::typical_p)
    TypicalP,
    /// [`SamplingParams::top_n_sigma`](crate::SamplingParams::top_n_sigma)
    TopNSigma,
    /// [`SamplingParams::top_a`](crate::SamplingParams::top_a)
    TopA,
    /// [`SamplingParams::epsilon_cutoff`](crate::SamplingParams::epsilon_cutoff)
    EpsilonCutoff,
    /// [`SamplingParams::eta_cutoff`](crate::SamplingParams::eta_cutoff)
    EtaCutoff,
    /// [`SamplingParams::xtc_threshold`](crate::SamplingParams::xtc_threshold)
    Xtc,
    /// [`SamplingParams::mirostat`](crate::SamplingParams::mirostat)
    Mirostat,
    /// [`SamplingParams::p_less`](crate::SamplingParams::p_less)
    PLess,
    /// [`SamplingParams::top_h`](crate::SamplingParams::top_h)
    TopH,
}

/// The order of temperature and filters. Each filter works on the distribution that the ones before it left, summed to
/// one.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub enum Order {
    /// vLLM's: temperature, min-p, top-k, top-p. What vLLM lacks stands where it is closest: top-n-sigma, typical-p and
    /// the epsilon and eta cutoffs before min-p, p-less, top-h and top-a after it, XTC and Mirostat at the end.
    #[default]
    Vllm,
    /// llama.cpp's: top-n-sigma, top-k, typical-p, top-p, min-p, XTC, temperature; p-less, top-h, top-a and the epsilon and eta cutoffs
    /// after min-p. With Mirostat nothing but temperature and Mirostat, as there.
    Llama,
    /// An order of one's own, with every step that is to act.
    List(Vec<SamplingStep>),
}

use SamplingStep::{
    EpsilonCutoff, EtaCutoff, MinP, Mirostat, PLess, Temperature, TopA, TopH, TopK, TopNSigma, TopP,
    TypicalP, Xtc,
};

const VLLM: &[SamplingStep] = &[
    Temperature,
    TopNSigma,
    TypicalP,
    EpsilonCutoff,
    EtaCutoff,
    MinP,
    PLess,
    TopH,
    TopA,
    TopK,
    TopP,
    Xtc,
    Mirostat,
];
const LLAMA: &[SamplingStep] =
    &[TopNSigma, TopK, TypicalP, TopP, MinP, PLess, TopH, TopA, EpsilonCutoff, EtaCutoff, Xtc, Temperature];
const LLAMA_MIROSTAT: &[SamplingStep] = &[Temperature, Mirostat];

impl Order {
    /// The steps, in order.
    pub(crate) fn steps(&self, has_mirostat: bool) -> &[SamplingStep] {
        match self {
            Self::Vllm => VLLM,
            Self::Llama if has_mirostat => LLAMA_MIROSTAT,
            Self::Llama => LLAMA,
            Self::List(list) => list,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Each step stands once in each order, and no other does; with Mirostat llama.cpp's has no other filter.
    #[test]
    fn orders_hold_every_step() {
        assert_eq!([VLLM.len(), LLAMA.len() + 1], [SamplingStep::ALL.len(); 2], "one is not listed");
        let count = |list: &[SamplingStep], step| list.iter().filter(|other| **other == step).count();
        for &step in SamplingStep::ALL {
            assert_eq!(count(VLLM, step), 1, "{step} in vLLM's");
            let in_llama = if step == Mirostat { count(LLAMA_MIROSTAT, step) } else { count(LLAMA, step) };
            assert_eq!(in_llama, 1, "{step} in llama.cpp's");
        }
    }
}

//! What `sortilege bench` keeps of a row before it draws.

use clap::Args;
use sortilege::SamplingParams;

use crate::sample::numbers::TopK;
use crate::shared_args::float;

/// The filters that most requests have.
#[derive(Args, Clone, Copy, Debug, PartialEq)]
pub(crate) struct Filters {
    /// Keep the K most probable tokens, for sample; 0 and -1 keep all
    #[arg(long, value_name = "K", default_value = "0", allow_negative_numbers = true)]
    top_k: TopK,
    /// Keep the most probable tokens that have this share of the mass, for sample; 1 keeps all
    #[arg(long, value_parser = float, value_name = "P", default_value_t = 1.0, allow_negative_numbers = true)]
    top_p: f32,
    /// Keep the tokens of at least this share of the largest probability, for sample; 0 keeps all
    #[arg(long, value_parser = float, value_name = "P", default_value_t = 0.0, allow_negative_numbers = true)]
    min_p: f32,
}

impl Default for Filters {
    fn default() -> Self {
        Self { top_k: TopK(0), top_p: 1.0, min_p: 0.0 }
    }
}

impl Filters {
    /// A request with these filters alone.
    pub(crate) fn params(&self) -> SamplingParams {
        let Self { top_k: TopK(top_k), top_p, min_p } = *self;
        SamplingParams { top_k, top_p, min_p, ..SamplingParams::default() }
    }

    /// The options that keep less than all, with their values.
    pub(crate) fn set(&self) -> Vec<(&'static str, String)> {
        let Self { top_k: TopK(top_k), top_p, min_p } = *self;
        let all = [
            (top_k != 0, "--top-k", top_k.to_string()),
            (top_p != 1.0, "--top-p", top_p.to_string()),
            (min_p != 0.0, "--min-p", min_p.to_string()),
        ];
        all.into_iter().filter(|(is_set, ..)| *is_set).map(|(_, option, value)| (option, value)).collect()
    }

    /// As a cell names them, such as `top_k 50, top_p 0.95`; none where all is kept.
    pub(crate) fn name(&self) -> Option<String> {
        let names = self
            .set()
            .into_iter()
            .map(|(option, value)| format!("{} {value}", &option[2..].replace('-', "_")));
        let names: Vec<String> = names.collect();
        (!names.is_empty()).then(|| names.join(", "))
    }
}

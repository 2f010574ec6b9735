//! The transformer: decoder-only, pre-norm, without biases in its projections, with learned
//! positions and an output head that shares the token embedding.
//!
//! Burn keeps the backend in the [`Device`] and not in the types, so the same model runs on
//! whichever backend the device that it is built on stands for.

use std::path::Path;

use anyhow::{Context, Result, ensure};
use burn::module::Initializer;
use burn::nn::{Embedding, EmbeddingConfig, LayerNorm, LayerNormConfig, Linear, LinearConfig};
use burn::prelude::*;
use burn::store::{FloatCastAdapter, ModuleSnapshot, SafetensorsStore};
use burn::tensor::DType;
use burn::tensor::activation::{log_softmax, relu, softmax};

use crate::data::Random;
use crate::noise::Noise;

/// The standard deviation of freshly initialised weights.
const INITIAL_DEVIATION: f64 = 0.02;

/// The shape of a [`LanguageModel`].
#[derive(Config, Debug)]
pub struct LanguageModelConfig {
    /// How many tokens the tokenizer knows.
    #[config(default = 4096)]
    pub vocabulary: usize,
    /// The most tokens the model sees at once.
    #[config(default = 64)]
    pub context: usize,
    /// The width of the residual stream.
    #[config(default = 128)]
    pub width: usize,
    /// How many blocks follow one another.
    #[config(default = 4)]
    pub layers: usize,
    /// How many attention heads share the width.
    #[config(default = 4)]
    pub heads: usize,
}

/// A decoder-only transformer.
#[derive(Module, Debug)]
pub struct LanguageModel {
    token_embedding: Embedding,
    position_embedding: Embedding,
    blocks: Vec<Block>,
    final_norm: LayerNorm,
    context: usize,
}

/// One layer of the transformer: attention, then a perceptron, each added to the stream.
#[derive(Module, Debug)]
struct Block {
    attention_norm: LayerNorm,
    attention: Attention,
    perceptron_norm: LayerNorm,
    expand: Linear,
    contract: Linear,
}

/// Causal self-attention of several heads.
#[derive(Module, Debug)]
struct Attention {
    query: Linear,
    key: Linear,
    value: Linear,
    output: Linear,
    heads: usize,
}

impl LanguageModelConfig {
    /// Makes a model with random weights.
    pub fn init(&self, device: &Device) -> LanguageModel {
        let embedding = |entries| {
            EmbeddingConfig::new(entries, self.width).with_initializer(normal(INITIAL_DEVIATION)).init(device)
        };
        LanguageModel {
            token_embedding: embedding(self.vocabulary),
            position_embedding: embedding(self.context),
            blocks: (0..self.layers).map(|_| self.block(device)).collect(),
            final_norm: LayerNormConfig::new(self.width).init(device),
            context: self.context,
        }
    }

    /// Makes a model with the weights in the safetensors file at `path`.
    pub fn load(&self, path: &Path, device: &Device) -> Result<LanguageModel> {
        let mut model = self.init(device);
        let mut store = SafetensorsStore::from_file(path).with_from_adapter(FloatCastAdapter::to(DType::F32));
        model
            .load_from(&mut store)
            .with_context(|| format!("cannot load the weights in {}", path.display()))?;
        Ok(model)
    }

    fn block(&self, device: &Device) -> Block {
        let linear = |from, to, deviation| {
            LinearConfig::new(from, to).with_bias(false).with_initializer(normal(deviation)).init(device)
        };
        let norm = || LayerNormConfig::new(self.width).init(device);
        // Every block adds twice to the residual stream: smaller steps keep its scale even.
        let residual_deviation = INITIAL_DEVIATION / (2.0 * self.layers as f64).sqrt();
        Block {
            attention_norm: norm(),
            attention: Attention {
                query: linear(self.width, self.width, INITIAL_DEVIATION),
                key: linear(self.width, self.width, INITIAL_DEVIATION),
                value: linear(self.width, self.width, INITIAL_DEVIATION),
                output: linear(self.width, self.width, residual_deviation),
                heads: self.heads,
            },
            perceptron_norm: norm(),
            expand: linear(self.width, 4 * self.width, INITIAL_DEVIATION),
            contract: linear(4 * self.width, self.width, residual_deviation),
        }
    }
}

impl LanguageModel {
    /// The logits of the token after each token: `[batch, length]` gives
    /// `[batch, length, vocabulary]`. The length is at most the model's context.
    pub fn forward(&self, tokens: Tensor<2, Int>) -> Tensor<3> {
        let device = tokens.device();
        let [_, length] = tokens.dims();
        assert!(length <= self.context, "{length} tokens are more than the context of {}", self.context);
        let positions = Tensor::<1, Int>::arange(0..length as i64, &device).unsqueeze();
        let future = Tensor::<2, Bool>::tril_mask([length, length], 0, &device);

        let mut stream = self.token_embedding.forward(tokens) + self.position_embedding.forward(positions);
        for block in &self.blocks {
            stream = block.forward(stream, &future);
        }
        let head = self.token_embedding.weight.val().transpose();
        self.final_norm.forward(stream).matmul(head.unsqueeze())
    }

    /// The log-likelihood, in nats, of each target: `[batch, length]`, as the targets are.
    pub fn log_likelihood(&self, tokens: Tensor<2, Int>, targets: Tensor<2, Int>) -> Tensor<2> {
        let log_probabilities = log_softmax(self.forward(tokens), 2);
        log_probabilities.gather(2, targets.unsqueeze_dim(2)).squeeze_dim(2)
    }

    /// The model with noise on the matrices of one layer, counted from 0: its standard deviation is this share of that of
    /// each matrix's weights.
    pub fn with_noise(mut self, layer: usize, share: f64, seed: u64) -> Result<Self> {
        let layers = self.blocks.len();
        ensure!(layer < layers, "there is no layer {layer}: the {layers} layers are 0 to {}", layers - 1);
        ensure!(
            share >= 0.0 && share.is_finite(),
            "noise of the share {share}: give a number from 0, such as 0.1"
        );
        let block = self.blocks.remove(layer);
        self.blocks.insert(layer, block.map(&mut Noise { share, random: Random(seed) }));
        Ok(self)
    }

    /// Writes the weights as float16 to a safetensors file at `path`.
    pub fn save(&self, path: &Path) -> Result<()> {
        let mut store = SafetensorsStore::from_file(path)
            .overwrite(true)
            // The metadata would be written in a random order: the same weights give the same file.
            .clear_metadata()
            .with_to_adapter(FloatCastAdapter::to(DType::F16));
        self.save_into(&mut store).with_context(|| format!("cannot save the weights to {}", path.display()))
    }
}

impl Block {
    fn forward(&self, stream: Tensor<3>, future: &Tensor<2, Bool>) -> Tensor<3> {
        let normed = self.attention_norm.forward(stream.clone());
        let stream = stream + self.attention.forward(normed, future);
        let normed = self.perceptron_norm.forward(stream.clone());
        let hidden = relu(self.expand.forward(normed));
        stream + self.contract.forward(hidden)
    }
}

impl Attention {
    /// Mixes the values of each position and those before it; `future` is true for the pairs of
    /// positions that must not see each other.
    fn forward(&self, input: Tensor<3>, future: &Tensor<2, Bool>) -> Tensor<3> {
        let [batch, length, width] = input.dims();
        let head_width = width / self.heads;
        // [batch, length, width] to [batch, heads, length, head_width]
        let split =
            |tensor: Tensor<3>| tensor.reshape([batch, length, self.heads, head_width]).swap_dims(1, 2);
        let query = split(self.query.forward(input.clone()));
        let key = split(self.key.forward(input.clone()));
        let value = split(self.value.forward(input));

        let scores = query
            .matmul(key.swap_dims(2, 3))
            .div_scalar((head_width as f64).sqrt())
            .mask_fill(future.clone().unsqueeze(), f32::NEG_INFINITY);
        let mixed = softmax(scores, 3).matmul(value);
        self.output.forward(mixed.swap_dims(1, 2).reshape([batch, length, width]))
    }
}

fn normal(deviation: f64) -> Initializer {
    Initializer::Normal { mean: 0.0, std: deviation }
}

#[cfg(all(test, feature = "train"))]
mod tests {
    use super::*;
    use burn::tensor::Tolerance;

    fn small(device: &Device) -> LanguageModel {
        LanguageModelConfig::new()
            .with_vocabulary(50)
            .with_context(8)
            .with_width(16)
            .with_layers(2)
            .init(device)
    }

    #[test]
    fn a_token_changes_no_logits_before_it() {
        let device = Device::flex();
        let model = small(&device);
        let logits = |tokens: [[i32; 4]; 1]| {
            let logits = model.forward(Tensor::from_data(tokens, &device));
            assert_eq!(logits.dims(), [1, 4, 50]);
            logits.narrow(1, 0, 3).into_data()
        };
        logits([[1, 2, 3, 4]]).assert_approx_eq::<f32>(&logits([[1, 2, 3, 9]]), Tolerance::default());
    }

    #[test]
    fn likelihoods_are_log_probabilities_of_the_targets() {
        let device = Device::flex();
        let model = small(&device);
        let tokens = Tensor::<2, Int>::from_data([[5, 6]], &device);
        let total: f64 = (0..50)
            .map(|target| {
                let targets = Tensor::<2, Int>::from_data([[target, 0]], &device);
                let likelihoods = model.log_likelihood(tokens.clone(), targets);
                likelihoods.narrow(1, 0, 1).exp().into_scalar::<f64>()
            })
            .sum();
        assert!((total - 1.0).abs() < 1e-4, "the probabilities add up to {total}");
    }

    #[test]
    fn noise_is_on_one_layer_and_repeats_with_its_seed() -> Result<()> {
        let device = Device::flex();
        let model = small(&device);
        let weights = |model: &LanguageModel| -> Vec<TensorData> {
            let of_layer = |block: &Block| [block.attention.query.weight.val(), block.contract.weight.val()];
            model.blocks.iter().flat_map(of_layer).map(Tensor::into_data).collect()
        };
        let noisy = |seed| model.clone().with_noise(1, 0.5, seed);
        let (before, after) = (weights(&model), weights(&noisy(3)?));
        let is_same: Vec<bool> = before.iter().zip(&after).map(|(before, after)| before == after).collect();
        assert_eq!(is_same, [true, true, false, false]);
        assert_eq!(weights(&noisy(3)?), after);
        assert_ne!(weights(&noisy(4)?), after);
        for (layer, share, named) in [(2, 0.5, "layer 2"), (0, -0.5, "-0.5"), (0, f64::NAN, "NaN")] {
            let error = model.clone().with_noise(layer, share, 3).expect_err(named).to_string();
            assert!(error.contains(named), "{error}");
        }
        Ok(())
    }

    #[test]
    fn saved_weights_load_to_nearly_the_same_logits() -> Result<()> {
        let device = Device::flex();
        let config = LanguageModelConfig::new().with_vocabulary(50).with_width(16);
        let model = config.init(&device);
        let path = std::env::temp_dir().join(format!("burn-lm-{}.safetensors", std::process::id()));
        model.save(&path)?;
        let loaded = config.load(&path, &device);
        std::fs::remove_file(&path)?;
        let logits =
            |model: &LanguageModel| model.forward(Tensor::from_data([[1, 2, 3]], &device)).into_data();
        logits(&loaded?).assert_approx_eq::<f32>(&logits(&model), Tolerance::absolute(1e-2));
        Ok(())
    }
}

//! Gaussian noise on weights: a model that is nearly the same, to be compared with the one it was.

use burn::module::{ModuleMapper, Param};
use burn::prelude::*;

use crate::data::Random;

/// Adds noise to every matrix that it meets, in the order of the fields; the gains and shifts of norms stay.
pub(crate) struct Noise {
    /// The noise's standard deviation, as a share of that of the matrix's weights.
    pub(crate) share: f64,
    pub(crate) random: Random,
}

impl ModuleMapper for Noise {
    fn map_float<const D: usize>(&mut self, param: Param<Tensor<D>>) -> Param<Tensor<D>> {
        if D != 2 {
            return param;
        }
        param.map(|weights| {
            let (shape, device) = (weights.shape(), weights.device());
            let deviation = weights.clone().reshape([-1]).var_bias(0).into_scalar::<f64>().sqrt();
            let noise: Vec<f32> = (0..shape.num_elements())
                .map(|_| (self.share * deviation * self.random.normal()) as f32)
                .collect();
            weights + Tensor::from_data(TensorData::new(noise, shape), &device)
        })
    }
}

#[cfg(all(test, feature = "train"))]
mod tests {
    use super::*;
    use burn::nn::{Linear, LinearConfig};

    #[test]
    fn noise_has_the_share_that_was_asked_and_leaves_biases() {
        let weights = |linear: &Linear| linear.weight.val().reshape([-1]);
        let deviation = |weights: Tensor<1>| weights.var_bias(0).into_scalar::<f64>().sqrt();
        let linear = LinearConfig::new(200, 300).init(&Device::flex());
        for share in [0.0, 0.01, 0.25, 2.0] {
            let noisy = linear.clone().map(&mut Noise { share, random: Random(5) });
            let found = deviation(weights(&noisy) - weights(&linear)) / deviation(weights(&linear));
            // Five standard errors of the deviation of 60000 draws: 5 / sqrt(2 * 60000).
            assert!((found - share).abs() <= 0.0145 * share, "{found} of {share}");
            let bias = |linear: &Linear| linear.bias.as_ref().expect("a bias").val().into_data();
            bias(&noisy).assert_eq(&bias(&linear), true);
        }
    }
}

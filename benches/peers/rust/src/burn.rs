//! Burn on wgpu (its kernels come from cubek): `log_softmax`, `topk_with_indices`, the target's logprob by `gather`, its
//! rank by a comparison and a sum; f32, since Burn has no 16-bit logits on every adapter.

use anyhow::{Result, anyhow};
use burn::tensor::activation::log_softmax;
use burn::tensor::{Device, DeviceKind, Int, Tensor, TensorData};

use crate::logits::Logits;
use crate::{Asked, Found};

pub struct Burn {
    device: Device,
    logits: Tensor<2>,
}

impl Burn {
    /// The logits on the adapter that is a CPU (lavapipe), or with PEERS_BURN=gpu on the best one.
    pub fn new(logits: &Logits) -> Self {
        let gpu = std::env::var("PEERS_BURN").is_ok_and(|kind| kind == "gpu");
        let device = Device::wgpu(if gpu { DeviceKind::DefaultDevice } else { DeviceKind::Cpu });
        let values: Vec<f32> = (0..logits.rows).flat_map(|row| logits.row(row).into_owned()).collect();
        let logits = Tensor::from_data(TensorData::new(values, [logits.rows, logits.vocab]), &device);
        device.sync().expect("the logits arrive");
        Self { device, logits }
    }

    pub fn adapter(&self) -> String {
        format!("{:?}", self.device)
    }

    /// The records in host memory: four small reads.
    pub fn record(&self, asked: &Asked) -> Result<Vec<Found>> {
        let rows = asked.targets.len();
        let targets =
            asked.targets.iter().map(|&token| i32::try_from(token)).collect::<Result<Vec<_>, _>>()?;
        let targets = Tensor::<2, Int>::from_data(TensorData::new(targets, [rows, 1]), &self.device);

        let all = log_softmax(self.logits.clone(), 1);
        let (top, tokens) = all.clone().topk_with_indices(asked.top, 1);
        let target = all.clone().gather(1, targets);
        let ranks = all.greater(target.clone()).int().sum_dim(1);

        let logprobs = floats(top)?;
        let tokens = ints(tokens)?;
        let target = floats(target)?;
        let ranks = ints(ranks)?;
        Ok((0..rows)
            .map(|row| Found {
                tokens: tokens[row * asked.top..][..asked.top].iter().map(|&token| token as u32).collect(),
                logprobs: logprobs[row * asked.top..][..asked.top].iter().map(|&x| f64::from(x)).collect(),
                logprob: f64::from(target[row]),
                rank: 1 + ranks[row] as usize,
            })
            .collect())
    }
}

fn floats(tensor: Tensor<2>) -> Result<Vec<f32>> {
    tensor
        .try_into_data_as::<f32>()
        .map_err(|e| anyhow!("{e:?}"))?
        .try_into_vec()
        .map_err(|e| anyhow!("{e:?}"))
}

fn ints(tensor: Tensor<2, Int>) -> Result<Vec<i32>> {
    tensor
        .try_into_data_as::<i32>()
        .map_err(|e| anyhow!("{e:?}"))?
        .try_into_vec()
        .map_err(|e| anyhow!("{e:?}"))
}

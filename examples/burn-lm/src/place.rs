//! Where a tensor of Burn lies on the device, for commands that are not Burn's.

use std::any::Any;

use anyhow::{Result, anyhow, bail, ensure};
use burn::backend::wgpu::{AutoCompiler, CubeTensor, Wgpu, WgpuResource};
use burn::cubecl::wgpu::WgpuServer;
use burn::prelude::*;
use burn::tensor::DType;
use sortilege::{Dtype, GpuLogits, GpuOutput};

/// A tensor's buffer and how it lies there. cubecl neither frees nor moves it while this lives: to be kept until the
/// commands that use it are submitted.
pub struct Place {
    resource: WgpuResource,
    dtype: DType,
    shape: Vec<usize>,
    strides: Vec<usize>,
    // What hold the memory. cubecl does not export the name of the second.
    _tensor: CubeTensor,
    _guard: Box<dyn Any>,
}

impl Place {
    /// Where a tensor of floats lies. What Burn has yet to do for it is submitted.
    pub fn of_floats<const D: usize>(tensor: Tensor<D>) -> Result<Self> {
        Self::of(
            tensor
                .try_into_primitive::<Wgpu>()
                .map_err(|error| anyhow!("not on Burn's wgpu backend: {error:?}"))?,
        )
    }

    /// Where a tensor of integers lies.
    pub fn of_integers<const D: usize>(tensor: Tensor<D, Int>) -> Result<Self> {
        Self::of(
            tensor
                .try_into_primitive::<Wgpu>()
                .map_err(|error| anyhow!("not on Burn's wgpu backend: {error:?}"))?,
        )
    }

    fn of(tensor: CubeTensor) -> Result<Self> {
        let guard = tensor
            .client
            .get_resource::<WgpuServer<AutoCompiler>>(tensor.handle.clone())
            .map_err(|error| anyhow!("cubecl has no buffer of this tensor: {error:?}"))?;
        let resource = guard.resource().clone();
        let (shape, strides) = (tensor.meta.shape().to_vec(), tensor.meta.strides().to_vec());
        tensor.client.flush().map_err(|error| anyhow!("Burn's commands cannot be submitted: {error:?}"))?;
        Ok(Self { resource, dtype: tensor.dtype, shape, strides, _tensor: tensor, _guard: Box::new(guard) })
    }

    /// Elements from a row's start to the next, and from a position's to the next, of `[rows][positions][vocab]`.
    fn row_strides(&self, vocab: usize) -> Result<[u64; 2]> {
        let (&[_, _, last], &[row, position, 1]) = (&self.shape[..], &self.strides[..]) else {
            bail!(
                "logits of the shape {:?} and the strides {:?}: a row has to lie in one piece",
                self.shape,
                self.strides
            )
        };
        ensure!(last == vocab, "rows of {last} logits, where the vocabulary has {vocab} tokens");
        Ok([row as u64, position as u64])
    }

    /// The offset of one position of each row, in elements.
    pub fn offsets(&self, vocab: usize, positions: &[usize]) -> Result<Vec<u64>> {
        let [row_stride, stride] = self.row_strides(vocab)?;
        let [rows, length] = [self.shape[0], self.shape[1]];
        ensure!(positions.len() == rows, "{} positions for {rows} rows of logits", positions.len());
        if let Some(past) = positions.iter().find(|&&position| position >= length) {
            bail!("position {past} of logits of {length} positions");
        }
        Ok((0..).zip(positions).map(|(row, &position)| row * row_stride + position as u64 * stride).collect())
    }

    /// The logits at these offsets. One stride says it where they are as far apart.
    pub fn logits<'a>(&'a self, vocab: usize, offsets: &'a [u64]) -> Result<GpuLogits<'a>> {
        let dtype = match self.dtype {
            DType::F32 => Dtype::F32,
            DType::F16 => Dtype::F16,
            DType::BF16 => Dtype::Bf16,
            other => bail!("logits of {other:?}: cast them to F32, F16 or BF16"),
        };
        let [row_stride, _] = self.row_strides(vocab)?;
        let packed = GpuLogits::packed(&self.resource.buffer, dtype, offsets.len(), vocab);
        let byte_offset = self.resource.offset;
        let is_even = offsets.windows(2).all(|pair| pair[1] == pair[0] + row_stride);
        Ok(match offsets {
            &[first, ..] if is_even => GpuLogits {
                byte_offset: byte_offset + first * dtype.bytes() as u64,
                row_stride: row_stride as usize,
                ..packed
            },
            _ => GpuLogits { byte_offset, row_offsets: offsets, ..packed },
        })
    }

    /// The tensor as a place for tokens: `[rows][capacity]` without gaps.
    pub fn tokens(&self) -> Result<GpuOutput<'_>> {
        let is_packed = matches!((&self.shape[..], &self.strides[..]), (&[_, capacity], &[stride, 1]) if stride == capacity);
        ensure!(
            is_packed && matches!(self.dtype, DType::I32 | DType::U32),
            "tokens of {:?}, shape {:?} and strides {:?}: they have to be 32 bits each, and without gaps",
            self.dtype,
            self.shape,
            self.strides
        );
        Ok(GpuOutput { buffer: &self.resource.buffer, byte_offset: self.resource.offset })
    }
}

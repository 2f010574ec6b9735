//! Divergences of two batches in the engine's buffers: the call, and its three passes over each chunk.

use super::asked::Asked;
use super::buffers::GpuLogits;
use super::checks::{check_second, check_strided};
use super::encode::tiles_of;
use super::guard::made;
use super::job::{Bindings, Job, Kind, Own};
use super::passes::{Passes, Range};
use super::pipelines::Pipeline;
use super::readback::Pending;
use super::ring::Call;
use super::sampler::Sampler;
use crate::answer::Divergence;
use crate::error::Result;
use crate::kernels::{row_divergence, tile_divergence, tile_information};
use crate::logits::Dtype;
use crate::plan::Plan;

impl Sampler {
    /// Records the passes that take the divergence of each row's softmax in the first batch from that of the same row in the
    /// second, at the end of `encoder`, and schedules the copy of the records: one per row. Three dispatches: one read of
    /// both batches for the Kullback-Leibler divergences, one more for Jensen-Shannon. The types of the batches may differ, and
    /// so may their strides; they may lie in one buffer.
    ///
    /// # Errors
    /// As for [`Sampler::logprobs`], and [`Error::Params`](crate::Error::Params) if the batches differ in rows or
    /// vocabulary, [`Error::Logits`](crate::Error::Logits) if one has [`row_offsets`](GpuLogits::row_offsets).
    ///
    /// # Example
    /// ```
    /// use sortilege::{Dtype, GpuLogits, wgpu};
    ///
    /// # fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// let gpu = sortilege::device::Gpu::any()?;
    /// # let (device, queue) = (gpu.device(), gpu.queue());
    /// # let usage = wgpu::BufferUsages::STORAGE | wgpu::BufferUsages::COPY_DST;
    /// # let logits = device.create_buffer(&wgpu::BufferDescriptor { label: None, size: 16, usage, mapped_at_creation: false });
    /// # queue.write_buffer(&logits, 0, bytemuck::cast_slice(&[1.0f32, 1.0, 1.0, 1.0 + 3f32.ln()]));
    /// let mut encoder = device.create_command_encoder(&wgpu::CommandEncoderDescriptor::default());
    /// let first = GpuLogits::packed(&logits, Dtype::F32, 1, 2); // a coin
    /// let second = GpuLogits { byte_offset: 8, ..first }; // one that falls on a side three times of four
    /// let pending = gpu.sampler().divergence(&mut encoder, &first, &second)?;
    /// queue.submit([encoder.finish()]);
    ///
    /// let divergence = pending.wait()?[0];
    /// assert!((divergence.kl - 0.143_841).abs() < 1e-6);
    /// assert!((divergence.reverse_kl - 0.130_812).abs() < 1e-6);
    /// # Ok(())
    /// # }
    /// ```
    pub fn divergence(
        &self,
        encoder: &mut wgpu::CommandEncoder,
        first: &GpuLogits<'_>,
        second: &GpuLogits<'_>,
    ) -> Result<Pending<Divergence>> {
        check_strided(first)?;
        check_strided(second)?;
        let demand = Plan::divergence_demand(&first.shape(), &second.shape())?;
        let plan = self.plan(first, demand)?;
        check_second(second)?;
        let job = Job { second: Some(*second), ..Job::new(Kind::Divergence, first, Asked::Nothing) };
        self.schedule(encoder, &job, &plan, |_| ())
    }

    /// The kernels of the three passes, for batches of these types. They are of integers alone; what fails the check of a
    /// device by integers too writes no record.
    pub(super) fn divergence_kernels(&self, dtypes: [Dtype; 2]) -> Result<[Pipeline; 3]> {
        for dtype in dtypes {
            self.means(dtype)?;
        }
        Ok([
            self.pipelines.get_pair(&tile_divergence::KERNEL, dtypes)?,
            self.pipelines.get(&row_divergence::KERNEL, None, false)?,
            self.pipelines.get_pair(&tile_information::KERNEL, dtypes)?,
        ])
    }

    /// Binds the three passes, chunk after chunk.
    pub(super) fn bind_divergence(
        &self,
        job: &Job<'_>,
        second: &GpuLogits<'_>,
        call: &Call,
        scratch: wgpu::Buffer,
    ) -> Result<Bindings> {
        let plan = &call.plan;
        let [tiles, rows, information] = self.divergence_kernels([job.logits.dtype, second.dtype])?;
        let own = Own {
            plan,
            upload: &call.upload,
            work: None,
            records: &call.records,
            alignment: self.limits.offset_alignment,
            most_rounds: u32::MAX,
        };
        let mut uniforms = Vec::with_capacity(plan.chunks.len());
        let passes = made(&self.device, "binding the buffers of the call", || {
            let (table, scratch) = (Range::whole(&self.table), Range::whole(&scratch));
            let mut passes = Passes::default();
            for chunk in &plan.chunks {
                let bound = job.bind(chunk, &own, table);
                let per_tile = [tiles_of(plan.shape.vocab), bound.uniform_words.rows, 1];
                let ranges = [bound.uniform, bound.logits, bound.other, table, scratch];
                passes.add(&self.device, &tiles, &ranges, per_tile);
                let ranges = [bound.uniform, table, scratch, bound.records];
                passes.add(&self.device, &rows, &ranges, [1, bound.uniform_words.rows, 1]);
                let ranges = [bound.uniform, bound.logits, bound.other, table, bound.records];
                passes.add(&self.device, &information, &ranges, per_tile);
                uniforms.push(bound.uniform_words);
            }
            passes
        })?;
        Ok(Bindings::new(job, passes, uniforms, scratch, None))
    }
}

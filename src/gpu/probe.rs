//! A submit of our own whose words are waited for: what is asked of a device before it is relied on.

use super::buffers::buffer;
use super::guard::guarded;
use super::mapping::{Shared, map_on_submit, mapped_range};
use super::passes::Passes;
use super::sampler::Sampler;
use super::wait::mapped;
use crate::error::{Error, Result};

/// A device that is late with what it runs for the first time.
pub(super) fn compiling(error: Error) -> Error {
    match error {
        Error::Timeout { deadline } => Error::Compiling { deadline },
        other => other,
    }
}

impl Sampler {
    /// The words of a buffer after some passes: those that are made here, and the buffer.
    pub(super) async fn words_after(
        &self,
        doing: &'static str,
        make: impl FnOnce() -> (Passes, wgpu::Buffer),
    ) -> Result<Vec<u32>> {
        let (map, staging) = guarded(&self.device, doing, || {
            let (passes, source) = make();
            let usage = wgpu::BufferUsages::MAP_READ | wgpu::BufferUsages::COPY_DST;
            let staging = buffer(&self.device, "sortilege check", source.size(), usage);
            let mut encoder = self.device.create_command_encoder(&wgpu::CommandEncoderDescriptor::default());
            passes.run(&mut encoder, None);
            encoder.copy_buffer_to_buffer(&source, 0, &staging, 0, source.size());
            let mut map = Shared::default();
            map_on_submit(&encoder, &staging, source.size(), &mut map);
            self.queue.submit([encoder.finish()]);
            (map, staging)
        })?;
        mapped(&map, &self.device, self.options.compile_deadline).await.map_err(compiling)?;
        let view = mapped_range(&staging, .., doing)?;
        Ok(bytemuck::pod_collect_to_vec(&view))
    }

    /// A buffer with these bytes.
    pub(super) fn filled(&self, bytes: &[u8], usage: wgpu::BufferUsages) -> wgpu::Buffer {
        let usage = usage | wgpu::BufferUsages::COPY_DST;
        let made = buffer(&self.device, "sortilege check", bytes.len() as u64, usage);
        self.queue.write_buffer(&made, 0, bytes);
        made
    }
}

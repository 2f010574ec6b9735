//! What a device allows.

/// What a device allows; `From<&wgpu::Limits>` exists with the features `wgpu` and `wgpu29`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct DeviceLimits {
    /// Largest storage binding, bytes.
    pub max_binding_bytes: u64,
    /// Largest buffer, bytes.
    pub max_buffer_bytes: u64,
    /// Most workgroups in one dimension of a dispatch.
    pub max_workgroups: u32,
    /// Alignment of a binding's offset, bytes.
    pub offset_alignment: u64,
}

impl Default for DeviceLimits {
    /// The floor that WebGPU promises on every device.
    fn default() -> Self {
        Self {
            max_binding_bytes: 128 << 20,
            max_buffer_bytes: 256 << 20,
            max_workgroups: 65_535,
            offset_alignment: 256,
        }
    }
}

impl DeviceLimits {
    /// Most bytes of a binding: kernels count its elements and bytes in 32 bits, whatever the device allows.
    pub(super) fn binding_bytes(&self) -> u64 {
        self.max_binding_bytes.min(u64::from(u32::MAX))
    }

    /// Bytes of a binding that what is bound may not need: it may start up to one alignment early, and ends with a word.
    pub(super) fn slack(&self) -> u64 {
        self.alignment() + 4
    }

    /// Most bytes that a binding has for what is bound.
    pub(super) fn most_bytes(&self) -> u64 {
        self.binding_bytes().saturating_sub(self.slack())
    }

    /// Alignment of every binding, at least a word.
    pub(super) fn alignment(&self) -> u64 {
        self.offset_alignment.max(4)
    }
}

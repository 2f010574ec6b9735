//! What a device allows.

/// What a device allows; `From<&wgpu::Limits>` exists with the feature `wgpu`.
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

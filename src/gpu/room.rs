//! How large the parts of an upload may become before they move.

use crate::plan::{Plan, REQUEST_BYTES, ROW_BYTES};

/// Most bytes of a buffer that kernels look into from its first byte on: they count them in 32 bits.
pub(crate) fn most_bytes(device: &wgpu::Device) -> u64 {
    let limits = device.limits();
    let most = limits.max_buffer_size.min(limits.max_storage_buffer_binding_size).min(u32::MAX.into());
    most / 4 * 4
}

/// Room for so many bytes and up to twice as many, within the most; nothing if there is not that much.
pub(crate) fn rounded_up_within(bytes: u64, most: u64) -> Option<u64> {
    (bytes <= most).then(|| bytes.checked_next_power_of_two().map_or(most, |more| more.min(most)))
}

/// How much of everything a buffer has room for. What is larger than needed lets parts stay where they are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Room {
    pub(crate) alignment: u64,
    /// Bytes of what chunks are told.
    pub(crate) uniforms: u64,
    pub(crate) requests: usize,
    /// Heads of rows, and their offsets.
    pub(crate) rows: usize,
    /// Quads of what requests keep, and of what is of one step.
    pub(crate) kept: usize,
    pub(crate) step: usize,
}

impl Room {
    /// What a plan needs, with so many quads of changes and allowed tokens: kept ones, and those of a step.
    pub(crate) fn of(plan: &Plan, [kept, step]: [usize; 2], alignment: u64) -> Self {
        Self {
            alignment: alignment.max(4),
            uniforms: plan.uniform_bytes,
            requests: plan.demand.requests,
            rows: plan.demand.heads(plan.shape.rows),
            kept,
            step,
        }
    }

    pub(crate) fn holds(&self, other: &Self) -> bool {
        self.uniforms >= other.uniforms
            && self.requests >= other.requests
            && self.rows >= other.rows
            && self.kept >= other.kept
            && self.step >= other.step
    }

    /// Room for both.
    pub(crate) fn and(&self, other: &Self) -> Self {
        Self {
            alignment: self.alignment,
            uniforms: self.uniforms.max(other.uniforms),
            requests: self.requests.max(other.requests),
            rows: self.rows.max(other.rows),
            kept: self.kept.max(other.kept),
            step: self.step.max(other.step),
        }
    }

    /// Room for up to three times as much, within so many bytes.
    pub(crate) fn with_reserve(self, most: u64) -> Self {
        let reserve = |count: usize| (count + count / 2).next_power_of_two();
        let more = Self {
            uniforms: self.uniforms.next_power_of_two(),
            requests: if self.requests > 1 { reserve(self.requests) } else { self.requests },
            rows: reserve(self.rows),
            kept: if self.kept > 0 { reserve(self.kept) } else { 0 },
            step: if self.step > 0 { reserve(self.step) } else { 0 },
            ..self
        };
        if more.bytes() <= most { more } else { self }
    }

    pub(crate) fn requests_offset(&self) -> u64 {
        self.uniforms.next_multiple_of(self.alignment)
    }

    pub(crate) fn requests_bytes(&self) -> u64 {
        self.requests as u64 * REQUEST_BYTES
    }

    /// Where heads, kept quads and quads of the step lie, in this order.
    pub(crate) fn quads_offset(&self) -> u64 {
        (self.requests_offset() + self.requests_bytes()).next_multiple_of(self.alignment)
    }

    /// The quad at which given tokens begin, the first of what is of one step.
    pub(crate) fn first_given(&self) -> usize {
        self.rows + self.kept
    }

    /// The quad behind all that is uploaded, where a device has its own tables.
    pub(crate) fn end(&self) -> usize {
        self.rows + self.kept + self.step
    }

    pub(crate) fn quads_bytes(&self) -> u64 {
        self.end() as u64 * ROW_BYTES
    }

    /// Where a quad lies, in words from the first request on.
    pub(crate) fn word_of(&self, quad: usize) -> u64 {
        (self.quads_offset() - self.requests_offset() + quad as u64 * ROW_BYTES) / 4
    }

    pub(crate) fn bytes(&self) -> u64 {
        self.quads_offset() + self.quads_bytes()
    }
}

#[cfg(test)]
mod tests {
    use super::rounded_up_within;

    /// Whatever can be bound is given: most devices' limits are no power of two.
    #[test]
    fn what_fits_has_room() {
        let most = (1 << 31) - 4;
        for (bytes, room) in [
            (1 << 16, Some(1 << 16)),
            ((1 << 16) + 1, Some(1 << 17)),
            ((1 << 30) + 16, Some(most)),
            (most, Some(most)),
            (most + 1, None),
            (u64::MAX, None),
        ] {
            assert_eq!(rounded_up_within(bytes, most), room, "{bytes} bytes");
        }
    }
}

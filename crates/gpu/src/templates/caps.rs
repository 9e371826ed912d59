//! What kernels may use.

use thalweg_ir::settings::Limits;

/// What a kernel's text may depend on. A description of the device, not the device: templates are testable without one.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Caps {
    /// Whether `f16` may be used.
    pub native_f16: bool,
    /// Whether the driver's own conversions between f32 and f16 round to nearest even, keep subnormals and overflow to
    /// infinity.
    pub exact_f16: bool,
    /// Whether the compiler knows that `0 · x` and `x - x` may be other than 0. Where it does not, it is kept from seeing that a
    /// factor is 0, or that two operands are one.
    pub honest: bool,
    /// Whether subgroup operations may be used.
    pub subgroups: bool,
    /// Invocations of a subgroup, as measured. For choosing shapes only: kernels read the built-in.
    pub subgroup_size: u32,
    /// Whether the device runs shaders on the CPU: fat invocations and no trees are faster there.
    pub software: bool,
    /// Whether small contractions of all shapes are to have one text, slower than their own but compiled once. Only where
    /// subgroups share their loads ([`Caps::software`]).
    pub shared_texts: bool,
    /// Largest number of workgroups along one axis of a grid.
    pub max_grid: u32,
    /// Largest number of invocations in a workgroup.
    pub max_workgroup: u32,
    /// Bytes of workgroup memory.
    pub workgroup_bytes: u32,
    /// Bytes of the largest binding; larger buffers are bound in windows.
    pub max_binding: u64,
    /// Largest number of storage bindings.
    pub max_bindings: u32,
}

impl Caps {
    /// The largest number of buffers of one launch. Bindings are kept for the flag word, for scratch, and for words where they are in storage.
    pub fn max_buffers(&self) -> usize {
        self.max_bindings.clamp(4, 32) as usize - 2 - usize::from(self.software)
    }

    /// Takes away what is above these limits.
    pub fn lower(&mut self, limits: Limits) {
        let lower = |limit: &mut u32, to: Option<u32>| *limit = to.map_or(*limit, |to| to.min(*limit));
        lower(&mut self.max_grid, limits.grid);
        lower(&mut self.max_workgroup, limits.workgroup);
        lower(&mut self.max_bindings, limits.bindings);
        self.max_binding = limits.binding.map_or(self.max_binding, |to| to.min(self.max_binding));
    }
}

impl Default for Caps {
    /// What every device can do.
    fn default() -> Caps {
        Caps {
            native_f16: false,
            exact_f16: false,
            honest: false,
            subgroups: false,
            subgroup_size: 32,
            software: false,
            shared_texts: false,
            max_grid: 65535,
            max_workgroup: 256,
            workgroup_bytes: 16 << 10,
            max_binding: 128 << 20,
            max_bindings: 8,
        }
    }
}

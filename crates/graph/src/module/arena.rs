//! Parameters in one buffer.

use std::panic::Location;

use super::{Module, Param, State};
use crate::{
    backend::Region,
    device::Device,
    error::{Error, ErrorKind, Result},
    eval::Root,
    op::Op,
    record,
    shape::count,
    tensor::{Role, Tensor},
};

/// Elements to a multiple of which every parameter's place in a flat buffer is rounded up: 256 bytes of f32, the largest
/// offset alignment that adapters ask for.
pub const CHUNK: usize = 64;

/// The trainable parameters of a model in one contiguous buffer.
///
/// Every parameter starts at a multiple of [`CHUNK`] elements, so that an elementwise update rule is one launch for all,
/// a norm is one reduction, and each can still be bound alone.
#[derive(Clone, Debug)]
pub struct Arena {
    params: Vec<(String, Param)>,
    offsets: Vec<usize>,
    region: Region,
    device: Device,
}

impl Arena {
    /// Moves the trainable parameters of a module into one buffer.
    ///
    /// # Errors
    /// No trainable parameter; parameters on several devices or not in F32; no memory.
    #[track_caller]
    pub fn pack(module: &dyn Module) -> Result<Arena> {
        let params: Vec<(String, Param)> = module.params().into_iter().filter(|(_, p)| !p.is_frozen()).collect();
        let Some((_, first)) = params.first() else {
            return Err(Error::new("init", ErrorKind::Invalid("the module has no trainable parameter".into())));
        };
        let device = first.tensor().device().clone();
        let mut offsets = Vec::with_capacity(params.len());
        let mut len = 0;
        for (path, param) in &params {
            let leaf = param.tensor();
            if leaf.dtype() != first.tensor().dtype() {
                let problem = format!("differs from the other parameters' in '{path}'");
                return Err(Error::new("init", ErrorKind::DType { got: leaf.dtype(), problem }));
            }
            offsets.push(len);
            len += leaf.count().next_multiple_of(CHUNK);
        }
        let leaves: Vec<Tensor> = params.iter().map(|(_, p)| p.tensor().detach()).collect();
        let dtype = leaves[0].dtype();
        let storage = device.backend().allocate(len * dtype.size_bytes())?;
        let region = Region { storage, offset: 0, len, dtype };
        let packed = Tensor::node(Op::Pack(offsets.clone()), leaves, vec![len], dtype, &device, Location::caller());
        packed.check()?;
        crate::eval::run(&[Root { tensor: packed, target: Some(region.clone()) }], false)?;
        let arena = Arena { params, offsets, region, device };
        arena.advance();
        Ok(arena)
    }

    /// The parameters with their names.
    pub fn params(&self) -> &[(String, Param)] {
        &self.params
    }

    /// Where each parameter starts, in elements.
    pub fn offsets(&self) -> &[usize] {
        &self.offsets
    }

    /// Elements, padding included.
    pub fn len(&self) -> usize {
        self.region.len
    }

    /// Whether it holds nothing.
    pub fn is_empty(&self) -> bool {
        self.region.len == 0
    }

    /// The device that holds it.
    pub fn device(&self) -> &Device {
        &self.device
    }

    /// All parameters as one vector.
    pub fn flat(&self) -> Tensor {
        let location = Location::caller();
        Tensor::leaf(self.region.clone(), vec![self.region.len], &self.device, false, Role::Plain, location)
    }

    /// The gradients as one vector of the same layout; zeros for a parameter without one.
    #[track_caller]
    pub fn gather(&self, grads: &crate::Grads) -> Tensor {
        let dtype = self.region.dtype;
        let parts = self.params.iter().map(|(_, p)| {
            let leaf = p.tensor();
            match grads.get(&leaf) {
                Some(g) => g.cast(dtype),
                None => leaf.detach().zeros_like(),
            }
        });
        let parts: Vec<Tensor> = parts.collect();
        let op = Op::Pack(self.offsets.clone());
        Tensor::node(op, parts, vec![self.region.len], dtype, &self.device, Location::caller())
    }

    fn advance(&self) {
        for ((_, param), offset) in self.params.iter().zip(&self.offsets) {
            let len = count(&param.shape());
            param.advance(Region { offset: *offset, len, ..self.region.clone() });
        }
    }

    /// Runs one training step: writes `flat` over the parameters, the new states of the optimizer and of the module into
    /// their places, and evaluates whatever else of the graph is still held (loss, logits). Queued, not waited for.
    ///
    /// # Errors
    /// An error that one of the tensors carries; what went wrong on the device.
    pub fn step(
        &self,
        module: &dyn Module,
        flat: Tensor,
        states: Vec<(&State, Tensor)>,
        watch: &[Tensor],
    ) -> Result<()> {
        let mut roots = vec![Root { tensor: flat, target: Some(self.region.clone()) }];
        for (state, value) in &states {
            state.set(value);
        }
        let of_module = module.states();
        let all: Vec<State> =
            states.into_iter().map(|(s, _)| s.clone()).chain(of_module.into_iter().map(|(_, s)| s)).collect();
        let changed: Vec<(State, Root)> = all.into_iter().filter_map(|s| s.pending().map(|root| (s, root))).collect();
        let mut settled = Vec::with_capacity(changed.len());
        for (state, root) in changed {
            roots.push(root);
            settled.push(state);
        }
        roots.extend(watch.iter().filter(|t| !t.is_evaluated()).map(|t| Root { tensor: t.clone(), target: None }));
        crate::eval::run(&roots, true)?;
        drop(roots);
        settled.iter().for_each(State::settle);
        self.advance();
        record::did(|| {
            let arena = self.clone();
            move || arena.advance()
        });
        Ok(())
    }
}

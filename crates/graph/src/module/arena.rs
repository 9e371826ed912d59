//! Parameters in one buffer.

use super::{Layout, Param, Segment};
use thalweg_ir::{DType, Error, ErrorKind, Result, shape::count, storage::Region};

use crate::{device::Device, record, tensor::Tensor, variable::Variable};

/// A buffer in which parameters live. Several arenas may have room for one parameter: it lives where it was moved last, and its
/// value moves with it.
#[derive(Clone, Debug)]
pub struct Arena {
    layout: Layout,
    params: Vec<Param>,
    flat: Variable,
    device: Device,
}

impl Arena {
    /// Moves parameters of one device and dtype into one buffer. Graphs that were recorded with them stay good.
    ///
    /// # Errors
    /// No parameter; parameters of several devices or dtypes; no memory.
    #[track_caller]
    pub fn pack(params: Vec<(String, Param)>) -> Result<Arena> {
        let Some((_, first)) = params.first() else {
            return Err(Error::new("init", ErrorKind::Invalid("there is no parameter".into())));
        };
        let first = first.0.leaf();
        let (device, dtype) = (first.device().clone(), first.dtype());
        for (path, param) in &params {
            let leaf = param.0.leaf();
            if leaf.dtype() != dtype {
                let problem = format!("differs from the other parameters' in '{path}'");
                return Err(Error::new("init", ErrorKind::DType { got: leaf.dtype(), problem }));
            }
            if !leaf.device().same(&device) {
                let (lhs, rhs) = (device.to_string(), format!("{} ('{path}')", leaf.device()));
                return Err(Error::new("init", ErrorKind::Devices { lhs, rhs }));
            }
        }
        let layout = Layout::new(params.iter().map(|(path, p)| (path.clone(), p.shape())));
        let storage = device.backend().allocate(layout.len() * dtype.size_bytes())?;
        let region = Region { storage, offset: 0, len: layout.len(), dtype };
        let flat = Variable::over(region, vec![layout.len()], &device, false);
        let params = params.into_iter().map(|(_, p)| p).collect();
        let arena = Arena { layout, params, flat, device };
        arena.device.writing(|| arena.bring_home())?;
        Ok(arena)
    }

    /// Moves the parameters here that have been moved elsewhere since, with the values they have now.
    ///
    /// # Errors
    /// What goes wrong on the device.
    pub fn bring_home(&self) -> Result<()> {
        // In a replay they may have been moved again.
        self.params.iter().for_each(|p| record::moves(&p.0));
        record::did(|| {
            let arena = self.clone();
            move || arena.fetch()
        });
        self.fetch()
    }

    fn fetch(&self) -> Result<()> {
        let away: Vec<(&Variable, Region)> = self.places().filter(|(v, place)| !is(&v.home(), place)).collect();
        if away.is_empty() {
            return Ok(());
        }
        let copies: Vec<(Region, Region)> = away.iter().map(|(v, place)| (v.home(), place.clone())).collect();
        self.device.backend().copy(&copies)?;
        away.into_iter().for_each(|(v, place)| v.moved(place));
        Ok(())
    }

    fn places(&self) -> impl Iterator<Item = (&Variable, Region)> {
        let home = self.flat.home();
        self.params.iter().zip(self.layout.segments()).map(move |(param, Segment { offset, shape, .. })| {
            (&param.0, Region { offset: *offset, len: count(shape), ..home.clone() })
        })
    }

    /// The parameters.
    pub fn params(&self) -> &[Param] {
        &self.params
    }

    /// Where each lies.
    pub fn layout(&self) -> &Layout {
        &self.layout
    }

    /// Their dtype.
    pub fn dtype(&self) -> DType {
        self.flat.home().dtype
    }

    /// The device that holds them.
    pub fn device(&self) -> &Device {
        &self.device
    }

    /// All parameters as one vector, of the current version.
    pub fn flat(&self) -> Tensor {
        self.flat.leaf()
    }

    /// The buffer as a variable of its own.
    pub(super) fn variable(&self) -> &Variable {
        &self.flat
    }
}

/// Whether both are the same place.
fn is(a: &Region, b: &Region) -> bool {
    a.storage.same(&b.storage) && a.offset == b.offset
}

//! The device of a tensor that was made of no tensors, as by `Tensor::concat(&[], 0)`: such a tensor carries an error, and an
//! error has to have a device. Nothing can be put there.

use std::sync::{Arc, LazyLock};

use thalweg_ir::{
    Error, ErrorKind, Result,
    backend::{Backend, PlanReport, Properties, ReadFuture, Stats},
    program::{Bindings, Program},
    storage::{Region, Storage},
};

use crate::{device::Device, tensor::Tensor};

impl Tensor {
    /// A tensor that carries an error of `op`, where no operand tells a device.
    #[track_caller]
    pub(crate) fn of_nothing(op: &'static str, kind: ErrorKind) -> Tensor {
        static NOWHERE: LazyLock<Device> = LazyLock::new(|| Device::new(Arc::new(Nowhere(properties()))));
        Tensor::fail_on(&NOWHERE, op, kind)
    }
}

#[derive(Debug)]
struct Nowhere(Properties);

fn properties() -> Properties {
    Properties {
        name: "nowhere".into(),
        api: "none",
        hardware: false,
        native_f16: false,
        mixed_gains: false,
        f64: true,
        max_buffers: usize::MAX,
        max_binding_bytes: u64::MAX,
        max_tensor_bytes: 0,
        memory_bytes: Some(0),
        scheduled: false,
    }
}

fn no_device() -> Error {
    Error::new("nowhere", ErrorKind::Device("the device is that of a tensor made of no tensors, which has none".into()))
}

impl Backend for Nowhere {
    fn properties(&self) -> &Properties {
        &self.0
    }
    fn upload(&self, _: &[u8]) -> Result<Storage> {
        Err(no_device())
    }
    fn allocate(&self, _: usize) -> Result<Storage> {
        Err(no_device())
    }
    fn read(&self, _: &Region) -> Result<Vec<u8>> {
        Err(no_device())
    }
    fn read_async(&self, _: &Region) -> ReadFuture {
        Box::pin(async { Err(no_device()) })
    }
    fn copy(&self, _: &[(Region, Region)]) -> Result<()> {
        Err(no_device())
    }
    fn run(&self, _: &Program, _: &Bindings) -> Result<Vec<Region>> {
        Err(no_device())
    }
    fn synchronize(&self) -> Result<()> {
        Ok(())
    }
    fn stats(&self) -> Stats {
        Stats::default()
    }
    fn last_step(&self) -> Option<PlanReport> {
        None
    }
}

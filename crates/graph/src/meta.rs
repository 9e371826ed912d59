//! The device on which everything has a shape and nothing a value: for models that are only looked at.

use std::sync::{Arc, LazyLock};

use thalweg_ir::{
    Error, ErrorKind, Result,
    backend::{Backend, PlanReport, Properties, ReadFuture, Stats},
    program::{Bindings, Program},
    shape::count,
    storage::{Region, Storage, StorageObject},
};

use crate::device::Device;

impl Device {
    /// The device on which tensors have shapes and dtypes but no values, and take no memory: the largest model is made there at once,
    /// and its parameters, layers and multiply-adds are counted as anywhere ([`Module::summary`](crate::Module::summary)). Reading a
    /// value is an error. All such tensors are on one device.
    pub fn meta() -> Device {
        static META: LazyLock<Device> = LazyLock::new(|| Device::new(Arc::new(Meta(properties()))));
        META.clone()
    }

    /// Whether nothing has a value here.
    pub fn is_meta(&self) -> bool {
        self.properties().api == API
    }
}

/// What tells this device from others.
const API: &str = "meta";

#[derive(Debug)]
struct Meta(Properties);

fn properties() -> Properties {
    Properties {
        name: "meta".into(),
        api: API,
        hardware: false,
        native_f16: true,
        mixed_gains: false,
        f64: true,
        max_buffers: usize::MAX,
        max_binding_bytes: u64::MAX,
        max_tensor_bytes: u64::MAX,
        memory_bytes: None,
        scheduled: false,
    }
}

/// So many bytes that are nowhere.
struct Bytes(usize);

impl StorageObject for Bytes {
    fn size_bytes(&self) -> usize {
        self.0
    }
}

fn no_values() -> Error {
    Error::new("read", ErrorKind::Device("on the meta device tensors have shapes and no values".into()))
}

impl Backend for Meta {
    fn properties(&self) -> &Properties {
        &self.0
    }
    fn upload(&self, bytes: &[u8]) -> Result<Storage> {
        self.allocate(bytes.len())
    }
    fn allocate(&self, size_bytes: usize) -> Result<Storage> {
        Ok(Storage::new(Bytes(size_bytes)))
    }
    fn read(&self, _: &Region) -> Result<Vec<u8>> {
        Err(no_values())
    }
    fn read_async(&self, _: &Region) -> ReadFuture {
        Box::pin(async { Err(no_values()) })
    }
    fn copy(&self, _: &[(Region, Region)]) -> Result<()> {
        Ok(())
    }
    fn run(&self, program: &Program, bindings: &Bindings) -> Result<Vec<Region>> {
        let outputs = program.outputs.iter().zip(&bindings.targets);
        let region = |(output, target): (&thalweg_ir::program::Output, &Option<Region>)| match target {
            Some(target) => target.clone(),
            None => {
                let node = &program.nodes[output.node];
                let (len, dtype) = (count(&node.shape), node.dtype);
                Region { storage: Storage::new(Bytes(len * dtype.size_bytes())), offset: 0, len, dtype }
            }
        };
        Ok(outputs.map(region).collect())
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

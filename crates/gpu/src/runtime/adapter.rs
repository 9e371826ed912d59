//! Which devices there are, and choosing one.

use std::sync::OnceLock;

use thalweg_ir::{Error, ErrorKind, Result};
use wgpu::{
    Adapter, BackendOptions, Backends, DeviceType, Dx12BackendOptions, Dx12Compiler, Instance, InstanceDescriptor,
    InstanceFlags,
};

/// Which device to open.
#[derive(Clone, Debug, PartialEq, Eq, Default)]
pub enum Selector {
    /// The best in hardware: discrete, then integrated, then virtual.
    #[default]
    Best,
    /// Position in [`adapters`].
    Index(usize),
    /// Part of the name, in any case. Software Vulkan is opened only so, or by its position.
    Name(String),
}

/// A device that could be opened.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AdapterInfo {
    /// Name as the driver gives it.
    pub name: String,
    /// `vulkan`, `metal` or `dx12`.
    pub api: &'static str,
    /// `discrete`, `integrated`, `virtual`, `other` or `cpu`.
    pub kind: &'static str,
    /// The driver and its version.
    pub driver: String,
}

impl std::fmt::Display for AdapterInfo {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{} ({}, {})", self.name, self.api, self.kind)
    }
}

/// The devices of this machine, best first.
pub fn adapters() -> Vec<AdapterInfo> {
    all(instance()).iter().map(describe).collect()
}

/// Discards the adapters' order of the drivers: hardware first, then by name, so that positions are the same every time.
fn all(instance: &Instance) -> Vec<Adapter> {
    let mut adapters = pollster::block_on(instance.enumerate_adapters(Backends::PRIMARY));
    adapters.sort_by_key(|a| (rank(a.get_info().device_type), a.get_info().name));
    adapters
}

/// One for the process: making one loads every driver.
fn instance() -> &'static Instance {
    static INSTANCE: OnceLock<Instance> = OnceLock::new();
    // No validation layers and no extra dispatches in front of indirect ones, in debug builds either.
    INSTANCE.get_or_init(|| {
        let dx12 = Dx12BackendOptions { shader_compiler: compiler(), ..Dx12BackendOptions::default() };
        Instance::new(InstanceDescriptor {
            backends: Backends::PRIMARY,
            flags: InstanceFlags::empty(),
            backend_options: BackendOptions { dx12, ..BackendOptions::default() },
            ..InstanceDescriptor::new_without_display_handle()
        })
    })
}

/// The shader compiler of DX12: DXC, by name. The one that comes with Windows (FXC) knows neither f16 nor subgroups, refuses some loops, and
/// would be taken without a word; where there is no DXC, there is no DX12.
fn compiler() -> Dx12Compiler {
    if cfg!(feature = "static-dxc") { Dx12Compiler::StaticDxc } else { Dx12Compiler::default_dynamic_dxc() }
}

fn rank(kind: DeviceType) -> usize {
    match kind {
        DeviceType::DiscreteGpu => 0,
        DeviceType::IntegratedGpu => 1,
        DeviceType::VirtualGpu => 2,
        DeviceType::Other => 3,
        DeviceType::Cpu => 4,
    }
}

pub(crate) fn api(backend: wgpu::Backend) -> &'static str {
    match backend {
        wgpu::Backend::Vulkan => "vulkan",
        wgpu::Backend::Metal => "metal",
        wgpu::Backend::Dx12 => "dx12",
        _ => "other",
    }
}

fn describe(adapter: &Adapter) -> AdapterInfo {
    let info = adapter.get_info();
    AdapterInfo {
        name: info.name,
        api: api(info.backend),
        kind: ["discrete", "integrated", "virtual", "other", "cpu"][rank(info.device_type)],
        driver: format!("{} {}", info.driver, info.driver_info).trim().to_string(),
    }
}

/// The adapter that a selector names.
///
/// # Errors
/// [`ErrorKind::NoDevice`], with a list of what there is.
pub(crate) fn select(selector: &Selector) -> Result<Adapter> {
    let adapters = all(instance());
    let listed: Vec<AdapterInfo> = adapters.iter().map(describe).collect();
    let found = match selector {
        Selector::Best => listed.iter().position(|a| a.kind != "cpu"),
        Selector::Index(i) => (*i < listed.len()).then_some(*i),
        Selector::Name(name) => {
            let name = name.to_lowercase();
            listed.iter().position(|a| a.name.to_lowercase().contains(&name))
        }
    };
    let Some(found) = found else {
        let wanted = match selector {
            Selector::Best => "gpu (in hardware)".to_string(),
            Selector::Index(i) => format!("gpu:{i}"),
            Selector::Name(name) => name.clone(),
        };
        let names: Vec<String> = listed.iter().enumerate().map(|(i, a)| format!("gpu:{i} = {a}")).collect();
        let mut available =
            if names.is_empty() { "no device with Vulkan, Metal or DX12".into() } else { names.join(", ") };
        if cfg!(all(windows, not(feature = "static-dxc"))) {
            available += "; DX12 needs dxcompiler.dll beside the program, or the feature static-dxc";
        }
        return Err(Error::new("open", ErrorKind::NoDevice { wanted, available }));
    };
    Ok(adapters.into_iter().nth(found).expect("found among them"))
}

//! Which of the devices there are is meant.

use thalweg_gpu::AdapterInfo;
use thalweg_graph::{Error, ErrorKind, Result};

/// What a name means.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Choice {
    /// The fast CPU executor.
    Cpu,
    /// The strict one.
    Strict,
    /// The adapter at this position.
    Adapter(usize),
}

/// The device that `wanted` names: `best`, `cpu`, `strict`, `gpu`, `gpu:1`, `lavapipe`, or part of an adapter's name.
///
/// `adapters` are the best first, software drivers last.
#[track_caller]
pub(crate) fn choose(wanted: &str, adapters: &[AdapterInfo]) -> Result<Choice> {
    let name = wanted.trim().to_lowercase();
    let hardware = adapters.iter().filter(|a| !is_software(a)).count();
    let named = |part: &str| adapters.iter().position(|a| a.name.to_lowercase().contains(part));
    let found = match name.as_str() {
        "cpu" => return Ok(Choice::Cpu),
        "strict" | "cpu:strict" => return Ok(Choice::Strict),
        "best" | "auto" | "" if hardware == 0 => return Ok(Choice::Cpu),
        "best" | "auto" | "" => Some(0),
        "gpu" => Some(0).filter(|_| hardware > 0),
        // Mesa's software Vulkan driver is lavapipe; its adapter calls itself llvmpipe.
        "lavapipe" => named("llvmpipe"),
        "software" => adapters.iter().position(is_software),
        _ => match name.strip_prefix("gpu:") {
            Some(number) => number.parse().ok().filter(|i| *i < hardware),
            None => named(&name),
        },
    };
    // No closure: the error's position is the caller's.
    match found {
        Some(index) => Ok(Choice::Adapter(index)),
        None => {
            let kind = ErrorKind::NoDevice { wanted: wanted.into(), available: list(adapters) };
            Err(Error::new("device", kind))
        }
    }
}

fn is_software(adapter: &AdapterInfo) -> bool {
    adapter.kind == "cpu"
}

/// Every device there is, with the name that chooses it.
fn list(adapters: &[AdapterInfo]) -> String {
    let mut names = vec!["cpu".to_string(), "strict".to_string()];
    names.extend(adapters.iter().enumerate().map(|(i, a)| match is_software(a) {
        true => format!("'{}' ({}, software: only by name)", a.name, a.api),
        false => format!("gpu:{i} '{}' ({})", a.name, a.api),
    }));
    if adapters.iter().all(is_software) {
        names.push("no GPU in hardware".into());
    }
    names.join(", ")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn adapters() -> Vec<AdapterInfo> {
        let adapter = |name: &str, kind| AdapterInfo { name: name.into(), api: "vulkan", kind, driver: String::new() };
        vec![
            adapter("NVIDIA GeForce RTX 4090", "discrete"),
            adapter("Intel(R) Iris(R) Xe Graphics", "integrated"),
            adapter("llvmpipe (LLVM 15.0.6, 256 bits)", "cpu"),
        ]
    }

    fn chosen(wanted: &str) -> usize {
        match choose(wanted, &adapters()).unwrap() {
            Choice::Adapter(index) => index,
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn the_best_is_discrete_before_integrated_and_never_software() {
        assert_eq!(chosen("best"), 0);
        assert_eq!(chosen("gpu"), 0);
        assert_eq!(chosen("gpu:1"), 1);
        assert_eq!(choose("best", &adapters()[2..]).unwrap(), Choice::Cpu);
    }

    #[test]
    fn names_match_in_part_and_whatever_their_case() {
        assert_eq!(chosen("iris"), 1);
        assert_eq!(chosen("LLVMpipe"), 2);
        assert_eq!(chosen("lavapipe"), 2);
        assert_eq!(chosen("software"), 2);
        assert_eq!(choose("cpu", &[]).unwrap(), Choice::Cpu);
        assert_eq!(choose("strict", &[]).unwrap(), Choice::Strict);
    }

    #[test]
    fn a_name_that_matches_none_lists_those_there_are() {
        let message = |wanted, adapters: &[AdapterInfo]| choose(wanted, adapters).unwrap_err().to_string();
        let text = message("radeon", &adapters());
        let want = "device: no device matches 'radeon'; there are: cpu, strict, gpu:0 'NVIDIA GeForce RTX 4090' (vulkan), \
                    gpu:1 'Intel(R) Iris(R) Xe Graphics' (vulkan), 'llvmpipe (LLVM 15.0.6, 256 bits)' (vulkan, software: \
                    only by name)";
        assert!(text.starts_with(want), "{text}");
        assert!(message("gpu:2", &adapters()).contains("no device matches 'gpu:2'"));
        assert!(message("gpu:x", &adapters()).contains("no device matches 'gpu:x'"));
        assert!(message("gpu", &adapters()[2..]).contains("no GPU in hardware"));
        assert!(message("lavapipe", &[]).contains("there are: cpu, strict, no GPU in hardware"));
    }
}

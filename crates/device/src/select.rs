//! Which of the devices there are is meant.

use thalweg_graph::{Error, ErrorKind, Result};

/// How good an adapter is likely to be, best first.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Kind {
    /// A card with memory of its own.
    Discrete,
    /// A GPU beside the CPU.
    Integrated,
    /// Part of a GPU, in a virtual machine.
    Virtual,
    /// Hardware that says no more.
    Other,
    /// A driver that computes on the CPU. Chosen only by name.
    Software,
}

/// An adapter that could be opened.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Adapter {
    /// Its name, as the driver gives it.
    pub name: String,
    /// `vulkan`, `metal` or `dx12`.
    pub api: String,
    /// What it is.
    pub kind: Kind,
    /// Its position in the order in which the system lists adapters.
    pub index: usize,
}

/// What a name means.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Choice {
    /// The fast CPU executor.
    Cpu,
    /// The strict one.
    Strict,
    /// An adapter.
    Adapter(Adapter),
}

/// The device that `wanted` names: `best`, `cpu`, `strict`, `gpu`, `gpu:1`, `lavapipe`, or part of an adapter's name.
#[track_caller]
pub(crate) fn choose(wanted: &str, adapters: &[Adapter]) -> Result<Choice> {
    let mut sorted = adapters.to_vec();
    // Stable: equal kinds keep the system's order.
    sorted.sort_by_key(|a| a.kind);
    let hardware: Vec<&Adapter> = sorted.iter().filter(|a| a.kind != Kind::Software).collect();
    let name = wanted.trim().to_lowercase();
    let found = match name.as_str() {
        "cpu" => return Ok(Choice::Cpu),
        "strict" | "cpu:strict" => return Ok(Choice::Strict),
        "best" | "auto" | "" => match hardware.first() {
            Some(adapter) => Some(*adapter),
            None => return Ok(Choice::Cpu),
        },
        "gpu" => hardware.first().copied(),
        // Mesa's software Vulkan driver is lavapipe; its adapter calls itself llvmpipe.
        "lavapipe" => sorted.iter().find(|a| a.name.to_lowercase().contains("llvmpipe")),
        "software" => sorted.iter().find(|a| a.kind == Kind::Software),
        _ => match name.strip_prefix("gpu:").map(str::parse::<usize>) {
            Some(number) => number.ok().and_then(|i| hardware.get(i).copied()),
            None => sorted.iter().find(|a| a.name.to_lowercase().contains(&name)),
        },
    };
    match found {
        Some(adapter) => Ok(Choice::Adapter(adapter.clone())),
        None => {
            let kind = ErrorKind::NoDevice { wanted: wanted.into(), available: list(&sorted) };
            Err(Error::new("device", kind))
        }
    }
}

/// Every device there is, with the name that chooses it.
pub(crate) fn list(sorted: &[Adapter]) -> String {
    let mut names = vec!["cpu".to_string(), "strict".to_string()];
    let mut number = 0;
    for adapter in sorted {
        if adapter.kind == Kind::Software {
            names.push(format!("'{}' ({}, software: only by name)", adapter.name, adapter.api));
        } else {
            names.push(format!("gpu:{number} '{}' ({})", adapter.name, adapter.api));
            number += 1;
        }
    }
    if number == 0 {
        names.push("no GPU in hardware".into());
    }
    names.join(", ")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn adapters() -> Vec<Adapter> {
        let adapter = |index, name: &str, kind| Adapter { name: name.into(), api: "vulkan".into(), kind, index };
        vec![
            adapter(0, "llvmpipe (LLVM 15.0.6, 256 bits)", Kind::Software),
            adapter(1, "Intel(R) Iris(R) Xe Graphics", Kind::Integrated),
            adapter(2, "NVIDIA GeForce RTX 4090", Kind::Discrete),
        ]
    }

    fn chosen(wanted: &str) -> usize {
        match choose(wanted, &adapters()).unwrap() {
            Choice::Adapter(adapter) => adapter.index,
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn the_best_is_discrete_before_integrated_and_never_software() {
        assert_eq!(chosen("best"), 2);
        assert_eq!(chosen("gpu"), 2);
        assert_eq!(chosen("gpu:1"), 1);
        assert_eq!(choose("best", &adapters()[..1]).unwrap(), Choice::Cpu);
    }

    #[test]
    fn names_match_in_part_and_whatever_their_case() {
        assert_eq!(chosen("iris"), 1);
        assert_eq!(chosen("LLVMpipe"), 0);
        assert_eq!(chosen("lavapipe"), 0);
        assert_eq!(chosen("software"), 0);
        assert_eq!(choose("cpu", &[]).unwrap(), Choice::Cpu);
        assert_eq!(choose("strict", &[]).unwrap(), Choice::Strict);
    }

    #[test]
    fn a_name_that_matches_none_lists_those_there_are() {
        let message = |wanted, adapters: &[Adapter]| choose(wanted, adapters).unwrap_err().to_string();
        let text = message("radeon", &adapters());
        let want = "device: no device matches 'radeon'; there are: cpu, strict, gpu:0 'NVIDIA GeForce RTX 4090' (vulkan), \
                    gpu:1 'Intel(R) Iris(R) Xe Graphics' (vulkan), 'llvmpipe (LLVM 15.0.6, 256 bits)' (vulkan, software: \
                    only by name)";
        assert!(text.starts_with(want), "{text}");
        assert!(message("gpu:2", &adapters()).contains("no device matches 'gpu:2'"));
        assert!(message("gpu:x", &adapters()).contains("no device matches 'gpu:x'"));
        assert!(message("gpu", &adapters()[..1]).contains("no GPU in hardware"));
        assert!(message("lavapipe", &[]).contains("there are: cpu, strict, no GPU in hardware"));
    }
}

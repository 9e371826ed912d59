//! The folder on every executor and every software driver that this machine has, from one command.

use std::{
    path::Path,
    process::{Command, Stdio},
};

use anyhow::{Context, Result, bail};

use super::args::GoldenArgs;

/// Where Debian's package `chromium-common` has SwiftShader, a second software driver: it has no f16.
const SWIFTSHADER: &str = "/usr/lib/chromium/vk_swiftshader_icd.json";

/// An executor, and the environment that makes it what it is.
struct Setting {
    name: &'static str,
    device: &'static str,
    strict: bool,
    environment: &'static [(&'static str, &'static str)],
    /// Families that are left out here.
    skip: Option<&'static str>,
}

const SETTINGS: &[Setting] = &[
    Setting { name: "cpu, strict", device: "cpu", strict: true, environment: &[], skip: None },
    Setting { name: "cpu", device: "cpu", strict: false, environment: &[], skip: None },
    Setting {
        name: "lavapipe, subgroups of 4",
        device: "lavapipe",
        strict: false,
        environment: &[("LP_NATIVE_VECTOR_WIDTH", "128")],
        skip: None,
    },
    Setting {
        name: "lavapipe, subgroups of 8",
        device: "lavapipe",
        strict: false,
        environment: &[("LP_NATIVE_VECTOR_WIDTH", "256")],
        skip: None,
    },
    Setting {
        name: "lavapipe, subgroups of 16",
        device: "lavapipe",
        strict: false,
        environment: &[("LP_NATIVE_VECTOR_WIDTH", "512")],
        skip: None,
    },
    Setting {
        name: "hardware forms, subgroups of 4",
        device: "lavapipe",
        strict: false,
        environment: &[("THALWEG_AS", "hardware"), ("LP_NATIVE_VECTOR_WIDTH", "128")],
        skip: None,
    },
    Setting {
        name: "hardware forms, subgroups of 8",
        device: "lavapipe",
        strict: false,
        environment: &[("THALWEG_AS", "hardware"), ("LP_NATIVE_VECTOR_WIDTH", "256")],
        skip: None,
    },
    Setting {
        name: "hardware forms, subgroups of 16",
        device: "lavapipe",
        strict: false,
        environment: &[("THALWEG_AS", "hardware"), ("LP_NATIVE_VECTOR_WIDTH", "512")],
        skip: None,
    },
    Setting {
        name: "lavapipe without f16",
        device: "lavapipe",
        strict: false,
        environment: &[("THALWEG_NO_F16", "1")],
        skip: None,
    },
    Setting {
        name: "lavapipe with small limits",
        device: "lavapipe",
        strict: false,
        environment: &[("THALWEG_LIMITS", "binding=8192,grid=7,workgroup=64")],
        // Training batches would need more bindings of that size than there are, and say so.
        skip: Some("train_*"),
    },
    Setting {
        name: "SwiftShader",
        device: "swiftshader",
        strict: false,
        environment: &[("VK_DRIVER_FILES", SWIFTSHADER)],
        skip: None,
    },
];

/// Runs this program once for each setting. An error if one of them fails.
pub fn run(args: &GoldenArgs) -> Result<()> {
    let program = std::env::current_exe().context("where this program is")?;
    let mut failed = Vec::new();
    for setting in SETTINGS {
        if setting.device == "swiftshader" && !Path::new(SWIFTSHADER).exists() {
            println!("{:<32} not here: `apt-get install chromium-common` brings {SWIFTSHADER}", setting.name);
            continue;
        }
        let mut command = Command::new(&program);
        command.arg("golden").arg("--dir").arg(&args.dir).args(["--device", setting.device]);
        command.args(setting.strict.then_some("--strict"));
        let options = [
            ("--family", args.family.as_deref()),
            ("--skip", args.skip.as_deref().or(setting.skip)),
            ("--case", args.case.as_deref()),
            ("--variant", args.variant.as_deref()),
        ];
        for (name, value) in options {
            if let Some(value) = value {
                command.args([name, value]);
            }
        }
        if let Some(file) = &args.allow_unsupported {
            command.arg("--allow-unsupported").arg(file);
        }
        command.args(args.json.then_some("--json")).envs(setting.environment.iter().copied());
        let output = command.stderr(Stdio::inherit()).output().context("running this program again")?;
        let text = String::from_utf8_lossy(&output.stdout);
        match (args.json, output.status.success()) {
            (true, _) => print!("{text}"),
            (false, true) => println!("{:<32} {}", setting.name, text.lines().last().unwrap_or_default()),
            (false, false) => print!("{}:\n{text}", setting.name),
        }
        if !output.status.success() {
            failed.push(setting.name);
        }
    }
    match failed.is_empty() {
        true => Ok(()),
        false => bail!("golden: these failed: {}", failed.join("; ")),
    }
}

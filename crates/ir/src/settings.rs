//! What the environment asks of Thalweg. It is read once, by whoever asks first, and holds for the process.

use std::sync::OnceLock;

use crate::{Error, ErrorKind, Result};

/// More threads are a mistake, and starting them takes the system down.
pub const MOST_THREADS: usize = 1024;

/// What the variables say. `docs/limits.md` has the table for users.
#[derive(Clone, Debug, Default)]
pub struct Settings {
    /// The device to take where a program names none.
    pub device: Option<String>,
    /// Threads of the CPU device; 0 or none for as many as there are cores.
    pub threads: Option<usize>,
    /// Bytes that a device is taken to have.
    pub memory: Option<u64>,
    /// Whether every op runs as soon as it is recorded.
    pub eager: bool,
    /// Whether a GPU is used as if it had no 16-bit floats.
    pub no_f16: bool,
    /// What a GPU is said to be able to do at most.
    pub limits: Limits,
    /// What is printed to standard error.
    pub printed: Vec<Print>,
    /// The first variable that says nothing of use.
    problem: Option<String>,
}

/// Upper bounds on what a device is said to be able to do, to test what happens at them. `None` leaves what it can.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Limits {
    /// Bytes of a storage binding, at least 256.
    pub binding: Option<u64>,
    /// Workgroups along an axis of a grid.
    pub grid: Option<u32>,
    /// Invocations of a workgroup.
    pub workgroup: Option<u32>,
    /// Storage bindings of a kernel, at least 8.
    pub bindings: Option<u32>,
    /// Milliseconds that a program waits for it before it is taken for lost; else a minute for hardware, and any time for software.
    pub wait: Option<u32>,
    /// Whether software is given the kernels that are for hardware: slow there, and right or wrong as on the hardware they are for.
    pub hardware: bool,
}

/// Something that can be printed while programs run.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Print {
    /// The graph that a plan was made of.
    Graph,
    /// Its launches.
    Schedule,
    /// Its buffers.
    Memory,
    /// How long each launch of a run took.
    Launches,
    /// The text of each kernel.
    Wgsl,
}

/// A variable of the environment.
struct Variable {
    name: &'static str,
    /// What it may say, for whoever said something else.
    allowed: &'static str,
    /// Takes what it says; none if that means nothing.
    take: fn(&mut Settings, &str) -> Option<()>,
}

const VARIABLES: [Variable; 8] = [
    Variable {
        name: "THALWEG_DEVICE",
        allowed: "the name of a device",
        take: |settings, text| put(&mut settings.device, Some(Some(text.to_string()))),
    },
    Variable {
        name: "THALWEG_THREADS",
        allowed: "a number of threads, at most 1024",
        take: |settings, text| put(&mut settings.threads, text.parse().ok().filter(|n| *n <= MOST_THREADS).map(Some)),
    },
    Variable {
        name: "THALWEG_MEMORY",
        allowed: "a number of bytes, or one with K, M or G behind it",
        take: |settings, text| put(&mut settings.memory, bytes(text).map(Some)),
    },
    Variable {
        name: "THALWEG_EAGER",
        allowed: "0 and 1",
        take: |settings, text| put(&mut settings.eager, truth(text)),
    },
    Variable {
        name: "THALWEG_NO_F16",
        allowed: "0 and 1",
        take: |settings, text| put(&mut settings.no_f16, truth(text)),
    },
    Variable {
        name: "THALWEG_LIMITS",
        allowed: "any of binding=, grid=, workgroup=, bindings= and wait=, each with a number, with commas between them",
        take: |settings, text| {
            let limits = limits(text).map(|limits| Limits { hardware: settings.limits.hardware, ..limits });
            put(&mut settings.limits, limits)
        },
    },
    Variable {
        name: "THALWEG_AS",
        allowed: "hardware",
        take: |settings, text| put(&mut settings.limits.hardware, (text == "hardware").then_some(true)),
    },
    Variable {
        name: "THALWEG_DEBUG",
        allowed: "any of graph, schedule, memory, launches and wgsl, with commas between them",
        take: |settings, text| put(&mut settings.printed, words(text).map(print).collect()),
    },
];

impl Settings {
    /// Those of this process. What is wrong with them, [`Settings::checked`] says.
    pub fn get() -> &'static Settings {
        static SETTINGS: OnceLock<Settings> = OnceLock::new();
        SETTINGS.get_or_init(|| Settings::of(|name| Some(std::env::var_os(name)?.to_string_lossy().into_owned())))
    }

    /// Those of an environment. A variable that says nothing is not set.
    fn of(variable: impl Fn(&str) -> Option<String>) -> Settings {
        let mut settings = Settings::default();
        for Variable { name, allowed, take } in VARIABLES {
            let text = variable(name).unwrap_or_default();
            if !text.trim().is_empty() && take(&mut settings, text.trim()).is_none() {
                settings.problem.get_or_insert(format!("{name} is '{text}'; allowed is {allowed}"));
            }
        }
        settings
    }

    /// The same, if all of them mean something: what whoever opens a device asks for.
    ///
    /// # Errors
    /// [`ErrorKind::Invalid`] with the variable, what it says, and what it may say.
    #[track_caller]
    pub fn checked(&self) -> Result<&Settings> {
        match &self.problem {
            None => Ok(self),
            Some(problem) => Err(Error::new("environment", ErrorKind::Invalid(problem.clone()))),
        }
    }

    /// Whether this is to be printed.
    pub fn prints(&self, what: Print) -> bool {
        self.printed.contains(&what)
    }
}

fn put<T>(place: &mut T, value: Option<T>) -> Option<()> {
    *place = value?;
    Some(())
}

fn truth(text: &str) -> Option<bool> {
    match text {
        "0" => Some(false),
        "1" => Some(true),
        _ => None,
    }
}

/// Bytes written as a number, with `K`, `M` or `G` for powers of 1024.
fn bytes(text: &str) -> Option<u64> {
    let (digits, shift) = match text.chars().last()?.to_ascii_uppercase() {
        'K' => (&text[..text.len() - 1], 10),
        'M' => (&text[..text.len() - 1], 20),
        'G' => (&text[..text.len() - 1], 30),
        _ => (text, 0),
    };
    digits.trim().parse::<u64>().ok()?.checked_mul(1 << shift)
}

fn words(text: &str) -> impl Iterator<Item = &str> {
    text.split(',').map(str::trim).filter(|word| !word.is_empty())
}

fn limits(text: &str) -> Option<Limits> {
    let mut limits = Limits::default();
    for part in words(text) {
        let (name, number) = part.split_once('=')?;
        let number: u32 = number.trim().parse().ok()?;
        match name.trim() {
            "binding" => limits.binding = Some(u64::from(number).max(256)),
            "grid" => limits.grid = Some(number.max(1)),
            "workgroup" => limits.workgroup = Some(number.max(1)),
            "wait" => limits.wait = Some(number.max(1)),
            "bindings" => limits.bindings = Some(number.max(8)),
            _ => return None,
        }
    }
    Some(limits)
}

fn print(word: &str) -> Option<Print> {
    match word {
        "graph" => Some(Print::Graph),
        "schedule" => Some(Print::Schedule),
        "memory" => Some(Print::Memory),
        "launches" => Some(Print::Launches),
        "wgsl" => Some(Print::Wgsl),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn with(name: &str, text: &str) -> Settings {
        Settings::of(|asked| (asked == name).then(|| text.to_string()))
    }

    #[test]
    fn what_variables_say_is_taken() {
        assert_eq!(with("THALWEG_DEVICE", " gpu:1 ").device.as_deref(), Some("gpu:1"));
        assert_eq!(with("THALWEG_THREADS", "3").threads, Some(3));
        for (text, bytes) in [("8G", 8 << 30), (" 512 m", 512 << 20), ("1000", 1000)] {
            assert_eq!(with("THALWEG_MEMORY", text).memory, Some(bytes));
        }
        assert!(with("THALWEG_EAGER", "1").eager && !with("THALWEG_EAGER", "0").eager);
        assert!(with("THALWEG_NO_F16", "1").no_f16);
        let limits = Limits {
            binding: Some(65536),
            grid: Some(7),
            workgroup: Some(64),
            bindings: Some(8),
            wait: Some(5),
            hardware: false,
        };
        assert_eq!(with("THALWEG_LIMITS", "binding=65536, grid=7,workgroup=64,bindings=8,wait=5").limits, limits);
        assert!(with("THALWEG_AS", "hardware").limits.hardware);
        assert_eq!(with("THALWEG_DEBUG", "launches, wgsl,").printed, [Print::Launches, Print::Wgsl]);
        for Variable { name, .. } in VARIABLES {
            assert!(with(name, " ").checked().is_ok(), "{name}");
        }
    }

    #[test]
    fn what_means_nothing_is_an_error_that_says_what_does() {
        let rows = [
            ("THALWEG_THREADS", "many"),
            ("THALWEG_THREADS", "-1"),
            ("THALWEG_THREADS", "1025"),
            ("THALWEG_MEMORY", "much"),
            ("THALWEG_MEMORY", "8é"),
            ("THALWEG_MEMORY", "99999999999G"),
            ("THALWEG_EAGER", "yes"),
            ("THALWEG_NO_F16", "true"),
            ("THALWEG_LIMITS", "grid"),
            ("THALWEG_LIMITS", "grid=x"),
            ("THALWEG_LIMITS", "grid=7,depth=3"),
            ("THALWEG_AS", "software"),
            ("THALWEG_DEBUG", "graph,everything"),
        ];
        for (name, text) in rows {
            let error = with(name, text).checked().unwrap_err().to_string();
            let allowed = VARIABLES.iter().find(|variable| variable.name == name).unwrap().allowed;
            assert!(error.contains(&format!("{name} is '{text}'; allowed is {allowed}")), "{error}");
        }
    }

    #[test]
    fn every_variable_is_in_the_docs() {
        let docs = include_str!("../../../docs/limits.md");
        for Variable { name, .. } in VARIABLES {
            assert!(docs.contains(&format!("| `{name}` |")), "{name} has no row");
        }
    }
}

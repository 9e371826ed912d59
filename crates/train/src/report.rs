//! What became of a file's tensors.

use std::fmt;

use thalweg_graph::DType;

/// What was loaded, and what was not.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[must_use = "it says what was not loaded"]
pub struct Loaded {
    /// Parameters and states of the model that were.
    pub loaded: Vec<String>,
    /// Those among them that are of another dtype than in the file.
    pub converted: Vec<Converted>,
    /// Those that the file does not have; only with [`Load::missing_ok`](crate::Load::missing_ok).
    pub missing: Vec<String>,
    /// Those that have another shape than in the file; only with [`Load::misshapen_ok`](crate::Load::misshapen_ok).
    pub misshapen: Vec<String>,
    /// Tensors of the file, by their names there, that were asked to be left out: by [`Load::part`](crate::Load::part),
    /// [`Load::rename`](crate::Load::rename) or [`Load::only`](crate::Load::only).
    pub skipped: Vec<String>,
    /// Tensors of the file that the model has no place for; only with [`Load::extra_ok`](crate::Load::extra_ok).
    pub left: Vec<String>,
}

/// A tensor that became one of another dtype.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Converted {
    /// Its name in the model.
    pub name: String,
    /// What it is in the file, as safetensors calls it.
    pub from: &'static str,
    /// What it is in the model.
    pub to: DType,
}

impl fmt::Display for Converted {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} ({} to {})", self.name, self.from, self.to)
    }
}

impl fmt::Display for Loaded {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} tensors loaded", self.loaded.len())?;
        let converted: Vec<String> = self.converted.iter().map(Converted::to_string).collect();
        for (what, names) in [
            ("converted", &converted),
            ("not in the file", &self.missing),
            ("of another shape", &self.misshapen),
            ("skipped", &self.skipped),
            ("left over", &self.left),
        ] {
            if !names.is_empty() {
                write!(f, "; {what}: {}", names.join(", "))?;
            }
        }
        Ok(())
    }
}

/// Everything that keeps a file from being loaded.
#[derive(Default)]
pub(crate) struct Problems {
    /// What the model needs and the file has not, with shapes.
    pub missing: Vec<(String, Vec<usize>)>,
    /// Where one of these may be.
    pub hint: String,
    /// What the file has and the model has not, with shapes.
    pub extra: Vec<(String, Vec<usize>)>,
    /// What does not fit, each in a sentence of its own.
    pub misfits: Vec<String>,
}

impl Problems {
    /// All of them, if there are any: one is a sentence, several are lines.
    pub fn check(self) -> Result<(), String> {
        let Problems { missing, hint, extra, misfits } = self;
        let names = |of: Vec<(String, Vec<usize>)>| {
            let names: Vec<String> = of.into_iter().map(|(name, shape)| format!("'{name}' {shape:?}")).collect();
            if names.is_empty() { None } else { Some(names.join(", ")) }
        };
        let missing = names(missing).map(|names| format!("has no {names}, which the model needs{hint}"));
        let extra = names(extra).map(|names| format!("has {names}, which the model has not"));
        let lines: Vec<String> = missing.into_iter().chain(extra).chain(misfits).collect();
        match lines.as_slice() {
            [] => Ok(()),
            [one] => Err(one.clone()),
            several => Err(format!("does not fit:\n  it {}", several.join("\n  it "))),
        }
    }
}

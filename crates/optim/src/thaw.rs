//! Layers that are freed one after the other.

use thalweg_graph::{Error, ErrorKind, Module, Param, Result};

use crate::Select;

/// A schedule of unfreezing: which parameters are frozen until which step.
///
/// ```ignore
/// let thaw = Thaw::new(&net, &[("head.*", 0), ("blocks.*", 500), ("embed.*", 1000)])?;
/// for step in 0..steps {
///     thaw.at(step);
///     opt.step(&loss(&net))?;
/// }
/// ```
///
/// # Source
/// Howard & Ruder 2018, arXiv:1801.06146, §3.3, "gradual unfreezing".
#[derive(Clone, Debug)]
pub struct Thaw {
    parts: Vec<(u64, Vec<Param>)>,
}

impl Thaw {
    /// Of the parameters that these patterns name, each until a step. What none names is left as it is.
    ///
    /// # Errors
    /// A pattern that names no parameter.
    #[track_caller]
    pub fn new(module: &dyn Module, parts: &[(&str, u64)]) -> Result<Thaw> {
        let all = module.params();
        let mut frozen = Vec::with_capacity(parts.len());
        for (pattern, until) in parts {
            let select = Select::from(*pattern);
            let chosen = all.iter().filter(|(path, param)| select.chooses(path, param));
            let params: Vec<Param> = chosen.map(|(_, param)| param.clone()).collect();
            if params.is_empty() {
                let problem = format!("no parameter is chosen by '{select}'");
                return Err(Error::new("thaw", ErrorKind::Invalid(problem)));
            }
            frozen.push((*until, params));
        }
        Ok(Thaw { parts: frozen })
    }

    /// Freezes and frees what is to be frozen and free in this step, from 0. Nothing is remembered: a run that is resumed asks for its
    /// step.
    pub fn at(&self, step: u64) {
        for (until, params) in &self.parts {
            params.iter().for_each(|param| param.freeze(step < *until));
        }
    }
}

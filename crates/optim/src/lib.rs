//! Thalweg's optimizer crate: update rules over flat parameters, groups, gradient clipping, dynamic loss scaling, averages.
//!
//! A rule ([`Sgd`], [`Adam`], [`AdamW`]) is a struct of hyperparameters with its equations as tensor ops. `init` packs a
//! module's parameters into one buffer and gives an [`Optimizer`], whose `step` is backward, scaling, clipping, the check
//! for numbers that are not finite and the update, as one graph that the device replays.
//!
//! ```ignore
//! let opt = AdamW { lr: 3e-4, ..AdamW::default() }.init(&net)?;
//! opt.step(&loss)?; // queued, not waited for
//! ```

mod average;
mod control;
mod goal;
mod group;
mod init;
mod lbfgs;
mod noise_scale;
mod optimizer;
mod plateau;
mod rates;
mod rule;
mod sam;
mod saved;
mod scale;
pub mod schedule;
mod select;
mod setting;
mod settings;
mod skips;
mod stateful;
mod work;

use thalweg_graph::{Error, ErrorKind, Result};

pub use average::Average;
pub use control::Report;
pub use goal::{Goal, Threshold};
pub use init::RuleExt;
pub use lbfgs::{Lbfgs, LbfgsOptimizer, StrongWolfe};
pub use noise_scale::{GrowingBatch, NoiseScale};
pub use optimizer::Optimizer;
pub use plateau::{Plateau, PlateauRate};
pub use rates::Rate;
pub use rule::{Rule, Settings, Slot, Start, Step};
pub use sam::Sam;
pub use scale::LossScale;
pub use schedule::Schedule;
pub use select::Select;
pub use setting::Setting;

/// The rules: the file of each, and its types. A new rule is a file and a line here.
macro_rules! rules {
    ($($file:ident: $($rule:ident),+;)*) => {
        $(mod $file; pub use $file::{$($rule),+};)*

        /// The names that [`rule`] knows.
        pub const RULES: &[&str] = &[$($(stringify!($rule)),+),*];

        /// A rule by its name, in whatever case, with some of its settings by theirs: for configuration files and tuners. Flags are 0 or 1.
        ///
        /// ```
        /// use thalweg_optim::Rule;
        /// let rule = thalweg_optim::rule("adamw", &[("lr", 3e-4), ("amsgrad", 1.0)])?;
        /// assert_eq!(rule.lr(), 3e-4);
        /// assert!(thalweg_optim::rule("adamw", &[("momentum", 0.9)]).is_err());
        /// # Ok::<(), thalweg_graph::Error>(())
        /// ```
        ///
        /// # Errors
        /// A name that no rule has, or no setting of it; a value that it cannot have.
        #[track_caller]
        pub fn rule(name: &str, settings: &[(&str, f64)]) -> Result<Box<dyn Rule>> {
            $($(if name.eq_ignore_ascii_case(stringify!($rule)) {
                return with($rule::default(), name, settings).map(|rule| Box::new(rule) as Box<dyn Rule>);
            })+)*
            let problem = format!("'{name}' is no rule; there are {}", RULES.join(", "));
            Err(Error::new("rule", ErrorKind::Invalid(problem)))
        }
    };
}
rules! {
    sgd: Sgd;
    adam: Adam, AdamW;
}

/// A rule with some settings changed.
#[track_caller]
fn with<R: Rule + Settings>(mut rule: R, name: &str, settings: &[(&str, f64)]) -> Result<R> {
    for (setting, value) in settings {
        if !rule.set(setting, *value) {
            let known: Vec<String> = rule.settings().iter().map(|(name, value)| format!("{name} = {value}")).collect();
            let problem = format!("{name} has no {setting} = {value}; it has {}", known.join(", "));
            return Err(Error::new("rule", ErrorKind::Invalid(problem)));
        }
    }
    match rule.check() {
        Ok(()) => Ok(rule),
        Err(problem) => Err(Error::new("rule", ErrorKind::Invalid(problem))),
    }
}

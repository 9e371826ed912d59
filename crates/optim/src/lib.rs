//! Thalweg's optimizer crate: update rules over flat parameters, groups, gradient clipping, dynamic loss scaling, averages.
//!
//! A rule ([`Sgd`], [`AdamW`], [`Lion`], ..: [`RULES`] has their names) is a struct of hyperparameters with its equations as tensor ops. `init` packs a
//! module's parameters into one buffer and gives an [`Optimizer`], whose `step` is backward, scaling, clipping, the check
//! for numbers that are not finite and the update, as one graph that the device replays.
//!
//! ```ignore
//! let opt = AdamW { lr: 3e-4, ..AdamW::default() }.init(&net)?;
//! opt.step(&loss)?; // queued, not waited for
//! ```

mod accumulate;
mod average;
mod beside;
mod bf16;
mod clip;
mod configure;
mod control;
mod goal;
mod group;
mod init;
mod lbfgs;
mod noise_scale;
mod optimizer;
mod parts;
mod penalty;
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
mod step;
mod thaw;
mod work;

use thalweg_graph::{Error, ErrorKind, Result};

use settings::same_name;

pub use adafactor::Floor;
pub use average::Average;
pub use bf16::Bf16Moments;
pub use control::Report;
pub use goal::{Goal, Threshold};
pub use init::RuleExt;
pub use lbfgs::{Lbfgs, LbfgsOptimizer, StrongWolfe};
pub use muon::Adjust;
pub use noise_scale::{GrowingBatch, NoiseScale};
pub use optimizer::Optimizer;
pub use parts::EpsMode;
pub use penalty::{Penalized, Penalty};
pub use plateau::{Plateau, PlateauRate};
pub use rates::Rate;
pub use rule::{Rule, Slot, Start, Step};
pub use sam::Sam;
pub use scale::LossScale;
pub use schedule::Schedule;
pub use select::Select;
pub use setting::Setting;
pub use settings::{Settings, Value};
pub use thaw::Thaw;

/// The rules: the file of each, and its types. A new rule is a file and a line here.
macro_rules! rules {
    ($($file:ident: $($rule:ident),+;)*) => {
        $(mod $file; pub use $file::{$($rule),+};)*

        /// The names that [`rule`] knows.
        pub const RULES: &[&str] = &[$($(stringify!($rule)),+),*];

        /// A rule by its name with some of its settings by theirs: for configuration files and tuners. In names and words neither
        /// case nor `_` nor `-` counts; flags are 0 or 1.
        ///
        /// ```
        /// use thalweg_optim::{Rule, Value, rule};
        /// assert_eq!(rule("adamw", &[("lr", 3e-4), ("amsgrad", 1.0)])?.lr(), 3e-4);
        /// rule("rms_prop", &[("alpha", Value::from(0.9)), ("eps_mode", "inside".into())])?;
        /// assert!(rule("adamw", &[("momentum", 0.9)]).is_err());
        /// # Ok::<(), thalweg_graph::Error>(())
        /// ```
        ///
        /// # Errors
        /// A name that no rule has, or no setting of it; a value that it cannot have. It says what there is.
        #[track_caller]
        pub fn rule<V: Clone + Into<Value>>(name: &str, settings: &[(&str, V)]) -> Result<Box<dyn Rule>> {
            $($(if same_name(name, stringify!($rule)) {
                return with($rule::default(), name, settings).map(|rule| Box::new(rule) as Box<dyn Rule>);
            })+)*
            let problem = format!("'{name}' is no rule; there are {}", RULES.join(", "));
            Err(Error::new("rule", ErrorKind::Invalid(problem)))
        }
    };
}
rules! {
    sgd: Sgd, SgdEma;
    adagrad: Adagrad;
    adadelta: Adadelta;
    rmsprop: RmsProp;
    adam: Adam, AdamW;
    adamax: Adamax;
    nadam: NAdam;
    radam: RAdam;
    asgd: Asgd;
    rprop: Rprop;
    lion: Lion;
    sparse_adam: SparseAdam;
    adafactor: Adafactor;
    lamb: Lamb;
    lars: Lars;
    muon: Muon;
    sophia: SophiaG;
    schedule_free: ScheduleFree;
}

/// A rule with some settings changed.
#[track_caller]
fn with<R: Rule + Settings, V: Clone + Into<Value>>(mut rule: R, name: &str, settings: &[(&str, V)]) -> Result<R> {
    for (setting, value) in settings {
        let value = value.clone().into();
        if !rule.set(setting, &value) {
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

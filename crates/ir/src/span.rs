//! What a launch did in a run, and when.

use std::{
    fmt,
    time::{Duration, Instant},
};

use crate::{
    program::{Label, NodeId, Phase, Program},
    schedule::{
        cost::Cost,
        ir::{BufferSpec, Launch},
    },
};

/// Names that the name of a launch is made of, at most.
const MOST_NAMES: usize = 4;

/// A launch of a run.
#[derive(Clone, Debug)]
pub struct Span {
    /// The nodes that it computed, first the one that it is known by.
    pub members: Vec<Label>,
    /// How the device calls what it ran.
    pub kernel: &'static str,
    /// What it costs.
    pub cost: Cost,
    /// When it began, by the host's clock.
    pub start: Instant,
    /// How long it took.
    pub duration: Duration,
}

impl Span {
    /// A whole run that began then and ends now.
    pub(crate) fn whole(program: &Program, start: Instant) -> Span {
        let members = program.nodes.iter().rev().map(|node| node.label.clone()).collect();
        Span { members, kernel: "run", cost: Cost::default(), start, duration: start.elapsed() }
    }

    /// The member that it is known by.
    pub fn label(&self) -> Option<&Label> {
        self.members.first()
    }

    /// The part of a training step that it belongs to.
    pub fn phase(&self) -> Phase {
        self.label().map(|label| label.phase).unwrap_or_default()
    }

    /// The methods that its members are of, each once; at most four.
    pub fn name(&self) -> String {
        let mut names: Vec<&str> = Vec::new();
        for name in self.members.iter().map(Label::name) {
            if !names.contains(&name) {
                names.push(name);
            }
        }
        match &names[..] {
            [] => self.kernel.to_string(),
            names if names.len() > MOST_NAMES => format!("{}+…", names[..MOST_NAMES].join("+")),
            names => names.join("+"),
        }
    }
}

impl fmt::Display for Span {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (ms, label) = (self.duration.as_secs_f64() * 1e3, self.label());
        write!(f, "{ms:9.3} ms  {:12} {:8} {}", self.kernel, self.phase(), self.name())?;
        if let Some(Label { path, location, .. }) = label {
            let path = path.as_deref().map_or(String::new(), |path| format!("{path} "));
            write!(f, "  {path}{}:{}", location.file(), location.line())?;
        }
        Ok(())
    }
}

/// What a plan remembers of a launch, to make spans of it.
#[derive(Clone, Debug)]
pub struct Described {
    members: Vec<NodeId>,
    cost: Cost,
}

impl Described {
    /// Of a launch over these buffers.
    pub fn new(launch: &Launch, buffers: &[BufferSpec]) -> Described {
        Described { members: launch.members.clone(), cost: launch.cost(buffers) }
    }

    /// It in a run of this program, which may come from elsewhere in the caller's code than the one that the plan was made for.
    pub fn span(&self, program: &Program, kernel: &'static str, start: Instant, duration: Duration) -> Span {
        let members = self.members.iter().filter_map(|node| Some(program.nodes.get(*node)?.label.clone())).collect();
        Span { members, kernel, cost: self.cost, start, duration }
    }
}

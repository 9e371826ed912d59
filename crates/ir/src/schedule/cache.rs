//! Plans, kept by the graph they were built from.

use std::sync::{Arc, Mutex, MutexGuard};

use super::{pieces::Pieces, recent::Recent};
use crate::program::Program;

/// How many plans are kept.
pub const PLANS: usize = 32;
/// Nodes of all of them together: what a plan of a thousand nodes takes is about a megabyte.
const NODES: usize = 1 << 14;
/// Dropped plans after which a warning says that the cache thrashes, and again at twice as many.
const THRASHING: u64 = 8;

/// The most recently used plans, and the pieces that long ones were made of.
pub struct PlanCache<P> {
    state: Mutex<State<P>>,
}

struct State<P> {
    plans: Recent<Arc<P>>,
    pieces: Pieces,
    dropped: u64,
    built: u64,
}

impl<P> Default for PlanCache<P> {
    fn default() -> Self {
        let plans = Recent::new(PLANS, NODES);
        PlanCache { state: Mutex::new(State { plans, pieces: Pieces::default(), dropped: 0, built: 0 }) }
    }
}

impl<P: Send + Sync + 'static> PlanCache<P> {
    /// The plan of this program, built by `build` when it is not there.
    pub fn get_or_build<E>(
        &self,
        program: &Program,
        build: impl FnOnce(&mut Pieces) -> Result<P, E>,
    ) -> Result<Arc<P>, E> {
        if let Some(plan) = program.plan.get() {
            return Ok(plan);
        }
        let mut state = self.state();
        if let Some(plan) = state.plans.get(&program.key) {
            program.plan.set(plan);
            return Ok(plan.clone());
        }
        let plan = Arc::new(build(&mut state.pieces)?);
        program.plan.set(&plan);
        state.built += 1;
        let dropped = state.plans.insert(program.key.clone(), plan.clone(), program.nodes.len());
        let before = state.dropped;
        state.dropped += dropped;
        if (before + 1..=state.dropped).any(|n| n >= THRASHING && n.is_power_of_two()) {
            log::warn!(
                "{} plans were dropped to make room: the graph changes from run to run (other shapes, or host numbers used \
                 as shapes); the latest has {} nodes and {} leaves",
                state.dropped,
                program.nodes.len(),
                program.leaves.len()
            );
        }
        Ok(plan)
    }

    /// Plans built so far.
    pub fn built(&self) -> u64 {
        self.state().built
    }

    /// Pieces of long programs grouped so far.
    pub fn pieces(&self) -> u64 {
        self.state().pieces.grouped()
    }

    fn state(&self) -> MutexGuard<'_, State<P>> {
        self.state.lock().unwrap_or_else(|poisoned| poisoned.into_inner())
    }
}

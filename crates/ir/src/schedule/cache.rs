//! Plans, kept by the graph they were built from.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex},
};

use crate::program::Program;

/// How many plans are kept.
pub const PLANS: usize = 32;
/// Rebuilds of evicted plans, in a row, after which a warning says that the cache thrashes.
const THRASHING: u64 = 8;

/// The least recently used of more than [`PLANS`] plans is dropped.
pub struct PlanCache<P> {
    state: Mutex<State<P>>,
}

struct State<P> {
    plans: HashMap<Vec<u64>, Entry<P>>,
    clock: u64,
    evictions: u64,
    built: u64,
}

struct Entry<P> {
    plan: Arc<P>,
    used: u64,
}

impl<P> Default for PlanCache<P> {
    fn default() -> Self {
        PlanCache { state: Mutex::new(State { plans: HashMap::new(), clock: 0, evictions: 0, built: 0 }) }
    }
}

impl<P: Send + Sync + 'static> PlanCache<P> {
    /// The plan of this program, built by `build` when it is not there.
    pub fn get_or_build<E>(&self, program: &Program, build: impl FnOnce() -> Result<P, E>) -> Result<Arc<P>, E> {
        if let Some(plan) = program.plan.get() {
            return Ok(plan);
        }
        let mut state = self.state.lock().unwrap_or_else(|poisoned| poisoned.into_inner());
        state.clock += 1;
        let clock = state.clock;
        if let Some(entry) = state.plans.get_mut(&program.key) {
            entry.used = clock;
            program.plan.set(&entry.plan);
            return Ok(entry.plan.clone());
        }
        let plan = Arc::new(build()?);
        program.plan.set(&plan);
        state.built += 1;
        if state.plans.len() >= PLANS {
            let oldest = state.plans.iter().min_by_key(|(_, e)| e.used).map(|(k, _)| k.clone());
            if let Some(oldest) = oldest {
                state.plans.remove(&oldest);
                state.evictions += 1;
                if state.evictions.is_multiple_of(THRASHING) {
                    log::warn!(
                        "{} plans were dropped to make room: the graph changes from run to run (other shapes, or host \
                         numbers used as shapes); the latest has {} nodes and {} leaves",
                        state.evictions,
                        program.nodes.len(),
                        program.leaves.len()
                    );
                }
            }
        }
        state.plans.insert(program.key.clone(), Entry { plan: plan.clone(), used: clock });
        Ok(plan)
    }

    /// Plans built so far.
    pub fn built(&self) -> u64 {
        self.state.lock().unwrap_or_else(|poisoned| poisoned.into_inner()).built
    }
}

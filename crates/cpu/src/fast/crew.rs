//! Who works on a run: the caller's thread alone, or the threads of the device.
//!
//! Waking a thread takes longer than many a launch. So a run that is over in that time stays where it was called, and during
//! a longer one threads that find nothing to do look again for a while before they sleep:
//!
//! ```text
//! thread 0   launch ─ launch ─ launch ─ launch
//! thread 1   part ·· part ······ part ·· part ···· sleeps
//! ```

use std::{
    hint::spin_loop,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    thread,
    time::{Duration, Instant},
};

use rayon::{ThreadPool, ThreadPoolBuildError, ThreadPoolBuilder, Yield, current_thread_index, yield_now};

use super::kernel::exec::TASK;

/// Lane-operations of a run that is not worth waking a thread for: some 80 µs.
const ALONE: usize = 4 * TASK;
/// How long a thread looks for a part of the next launch.
const PATIENCE: Duration = Duration::from_micros(500);
/// Looks between two readings of the clock.
const LOOKS: usize = 16;

/// The threads of a device.
#[derive(Debug)]
pub struct Crew(ThreadPool);

impl Crew {
    /// So many threads; 0 for the default.
    pub fn new(threads: usize) -> Result<Crew, ThreadPoolBuildError> {
        let threads = ThreadPoolBuilder::new().num_threads(threads).thread_name(|i| format!("thalweg-cpu-{i}"));
        threads.build().map(Crew)
    }

    /// How many there are.
    pub fn size(&self) -> usize {
        self.0.current_num_threads()
    }

    /// A run of so much work; it is told whether others may take parts of it.
    pub fn run<T: Send>(&self, work: usize, run: impl FnOnce(bool) -> T + Send) -> T {
        if work <= ALONE || self.size() == 1 {
            return run(false);
        }
        self.0.install(|| {
            let over = Over::default();
            let (seen, own) = (over.0.clone(), current_thread_index());
            self.0.spawn_broadcast(move |context| {
                if Some(context.index()) != own {
                    watch(&seen);
                }
            });
            run(true)
        })
    }
}

/// Says so when it is dropped.
#[derive(Default)]
struct Over(Arc<AtomicBool>);

impl Drop for Over {
    fn drop(&mut self) {
        self.0.store(true, Ordering::Relaxed);
    }
}

/// Takes parts of launches until the run is over, or nothing has come for a while. It ends by itself also because it may have been
/// begun within a part for whose end the run waits.
fn watch(over: &AtomicBool) {
    let mut last = Instant::now();
    while !over.load(Ordering::Relaxed) {
        match yield_now() {
            Some(Yield::Executed) => last = Instant::now(),
            _ if last.elapsed() > PATIENCE => return,
            _ => (0..LOOKS).for_each(|_| spin_loop()),
        }
        thread::yield_now();
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::AtomicUsize;

    use rayon::prelude::*;

    use super::*;

    #[test]
    fn little_work_stays_where_it_was_called() {
        let (crew, here) = (Crew::new(2).unwrap(), thread::current().id());
        let of = |work| crew.run(work, |shared| (shared, thread::current().id() == here));
        assert_eq!([of(ALONE), of(ALONE + 1)], [(false, true), (true, false)]);
        assert!(!Crew::new(1).unwrap().run(usize::MAX, |shared| shared));
    }

    #[test]
    fn parts_within_parts_come_to_an_end_while_others_watch() {
        let crew = Crew::new(4).unwrap();
        let sum = AtomicUsize::new(0);
        for _ in 0..2000 {
            crew.run(usize::MAX, |_| {
                for _ in 0..3 {
                    (0..4usize).into_par_iter().for_each(|i| {
                        (0..4usize).into_par_iter().for_each(|j| {
                            sum.fetch_add(i * j, Ordering::Relaxed);
                        });
                    });
                }
            });
        }
        assert_eq!(sum.into_inner(), 2000 * 3 * 36);
    }

    #[test]
    fn a_run_that_panics_leaves_no_one_watching() {
        let crew = Crew::new(2).unwrap();
        let run = || crew.run(usize::MAX, |_| panic!("in a run"));
        assert!(std::panic::catch_unwind(std::panic::AssertUnwindSafe(run)).is_err());
        assert!(crew.run(usize::MAX, |shared| shared));
    }
}

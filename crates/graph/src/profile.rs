//! Where the time of a piece of a program goes, launch by launch.

use std::{
    cell::RefCell,
    collections::HashMap,
    fmt,
    time::{Duration, Instant},
};

use thalweg_ir::{
    Result,
    program::{Bindings, Program},
    schedule::cost::Cost,
    settings::{Print, Settings},
    span::Span,
    storage::Region,
};

use crate::device::Device;

/// What [`Device::profile`] saw: the launches of everything that the function ran on the device, on its own thread.
///
/// Printed, it is a table by layer and one by op. The time of a launch that computes several ops counts for the one it is known by:
/// its contraction, or else the last.
#[derive(Clone, Debug)]
pub struct Profile {
    spans: Vec<Span>,
    start: Instant,
    elapsed: Duration,
}

/// A line of a table of a [`Profile`]: launches that have something in common.
#[derive(Clone, Debug, PartialEq)]
pub struct Row {
    /// What they have in common.
    pub name: String,
    /// How many they are.
    pub launches: usize,
    /// How long they took together.
    pub duration: Duration,
    /// What they cost together.
    pub cost: Cost,
}

impl Profile {
    /// The launches, in the order in which they began.
    pub fn spans(&self) -> &[Span] {
        &self.spans
    }

    /// When the function was called.
    pub fn start(&self) -> Instant {
        self.start
    }

    /// How long the function took.
    pub fn elapsed(&self) -> Duration {
        self.elapsed
    }

    /// How long its launches took together.
    pub fn busy(&self) -> Duration {
        self.spans.iter().map(|span| span.duration).sum()
    }

    /// The launches by what a function says of each, those first that took longest.
    pub fn by(&self, key: impl Fn(&Span) -> String) -> Vec<Row> {
        let mut rows: Vec<Row> = Vec::new();
        let mut at: HashMap<String, usize> = HashMap::new();
        for span in &self.spans {
            let name = key(span);
            let row = *at.entry(name.clone()).or_insert_with(|| {
                rows.push(Row { name, launches: 0, duration: Duration::ZERO, cost: Cost::default() });
                rows.len() - 1
            });
            let row = &mut rows[row];
            row.launches += 1;
            row.duration += span.duration;
            row.cost = row.cost + span.cost;
        }
        rows.sort_by_key(|row| std::cmp::Reverse(row.duration));
        rows
    }

    /// The launches by layer: the path of the nearest parameter without its last name; of updates, and of what has no parameter,
    /// by phase.
    pub fn by_layer(&self) -> Vec<Row> {
        self.by(|span| match span.label().and_then(|label| label.layer()) {
            Some(layer) => layer.to_string(),
            None => format!("({})", span.phase()),
        })
    }

    /// The launches by op, or by the method that an op is part of.
    pub fn by_op(&self) -> Vec<Row> {
        self.by(|span| span.label().map_or(span.kernel, |label| label.name()).to_string())
    }

    /// The launches by part of a training step.
    pub fn by_phase(&self) -> Vec<Row> {
        self.by(|span| span.phase().to_string())
    }
}

impl fmt::Display for Profile {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let all = self.by(|_| String::new()).pop();
        let (ms, busy) = (|time: Duration| time.as_secs_f64() * 1e3, self.busy());
        let share = |time: Duration| 100.0 * time.as_secs_f64() / self.elapsed.as_secs_f64().max(1e-9);
        let launches = self.spans.len();
        writeln!(f, "{:.3} ms, {:.0} % of it in {launches} launches", ms(self.elapsed), share(busy))?;
        for (title, rows) in [("layer", self.by_layer()), ("op", self.by_op()), ("phase", self.by_phase())] {
            let rows = rows.into_iter().chain(all.clone().map(|all| Row { name: "all".into(), ..all }));
            let rows: Vec<Row> = rows.collect();
            let width = rows.iter().map(|row| row.name.chars().count()).max().unwrap_or(0).max(title.len());
            let (launches, time, part, work, traffic) = ("launches", "ms", "%", "GFLOP/s", "GB/s");
            writeln!(f, "\n{title:width$}  {launches:>8}  {time:>10}  {part:>5}  {work:>8}  {traffic:>8}")?;
            for Row { name, launches, duration, cost } in &rows {
                let per_ns = |n: u64| n as f64 / (duration.as_nanos() as f64).max(1.0);
                let (time, part, work, traffic) =
                    (ms(*duration), share(*duration), per_ns(cost.flop), per_ns(cost.bytes));
                writeln!(f, "{name:width$}  {launches:>8}  {time:>10.3}  {part:>5.1}  {work:>8.2}  {traffic:>8.2}")?;
            }
        }
        Ok(())
    }
}

/// A profile that is being taken on this thread.
struct Open {
    device: Device,
    spans: Vec<Span>,
}

thread_local! {
    /// Those within others behind them.
    static OPEN: RefCell<Vec<Open>> = const { RefCell::new(Vec::new()) };
}

impl Device {
    /// What a function gives, and where its time on this device went: each run is waited for, and its launches are timed. The first
    /// run of a plan compiles it; so take a step or two before.
    ///
    /// ```ignore
    /// let (result, profile) = device.profile(|| opt.step(&net.forward(&x).cross_entropy(&labels)));
    /// println!("{profile}");
    /// profile.write_trace("step.json")?; // `ProfileExt`, of `train`: for `ui.perfetto.dev`
    /// ```
    pub fn profile<T>(&self, f: impl FnOnce() -> T) -> (T, Profile) {
        /// Ends it, also when `f` panics.
        struct End;
        impl Drop for End {
            fn drop(&mut self) {
                OPEN.with_borrow_mut(Vec::pop);
            }
        }
        OPEN.with_borrow_mut(|open| open.push(Open { device: self.clone(), spans: Vec::new() }));
        let _end = End;
        let start = Instant::now();
        let value = f();
        let elapsed = start.elapsed();
        let spans = OPEN.with_borrow_mut(|open| open.last_mut().map(|open| std::mem::take(&mut open.spans)));
        (value, Profile { spans: spans.unwrap_or_default(), start, elapsed })
    }

    /// Queues a program; gives a region for each output. `THALWEG_DEBUG=launches` prints the time of each launch.
    pub(crate) fn run(&self, program: &Program, bindings: &Bindings) -> Result<Vec<Region>> {
        let is_profiled = OPEN.with_borrow(|open| open.iter().any(|open| open.device.same(self)));
        let is_printed = Settings::get().prints(Print::Launches);
        if !is_profiled && !is_printed {
            return self.backend().run(program, bindings);
        }
        let mut spans = Vec::new();
        let regions = self.backend().run_timed(program, bindings, &mut spans)?;
        if is_printed {
            spans.iter().for_each(|span| eprintln!("{span}"));
        }
        OPEN.with_borrow_mut(|open| {
            open.iter_mut().filter(|open| open.device.same(self)).for_each(|open| open.spans.extend(spans.clone()));
        });
        Ok(regions)
    }
}

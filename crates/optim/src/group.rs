//! Parameters of one rule and one dtype, in one buffer, with what the rule keeps for them.

use std::{
    cell::RefCell,
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicBool, Ordering},
    },
};

use thalweg_graph::{
    DType, Grads, Param, Result, State, Tensor,
    module::{Arena, CHUNK, depends_on, zeros_state},
    shape::count,
};

use crate::{
    control::{Block, Control, LANES, wide},
    rule::{Kept, Rule, Slot, Start, Step},
    select::Select,
};

/// A rule for the parameters that a selection chooses; the last one chooses all.
pub(crate) type Rules = Vec<(Option<Select>, Arc<dyn Rule>)>;

/// The optimizer's share of one rule and dtype.
#[derive(Debug)]
pub(crate) struct Group {
    pub rule: Arc<dyn Rule>,
    pub arena: Arena,
    pub kept: Vec<Kept>,
    /// Numbers per parameter, kept in the control vector: the first is the count of steps.
    pub numbers: Vec<(&'static str, f64)>,
    /// Where they begin, in entries and in lanes of the control vector.
    first: (usize, usize),
    /// Whether parameters have taken different numbers of steps.
    ragged: Arc<AtomicBool>,
    /// The latest mask, by which parameters it lets move.
    mask: Mutex<Option<(Vec<bool>, Tensor)>>,
}

/// What a group's parameters are given in one step.
pub(crate) struct Given<'a> {
    pub lr: Tensor,
    /// Settings that schedules drive.
    pub settings: &'a [(String, Tensor)],
    pub gradient: Tensor,
    /// Whether to change nothing, where that is asked.
    pub skip: Option<&'a Tensor>,
    pub moves: &'a [bool],
}

/// What a step changes.
#[derive(Default)]
pub(crate) struct Changes {
    pub params: Option<Tensor>,
    pub states: Vec<(State, Tensor)>,
    pub blocks: Vec<Block>,
    /// The settings that the rule asked for.
    pub asked: Vec<&'static str>,
}

impl Group {
    /// Of each rule the parameters that it is first to choose, by dtype.
    #[track_caller]
    pub fn all(params: &[(String, Param)], rules: &Rules) -> Result<Vec<Group>> {
        let mut shares: Vec<((usize, DType), Vec<(String, Param)>)> = Vec::new();
        for (path, param) in params {
            let chooses = |(select, _): &(Option<Select>, _)| select.as_ref().is_none_or(|s| s.chooses(path, param));
            let Some(rule) = rules.iter().position(chooses) else { continue };
            let key = (rule, param.tensor().dtype());
            let named = (path.clone(), param.clone());
            match shares.iter_mut().find(|(known, _)| *known == key) {
                Some((_, share)) => share.push(named),
                None => shares.push((key, vec![named])),
            }
        }
        shares.sort_by_key(|((rule, dtype), _)| (*rule, *dtype as usize));
        let mut groups = Vec::with_capacity(shares.len());
        let (mut entry, mut lane) = (LANES, LANES);
        for ((rule, _), share) in shares {
            let group = Group::new(rules[rule].1.clone(), share, (entry, lane))?;
            entry += group.numbers.len();
            lane += group.numbers.len() * group.size();
            groups.push(group);
        }
        Ok(groups)
    }

    #[track_caller]
    fn new(rule: Arc<dyn Rule>, params: Vec<(String, Param)>, first: (usize, usize)) -> Result<Group> {
        let arena = Arena::pack(params)?;
        let mut kept = Vec::new();
        let mut numbers = vec![("step", 0.0)];
        for slot in rule.slots() {
            let device = arena.device();
            let states = match &slot {
                Slot::Scalar { name, start } => {
                    numbers.push((*name, *start));
                    continue;
                }
                Slot::Flat { start, dtype, .. } => {
                    let dtype = dtype.unwrap_or(wide(arena.dtype()));
                    vec![match start {
                        Start::Zero => zeros_state(device, [arena.layout().len()], dtype)?,
                        Start::Params => State::new(arena.flat().cast(dtype).copy()?)?,
                    }]
                }
                Slot::PerTensor { shape, .. } => {
                    let segments = arena.layout().segments().iter();
                    segments
                        .map(|s| zeros_state(device, shape(&s.shape), wide(arena.dtype())))
                        .collect::<Result<_>>()?
                }
            };
            kept.push(Kept { slot, states });
        }
        let (ragged, mask) = (Arc::default(), Mutex::default());
        Ok(Group { rule, arena, kept, numbers, first, ragged, mask })
    }

    /// How many parameters it has.
    pub fn size(&self) -> usize {
        self.arena.params().len()
    }

    /// What each of its numbers is at the start, and for how many parameters.
    pub fn start(&self) -> impl Iterator<Item = (f64, usize)> + '_ {
        self.numbers.iter().map(|(_, start)| (*start, self.size()))
    }

    /// The lanes of one of its numbers.
    pub fn number(&self, i: usize) -> (usize, usize) {
        (self.first.1 + i * self.size(), self.size())
    }

    /// Whether its parameters may have taken different numbers of steps.
    pub fn is_ragged(&self) -> bool {
        self.ragged.load(Ordering::Relaxed)
    }

    /// Notes whether its parameters may have taken different numbers of steps.
    pub fn set_ragged(&self, ragged: bool) {
        self.ragged.store(ragged, Ordering::Relaxed);
    }

    /// The gradients in the layout of the parameters; zeros for those that do not move.
    pub fn gather(&self, grads: &Grads, moves: &[bool]) -> Tensor {
        let dtype = wide(self.arena.dtype());
        let part = |(param, moves): (&Param, &bool)| match grads.get(param).filter(|_| *moves) {
            Some(g) => g.cast(dtype),
            None => Tensor::full(self.arena.device(), 0.0, param.shape(), dtype),
        };
        let parts = self.arena.params().iter().zip(moves).map(part).collect();
        self.arena.layout().join(parts, dtype).detach()
    }

    /// One step of the rule.
    #[track_caller]
    pub fn step(&self, control: &Control, given: Given) -> Result<Changes> {
        let Given { lr, settings, gradient, skip, moves } = given;
        if !moves.contains(&true) {
            return Ok(Changes::default());
        }
        let partial = moves.contains(&false);
        if partial {
            self.set_ragged(true);
        }
        let ragged = depends_on(&self.ragged);
        let (layout, dtype) = (self.arena.layout(), self.arena.dtype());
        let params = self.arena.flat();
        let mut step = Step {
            layout,
            params: params.cast(wide(dtype)),
            grad: gradient,
            lr,
            settings: settings.iter().map(|(name, value)| (name.as_str(), value.cast(wide(dtype)))).collect(),
            asked: RefCell::default(),
            slots: Vec::with_capacity(self.kept.len() + self.numbers.len()),
            problem: None,
        };
        for (i, (name, _)) in self.numbers.iter().enumerate() {
            let (first, len) = self.number(i);
            let old = match ragged {
                true => layout.spread(&control.lanes(first, len)),
                false => control.lane(first),
            };
            step.slots.push((name, vec![old.cast(wide(dtype))], None));
        }
        for Kept { slot, states } in &self.kept {
            let old = states.iter().map(|s| s.tensor().cast(wide(s.tensor().dtype()))).collect();
            step.slots.push((slot.name(), old, None));
        }
        let t = step.t();
        step.set("step", &t);
        let new = self.rule.update(&mut step);
        if let Some(problem) = step.problem {
            return Err(problem);
        }
        let asked = step.asked.into_inner();
        let mask = partial.then(|| self.mask(moves));
        // What does not move, and everything when the step is skipped, keeps its bits.
        let keep = |new: Tensor, old: &Tensor, mask: Option<&Tensor>| {
            let new = new.cast(old.dtype());
            let new = mask.map_or(new.clone(), |mask| mask.where_(&new, old));
            skip.map_or(new.clone(), |skip| skip.where_(old, new))
        };
        let mut changes = Changes { params: Some(keep(new, &params, mask.as_ref())), asked, ..Changes::default() };
        let mut slots = step.slots.into_iter();
        for (i, (_, old, new)) in slots.by_ref().take(self.numbers.len()).enumerate() {
            let Some(mut new) = new else { continue };
            let mut new = new.remove(0);
            if ragged {
                // One element of each parameter speaks for it.
                let full = new.broadcast_to([layout.len()]);
                let moved = mask.as_ref().map_or(full.clone(), |mask| mask.where_(full, &old[0]));
                new = moved.gather(0, &self.speakers());
            }
            let new = new.cast(control.state().tensor().dtype());
            changes.blocks.push(Block { entry: self.first.0 + i, first: self.number(i).0, new });
        }
        for (kept, (_, _, new)) in self.kept.iter().zip(slots) {
            let Some(new) = new else { continue };
            let flat = matches!(kept.slot, Slot::Flat { .. });
            for (i, (state, new)) in kept.states.iter().zip(new).enumerate() {
                if flat {
                    changes.states.push((state.clone(), keep(new, &state.tensor(), mask.as_ref())));
                } else if moves[i] {
                    changes.states.push((state.clone(), keep(new, &state.tensor(), None)));
                }
            }
        }
        Ok(changes)
    }

    /// Whether each element moves.
    fn mask(&self, moves: &[bool]) -> Tensor {
        let mut latest = self.mask.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some((known, mask)) = &*latest
            && known == moves
        {
            return mask.clone();
        }
        let layout = self.arena.layout();
        let chunks = |(segment, moves): (&thalweg_graph::module::Segment, &bool)| {
            std::iter::repeat_n(*moves, count(&segment.shape).div_ceil(CHUNK))
        };
        let chunks: Vec<bool> = layout.segments().iter().zip(moves).flat_map(chunks).collect();
        let rows = chunks.len();
        let mask = Tensor::from_slice(self.arena.device(), &chunks, [rows, 1]).broadcast_to([rows, CHUNK]);
        let mask = mask.reshape([layout.len()]);
        *latest = Some((moves.to_vec(), mask.clone()));
        mask
    }

    /// The first element of each parameter.
    fn speakers(&self) -> Tensor {
        let first: Vec<i32> = self.arena.layout().segments().iter().map(|s| s.offset as i32).collect();
        Tensor::from_slice(self.arena.device(), &first, [first.len()])
    }
}

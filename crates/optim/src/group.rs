//! Parameters of one rule and one dtype, in one buffer, with what the rule keeps for them.

use std::{
    cell::RefCell,
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicBool, Ordering},
    },
};

use thalweg_graph::{
    DType, Device, Grads, Param, Result, State, Tensor,
    module::{Arena, CHUNK, Layout, Segment, depends_on},
    shape::count,
};

use crate::{
    control::{Block, Control, LANES, STEP, wide},
    rule::{Held, Kept, Rule, Slot, Start, Step},
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
    /// The latest masks, by which parameters they let move: of the parameters, and of each slot.
    masks: Mutex<Option<(Vec<bool>, Vec<Tensor>)>>,
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
        let params = match rule.by_shape() {
            true => Layout::order_by_shape(params, |(_, param)| param.shape()),
            false => params,
        };
        let arena = Arena::pack(params)?;
        let (device, wide) = (arena.device(), wide(arena.dtype()));
        let mut kept = Vec::new();
        let mut numbers = vec![("step", 0.0)];
        for slot in rule.slots() {
            let (layout, value) = match &slot {
                Slot::Scalar { name, start } => {
                    numbers.push((*name, *start));
                    continue;
                }
                Slot::Flat { start, dtype, .. } => {
                    let (layout, dtype) = (arena.layout().clone(), dtype.unwrap_or(wide));
                    let value = match start {
                        Start::At(number) => Tensor::full(device, *number, [layout.len()], dtype),
                        Start::Params => arena.flat().cast(dtype).copy()?,
                    };
                    (layout, value)
                }
                Slot::PerTensor { shape, .. } => {
                    let segments = arena.layout().segments().iter();
                    let layout = Layout::new(segments.map(|s| (s.path.clone(), shape(&s.shape))));
                    if layout.is_empty() {
                        continue;
                    }
                    let value = Tensor::full(device, 0.0, [layout.len()], wide);
                    (layout, value)
                }
            };
            kept.push(Kept { slot, layout, state: State::new(value)? });
        }
        let (ragged, masks) = (Arc::default(), Mutex::default());
        Ok(Group { rule, arena, kept, numbers, first, ragged, masks })
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
        if moves.contains(&false) {
            self.set_ragged(true);
        }
        let ragged = depends_on(&self.ragged);
        let mut step = self.open(control, lr, gradient, ragged);
        let dtype = wide(self.arena.dtype());
        step.settings = settings.iter().map(|(name, value)| (name.as_str(), value.cast(dtype))).collect();
        let t = step.t();
        step.set("step", &t);
        let new = self.rule.update(&mut step);
        self.close(step, Some(new), skip, moves, ragged)
    }

    /// What the rule learns from gradients: new values of slots.
    #[track_caller]
    pub fn observe(
        &self,
        control: &Control,
        gradient: Tensor,
        skip: &Tensor,
        moves: &[bool],
    ) -> Result<Vec<(State, Tensor)>> {
        let ragged = depends_on(&self.ragged);
        let mut step = self.open(control, control.scale(), gradient, ragged);
        self.rule.observe(&mut step);
        Ok(self.close(step, None, Some(skip), moves, ragged)?.states)
    }

    /// What the rule says is to be evaluated, in the layout of the parameters.
    pub fn evaluated(&self, control: &Control) -> Option<Tensor> {
        let ragged = depends_on(&self.ragged);
        let nothing = self.arena.flat().cast(wide(self.arena.dtype())).zeros_like();
        self.rule.evaluated(&self.open(control, control.scale(), nothing, ragged))
    }

    /// What a rule is given.
    fn open(&self, control: &Control, lr: Tensor, grad: Tensor, ragged: bool) -> Step<'_> {
        let (layout, dtype) = (self.arena.layout(), wide(self.arena.dtype()));
        let number = |(i, (name, _)): (usize, &(&'static str, f64))| {
            let (first, len) = self.number(i);
            let old = match ragged {
                true => layout.spread(&control.lanes(first, len)),
                false => control.lane(first),
            };
            Held { name, layout, old: old.cast(dtype), new: None }
        };
        let mut slots: Vec<Held> = self.numbers.iter().enumerate().map(number).collect();
        for Kept { slot, layout, state } in &self.kept {
            let old = state.tensor();
            slots.push(Held { name: slot.name(), layout, old: old.cast(wide(old.dtype())), new: None });
        }
        let params = self.arena.flat().cast(dtype);
        Step {
            layout,
            params,
            grad,
            lr,
            steps: control.lane(STEP),
            settings: Vec::new(),
            asked: RefCell::default(),
            slots,
            problem: None,
        }
    }

    /// What comes of a step: of those that move, and not when it is skipped. Everything else keeps its bits.
    #[track_caller]
    fn close(
        &self,
        step: Step,
        new: Option<Tensor>,
        skip: Option<&Tensor>,
        moves: &[bool],
        ragged: bool,
    ) -> Result<Changes> {
        if let Some(problem) = step.problem {
            return Err(problem);
        }
        let asked = step.asked.into_inner();
        let (layout, params) = (self.arena.layout(), self.arena.flat());
        let masks = if moves.contains(&false) { self.masks(moves) } else { Vec::new() };
        let keep = |new: Tensor, old: &Tensor, mask: Option<&Tensor>| {
            let new = new.cast(old.dtype());
            let new = mask.map_or(new.clone(), |mask| mask.where_(&new, old));
            skip.map_or(new.clone(), |skip| skip.where_(old, new))
        };
        let mut changes =
            Changes { params: new.map(|new| keep(new, &params, masks.first())), asked, ..Changes::default() };
        let mut slots = step.slots.into_iter();
        for (i, Held { old, new, .. }) in slots.by_ref().take(self.numbers.len()).enumerate() {
            let Some(mut new) = new else { continue };
            if ragged {
                // One element of each parameter speaks for it.
                let full = new.broadcast_to([layout.len()]);
                let moved = masks.first().map_or(full.clone(), |mask| mask.where_(full, &old));
                new = moved.gather(0, &self.speakers());
            }
            changes.blocks.push(Block { entry: self.first.0 + i, first: self.number(i).0, new });
        }
        for (i, (Kept { state, .. }, Held { new, .. })) in self.kept.iter().zip(slots).enumerate() {
            let Some(new) = new else { continue };
            changes.states.push((state.clone(), keep(new, &state.tensor(), masks.get(i + 1))));
        }
        Ok(changes)
    }

    /// Whether each element moves: of the parameters, and of each slot.
    fn masks(&self, moves: &[bool]) -> Vec<Tensor> {
        let mut latest = self.masks.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some((known, masks)) = &*latest
            && known == moves
        {
            return masks.clone();
        }
        let of_params = mask(self.arena.layout(), moves, self.arena.device());
        let of_slot = |kept: &Kept| match kept.slot {
            Slot::PerTensor { .. } => mask(&kept.layout, moves, self.arena.device()),
            _ => of_params.clone(),
        };
        let masks: Vec<Tensor> = [of_params.clone()].into_iter().chain(self.kept.iter().map(of_slot)).collect();
        *latest = Some((moves.to_vec(), masks.clone()));
        masks
    }

    /// The first element of each parameter.
    fn speakers(&self) -> Tensor {
        let first: Vec<i32> = self.arena.layout().segments().iter().map(|s| s.offset as i32).collect();
        Tensor::from_slice(self.arena.device(), &first, [first.len()])
    }
}

/// Whether each element of a layout moves.
fn mask(layout: &Layout, moves: &[bool], device: &Device) -> Tensor {
    let chunks =
        |(segment, moves): (&Segment, &bool)| std::iter::repeat_n(*moves, count(&segment.shape).div_ceil(CHUNK));
    let chunks: Vec<bool> = layout.segments().iter().zip(moves).flat_map(chunks).collect();
    let rows = chunks.len();
    let mask = Tensor::from_slice(device, &chunks, [rows, 1]).broadcast_to([rows, CHUNK]);
    mask.reshape([layout.len()])
}

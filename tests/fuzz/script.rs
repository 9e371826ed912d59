//! What a program comes to once operands and attributes are settled, and running it on a device.

use thalweg_graph::{DType, Device, Grads, Result, Rng, State, Tensor, module::write_states};

use crate::strict;

use super::{
    caught::caught,
    draws::{Draws, floats},
    program::{Habits, Instruction, Leaf, Program},
    rows::{ROWS, Row, Slot},
};

/// A program whose every node does something.
pub struct Script {
    /// Leaves, then steps.
    pub nodes: Vec<Node>,
    /// Outputs, the node to peek at, and what is written over which leaf are positions in `nodes`.
    pub habits: Habits,
    /// An op that refused operands which its row says it takes.
    pub trouble: Option<String>,
    /// Whether something is stored in 16 bits.
    pub has_half: bool,
    limit: usize,
}

/// A leaf or a step.
pub enum Node {
    /// An input.
    Leaf(Leaf),
    /// An op.
    Step(Step),
}

/// An op on earlier nodes.
pub struct Step {
    /// What it was in the program.
    pub instruction: Instruction,
    /// Its row.
    pub row: &'static Row,
    /// Positions of its operands.
    pub operands: Vec<usize>,
    /// A power of two that keeps its result below 16, if one is needed.
    pub scale: Option<f64>,
}

/// Where a script runs and in what floats.
pub struct World<'a> {
    /// The device.
    pub device: &'a Device,
    /// The dtype of leaves.
    pub float: DType,
}

/// Something that was read at the end.
pub struct Reading {
    /// What it is.
    pub name: String,
    /// Its dtype.
    pub dtype: DType,
    /// Its elements.
    pub values: Vec<f64>,
}

impl Script {
    /// Settles a program: on the strict executor, in f64 to see values and in f32 to see dtypes.
    pub fn settle(program: &Program) -> Script {
        let device = strict();
        let mut script = Script {
            nodes: Vec::new(),
            habits: program.habits.clone(),
            trouble: None,
            has_half: false,
            limit: program.limit,
        };
        let (mut wide, mut narrow, mut slots) = (Vec::new(), Vec::new(), Vec::<Slot>::new());
        for leaf in &program.leaves {
            wide.push(leaf.tensor(&device, DType::F64, false));
            narrow.push(leaf.tensor(&device, DType::F32, false));
            slots.push(Slot { id: leaf.id, shape: leaf.shape.clone(), dtype: leaf.dtype(DType::F32) });
            script.nodes.push(Node::Leaf(leaf.clone()));
        }
        for instruction in &program.steps {
            let row = &ROWS[instruction.row % ROWS.len()];
            let Some(operands) = row.choose(&slots, &instruction.picks) else { continue };
            let apply = |of: &[Tensor], float| {
                let mut draws = Draws::new(&device, float, false, program.limit, instruction.seed, false);
                let of: Vec<&Tensor> = operands.iter().map(|i| &of[*i]).collect();
                (row.apply)(&mut draws, &of)
            };
            let made = caught(|| Ok((apply(&wide, DType::F64), apply(&narrow, DType::F32))));
            let (y, z) = match made {
                Ok((Some(y), Some(z))) => (y, z),
                Ok(_) => continue,
                Err(panic) => return script.stopped(instruction, row, operands, panic),
            };
            if y.count() > program.limit {
                continue;
            }
            let values = match caught(|| y.check().and_then(|()| z.check()).and_then(|()| y.to_vec::<f64>())) {
                Ok(values) => values,
                Err(error) => return script.stopped(instruction, row, operands, error),
            };
            let largest = values.iter().fold(0f64, |m, v| m.max(v.abs()));
            let float = y.dtype().is_float();
            if values.iter().any(|v| !v.is_finite()) || (!float && largest > 1e6) {
                continue;
            }
            let scale = (float && largest > 16.0).then(|| 2f64.powi(3 - largest.log2().ceil() as i32));
            let half = |d: DType| matches!(d, DType::F16 | DType::BF16);
            script.has_half |= half(z.dtype()) || row.text.contains("half");
            script.nodes.push(Node::Step(Step { instruction: instruction.clone(), row, operands, scale }));
            slots.push(Slot { id: instruction.id, shape: y.shape().to_vec(), dtype: z.dtype() });
            wide.push(scaled(&y, scale));
            narrow.push(scaled(&z, scale));
        }
        let find = |id: &usize| slots.iter().position(|s| s.id == *id).unwrap_or(*id % slots.len().max(1));
        script.habits.outputs = program.habits.outputs.iter().map(find).collect();
        script.habits.outputs.dedup();
        script.habits.peek = program.habits.peek.as_ref().map(find);
        script.habits.writes.clear();
        for (leaf, value) in &program.habits.writes {
            let leaf = leaf % program.leaves.len();
            let fits = |i: &usize| slots[*i].shape == slots[leaf].shape && slots[*i].dtype == slots[leaf].dtype;
            let fitting: Vec<usize> = (0..slots.len()).filter(fits).collect();
            let value = fitting.iter().find(|i| slots[**i].id == *value).unwrap_or(&fitting[*value % fitting.len()]);
            if !script.habits.writes.iter().any(|(known, _)| *known == leaf) && program.leaves[leaf].fill.is_uploaded()
            {
                script.habits.writes.push((leaf, *value));
            }
        }
        // A state's own tensor cannot be read once it is written.
        let Habits { outputs, writes, .. } = &mut script.habits;
        outputs.retain(|output| !writes.iter().any(|(state, _)| wide[*state].same(&wide[*output])));
        script
    }

    /// The script up to an op that refuses what its row says it takes.
    fn stopped(mut self, instruction: &Instruction, row: &'static Row, operands: Vec<usize>, why: String) -> Script {
        self.trouble = Some(format!("{}: {why}", row.name));
        self.nodes.push(Node::Step(Step { instruction: instruction.clone(), row, operands, scale: None }));
        self.habits = Habits { outputs: vec![self.nodes.len() - 1], peek: None, writes: vec![], ..self.habits };
        self
    }

    /// The program again, without what does nothing and with operands by their ids, so that taking something away changes little
    /// else.
    pub fn settled(&self, program: &Program) -> Program {
        let id = |at: &usize| match &self.nodes[*at] {
            Node::Leaf(leaf) => leaf.id,
            Node::Step(step) => step.instruction.id,
        };
        let steps = self.nodes.iter().filter_map(|node| match node {
            Node::Leaf(_) => None,
            Node::Step(s) => Some(Instruction { picks: s.operands.iter().map(id).collect(), ..s.instruction.clone() }),
        });
        let outputs = self.habits.outputs.iter().map(id).collect();
        let peek = self.habits.peek.as_ref().map(id);
        let place = |leaf: &usize| program.leaves.iter().position(|l| l.id == id(leaf)).unwrap_or(0);
        let writes = self.habits.writes.iter().map(|(leaf, value)| (place(leaf), id(value))).collect();
        let habits = Habits { outputs, peek, writes, ..self.habits.clone() };
        Program { steps: steps.collect(), habits, ..program.clone() }
    }

    /// Runs it as its habits say, and reads outputs and gradients.
    ///
    /// # Errors
    /// What a device says, or an op.
    pub fn run(&self, world: &World) -> Result<Vec<Reading>> {
        let (mut tensors, mut tracked, mut inputs) = (Vec::<Tensor>::new(), Vec::new(), Vec::new());
        let mut states: Vec<(usize, State)> = Vec::new();
        for (at, node) in self.nodes.iter().enumerate() {
            let y = match node {
                Node::Leaf(leaf) => {
                    let state = self.habits.writes.iter().any(|(state, _)| *state == at);
                    let x = leaf.tensor(world.device, world.float, self.habits.gradient && !state);
                    if x.is_tracked() {
                        tracked.push((format!("t{at}"), x.clone()));
                    }
                    if state {
                        states.push((at, State::new(x)?));
                        states[states.len() - 1].1.tensor()
                    } else {
                        if leaf.fill.is_uploaded() {
                            inputs.push((format!("t{at} afterwards"), x.clone()));
                        }
                        x
                    }
                }
                Node::Step(step) => {
                    let of: Vec<&Tensor> = step.operands.iter().map(|i| &tensors[*i]).collect();
                    let (y, leaves) = self.apply(step, &of, world);
                    let weights = leaves.into_iter().filter(|(_, leaf)| leaf.is_tracked());
                    tracked.extend(weights.map(|(name, leaf)| (format!("t{at}_{name}"), leaf)));
                    y
                }
            };
            y.check()?;
            if self.habits.peek == Some(at) {
                y.eval()?;
            }
            tensors.push(y);
        }
        let outputs: Vec<Tensor> = self.habits.outputs.iter().map(|i| tensors[*i].clone()).collect();
        let value = |(at, state): &(usize, State)| {
            let (_, value) = self.habits.writes.iter().find(|(known, _)| known == at)?;
            Some((state.clone(), tensors[*value].clone()))
        };
        let writes: Vec<(State, Tensor)> = states.iter().filter_map(value).collect();
        if !self.habits.hold {
            tensors.clear();
        }
        let mut wanted: Vec<(String, Tensor)> =
            outputs.iter().zip(&self.habits.outputs).map(|(y, i)| (format!("t{i}"), y.clone())).collect();
        if self.habits.read_first {
            read(&wanted, self.habits.together)?;
        }
        if let Some(grads) = weighted(world, 1, &outputs).map(|loss| loss.backward()).transpose()? {
            let first = of(&grads, &tracked, "gradient of");
            if self.habits.second {
                let tensors: Vec<Tensor> = first.iter().map(|(_, g)| g.clone()).collect();
                if let Some(grads) = weighted(world, 2, &tensors).map(|loss| loss.backward()).transpose()? {
                    wanted.extend(of(&grads, &tracked, "second gradient of"));
                }
            }
            wanted.extend(first);
        }
        drop(outputs);
        if !writes.is_empty() {
            let unread: Vec<Tensor> = wanted.iter().map(|(_, y)| y.clone()).collect();
            write_states(world.device, writes, &unread)?;
        }
        let mut readings = read(&wanted, self.habits.together)?;
        let written: Vec<(String, Tensor)> =
            states.iter().map(|(at, state)| (format!("t{at} written"), state.tensor())).collect();
        readings.extend(read(&written, false)?);
        // Nothing may have written to an input.
        readings.extend(read(&inputs, false)?);
        Ok(readings)
    }

    /// One step, and the leaves it made.
    fn apply(&self, step: &Step, of: &[&Tensor], world: &World) -> (Tensor, Vec<(&'static str, Tensor)>) {
        let seed = step.instruction.seed;
        let mut draws = Draws::new(world.device, world.float, self.habits.gradient, self.limit, seed, false);
        // The row applied when the script was settled, so it does now.
        let y = (step.row.apply)(&mut draws, of).unwrap_or_else(|| of[0].clone());
        (scaled(&y, step.scale), draws.leaves)
    }
}

fn scaled(y: &Tensor, scale: Option<f64>) -> Tensor {
    scale.map_or_else(|| y.clone(), |scale| y * scale)
}

/// A random sum of the tracked floats among these.
fn weighted(world: &World, seed: u64, of: &[Tensor]) -> Option<Tensor> {
    let terms = of.iter().enumerate().filter(|(_, y)| y.is_tracked() && y.dtype().is_float()).map(|(i, y)| {
        let weights = weights(seed * 1000 + i as u64, y.count());
        (y * floats(world.device, world.float, &weights, y.shape())).sum(..)
    });
    terms.reduce(|a, b| a + b)
}

/// The weights of an output in the sum that is differentiated.
pub fn weights(seed: u64, n: usize) -> Vec<f64> {
    let rng = &mut Rng::seed(seed);
    (0..n).map(|_| f64::from(rng.below(255) as i32 - 127) / 64.0).collect()
}

fn of(grads: &Grads, tracked: &[(String, Tensor)], what: &str) -> Vec<(String, Tensor)> {
    let found = tracked.iter().filter_map(|(name, leaf)| Some((name, grads.get(leaf)?.clone())));
    found.map(|(name, g)| (format!("{what} {name}"), g)).collect()
}

fn read(wanted: &[(String, Tensor)], together: bool) -> Result<Vec<Reading>> {
    if together {
        Tensor::eval_all(&wanted.iter().map(|(_, y)| y.clone()).collect::<Vec<_>>())?;
    }
    let reading =
        |(name, y): &(String, Tensor)| Ok(Reading { name: name.clone(), dtype: y.dtype(), values: y.to_vec::<f64>()? });
    wanted.iter().map(reading).collect()
}

//! A model on its device against the reference, down to the op that disagrees.

use std::{fmt, panic::Location};

use thalweg_cpu::StrictCpu;
use thalweg_graph::{
    DType, Error, ErrorKind, Module, Op, Result, Tensor,
    backend::{Backend, Bindings, Draft, Label, Node, Program, Region, program},
    bytes::decode,
    module::discarding,
    shape::count,
};

/// By how many times what rounding alone does a result may be off, before something else must be wrong.
const SLACK: f64 = 64.0;

/// What [`verify`] found.
#[derive(Clone, Debug)]
pub struct Verdict {
    /// Values compared: the loss, the gradient of every parameter, and what else of the graph is held (running statistics).
    pub compared: usize,
    /// Elements of all of them.
    pub elements: usize,
    /// The worst difference as a share of what was allowed.
    pub worst: f64,
    /// The first op whose result is wrong, if one is.
    pub disagreement: Option<Disagreement>,
}

/// An op whose result on the device is not what the reference says.
#[derive(Clone, Debug)]
pub struct Disagreement {
    /// Op, nearest parameter and position in the caller's code.
    pub label: Label,
    /// Shape of its result.
    pub shape: Vec<usize>,
    /// Whether it is wrong on its own, from inputs that are right; else only as a part of a fused kernel.
    pub alone: bool,
    /// The worst element, row-major.
    pub element: usize,
    /// What the device has there.
    pub got: f64,
    /// What the reference has there.
    pub want: f64,
}

impl fmt::Display for Verdict {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.disagreement {
            None => write!(
                f,
                "{} values, {} elements: all agree, the worst at {:.0} % of what rounding allows",
                self.compared,
                self.elements,
                100.0 * self.worst
            ),
            Some(d) => write!(
                f,
                "{} of shape {:?} is wrong{}: element {} is {:e}, and the reference says {:e}",
                d.label,
                d.shape,
                if d.alone { "" } else { " where it is fused with what it reads" },
                d.element,
                d.got,
                d.want
            ),
        }
    }
}

/// Computes a loss of a model, and the gradient of each of its parameters, on the device of the model and on the reference
/// executor, and compares them; if one differs, finds the first op that does.
///
/// The reference runs every op in f64, and again with every result rounded to its dtype: what that changes is what rounding does
/// to this model with these numbers, and some multiple of it is allowed. In mixed precision the operands of contractions are
/// rounded to 16 bits on the device, and that is allowed for as well.
///
/// It takes memory for every intermediate value and runs one op at a time: a tool to find faults with, not a part of training.
///
/// # Errors
/// An error that the loss carries; what goes wrong on a device. Disagreement is no error but a verdict.
#[track_caller]
pub fn verify<M: Module>(module: &M, loss: impl FnOnce(&M) -> Tensor) -> Result<Verdict> {
    let caller = Location::caller();
    // Which also tells the parameters their names.
    let params = module.params();
    // Running statistics are held until the graph has been looked at, and stay where they were.
    let (device, program, bindings) = discarding(|| {
        let loss = loss(module);
        loss.check()?;
        let grads = loss.backward()?;
        let of_params = params.into_iter().filter_map(|(_, p)| grads.get(&p).cloned());
        let roots: Vec<Tensor> = std::iter::once(loss.clone()).chain(of_params).collect();
        let (program, bindings) = program(&roots)?;
        Ok::<_, Error>((loss.device().backend().clone(), program, bindings))
    })
    .map_err(|error| error.seen_at(caller))?;
    let reference = Reference::new(&program, &bindings, &*device)?;

    let outputs: Vec<usize> = program.outputs.iter().map(|o| o.node).collect();
    let found = run(&*device, &program, &bindings)?;
    let mut verdict = Verdict { compared: outputs.len(), elements: 0, worst: 0.0, disagreement: None };
    for (node, got) in outputs.iter().zip(&found) {
        verdict.elements += got.len();
        verdict.worst = verdict.worst.max(reference.compare(*node, got).0);
    }
    if verdict.worst > 1.0 {
        verdict.disagreement = reference.first_wrong(&program, &bindings, &*device)?;
    }
    Ok(verdict)
}

/// The values of every node, and how far rounding moves them.
struct Reference {
    strict: StrictCpu,
    /// With every node rounded to its dtype.
    rounded: Vec<Vec<f64>>,
    /// In f64 throughout.
    exact: Vec<Vec<f64>>,
    /// Half the distance of neighbouring numbers near 1, of the dtype that contractions read.
    epsilon: f64,
}

impl Reference {
    fn new(program: &Program, bindings: &Bindings, device: &dyn Backend) -> Result<Reference> {
        let strict = StrictCpu::new();
        let mut all = program.draft(bindings);
        all.outputs = (0..all.nodes.len()).map(|node| (node, None)).collect();
        for (_, region, _) in &mut all.leaves {
            let storage = strict.upload(&device.read(region)?)?;
            *region = Region { storage, offset: 0, ..region.clone() };
        }
        let rounded = run_draft(&strict, all.clone())?;
        // The same graph with F64 for F32.
        let wide = |dtype: DType| if dtype == DType::F32 { DType::F64 } else { dtype };
        for (node, region, _) in &mut all.leaves {
            if region.dtype == DType::F32 {
                let bytes: Vec<u8> = rounded[*node].iter().flat_map(|v| v.to_le_bytes()).collect();
                *region = Region { storage: strict.upload(&bytes)?, offset: 0, len: region.len, dtype: DType::F64 };
            }
        }
        all.nodes.iter_mut().for_each(|node| node.dtype = wide(node.dtype));
        let exact = run_draft(&strict, all)?;
        let unit = |node: &Node| match node.compute.filter(|_| node.op.is_contraction()) {
            Some(DType::BF16) => 2f64.powi(-9),
            Some(_) => 2f64.powi(-12),
            None => 2f64.powi(-24),
        };
        let epsilon = program.nodes.iter().map(unit).fold(2f64.powi(-24), f64::max);
        Ok(Reference { strict, rounded, exact, epsilon })
    }

    /// The worst difference of a node's value as a share of what is allowed, and where it is.
    fn compare(&self, node: usize, got: &[f64]) -> (f64, usize) {
        let (exact, rounded) = (&self.exact[node], &self.rounded[node]);
        let largest = |values: &mut dyn Iterator<Item = f64>| values.filter(|v| v.is_finite()).fold(0.0, f64::max);
        let moved = largest(&mut exact.iter().zip(rounded).map(|(e, r)| (e - r).abs()));
        let scale = largest(&mut exact.iter().map(|e| e.abs()));
        let share = self.epsilon / 2f64.powi(-24);
        let allowed = SLACK * (moved * share + self.epsilon * scale);
        let differs = |(i, (got, want)): (usize, (&f64, &f64))| {
            let same = got == want || (got.is_nan() && want.is_nan());
            let by = if same { 0.0 } else { (got - want).abs() / allowed };
            (if by.is_nan() { f64::INFINITY } else { by }, i)
        };
        got.iter().zip(exact).enumerate().map(differs).fold((0.0, 0), |worst, d| if d.0 > worst.0 { d } else { worst })
    }

    fn first_wrong(
        &self,
        program: &Program,
        bindings: &Bindings,
        device: &dyn Backend,
    ) -> Result<Option<Disagreement>> {
        let computes = |node: &Node| !matches!(node.op, Op::Leaf | Op::Scalar(_));
        let nodes: Vec<usize> = (0..program.nodes.len()).filter(|i| computes(&program.nodes[*i])).collect();
        let disagreement = |node: usize, alone: bool, got: &[f64], element: usize| Disagreement {
            label: program.nodes[node].label.clone(),
            shape: program.nodes[node].shape.to_vec(),
            alone,
            element,
            got: got[element],
            want: self.exact[node][element],
        };
        for node in &nodes {
            let got = run_draft(device, self.alone(program, *node, device)?)?.remove(0);
            let (by, element) = self.compare(*node, &got);
            if by > 1.0 {
                return Ok(Some(disagreement(*node, true, &got, element)));
            }
        }
        for node in nodes {
            let cone = Draft { outputs: vec![(node, None)], ..program.draft(bindings) };
            let got = run_draft(device, cone)?.remove(0);
            let (by, element) = self.compare(node, &got);
            if by > 1.0 {
                return Ok(Some(disagreement(node, false, &got, element)));
            }
        }
        Ok(None)
    }

    /// One op, from inputs that are right.
    fn alone(&self, program: &Program, node: usize, device: &dyn Backend) -> Result<Draft> {
        let mut inputs = program.nodes[node].inputs.clone();
        inputs.sort_unstable();
        inputs.dedup();
        let mut small = Draft::default();
        for input in &inputs {
            let from = &program.nodes[*input];
            let at = small.nodes.len();
            small.nodes.push(Node { op: Op::Leaf, inputs: Default::default(), ..from.clone() });
            let bytes = self.bytes(*input, from.dtype, &from.shape)?;
            let region =
                Region { storage: device.upload(&bytes)?, offset: 0, len: count(&from.shape), dtype: from.dtype };
            small.leaves.push((at, region, false));
        }
        let place = |input: &usize| inputs.binary_search(input).unwrap_or_default();
        let own = &program.nodes[node];
        small.nodes.push(Node { inputs: own.inputs.iter().map(place).collect(), ..own.clone() });
        small.outputs.push((inputs.len(), None));
        Ok(small)
    }

    /// The rounded value of a node as a device stores it.
    fn bytes(&self, node: usize, dtype: DType, shape: &[usize]) -> Result<Vec<u8>> {
        let storage = self.strict.allocate(count(shape) * dtype.size_bytes())?;
        let region = Region { storage, offset: 0, len: count(shape), dtype };
        thalweg_cpu::strict::store(&region, &self.rounded[node])?;
        self.strict.read(&region)
    }
}

fn run_draft(backend: &dyn Backend, draft: Draft) -> Result<Vec<Vec<f64>>> {
    let (program, bindings) = draft.finish();
    run(backend, &program, &bindings)
}

/// Runs a program and reads its outputs.
fn run(backend: &dyn Backend, program: &Program, bindings: &Bindings) -> Result<Vec<Vec<f64>>> {
    let regions = backend.run(program, bindings)?;
    let values = |region: &Region| {
        let bytes = backend.read(region)?;
        Ok(decode(region.dtype, &bytes))
    };
    let found = regions.iter().map(values).collect::<Result<Vec<_>>>()?;
    match found.len() == program.outputs.len() {
        true => Ok(found),
        false => Err(Error::new("verify", ErrorKind::Device("the backend gave another number of results".into()))),
    }
}

//! From nodes to the code of one kernel.
//!
//! A node's value is asked for at *forms*: for each of its axes the position as an affine form of the kernel's loop
//! coordinates. Views change the forms and emit nothing; elementwise ops emit one instruction; what lives in a buffer
//! emits a load at the address that the forms give.

use super::{
    form::{Form, add_scaled},
    graph::{Graph, NodeId},
    ir::{Access, Body, BufId, Check, Indirect, Inst, Linear, Term, Val},
};
use crate::{
    bits::Bits,
    dtype::DType,
    map::Map,
    op::Op,
    op::binary::BinaryOp,
    shape::{count, strides},
};

/// Instructions above which a kernel is not grown.
pub const MAX_INSTS: usize = 192;

/// Why a node's value cannot be had at some forms.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Trouble {
    /// This node would have to be in a buffer.
    Materialise(NodeId),
    /// Loop coordinate `coordinate` must become two, of which the second has this extent, so that a position along one axis of
    /// a reshape can be told apart into several; or else this node be in a buffer.
    Split { coordinate: usize, inner: usize, source: NodeId },
    /// A node that the kernel computes is wanted at another position than it is computed for.
    Elsewhere,
    /// The kernel would get too large.
    Large,
}

/// A value, or why not.
pub type Outcome<T> = Result<T, Trouble>;

/// The code of one kernel under construction.
pub struct Emitter<'g> {
    pub graph: &'g Graph,
    /// Extents of the loop coordinates.
    pub extents: Vec<usize>,
    /// Whether a node is in a buffer when the kernel runs, or is made by this kernel.
    in_buffer: &'g dyn Fn(NodeId) -> bool,
    /// What the kernel computes: the position of each of the node's axes of extent over 1.
    members: Map<NodeId, Vec<Linear>>,
    /// For each reduction it computes, the forms of the operand.
    operands: Map<NodeId, Vec<Form>>,
    /// The contraction, if it is one.
    pub contraction: Option<NodeId>,
    /// The code; buffers are node ids here.
    pub body: Body,
    /// The values so far, by node and forms; a node is rarely asked for at more than one list of forms.
    memo: Map<NodeId, Vec<(Vec<Form>, Val)>>,
}

impl<'g> Emitter<'g> {
    pub fn new(graph: &'g Graph, extents: Vec<usize>, in_buffer: &'g dyn Fn(NodeId) -> bool) -> Emitter<'g> {
        Emitter {
            graph,
            extents,
            in_buffer,
            members: Map::default(),
            operands: Map::default(),
            contraction: None,
            body: Body::default(),
            memo: Map::default(),
        }
    }

    /// Declares that the kernel computes a node, at these positions of all its axes.
    pub fn member(&mut self, id: NodeId, at: &[Linear]) {
        let shape = &self.graph.nodes[id].shape;
        let wide = at.iter().zip(shape).filter(|(_, n)| **n != 1).map(|(l, _)| l.clone()).collect();
        self.members.insert(id, wide);
    }

    /// Declares the forms at which a reduction reads its operand.
    pub fn operand(&mut self, id: NodeId, forms: Vec<Form>) {
        self.operands.insert(id, forms);
    }

    /// The zero form.
    pub fn zero(&self) -> Linear {
        Linear::zero(self.extents.len())
    }

    /// Loop coordinate `d`.
    pub fn coordinate(&self, d: usize) -> Linear {
        let mut lin = self.zero();
        lin.coef[d] = 1;
        lin
    }

    /// Computes a member and stores it, if it is wanted in a buffer.
    pub fn compute(&mut self, id: NodeId, at: &[Linear], store: bool) -> Outcome<()> {
        let forms: Vec<Form> = at.iter().cloned().map(Form::plain).collect();
        let value = self.value(id, &forms)?;
        if store {
            let mut address = self.zero();
            for (at, stride) in at.iter().zip(strides(&self.graph.nodes[id].shape)) {
                address = add_scaled(&address, at, stride as i64);
            }
            self.body.stores.push(super::ir::Store { buf: id, at: address, value });
        }
        Ok(())
    }

    fn push(&mut self, inst: Inst, dtype: DType) -> Outcome<Val> {
        if self.body.insts.len() >= MAX_INSTS {
            return Err(Trouble::Large);
        }
        self.body.insts.push(inst);
        self.body.dtypes.push(dtype);
        Ok(self.body.insts.len() - 1)
    }

    /// The value of a node at these forms.
    pub fn value(&mut self, id: NodeId, forms: &[Form]) -> Outcome<Val> {
        let known = self.memo.get(&id).into_iter().flatten().find(|(at, _)| at == forms);
        if let Some((_, value)) = known {
            return Ok(*value);
        }
        let value = match self.members.get(&id) {
            Some(at) => {
                let shape = &self.graph.nodes[id].shape;
                let wide = forms.iter().zip(shape).filter(|(_, n)| **n != 1).map(|(f, _)| f);
                let here = wide.clone().count() == at.len() && wide.zip(at).all(|(f, at)| f.is_plain() && f.lin == *at);
                if !here {
                    return Err(Trouble::Elsewhere);
                }
                self.define(id, forms)?
            }
            None => match self.dense(id) {
                Some(buf) => {
                    let at = self.access(&self.graph.nodes[id].shape, forms);
                    self.push(Inst::Load { buf, at }, self.graph.nodes[id].dtype)?
                }
                None => self.define(id, forms)?,
            },
        };
        self.memo.entry(id).or_default().push((forms.to_vec(), value));
        Ok(value)
    }

    /// The buffer that holds a node's elements in the node's own row-major order, if the kernel does not make it itself:
    /// its own, or that of a node that it reshapes.
    fn dense(&self, mut id: NodeId) -> Option<BufId> {
        while !(self.in_buffer)(id) {
            let node = &self.graph.nodes[id];
            id = node.op.is_alias().then(|| node.inputs[0])?;
        }
        (!self.members.contains_key(&id)).then_some(id)
    }

    /// The access of a dense buffer of this shape at these forms; 0 where a guard fails.
    pub fn access(&self, shape: &[usize], forms: &[Form]) -> Access {
        let mut access = Access { base: self.zero(), terms: Vec::new(), fill: 0.0 };
        for (form, stride) in forms.iter().zip(strides(shape)) {
            match form.bound {
                None if form.div == 1 => access.base = add_scaled(&access.base, &form.lin, stride as i64),
                bound => access.terms.push(Term {
                    at: form.lin.clone(),
                    div: form.div,
                    bound: bound.unwrap_or(i64::MAX),
                    stride: stride as i64,
                }),
            }
        }
        access
    }

    fn define(&mut self, id: NodeId, forms: &[Form]) -> Outcome<Val> {
        let node = &self.graph.nodes[id];
        if count(&node.shape) == 0 {
            // Nobody will look at it, and the shapes of nothing have no forms.
            return self.push(Inst::Const(0.0), node.dtype);
        }
        if node.op.is_alias()
            && let Some(buf) = self.dense(node.inputs[0])
        {
            return self.push(Inst::Load { buf, at: self.access(&node.shape, forms) }, node.dtype);
        }
        if let Some((source, inner)) = self.through_view(id, forms)? {
            return self.view(id, source, &inner);
        }
        match &node.op {
            Op::Scalar(Bits(value)) => match node.slot {
                Some(slot) => self.push(Inst::Scalar(slot), node.dtype),
                None => self.push(Inst::Const(*value), node.dtype),
            },
            Op::Iota(axis) => match forms[*axis].div {
                1 => self.push(Inst::Index(forms[*axis].lin.clone()), node.dtype),
                _ => Err(Trouble::Materialise(id)),
            },
            Op::Random => {
                if !forms.iter().all(|f| f.div == 1) {
                    return Err(Trouble::Materialise(id));
                }
                let mut at = self.zero();
                for (form, stride) in forms.iter().zip(strides(&node.shape)) {
                    at = add_scaled(&at, &form.lin, stride as i64);
                }
                let mut stream = [0; 4];
                for (slot, input) in stream.iter_mut().zip(&node.inputs) {
                    *slot = self.value(*input, &[])?;
                }
                self.push(Inst::Random { at, stream }, node.dtype)
            }
            Op::Unary(op) => {
                let a = self.value(node.inputs[0], forms)?;
                self.push(Inst::Unary(*op, a), node.dtype)
            }
            Op::Binary(op) => {
                let a = self.value(node.inputs[0], forms)?;
                let b = self.value(node.inputs[1], forms)?;
                self.push(Inst::Binary(*op, a, b), node.dtype)
            }
            Op::Select => {
                let c = self.value(node.inputs[0], forms)?;
                let a = self.value(node.inputs[1], forms)?;
                let b = self.value(node.inputs[2], forms)?;
                self.push(Inst::Select(c, a, b), node.dtype)
            }
            Op::Cast => {
                let a = self.value(node.inputs[0], forms)?;
                self.push(Inst::Cast(a), node.dtype)
            }
            Op::Reduce(op, _) => {
                let Some(operand) = self.operands.get(&id).cloned() else { return Err(Trouble::Materialise(id)) };
                let a = self.value(node.inputs[0], &operand)?;
                self.push(Inst::Reduce(*op, a), node.dtype)
            }
            Op::Matmul | Op::Conv(_) | Op::ConvInput(_) | Op::ConvWeight(_) => match self.contraction == Some(id) {
                true => self.push(Inst::Acc, node.dtype),
                false => Err(Trouble::Materialise(id)),
            },
            Op::Gather(axis) => self.gather(id, *axis, forms),
            Op::Concat(axis) => self.concat(id, *axis, forms),
            _ => Err(Trouble::Materialise(id)),
        }
    }

    /// An element of a buffer at a position that is data. A table that every element of is known needs no buffer.
    fn gather(&mut self, id: NodeId, axis: usize, forms: &[Form]) -> Outcome<Val> {
        let node = &self.graph.nodes[id];
        let table = node.inputs[0];
        let buf = self.dense(table);
        if buf.is_none() && ((self.in_buffer)(table) || !self.is_known(table, axis)) {
            // Made by this very kernel, or by none.
            return Err(if (self.in_buffer)(table) { Trouble::Elsewhere } else { Trouble::Materialise(table) });
        }
        let mut index = self.value(node.inputs[1], forms)?;
        if forms.iter().any(|f| !f.is_plain()) && self.dense(node.inputs[1]).is_none() {
            // What a computed index comes to beyond the end, where nobody looks, must not be reported.
            let here = self.access(&node.shape, forms);
            let here = self.push(Inst::InBounds(here), DType::Bool)?;
            let zero = self.push(Inst::Const(0.0), DType::I32)?;
            index = self.push(Inst::Select(here, index, zero), DType::I32)?;
        }
        let shape = &self.graph.nodes[table].shape;
        let bound = shape[axis] as i64;
        let mut elsewhere = forms.to_vec();
        elsewhere[axis] = Form::plain(self.zero());
        self.body.checks.push(Check { label: node.label.clone(), axis, node: id });
        let check = self.body.checks.len() - 1;
        if let Some(buf) = buf {
            let at = self.access(shape, &elsewhere);
            let index = Indirect { index, stride: strides(shape)[axis] as i64, bound, check };
            return self.push(Inst::Gather { buf, at, index }, node.dtype);
        }
        let within = self.push(Inst::Within { index, bound, check }, DType::Bool)?;
        if self.graph.nodes[table].op == Op::Iota(axis) {
            let (first, last) =
                (self.push(Inst::Const(0.0), DType::I32)?, self.push(Inst::Const((bound - 1) as f64), DType::I32)?);
            let clamped = self.push(Inst::Binary(BinaryOp::Max, index, first), DType::I32)?;
            let clamped = self.push(Inst::Binary(BinaryOp::Min, clamped, last), DType::I32)?;
            return self.push(Inst::Select(within, index, clamped), node.dtype);
        }
        let value = self.value(table, &elsewhere)?;
        let outside = match node.dtype.is_float() {
            true => self.push(Inst::Const(f64::NAN), node.dtype)?,
            false => value,
        };
        self.push(Inst::Select(within, value, outside), node.dtype)
    }

    /// Whether a table's elements are the positions along an axis, or one number.
    fn is_known(&self, table: NodeId, axis: usize) -> bool {
        let node = &self.graph.nodes[table];
        match &node.op {
            Op::Iota(along) => *along == axis && node.dtype == DType::I32,
            Op::Scalar(_) => true,
            Op::Reshape | Op::Expand => {
                !matches!(self.graph.nodes[node.inputs[0]].op, Op::Iota(_)) && self.is_known(node.inputs[0], axis)
            }
            _ => false,
        }
    }

    /// The first input that covers a position, by guards on the axis.
    fn concat(&mut self, id: NodeId, axis: usize, forms: &[Form]) -> Outcome<Val> {
        let node = &self.graph.nodes[id];
        if !forms[axis].is_plain() {
            return Err(Trouble::Materialise(id));
        }
        let mut value: Option<Val> = None;
        let mut start = 0;
        for input in &node.inputs {
            let len = self.graph.nodes[*input].shape[axis];
            let mut inner = forms.to_vec();
            inner[axis].lin.offset -= start;
            inner[axis].bound = Some(len as i64);
            start += len as i64;
            if len == 0 {
                continue;
            }
            let part = self.value(*input, &inner)?;
            value = Some(match value {
                None => part,
                Some(before) => {
                    let here = self.access(&self.graph.nodes[*input].shape, &inner);
                    let here = self.push(Inst::InBounds(here), DType::Bool)?;
                    self.push(Inst::Select(here, part, before), node.dtype)?
                }
            });
        }
        value.ok_or(Trouble::Materialise(id))
    }

    /// The value of a view whose source is wanted at `inner`; the view's fill where a guard fails.
    fn view(&mut self, id: NodeId, source: NodeId, inner: &[Form]) -> Outcome<Val> {
        let node = &self.graph.nodes[id];
        let fill = match &node.op {
            Op::Pad { fill, .. } | Op::Windows { fill, .. } => Some(node.dtype.round(fill.0)),
            Op::WindowsAdjoint(_) => Some(0.0),
            _ => None,
        };
        match fill {
            Some(fill) => self.value_or(source, inner, fill),
            None => self.value(source, inner),
        }
    }

    /// The value of a node at these forms; `fill` where a guard fails.
    fn value_or(&mut self, id: NodeId, forms: &[Form], fill: f64) -> Outcome<Val> {
        let node = &self.graph.nodes[id];
        if forms.iter().all(Form::is_plain) {
            return self.value(id, forms);
        }
        let here = self.access(&node.shape, forms);
        if let Some(buf) = self.dense(id) {
            return self.push(Inst::Load { buf, at: Access { fill, ..here } }, node.dtype);
        }
        let value = self.value(id, forms)?;
        if self.fills(value, &here, fill) {
            return Ok(value);
        }
        let here = self.push(Inst::InBounds(here), DType::Bool)?;
        let fill = self.push(Inst::Const(fill), node.dtype)?;
        self.push(Inst::Select(here, value, fill), node.dtype)
    }

    /// Whether a value is `fill` wherever a guard of an access fails: a load under the same guards, cast.
    fn fills(&self, mut value: Val, guards: &Access, fill: f64) -> bool {
        while let Inst::Cast(of) = self.body.insts[value]
            && self.body.dtypes[value].round(fill) == fill
        {
            value = of;
        }
        let Inst::Load { at, .. } = &self.body.insts[value] else { return false };
        let same = |one: &Term, other: &Term| (&one.at, one.div, one.bound) == (&other.at, other.div, other.bound);
        at.fill == fill && guards.terms.iter().all(|guard| at.terms.iter().any(|term| same(guard, term)))
    }

    /// The code of a contraction's operand, the last value of which it is: 0 where a guard fails.
    pub fn code(mut self, id: NodeId, forms: &[Form]) -> Outcome<Body> {
        self.value_or(id, forms, 0.0)?;
        Ok(self.body)
    }
}

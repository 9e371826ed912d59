//! What views make of positions: the forms at which their sources are wanted.

use super::{
    emit::{Emitter, Outcome, Trouble},
    form::{Form, add_scaled},
    graph::NodeId,
    ir::Linear,
};
use crate::{op::Op, shape::strides};

impl Emitter<'_> {
    /// Of a view: its source, and the forms at which the source is wanted. `None` for what is no view.
    pub fn through_view(&self, id: NodeId, forms: &[Form]) -> Outcome<Option<(NodeId, Vec<Form>)>> {
        let node = &self.graph.nodes[id];
        let Some(source) = node.inputs.first().copied() else { return Ok(None) };
        let shape = &self.graph.nodes[source].shape;
        let inner = match &node.op {
            Op::Detach | Op::Again(_) => forms.to_vec(),
            Op::Permute(perm) => {
                let mut inner = vec![Form::plain(self.zero()); perm.len()];
                perm.iter().enumerate().for_each(|(d, p)| inner[*p] = forms[d].clone());
                inner
            }
            Op::Expand => (0..shape.len())
                .map(|d| if shape[d] == 1 { Form::plain(self.zero()) } else { forms[d].clone() })
                .collect(),
            Op::Slice { start, step } => {
                let mut inner = forms.to_vec();
                for d in 0..shape.len() {
                    if start[d] == 0 && step[d] == 1 {
                        continue;
                    }
                    if !forms[d].is_plain() {
                        return Err(Trouble::Materialise(id));
                    }
                    let mut from = self.zero();
                    from.offset = start[d] as i64;
                    inner[d].lin = add_scaled(&from, &forms[d].lin, step[d] as i64);
                }
                inner
            }
            Op::Pad { before, .. } => {
                let mut inner = forms.to_vec();
                for d in 0..shape.len() {
                    if shape[d] == node.shape[d] {
                        continue;
                    }
                    if !forms[d].is_plain() {
                        return Err(Trouble::Materialise(id));
                    }
                    inner[d].lin.offset -= before[d] as i64;
                    inner[d] = self.guarded(inner[d].lin.clone(), shape[d]);
                }
                inner
            }
            Op::Windows { window, aligned, .. } => {
                let n = window.kernel.len();
                let lead = forms.len() - 2 * n;
                let mut inner = forms[..lead].to_vec();
                for d in 0..n {
                    let (o, k) = (&forms[lead + d], &forms[lead + n + d]);
                    if !o.is_plain() || !k.is_plain() {
                        return Err(Trouble::Materialise(id));
                    }
                    let lin = window_position(&self.zero(), window, d, &o.lin, &k.lin);
                    inner.push(self.guarded(lin, shape[lead + d]));
                }
                if *aligned {
                    inner.extend_from_slice(&forms[lead + n..]);
                }
                inner
            }
            Op::WindowsAdjoint(window) => {
                let n = window.kernel.len();
                let lead = forms.len() - 2 * n;
                let mut inner = forms[..lead].to_vec();
                for d in 0..n {
                    let (l, k) = (&forms[lead + d], &forms[lead + n + d]);
                    if !l.is_plain() || !k.is_plain() {
                        return Err(Trouble::Materialise(id));
                    }
                    inner.push(self.unwindow(window, d, &l.lin, &k.lin, shape[lead + d]));
                }
                inner.extend_from_slice(&forms[lead + n..]);
                inner
            }
            Op::Reshape => return self.through_reshape(id, source, forms).map(Some),
            _ => return Ok(None),
        };
        Ok(Some((source, inner)))
    }

    /// The output position along `d` that a window's kernel position `k` maps to input position `l`, guarded.
    pub fn unwindow(&self, window: &crate::Window, d: usize, l: &Linear, k: &Linear, out: usize) -> Form {
        let mut lin = add_scaled(l, k, -(window.dilation[d] as i64));
        lin.offset += window.pad[d] as i64;
        let stride = window.stride[d] as i64;
        match stride {
            1 => self.guarded(lin, out),
            _ => Form { lin, div: stride, bound: Some(out as i64) },
        }
    }

    /// A form with a guard only if it can leave `0..extent`.
    pub fn guarded(&self, lin: Linear, extent: usize) -> Form {
        let (mut low, mut high) = (lin.offset, lin.offset);
        for (c, n) in lin.coef.iter().zip(&self.extents) {
            let end = c * (n.max(&1) - 1) as i64;
            low += end.min(0);
            high += end.max(0);
        }
        let inside = low >= 0 && high < extent as i64;
        Form { lin, div: 1, bound: (!inside).then_some(extent as i64) }
    }

    /// The forms of a reshape's source. Axes that only gain or lose extents of 1 pass through; several axes that become one
    /// in the source are an affine form; one axis that becomes several is not, unless the source is a dense buffer, whose
    /// address is affine in the reshape's own axes.
    fn through_reshape(&self, id: NodeId, source: NodeId, forms: &[Form]) -> Outcome<(NodeId, Vec<Form>)> {
        let (outer, inner) = (&self.graph.nodes[id].shape, &self.graph.nodes[source].shape);
        let mut result = vec![Form::plain(self.zero()); inner.len()];
        let (mut o, mut i) = (0, 0);
        loop {
            while o < outer.len() && outer[o] == 1 {
                o += 1;
            }
            while i < inner.len() && inner[i] == 1 {
                i += 1;
            }
            if o == outer.len() || i == inner.len() {
                return Ok((source, result));
            }
            // The shortest runs of both shapes with equal products.
            let (o0, i0) = (o, i);
            let (mut po, mut pi) = (outer[o], inner[i]);
            (o, i) = (o + 1, i + 1);
            while po != pi {
                if po < pi && o < outer.len() {
                    po *= outer[o];
                    o += 1;
                } else if po > pi && i < inner.len() {
                    pi *= inner[i];
                    i += 1;
                } else {
                    return Err(Trouble::Materialise(id));
                }
            }
            let wide: Vec<usize> = (o0..o).filter(|d| outer[*d] != 1).collect();
            let targets: Vec<usize> = (i0..i).filter(|d| inner[*d] != 1).collect();
            match (&wide[..], &targets[..]) {
                ([one], [target]) => result[*target] = forms[*one].clone(),
                (several, [target]) if several.iter().all(|d| forms[*d].is_plain()) => {
                    let extents: Vec<usize> = several.iter().map(|d| outer[*d]).collect();
                    let mut lin = self.zero();
                    for (d, stride) in several.iter().zip(strides(&extents)) {
                        lin = add_scaled(&lin, &forms[*d].lin, stride as i64);
                    }
                    result[*target] = Form::plain(lin);
                }
                (several, targets) => {
                    let parts = self.unflatten(source, several, targets, outer, inner, forms)?;
                    for (target, form) in targets.iter().zip(parts) {
                        result[*target] = form;
                    }
                }
            }
        }
    }

    /// Splits a position into several axes: every coordinate in it must move within one of them, or be split so that its
    /// parts do.
    fn unflatten(
        &self,
        source: NodeId,
        several: &[usize],
        targets: &[usize],
        outer: &[usize],
        inner: &[usize],
        forms: &[Form],
    ) -> Outcome<Vec<Form>> {
        let trouble = Trouble::Materialise(source);
        if !several.iter().all(|d| forms[*d].is_plain()) {
            return Err(trouble);
        }
        let extents: Vec<usize> = several.iter().map(|d| outer[*d]).collect();
        let mut flat = self.zero();
        for (d, stride) in several.iter().zip(strides(&extents)) {
            flat = add_scaled(&flat, &forms[*d].lin, stride as i64);
        }
        let target_extents: Vec<usize> = targets.iter().map(|d| inner[*d]).collect();
        let steps: Vec<i64> = strides(&target_extents).into_iter().map(|s| s as i64).collect();
        if flat.offset < 0 || flat.coef.iter().any(|c| *c < 0) {
            return Err(trouble);
        }
        let mut parts = vec![self.zero(); targets.len()];
        let mut offset = flat.offset;
        for (part, step) in parts.iter_mut().zip(&steps) {
            part.offset = offset / step;
            offset %= step;
        }
        let mut reach: Vec<i64> = parts.iter().map(|p| p.offset).collect();
        for (coordinate, coef) in flat.coef.iter().enumerate().filter(|(_, c)| **c != 0) {
            let Some(t) = steps.iter().position(|step| coef % step == 0) else { return Err(trouble) };
            let (scale, extent, room) = (coef / steps[t], self.extents[coordinate].max(1), target_extents[t]);
            // Along the outermost axis a coordinate may run as far as it likes; elsewhere it must not carry over.
            if scale == 1 && extent > room && t > 0 && extent.is_multiple_of(room) {
                return Err(Trouble::Split { coordinate, inner: room, source });
            }
            parts[t].coef[coordinate] = scale;
            reach[t] += scale * (extent - 1) as i64;
        }
        match reach.iter().zip(&target_extents).all(|(r, n)| *r < *n as i64) {
            true => Ok(parts.into_iter().map(Form::plain).collect()),
            false => Err(trouble),
        }
    }
}

/// `o · stride + k · dilation - pad`.
pub fn window_position(zero: &Linear, window: &crate::Window, d: usize, o: &Linear, k: &Linear) -> Linear {
    let mut lin = add_scaled(zero, o, window.stride[d] as i64);
    lin = add_scaled(&lin, k, window.dilation[d] as i64);
    lin.offset -= window.pad[d] as i64;
    lin
}

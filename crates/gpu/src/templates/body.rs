//! WGSL of a [`Body`]: straight-line code for the values at one point of a loop nest, or at four neighbouring points.
//!
//! A template makes the loops; for each point it calls [`Writer::value`] for the values it needs, in order, and
//! [`Writer::store`]. A value that is the same at all points is computed once.

use thalweg_ir::{
    Class, DType,
    op::{binary::BinaryOp, unary::UnaryOp},
    schedule::ir::{Access, Body, BufId, Indirect, Inst, Linear, Store, Val},
};

use super::{
    form::{Form, Forms},
    kernel::Builder,
    ops,
    params::Word,
    point::{Point, Value},
};

/// Writes the code of a body's values into a kernel.
pub struct Writer<'w> {
    body: &'w Body,
    values: Vec<Option<Value>>,
    /// The words of each instruction and of each store, made when first needed and kept when the code is written again.
    words: Vec<Option<Forms>>,
    stores: Vec<Option<Form>>,
    /// Other words of an instruction: a constant, a scalar, a fill; a gather's stride and bound.
    extra: Vec<Vec<String>>,
}

impl<'w> Writer<'w> {
    /// A writer of this body.
    pub fn new(body: &'w Body) -> Writer<'w> {
        let n = body.insts.len();
        Writer {
            body,
            values: vec![None; n],
            words: (0..n).map(|_| None).collect(),
            stores: body.stores.iter().map(|_| None).collect(),
            extra: vec![Vec::new(); n],
        }
    }

    /// Gives a value that the template computes: `Inst::Acc`, `Inst::Reduce`.
    pub fn set(&mut self, v: Val, value: Value) {
        self.values[v] = Some(value);
    }

    /// Forgets a value whose code went out of scope.
    pub fn forget(&mut self, v: Val) {
        self.values[v] = None;
    }

    /// The value, if its code is written.
    pub fn get(&self, v: Val) -> Option<&Value> {
        self.values[v].as_ref()
    }

    /// The value, whose code is written. Bodies are in order: the scheduler emits an operand before what uses it, and a
    /// template writes a body from the front, so no graph of a user's leads to anything else.
    pub fn written(&self, v: Val) -> &Value {
        self.get(v).unwrap_or_else(|| unreachable!("value {v} is used before it is written"))
    }

    /// Writes all values and all stores at these points. For bodies without reductions; `Inst::Acc` must be set.
    pub fn all(&mut self, k: &mut Builder, point: &Point) {
        for v in 0..self.body.insts.len() {
            if self.values[v].is_none() {
                self.value(k, v, point);
            }
        }
        for s in 0..self.body.stores.len() {
            self.store(k, s, point);
        }
    }

    /// Writes the code of value `v`, whose operands are written.
    pub fn value(&mut self, k: &mut Builder, v: Val, point: &Point) {
        let body = self.body;
        let dtype = body.dtypes[v];
        let value = match &body.insts[v] {
            Inst::Load { buf, at } => self.load(k, v, *buf, at, None, point),
            Inst::Gather { buf, at, index } => self.load(k, v, *buf, at, Some(index), point),
            Inst::Within { index, bound, check } => self.within(k, v, *index, *bound, *check, point),
            Inst::InBounds(at) => self.in_bounds(k, v, at, point),
            Inst::Const(c) => Value::One(self.constant(k, v, dtype, *c)),
            Inst::Scalar(i) => {
                if self.extra[v].is_empty() {
                    self.extra[v].push(k.params.push("scalar", Word::Scalar(*i)));
                }
                Value::One(k.name("scalar", from_bits(dtype.class(), &self.extra[v][0])))
            }
            Inst::Index(at) => self.index(k, v, at, dtype, point),
            Inst::Random { at, stream } => self.random(k, v, at, *stream, point),
            Inst::Unary(op, a) => {
                let class = body.class(*a);
                self.map(k, op.name(), dtype, &[*a], |k, x| match (op, class) {
                    // What it is added to may be the same number.
                    (UnaryOp::Neg, Class::Float) => ops::unary(*op, class, &k.opaque(&x[0])),
                    _ => ops::unary(*op, class, &x[0]),
                })
            }
            Inst::Binary(op, a, b) => {
                let class = body.class(*a);
                self.map(k, op.name(), dtype, &[*a, *b], |k, x| match (op, class) {
                    // Not 0 where both are infinite, nor b where a is a + b.
                    (BinaryOp::Sub, Class::Float) => ops::binary(*op, class, &x[0], &k.opaque(&x[1])),
                    (BinaryOp::Div, Class::Float) if a == b => ops::binary(*op, class, &x[0], &k.opaque(&x[1])),
                    (BinaryOp::Eq, Class::Float) if a == b => format!("!is_nan_bits({})", x[0]),
                    (BinaryOp::Ne, Class::Float) if a == b => format!("is_nan_bits({})", x[0]),
                    _ => ops::binary(*op, class, &x[0], &x[1]),
                })
            }
            Inst::Select(c, a, b) => {
                self.map(k, "choice", dtype, &[*c, *a, *b], |_, x| format!("select({}, {}, {})", x[2], x[1], x[0]))
            }
            Inst::Cast(a) => {
                let from = body.dtypes[*a];
                self.map(k, &dtype.to_string().to_lowercase(), dtype, &[*a], |k, x| {
                    ops::cast(k.caps, from, dtype, &x[0])
                })
            }
            Inst::Reduce(..) | Inst::Acc => unreachable!("a template sets value {v} itself"),
        };
        self.values[v] = Some(value);
    }

    /// `f` of the operands, of names or literals: once if none of them varies, on vectors where there are four points and it serves
    /// them, else point by point.
    fn map(
        &self,
        k: &mut Builder,
        stem: &str,
        dtype: DType,
        operands: &[Val],
        f: impl Fn(&mut Builder, &[String]) -> String,
    ) -> Value {
        let values: Vec<&Value> = operands.iter().map(|v| self.written(*v)).collect();
        let at = |k: &mut Builder, i: usize| {
            let expression = f(k, &values.iter().map(|v| v.at(i)).collect::<Vec<_>>());
            k.name(stem, expression)
        };
        let Some(count) = values.iter().find_map(|value| value.count()) else {
            return Value::One(at(k, 0));
        };
        if count < 4 {
            return Value::Many((0..count).map(|i| at(k, i)).collect());
        }
        let names: Vec<String> = operands
            .iter()
            .zip(&values)
            .map(|(v, value)| match value {
                Value::Vector(name) => name.clone(),
                _ => k.name("all", value.four(ops::register(self.body.class(*v)))),
            })
            .collect();
        let expression = f(k, &names);
        match ops::on_vectors(&expression) {
            Some(expression) => Value::Vector(k.name(stem, expression)),
            None => {
                let each = Value::Many((0..count).map(|i| at(k, i)).collect());
                Value::Vector(k.name(stem, each.four(ops::register(dtype.class()))))
            }
        }
    }

    /// Whether the compiler may see that a value is 0: where it is no factor, nor added up and then one.
    fn may_be_seen(&self, v: Val) -> bool {
        // What stores nothing is an operand of products, which its last value is.
        let is_factor = self.body.stores.is_empty() && v + 1 == self.body.insts.len();
        !is_factor
            && self.body.insts.iter().all(|inst| match inst {
                Inst::Binary(BinaryOp::Mul | BinaryOp::Div, a, b) => *a != v && *b != v,
                Inst::Reduce(_, a) | Inst::Unary(_, a) | Inst::Cast(a) => *a != v,
                _ => true,
            })
    }

    /// A few numbers are part of the text; others are words, so that kernels that differ in them are one.
    fn constant(&mut self, k: &mut Builder, v: Val, dtype: DType, c: f64) -> String {
        match dtype.class() {
            Class::Bool => (c != 0.0).to_string(),
            Class::Float if c == 0.0 && c.is_sign_positive() && (k.caps.honest || self.may_be_seen(v)) => "0.0".into(),
            Class::Float if [1.0, -1.0, 2.0, 0.5].contains(&c) => format!("{c:?}"),
            Class::Int if [0.0, 1.0, -1.0, 2.0].contains(&c) => format!("{c}i"),
            Class::Uint if [0.0, 1.0, 2.0].contains(&c) => format!("{c}u"),
            class => {
                if self.extra[v].is_empty() {
                    let bits = match class {
                        Class::Int => c as i64 as i32 as u32,
                        Class::Uint => c as i64 as u32,
                        _ => (c as f32).to_bits(),
                    };
                    self.extra[v].push(k.params.push("constant", Word::Fixed(bits)));
                }
                k.name("constant", from_bits(class, &self.extra[v][0]))
            }
        }
    }

    fn load(
        &mut self,
        k: &mut Builder,
        v: Val,
        buf: BufId,
        at: &Access,
        index: Option<&Indirect>,
        point: &Point,
    ) -> Value {
        let forms = self.words[v].take().unwrap_or_else(|| {
            let forms = Forms::new(k, "in", at, Some(buf));
            if let Some(index) = index {
                let words = [
                    k.params.push("index_stride", Word::Fixed(index.stride as u32)),
                    k.params.fixed("index_bound", index.bound as usize),
                ];
                // What is no number has no literal.
                let nan = k.params.push("nan", Word::Fixed(f32::NAN.to_bits()));
                self.extra[v].extend(words.into_iter().chain([nan]));
            }
            forms
        });
        let class = k.kind(buf).class();
        let fill = match at.terms.is_empty() {
            true => String::new(),
            false => self.fill(k, v, class, at.fill),
        };
        let positions = index.map(|i| self.written(i.index).clone());
        let varies = positions.as_ref().is_some_and(Value::varies);
        let element = |k: &mut Builder, i: usize, wide: bool| {
            let (mut address, guard) = forms.at(k, &point.coords(i));
            let mut outside = None;
            if let (Some(positions), Some(index)) = (&positions, index) {
                let [stride, bound] = [self.extra[v][0].clone(), self.extra[v][1].clone()];
                let position = positions.at(i);
                let raw = k.name("position", format!("u32({position})"));
                let bad = k.name("outside", format!("{raw} >= {bound}"));
                let reported = guard.as_ref().map_or(bad.clone(), |guard| format!("{bad} && {guard}"));
                k.flag(&reported, index.check, &raw, &bound);
                // A negative position clamps to the first element, a large one to the last.
                let clamped = k.name("position", format!("u32(clamp(i32({position}), 0i, i32({bound}) - 1i))"));
                address = k.name("at", format!("{address} + {clamped} * {stride}"));
                outside = Some(bad).filter(|_| class == Class::Float);
            }
            let mut loaded = if wide { k.load4(buf, &address) } else { k.load(buf, &address) };
            if let Some(outside) = outside {
                let nan = from_bits(Class::Float, &self.extra[v][2]);
                let nan = if wide { format!("vec4<f32>({nan})") } else { nan };
                loaded = format!("select({loaded}, {nan}, {outside})");
            }
            match guard {
                None => k.read("x", loaded),
                Some(guard) if wide => {
                    let ty = ops::register(class);
                    k.read("x", format!("select(vec4<{ty}>({fill}), {loaded}, {guard})"))
                }
                Some(guard) => k.read("x", format!("select({fill}, {loaded}, {guard})")),
            }
        };
        let value = if point.same_access(at) && !varies {
            Value::One(element(k, 0, false))
        } else if !varies && point.wide(at, &index.map_or(vec![], |i| vec![i.stride])) {
            Value::Vector(element(k, 0, true))
        } else {
            each(k, "x", ops::register(class), point, |k, i| element(k, i, false))
        };
        self.words[v] = Some(forms);
        value
    }

    fn fill(&mut self, k: &mut Builder, v: Val, class: Class, fill: f64) -> String {
        match class {
            Class::Bool => (fill != 0.0).to_string(),
            // Whose magnitude no literal has.
            Class::Int if fill as i32 == i32::MIN => "(-2147483647i - 1i)".into(),
            Class::Int => format!("{}i", fill as i32),
            Class::Uint => format!("{}u", fill as u32),
            Class::Float if fill == 0.0 => "0.0".into(),
            Class::Float => {
                // Behind the words of a gather, if there are any.
                let position = if matches!(self.body.insts[v], Inst::Gather { .. }) { 3 } else { 0 };
                if self.extra[v].len() == position {
                    let word = k.params.push("fill", Word::Fixed((fill as f32).to_bits()));
                    self.extra[v].push(word);
                }
                k.name("fill", from_bits(Class::Float, &self.extra[v][position]))
            }
        }
    }

    fn within(&mut self, k: &mut Builder, v: Val, index: Val, bound: i64, check: usize, point: &Point) -> Value {
        if self.extra[v].is_empty() {
            self.extra[v].push(k.params.fixed("index_bound", bound as usize));
        }
        let (positions, bound) = (self.written(index).clone(), self.extra[v][0].clone());
        let one = |k: &mut Builder, i: usize| {
            let raw = k.name("position", format!("u32({})", positions.at(i)));
            k.flag(&format!("{raw} >= {bound}"), check, &raw, &bound);
            k.name("inside", format!("{raw} < {bound}"))
        };
        if positions.varies() { each(k, "inside", "bool", point, one) } else { Value::One(one(k, 0)) }
    }

    fn in_bounds(&mut self, k: &mut Builder, v: Val, at: &Access, point: &Point) -> Value {
        let guards_only = Access { base: Linear::zero(at.base.coef.len()), ..at.clone() };
        let forms = self.words[v].take().unwrap_or_else(|| Forms::new(k, "within", &guards_only, None));
        let guard = |k: &mut Builder, i: usize| forms.at(k, &point.coords(i)).1.unwrap_or_else(|| "true".into());
        let value = match point.same_access(&guards_only) {
            true => Value::One(guard(k, 0)),
            false => each(k, "inside", "bool", point, guard),
        };
        self.words[v] = Some(forms);
        value
    }

    /// The form's value at each point, as the names of `u32`.
    fn positions(&mut self, k: &mut Builder, v: Val, at: &Linear, point: &Point) -> Value {
        let access = Access { base: at.clone(), terms: vec![], fill: 0.0 };
        let forms = self.words[v].take().unwrap_or_else(|| Forms::new(k, "index", &access, None));
        let one = |k: &mut Builder, i: usize| k.name("index", forms.base.at(&point.coords(i)));
        let value = if point.same(at) { Value::One(one(k, 0)) } else { each(k, "index", "u32", point, one) };
        self.words[v] = Some(forms);
        value
    }

    fn index(&mut self, k: &mut Builder, v: Val, at: &Linear, dtype: DType, point: &Point) -> Value {
        let positions = self.positions(k, v, at, point);
        let f = |k: &Builder, p: &str| match dtype.class() {
            Class::Uint => p.to_string(),
            Class::Int => format!("i32({p})"),
            Class::Bool => format!("({p} != u32(0))"),
            Class::Float => ops::cast(k.caps, DType::F32, dtype, &format!("f32(i32({p}))")),
        };
        if let Value::Vector(name) = &positions
            && let Some(expression) = ops::on_vectors(&f(k, name))
        {
            return Value::Vector(k.name("index", expression));
        }
        let one = |k: &mut Builder, i: usize| {
            let expression = f(k, &positions.at(i));
            k.name("index", expression)
        };
        match positions.varies() {
            true => each(k, "index", ops::register(dtype.class()), point, one),
            false => Value::One(one(k, 0)),
        }
    }

    fn random(&mut self, k: &mut Builder, v: Val, at: &Linear, stream: [Val; 4], point: &Point) -> Value {
        let access = Access { base: at.clone(), terms: vec![], fill: 0.0 };
        // One block has the words of four elements.
        let wide = point.wide(&access, &[]);
        let elements = self.positions(k, v, at, point);
        let stream = stream.map(|s| self.written(s).clone());
        let block = |k: &mut Builder, i: usize| {
            let [k0, k1, op, draw] = [0, 1, 2, 3].map(|s| stream[s].at(i));
            k.name("words", format!("philox(vec4u({} >> 2u, {op}, {draw}, 0u), vec2u({k0}, {k1}))", elements.at(i)))
        };
        let varies = elements.varies() || stream.iter().any(Value::varies);
        if wide && !stream.iter().any(Value::varies) {
            return Value::Vector(block(k, 0));
        }
        let word = |k: &mut Builder, i: usize| {
            let block = block(k, i);
            k.name("word", format!("{block}[{} & 3u]", elements.at(i)))
        };
        if varies { each(k, "word", "u32", point, word) } else { Value::One(word(k, 0)) }
    }

    /// Writes store `s` at these points; its value is written.
    pub fn store(&mut self, k: &mut Builder, s: usize, point: &Point) {
        let Store { buf, at, value } = &self.body.stores[s];
        let form = self.stores[s].take().unwrap_or_else(|| Form::new(k, "out", at, Some(*buf)));
        let value = self.written(*value).clone();
        let kind = k.kind(*buf);
        let access = Access { base: at.clone(), terms: vec![], fill: 0.0 };
        if point.wide(&access, &[]) {
            let at = k.name("at", form.at(&point.coords(0)));
            k.store4(*buf, &at, &value.four(ops::register(kind.class())));
        } else if let Point::Each(points) = point {
            let at = k.name("at", form.at(&points[0].0));
            if kind.packed() {
                for i in (0..points.len()).step_by(2) {
                    let address = if i == 0 { at.clone() } else { format!("{at} + {i}u") };
                    let y = format!("select(0.0, {}, {})", value.at(i + 1), points[i + 1].1);
                    if i > 0 {
                        k.open(format!("if {} {{", points[i].1));
                    }
                    k.store2(*buf, &address, &value.at(i), &y);
                    if i > 0 {
                        k.close();
                    }
                }
            } else {
                for (i, (_, inside)) in points.iter().enumerate() {
                    k.open(format!("if {inside} {{"));
                    k.store(*buf, &format!("{at} + {i}u"), &value.at(i));
                    k.close();
                }
            }
        } else {
            let count = if point.same(at) { 1 } else { point.count() };
            for i in 0..count {
                let at = k.name("at", form.at(&point.coords(i)));
                k.store(*buf, &at, &value.at(i));
            }
        }
        self.stores[s] = Some(form);
    }
}

/// A value that is computed point by point: four make a vector.
fn each(
    k: &mut Builder,
    stem: &str,
    ty: &str,
    point: &Point,
    mut one: impl FnMut(&mut Builder, usize) -> String,
) -> Value {
    let all: Vec<String> = (0..point.count()).map(|i| one(k, i)).collect();
    match all.len() {
        4 => Value::Vector(k.name(stem, Value::Many(all).four(ty))),
        _ => Value::Many(all),
    }
}

/// A word as a register value.
pub fn from_bits(class: Class, word: &str) -> String {
    match class {
        Class::Float => format!("bitcast<f32>({word})"),
        Class::Int => format!("i32({word})"),
        Class::Uint => word.to_string(),
        Class::Bool => format!("({word} != 0u)"),
    }
}

//! The address of an operand's element as a part that its row gives and a part that k gives.
//!
//! Addresses are affine: a row's part is computed once, and each step of k adds its own. A guarded axis is the same sum
//! with a comparison. Where the axis is divided (adjoints of strided windows), both parts are divided on their own:
//!
//! ```text
//! at = r + k,   r = div·rq + rr,   k = div·kq + kr:     div | at  ⇔  rr + kr ∈ {0, div},   at/div = rq + kq + [rr + kr = div]
//! ```

use thalweg_ir::schedule::ir::{BufId, Linear, Read};

use super::super::{
    kernel::{Builder, Source},
    params::Word,
};

/// A guarded axis of an operand.
struct Guard {
    /// Over `batch ++ rows ++ k`; offset 0 or more of its own in both parts.
    at: Linear,
    /// How much larger than the truth the row's and k's parts are made, so that neither is negative. Multiples of `div`.
    bias: [i64; 2],
    div: i64,
    bound: String,
    stride: i64,
}

/// The addresses of an operand that is an element of a buffer, with the names of their words.
pub struct Address {
    buf: BufId,
    /// Coordinates of batch and rows, which stand in front of those of k.
    rows: usize,
    /// Everything that is linear: the base, and axes that are not divided.
    base: Linear,
    offset: String,
    guards: Vec<Guard>,
    words: Vec<(Place, String)>,
}

/// A number of an address.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Place {
    /// The base's factor of a coordinate.
    Base(usize),
    /// A guard's factor of a coordinate.
    Guard(usize, usize),
    /// The constant of a guard's row part.
    RowOffset(usize),
    /// The constant of a guard's part of k.
    StepOffset(usize),
    /// A guard's divisor.
    Div(usize),
    /// Elements between neighbours along a divided axis.
    Stride(usize),
    /// By how much a divided axis' quotient is too large.
    Back(usize),
}

/// What a row, or a step of k, adds.
#[derive(Clone, Debug, Default)]
pub struct Part {
    base: String,
    /// For each guard: position (or its quotient), and remainder where it is divided; none where it ignores this part.
    guards: Vec<Option<(String, Option<String>)>>,
}

impl Part {
    /// What the code called its numbers.
    pub fn names(&mut self) -> impl Iterator<Item = &mut String> {
        let guards = self.guards.iter_mut().flatten().flat_map(|(at, rest)| [Some(at), rest.as_mut()]).flatten();
        std::iter::once(&mut self.base).chain(guards)
    }
}

impl Address {
    /// Binds the buffer and makes the words, under names that begin with that of the side. `extents` are those of
    /// `batch ++ rows ++ k`, of which the first `batch` number matrices, and those from `rows` on are summed.
    pub fn new(k: &mut Builder, name: &str, read: &Read<'_>, extents: &[usize], [batch, rows]: [usize; 2]) -> Address {
        let mut base = read.at.base.clone();
        let mut guards = Vec::new();
        for term in &read.at.terms {
            if term.div == 1 {
                base.offset += term.stride * term.at.offset;
                for (b, c) in base.coef.iter_mut().zip(&term.at.coef) {
                    *b += term.stride * c;
                }
            }
            let lowest = |from: usize, upto: usize| -> i64 {
                (from..upto).map(|d| (term.at.coef[d] * (extents[d] as i64 - 1)).min(0)).sum()
            };
            let up = |low: i64| if low < 0 { (-low + term.div - 1) / term.div * term.div } else { 0 };
            let bias = match term.div {
                1 => [0, 0],
                _ => [up(lowest(0, rows) + term.at.offset), up(lowest(rows, extents.len()))],
            };
            let bound = k.params.push(format!("{name}_bound"), Word::Fixed(term.bound as u32));
            guards.push(Guard { at: term.at.clone(), bias, div: term.div, bound, stride: term.stride });
        }
        let binding = k.bind(Source::Buffer(read.buf));
        let offset = k.params.push(format!("{name}_start"), Word::Offset { elements: base.offset as u32, binding });
        let coordinate = |d: usize| match d {
            d if d < batch => format!("batch_{d}"),
            d if d < rows => format!("row_{}", d - batch),
            d => format!("k_{}", d - rows),
        };
        let title = |place: Place| match place {
            Place::Base(d) => format!("{name}_{}", coordinate(d)),
            Place::Guard(g, d) => format!("{name}_at{g}_{}", coordinate(d)),
            Place::RowOffset(g) => format!("{name}_at{g}_row"),
            Place::StepOffset(g) => format!("{name}_at{g}_k"),
            Place::Div(g) => format!("{name}_at{g}_div"),
            Place::Stride(g) => format!("{name}_at{g}_stride"),
            Place::Back(g) => format!("{name}_at{g}_back"),
        };
        let mut address = Address { buf: read.buf, rows, base, offset, guards, words: Vec::new() };
        // All words are made here, outside of any loop and in a fixed order.
        let base = address.base.coef.iter().enumerate().map(|(d, c)| (Place::Base(d), *c));
        let guards = address.guards.iter().enumerate().flat_map(|(g, guard)| {
            let coefs = guard.at.coef.iter().enumerate().map(move |(d, c)| (Place::Guard(g, d), *c));
            coefs.chain([
                (Place::Div(g), if guard.div == 1 { 0 } else { guard.div }),
                (Place::RowOffset(g), guard.bias[0] + guard.at.offset),
                (Place::StepOffset(g), guard.bias[1]),
                (Place::Stride(g), if guard.div == 1 { 0 } else { guard.stride }),
                (Place::Back(g), (guard.bias[0] + guard.bias[1]) / guard.div),
            ])
        });
        let numbers: Vec<(Place, i64)> = base.chain(guards).collect();
        for (place, c) in numbers {
            if !is_literal(k, c) {
                address.words.push((place, k.params.push(title(place), Word::Fixed(c as u32))));
            }
        }
        address
    }

    /// The name of a number.
    fn word(&self, k: &Builder, place: Place, c: i64) -> String {
        if is_literal(k, c) {
            return format!("{c}u");
        }
        let word = self.words.iter().find(|(known, _)| *known == place);
        word.unwrap_or_else(|| unreachable!("all words of an address are made with it: {place:?}")).1.clone()
    }

    /// `Σ coef·coord`, or nothing where all factors are 0.
    fn sum(&self, k: &mut Builder, coef: &[i64], coords: &[String], place: impl Fn(usize) -> Place) -> Option<String> {
        let mut terms = Vec::new();
        for (d, (c, x)) in coef.iter().zip(coords).enumerate() {
            match c {
                0 => {}
                1 if !k.shared => terms.push(x.clone()),
                _ => terms.push(format!("{x} * {}", self.word(k, place(d), *c))),
            }
        }
        (!terms.is_empty()).then(|| terms.join(" + "))
    }

    /// The row's part at these coordinates of `batch ++ rows`.
    pub fn row(&mut self, k: &mut Builder, coords: &[String]) -> Part {
        self.part(k, 0, coords, true)
    }

    /// The part of a step of k at these coordinates.
    pub fn step(&mut self, k: &mut Builder, coords: &[String]) -> Part {
        self.part(k, self.rows, coords, false)
    }

    /// Offsets are the row's: a side of one row has no coordinates in front of those of k, so `first` does not tell.
    fn part(&mut self, k: &mut Builder, first: usize, coords: &[String], is_row: bool) -> Part {
        let own = first..first + coords.len();
        let coef = self.base.coef[own.clone()].to_vec();
        let mut base = self.sum(k, &coef, coords, |d| Place::Base(first + d)).unwrap_or_default();
        if is_row {
            base = if base.is_empty() { self.offset.clone() } else { format!("{} + {base}", self.offset) };
        }
        let mut parts = Vec::new();
        for g in 0..self.guards.len() {
            let coef = self.guards[g].at.coef[own.clone()].to_vec();
            let sum = self.sum(k, &coef, coords, |d| Place::Guard(g, first + d));
            let Guard { div, bias, stride, .. } = self.guards[g];
            let (place, offset) = match is_row {
                true => (Place::RowOffset(g), self.guards[g].at.offset + bias[0]),
                false => (Place::StepOffset(g), bias[1]),
            };
            let offset = if offset == 0 { None } else { Some(self.word(k, place, offset)) };
            let at = match (sum, offset) {
                (None, None) if !is_row => {
                    parts.push(None);
                    continue;
                }
                (None, None) => "0u".into(),
                (Some(s), None) => s,
                (None, Some(o)) => o,
                (Some(s), Some(o)) => format!("{o} + {s}"),
            };
            let at = k.name("part", at);
            if div == 1 {
                parts.push(Some((at, None)));
                continue;
            }
            let (d, s) = (self.word(k, Place::Div(g), div), self.word(k, Place::Stride(g), stride));
            let mut quotient = k.name("quotient", format!("{at} / {d}"));
            let remainder = k.name("remainder", format!("{at} % {d}"));
            if is_row && bias != [0, 0] {
                let back = self.word(k, Place::Back(g), (bias[0] + bias[1]) / div);
                quotient = k.name("quotient", format!("{quotient} - {back}"));
            }
            let step = if s == "1u" { quotient.clone() } else { format!("{quotient} * {s}") };
            base = if base.is_empty() { step } else { format!("{base} + {step}") };
            parts.push(Some((quotient, Some(remainder))));
        }
        let base = if base.is_empty() { base } else { k.name("part", base) };
        Part { base, guards: parts }
    }

    /// Address and guard of the element at a row and a step.
    fn at(&mut self, k: &mut Builder, row: &Part, step: &Part) -> (String, Option<String>) {
        let mut address = if step.base.is_empty() { row.base.clone() } else { format!("{} + {}", row.base, step.base) };
        let mut conditions = Vec::new();
        for g in 0..self.guards.len() {
            let (div, stride, bound) = (self.guards[g].div, self.guards[g].stride, self.guards[g].bound.clone());
            let (r, s) = (row.guards[g].clone().unwrap_or(("0u".into(), Some("0u".into()))), step.guards[g].clone());
            let mut position = match &s {
                None => r.0,
                Some((s, _)) => format!("{} + {s}", r.0),
            };
            if div > 1 {
                let remainder = match (&r.1, s.and_then(|s| s.1)) {
                    (Some(r), Some(s)) => k.name("remainder", format!("{r} + {s}")),
                    (Some(r), None) => r.clone(),
                    (None, Some(s)) => s,
                    (None, None) => "0u".into(),
                };
                let d = self.word(k, Place::Div(g), div);
                let carry = k.name("carry", format!("{remainder} == {d}"));
                conditions.push(format!("({remainder} == 0u || {carry})"));
                position = format!("{position} + select(0u, 1u, {carry})");
                let stride = self.word(k, Place::Stride(g), stride);
                address = format!("{address} + select(0u, {stride}, {carry})");
            }
            let position = k.name("position", position);
            conditions.push(k.name("inside", format!("{position} < {bound}")));
        }
        if conditions.is_empty() {
            return (k.name("at", address), None);
        }
        let guard = k.name("inside", conditions.join(" && "));
        (k.name("at", format!("select(0u, {address}, {guard})")), Some(guard))
    }

    /// One element, as the name of an `f32`.
    pub fn one(&mut self, k: &mut Builder, row: &Part, step: &Part) -> String {
        let (address, guard) = self.at(k, row, step);
        let loaded = k.load(self.buf, &address);
        match guard {
            None => k.read("x", loaded),
            Some(guard) => k.read("x", format!("select(0.0, {loaded}, {guard})")),
        }
    }

    /// Four neighbours, as the name of a `vec4f`.
    pub fn four(&mut self, k: &mut Builder, row: &Part, step: &Part) -> String {
        let (address, guard) = self.at(k, row, step);
        let loaded = k.load4(self.buf, &address);
        match guard {
            None => k.read("x", loaded),
            Some(guard) => k.read("x", format!("select(vec4f(0.0), {loaded}, {guard})")),
        }
    }
}

/// Whether a number is part of the text: 0, and 1 unless the text is shared.
fn is_literal(k: &Builder, c: i64) -> bool {
    c == 0 || c == 1 && !k.shared
}

//! Addresses and guards in the text of a kernel: affine forms whose numbers are words of the launch.

use thalweg_ir::schedule::ir::{Access, BufId, Linear};

use super::{
    kernel::{Builder, Source},
    params::Word,
};

/// A linear form with the names of its words.
pub struct Form {
    offset: Option<String>,
    /// `None` where the factor is 0, an empty name where it is 1.
    coef: Vec<Option<String>>,
}

impl Form {
    /// Makes the words; the offset is counted from where `buf` begins.
    pub fn new(k: &mut Builder, at: &Linear, buf: Option<BufId>) -> Form {
        let offset = match buf {
            Some(buf) => {
                let binding = k.bind(Source::Buffer(buf));
                Some(k.params.push(Word::Offset { elements: at.offset as u32, binding }))
            }
            None if at.offset == 0 => None,
            None => Some(k.params.push(Word::Fixed(at.offset as u32))),
        };
        let coef = at.coef.iter().map(|c| match c {
            0 => None,
            1 if !k.shared => Some(String::new()),
            c => Some(k.params.push(Word::Fixed(*c as u32))),
        });
        Form { offset, coef: coef.collect() }
    }

    /// The form at `coords`, modulo 2³²; negative positions are large.
    pub fn at(&self, coords: &[String]) -> String {
        let mut sum: Vec<String> = self.offset.iter().cloned().collect();
        for (coef, i) in self.coef.iter().zip(coords) {
            match coef.as_deref() {
                None => {}
                Some("") => sum.push(i.clone()),
                Some(c) => sum.push(format!("{i} * {c}")),
            }
        }
        if sum.is_empty() { "0u".into() } else { sum.join(" + ") }
    }
}

/// An access with the names of its words.
pub struct Forms {
    /// The unguarded part.
    pub base: Form,
    /// Position, divisor (empty: 1), bound times divisor, stride (`None`: 0, empty: 1).
    terms: Vec<(Form, String, String, Option<String>)>,
}

impl Forms {
    /// Makes the words; the address is counted from where `buf` begins.
    pub fn new(k: &mut Builder, at: &Access, buf: Option<BufId>) -> Forms {
        let base = Form::new(k, &at.base, buf);
        let terms = at.terms.iter().map(|t| {
            let form = Form::new(k, &t.at, None);
            let div = if t.div == 1 { String::new() } else { k.params.push(Word::Fixed(t.div as u32)) };
            let bound = k.params.push(Word::Fixed((t.bound * t.div) as u32));
            let stride = match t.stride {
                0 => None,
                1 if !k.shared => Some(String::new()),
                s => Some(k.params.push(Word::Fixed(s as u32))),
            };
            (form, div, bound, stride)
        });
        Forms { terms: terms.collect(), base }
    }

    /// Address and guard at `coords`; the address is 0 where the guard fails.
    pub fn at(&self, k: &mut Builder, coords: &[String]) -> (String, Option<String>) {
        let mut address = self.base.at(coords);
        let mut guard: Vec<String> = Vec::new();
        for (form, div, bound, stride) in &self.terms {
            let at = k.name(form.at(coords));
            guard.push(format!("{at} < {bound}"));
            let mut step = at.clone();
            if !div.is_empty() {
                guard.push(format!("{at} % {div} == 0u"));
                step = format!("{at} / {div}");
            }
            match stride.as_deref() {
                None => {}
                Some("") => address = format!("{address} + {step}"),
                Some(s) => address = format!("{address} + {step} * {s}"),
            }
        }
        if guard.is_empty() {
            return (k.name(address), None);
        }
        let guard = k.name(guard.join(" && "));
        let address = k.name(format!("select(0u, {address}, {guard})"));
        (address, Some(guard))
    }
}

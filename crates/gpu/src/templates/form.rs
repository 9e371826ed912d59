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
    /// Makes the words, under names that begin with `name`; the offset is counted from where `buf` begins.
    pub fn new(k: &mut Builder, name: &str, at: &Linear, buf: Option<BufId>) -> Form {
        let offset = match buf {
            Some(buf) => {
                let binding = k.bind(Source::Buffer(buf));
                Some(k.params.push(format!("{name}_start"), Word::Offset { elements: at.offset as u32, binding }))
            }
            None if at.offset == 0 => None,
            None => Some(k.params.push(format!("{name}_start"), Word::Fixed(at.offset as u32))),
        };
        let coef = at.coef.iter().enumerate().map(|(d, c)| match c {
            0 => None,
            1 if !k.shared => Some(String::new()),
            c => Some(k.params.push(format!("{name}_{d}"), Word::Fixed(*c as u32))),
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
    /// Makes the words, under names that begin with `name`; the address is counted from where `buf` begins.
    pub fn new(k: &mut Builder, name: &str, at: &Access, buf: Option<BufId>) -> Forms {
        let base = Form::new(k, name, &at.base, buf);
        let terms = at.terms.iter().enumerate().map(|(g, t)| {
            let name = format!("{name}_at{g}");
            let form = Form::new(k, &name, &t.at, None);
            let word =
                |k: &mut Builder, what: &str, n: i64| k.params.push(format!("{name}_{what}"), Word::Fixed(n as u32));
            let div = if t.div == 1 { String::new() } else { word(k, "div", t.div) };
            let bound = word(k, "bound", t.bound * t.div);
            let stride = match t.stride {
                0 => None,
                1 if !k.shared => Some(String::new()),
                s => Some(word(k, "stride", s)),
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
            let at = k.name("position", form.at(coords));
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
            return (k.name("at", address), None);
        }
        let guard = k.name("inside", guard.join(" && "));
        let address = k.name("at", format!("select(0u, {address}, {guard})"));
        (address, Some(guard))
    }
}

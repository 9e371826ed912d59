//! The run-time words of a kernel: extents, strides, offsets, constants and host scalars, in one buffer at binding 0.
//!
//! Kernels are shared by structure: what differs between two uses of one text is in its words.

use std::fmt::Write as _;

use super::Caps;

/// Where a word's value comes from.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Word {
    /// Known when the plan is built.
    Fixed(u32),
    /// Host scalar `i` of the run.
    Scalar(usize),
    /// `elements`, plus what the address of storage binding `binding` (counted from 0) had to be rounded down by.
    Offset {
        /// The constant part of an address.
        elements: u32,
        /// The binding that it indexes.
        binding: usize,
    },
    /// The number by which a raised flag is traced to one of the body's checks.
    Flag(usize),
}

/// The words of a kernel being written: the fields of `struct Params`, which the text reads as `p.name`.
#[derive(Clone, Debug, Default)]
pub struct Params {
    words: Vec<(String, Word)>,
}

impl Params {
    /// Adds a word under a name, with a number behind it where that is taken; gives a `u32` expression.
    pub fn push(&mut self, name: impl Into<String>, word: Word) -> String {
        let stem = name.into();
        let mut name = stem.clone();
        let mut number = 1;
        while self.words.iter().any(|(known, _)| *known == name) {
            number += 1;
            name = format!("{stem}_{number}");
        }
        let read = format!("p.{name}");
        self.words.push((name, word));
        read
    }

    /// Adds a word known now.
    pub fn fixed(&mut self, name: impl Into<String>, value: usize) -> String {
        self.push(name, Word::Fixed(value as u32))
    }

    /// Adds words known now, under the names `stem_0`, `stem_1` and so on.
    pub fn all(&mut self, stem: &str, values: &[usize]) -> Vec<String> {
        values.iter().enumerate().map(|(i, value)| self.fixed(format!("{stem}_{i}"), *value)).collect()
    }

    /// The declaration; nothing when there are no words.
    ///
    /// In storage on devices that run shaders on the CPU: lavapipe compiles a kernel again at every dispatch, with its
    /// uniforms as constants, when they decide a branch or a loop.
    pub fn declaration(&self, caps: &Caps) -> String {
        if self.words.is_empty() {
            return String::new();
        }
        let space = if caps.software { "storage, read" } else { "uniform" };
        let mut text = String::from("struct Params {\n");
        for names in self.words.chunks(6) {
            let fields: Vec<String> = names.iter().map(|(name, _)| format!("{name}: u32,")).collect();
            let _ = writeln!(text, "    {}", fields.join(" "));
        }
        let _ = writeln!(text, "}}\n@group(0) @binding(0) var<{space}> params: Params;");
        text
    }

    /// What an entry point starts with. Loading the words once keeps loops free of loads that a compiler cannot hoist.
    pub fn prologue(&self) -> &'static str {
        if self.words.is_empty() { "" } else { "    let p = params;\n" }
    }

    /// The names and the words, in order.
    pub fn unzip(self) -> (Vec<String>, Vec<Word>) {
        self.words.into_iter().unzip()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_are_fields_by_name() {
        let mut params = Params::default();
        let names = [("m", 7), ("stride", 1), ("stride", 2)].map(|(name, value)| params.fixed(name, value));
        assert_eq!(names, ["p.m", "p.stride", "p.stride_2"]);
        assert!(params.declaration(&Caps::default()).contains("m: u32, stride: u32, stride_2: u32,"));
        assert_eq!(params.unzip().1[2], Word::Fixed(2));
    }
}

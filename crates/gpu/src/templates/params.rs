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

/// The words of a kernel being written. In the kernel's text word `4 i + j` is component `j` of `q{i}`.
#[derive(Clone, Debug, Default)]
pub struct Params {
    words: Vec<Word>,
}

impl Params {
    /// Adds a word; gives its name, a `u32` expression.
    pub fn push(&mut self, word: Word) -> String {
        let i = self.words.len();
        self.words.push(word);
        format!("q{}.{}", i / 4, ["x", "y", "z", "w"][i % 4])
    }

    /// Adds a word known now.
    pub fn fixed(&mut self, value: usize) -> String {
        self.push(Word::Fixed(value as u32))
    }

    /// The declaration; nothing when there are no words.
    ///
    /// In storage on devices that run shaders on the CPU: lavapipe compiles a kernel again at every dispatch, with its
    /// uniforms as constants, when they decide a branch or a loop.
    pub fn declaration(&self, caps: &Caps) -> String {
        let space = if caps.software { "storage, read" } else { "uniform" };
        match self.words.len().div_ceil(4) {
            0 => String::new(),
            n => format!("@group(0) @binding(0) var<{space}> params: array<vec4u, {n}>;\n"),
        }
    }

    /// What an entry point starts with. Loading the words once keeps loops free of loads that a compiler cannot hoist.
    pub fn prologue(&self) -> String {
        let mut text = String::new();
        for i in 0..self.words.len().div_ceil(4) {
            let _ = writeln!(text, "    let q{i} = params[{i}];");
        }
        text
    }

    /// The words in order.
    pub fn into_words(self) -> Vec<Word> {
        self.words
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_are_components_of_vectors() {
        let mut params = Params::default();
        let names: Vec<String> = (0..5).map(|i| params.fixed(i)).collect();
        assert_eq!(names, ["q0.x", "q0.y", "q0.z", "q0.w", "q1.x"]);
        assert!(params.declaration(&Caps::default()).contains("array<vec4u, 2>"));
        assert_eq!(params.into_words()[4], Word::Fixed(4));
    }
}

//! Thalweg's WGSL: small common functions, and the skeletons of kernels.
//!
//! Text only: nothing here needs a GPU. Kernel generators write code that calls common functions by name;
//! [`common_for`] gives exactly those that a text uses, with what they use themselves. WGSL at module scope is free of
//! order, so composition is concatenation.

pub mod skeleton;

use std::sync::OnceLock;

pub use minijinja::{Value, context};

/// The files of common functions. Where two define one name the first counts.
const COMMON: &[&str] = &[
    include_str!("../common/rng.wgsl"),
    include_str!("../common/half.wgsl"),
    MATH,
    include_str!("../common/bits.wgsl"),
];

/// Functions whose text serves vectors of four as well.
const MATH: &str = include_str!("../common/math.wgsl");

/// Rows combined by segment.
pub const SEGMENTS: &str = include_str!("../kernels/segments.wgsl");

/// A function of a kernel's file, with what its holes stand for.
///
/// # Panics
/// If the file has no such function, which is a bug of the template that asks for it.
pub fn function(file: &str, name: &str, holes: &[(&str, &str)]) -> String {
    let found = items(file).into_iter().find(|(known, _)| *known == name);
    let Some((_, text)) = found else { panic!("no function '{name}'") };
    let mut out = String::with_capacity(2 * text.len());
    for word in pieces(text) {
        out.push_str(holes.iter().find(|(hole, _)| *hole == word).map_or(word, |(_, with)| with));
    }
    out.push('\n');
    out
}

/// The common functions and constants that `text` names, directly or through one another, in file order; functions of
/// `math.wgsl` on `vec4<f32>` under the name that has `_v4` added.
pub fn common_for(text: &str) -> String {
    let (math, items) = (math(), common());
    let mut scalars = vec![false; items.len()];
    let mut vectors = vec![false; math.len()];
    let mut pending: Vec<(&str, bool)> = vec![(text, false)];
    while let Some((text, on_vectors)) = pending.pop() {
        for word in words(text) {
            let stem = if on_vectors { Some(word) } else { word.strip_suffix("_v4") };
            if let Some(i) = stem.and_then(|stem| math.iter().position(|(name, _)| *name == stem))
                && !std::mem::replace(&mut vectors[i], true)
            {
                pending.push((math[i].1, true));
            }
            if !on_vectors
                && let Some(i) = items.iter().position(|(name, _)| *name == word)
                && !std::mem::replace(&mut scalars[i], true)
            {
                pending.push((items[i].1, false));
            }
        }
    }
    let chosen = items.iter().zip(&scalars).filter(|(_, wanted)| **wanted);
    let mut out: String = chosen.map(|((_, text), _)| format!("{text}\n")).collect();
    for ((_, text), _) in math.iter().zip(&vectors).filter(|(_, wanted)| **wanted) {
        out.push_str(&on_vectors(text));
        out.push('\n');
    }
    out
}

/// Functions and constants of all files.
fn common() -> &'static [(&'static str, &'static str)] {
    static ITEMS: OnceLock<Vec<(&str, &str)>> = OnceLock::new();
    ITEMS.get_or_init(|| COMMON.iter().flat_map(|file| items(file)).collect())
}

/// Those that serve vectors as well.
fn math() -> &'static [(&'static str, &'static str)] {
    static ITEMS: OnceLock<Vec<(&str, &str)>> = OnceLock::new();
    ITEMS.get_or_init(|| items(MATH))
}

/// An expression of common functions on vectors of four, as their `_v4` forms are made; none where one of them is for numbers alone.
pub fn expression_on_vectors(expression: &str) -> Option<String> {
    let is = |items: &[(&str, &str)], word: &str| items.iter().any(|(name, _)| *name == word);
    let scalar_only = |word: &str| is(common(), word) && !is(math(), word);
    (!words(expression).any(scalar_only)).then(|| on_vectors(expression))
}

/// A function or an expression on vectors of four: every type replaced, `_v4` put to the names of the functions it defines and calls.
fn on_vectors(text: &str) -> String {
    let mut out = String::with_capacity(2 * text.len());
    for word in pieces(text) {
        match word {
            "f16" | "f32" | "u32" | "i32" | "bool" => out.extend(["vec4<", word, ">"]),
            _ if math().iter().any(|(name, _)| *name == word) => out.extend([word, "_v4"]),
            _ => out.push_str(word),
        }
    }
    out
}

/// Name and text of each function and constant of a file. An item ends before the blank line or comment that follows it.
fn items(file: &str) -> Vec<(&str, &str)> {
    let mut items = Vec::new();
    let mut at = 0;
    while at < file.len() {
        let line_end = file[at..].find('\n').map_or(file.len(), |n| at + n + 1);
        let line = &file[at..line_end];
        let name = line.strip_prefix("fn ").or_else(|| line.strip_prefix("const "));
        let Some(name) = name else {
            at = line_end;
            continue;
        };
        let name = &name[..name.find(|c: char| !c.is_alphanumeric() && c != '_').unwrap_or(name.len())];
        let one_line = line.trim_end().ends_with('}') || line.trim_end().ends_with(';');
        let last = if one_line { Some(line_end) } else { file[at..].find("\n}").map(|n| at + n + 3) };
        let end = last.unwrap_or(file.len()).min(file.len());
        items.push((name, file[at..end].trim_end()));
        at = end;
    }
    items
}

/// A text as identifiers and what lies between them, which put together are the text.
fn pieces(text: &str) -> impl Iterator<Item = &str> {
    let is_word = |c: char| c.is_alphanumeric() || c == '_';
    let mut rest = text;
    std::iter::from_fn(move || {
        let first = rest.chars().next()?;
        let end = rest.find(|c| is_word(c) != is_word(first)).unwrap_or(rest.len());
        let (piece, tail) = rest.split_at(end);
        rest = tail;
        Some(piece)
    })
}

/// The identifiers of a text.
fn words(text: &str) -> impl Iterator<Item = &str> {
    text.split(|c: char| !c.is_alphanumeric() && c != '_').filter(|w| !w.is_empty())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn takes_what_is_named_and_what_that_names() {
        let text = common_for("let x = round_f16(y);");
        for name in ["round_f16", "f16_bits", "f16_value"] {
            assert!(text.contains(&format!("fn {name}(")), "{name} is missing");
        }
        assert!(!text.contains("fn bf16_bits"));
        assert_eq!(common_for("let x = 1.0;"), "");
    }

    #[test]
    fn vectors_are_instances_of_their_own() {
        let text = common_for("let y = erf_v4(x); let z = sigmoid(x.x);");
        assert!(text.contains("fn erf_v4(x: vec4<f32>) -> vec4<f32>") && text.contains("fn exp_f32_v4("));
        assert!(text.contains("fn sigmoid(x: f32)") && text.contains("fn exp_f32("));
        assert!(!text.contains("fn erf(") && !text.contains("sigmoid_v4"));
    }
}

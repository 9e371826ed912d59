//! Thalweg's WGSL: small common functions, and the skeletons of kernels.
//!
//! Text only: nothing here needs a GPU. Kernel generators write code that calls common functions by name;
//! [`common_for`] gives exactly those that a text uses, with what they use themselves. WGSL at module scope is free of
//! order, so composition is concatenation.

/// The files of common functions. Where two define one name the first counts.
const COMMON: &[&str] =
    &[include_str!("../common/rng.wgsl"), include_str!("../common/half.wgsl"), include_str!("../common/bits.wgsl")];

/// The common functions and constants that `text` names, directly or through one another, in file order.
pub fn common_for(text: &str) -> String {
    let items: Vec<(&str, &str)> = COMMON.iter().flat_map(|file| items(file)).collect();
    let mut wanted = vec![false; items.len()];
    let mut pending = vec![text];
    while let Some(text) = pending.pop() {
        for word in words(text) {
            if let Some(i) = items.iter().position(|(name, _)| *name == word)
                && !wanted[i]
            {
                wanted[i] = true;
                pending.push(items[i].1);
            }
        }
    }
    let chosen = items.iter().zip(&wanted).filter(|(_, wanted)| **wanted);
    chosen.map(|((_, text), _)| format!("{text}\n")).collect()
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
}

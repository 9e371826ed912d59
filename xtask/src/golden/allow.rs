//! The list of cases that may be unsupported.
//!
//! One pattern a line, `#` starts a comment. `family/pattern` is held against case names, `family:pattern` against op
//! names, `family:op: reason` against what exactly is missing; `*` stands for anything.

use std::path::Path;

use anyhow::{Context, Result};

/// The patterns.
#[derive(Debug, Default)]
pub struct Allow(Vec<String>);

impl Allow {
    pub fn open(path: &Path) -> Result<Allow> {
        let text = std::fs::read_to_string(path).with_context(|| path.display().to_string())?;
        let line = |l: &str| l.split('#').next().unwrap_or_default().trim().to_owned();
        Ok(Allow(text.lines().map(line).filter(|l| !l.is_empty()).collect()))
    }

    /// Whether a pattern names this case.
    pub fn names(&self, family: &str, case: &str, op: &str, reason: &str) -> bool {
        let names = [format!("{family}/{case}"), format!("{family}:{op}"), format!("{family}:{op}: {reason}")];
        self.0.iter().any(|p| names.iter().any(|n| matches(p, n)))
    }
}

/// Whether `text` fits `pattern`, in which `*` stands for any run of characters.
pub fn matches(pattern: &str, text: &str) -> bool {
    match pattern.split_once('*') {
        None => pattern == text,
        Some((head, tail)) => text.strip_prefix(head).is_some_and(|rest| {
            rest.char_indices().map(|(i, _)| i).chain([rest.len()]).any(|i| matches(tail, &rest[i..]))
        }),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn stars_stand_for_anything() {
        assert!(matches("ops_*/conv*_0", "ops_conv/conv2d_0"));
        assert!(matches("*", ""));
        assert!(!matches("ops_conv/*_1", "ops_conv/conv2d_10"));
        let allow = Allow(vec!["losses:ctc_*".into()]);
        assert!(allow.names("losses", "anything", "ctc_loss", "") && !allow.names("losses", "ctc_loss", "nll", ""));
        let allow = Allow(vec!["ops_shape:pad: attribute mode*".into()]);
        assert!(
            allow.names("ops_shape", "p", "pad", "attribute mode = \"reflect\"")
                && !allow.names("ops_shape", "p", "pad", "x")
        );
    }
}

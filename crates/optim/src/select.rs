//! Which parameters a group has.

use std::{fmt, sync::Arc};

use thalweg_graph::Param;

/// A choice of parameters, by a pattern of their names or by a predicate.
///
/// In a pattern `*` stands for any text, dots included: `"*.bias"`, `"encoder.*"`, `"head.weight"`.
#[derive(Clone)]
pub struct Select {
    chooses: Arc<dyn Fn(&str, &Param) -> bool + Send + Sync>,
    text: String,
}

impl Select {
    /// The parameters for which a function of name and parameter holds.
    pub fn by(chooses: impl Fn(&str, &Param) -> bool + Send + Sync + 'static) -> Select {
        Select { chooses: Arc::new(chooses), text: "a predicate".into() }
    }

    /// Biases and norms: what has fewer than two axes.
    pub fn vectors() -> Select {
        Select { text: "fewer than two axes".into(), ..Select::by(|_, param| param.shape().len() < 2) }
    }

    /// Whether it chooses this one.
    pub fn chooses(&self, path: &str, param: &Param) -> bool {
        (self.chooses)(path, param)
    }
}

impl From<&str> for Select {
    fn from(pattern: &str) -> Select {
        let pattern = pattern.to_string();
        Select { text: pattern.clone(), chooses: Arc::new(move |path, _| matches(&pattern, path)) }
    }
}

impl fmt::Debug for Select {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Select({})", self.text)
    }
}

impl fmt::Display for Select {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

/// Whether a text is of a pattern in which `*` stands for any text.
fn matches(pattern: &str, text: &str) -> bool {
    let parts: Vec<&str> = pattern.split('*').collect();
    let [first, between @ .., last] = parts.as_slice() else { return pattern == text };
    let Some(mut rest) = text.strip_prefix(first) else { return false };
    for part in between {
        match rest.find(part) {
            Some(at) => rest = &rest[at + part.len()..],
            None => return false,
        }
    }
    rest.ends_with(last)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn stars_stand_for_any_text() {
        for (pattern, yes, no) in [
            ("*.bias", &["a.bias", "a.b.bias"][..], &["bias", "a.bias.x"][..]),
            ("encoder.*", &["encoder.a", "encoder."], &["encoder", "x.encoder.a"]),
            ("*", &["", "a.b"], &[]),
            ("a.b", &["a.b"], &["a.bc", "a"]),
            ("a*b*c", &["abc", "axbxc", "abbcc"], &["ab", "acb"]),
            ("aa*aa", &["aaaa"], &["aaa"]),
        ] {
            assert!(yes.iter().all(|text| matches(pattern, text)), "{pattern}");
            assert!(!no.iter().any(|text| matches(pattern, text)), "{pattern}");
        }
    }
}

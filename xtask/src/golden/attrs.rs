//! Attributes of a case, and which of them a rule has looked at.
//!
//! A rule that leaves an attribute unread does not implement it: the case is unsupported, never a silent pass.

use std::{cell::RefCell, collections::HashSet};

use serde_json::{Map, Value};

use super::outcome::Stop;

/// Text for people, which changes nothing in what is computed.
const PROSE: [&str; 3] = ["formula", "note", "tail"];

/// The `attrs` object of a case.
#[derive(Debug, Default)]
pub struct Attrs {
    values: Map<String, Value>,
    read: RefCell<HashSet<String>>,
}

impl Attrs {
    pub fn new(value: &Value) -> Attrs {
        Attrs { values: value.as_object().cloned().unwrap_or_default(), read: RefCell::default() }
    }

    /// The value, if there is one that is not null.
    pub fn get(&self, key: &str) -> Option<&Value> {
        self.read.borrow_mut().insert(key.into());
        self.values.get(key).filter(|v| !v.is_null())
    }

    fn as_type<T>(&self, key: &str, of: impl Fn(&Value) -> Option<T>) -> Result<Option<T>, Stop> {
        match self.get(key) {
            Some(value) => match of(value) {
                Some(value) => Ok(Some(value)),
                None => Err(Stop::Unsupported(format!("attribute {key} = {value}"))),
            },
            None => Ok(None),
        }
    }

    /// A number, if given.
    pub fn number(&self, key: &str) -> Result<Option<f64>, Stop> {
        self.as_type(key, number)
    }

    /// A number, or what it is when not given.
    pub fn number_or(&self, key: &str, default: f64) -> Result<f64, Stop> {
        Ok(self.number(key)?.unwrap_or(default))
    }

    /// A number that must be given.
    pub fn need(&self, key: &str) -> Result<f64, Stop> {
        self.number(key)?.ok_or_else(|| Stop::wrong(format!("no attribute {key}")))
    }

    /// One number or a list of them, if given.
    pub fn numbers(&self, key: &str) -> Result<Option<Vec<f64>>, Stop> {
        self.as_type(key, |v| match v {
            Value::Array(list) => list.iter().map(number).collect(),
            one => number(one).map(|n| vec![n]),
        })
    }

    /// A truth value.
    pub fn flag(&self, key: &str, default: bool) -> Result<bool, Stop> {
        Ok(self.as_type(key, Value::as_bool)?.unwrap_or(default))
    }

    /// A word.
    pub fn word(&self, key: &str, default: &str) -> Result<String, Stop> {
        Ok(self.as_type(key, |v| v.as_str().map(str::to_owned))?.unwrap_or_else(|| default.into()))
    }

    /// An integer that must be given.
    pub fn int(&self, key: &str) -> Result<isize, Stop> {
        self.as_type(key, int)?.ok_or_else(|| Stop::wrong(format!("no attribute {key}")))
    }

    /// An integer, or what it is when not given.
    pub fn int_or(&self, key: &str, default: isize) -> Result<isize, Stop> {
        Ok(self.as_type(key, int)?.unwrap_or(default))
    }

    /// One integer or a list of them, if given.
    pub fn ints(&self, key: &str) -> Result<Option<Vec<isize>>, Stop> {
        self.as_type(key, |v| match v {
            Value::Array(list) => list.iter().map(int).collect(),
            one => int(one).map(|i| vec![i]),
        })
    }

    /// The same without negative numbers.
    pub fn sizes(&self, key: &str) -> Result<Option<Vec<usize>>, Stop> {
        let negative = |_| Stop::Unsupported(format!("negative attribute {key}"));
        match self.ints(key)? {
            Some(list) => {
                list.into_iter().map(|i| usize::try_from(i).map_err(negative)).collect::<Result<_, _>>().map(Some)
            }
            None => Ok(None),
        }
    }

    /// Accepts an attribute that has the one value the framework can do.
    pub fn only(&self, key: &str, value: Value) -> Result<(), Stop> {
        match self.get(key) {
            Some(given) if *given != value && number(given).zip(number(&value)).is_none_or(|(a, b)| a != b) => {
                Err(Stop::Unsupported(format!("attribute {key} = {given}")))
            }
            _ => Ok(()),
        }
    }

    /// The first attribute that nobody has read.
    pub fn unread(&self) -> Option<String> {
        let read = self.read.borrow();
        self.values.keys().find(|k| !read.contains(*k) && !PROSE.contains(&k.as_str())).cloned()
    }
}

fn int(value: &Value) -> Option<isize> {
    value.as_i64().and_then(|i| isize::try_from(i).ok())
}

/// A number; infinities are written as words.
fn number(value: &Value) -> Option<f64> {
    match value.as_str() {
        Some("inf") => Some(f64::INFINITY),
        Some("-inf") => Some(f64::NEG_INFINITY),
        Some("nan") => Some(f64::NAN),
        _ => value.as_f64(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_attribute_that_nobody_read_is_found() {
        let attrs = Attrs::new(&serde_json::json!({"dim": [0, -1], "p": "inf", "mode": "x", "formula": "text"}));
        assert_eq!(attrs.ints("dim").unwrap(), Some(vec![0, -1]));
        assert_eq!(attrs.number("p").unwrap(), Some(f64::INFINITY));
        assert_eq!(attrs.unread().as_deref(), Some("mode"));
        assert!(attrs.only("mode", "y".into()).is_err());
        assert_eq!(attrs.unread(), None);
    }
}

//! What one function of a kernel finds out for the next: a struct, whose fields have the names that the code gave.

use super::super::{kernel::Builder, point::Value};

/// What a function hands on: local names with their types.
#[derive(Default)]
pub struct Fields(Vec<(String, String)>);

impl Fields {
    /// Hands on a name, if it is one that the function made; from then on it is that field of `of`.
    pub fn keep(&mut self, name: &mut String, ty: &str, of: &str) {
        let is_word = name.chars().all(|c| c.is_alphanumeric() || c == '_');
        let is_local = is_word && name.starts_with(char::is_alphabetic) && !["true", "false"].contains(&name.as_str());
        if is_local {
            if self.0.iter().all(|(known, _)| known != name) {
                self.0.push((name.clone(), ty.into()));
            }
            *name = format!("{of}.{name}");
        }
    }

    /// The same of a value of numbers of this type.
    pub fn keep_value(&mut self, value: &mut Value, ty: &str, of: &str) {
        match value {
            Value::One(name) => self.keep(name, ty, of),
            Value::Vector(name) => self.keep(name, &format!("vec4<{ty}>"), of),
            Value::Many(names) => names.iter_mut().for_each(|name| self.keep(name, ty, of)),
        }
    }

    /// Declares the struct, and returns one from the function that is being written.
    pub fn close(mut self, k: &mut Builder, name: &str) {
        if self.0.is_empty() {
            self.0.push(("none".into(), "u32".into()));
            k.line("let none = 0u;");
        }
        let (names, fields): (Vec<&str>, Vec<String>) =
            self.0.iter().map(|(name, ty)| (name.as_str(), format!("{name}: {ty}"))).unzip();
        k.globals.push_str(&format!("struct {name} {{ {} }}\n", fields.join(", ")));
        k.line(format!("return {name}({});", names.join(", ")));
    }
}

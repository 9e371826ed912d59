//! What one function of a kernel finds out for the next: a struct, whose fields have the names that the code gave.

use super::{kernel::Builder, point::Value};

/// What a function hands on: the names of fields, their types, and the values.
#[derive(Default)]
pub struct Fields(Vec<[String; 3]>);

impl Fields {
    /// Hands on a name, if it is one that the function made, or was handed as a field of `of`; from then on it is that field of `of`.
    pub fn keep(&mut self, name: &mut String, ty: &str, of: &str) {
        let field = name.strip_prefix(of).and_then(|rest| rest.strip_prefix('.')).unwrap_or(name).to_string();
        let is_word = field.chars().all(|c| c.is_alphanumeric() || c == '_');
        let is_local =
            is_word && field.starts_with(char::is_alphabetic) && !["true", "false"].contains(&field.as_str());
        if is_local {
            let kept = format!("{of}.{field}");
            if self.0.iter().all(|[known, ..]| *known != field) {
                self.0.push([field, ty.into(), name.clone()]);
            }
            *name = kept;
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
            self.0.push(["none", "u32", "0u"].map(String::from));
        }
        let (fields, values): (Vec<String>, Vec<&str>) =
            self.0.iter().map(|[field, ty, value]| (format!("{field}: {ty}"), value.as_str())).unzip();
        k.globals.push_str(&format!("struct {name} {{ {} }}\n", fields.join(", ")));
        k.line(format!("return {name}({});", values.join(", ")));
    }
}

//! Settings of a rule as a table: a struct with defaults and the range of each, whose fields can be set and read by name.

use std::fmt;

/// No bound above.
pub(crate) const INF: f64 = f64::INFINITY;

/// A setting as configuration files and tuners have it: flags are 0 and 1 or words, choices are words.
#[derive(Clone, Debug, PartialEq)]
pub enum Value {
    /// A number.
    Number(f64),
    /// A word.
    Word(String),
}

impl fmt::Display for Value {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Value::Number(number) => number.fmt(f),
            Value::Word(word) => word.fmt(f),
        }
    }
}

impl From<f64> for Value {
    fn from(number: f64) -> Value {
        Value::Number(number)
    }
}

impl From<bool> for Value {
    fn from(flag: bool) -> Value {
        Value::Number(f64::from(u8::from(flag)))
    }
}

impl From<u32> for Value {
    fn from(count: u32) -> Value {
        Value::Number(count.into())
    }
}

impl From<&str> for Value {
    fn from(word: &str) -> Value {
        Value::Word(word.into())
    }
}

/// What a setting may be.
pub(crate) trait Setting: Copy + Into<Value> {
    /// From what a file has, if it can be that.
    fn of(value: &Value) -> Option<Self>;
}

impl Setting for f64 {
    fn of(value: &Value) -> Option<f64> {
        if let Value::Number(number) = value { Some(*number) } else { None }
    }
}

impl Setting for bool {
    fn of(value: &Value) -> Option<bool> {
        [false, true].into_iter().find(|flag| *value == Value::from(*flag) || *value == Value::Word(flag.to_string()))
    }
}

impl Setting for u32 {
    fn of(value: &Value) -> Option<u32> {
        f64::of(value).map(|n| n as u32).filter(|count| *value == Value::from(*count))
    }
}

/// Whether two names are one: case, `_` and `-` are left out.
pub(crate) fn same_name(a: &str, b: &str) -> bool {
    let plain = |name: &str| name.replace(['_', '-'], "").to_ascii_lowercase();
    plain(a) == plain(b)
}

/// A number that must lie in `[low, high)`.
pub(crate) fn within(name: &str, value: f64, range: std::ops::Range<f64>) -> Result<(), String> {
    match range.contains(&value) {
        true => Ok(()),
        false => Err(format!("{name} = {value} is not in [{}, {})", range.start, range.end)),
    }
}

/// Declares a struct of settings with their ranges and defaults, and [`crate::Settings`] for it.
macro_rules! settings {
    (
        $(#[$of_struct:meta])*
        pub struct $name:ident {
            $($(#[$of_field:meta])* $field:ident: $type:ident $(in ($range:expr))? = $default:expr,)*
        }
    ) => {
        $(#[$of_struct])*
        #[derive(Clone, Debug, PartialEq)]
        pub struct $name {
            $($(#[$of_field])* pub $field: $type,)*
        }

        impl Default for $name {
            fn default() -> $name {
                $name { $($field: $default,)* }
            }
        }

        impl crate::Settings for $name {
            fn settings(&self) -> Vec<(&'static str, crate::Value)> {
                vec![$((stringify!($field), self.$field.into()),)*]
            }

            fn set(&mut self, name: &str, value: &crate::Value) -> bool {
                match name {
                    $(stringify!($field) => {
                        let value = crate::settings::Setting::of(value);
                        value.map(|value| self.$field = value).is_some()
                    })*
                    _ => false,
                }
            }

            fn in_range(&self) -> Result<(), String> {
                $($(crate::settings::within(stringify!($field), f64::from(self.$field), $range)?;)?)*
                Ok(())
            }
        }
    };
}
pub(crate) use settings;

/// Declares a setting that is one of a few words.
macro_rules! choices {
    (
        $(#[$of_enum:meta])*
        pub enum $name:ident {
            $($(#[$of_variant:meta])* $variant:ident,)*
        }
    ) => {
        $(#[$of_enum])*
        #[derive(Clone, Copy, Debug, PartialEq, Eq)]
        pub enum $name {
            $($(#[$of_variant])* $variant,)*
        }

        impl From<$name> for crate::Value {
            fn from(choice: $name) -> crate::Value {
                crate::Value::Word(match choice { $($name::$variant => stringify!($variant),)* }.into())
            }
        }

        impl crate::settings::Setting for $name {
            fn of(value: &crate::Value) -> Option<$name> {
                let crate::Value::Word(word) = value else { return None };
                [$(($name::$variant, stringify!($variant)),)*]
                    .into_iter()
                    .find(|(_, name)| crate::settings::same_name(name, word))
                    .map(|(choice, _)| choice)
            }
        }
    };
}
pub(crate) use choices;

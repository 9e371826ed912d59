//! Settings of a rule as a table: a struct with defaults, whose fields can be set and read by name.

/// What a setting may be.
pub(crate) trait Setting: Copy {
    /// From a number, as configuration files and tuners have them.
    fn from_number(number: f64) -> Option<Self>;
    /// As a number.
    fn number(self) -> f64;
}

impl Setting for f64 {
    fn from_number(number: f64) -> Option<f64> {
        Some(number)
    }
    fn number(self) -> f64 {
        self
    }
}

impl Setting for bool {
    fn from_number(number: f64) -> Option<bool> {
        [false, true].into_iter().find(|b| f64::from(u8::from(*b)) == number)
    }
    fn number(self) -> f64 {
        f64::from(u8::from(self))
    }
}

/// Declares a struct of settings with their defaults, and [`crate::Settings`] for it.
macro_rules! settings {
    (
        $(#[$of_struct:meta])*
        pub struct $name:ident {
            $($(#[$of_field:meta])* $field:ident: $type:ty = $default:expr,)*
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
            fn settings(&self) -> Vec<(&'static str, f64)> {
                vec![$((stringify!($field), crate::settings::Setting::number(self.$field)),)*]
            }

            fn set(&mut self, name: &str, number: f64) -> bool {
                match name {
                    $(stringify!($field) => match crate::settings::Setting::from_number(number) {
                        Some(value) => {
                            self.$field = value;
                            true
                        }
                        None => false,
                    },)*
                    _ => false,
                }
            }
        }
    };
}
pub(crate) use settings;

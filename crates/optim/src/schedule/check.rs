//! What numbers of a schedule may be.

/// A rate: not negative, and finite.
pub fn rate(name: &str, value: f64) -> Result<(), String> {
    of(value >= 0.0 && value.is_finite(), name, value, "a rate")
}

/// A length: not negative, and finite.
pub fn length(name: &str, value: f64) -> Result<(), String> {
    of(value >= 0.0 && value.is_finite(), name, value, "a length")
}

/// A number that is divided by.
pub fn positive(name: &str, value: f64) -> Result<(), String> {
    of(value > 0.0 && value.is_finite(), name, value, "a positive number")
}

/// Something else that must hold of a number.
pub fn of(so: bool, name: &str, value: f64, what: &str) -> Result<(), String> {
    if so { Ok(()) } else { Err(format!("{name} = {value} is not {what}")) }
}

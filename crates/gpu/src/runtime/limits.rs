//! Limits smaller than the device's, to test what happens at them.

use thalweg_ir::{Error, ErrorKind, Result};

use crate::templates::Caps;

/// Upper bounds on what a device is said to be able to do. `None` leaves what it can.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Limits {
    /// Bytes of a storage binding, at least 256.
    pub binding: Option<u64>,
    /// Workgroups along an axis of a grid.
    pub grid: Option<u32>,
    /// Invocations of a workgroup.
    pub workgroup: Option<u32>,
    /// Storage bindings of a kernel, at least 8.
    pub bindings: Option<u32>,
}

impl Limits {
    /// What `THALWEG_LIMITS` says: `binding=65536,grid=7,workgroup=64,bindings=8`, of which each part may be left out.
    ///
    /// # Errors
    /// A part that is none of these, or not a number.
    pub fn from_env() -> Result<Limits> {
        std::env::var("THALWEG_LIMITS").map_or(Ok(Limits::default()), |text| Limits::parse(&text))
    }

    fn parse(text: &str) -> Result<Limits> {
        let mut limits = Limits::default();
        for part in text.split(',').map(str::trim).filter(|part| !part.is_empty()) {
            let wrong = || {
                let problem =
                    format!("THALWEG_LIMITS: '{part}' is none of binding=, grid=, workgroup=, bindings= and a number");
                Error::new("open", ErrorKind::Invalid(problem))
            };
            let (name, number) = part.split_once('=').ok_or_else(wrong)?;
            let number: u32 = number.trim().parse().map_err(|_| wrong())?;
            match name.trim() {
                "binding" => limits.binding = Some(u64::from(number).max(256)),
                "grid" => limits.grid = Some(number.max(1)),
                "workgroup" => limits.workgroup = Some(number.max(1)),
                "bindings" => limits.bindings = Some(number.max(8)),
                _ => return Err(wrong()),
            }
        }
        Ok(limits)
    }

    pub(crate) fn apply(self, caps: &mut Caps) {
        let lower = |limit: &mut u32, to: Option<u32>| *limit = to.map_or(*limit, |to| to.min(*limit));
        lower(&mut caps.max_grid, self.grid);
        lower(&mut caps.max_workgroup, self.workgroup);
        lower(&mut caps.max_bindings, self.bindings);
        caps.max_binding = self.binding.map_or(caps.max_binding, |to| to.min(caps.max_binding));
    }
}

#[cfg(test)]
mod tests {
    use super::Limits;

    #[test]
    fn limits_are_read_from_text() {
        let all = Limits::parse("binding=65536, grid=7,workgroup=64,bindings=8").unwrap();
        let want = Limits { binding: Some(65536), grid: Some(7), workgroup: Some(64), bindings: Some(8) };
        assert_eq!(all, want);
        assert_eq!(Limits::parse("").unwrap(), Limits::default());
        for wrong in ["grid", "grid=x", "depth=3"] {
            assert!(Limits::parse(wrong).unwrap_err().to_string().contains(wrong));
        }
    }
}

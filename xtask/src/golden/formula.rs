//! The formulas of `t` in which the index gives factors of a schedule: `min((t+1)/10, sqrt(10/(t+1)))`, `0.9 if t is odd else 1.02`.

use super::outcome::Stop;

/// A function of `t`.
pub type Formula = Box<dyn Fn(f64) -> f64 + Send + Sync>;

/// What is behind the first comma outside of parentheses is said to people, not to programs.
pub fn parse(text: &str) -> Result<Formula, Stop> {
    let unsupported = || Stop::Unsupported(format!("the formula '{text}'"));
    let mut parser = Parser { rest: text };
    let formula = parser.choice().ok_or_else(unsupported)?;
    match parser.rest.trim_start() {
        "" => Ok(formula),
        prose if prose.starts_with(',') => Ok(formula),
        _ => Err(unsupported()),
    }
}

struct Parser<'a> {
    rest: &'a str,
}

impl Parser<'_> {
    /// Whether the rest begins with a token, which is then taken.
    fn takes(&mut self, token: &str) -> bool {
        match self.rest.trim_start().strip_prefix(token) {
            Some(rest) => {
                self.rest = rest;
                true
            }
            None => false,
        }
    }

    /// `a if condition else b`, or `a` alone.
    fn choice(&mut self) -> Option<Formula> {
        let yes = self.sum()?;
        if !self.takes("if ") {
            return Some(yes);
        }
        let condition = self.condition()?;
        if !self.takes("else") {
            return None;
        }
        let no = self.choice()?;
        Some(Box::new(move |t| if condition(t) { yes(t) } else { no(t) }))
    }

    fn condition(&mut self) -> Option<Box<dyn Fn(f64) -> bool + Send + Sync>> {
        let left = self.sum()?;
        if self.takes("is odd") {
            return Some(Box::new(move |t| left(t).rem_euclid(2.0) == 1.0));
        }
        if self.takes("is even") {
            return Some(Box::new(move |t| left(t).rem_euclid(2.0) == 0.0));
        }
        const COMPARISONS: [(&str, fn(&f64, &f64) -> bool); 5] =
            [("<=", f64::le), (">=", f64::ge), ("==", f64::eq), ("<", f64::lt), (">", f64::gt)];
        let (_, holds) = COMPARISONS.into_iter().find(|(token, _)| self.takes(token))?;
        let right = self.sum()?;
        Some(Box::new(move |t| holds(&left(t), &right(t))))
    }

    fn sum(&mut self) -> Option<Formula> {
        let mut sum = self.product()?;
        loop {
            let sign = if self.takes("+") {
                1.0
            } else if self.takes("-") {
                -1.0
            } else {
                return Some(sum);
            };
            let (left, right) = (sum, self.product()?);
            sum = Box::new(move |t| left(t) + sign * right(t));
        }
    }

    /// Factors may stand side by side: `0.1 t`.
    fn product(&mut self) -> Option<Formula> {
        let mut product = self.power()?;
        loop {
            let left = product;
            if self.takes("//") {
                let right = self.power()?;
                product = Box::new(move |t| (left(t) / right(t)).floor());
            } else if self.takes("/") {
                let right = self.power()?;
                product = Box::new(move |t| left(t) / right(t));
            } else if self.takes("%") || self.takes("mod ") {
                let right = self.power()?;
                product = Box::new(move |t| left(t).rem_euclid(right(t)));
            } else if self.takes("*") && !self.rest.starts_with('*') || self.stands_beside() {
                let right = self.power()?;
                product = Box::new(move |t| left(t) * right(t));
            } else {
                return Some(left);
            }
        }
    }

    fn stands_beside(&self) -> bool {
        let rest = self.rest.trim_start();
        let word = rest.split(|c: char| !c.is_alphabetic()).next().unwrap_or_default();
        rest.starts_with('(') || (!word.is_empty() && !["if", "is", "else", "mod"].contains(&word))
    }

    fn power(&mut self) -> Option<Formula> {
        if self.takes("-") {
            let positive = self.power()?;
            return Some(Box::new(move |t| -positive(t)));
        }
        let base = self.atom()?;
        if !self.takes("^") && !self.takes("**") {
            return Some(base);
        }
        let exponent = self.power()?;
        Some(Box::new(move |t| base(t).powf(exponent(t))))
    }

    fn atom(&mut self) -> Option<Formula> {
        if self.takes("(") {
            let inner = self.choice()?;
            return self.takes(")").then_some(inner);
        }
        let rest = self.rest.trim_start();
        let digits = rest.len() - rest.trim_start_matches(|c: char| c.is_ascii_digit() || c == '.').len();
        if digits > 0 {
            // An exponent belongs to the number if digits follow it.
            let exponent = rest[digits..].strip_prefix('e').map_or(0, |e| {
                let sign = usize::from(e.starts_with(['-', '+']));
                let len = e[sign..].len() - e[sign..].trim_start_matches(|c: char| c.is_ascii_digit()).len();
                if len > 0 { 1 + sign + len } else { 0 }
            });
            let number: f64 = rest[..digits + exponent].parse().ok()?;
            self.rest = &rest[digits + exponent..];
            return Some(Box::new(move |_| number));
        }
        let word = rest.len() - rest.trim_start_matches(char::is_alphabetic).len();
        let name = &rest[..word];
        self.rest = &rest[word..];
        match name {
            "t" | "epoch" | "step" => return Some(Box::new(|t| t)),
            "pi" | "π" => return Some(Box::new(|_| std::f64::consts::PI)),
            _ => {}
        }
        if !self.takes("(") {
            return None;
        }
        let mut arguments = vec![self.choice()?];
        while self.takes(",") {
            arguments.push(self.choice()?);
        }
        if !self.takes(")") {
            return None;
        }
        let fold = |f: fn(f64, f64) -> f64, arguments: Vec<Formula>| -> Option<Formula> {
            Some(Box::new(move |t| arguments.iter().map(|a| a(t)).reduce(f).unwrap_or(f64::NAN)))
        };
        let one: fn(f64) -> f64 = match name {
            "min" => return fold(f64::min, arguments),
            "max" => return fold(f64::max, arguments),
            "pow" => return fold(f64::powf, arguments),
            "sqrt" => f64::sqrt,
            "floor" => f64::floor,
            "ceil" => f64::ceil,
            "exp" => f64::exp,
            "log" | "ln" => f64::ln,
            "cos" => f64::cos,
            "sin" => f64::sin,
            "tanh" => f64::tanh,
            "abs" => f64::abs,
            _ => return None,
        };
        let argument = arguments.pop().filter(|_| arguments.is_empty())?;
        Some(Box::new(move |t| one(argument(t))))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn formulas_are_read_as_they_are_written() {
        let at = |text: &str, t| parse(text).unwrap()(t);
        assert_eq!(at("0.9^t", 2.0), 0.9f64.powf(2.0));
        assert_eq!(at("min((t+1)/10, sqrt(10/(t+1)))", 4.0), 0.5);
        assert_eq!(at("min((t+1)/10, sqrt(10/(t+1)))", 39.0), 0.5);
        assert_eq!(at("1/(1+0.1 t)", 10.0), 0.5);
        assert_eq!((at("0.9^floor(t/5)", 11.0), at("0.9 ** (t // 5)", 11.0)), (0.81, 0.81));
        let odd = "0.9 if t is odd else 1.02, multiplied on; t = 1 at the first advance";
        assert_eq!((at(odd, 1.0), at(odd, 2.0)), (0.9, 1.02));
        assert_eq!(at("2 - 3 * -t ** 2 + 1e-1", 2.0), 2.0 + 12.0 + 0.1);
        assert_eq!(at("0.5*(1+cos(pi*t/20)) if t < 20 else 0", 20.0), 0.0);
        assert_eq!(at("exp(-0.1t)", 10.0), (-1.0f64).exp());
        for wrong in ["", "0.9 ^", "t is odd", "frobnicate(t)", "min(t", "0.9 t)", "0.9; then 1"] {
            assert!(parse(wrong).is_err(), "{wrong}");
        }
    }
}

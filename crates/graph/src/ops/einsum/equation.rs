//! The equation of an einsum: read, and held against its operands.

use std::collections::BTreeMap;

/// The name of an axis: a letter's code, or beyond those [`ELLIPSIS`] and how far from the last an axis of `...` is.
pub type Label = u32;

const ELLIPSIS: Label = 1 << 24;

/// An equation that fits its operands.
#[derive(Debug)]
pub struct Equation {
    /// The axes of each operand.
    pub terms: Vec<Vec<Label>>,
    /// The axes of the result.
    pub output: Vec<Label>,
    /// The extent that each label stands for.
    pub extents: BTreeMap<Label, usize>,
}

/// Letters, with `...` in front of the `Some(i)`-th.
struct Term {
    letters: Vec<Label>,
    ellipsis: Option<usize>,
}

impl Equation {
    /// Reads an equation for operands of these shapes; or says what is wrong with it.
    pub fn parse(text: &str, shapes: &[&[usize]]) -> Result<Equation, String> {
        let text: String = text.chars().filter(|c| !c.is_whitespace()).collect();
        let (inputs, output) = match text.split_once("->") {
            Some((inputs, output)) => (inputs, Some(output)),
            None => (text.as_str(), None),
        };
        let texts: Vec<&str> = inputs.split(',').collect();
        if texts.len() != shapes.len() {
            return Err(format!("it has {} terms for {} operands", texts.len(), shapes.len()));
        }
        let mut extents = BTreeMap::new();
        let mut terms = Vec::new();
        for (text, shape) in texts.into_iter().zip(shapes) {
            let term = labels(text, shape)?;
            for (d, (label, extent)) in term.iter().zip(*shape).enumerate() {
                // Along a diagonal even 1 does not stretch.
                let twice = term[..d].iter().position(|l| l == label).is_some_and(|first| shape[first] != *extent);
                let known = extents.entry(*label).or_insert(*extent);
                if twice || (*known != *extent && *known != 1 && *extent != 1) {
                    return Err(format!("index {} has extent {known}, and {extent} in '{text}'", name(*label)));
                }
                *known = if *known == 1 { *extent } else { *known };
            }
            terms.push(term);
        }
        let output = match output {
            Some(text) => stated(text, &terms)?,
            None => implied(&terms),
        };
        Ok(Equation { terms, output, extents })
    }
}

fn read(text: &str) -> Result<Term, String> {
    let (front, back) = match text.split_once("...") {
        Some((front, back)) => (front, Some(back)),
        None => (text, None),
    };
    if back.is_some_and(|b| b.contains("...")) {
        return Err(format!("'{text}' has more than one '...'"));
    }
    let mut letters = Vec::new();
    for c in front.chars().chain(back.unwrap_or_default().chars()) {
        match c {
            'a'..='z' | 'A'..='Z' => letters.push(c as Label),
            '.' => return Err(format!("'{text}' has dots that are no '...'")),
            '-' | '>' => return Err(format!("'{text}' has a second or broken '->'")),
            c => return Err(format!("'{c}' in '{text}' is no index: indices are letters")),
        }
    }
    Ok(Term { letters, ellipsis: back.map(|_| front.len()) })
}

/// The axes that a term names in an operand of this shape.
fn labels(text: &str, shape: &[usize]) -> Result<Vec<Label>, String> {
    let Term { mut letters, ellipsis } = read(text)?;
    let rest = shape.len().checked_sub(letters.len());
    match (ellipsis, rest) {
        (None, Some(0)) => {}
        (Some(at), Some(rest)) => {
            letters.splice(at..at, (0..rest as Label).rev().map(|i| ELLIPSIS + i));
        }
        _ => {
            let indices = letters.len();
            return Err(format!("'{text}' has {indices} indices for an operand of {} axes {shape:?}", shape.len()));
        }
    }
    Ok(letters)
}

/// The axes of all ellipses, the first one first.
fn dots(terms: &[Vec<Label>]) -> Vec<Label> {
    let most = terms.iter().map(|t| t.iter().filter(|l| **l >= ELLIPSIS).count()).max().unwrap_or(0);
    (0..most as Label).rev().map(|i| ELLIPSIS + i).collect()
}

/// The output that stands behind `->`.
fn stated(text: &str, terms: &[Vec<Label>]) -> Result<Vec<Label>, String> {
    let Term { mut letters, ellipsis } = read(text)?;
    for (i, label) in letters.iter().enumerate() {
        if !terms.iter().any(|t| t.contains(label)) {
            return Err(format!("output index {} is in no operand", name(*label)));
        }
        if letters[..i].contains(label) {
            return Err(format!("output index {} stands there twice", name(*label)));
        }
    }
    if let Some(at) = ellipsis {
        letters.splice(at..at, dots(terms));
    }
    Ok(letters)
}

/// The output of an equation that states none.
fn implied(terms: &[Vec<Label>]) -> Vec<Label> {
    let mut times = BTreeMap::new();
    terms.iter().flatten().filter(|l| **l < ELLIPSIS).for_each(|l| *times.entry(*l).or_insert(0) += 1);
    dots(terms).into_iter().chain(times.into_iter().filter(|(_, n)| *n == 1).map(|(l, _)| l)).collect()
}

fn name(label: Label) -> String {
    match char::from_u32(label).filter(|_| label < ELLIPSIS) {
        Some(letter) => format!("'{letter}'"),
        None => format!("{} from the last of '...'", label - ELLIPSIS),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn error(text: &str, shapes: &[&[usize]]) -> String {
        Equation::parse(text, shapes).err().unwrap_or_default()
    }

    #[test]
    fn what_is_wrong_is_said() {
        let (m, v): (&[usize], &[usize]) = (&[2, 3], &[4]);
        assert!(error("ij", &[m, v]).contains("1 terms for 2 operands"));
        assert!(error("ij,j", &[m, v]).contains("'j' has extent 3, and 4 in 'j'"));
        assert!(error("ijk->i", &[m]).contains("3 indices for an operand of 2 axes [2, 3]"));
        assert!(error("ii->i", &[m]).contains("'i' has extent 2, and 3"));
        assert!(error("ij->k", &[m]).contains("'k' is in no operand"));
        assert!(error("ij->ii", &[m]).contains("'i' stands there twice"));
        assert!(error("i1->i", &[m]).contains("'1' in 'i1' is no index"));
        assert!(error("i..->i", &[m]).contains("dots that are no '...'"));
        assert!(error("...i...->i", &[m]).contains("more than one '...'"));
        assert!(error("ij->i->j", &[m]).contains("broken '->'"));
        assert!(error("ij-i", &[m]).contains("broken '->'"));
        assert!(error("", &[m]).contains("0 indices"));
    }

    #[test]
    fn an_output_is_implied() {
        let shapes: [&[usize]; 2] = [&[5, 2, 3], &[3, 4]];
        let equation = Equation::parse("... z j, j a", &shapes).unwrap();
        assert_eq!(equation.output, [ELLIPSIS, 'a' as Label, 'z' as Label]);
        assert_eq!(equation.extents[&ELLIPSIS], 5);
    }

    /// No text makes it panic.
    #[test]
    fn noise_is_refused_or_read() {
        let mut rng = crate::Rng::seed(11);
        let letters: Vec<char> = "ijjk,,.....->-> é".chars().collect();
        for _ in 0..20_000 {
            let text: String = (0..rng.below(12)).map(|_| letters[rng.below(letters.len() as u32) as usize]).collect();
            let shapes: [&[usize]; 2] = [&[2, 3], &[3, 2]];
            let n = 1 + rng.below(2) as usize;
            let _ = Equation::parse(&text, &shapes[..n]);
        }
    }
}

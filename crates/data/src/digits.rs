//! The built-in data set.

use std::{io::Read, panic::Location};

use thalweg_graph::{Error, ErrorKind, Result};

use crate::{
    in_memory::InMemory,
    permutation::{Seed, permutation},
};

/// Optical Recognition of Handwritten Digits: 1,797 images of 8 × 8 pixels, in 10 classes.
///
/// Pixels are scaled to 0 … 1. Which images are held out is fixed.
///
/// # Source
/// Alpaydin & Kaynak 1998, UCI Machine Learning Repository, CC BY 4.0: see `data/ATTRIBUTION.md`.
#[derive(Clone, Debug)]
pub struct Digits {
    /// 1,200 images.
    pub train: InMemory,
    /// The other 597.
    pub test: InMemory,
}

/// Pixels along each side.
const SIDE: usize = 8;
/// Images to train on.
const TRAIN: usize = 1200;
/// Where messages say the data came from.
const NAME: &str = "built-in digits.csv.gz";

impl Digits {
    /// The copy that this crate carries.
    #[track_caller]
    pub fn embedded() -> Result<Digits> {
        let caller = Location::caller();
        Digits::parse(include_bytes!("../data/digits.csv.gz")).map_err(|error| error.seen_at(caller))
    }

    /// Reads gzipped lines of 64 pixels (0 to 16) and a label (0 to 9).
    fn parse(gzipped: &[u8]) -> Result<Digits> {
        let mut text = String::new();
        let gzip = flate2::read::GzDecoder::new(gzipped);
        // A bound, so that a damaged length cannot fill the memory: a line has at most 65 numbers of 3 characters.
        gzip.take(1 << 20).read_to_string(&mut text).map_err(|e| damaged(format!("cannot be unpacked: {e}")))?;
        let rows = text.lines().enumerate().map(|(i, line)| row(i + 1, line)).collect::<Result<Vec<_>>>()?;
        if rows.len() <= TRAIN {
            return Err(damaged(format!("has {} lines, not 1797", rows.len())));
        }
        // The file's order has runs by writer; a fixed shuffle puts every writer into both parts.
        let order = permutation(rows.len(), Seed(0), 0);
        let part = |indices: &[usize]| {
            let images = indices.iter().flat_map(|&i| rows[i].0).collect();
            let labels = indices.iter().map(|&i| rows[i].1).collect();
            InMemory::new(images, &[1, SIDE, SIDE], labels)
        };
        Ok(Digits { train: part(&order[..TRAIN])?, test: part(&order[TRAIN..])? })
    }
}

/// The pixels and the label of one line.
fn row(number: usize, line: &str) -> Result<([f32; SIDE * SIDE], i32)> {
    let bad = || damaged(format!("line {number} is not 64 pixels from 0 to 16 and a label from 0 to 9"));
    let numbers = line.trim_end().split(',').map(|field| field.parse::<u8>()).collect::<Result<Vec<_>, _>>();
    let numbers = numbers.map_err(|_| bad())?;
    match numbers.split_last() {
        Some((label @ 0..=9, pixels)) if pixels.len() == SIDE * SIDE && pixels.iter().all(|p| *p <= 16) => {
            Ok((std::array::from_fn(|i| f32::from(pixels[i]) / 16.0), i32::from(*label)))
        }
        _ => Err(bad()),
    }
}

fn damaged(problem: String) -> Error {
    Error::new("digits", ErrorKind::File { path: NAME.into(), problem })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::gzip::packed;

    fn gzip(text: &str) -> Vec<u8> {
        packed(text.as_bytes())
    }

    #[test]
    fn holds_out_a_third_with_every_class_in_both_parts() {
        let digits = Digits::embedded().unwrap();
        assert_eq!((digits.train.len(), digits.test.len()), (1200, 597));
        for class in 0..10 {
            assert!(digits.train.labels().iter().filter(|l| **l == class).count() > 100);
            assert!(digits.test.labels().iter().filter(|l| **l == class).count() > 40);
        }
        let (image, _) = digits.train.get(0).unwrap();
        assert!(image.iter().all(|p| (0.0..=1.0).contains(p)) && image.contains(&1.0));
    }

    /// Every character of a line as every other one.
    #[test]
    fn no_line_panics() {
        let line = format!("{}7", "16,".repeat(64));
        assert!(row(1, &line).is_ok());
        for at in 0..line.len() {
            for c in (0..=char::from(0x7f) as u8).map(char::from).chain(['é', '٣']) {
                let mut other = line.clone();
                other.replace_range(at..=at, c.encode_utf8(&mut [0; 4]));
                if let Ok((pixels, label)) = row(1, &other) {
                    assert!(pixels.iter().all(|p| (0.0..=1.0).contains(p)) && (0..10).contains(&label));
                }
            }
        }
    }

    #[test]
    fn damaged_files_are_errors_and_no_prefix_panics() {
        let whole = include_bytes!("../data/digits.csv.gz");
        for end in (0..whole.len()).step_by(97) {
            assert!(Digits::parse(&whole[..end]).is_err());
        }
        let message = |bytes: &[u8]| Digits::parse(bytes).unwrap_err().to_string();
        assert!(message(b"no gzip").starts_with("digits: built-in digits.csv.gz: cannot be unpacked"));
        assert!(message(&gzip("1,2,3\n")).contains("line 1 is not 64 pixels from 0 to 16 and a label from 0 to 9"));
        let line = "0,".repeat(64);
        assert!(message(&gzip(&format!("{line}10\n"))).contains("line 1 is not"));
        assert!(message(&gzip(&format!("{line}9\n"))).contains("has 1 lines, not 1797"));
    }
}

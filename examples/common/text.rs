//! Sentences and what is thought of them: two files, one of each opinion.

use std::{collections::HashMap, path::Path};

use anyhow::{Context, Result, ensure};
use thalweg::{
    data::{ByLength, Host, Padded},
    prelude::*,
};

/// What fills up a sentence, and what stands for a word that is not known.
pub const PADDING: i32 = 0;
const UNKNOWN: i32 = 1;
/// Words that are seen less often than this in training are not known.
const OFTEN: usize = 2;
/// Words of a sentence at most.
const LONGEST: usize = 56;
/// Share of the sentences that is held out. Which, is the same for every seed.
const HELD_OUT: f64 = 0.1;

/// A sentence as numbers of words, and 1 if it is in favour, 0 if not.
pub type Sentence = (Vec<i32>, i32);

/// Sentences of two opinions.
pub struct Opinions {
    pub train: Vec<Sentence>,
    pub test: Vec<Sentence>,
    /// The words by their number.
    pub words: Vec<String>,
}

/// Batches of sentences, filled up, and their opinions.
pub type Batches = Loader<(Padded<i32>, Host<i32>)>;

impl Opinions {
    /// Reads `rt-polarity.neg` and `rt-polarity.pos` in a folder: a sentence a line, words between blanks.
    pub fn load(folder: &Path) -> Result<Opinions> {
        let mut lines: Vec<(Vec<String>, i32)> = Vec::new();
        for (name, label) in [("rt-polarity.neg", 0), ("rt-polarity.pos", 1)] {
            let file = folder.join(name);
            let text = std::fs::read_to_string(&file).with_context(|| file.display().to_string())?;
            let sentences = text.lines().map(|line| line.split_whitespace().take(LONGEST).map(String::from).collect());
            lines.extend(sentences.filter(|words: &Vec<String>| !words.is_empty()).map(|words| (words, label)));
        }
        ensure!(lines.len() >= 100, "{} has {} sentences, too few to train on", folder.display(), lines.len());
        let (train, test) = lines.hold_out_of_each(HELD_OUT, Seed(0), |(_, label)| *label)?;

        let mut counts: HashMap<String, usize> = HashMap::new();
        for i in 0..train.len() {
            train.item(i)?.0.into_iter().for_each(|word| *counts.entry(word).or_default() += 1);
        }
        let mut often: Vec<String> =
            counts.into_iter().filter(|(_, count)| *count >= OFTEN).map(|(word, _)| word).collect();
        often.sort();
        let words: Vec<String> = ["", "?"].into_iter().map(String::from).chain(often).collect();
        let numbers: HashMap<&str, i32> = words.iter().zip(0..).map(|(word, i)| (word.as_str(), i)).collect();
        let number = |(words, label): (Vec<String>, i32)| {
            let ids = words.iter().map(|word| numbers.get(word.as_str()).copied().unwrap_or(UNKNOWN)).collect();
            (ids, label)
        };
        let all = |part: &dyn Dataset<Item = (Vec<String>, i32)>| -> Result<Vec<Sentence>> {
            (0..part.len()).map(|i| Ok(number(part.item(i)?))).collect()
        };
        let (train, test) = (all(&train)?, all(&test)?);
        Ok(Opinions { train, test, words })
    }
}

/// Batches of sentences of like length, in another order every epoch. They are filled up to a multiple of 8 words, so that there are few
/// shapes, and few plans.
pub fn batches(sentences: &[Sentence], size: usize, seed: u64) -> Result<Batches> {
    let order = ByLength::new(sentences.iter().map(|(words, _)| words.len()), size, Seed(seed))?;
    Ok(sentences.to_vec().loader(size, order, (Pad::with(PADDING).multiple_of(8), Stack))?)
}

//! Recordings that are made by the program: digits as tones, and how loud each frame of them is at each pitch.

use std::f64::consts::TAU;

use thalweg::prelude::*;

/// Samples a second.
const RATE: f64 = 8000.0;
/// Samples of a frame: 16 ms.
const FRAME: usize = 128;
/// Frequencies at which each frame is measured, a third of an octave apart from the first, in Hz.
pub const BANDS: usize = 12;
const LOWEST: f64 = 200.0;
/// Pitches between which a digit glides, in bands: ten of the twelve ways from one to another are digits.
const PITCHES: [f64; 4] = [1.5, 4.0, 6.5, 9.0];
/// Digits of a recording, and frames of a digit and of a pause: from, to.
const DIGITS: (u32, u32) = (3, 7);
const LENGTH: (u32, u32) = (5, 10);
const PAUSE: (u32, u32) = (1, 3);
/// Frames of every recording, silence at the end included.
const TIME: usize = 96;

/// Recordings of a batch and what is said in them.
pub struct Batch {
    /// `[B, BANDS, TIME]`, and how many frames of each count, `[B]`.
    pub bands: Tensor,
    pub lengths: Tensor,
    /// Digits from 1 on: 0 is the blank.
    pub labels: Vec<Vec<i32>>,
}

impl Batch {
    /// So many recordings.
    pub fn new(size: usize, rng: &mut Rng, device: &Device) -> Batch {
        let mut bands = vec![0.0; size * BANDS * TIME];
        let (mut lengths, mut all) = (Vec::new(), Vec::new());
        for row in 0..size {
            let labels: Vec<i32> = (0..between(DIGITS, rng)).map(|_| 1 + rng.below(10) as i32).collect();
            let sound = record(&labels, rng);
            for (time, frame) in sound.chunks_exact(FRAME).enumerate() {
                for (band, value) in loudness(frame).into_iter().enumerate() {
                    bands[(row * BANDS + band) * TIME + time] = value;
                }
            }
            lengths.push((sound.len() / FRAME) as i32);
            all.push(labels);
        }
        let bands = Tensor::from_slice(device, &bands, [size, BANDS, TIME]);
        Batch { bands, lengths: Tensor::from_slice(device, &lengths, [size]), labels: all }
    }
}

/// Samples of these digits, spoken one after the other by one voice.
fn record(labels: &[i32], rng: &mut Rng) -> Vec<f64> {
    let (voice, speed) = (rng.uniform() - 0.5, 0.8 + 0.2 * rng.uniform());
    let (mut sound, mut phase) = (Vec::new(), 0.0);
    for label in labels {
        let way = (label - 1) as usize;
        let from = way / 3;
        let to = (from + 1 + way % 3) % 4;
        let samples = (f64::from(between(LENGTH, rng)) * speed) as usize * FRAME;
        let loud = 0.5 + rng.uniform();
        for i in 0..samples {
            let part = i as f64 / samples as f64;
            let band = PITCHES[from] + (PITCHES[to] - PITCHES[from]) * part + voice;
            phase += TAU * LOWEST * (band / 3.0).exp2() / RATE;
            // Rises and falls, so that there is no click at the ends.
            sound.push(loud * (part * std::f64::consts::PI).sin().sqrt() * phase.sin());
        }
        sound.resize(sound.len() + between(PAUSE, rng) as usize * FRAME, 0.0);
    }
    sound.iter_mut().for_each(|sample| *sample += 0.1 * rng.normal());
    sound
}

/// How loud a frame is at each frequency, as a logarithm.
fn loudness(frame: &[f64]) -> [f32; BANDS] {
    std::array::from_fn(|band| {
        let pace = TAU * LOWEST * (band as f64 / 3.0).exp2() / RATE;
        let (mut re, mut im) = (0.0, 0.0);
        for (i, sample) in frame.iter().enumerate() {
            let (sin, cos) = (pace * i as f64).sin_cos();
            re += sample * cos;
            im += sample * sin;
        }
        (((re * re + im * im).sqrt() / FRAME as f64 + 1e-3).ln() + 3.0) as f32
    })
}

fn between((from, to): (u32, u32), rng: &mut Rng) -> u32 {
    from + rng.below(to - from + 1)
}

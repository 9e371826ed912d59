//! Hyperparameters that a schedule may drive.

use std::ops::{Add, Mul};

use thalweg_graph::Tensor;

/// A hyperparameter in one step: the rule's own number, or what a schedule gives, looked up on the device.
#[derive(Clone, Debug)]
pub enum Setting {
    /// The rule's own.
    Own(f64),
    /// A schedule's, of rank 0.
    Scheduled(Tensor),
}

impl Setting {
    /// `1 - β`.
    pub fn rest(&self) -> Setting {
        match self {
            Setting::Own(beta) => Setting::Own(1.0 - beta),
            Setting::Scheduled(beta) => Setting::Scheduled(1.0 - beta),
        }
    }
}

impl From<f64> for Setting {
    fn from(number: f64) -> Setting {
        Setting::Own(number)
    }
}

impl From<&Setting> for Setting {
    fn from(setting: &Setting) -> Setting {
        setting.clone()
    }
}

impl Mul<&Setting> for &Tensor {
    type Output = Tensor;

    #[track_caller]
    fn mul(self, setting: &Setting) -> Tensor {
        match setting {
            Setting::Own(number) => self * *number,
            Setting::Scheduled(number) => self * number,
        }
    }
}

impl Mul<&Setting> for Tensor {
    type Output = Tensor;

    #[track_caller]
    fn mul(self, setting: &Setting) -> Tensor {
        &self * setting
    }
}

impl Add<&Setting> for Tensor {
    type Output = Tensor;

    #[track_caller]
    fn add(self, setting: &Setting) -> Tensor {
        match setting {
            Setting::Own(number) => self + *number,
            Setting::Scheduled(number) => self + number,
        }
    }
}

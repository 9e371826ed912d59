//! One-line descriptions for the head of a run, and the learning rate over it.

use thalweg_graph::Device;

/// The precision that training on this device uses: `f32`, or `mixed f16`.
pub fn precision(device: &Device) -> String {
    device.compute_dtype().map_or("f32".into(), |dtype| format!("mixed {dtype}"))
}

/// What a training step costs, after the first one: `plan: 14 launches of 9 kernels, 1.3 MiB planned`.
pub fn plan(device: &Device) -> String {
    match device.last_step() {
        Some(plan) => {
            let mib = plan.planned_bytes as f64 / f64::from(1 << 20);
            format!("plan: {} launches of {} kernels, {mib:.1} MiB planned", plan.launches, plan.kernels)
        }
        None => "plan: none yet".into(),
    }
}

/// The share of the peak learning rate in step `step` of `steps`: rises linearly in the first `warm_up` of them, then falls
/// as half a cosine to 0.
///
/// # Source
/// Smith & Topin 2017, arXiv:1708.07120; the cosine is Loshchilov & Hutter 2017, arXiv:1608.03983, equation 5.
pub fn one_cycle(step: usize, steps: usize, warm_up: f64) -> f64 {
    let t = (step as f64 + 1.0) / (steps.max(1) as f64 + 1.0);
    match t < warm_up {
        true => t / warm_up,
        false => 0.5 * (1.0 + (std::f64::consts::PI * ((t - warm_up) / (1.0 - warm_up)).min(1.0)).cos()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_cycle_rises_and_falls() {
        let at = |step| one_cycle(step, 100, 0.1);
        assert!(at(0) > 0.05 && at(0) < 0.15);
        assert!((0..9).all(|s| at(s) < at(s + 1)) && (12..99).all(|s| at(s) > at(s + 1)));
        assert!(at(99) > 0.0 && at(99) < 0.01);
        assert!(one_cycle(0, 0, 0.0).is_finite());
    }
}

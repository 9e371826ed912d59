//! Random programs; `cargo xtask fuzz` runs more of them.

use std::time::Duration;

use thalweg_tests::{
    cpu,
    fuzz::{Contender, Series},
    test_gpu,
};

fn agree(contenders: Vec<Contender>, seed: u64, count: u64) {
    let series = Series { seed, count: Some(count), until: None, contenders, shrink: Duration::from_secs(30) };
    let mut first = None;
    let tally = series.run(|failure, _| {
        first = failure;
        first.is_none()
    });
    if let Some(test) = first {
        panic!("program {} of {count} failed; as a test:\n\n{test}", tally.ran);
    }
}

#[test]
fn random_programs_agree_on_the_cpu() {
    agree(Contender::both("cpu", &cpu()), 1_000_000, 2000);
}

#[test]
fn random_programs_agree_on_a_gpu() {
    let gpu = test_gpu!();
    agree(Contender::both(&gpu.properties().name, &gpu), 2_000_000, 200);
}

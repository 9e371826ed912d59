use thalweg_tests::{Seed, cases, check_gradient, check_second};

#[test]
fn gradients_of_every_op_match_finite_differences() {
    for (i, case) in cases::small().iter().enumerate() {
        check_gradient(case, Seed(100 + 2 * i as u64));
    }
}

#[test]
fn gradients_of_gradients_match_finite_differences() {
    for (i, case) in cases::small().iter().enumerate().filter(|(_, c)| c.smooth) {
        check_second(case, Seed(9000 + 2 * i as u64));
    }
}

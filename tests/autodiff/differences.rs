use thalweg_tests::{Seed, cases, check_gradient, check_second};

#[test]
fn gradients_of_every_op_match_finite_differences() {
    for case in cases::small() {
        check_gradient(&case, Seed::of(&case.name));
    }
}

#[test]
fn gradients_of_gradients_match_finite_differences() {
    for case in cases::small().iter().filter(|c| c.smooth) {
        check_second(case, Seed::of(&case.name));
    }
}

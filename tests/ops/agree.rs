//! Every op family on the fast CPU and on a GPU against the strict executor, at shapes that have gone wrong somewhere.

use thalweg_tests::{Seed, assert_agree, cases, cpu, test_gpu};

/// Two tests for each family: one on the fast CPU, one on a GPU.
macro_rules! families {
    ($($family:ident: $cases:expr;)*) => {$(
        mod $family {
            use super::*;

            #[test]
            fn on_cpu() {
                let device = cpu();
                $cases.iter().for_each(|case| assert_agree(&device, case, Seed::of(&case.name)));
            }

            #[test]
            fn on_gpu() {
                let device = test_gpu!();
                $cases.iter().for_each(|case| assert_agree(&device, case, Seed::of(&case.name)));
            }
        }
    )*};
}

families! {
    unary: cases::unary(&[&[1], &[3, 257]]);
    binary: cases::binary(&[(&[1], &[1]), (&[257], &[257]), (&[3, 1], &[2, 1, 65]), (&[], &[7])]);
    reduce: {
        let mut all = cases::reduce(&[&[1, 7], &[2, 3, 4], &[3, 4099], &[1025, 5]]);
        all.push(cases::strided(37, 101));
        all
    };
    movement: cases::movement();
    matmul: cases::matmul(&[
        (&[1, 1], &[1, 1]), (&[7, 13], &[13, 5]), (&[31, 33], &[33, 65]), (&[64, 64], &[64, 64]), (&[65, 129], &[129, 63]),
        (&[2, 3, 4], &[4, 3]), (&[2, 1, 5, 6], &[3, 6, 7]), (&[3, 2000], &[2000, 2]),
    ]);
    conv: cases::conv();
    pool: cases::pool();
    index: cases::index();
    rearrange: cases::rearrange();
    scatter: cases::scatter();
    order: [2, 5, 37].into_iter().flat_map(cases::order).collect::<Vec<_>>();
    distance: cases::distance();
    einsum: cases::einsum();
    loss: cases::loss();
    attention: cases::attention();
    interpolate: cases::interpolate();
    grid_sample: cases::grid_sample();
    norm: cases::norm(&[&[1, 2], &[3, 7], &[64, 256], &[5, 4099]]);
}

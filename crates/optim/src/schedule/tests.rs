//! Every schedule at the points of the specification, and what holds for all of them.

use super::*;

/// A schedule, and the rates that it has at some points, to ten digits.
type Vector = (&'static str, Schedule, &'static [(f64, f64)]);

fn vectors() -> Vec<Vector> {
    let triangles = |peaks| Cyclic { peaks, ..Cyclic::new(0.001, 0.006, 4.0) };
    let one_cycle = OneCycle::new(0.1, 100.0);
    let restarts = |mult| Restarts { to: 0.001, mult, ..Restarts::new(0.1, 10.0) };
    vec![
        ("constant", Constant(0.1).into(), &[(0.0, 0.1), (1.0, 0.1), (1000.0, 0.1)]),
        (
            "constant factor",
            constant_factor(0.1, 1.0 / 3.0, 5.0),
            &[(0.0, 0.033_333_333_33), (4.0, 0.033_333_333_33), (5.0, 0.1)],
        ),
        (
            "step",
            StepDecay { rate: 0.1, every: 30.0, gamma: 0.1 }.into(),
            &[(0.0, 0.1), (29.0, 0.1), (30.0, 0.01), (59.0, 0.01), (60.0, 0.001), (90.0, 1e-4)],
        ),
        (
            "multistep",
            MultiStep { rate: 0.1, at: vec![80.0, 120.0], gamma: 0.1 }.into(),
            &[(0.0, 0.1), (79.0, 0.1), (80.0, 0.01), (119.0, 0.01), (120.0, 0.001), (159.0, 0.001)],
        ),
        (
            "exponential",
            Exponential { rate: 0.1, gamma: 0.95 }.into(),
            &[(0.0, 0.1), (1.0, 0.095), (2.0, 0.09025), (10.0, 0.059_873_693_92), (50.0, 0.007_694_497_528)],
        ),
        ("inverse time", InverseTime { rate: 0.1, k: 0.5 }.into(), &[(0.0, 0.1), (2.0, 0.05), (18.0, 0.01)]),
        (
            "cosine",
            Cosine { from: 0.1, to: 0.001, over: 100.0 }.into(),
            &[
                (0.0, 0.1),
                (1.0, 0.099_975_574_74),
                (25.0, 0.085_501_785_67),
                (50.0, 0.0505),
                (75.0, 0.015_498_214_33),
                (99.0, 0.001_024_425_262),
                (100.0, 0.001),
                (150.0, 0.001),
            ],
        ),
        (
            "cosine to 0",
            Cosine { from: 0.1, to: 0.0, over: 100.0 }.into(),
            &[
                (0.0, 0.1),
                (10.0, 0.097_552_825_81),
                (33.0, 0.075_452_070_79),
                (50.0, 0.05),
                (90.0, 0.002_447_174_185),
                (100.0, 0.0),
            ],
        ),
        (
            "cosine wave",
            CosineWave { from: 0.1, to: 0.001, half: 100.0 }.into(),
            &[(0.0, 0.1), (75.0, 0.015_498_214_33), (100.0, 0.001), (125.0, 0.015_498_214_33), (200.0, 0.1)],
        ),
        (
            "restarts",
            restarts(2.0).into(),
            &[
                (0.0, 0.1),
                (5.0, 0.0505),
                (9.0, 0.003_422_702_443),
                (10.0, 0.1),
                (20.0, 0.0505),
                (29.0, 0.001_609_427_141),
                (30.0, 0.1),
                (50.0, 0.0505),
                (69.0, 0.001_152_591_98),
                (70.0, 0.1),
            ],
        ),
        (
            "equal restarts",
            restarts(1.0).into(),
            &[(0.0, 0.1), (5.0, 0.0505), (9.0, 0.003_422_702_443), (10.0, 0.1), (15.0, 0.0505), (20.0, 0.1)],
        ),
        (
            "falling restarts",
            Restarts { decay: 0.5, ..restarts(2.0) }.into(),
            &[(0.0, 0.1), (10.0, 0.05), (20.0, 0.0255), (30.0, 0.025)],
        ),
        (
            "warm-up from 0",
            Linear { from: 0.0, to: 0.1, over: 10.0 }.into(),
            &[(0.0, 0.0), (1.0, 0.01), (5.0, 0.05), (9.0, 0.09), (10.0, 0.1), (11.0, 0.1)],
        ),
        (
            "warm-up",
            WarmUp { to: 0.1, over: 10.0 }.into(),
            &[(0.0, 0.01), (1.0, 0.02), (5.0, 0.06), (9.0, 0.1), (10.0, 0.1)],
        ),
        (
            "warm-up from a start",
            Linear { from: 1e-7, to: 0.1, over: 10.0 }.into(),
            &[(0.0, 1e-7), (1.0, 0.010_000_09), (5.0, 0.050_000_05), (10.0, 0.1)],
        ),
        (
            "geometric warm-up",
            Geometric { from: 0.001, to: 0.1, over: 10.0 }.into(),
            &[(0.0, 0.001), (1.0, 0.001_584_893_192), (5.0, 0.01), (9.0, 0.063_095_734_45), (10.0, 0.1), (20.0, 0.1)],
        ),
        (
            "saturating warm-up",
            SaturatingWarmUp { to: 0.1, beta2: 0.999 }.into(),
            &[
                (0.0, 9.995_001_666e-5),
                (9.0, 0.000_995_016_625_1),
                (99.0, 0.009_516_258_196),
                (999.0, 0.063_212_055_88),
                (4999.0, 0.099_326_205_3),
            ],
        ),
        (
            "warm-up and cosine",
            WarmUp { to: 0.1, over: 5.0 }.then(Cosine { from: 0.1, to: 0.0, over: 20.0 }),
            &[(0.0, 0.02), (4.0, 0.1), (5.0, 0.1), (15.0, 0.05), (24.0, 0.000_615_582_970_2)],
        ),
        (
            "noam",
            Noam { d_model: 512.0, warm_up: 4000.0, scale: 1.0 }.into(),
            &[
                (0.0, 1.746_928_107e-7),
                (99.0, 1.746_928_107e-5),
                (3999.0, 0.000_698_771_243),
                (4000.0, 0.000_698_683_912_9),
                (9999.0, 0.000_441_941_738_2),
                (99_999.0, 0.000_139_754_248_6),
            ],
        ),
        (
            "inverse square root",
            Linear { from: 0.0, to: 0.1, over: 10.0 }.then(InverseSqrt { rate: 0.1, timescale: 10.0 }),
            &[(0.0, 0.0), (5.0, 0.05), (10.0, 0.1), (20.0, 0.070_710_678_12), (40.0, 0.05), (90.0, 0.033_333_333_33)],
        ),
        (
            "t5",
            t5(),
            &[
                (0.0, 0.01),
                (9_999.0, 0.01),
                (10_000.0, 0.009_999_500_037),
                (39_999.0, 0.005),
                (249_999.0, 0.002),
                (524_287.0, 0.001_381_067_932),
            ],
        ),
        (
            "palm",
            palm(),
            &[
                (0.0, 0.01),
                (9_999.0, 0.01),
                (10_000.0, 0.009_999_500_037),
                (49_999.0, 0.004_472_135_955),
                (114_999.0, 0.002_948_839_123),
                (254_999.0, 0.001_980_295_086),
            ],
        ),
        (
            "polynomial",
            Polynomial { to: 0.001, ..Polynomial::new(0.1, 100.0, 2.0) }.into(),
            &[(0.0, 0.1), (10.0, 0.08119), (50.0, 0.02575), (99.0, 0.001_009_9), (100.0, 0.001), (200.0, 0.001)],
        ),
        (
            "polynomial in cycles",
            Polynomial { to: 0.001, cycle: true, ..Polynomial::new(0.1, 100.0, 1.0) }.into(),
            &[
                (0.0, 0.1),
                (50.0, 0.0505),
                (100.0, 0.001),
                (101.0, 0.050_005),
                (150.0, 0.02575),
                (200.0, 0.001),
                (201.0, 0.03367),
            ],
        ),
        ("bert", bert(1e-4), &[(0.0, 0.0), (5000.0, 5e-5), (10_000.0, 1e-4), (505_000.0, 5e-5), (1e6, 0.0)]),
        (
            "triangular",
            triangles(Peaks::Equal).into(),
            &[
                (0.0, 0.001),
                (1.0, 0.00225),
                (2.0, 0.0035),
                (4.0, 0.006),
                (6.0, 0.0035),
                (8.0, 0.001),
                (12.0, 0.006),
                (16.0, 0.001),
                (20.0, 0.006),
            ],
        ),
        (
            "triangular2",
            triangles(Peaks::Halved).into(),
            &[
                (0.0, 0.001),
                (1.0, 0.00225),
                (2.0, 0.0035),
                (4.0, 0.006),
                (6.0, 0.0035),
                (8.0, 0.001),
                (12.0, 0.0035),
                (16.0, 0.001),
                (20.0, 0.00225),
            ],
        ),
        (
            "exp_range",
            triangles(Peaks::Exponential(0.99)).into(),
            &[
                (0.0, 0.001),
                (1.0, 0.002_237_5),
                (2.0, 0.003_450_25),
                (4.0, 0.005_802_980_05),
                (6.0, 0.003_353_700_374),
                (8.0, 0.001),
                (12.0, 0.005_431_924_359),
                (16.0, 0.001),
                (20.0, 0.005_089_534_688),
            ],
        ),
        (
            "one cycle",
            one_cycle.into(),
            &[
                (0.0, 0.004),
                (1.0, 0.004_281_378_057),
                (15.0, 0.054_598_667_61),
                (29.0, 0.1),
                (30.0, 0.099_949_653_53),
                (64.0, 0.050_000_2),
                (98.0, 5.074_647_155e-5),
                (99.0, 4e-7),
            ],
        ),
        (
            "one cycle in three lines",
            OneCycle { curve: Curve::Linear, phases: Phases::Three, ..one_cycle }.into(),
            &[
                (0.0, 0.004),
                (15.0, 0.053_655_172_41),
                (29.0, 0.1),
                (40.0, 0.063_586_206_9),
                (58.0, 0.004),
                (80.0, 0.001_853_873_171),
                (99.0, 4e-7),
            ],
        ),
        (
            "momentum of one cycle",
            one_cycle.momentum(0.85, 0.95).into(),
            &[(0.0, 0.95), (15.0, 0.897_293_054_6), (29.0, 0.85), (64.0, 0.9), (99.0, 0.95)],
        ),
        (
            "gpt3, by tokens",
            gpt3(6e-5),
            &[
                (0.0, 0.0),
                (1e6, 1.6e-7),
                (1.875e8, 3e-5),
                (3.75e8, 6e-5),
                (1e10, 5.981_708_43e-5),
                (1.3e11, 3.306_125_874e-5),
                (2e11, 1.280_896_953e-5),
                (2.6e11, 6e-6),
                (3e11, 6e-6),
            ],
        ),
        (
            "llama",
            llama(3e-4, 250e3),
            &[
                (0.0, 0.0),
                (1000.0, 0.00015),
                (2000.0, 0.0003),
                (50_000.0, 0.000_275_803_064_6),
                (126_000.0, 0.000_165),
                (250_000.0, 3e-5),
            ],
        ),
        (
            "gopher",
            gopher(2e-4, 1e5),
            &[(0.0, 1e-7), (750.0, 0.000_100_05), (1500.0, 2e-4), (50_750.0, 1.1e-4), (1e5, 2e-5)],
        ),
        ("gpt", gpt(2.5e-4, 1e5), &[(0.0, 0.0), (2000.0, 2.5e-4), (51_000.0, 1.25e-4), (1e5, 0.0)]),
        ("opt, by tokens", opt(1.2e-4, 4e9), &[(0.0, 0.0), (2e9, 6e-5), (4e9, 1.2e-4), (300e9, 1.2e-5)]),
        (
            "wsd",
            wsd(WarmUp { to: 1e-3, over: 10.0 }, 80.0, Root { from: 1e-3, to: 0.0, over: 16.0 }),
            &[(0.0, 1e-4), (9.0, 1e-3), (89.0, 1e-3), (90.0, 1e-3), (94.0, 5e-4), (99.0, 2.5e-4), (106.0, 0.0)],
        ),
        (
            "range test",
            Geometric { from: 1e-7, to: 10.0, over: 99.0 }.into(),
            &[(0.0, 1e-7), (1.0, 1.204_503_54e-7), (50.0, 0.001_097_498_765), (99.0, 10.0)],
        ),
        (
            "stairs",
            Stairs { from: 16.0, to: 64.0, rise: 16.0, over: 1000.0 }.into(),
            &[(0.0, 16.0), (333.0, 16.0), (334.0, 32.0), (666.0, 32.0), (667.0, 48.0), (999.0, 48.0), (1001.0, 64.0)],
        ),
        ("a function", Lambda::new("0.9^t", |t| 0.9f64.powf(t)).into(), &[(0.0, 1.0), (1.0, 0.9), (2.0, 0.81)]),
        (
            "factors",
            Multiplicative::new(0.1, "1 / t", |t| 1.0 / t).into(),
            &[(3.0, 0.1 / 6.0), (1.0, 0.1), (0.0, 0.1), (4.0, 0.1 / 24.0)],
        ),
        (
            "product",
            WarmUp { to: 1.0, over: 4.0 }.times(StepDecay { rate: 0.1, every: 2.0, gamma: 0.5 }),
            &[(0.0, 0.025), (1.0, 0.05), (2.0, 0.0375), (4.0, 0.025)],
        ),
        (
            "within bounds",
            Exponential { rate: 1.0, gamma: 0.5 }.clamp(0.1, 0.4),
            &[(0.0, 0.4), (2.0, 0.25), (9.0, 0.1)],
        ),
        (
            "by epochs",
            StepDecay { rate: 1.0, every: 1.0, gamma: 0.5 }.in_epochs(50.0),
            &[(49.0, 1.0), (50.0, 0.5), (100.0, 0.25)],
        ),
        (
            "by whole epochs",
            Exponential { rate: 1.0, gamma: 0.5 }.in_whole_epochs(50.0),
            &[(49.0, 1.0), (50.0, 0.5), (99.0, 0.5)],
        ),
        (
            "by samples of growing batches",
            Linear { from: 0.0, to: 1.0, over: 40.0 }.in_samples(BatchSize::by_steps(Constant(4.0).until(5.0, 10.0))),
            &[(0.0, 0.0), (5.0, 0.5), (6.0, 0.75), (7.0, 1.0)],
        ),
        (
            "by the root of growing batches",
            Constant(0.1).coupled(Coupling::Sqrt { at: 4.0 }, BatchSize::by_steps(Constant(4.0).until(5.0, 16.0))),
            &[(0.0, 0.1), (4.0, 0.1), (5.0, 0.2)],
        ),
        (
            "of a batch four times as large",
            Constant(0.1).coupled(Coupling::Linear { at: 256.0 }, 1024.0),
            &[(0.0, 0.4)],
        ),
    ]
}

#[test]
fn every_schedule_has_the_rates_of_the_specification() {
    for (name, schedule, points) in vectors() {
        assert_eq!(schedule.check(), Ok(()), "{name}");
        for (t, want) in points {
            let got = schedule.at(*t);
            assert!((got - want).abs() <= 5e-10 * want.abs(), "{name} at {t}: {got:e}, not {want:e}");
        }
    }
}

/// Near the start, at every length that there is and beyond it, and very late.
#[test]
fn every_rate_is_finite_and_not_negative() {
    for (name, schedule, points) in vectors() {
        let late = points.iter().flat_map(|(t, _)| [t + 0.5, 2.0 * t, 1e7, 1e7 + 0.5]);
        for t in (0..3000).map(f64::from).chain(late) {
            let rate = schedule.at(t);
            assert!(rate >= 0.0 && rate.is_finite(), "{name} at {t}: {rate}");
        }
    }
}

#[test]
fn schedules_are_equal_to_their_clones_alone_and_print_apart() {
    let all = vectors();
    for (i, (name, one, _)) in all.iter().enumerate() {
        assert_eq!(one, &one.clone(), "{name}");
        for (other, two, _) in all.iter().skip(i + 1).filter(|(other, ..)| *other != "palm") {
            assert_ne!(one, two, "{name}, {other}");
            assert_ne!(one.to_string(), two.to_string(), "{name}, {other}");
        }
    }
}

#[test]
fn they_print_as_what_makes_them() {
    let print = |schedule: Schedule, text: &str| assert_eq!(schedule.to_string(), text);
    print(0.1.into(), "Constant(0.1)");
    print(
        llama(2e-4, 1e4).in_tokens(4e6),
        concat!(
            "Linear { from: 0.0, to: 0.0002, over: 2000.0 }.until(2000.0, ",
            "Cosine { from: 0.0002, to: 2e-5, over: 8000.0 }).in_tokens(4000000.0)"
        ),
    );
    print(Lambda::new("0.9^t", |t| 0.9f64.powf(t)).times(0.1), "Lambda::new(\"0.9^t\", ..).times(Constant(0.1))");
    let sizes = BatchSize::by_steps(Constant(8.0).until(10.0, 16.0)).sequence(128).multiple(4);
    print(
        Exponential { rate: 1.0, gamma: 0.5 }.clamp(0.1, 1.0).in_tokens(sizes),
        "Exponential { rate: 1.0, gamma: 0.5 }.clamp(0.1, 1.0).in_tokens(BatchSize::by_steps(Constant(8.0).until(10.0, \
         Constant(16.0))).sequence(128).multiple(4))",
    );
}

#[test]
fn a_cosine_is_symmetric() {
    let (from, to, over) = (0.1, 0.001, 97.0);
    let cosine = Cosine { from, to, over };
    assert_eq!((cosine.at(0.0), cosine.at(over)), (from, to));
    for t in 0..=97 {
        let sum = cosine.at(f64::from(t)) + cosine.at(over - f64::from(t));
        assert!((sum - (from + to)).abs() < 1e-12 * (from + to), "{t}: {sum}");
    }
}

/// No jump where a warm-up ends: not more than the step before it.
#[test]
fn warm_ups_lead_over() {
    for (name, schedule, boundary) in [
        ("llama", llama(3e-4, 250e3), 2000.0),
        ("gopher", gopher(3e-4, 250e3), 1500.0),
        ("bert", bert(1e-4), 1e4),
        ("wsd", wsd(WarmUp { to: 0.1, over: 50.0 }, 50.0, Root { from: 0.1, to: 0.0, over: 50.0 }), 50.0),
        (
            "inverse square root",
            Linear { from: 0.0, to: 0.1, over: 64.0 }.then(InverseSqrt { rate: 0.1, timescale: 64.0 }),
            64.0,
        ),
    ] {
        let slope = schedule.at(boundary / 2.0 + 1.0) - schedule.at(boundary / 2.0);
        let jump = schedule.at(boundary) - schedule.at(boundary - 1.0);
        assert!(jump.abs() <= slope * (1.0 + 1e-9), "{name}: {jump:e} after {slope:e}");
    }
}

#[test]
fn steps_and_tokens_agree_where_a_step_is_always_worth_the_same() {
    let (by_step, by_token) = (llama(3e-4, 1e4), |batch: Worth| {
        let rise = Linear { from: 0.0, to: 3e-4, over: 2000.0 * 4096.0 };
        rise.then(Cosine { from: 3e-4, to: 3e-5, over: 8000.0 * 4096.0 }).in_tokens(batch)
    });
    let (fixed, scheduled) = (by_token(4096.0.into()), by_token(BatchSize::by_tokens(4096.0, 512).into()));
    for t in (0..12_000).step_by(7).map(f64::from) {
        let want = by_step.at(t);
        for got in [fixed.at(t), scheduled.at(t)] {
            assert!((got - want).abs() <= 1e-12 * want, "{t}: {got:e}, not {want:e}");
        }
    }
    assert_eq!((fixed.length(), scheduled.length(), by_step.length()), (1e4, 1e4, 1e4));
}

#[test]
fn cycles_come_again_and_restarts_are_exact() {
    let cyclic = Cyclic { up: 3.0, down: 5.0, ..Cyclic::new(0.001, 0.1, 0.0) };
    let restarts = Restarts { mult: 3.0, ..Restarts::new(0.1, 7.0) };
    for t in 0..200 {
        let (one, later) = (cyclic.at(f64::from(t)), cyclic.at(f64::from(t + 8)));
        assert!((one - later).abs() < 1e-15, "{t}: {one}, {later}");
    }
    let mut boundary = 0.0;
    for i in 0..15 {
        assert_eq!(restarts.at(boundary), 0.1, "restart {i}");
        boundary += 7.0 * 3f64.powi(i);
    }
}

#[test]
fn numbers_that_make_no_schedule_are_told() {
    let cases: [(Schedule, &str); 10] = [
        ((-0.1).into(), "the rate = -0.1 is not a rate"),
        (Cosine { from: f64::NAN, to: 0.0, over: 1.0 }.into(), "from = NaN is not a rate"),
        (Geometric { from: 0.0, to: 1.0, over: 1.0 }.into(), "from = 0 is not a positive number"),
        (StepDecay { rate: 1.0, every: 0.0, gamma: 0.1 }.into(), "every = 0 is not a positive number"),
        (MultiStep { rate: 1.0, at: vec![-1.0], gamma: 0.1 }.into(), "a milestone = -1 is not a length"),
        (OneCycle { rise: 1.5, ..OneCycle::new(1.0, 10.0) }.into(), "rise = 1.5 is not in [0, 1]"),
        (Constant(0.1).then(0.2), "Constant(0.1) does not end: say until(..) when Constant(0.2) is to begin"),
        (Constant(0.1).clamp(0.5, 0.4), "high = 0.4 is not at least the lower bound"),
        (Constant(0.1).in_tokens(0.0), "tokens of a step = 0 is not a positive number"),
        (
            Stairs { from: 1.0, to: 8.0, rise: 2.0, over: 9.0 }.into(),
            "rise = 2 is not a whole share of the way from the first to the last",
        ),
    ];
    for (schedule, problem) in cases {
        assert_eq!(schedule.check(), Err(problem.to_string()), "{schedule}");
    }
}

#[test]
fn batches_grow_by_what_was_consumed() {
    let ramp = |over| BatchSize::by_tokens(Linear { from: 32_768.0, to: 3.2e6, over }, 2048);
    let sizes = ramp(4e9);
    for (tokens, sequences) in
        [(0.0, 16), (1e6, 16), (1e8, 54), (1e9, 402), (2e9, 789), (3.99e9, 1558), (4e9, 1562), (1e10, 1562)]
    {
        assert_eq!(sizes.at(tokens), sequences, "{tokens} tokens");
    }
    for (over, steps) in [(4e9, 5828.0), (1.2e10, 17_479.0)] {
        assert_eq!(ramp(over).steps_for(over, BatchSize::tokens_before), steps);
    }
    let mut consumed = 0.0;
    for step in 0..100 {
        assert_eq!(sizes.tokens_before(step), consumed);
        assert!(sizes.of_step(step) <= sizes.of_step(step + 1));
        consumed += (sizes.of_step(step) * 2048) as f64;
    }
    // In stages by step, and to multiples.
    let palm = BatchSize::by_steps(Constant(512.0).until(50e3, 1024.0).until(115e3, 2048.0)).sequence(2048);
    assert_eq!(palm.tokens_before(255_000), 775_946_240_000.0);
    assert_eq!((palm.of_step(49_999), palm.of_step(50_000), palm.of_step(254_999)), (512, 1024, 2048));
    let whole = BatchSize::by_samples(Linear { from: 3.0, to: 41.0, over: 100.0 }).multiple(8);
    assert_eq!([0.0, 40.0, 60.0, 100.0].map(|n| whole.at(n)), [8, 16, 24, 40]);
}

#[test]
fn the_rate_follows_the_batch_as_it_is_coupled() {
    let noise = Coupling::Noise { scale: 1024.0 };
    let (linear, sqrt) = (Coupling::Linear { at: 256.0 }, Coupling::Sqrt { at: 256.0 });
    for (batch, by_linear, by_sqrt, by_noise) in [
        (64.0, 0.025, 0.05, 0.029_411_764_71),
        (256.0, 0.1, 0.1, 0.1),
        (1024.0, 0.4, 0.2, 0.25),
        (8192.0, 3.2, 0.565_685_424_9, 0.444_444_444_4),
    ] {
        let got = [linear.rate(0.1, batch), sqrt.rate(0.1, batch), noise.rate(0.5, batch)];
        for (got, want) in got.into_iter().zip([by_linear, by_sqrt, by_noise]) {
            assert!((got - want).abs() < 1e-10, "{batch}: {got}, not {want}");
        }
        assert_eq!(Coupling::None.rate(0.1, batch), 0.1);
    }
}

#[test]
fn batches_grow_instead_of_a_decay_up_to_the_largest() {
    let (sizes, rate) = instead_of_decay(StepDecay { rate: 0.8, every: 10.0, gamma: 0.5 }, 100.0, 400.0);
    let (sizes, rates) = ([0, 10, 20, 30].map(|step| sizes.of_step(step)), [0.0, 10.0, 20.0, 30.0].map(|t| rate.at(t)));
    assert_eq!((sizes, rates), ([100, 200, 400, 400], [0.8, 0.8, 0.8, 0.4]));
}

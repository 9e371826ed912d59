//! A profile of a step: what ran, where in the caller's code it comes from, what it cost.

use std::time::Duration;

use thalweg::prelude::*;
use thalweg_graph::{Profile, Row, Span, backend::Phase};
use thalweg_tests::{cpu, own_gpu, strict, test_gpu};

#[derive(Module)]
struct Mlp {
    norm: LayerNorm,
    hidden: Linear,
    head: Linear,
}

impl Mlp {
    fn new(device: &Device) -> thalweg_graph::Result<Mlp> {
        let mut rng = Rng::seed(3);
        Ok(Mlp {
            norm: LayerNorm::new(16).init(device, &mut rng)?,
            hidden: Linear::new(16, 24).init(device, &mut rng)?,
            head: Linear::new(24, 10).init(device, &mut rng)?,
        })
    }

    fn forward(&self, x: &Tensor) -> Tensor {
        self.head.forward(&self.hidden.forward(&self.norm.forward(x)).gelu())
    }
}

/// The lines of the loss and of the step.
const LOSS: u32 = line!() + 7;
const STEP: u32 = LOSS + 1;

fn step(net: &Mlp, opt: &Optimizer, device: &Device) -> thalweg_graph::Result<()> {
    let mut rng = Rng::seed(5);
    let x: Vec<f32> = (0..8 * 16).map(|_| rng.normal() as f32).collect();
    let labels = Tensor::from_slice(device, &[1, 2, 3, 4, 5, 6, 7, 8], [8]);
    let loss = net.forward(&Tensor::from_slice(device, &x, [8, 16])).cross_entropy(&labels);
    opt.step(&loss)
}

fn profiled(device: &Device) -> thalweg_graph::Result<Profile> {
    let net = Mlp::new(device)?;
    let opt = AdamW::default().init(&net)?.clip_norm(1.0);
    step(&net, &opt, device)?;
    let (stepped, profile) = device.profile(|| step(&net, &opt, device));
    stepped.map(|()| profile)
}

fn line(span: &Span) -> (&'static str, u32) {
    span.label().map_or(("", 0), |label| (label.location.file(), label.location.line()))
}

#[test]
fn every_launch_is_of_a_line_of_ours() -> thalweg_graph::Result<()> {
    for device in [cpu(), own_gpu(), strict()] {
        let profile = profiled(&device)?;
        for span in profile.spans() {
            assert_eq!(line(span).0, file!(), "on {device}: {span}");
        }
        let launches = device.last_step().map_or(0, |step| step.launches);
        assert!(device.properties().api == "strict" || profile.spans().len() >= launches, "{device}");
    }
    Ok(())
}

#[test]
fn launches_tell_phase_layer_and_method() -> thalweg_graph::Result<()> {
    for device in [cpu(), test_gpu!()] {
        let profile = profiled(&device)?;
        let text = profile.to_string();
        let names = |rows: Vec<Row>| rows.into_iter().map(|row| row.name).collect::<Vec<_>>();
        let phases = names(profile.by_phase());
        assert!(["forward", "backward", "update"].iter().all(|phase| phases.contains(&phase.to_string())), "{text}");
        let layers = names(profile.by_layer());
        assert!(["hidden", "head", "(update)"].iter().all(|layer| layers.contains(&layer.to_string())), "{text}");
        let ops = names(profile.by_op());
        assert!(["matmul", "cross_entropy"].iter().all(|op| ops.contains(&op.to_string())), "{text}");
        for span in profile.spans() {
            match span.phase() {
                Phase::Update => assert_eq!(line(span).1, STEP, "{span}"),
                Phase::Forward | Phase::Backward => assert_ne!(line(span).1, STEP, "{span}"),
            }
            for label in span.members.iter().filter(|label| label.composite == Some("cross_entropy")) {
                assert_eq!((label.location.line(), label.layer()), (LOSS, Some("head")), "{span}");
            }
        }
    }
    Ok(())
}

/// A product of `[8, 16]` and `[16, 24]`, and its two adjoints but for the gradient of what has none.
#[test]
fn products_cost_twice_their_terms() -> thalweg_graph::Result<()> {
    for device in [cpu(), test_gpu!()] {
        let mut rng = Rng::seed(3);
        let [a, b] = [[8, 16], [16, 24]].map(|shape| {
            let values: Vec<f32> = (0..shape[0] * shape[1]).map(|_| rng.normal() as f32).collect();
            Tensor::from_slice(&device, &values, shape)
        });
        let (read, profile) = device.profile(|| a.matmul(&b).to_vec::<f32>());
        read?;
        let [span] = profile.spans() else { panic!("{profile}") };
        assert_eq!((span.cost.flop, span.cost.bytes), (2 * 8 * 16 * 24, 4 * (8 * 16 + 16 * 24 + 8 * 24)), "{span}");
    }
    Ok(())
}

#[test]
fn trace_events_follow_each_other() -> thalweg_graph::Result<()> {
    for device in [cpu(), test_gpu!(), strict()] {
        let profile = profiled(&device)?;
        let events: Vec<serde_json::Value> = serde_json::from_str(&profile.trace_events()).unwrap();
        assert_eq!(events.len(), profile.spans().len());
        let number = |event: &serde_json::Value, key: &str| event[key].as_f64().unwrap();
        let mut end = 0.0;
        for event in &events {
            assert_eq!(event["ph"], "X");
            assert!(event["args"]["line"].as_str().unwrap().starts_with(file!()), "{event}");
            // A nanosecond for what is lost in microseconds.
            assert!(number(event, "ts") >= end - 1e-3, "{event} begins before {end} on {device}");
            end = number(event, "ts") + number(event, "dur");
        }
        assert!(end <= profile.elapsed().as_secs_f64() * 1e6, "{end} is after the end, on {device}");
    }
    Ok(())
}

#[test]
fn a_trace_is_a_whole_file_of_its_events() -> thalweg_graph::Result<()> {
    let folder = std::env::temp_dir().join(format!("thalweg-trace-{}", std::process::id()));
    let (profile, path) = (profiled(&cpu())?, folder.join("step.json"));
    profile.write_trace(&path)?;
    assert_eq!(std::fs::read_to_string(&path).ok(), Some(profile.trace_events()));
    let text = profile.write_trace(path.join("below")).unwrap_err().to_string();
    assert!(text.contains("cannot be written") && text.contains(file!()), "{text}");
    std::fs::remove_dir_all(folder).ok();
    Ok(())
}

#[test]
fn a_profile_is_of_one_device_and_of_what_is_inside() -> thalweg_graph::Result<()> {
    let (inside, outside) = (cpu(), cpu());
    let run = |device: &Device| (Tensor::full(device, 3.0, [4], DType::F32) * 2.0).to_vec::<f32>().map(drop);
    run(&inside)?;
    let ((ran, inner), outer) = inside.profile(|| {
        run(&inside).and_then(|()| run(&outside)).unwrap();
        inside.profile(|| run(&inside))
    });
    ran?;
    run(&inside)?;
    assert_eq!((inner.spans().len(), outer.spans().len()), (1, 2));
    assert!(outer.busy() >= inner.busy() && inner.busy() > Duration::ZERO);
    let ((), nothing) = inside.profile(|| ());
    assert!(nothing.spans().is_empty() && nothing.to_string().contains("0 launches"), "{nothing}");
    Ok(())
}

//! Steps of losses that look where there is nothing: they are not taken.

use thalweg::prelude::*;
use thalweg_tests::{cpu, own_gpu, strict};

#[derive(Clone, Module)]
struct Net {
    table: Param,
    seen: State,
    head: Linear,
}

impl Net {
    fn new(device: &Device) -> Result<Net> {
        Ok(Net {
            table: Param::new(Tensor::ones(device, [4, 2]))?,
            seen: State::new(Tensor::zeros(device, [2]))?,
            head: Linear::new(2, 3).init(device, &mut Rng::seed(3))?,
        })
    }

    fn loss(&self, ids: &Tensor, classes: &Tensor) -> Tensor {
        let rows = self.table.tensor().embedding(ids);
        // Written by the very launch that looks there.
        self.seen.set(&(self.seen.tensor() * 0.5 + rows.detach().sum(0)));
        self.head.forward(&rows).cross_entropy(classes)
    }

    fn values(&self) -> Result<Vec<f32>> {
        let weight = self.head.weight.tensor();
        Ok([self.table.tensor(), self.seen.tensor(), weight]
            .iter()
            .map(Tensor::to_vec::<f32>)
            .collect::<Result<Vec<_>>>()?
            .concat())
    }
}

fn numbers(device: &Device, of: [i32; 2]) -> Tensor {
    Tensor::from_slice(device, &of, [2])
}

#[test]
fn a_step_that_looks_outside_is_not_taken() {
    let bad =
        [([0, 9], [0, 2], "embedding: index 9", "extent 4"), ([0, 3], [0, 3], "cross_entropy: index 3", "extent 3")];
    for (ids, classes, what, extent) in bad {
        for device in [strict(), cpu(), own_gpu()] {
            let net = Net::new(&device).unwrap();
            let opt = Sgd { lr: 0.5, ..Sgd::default() }.init(&net).unwrap();
            let good = || net.loss(&numbers(&device, [0, 3]), &numbers(&device, [0, 2]));
            opt.step(&good()).unwrap();
            let before = net.values().unwrap();
            let loss = net.loss(&numbers(&device, ids), &numbers(&device, classes));
            let told = opt.step(&loss);
            let gpu = told.is_ok();
            assert_eq!(
                gpu,
                device.properties().api != "cpu" && device.properties().api != "strict",
                "{device}: {told:?}"
            );
            // The step itself says so, or what reads next.
            let text = told.err().or_else(|| device.synchronize().err()).expect("an error").to_string();
            assert!(text.contains(what) && text.contains(extent) && text.contains("outside.rs"), "{device}: {text}");
            if gpu {
                assert_eq!(opt.report().unwrap().skipped, 1, "{device}");
            }
            assert_eq!((Tensor::ones(&device, [1]) + 1.0).item().unwrap(), 2.0, "an innocent read on {device}");
            if !gpu {
                // What was set and not computed would look there again.
                net.seen.set(&Tensor::from_slice(&device, &before[8..10], [2]));
            }
            assert_eq!(net.values().unwrap(), before, "{device}");
            opt.step(&good()).unwrap();
            assert_ne!(net.values().unwrap(), before, "{device}");
        }
    }
}

//! Modes reach every part that has one, whatever it is kept in.

use std::collections::BTreeMap;

use thalweg::prelude::*;

use super::{assert_same, devices, param};

#[derive(Clone, Module)]
enum Shape {
    Plain(Dropout),
    Wide { drop: Dropout, scale: Param },
}

#[derive(Clone, Module)]
struct Model {
    attended: Dropout,
    pair: Option<(Dropout, Param)>,
    map: BTreeMap<String, Dropout>,
    list: [Dropout; 2],
    boxed: Box<Dropout>,
    shapes: Vec<Shape>,
}

impl Model {
    fn new(device: &Device) -> Result<Model> {
        let rng = &mut Rng::seed(2);
        let mut drop = || Dropout::new(0.5).init(device, rng);
        Ok(Model {
            attended: drop()?,
            pair: Some((drop()?, param(device, &[2.0])?)),
            map: BTreeMap::from([("a".into(), drop()?), ("b".into(), drop()?)]),
            list: [drop()?, drop()?],
            boxed: Box::new(drop()?),
            shapes: vec![Shape::Plain(drop()?), Shape::Wide { drop: drop()?, scale: param(device, &[3.0])? }],
        })
    }

    fn forward(&self, x: &Tensor) -> Vec<Tensor> {
        let attention = Attention { dropout: Some(&self.attended), ..Attention::default() };
        let mut all = vec![attention.apply(x, x, x)];
        all.extend(self.pair.iter().map(|(drop, p)| drop.forward(x) * p.tensor()));
        all.extend(self.map.values().chain(&self.list).map(|drop| drop.forward(x)));
        all.push(self.boxed.forward(x));
        all.extend(self.shapes.iter().map(|shape| match shape {
            Shape::Plain(drop) => drop.forward(x),
            Shape::Wide { drop, scale } => drop.forward(x) * scale.tensor(),
        }));
        all
    }
}

#[test]
fn evaluation_is_the_same_every_time() -> Result<()> {
    for device in devices() {
        let model = Model::new(&device)?;
        assert_eq!(model.params().iter().map(|(name, _)| name.as_str()).collect::<Vec<_>>(), ["pair.1", "shapes.1.scale"]);
        let x = Tensor::arange(&device, 48).cast(DType::F32).reshape([1, 6, 8]) * 0.1;
        for _ in 0..2 {
            let (one, two) = (model.forward(&x), model.forward(&x));
            for (i, (a, b)) in one.iter().zip(&two).enumerate() {
                assert!((a - b).abs().amax(..).item()? > 0.0, "part {i} drops in training, on {device}");
            }
            model.eval();
            let (one, two) = (model.forward(&x), model.forward(&x));
            for (i, (a, b)) in one.iter().zip(&two).enumerate() {
                assert_same(a, b, &format!("part {i} in evaluation, on {device}"));
            }
            model.train();
        }
    }
    Ok(())
}

//! Convolutions.

use serde_json::Value;
use thalweg_graph::{ConvConfig, Tensor};

use super::{
    call::{Call, Table},
    outcome::Stop,
};

pub const CONV: Table = &[
    ("conv1d", |c| Ok(vec![conv(c, c.x()?)?])),
    ("conv2d", |c| {
        let times = c.attrs.sizes("times")?.and_then(|t| t.first().copied()).unwrap_or(1);
        let mut x = c.x()?.clone();
        for _ in 0..times {
            x = conv(c, &x)?;
        }
        Ok(vec![x])
    }),
    ("conv3d", |c| Ok(vec![conv(c, c.x()?)?])),
    ("permute+conv2d", |c| {
        let perm = c.attrs.ints("permute")?.ok_or_else(|| Stop::wrong("no permutation"))?;
        Ok(vec![conv(c, &c.x()?.permute(perm))?])
    }),
    ("conv_transpose1d", |c| Ok(vec![conv_transpose(c)?])),
    ("conv_transpose2d", |c| Ok(vec![conv_transpose(c)?])),
    ("conv_transpose3d", |c| Ok(vec![conv_transpose(c)?])),
];

fn config(c: &Call) -> Result<ConvConfig, Stop> {
    Ok(ConvConfig {
        stride: c.attrs.sizes("stride")?.unwrap_or(vec![1]),
        padding: vec![0],
        dilation: c.attrs.sizes("dilation")?.unwrap_or(vec![1]),
        groups: c.attrs.sizes("groups")?.and_then(|g| g.first().copied()).unwrap_or(1),
    })
}

fn conv(c: &Call, x: &Tensor) -> Result<Tensor, Stop> {
    let w = c.arg(1)?;
    let spatial = w.rank().saturating_sub(2);
    // An input without a batch axis is a batch of one.
    let single = x.rank() + 1 == w.rank();
    let x = if single { x.unsqueeze(0) } else { x.clone() };
    let mut config = config(c)?;
    let y = if c.attrs.get("padding") == Some(&Value::from("same")) {
        let pads: Vec<(usize, usize)> = (0..spatial)
            .map(|d| {
                let dilation = config.dilation.get(d).or(config.dilation.first()).copied().unwrap_or(1);
                let total = dilation * (w.shape()[2 + d].max(1) - 1);
                (total / 2, total - total / 2)
            })
            .collect();
        x.conv_padded(w, &config, &pads)
    } else {
        config.padding = c.attrs.sizes("padding")?.unwrap_or(vec![0]);
        x.conv(w, &config)
    };
    let y = biased(c, y, spatial);
    Ok(if single { y.squeeze(0) } else { y })
}

fn conv_transpose(c: &Call) -> Result<Tensor, Stop> {
    let (x, w) = c.pair()?;
    let config = ConvConfig { padding: c.attrs.sizes("padding")?.unwrap_or(vec![0]), ..config(c)? };
    let more = c.attrs.sizes("output_padding")?.unwrap_or(vec![0]);
    Ok(biased(c, x.conv_transpose(w, &config, &more), w.rank().saturating_sub(2)))
}

/// One number per channel, if the case has a bias.
fn biased(c: &Call, y: Tensor, spatial: usize) -> Tensor {
    match c.named("b").or(c.named("bias")) {
        Some(b) => {
            let mut shape = vec![1; spatial + 1];
            shape[0] = b.count();
            y + b.reshape(shape)
        }
        None => y,
    }
}

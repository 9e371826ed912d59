//! Attention with its projections, and the layers of the Transformer.
//!
//! PyTorch's masks say what takes no part where they are truth values; those of this framework say what does.

use thalweg_graph::{DType, Tensor};
use thalweg_nn::{
    MultiheadAttention, Transformer, TransformerDecoder, TransformerDecoderLayer, TransformerEncoder,
    TransformerEncoderLayer,
};

use super::{
    call::{Call, Table},
    layer::layer,
    outcome::Stop,
};

pub const LAYERS: Table = &[
    ("multihead_attention", multihead),
    ("transformer_encoder_layer", encoder_layer),
    ("transformer_decoder_layer", decoder_layer),
    ("transformer_encoder", encoder),
    ("transformer_decoder", decoder),
    ("transformer", transformer),
];

fn size(c: &Call, name: &str) -> Result<usize, Stop> {
    Ok(c.attrs.int(name)? as usize)
}

fn size_or(c: &Call, name: &str, default: usize) -> Result<usize, Stop> {
    Ok(c.attrs.int_or(name, default as isize)? as usize)
}

/// The mask of a case for scores `[.., H, L, S]`, from one for queries and keys and one for keys.
fn mask(c: &Call, attention: &str, padding: &str) -> Option<Tensor> {
    let heads = ["num_heads", "nhead"].iter().find_map(|name| c.attrs.sizes(name).ok().flatten()?.first().copied());
    let said = |mask: &Tensor| if mask.dtype() == DType::Bool { !mask } else { mask.clone() };
    // One for each sample and head stands as [B · H, L, S].
    let of_heads = |mask: Tensor| match (mask.shape(), heads) {
        (&[all, queries, keys], Some(heads)) => mask.reshape([all / heads, heads, queries, keys]),
        _ => mask,
    };
    let attention = c.named(attention).map(said).map(of_heads);
    let padding = c.named(padding).map(said).map(|mask| match mask.rank() {
        1 => mask.clone(),
        _ => mask.unsqueeze(1).unsqueeze(1),
    });
    match (attention, padding) {
        (Some(a), Some(b)) => Some(match (a.dtype(), b.dtype()) {
            (DType::Bool, DType::Bool) => a.and(b),
            (DType::Bool, _) => a.where_(b, f64::NEG_INFINITY),
            (_, DType::Bool) => b.where_(a, f64::NEG_INFINITY),
            _ => a + b,
        }),
        (one, other) => one.or(other),
    }
}

/// Whether the axis of samples comes first, as in this framework; and a turn from the case's order to that one, or back.
fn turn(c: &Call) -> Result<impl Fn(&Tensor) -> Tensor, Stop> {
    let batch_first = c.attrs.flag("batch_first", false)?;
    Ok(move |x: &Tensor| if batch_first || x.rank() < 3 { x.clone() } else { x.transpose(0, 1) })
}

fn multihead(c: &Call) -> Result<Vec<Tensor>, Stop> {
    let embed = size(c, "embed_dim")?;
    c.attrs.only("dropout", 0.0.into())?;
    let settings = MultiheadAttention::new(embed, size(c, "num_heads")?)
        .kdim(size_or(c, "kdim", embed)?)
        .vdim(size_or(c, "vdim", embed)?)
        .bias(c.attrs.flag("bias", true)?)
        .add_bias_kv(c.attrs.flag("add_bias_kv", false)?)
        .add_zero_attn(c.attrs.flag("add_zero_attn", false)?)
        .causal(c.attrs.flag("is_causal", false)?);
    let layer = layer(c, settings)?;
    let turned = turn(c)?;
    let (q, k, v) = match c.attrs.flag("self", false)? {
        true => {
            let x = turned(c.x()?);
            (x.clone(), x.clone(), x)
        }
        false => (turned(c.arg(0)?), turned(c.arg(1)?), turned(c.arg(2)?)),
    };
    let mask = mask(c, "attn_mask", "key_padding_mask");
    let y = turned(&layer.forward(&q, &k, &v, mask.as_ref()));
    let weights = layer.weights(&q, &k, mask.as_ref());
    let weights = if c.attrs.flag("average_attn_weights", true)? { weights.mean(-3) } else { weights };
    match c.attrs.flag("need_weights", true)? {
        true => c.in_order(&[("y", &y), ("weights", &weights)]),
        false => c.in_order(&[("y", &y)]),
    }
}

/// What layers of encoders and decoders are set to alike.
macro_rules! settings {
    ($layer:ident, $c:expr) => {{
        let c = $c;
        c.attrs.only("dropout", 0.0.into())?;
        $layer::new(size(c, "d_model")?, size(c, "nhead")?)
            .feedforward(size_or(c, "dim_feedforward", 2048)?)
            .activation(activation(c)?)
            .eps(c.attrs.number_or("layer_norm_eps", 1e-5)?)
            .norm_first(c.attrs.flag("norm_first", false)?)
            .bias(c.attrs.flag("bias", true)?)
            // Our default is PyTorch's 0.1.
            .dropout(0.0)
    }};
}

fn activation(c: &Call) -> Result<fn(&Tensor) -> Tensor, Stop> {
    match c.attrs.word("activation", "relu")?.as_str() {
        "relu" => Ok(Tensor::relu),
        "gelu" => Ok(Tensor::gelu),
        other => Err(Stop::Unsupported(format!("attribute activation = {other}"))),
    }
}

fn encoder_layer(c: &Call) -> Result<Vec<Tensor>, Stop> {
    let layer = layer(c, settings!(TransformerEncoderLayer, c).causal(c.attrs.flag("is_causal", false)?))?;
    let turned = turn(c)?;
    let mask = mask(c, "src_mask", "src_key_padding_mask");
    Ok(vec![turned(&layer.forward(&turned(c.x()?), mask.as_ref()))])
}

fn encoder(c: &Call) -> Result<Vec<Tensor>, Stop> {
    let one = settings!(TransformerEncoderLayer, c).causal(c.attrs.flag("is_causal", false)?);
    let layer = layer(c, TransformerEncoder::new(one, size(c, "num_layers")?).norm(c.named("norm__weight").is_some()))?;
    let turned = turn(c)?;
    let mask = mask(c, "mask", "src_key_padding_mask").or(self::mask(c, "src_mask", "none"));
    Ok(vec![turned(&layer.forward(&turned(c.x()?), mask.as_ref()))])
}

fn decoder_layer(c: &Call) -> Result<Vec<Tensor>, Stop> {
    let layer = layer(c, settings!(TransformerDecoderLayer, c).causal(c.attrs.flag("tgt_is_causal", false)?))?;
    let turned = turn(c)?;
    let (x, memory) = c.pair()?;
    let mask = mask(c, "tgt_mask", "tgt_key_padding_mask");
    let of_memory = self::mask(c, "memory_mask", "memory_key_padding_mask");
    Ok(vec![turned(&layer.forward(&turned(x), &turned(memory), mask.as_ref(), of_memory.as_ref()))])
}

fn decoder(c: &Call) -> Result<Vec<Tensor>, Stop> {
    let one = settings!(TransformerDecoderLayer, c).causal(c.attrs.flag("tgt_is_causal", false)?);
    let layer = layer(c, TransformerDecoder::new(one, size(c, "num_layers")?).norm(c.named("norm__weight").is_some()))?;
    let turned = turn(c)?;
    let (x, memory) = c.pair()?;
    let mask = mask(c, "tgt_mask", "tgt_key_padding_mask");
    let of_memory = self::mask(c, "memory_mask", "memory_key_padding_mask");
    Ok(vec![turned(&layer.forward(&turned(x), &turned(memory), mask.as_ref(), of_memory.as_ref()))])
}

fn transformer(c: &Call) -> Result<Vec<Tensor>, Stop> {
    let settings = settings!(Transformer, c)
        .encoder_layers(size_or(c, "num_encoder_layers", 6)?)
        .decoder_layers(size_or(c, "num_decoder_layers", 6)?);
    let layer = layer(c, settings)?;
    let turned = turn(c)?;
    let (src, tgt) = c.pair()?;
    let masks = [
        ("src_mask", "src_key_padding_mask"),
        ("tgt_mask", "tgt_key_padding_mask"),
        ("memory_mask", "memory_key_padding_mask"),
    ];
    let [src_mask, tgt_mask, memory_mask] = masks.map(|(attention, padding)| mask(c, attention, padding));
    let y = layer.forward(&turned(src), &turned(tgt), src_mask.as_ref(), tgt_mask.as_ref(), memory_mask.as_ref());
    Ok(vec![turned(&y)])
}

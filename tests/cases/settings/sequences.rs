use thalweg::{
    nn::{
        Alibi, Attention, AttentionPool, GatedFeedForward, Gru, GruCell, HierarchicalRnn, LearnedPosition, Lstm,
        LstmCell, LstmState, MixtureOfExperts, MultiheadAttention, Rnn, RnnCell, RotaryEmbedding, SinusoidalPosition,
        Transformer, TransformerDecoder, TransformerDecoderLayer, TransformerEncoder, TransformerEncoderLayer,
    },
    prelude::*,
};

use crate::{Case, cases::floats};

/// Layers of sequences as functions of their input. Their parameters start anew each time, from the same draws.
pub fn sequences() -> Vec<Case> {
    let mut cases = recurrent();
    cases.extend(transformers());
    cases.extend(blocks());
    cases
}

fn rng() -> Rng {
    Rng::seed(1)
}

fn made<T>(layer: Result<T>) -> T {
    layer.unwrap_or_else(|e| panic!("{e}"))
}

fn recurrent() -> Vec<Case> {
    let walk = || vec![floats(&[4, 2, 3])];
    let with = |shapes: &[&[usize]]| [walk(), shapes.iter().map(|shape| floats(shape)).collect()].concat();
    let lengths = |x: &Tensor| Tensor::from_slice(x.device(), &[2, 4], [2]);
    vec![
        Case::new("Rnn of two layers", with(&[&[2, 2, 2]]), |x| {
            let layer = made(Rnn::new(3, 2).layers(2).dropout(0.2).init(x[0].device(), &mut rng()));
            let (y, h) = layer.forward(&x[0], Some(&x[1]));
            y.sum(0) + h.sum(0)
        })
        .terms(64),
        Case::new("Lstm both ways, projected", with(&[&[2, 2, 2], &[2, 2, 3]]), |x| {
            let layer = Lstm::new(3, 3).bidirectional(true).projection(2);
            let layer = made(layer.init(x[0].device(), &mut rng()));
            let start = LstmState { h: x[1].clone(), c: x[2].clone() };
            let (y, end) = layer.forward(&x[0], Some(&start));
            y.sum(..) + end.h.square().sum(..) + end.c.sum(..)
        })
        .terms(64),
        Case::new("Gru of packed sequences both ways", with(&[&[2, 2, 2]]), move |x| {
            let layer = made(Gru::new(3, 2).bidirectional(true).init(x[0].device(), &mut rng()));
            let (y, h) = layer.forward_packed(&x[0], &lengths(&x[0]), Some(&x[1]));
            y.square().sum([0, 2]) + h.sum([0, 2])
        })
        .terms(64),
        Case::new("RnnCell", vec![floats(&[2, 3]), floats(&[2, 4])], |x| {
            made(RnnCell::new(3, 4).init(x[0].device(), &mut rng())).forward(&x[0], Some(&x[1]))
        })
        .terms(16),
        Case::new("LstmCell", vec![floats(&[2, 3]), floats(&[2, 4]), floats(&[2, 4])], |x| {
            let cell = made(LstmCell::new(3, 4).init(x[0].device(), &mut rng()));
            let next = cell.forward(&x[0], Some(&LstmState { h: x[1].clone(), c: x[2].clone() }));
            next.h + next.c.square()
        })
        .terms(16),
        Case::new("GruCell", vec![floats(&[2, 3]), floats(&[2, 4])], |x| {
            made(GruCell::new(3, 4).init(x[0].device(), &mut rng())).forward(&x[0], Some(&x[1]))
        })
        .terms(16),
        Case::new("AttentionPool", walk(), |x| {
            made(AttentionPool::new(3, 4).init(x[0].device(), &mut rng())).forward(&x[0], None)
        })
        .terms(16),
        Case::new("HierarchicalRnn", vec![floats(&[2, 2, 3, 2])], |x| {
            let lengths = Tensor::from_slice(x[0].device(), &[3, 1, 2, 0], [2, 2]);
            made(HierarchicalRnn::new(2, 2).init(x[0].device(), &mut rng())).forward(&x[0], Some(&lengths))
        })
        .terms(64),
    ]
}

fn transformers() -> Vec<Case> {
    let pair = || vec![floats(&[2, 3, 4]), floats(&[2, 5, 4])];
    let encoder = || TransformerEncoderLayer::new(4, 2).feedforward(6).activation(Tensor::gelu);
    let decoder = || TransformerDecoderLayer::new(4, 2).feedforward(6).activation(Tensor::gelu);
    vec![
        Case::new(
            "MultiheadAttention of other widths",
            vec![floats(&[2, 3, 4]), floats(&[2, 5, 3]), floats(&[2, 5, 2])],
            |x| {
                let layer =
                    MultiheadAttention::new(4, 2).kdim(3).vdim(2).add_bias_kv(true).add_zero_attn(true).causal(true);
                made(layer.init(x[0].device(), &mut rng())).forward(&x[0], &x[1], &x[2], None)
            },
        )
        .terms(64),
        Case::new("TransformerEncoderLayer", vec![floats(&[2, 3, 4])], move |x| {
            made(encoder().init(x[0].device(), &mut rng())).forward(&x[0], None)
        })
        .terms(64),
        Case::new("TransformerEncoder, norms first, causal", vec![floats(&[2, 3, 4])], move |x| {
            let layer = TransformerEncoder::new(encoder().norm_first(true).causal(true), 2).norm(true);
            made(layer.init(x[0].device(), &mut rng())).forward(&x[0], None)
        })
        .terms(64),
        Case::new("TransformerDecoderLayer", pair(), move |x| {
            made(decoder().init(x[0].device(), &mut rng())).forward(&x[0], &x[1], None, None)
        })
        .terms(64),
        Case::new("TransformerDecoder, norms first, under masks", pair(), move |x| {
            let layer = TransformerDecoder::new(decoder().norm_first(true), 2);
            let mask = Tensor::arange(x[0].device(), 5).ne(2);
            made(layer.init(x[0].device(), &mut rng())).forward(&x[0], &x[1], None, Some(&mask))
        })
        .terms(64),
        Case::new("Transformer", pair(), |x| {
            let layer =
                Transformer::new(4, 2).encoder_layers(1).decoder_layers(1).feedforward(6).activation(Tensor::gelu);
            made(layer.init(x[0].device(), &mut rng())).forward(&x[1], &x[0], None, None, None)
        })
        .terms(64),
    ]
}

fn blocks() -> Vec<Case> {
    let x = || vec![floats(&[2, 3, 4])];
    vec![
        Case::new("RotaryEmbedding", x(), |x| {
            made(RotaryEmbedding::new(2).base(50.0).init(x[0].device(), &mut rng())).forward(&x[0], 2)
        }),
        Case::new("RotaryEmbedding of neighbours", x(), |x| {
            made(RotaryEmbedding::new(4).interleaved(true).init(x[0].device(), &mut rng())).forward(&x[0], 0)
        }),
        Case::new("Alibi", vec![floats(&[2, 2, 3, 4]), floats(&[2, 2, 5, 4]), floats(&[2, 2, 5, 3])], |x| {
            let bias = made(Alibi::new(2).init(x[0].device(), &mut rng())).bias(&x[0], &x[1], 1);
            Attention { mask: Some(&bias), ..Attention::default() }.apply(&x[0], &x[1], &x[2])
        })
        .terms(64),
        Case::new("SinusoidalPosition", x(), |x| {
            made(SinusoidalPosition::new(4).init(x[0].device(), &mut rng())).forward(&x[0].square(), 1)
        }),
        Case::new("LearnedPosition", x(), |x| {
            made(LearnedPosition::new(5, 4).init(x[0].device(), &mut rng())).forward(&x[0].square(), 1)
        }),
        Case::new("GatedFeedForward", x(), |x| {
            made(GatedFeedForward::swiglu(4).hidden(3).init(x[0].device(), &mut rng())).forward(&x[0])
        })
        .terms(16),
        Case::new("MixtureOfExperts", x(), |x| {
            let layer = MixtureOfExperts::new(4, 3, 3).activation(Tensor::tanh);
            let mixed = made(layer.init(x[0].device(), &mut rng())).forward(&x[0]);
            mixed.y + mixed.balance
        })
        .kinked()
        .terms(16),
        Case::new("MixtureOfExperts with places", x(), |x| {
            let layer = MixtureOfExperts::new(4, 3, 3).activation(Tensor::tanh).capacity(1.0);
            made(layer.init(x[0].device(), &mut rng())).forward(&x[0]).y
        })
        .kinked()
        .terms(16),
    ]
}

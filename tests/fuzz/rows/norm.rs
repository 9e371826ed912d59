//! Normalisations, distances, attention and losses.

use thalweg::nn::{Attention, CrossEntropy, Losses, Reduction};

use super::*;

rows! { a;
    layer_norm(x: vector) { n = a.size(1, x.rank())?, w = a.weight(&x.shape()[x.rank() - n..]), b = a.weight(&x.shape()[x.rank() - n..]) }
        x.layer_norm(&x.shape()[x.rank() - n..], Some(&w), Some(&b), 1e-3);
    layer_norm_plain(x: vector) {} x.layer_norm(&x.shape()[x.rank() - 1..], None, None, 1e-2);
    rms_norm(x: vector) { w = a.weight(&x.shape()[x.rank() - 1..]) } x.rms_norm(&x.shape()[x.rank() - 1..], Some(&w), 1e-3);
    group_norm(x: matrix) { groups = a.divisor(x.shape()[1])?, w = a.weight(&x.shape()[1..2]), b = a.weight(&x.shape()[1..2]) }
        x.group_norm(groups, Some(&w), Some(&b), 1e-3);
    instance_norm(x: image) { w = a.weight(&x.shape()[1..2]) } x.instance_norm(Some(&w), None, 1e-2);
    local_response_norm(x: matrix) { n = a.size(1, 5)? } x.local_response_norm(n, 0.5, 0.75, 1.0);
    weight_norm(x: matrix) { n = x.shape()[0], g = a.weight(&[n]) } {
        let mut shape = vec![1; x.rank()];
        shape[0] = n;
        (x.square() + 0.125).weight_norm(&g.reshape(shape), Some(0))
    };
    batch_norm(x: matrix) { axis = a.size(0, 1)? } {
        let centred = x - x.mean_keepdim(axis);
        let var = centred.square().mean_keepdim(axis);
        centred * (var + 0.01).rsqrt()
    };
    normalize(x: vector) { p = a.one(&[2.0, 1.0, 3.0, f64::INFINITY]), axis = a.axis(x)? } (x.square() + 0.125).normalize(p, axis, 1e-3);
    cosine_similarity(x: vector, y: alike) { axis = a.axis(x)? } (x + 3.0).cosine_similarity(&(y - 3.0), axis, 1e-3);
    pairwise_distance(x: vector, y: alike) { p = a.one(&[2.0, 1.0, 3.0]) } x.pairwise_distance(&(y + 20.0), p, 1e-3);
    cdist(x: matrix, y: alike) { p = a.one(&[2.0, 1.0, 3.0, f64::INFINITY]) }
        (x.count() * x.shape()[x.rank() - 2] <= 20_000).then(|| x.cdist(&(y + 20.0), p))?;

    attention(x: heads) { causal = a.flag() } {
        let attention = Attention { causal, ..Attention::default() };
        attention.apply(x, &x.tanh(), &x.flip(-2))
    };
    attention_of(x: heads) {
        s = a.size(1, 6)?, e = x.shape()[x.rank() - 1], k = a.weight(&[s, e]), mask = a.bools(&[x.shape()[x.rank() - 2], s]), masked = a.flag()
    } {
        let k = k.reshape([1, 1, s, e]);
        let mask = masked.then(|| mask.clone());
        let q = x.reshape([1, x.count() / e / x.shape()[x.rank() - 2], x.shape()[x.rank() - 2], e]);
        Attention { mask: mask.as_ref(), ..Attention::default() }.apply(&q, &k, &(&k * 0.5))
    };
    cross_entropy(x: table) { classes = x.shape()[1], target = a.index(&x.shape()[..1], classes)? } x.cross_entropy(&target);
    cross_entropy_each(x: table) { classes = x.shape()[1], target = a.index(&x.shape()[..1], classes)? }
        CrossEntropy { reduction: Reduction::None, ..CrossEntropy::default() }.loss(x, &target);
    bce_with_logits(x: vector, y: alike) {} x.bce_with_logits(&y.sigmoid());
    mse_loss(x: vector, y: alike) {} x.mse_loss(y);
    l1_loss(x: vector, y: alike) {} x.l1_loss(y);
    smooth_l1_loss(x: vector, y: alike) {} x.smooth_l1_loss(y);
    huber_loss(x: vector, y: alike) {} x.huber_loss(&(y * 0.5));
}

fn table(_: &[&Slot], s: &Slot) -> bool {
    s.dtype.is_float() && !s.shape.contains(&0) && s.shape.len() == 2
}

/// Something that can be read as heads of queries.
fn heads(_: &[&Slot], s: &Slot) -> bool {
    s.dtype.is_float() && !s.shape.contains(&0) && s.shape.len() > 1 && s.shape[s.shape.len() - 2] <= 70
}

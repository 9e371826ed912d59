//! Whoever comes from PyTorch finds every method of a tensor: by its name, or by a row of the page for them.

use std::collections::BTreeSet;

use thalweg_graph::ops::{binary::BinaryOp, unary::UnaryOp};
use thalweg_tests::sources;

/// What `torch`, `torch.Tensor`, `torch.nn.functional` or `torch.special` call so too.
const SAME: &str = "abs acos acosh add affine_grid amin arange argmax argmin argsort asin asinh atan atan2 atanh bilinear bincount bucketize \
    cdist ceil celu channel_shuffle chunk copysign cos cosh cosine_similarity count_nonzero cross cummax cummin cumprod cumsum \
    detach diag diag_embed diagonal diff digamma div dot elu embedding_bag erf erfc erfinv exp exp2 expm1 flip floor \
    floor_divide frac ge glu grid_sample group_norm gt hardshrink hardsigmoid hardswish hardtanh hypot index_add index_copy \
    index_fill instance_norm interpolate kthvalue layer_norm le leaky_relu lgamma local_response_norm log log10 log1p log2 \
    log_softmax logaddexp logcumsumexp logit logsumexp masked_fill masked_scatter maximum mean median minimum mish movedim mul \
    nan_to_num nanmedian nanquantile ne neg nonzero normalize ones ones_like outer pairwise_distance permute pixel_shuffle \
    pixel_unshuffle prelu prod quantile relu relu6 rms_norm roll rot90 round rsqrt scatter_add searchsorted selu sigmoid sign \
    silu sin sinh softmax softmin softplus softshrink softsign sort split sqrt square squeeze sub tan tanh tanhshrink \
    threshold topk trace transpose tril triu trunc unflatten unsqueeze zeros zeros_like";

/// What nothing there corresponds to, or is for crates of ours.
const OURS: &str = "binary fail live live_scalar sound_positions swiglu unary";

#[test]
fn every_method_has_the_name_or_a_row() {
    let page = include_str!("../../docs/for-pytorch-users.md");
    let (_, tables) = page.split_once("## Names that differ").expect("the page has a table of names");
    let words: BTreeSet<&str> = tables.split(|c: char| !c.is_alphanumeric() && c != '_').collect();
    let listed: Vec<&str> = SAME.split(' ').chain(OURS.split(' ')).collect();
    let mut methods: BTreeSet<String> =
        sources::texts("../crates/graph/src").iter().flat_map(|text| sources::methods(text)).collect();
    methods.extend(UnaryOp::ALL.iter().map(|op| op.name().to_string()));
    methods.extend(BinaryOp::ALL.iter().map(|op| op.name().to_string()));
    assert!(methods.len() > 250, "found {} methods", methods.len());
    let unknown: Vec<&String> =
        methods.iter().filter(|name| !words.contains(name.as_str()) && !listed.contains(&name.as_str())).collect();
    assert!(unknown.is_empty(), "{unknown:?} have no row in docs/for-pytorch-users.md, and are not listed here");
    let gone: Vec<&&str> = listed.iter().filter(|name| !methods.contains(**name)).collect();
    assert!(gone.is_empty(), "{gone:?} are no methods");
}

//! The calls, by what their arguments are.

use thalweg_graph::{
    Axes, Bags, Combine, DType, GridSample, Interpolation, NewtonSchulz, Outside, Resample, Resize, Target, Tensor,
};

use super::{Call, Results};

macro_rules! calls {
    ($($list:ident { $($name:ident: |$d:ident| $call:expr;)* })*) => {$(
        pub const $list: &[Call] = &[$((stringify!($name), |$d| Results::tensors($call))),*];
    )*};
}

const COMBINES: &[Combine] = &[Combine::Sum, Combine::Mean, Combine::Prod, Combine::Max, Combine::Min];
const RESAMPLES: &[Resample] =
    &[Resample::Nearest, Resample::NearestExact, Resample::Linear, Resample::Cubic, Resample::Area];
const BETWEEN: &[Interpolation] =
    &[Interpolation::Linear, Interpolation::Lower, Interpolation::Nearest, Interpolation::Midpoint];

calls! {
    MOVEMENT {
        full: |d| Tensor::full(&d.device.clone(), d.number(), d.sizes(), d.dtype());
        arange: |d| Tensor::arange(&d.device.clone(), d.size());
        from_slice: |d| Tensor::from_slice(&d.device.clone(), &[1.0f32; 6], d.sizes());
        reshape: |d| d.tensor().reshape(d.ints());
        unflatten: |d| d.tensor().unflatten(d.int(), d.ints());
        flatten: |d| d.tensor().flatten(d.range());
        squeeze: |d| d.tensor().squeeze(d.int());
        unsqueeze: |d| d.tensor().unsqueeze(d.int());
        permute: |d| d.tensor().permute(d.ints());
        transpose: |d| d.tensor().transpose(d.int(), d.int());
        movedim: |d| d.tensor().movedim(&d.ints(), &d.ints());
        broadcast_to: |d| d.tensor().broadcast_to(d.sizes());
        expand: |d| d.tensor().expand(d.ints());
        slice: |d| d.tensor().slice(d.int(), d.range());
        slice_step: |d| d.tensor().slice_step(d.int(), d.range(), d.int());
        narrow: |d| d.tensor().narrow(d.int(), d.size(), d.size());
        select: |d| d.tensor().select(d.int(), d.int());
        at: |d| d.tensor().at(d.subscripts());
        flip: |d| d.tensor().flip(d.ints());
        roll: |d| d.tensor().roll(d.int(), d.int());
        rot90: |d| d.tensor().rot90(d.int(), d.int(), d.int());
        pad: |d| d.tensor().pad(&d.pairs(), d.number());
        pad_reflect: |d| d.tensor().pad_reflect(&d.pairs());
        pad_replicate: |d| d.tensor().pad_replicate(&d.pairs());
        pad_circular: |d| d.tensor().pad_circular(&d.pairs());
        concat: |d| Tensor::concat(d.tensors(), d.int());
        stack: |d| Tensor::stack(d.tensors(), d.int());
        split: |d| d.tensor().split(d.sizes(), d.int());
        chunk: |d| d.float().narrow(0, 0, 1).chunk(d.size(), d.int());
        repeat: |d| d.tensor().repeat(d.sizes());
        repeat_interleave: |d| d.tensor().repeat_interleave(d.size(), d.int());
        repeat_interleave_each: |d| d.tensor().repeat_interleave_each(&d.sizes(), d.int());
        channel_shuffle: |d| d.tensor().channel_shuffle(d.size());
        pixel_shuffle: |d| d.tensor().pixel_shuffle(d.size());
        pixel_unshuffle: |d| d.tensor().pixel_unshuffle(d.size());
        meshgrid: |d| Tensor::meshgrid(d.tensors());
        meshgrid_xy: |d| Tensor::meshgrid_xy(d.tensors());
        tril: |d| d.tensor().tril(d.int());
        triu: |d| d.tensor().triu(d.int());
        diagonal: |d| d.tensor().diagonal(d.int(), d.int(), d.int());
        diag_embed: |d| d.tensor().diag_embed(d.int(), d.int(), d.int());
        diag: |d| d.tensor().diag(d.int());
        trace: |d| d.tensor().trace();
        cast: |d| d.tensor().cast(d.one_of(&[DType::F64, DType::I32, DType::U32, DType::Bool, DType::BF16]));
    }

    NUMBERS {
        add: |d| d.tensor() + d.number();
        div: |d| d.tensor() / d.number();
        fmod: |d| d.tensor().fmod(d.number());
        remainder: |d| d.tensor().remainder(d.tensor());
        floor_divide: |d| d.tensor().floor_divide(d.number());
        shl: |d| d.tensor().shl(d.number());
        lt: |d| d.tensor().lt(d.number());
        pow: |d| d.tensor().pow(d.number());
        powf: |d| d.tensor().powf(d.number());
        where_: |d| d.mask().where_(d.tensor(), d.number());
        masked_fill: |d| d.tensor().masked_fill(&d.mask(), d.number());
        clamp: |d| d.tensor().clamp(d.number(), d.number());
        clamp_between: |d| d.tensor().clamp_between(d.tensor(), d.number());
        nan_to_num: |d| d.tensor().nan_to_num(d.number(), d.number(), d.number());
        copysign: |d| d.tensor().copysign(d.tensor());
        hypot: |d| d.tensor().hypot(d.number());
        logaddexp: |d| d.tensor().logaddexp(d.tensor());
        logit: |d| d.tensor().logit(d.number());
        leaky_relu: |d| d.tensor().leaky_relu(d.number());
        prelu: |d| d.tensor().prelu(d.tensor());
        elu: |d| d.tensor().elu(d.number());
        celu: |d| d.tensor().celu(d.number());
        hardshrink: |d| d.tensor().hardshrink(d.number());
        softshrink: |d| d.tensor().softshrink(d.number());
        threshold: |d| d.tensor().threshold(d.number(), d.number());
        gelu: |d| d.tensor().gelu();
        glu: |d| d.tensor().glu(d.int());
        swiglu: |d| d.tensor().swiglu(d.int());
        trigamma: |d| d.tensor().trigamma();
        sum: |d| d.tensor().sum(d.ints());
        prod: |d| d.tensor().prod(Axes::All);
        mean: |d| d.tensor().mean(d.ints());
        amax: |d| d.tensor().amax(d.ints());
        argmin: |d| d.tensor().argmin(d.ints());
        max: |d| d.tensor().max(d.int());
        var: |d| d.tensor().var(d.ints(), d.size());
        std: |d| d.tensor().std(Axes::All, d.size());
        logsumexp: |d| d.tensor().logsumexp(d.ints());
        softmax: |d| d.tensor().softmax(d.int());
        log_softmax: |d| d.tensor().log_softmax(d.int());
        any: |d| d.tensor().any(d.ints());
        all_keepdim: |d| d.tensor().all_keepdim(d.ints());
        vector_norm: |d| d.tensor().vector_norm(d.number(), d.ints());
        cumsum: |d| d.tensor().cumsum(d.int());
        cumprod: |d| d.tensor().cumprod(d.int());
        logcumsumexp: |d| d.tensor().logcumsumexp(d.int());
        cummax: |d| d.tensor().cummax(d.int());
        diff: |d| d.tensor().diff(d.size(), d.int());
        cross: |d| d.tensor().cross(&d.tensor(), d.int());
        matmul: |d| d.tensor().matmul(&d.tensor());
        dot: |d| d.tensor().dot(&d.tensor());
        outer: |d| d.tensor().outer(&d.tensor());
        bilinear: |d| d.tensor().bilinear(&d.tensor(), &d.tensor(), None);
        normalize: |d| d.tensor().normalize(d.number(), d.int(), d.number());
        cosine_similarity: |d| d.tensor().cosine_similarity(&d.tensor(), d.int(), d.number());
        pairwise_distance: |d| d.tensor().pairwise_distance(&d.tensor(), d.number(), d.number());
        cdist: |d| d.tensor().cdist(&d.tensor(), d.number());
        layer_norm: |d| d.tensor().layer_norm(&d.sizes(), None, Some(&d.tensor()), d.number());
        rms_norm: |d| d.tensor().rms_norm(&d.sizes(), None, d.number());
        group_norm: |d| d.tensor().group_norm(d.size(), Some(&d.tensor()), None, d.number());
        instance_norm: |d| d.tensor().instance_norm(None, None, d.number());
        local_response_norm: |d| d.tensor().local_response_norm(d.size(), d.number(), d.number(), d.number());
        weight_norm: |d| d.tensor().weight_norm(&d.tensor(), Some(d.int()));
        orthogonalise: |d| d.tensor().orthogonalise(&NewtonSchulz { steps: d.size(), eps: d.number(), ..NewtonSchulz::default() });
        uniform_in: |d| d.stream().uniform_in(&d.device.clone(), d.number(), d.number(), d.sizes());
        normal: |d| d.stream().normal(&d.device.clone(), d.sizes());
        normal_of: |d| d.stream().normal_of(&d.device.clone(), d.number(), d.number(), d.sizes());
        truncated_normal: |d| d.stream().truncated_normal(&d.device.clone(), d.number(), d.number(), (d.number(), d.number()), d.sizes());
        exponential: |d| d.stream().exponential(&d.device.clone(), d.number(), d.sizes());
        gumbel: |d| d.stream().gumbel(&d.device.clone(), d.sizes());
        bernoulli: |d| d.stream().bernoulli(&d.device.clone(), d.number(), d.sizes());
        bernoulli_of: |d| d.stream().bernoulli_of(&d.tensor());
        permutation: |d| {
            // A million are no absurd number, but take their time.
            let n = d.size();
            d.stream().permutation(&d.device.clone(), if n < 1 << 30 { n.min(1000) } else { n })
        };
        multinomial: |d| d.stream().multinomial(&d.tensor(), d.size(), d.flag());
    }

    POSITIONS {
        gather: |d| d.tensor().gather(d.int(), &d.index());
        take_along: |d| d.tensor().take_along(d.int(), &d.index());
        take: |d| d.tensor().take(&d.index());
        index_select: |d| d.tensor().index_select(d.int(), &d.index());
        index_at: |d| d.tensor().index_at(&[&d.index(), &d.index()]);
        index_put: |d| d.tensor().index_put(&[&d.index()], &d.tensor(), d.flag());
        index_add: |d| d.tensor().index_add(d.int(), &d.index(), &d.tensor(), d.number());
        index_copy: |d| d.tensor().index_copy(d.int(), &d.index(), &d.tensor());
        index_fill: |d| d.tensor().index_fill(d.int(), &d.index(), d.number());
        scatter: |d| d.tensor().scatter(d.int(), &d.index(), &d.tensor());
        scatter_value: |d| d.tensor().scatter_value(d.int(), &d.index(), d.number());
        scatter_add: |d| d.tensor().scatter_add(d.int(), &d.index(), &d.tensor());
        scatter_reduce: |d| d.tensor().scatter_reduce(d.int(), &d.index(), &d.tensor(), d.one_of(COMBINES), d.flag());
        masked_scatter: |d| d.tensor().masked_scatter(&d.mask(), &d.tensor());
        searchsorted: |d| d.tensor().searchsorted(&d.tensor(), d.flag());
        embedding: |d| d.tensor().embedding(&d.index());
        embedding_padded: |d| d.tensor().embedding_padded(&d.index(), d.size());
        embedding_bag: |d| {
            let (offsets, weights) = (d.index(), d.tensor());
            let (offsets, weights) = (d.flag().then_some(&offsets), d.flag().then_some(&weights));
            let bags = Bags { combine: d.one_of(COMBINES), offsets, weights, padding: Some(d.size()) };
            d.tensor().embedding_bag(&d.index(), &bags)
        };
        one_hot: |d| d.index().one_hot(d.size());
        dynamic_slice: |d| d.tensor().dynamic_slice(d.int(), d.int(), d.size());
        dynamic_slice_at: |d| d.tensor().dynamic_slice(d.int(), d.index(), d.size());
        dynamic_update_slice: |d| d.tensor().dynamic_update_slice(d.int(), d.int(), &d.tensor());
        sort: |d| d.tensor().sort(d.int(), d.flag());
        topk: |d| d.tensor().topk(d.size(), d.int(), d.flag());
        kthvalue: |d| d.tensor().kthvalue(d.size(), d.int());
        median: |d| d.tensor().median(d.int());
        nanmedian: |d| d.tensor().nanmedian(d.int());
        quantile: |d| d.tensor().quantile(d.number(), d.int(), d.one_of(BETWEEN));
        nanquantile: |d| d.tensor().nanquantile(d.number(), d.int(), d.one_of(BETWEEN));
    }

    WINDOWS {
        conv: |d| d.tensor().conv(&d.tensor(), &d.conv());
        conv2d: |d| d.float().conv2d(&d.float(), &d.conv());
        conv_padded: |d| d.float().conv_padded(&d.float(), &d.conv(), &[(d.size(), d.size())]);
        conv_transpose: |d| d.float().conv_transpose(&d.float(), &d.conv(), &d.sizes());
        max_pool: |d| d.tensor().max_pool(&d.pool());
        max_pool_with_indices: |d| d.tensor().max_pool_with_indices(&d.pool());
        avg_pool: |d| d.tensor().avg_pool(&d.pool());
        lp_pool: |d| d.tensor().lp_pool(d.number(), &d.pool());
        max_pool2d: |d| d.tensor().max_pool2d(d.size());
        max_unpool: |d| d.tensor().max_unpool(&d.index(), &d.sizes());
        adaptive_avg_pool: |d| d.tensor().adaptive_avg_pool(&d.sizes());
        adaptive_max_pool: |d| d.tensor().adaptive_max_pool_with_indices(&d.sizes());
        sliding_windows: |d| d.tensor().sliding_windows(d.int(), d.size(), d.size());
        unfold: |d| d.tensor().unfold(&d.sizes(), &d.conv());
        fold: |d| d.tensor().fold(&d.sizes(), &d.sizes(), &d.conv());
        interpolate: |d| {
            let to = if d.flag() { Target::Size(d.sizes()) } else { Target::Factor(vec![d.number()]) };
            d.float().interpolate(&Resize { to, mode: d.one_of(RESAMPLES), align_corners: d.flag(), antialias: d.flag() })
        };
        grid_sample: |d| {
            let outside = d.one_of(&[Outside::Zeros, Outside::Border, Outside::Reflection]);
            d.tensor().grid_sample(&d.tensor(), &GridSample { mode: d.one_of(RESAMPLES), outside, align_corners: d.flag() })
        };
        affine_grid: |d| d.float().affine_grid(&d.sizes(), d.flag());
    }
}

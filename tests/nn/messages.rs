//! What is wrong with the arguments of losses, norms, products and samplers is said, with the caller's line.

use thalweg::{
    graph::{Combine, Outside},
    nn::*,
    prelude::*,
    train,
};
use thalweg_tests::strict;

fn ones(shape: &[usize]) -> Tensor {
    Tensor::ones(&strict(), shape)
}

fn ids(shape: &[usize]) -> Tensor {
    Tensor::full(&strict(), 0.0, shape, DType::I32)
}

/// Holds an error's text against what it must say.
#[track_caller]
fn says(tensor: &Tensor, line: u32, parts: &[&str]) {
    let text = tensor.to_vec::<f32>().expect_err("an error").to_string();
    for part in parts {
        assert!(text.contains(part), "'{text}' does not say '{part}'");
    }
    let place = format!("nn/messages.rs:{line}:");
    assert!(text.contains(&place), "'{text}' does not say '{place}'");
}

/// The same of what gives a `Result`.
#[track_caller]
fn refuses<T>(result: Result<T>, line: u32, parts: &[&str]) {
    let text = result.err().expect("an error").to_string();
    let place = format!("nn/messages.rs:{line}:");
    for part in parts.iter().chain([&place.as_str()]) {
        assert!(text.contains(part), "'{text}' does not say '{part}'");
    }
}

#[test]
fn losses() {
    let (x, y) = (ones(&[4, 3]), ones(&[4, 1]));
    says(&x.mse_loss(&y), line!(), &["mse_loss", "[4, 3]", "[4, 1]", "broadcasts neither"]);
    says(&x.cross_entropy(&ids(&[3])), line!(), &["cross_entropy", "needs shape [4]"]);
    says(&x.cross_entropy(&ones(&[4])), line!(), &["cross_entropy", "[4]", "probabilities"]);
    says(&x.nll_loss(&x), line!(), &["nll_loss"]);
    says(&MultiMargin { p: 3, ..MultiMargin::default() }.loss(&x, &ids(&[4])), line!(), &["power of 3"]);
    says(&GaussianNll::default().loss(&x, &x, &ones(&[2, 3])), line!(), &["gaussian_nll_loss", "[2, 3]"]);
    says(&CosineEmbedding::default().loss(&x, &x, &y), line!(), &["cosine_embedding_loss", "[4, 1]"]);
    says(&TripletMargin::default().loss(&x, &x, &y), line!(), &["triplet_margin_loss", "[4, 1]"]);
    says(&Dice::default().loss(&ones(&[]), &ones(&[])), line!(), &["dice_loss", "no axis of samples"]);
    says(&MultilabelMargin::default().loss(&x, &ids(&[4, 2])), line!(), &["multilabel_margin_loss", "[4, 2]"]);
    says(&MultilabelMargin::default().loss(&x, &x), line!(), &["multilabel_margin_loss", "f32", "no class"]);
    let pair = |temperature, b: &Tensor| InfoNce { temperature, ..InfoNce::default() }.loss(&x, b);
    says(&pair(0.1, &y), line!() - 1, &["info_nce_loss", "[4, 3]", "[4, 1]"]);
    says(&pair(0.0, &x), line!() - 2, &["info_nce_loss", "temperature of 0"]);
    says(&NtXent::default().loss(&ones(&[3]), &ones(&[3])), line!(), &["nt_xent_loss", "[3]", "[batch, features]"]);
    says(&Contrastive::default().loss(&x, &x, &y), line!(), &["contrastive_loss", "[4, 1]"]);
    says(&Distillation::default().loss(&x, &y), line!(), &["distillation_loss", "[4, 1]"]);
    says(&Distillation { temperature: -1.0, ..Distillation::default() }.loss(&x, &x), line!(), &["temperature of -1"]);
    says(&Distillation::default().loss(&ones(&[]), &ones(&[])), line!(), &["distillation_loss", "no axis of classes"]);
    let (device, rng) = (x.device().clone(), &mut Rng::seed(0));
    let arc = ArcFace::new(3, 2).init(&device, rng).unwrap();
    says(&arc.forward(&y, &ids(&[4])), line!(), &["arc_face", "[4, 1]", "[batch, 3]"]);
    says(&arc.forward(&x, &ids(&[3])), line!(), &["arc_face", "needs shape [4]"]);
    says(&arc.cosines(&ones(&[3])), line!(), &["arc_face", "[batch, 3]"]);
    let cos = CosFace::new(3, 2).init(&device, rng).unwrap();
    says(&cos.forward(&x, &x), line!(), &["cos_face", "needs shape [4]"]);
    let tasks = UncertaintyWeights::new(&[Likelihood::Gaussian; 2]).init(&device, rng).unwrap();
    says(&tasks.forward(&[&ones(&[])]), line!(), &["uncertainty_weights", "1 losses of 2 tasks"]);
    says(&tasks.forward(&[&ones(&[]), &x]), line!(), &["uncertainty_weights", "[4, 3]", "task 1"]);
    refuses(ArcFace::new(0, 2).init(&device, rng), line!(), &["arc_face", "0 inputs and 2 classes"]);
    refuses(ArcFace::new(3, 2).margin(4.0).init(&device, rng), line!(), &["arc_face", "margin of 4"]);
    refuses(CosFace::new(3, 2).scale(0.0).init(&device, rng), line!(), &["cos_face", "scale of 0"]);
    refuses(CosFace::new(3, 2).margin(-0.1).init(&device, rng), line!(), &["cos_face", "margin of -0.1"]);
    refuses(UncertaintyWeights::new(&[]).init(&device, rng), line!(), &["uncertainty_weights", "no tasks"]);
    let ctc =
        |blank, p: &Tensor, rows| Ctc { blank, ..Ctc::default() }.loss(p, &ids(&[rows, 3]), &ids(&[2]), &ids(&[2]));
    let text = |t: Tensor| t.to_vec::<f32>().expect_err("an error").to_string();
    assert!(text(ctc(0, &ones(&[5, 2]), 2)).contains("[time, batch, classes]"));
    assert!(text(ctc(0, &ones(&[5, 2, 4]), 1)).contains("a length for each sequence"));
    assert!(text(ctc(4, &ones(&[5, 2, 4]), 2)).contains("blank 4 is none of 4 classes"));
}

#[test]
fn norms_and_distances() {
    let x = ones(&[2, 6, 3]);
    says(&x.layer_norm(&[6], None, None, 1e-5), line!(), &["layer_norm", "[2, 6, 3]", "[6]"]);
    says(&x.rms_norm(&[3], Some(&ones(&[4])), 1e-5), line!(), &["rms_norm", "[4]", "weight or bias of [3]"]);
    says(&x.group_norm(4, None, None, 1e-5), line!(), &["group_norm", "6 channels", "4 groups"]);
    says(&ones(&[2, 6]).instance_norm(None, None, 1e-5), line!(), &["instance_norm", "space"]);
    says(&x.local_response_norm(0, 1.0, 1.0, 1.0), line!(), &["local_response_norm", "0 channels"]);
    says(&x.weight_norm(&ones(&[2, 1, 1]), Some(3)), line!(), &["weight_norm", "axis 3"]);
    says(&x.normalize(-1.0, 0, 1e-5), line!(), &["normalize", "p = -1"]);
    says(&x.cosine_similarity(&ones(&[5]), 0, 1e-8), line!(), &["cosine_similarity", "[5]"]);
    says(&ones(&[]).pairwise_distance(&ones(&[]), 2.0, 0.0), line!(), &["pairwise_distance", "axis -1"]);
    says(&x.cdist(&ones(&[4, 2]), 2.0), line!(), &["cdist", "[4, 2]"]);
    let (device, rng) = (strict(), &mut Rng::seed(0));
    let error = |text: String, part: &str| assert!(text.contains(part), "{text}");
    error(GroupNorm::new(4, 6).init(&device, rng).unwrap_err().to_string(), "6 channels in 4 groups");
    error(LayerNorm::new([0]).init(&device, rng).unwrap_err().to_string(), "nothing to normalise");
    error(RmsNorm::new(()).init(&device, rng).unwrap_err().to_string(), "nothing to normalise");
    error(InstanceNorm::new(0).init(&device, rng).unwrap_err().to_string(), "0 channels");
}

#[test]
fn products() {
    let (m, v) = (ones(&[2, 3]), ones(&[4]));
    says(&m.dot(&v), line!(), &["dot", "[2, 3]", "two vectors"]);
    says(&v.dot(&v.repeat([2])), line!(), &["dot", "one length"]);
    says(&m.outer(&v), line!(), &["outer", "[2, 3]", "two vectors"]);
    says(&m.bilinear(&v, &ones(&[5, 3, 2]), None), line!(), &["bilinear", "[.., 3] and [.., 2]"]);
    says(&m.bilinear(&v, &v, None), line!(), &["bilinear", "[outputs, left, right]"]);
    says(&m.bilinear(&m, &ones(&[5, 3, 3]), Some(&v)), line!(), &["bilinear", "bias of 5"]);
    says(&m.einsum("ij,jk->ik", &[&v]), line!(), &["einsum", "'ij,jk->ik'", "2 indices", "1 axes [4]"]);
    says(&m.einsum("ij,j->i", &[&v]), line!(), &["einsum", "'j' has extent 3, and 4"]);
    says(&m.einsum("ij->z", &[]), line!(), &["einsum", "'z' is in no operand"]);
}

#[test]
fn attention() {
    let (q, k) = (ones(&[2, 4, 5, 8]), ones(&[2, 3, 6, 8]));
    let plain = Attention::default();
    says(&plain.apply(&q, &k, &k), line!(), &["attention", "3 heads of keys do not divide 4"]);
    says(&plain.apply(&q, &ones(&[2, 4, 6, 7]), &k), line!(), &["attention", "[.., L, E]"]);
    says(&plain.apply(&k, &k, &q), line!(), &["attention", "no keys and values"]);
    let (small, integers) = (ones(&[5, 6]), ids(&[6, 6]));
    let masked = |mask| Attention { mask: Some(mask), ..Attention::default() };
    says(&masked(&small).apply(&k, &k, &k), line!(), &["attention", "cannot be broadcast"]);
    says(&masked(&integers).apply(&k, &k, &k), line!(), &["attention", "i32", "no mask"]);
    let (device, rng) = (strict(), &mut Rng::seed(0));
    refuses(MultiheadAttention::new(8, 3).init(&device, rng), line!(), &["3 heads do not divide vectors of 8"]);
    refuses(MultiheadAttention::new(8, 0).init(&device, rng), line!(), &["multihead_attention", "0 heads"]);
    refuses(MultiheadAttention::new(8, 2).dropout(1.5).init(&device, rng), line!(), &["dropout", "p = 1.5"]);
    refuses(MultiheadAttention::new(usize::MAX, 1).init(&device, rng), line!(), &["init", "too large"]);
    let layer = MultiheadAttention::new(8, 2).init(&device, rng).expect("a layer");
    let [x, narrow, flat] = [&[2, 5, 8][..], &[2, 5, 7], &[8]].map(|shape| Tensor::ones(&device, shape));
    says(&layer.forward(&narrow, &x, &x, None), line!(), &["multihead_attention", "[2, 5, 7]", "[.., length, 8]"]);
    says(&layer.forward(&x, &flat, &x, None), line!(), &["multihead_attention", "[8]", "[.., length, 8]"]);
}

#[test]
fn initial_weights() {
    let (device, rng) = (strict(), &mut Rng::seed(0));
    refuses(Init::Eye.param(&device, [2], rng), line!(), &["eye", "[2]", "no matrix"]);
    refuses(Init::HE.draw(&[2], rng), line!(), &["scaled_uniform", "[2]", "[out, in, k..]"]);
    let groups = Conv2d::new(4, 3, 3).weights(Init::Dirac { groups: 2 });
    refuses(groups.init(&device, rng), line!(), &["dirac", "[3, 4, 3, 3]", "3 filters in 2 groups"]);
    let linear = Linear::new(3, 4).weights(Init::Sparse { sparsity: 2.0, std: 1.0 });
    refuses(linear.init(&device, rng), line!(), &["sparse", "2 zeros", "[4, 3]"]);
}

#[test]
fn files() {
    let net = Linear::new(2, 3).init(&strict(), &mut Rng::seed(0)).unwrap();
    refuses(train::load("/no/such/file", &net), line!(), &["load: /no/such/file: cannot be read"]);
    refuses(Mnist::load("/no/such/folder"), line!(), &["mnist: /no/such/folder/train-images", "to get them"]);
    let folder = std::env::temp_dir();
    refuses(train::save(&folder, &net), line!(), &["save", "cannot be written"]);
    refuses(train::write_atomically(&folder, b"x"), line!(), &["write", "cannot be written"]);
}

#[test]
fn sampling() {
    let x = ones(&[2, 3, 4, 5]);
    let twice = Resize::factor(2.0, Resample::Linear);
    says(&ones(&[4, 5]).interpolate(&twice), line!(), &["interpolate", "nothing to resize"]);
    says(&x.interpolate(&Resize::size(&[4], Resample::Linear)), line!(), &["interpolate", "size [4]", "2 axes"]);
    says(&ids(&[1, 1, 2]).interpolate(&Resize::factor(2.0, Resample::Area)), line!(), &["interpolate", "i32"]);
    let cubic = GridSample { mode: Resample::Cubic, outside: Outside::Zeros, align_corners: false };
    says(&x.grid_sample(&ones(&[2, 1, 1, 3]), &cubic), line!(), &["grid_sample", "[2, 1, 1, 3]"]);
    let (volume, grid) = (ones(&[1, 1, 2, 2, 2]), ones(&[1, 1, 1, 1, 3]));
    says(&volume.grid_sample(&grid, &cubic), line!(), &["Cubic does not sample at 3"]);
    says(&x.affine_grid(&[4, 5], false), line!(), &["affine_grid", "[batch, 2, 3]"]);
}

#[test]
fn targets() {
    let (x, scalar) = (ones(&[4, 3]), ones(&[]));
    says(&scalar.cross_entropy(&ids(&[])), line!(), &["cross_entropy", "[]", "no axis of classes"]);
    says(&scalar.nll_loss(&ids(&[])), line!(), &["nll_loss", "[]", "no axis of classes"]);
    says(&MultilabelSoftMargin::default().loss(&scalar, &scalar), line!(), &["multilabel_soft_margin_loss", "no axis"]);
    says(&MultiMargin::default().loss(&x, &ones(&[4])), line!(), &["multi_margin_loss", "f32", "no class; use i32"]);
    says(&CosineEmbedding::default().loss(&scalar, &scalar, &scalar), line!(), &["cosine_embedding_loss", "features"]);
}

#[test]
fn layers() {
    let (device, rng) = (strict(), &mut Rng::seed(0));
    let (huge, square) = (usize::MAX / 5, 1 << 26);
    refuses(Linear::new(0, 2).init(&device, rng), line!(), &["linear", "0 inputs and 2 outputs"]);
    refuses(Linear::new(huge, 7).init(&device, rng), line!(), &["init", "[7, ", "too large"]);
    refuses(Linear::new(square, square).init(&device, rng), line!(), &["no memory for weights of shape [67108864, "]);
    refuses(Conv2d::new(4, 3, 3).groups(2).init(&device, rng), line!(), &["conv2d", "4 to 3 channels in 2 groups"]);
    refuses(Conv2d::new(4, 4, 0).init(&device, rng), line!(), &["conv2d", "a kernel of [0, 0]"]);
    refuses(Conv2d::new(huge, huge, huge).init(&device, rng), line!(), &["init", "too large"]);
    refuses(Dropout::new(1.0).init(&device, rng), line!(), &["dropout", "p = 1 is not in [0, 1)"]);
    refuses(Dropout::new(f64::NAN).init(&device, rng), line!(), &["dropout", "p = NaN is not in [0, 1)"]);
    refuses(BatchNorm2d::new(0).init(&device, rng), line!(), &["batch_norm2d", "0 channels"]);
    refuses(BatchNorm2d::new(huge).init(&device, rng), line!(), &["init", "too large"]);
    let norm = BatchNorm2d::new(3).init(&device, rng).expect("a layer");
    says(&norm.forward(&ones(&[2, 3])), line!(), &["batch_norm2d", "[2, 3]", "[batch, channels, height, width]"]);
    says(&norm.forward(&ones(&[2, 4, 1, 1])), line!(), &["batch_norm2d", "has 4 channels, not 3"]);
    let whole = ones(&[2, 3, 1, 1]).cast(DType::I32);
    says(&norm.forward(&whole), line!(), &["batch_norm2d", "i32", "cast to a float first"]);
    let norm = InstanceNorm::new(3).init(&device, rng).expect("a layer");
    says(&norm.forward(&ones(&[2, 4, 5])), line!(), &["instance_norm", "[2, 4, 5]", "[batch, 3, space..]"]);
    let conv = Conv2d::new(4, 6, [3, 2]).init(&device, rng).expect("a layer");
    says(&conv.forward(&ones(&[4, 5])), line!(), &["conv2d", "[4, 5]", "[batch, channels, height, width]"]);
    says(&conv.forward(&ones(&[2, 3, 5, 5])), line!(), &["conv2d", "has 3 channels, not 4"]);
    says(&conv.forward(&ones(&[2, 4, 2, 5])), line!(), &["conv", "[2, 4, 2, 5]", "larger than the padded input"]);
    let reflect =
        Conv1d::new(2, 2, 3).padding(4).padding_mode(PaddingMode::Reflect).init(&device, rng).expect("a layer");
    says(&reflect.forward(&ones(&[1, 2, 4])), line!(), &["pad_reflect", "too short at axis 2"]);
    refuses(Conv1d::new(2, 2, 3).stride(0).init(&device, rng), line!(), &["conv1d", "a stride of [0]"]);
    let same = Conv3d::new(2, 2, 3).padding(Padding::Same).stride(2);
    refuses(same.init(&device, rng), line!(), &["conv3d", "same extents with a stride of [2, 2, 2]"]);
    let more = ConvTranspose2d::new(2, 2, 3).stride([2, 1]).output_padding(1);
    refuses(more.init(&device, rng), line!(), &["conv_transpose2d", "output padding of [1, 1]", "stride [2, 1]"]);
    let back = ConvTranspose1d::new(2, 2, 3).stride(2).init(&device, rng).expect("a layer");
    says(&back.forward(&ones(&[1, 3, 4])), line!(), &["conv_transpose1d", "has 3 channels, not 2"]);
    says(&back.forward_to(&ones(&[1, 2, 4]), 20), line!(), &["conv_transpose1d", "does not come of [20]"]);
    says(&MaxPool2d::new(2).forward(&ones(&[4, 4])), line!(), &["max_pool2d", "[4, 4]"]);
    says(&MaxPool1d::new(9).forward(&ones(&[1, 4, 4])), line!(), &["max_pool", "smaller than the window [9]"]);
    says(&AdaptiveAvgPool3d::new(0).forward(&ones(&[1, 1, 2, 2, 2])), line!(), &["adaptive_avg_pool", "[0, 0, 0]"]);
    let norm = BatchNorm3d::new(2).init(&device, rng).expect("a layer");
    says(&norm.forward(&ones(&[2, 2, 2, 2])), line!(), &["batch_norm3d", "[batch, channels, depth, height, width]"]);
    refuses(Embedding::new(3, 0).init(&device, rng), line!(), &["embedding", "3 rows of 0 numbers"]);
    refuses(Embedding::new(3, 2).padding(3).init(&device, rng), line!(), &["embedding", "row 3 for padding"]);
    refuses(Embedding::new(3, 2).max_norm(0.0).init(&device, rng), line!(), &["embedding", "length 0 at most"]);
    refuses(Embedding::from_pretrained(&ones(&[3])).init(&device, rng), line!(), &["embedding", "shape [3]"]);
    let embedding = Embedding::new(3, 2).init(&device, rng).expect("a layer");
    says(&embedding.forward(&ones(&[2])), line!(), &["embedding", "f32"]);
    refuses(EmbeddingBag::new(3, 2).combine(Combine::Prod).init(&device, rng), line!(), &["embedding_bag", "Prod"]);
    let bag = EmbeddingBag::new(3, 2).init(&device, rng).expect("a layer");
    let weights = ones(&[2, 2]);
    let weighed = Bag { weights: Some(&weights), ..Bag::default() };
    says(&bag.forward(&ids(&[2, 2]), weighed), line!(), &["embedding_bag", "weights are for sums"]);
    says(&bag.forward(&ids(&[2]), Bag::default()), line!(), &["embedding_bag", "[2]", "makes no bags"]);
    let images = Dropout2d::new(0.5).init(&device, rng).expect("a layer");
    says(&images.forward(&ones(&[2, 2])), line!(), &["dropout2d", "[2, 2]", "[batch, channels, height, width]"]);
    refuses(AlphaDropout::new(1.0).init(&device, rng), line!(), &["alpha_dropout", "p = 1 is not in [0, 1)"]);
    refuses(StochasticDepth::new(1.1).init(&device, rng), line!(), &["stochastic_depth", "p = 1.1 is not in [0, 1]"]);
    refuses(DropConnect::new(Linear::new(2, 2), -0.1).init(&device, rng), line!(), &["drop_connect", "p = -0.1"]);
    refuses(Lora::new(Linear::new(4, 3), 4).init(&device, rng), line!(), &["lora", "rank 4", "[3, 4]"]);
    refuses(Lora::new(Conv1d::new(4, 3, 1), 1).init(&device, rng), line!(), &["lora", "[3, 4, 1]"]);
    refuses(Bilinear::new(0, 3, 2).init(&device, rng), line!(), &["bilinear", "0 and 3 inputs"]);
    refuses(Prelu::new().channels(0).init(&device, rng), line!(), &["prelu", "0 channels"]);
    let prelu = Prelu::new().channels(3).init(&device, rng).expect("a layer");
    says(&prelu.forward(&ones(&[2, 4])), line!(), &["prelu", "has 4 channels, not 3"]);
    refuses(ShuffleUnit::new(4, 6).init(&device, rng), line!(), &["shuffle_unit", "4 to 6", "stride of 1"]);
    refuses(SqueezeExcite::new(4, 0).init(&device, rng), line!(), &["squeeze_excite", "4 channels by way of 0"]);
    let net = Sequential::new().then(Conv2d::new(4, 6, 3).init(&device, rng).expect("a layer"));
    says(&net.forward(&ones(&[2, 3, 5, 5])), line!(), &["conv2d", "has 3 channels, not 4"]);
    let boxed: Vec<Box<dyn Layer>> = vec![Box::new(net.clone()), Box::new(net)];
    let x = Tensor::ones(&device, [2, 4, 5, 5]);
    says(&boxed.forward(&x), line!(), &["conv2d", "has 6 channels, not 4"]);
    refuses(InvertedResidual::new(4, 4, 0).init(&device, rng), line!(), &["inverted_residual", "4 channels times 0"]);
}

#[test]
fn recurrent_layers() {
    let (device, rng) = (strict(), &mut Rng::seed(0));
    let ones = |shape: &[usize]| Tensor::ones(&device, shape);
    let ids = |shape: &[usize]| Tensor::full(&device, 0.0, shape, DType::I32);
    let huge = usize::MAX / 5;
    refuses(Lstm::new(3, 0).init(&device, rng), line!(), &["lstm", "3 inputs and 0 hidden units in 1 layers"]);
    refuses(Gru::new(3, 4).layers(0).init(&device, rng), line!(), &["gru", "in 0 layers"]);
    let wide = Lstm::new(3, 4).projection(4);
    refuses(wide.init(&device, rng), line!(), &["lstm", "a projection of 4 hidden units to 4"]);
    refuses(Rnn::new(3, 4).dropout(1.0).init(&device, rng), line!(), &["dropout", "p = 1"]);
    refuses(Gru::new(3, huge).init(&device, rng), line!(), &["init", "too large"]);
    refuses(GruCell::new(0, 4).init(&device, rng), line!(), &["gru", "0 inputs and 4 hidden units"]);
    refuses(AttentionPool::new(3, 0).init(&device, rng), line!(), &["attention_pool", "states of 3 compared in 0"]);
    let lstm = Lstm::new(3, 4).layers(2).init(&device, rng).expect("a layer");
    let x = ones(&[5, 2, 3]);
    says(&lstm.forward(&ones(&[5, 2, 4]), None).0, line!(), &["lstm", "[5, 2, 4]", "is not [time, batch, 3]"]);
    says(&lstm.forward(&ones(&[3]), None).1.c, line!(), &["lstm", "[3]", "is not [time, batch, 3]"]);
    says(&lstm.forward(&x.cast(DType::I32), None).0, line!(), &["lstm", "i32", "cast to a float first"]);
    let state = |h: &[usize], c: &[usize]| LstmState { h: ones(h), c: ones(c) };
    let wrong = state(&[2, 2, 4], &[1, 2, 4]);
    says(&lstm.forward(&x, Some(&wrong)).0, line!(), &["lstm", "[1, 2, 4]", "no state", "floats [2, 2, 4]"]);
    says(&lstm.forward_packed(&x, &ids(&[3]), None).0, line!(), &["lstm", "[3]", "no length for each of 2 sequences"]);
    says(&lstm.forward_packed(&x, &ones(&[2]), None).0, line!(), &["lstm", "whole numbers [2]"]);
    let failed = x.matmul(&ones(&[2, 2]));
    says(&lstm.forward(&failed, None).1.h, line!() - 1, &["matmul"]);
    let cell = LstmCell::new(3, 4).init(&device, rng).expect("a cell");
    says(&cell.forward(&ones(&[2, 4]), None).h, line!(), &["lstm", "[2, 4]", "is not [batch, 3] of floats"]);
    let wrong = state(&[2, 4], &[4]);
    says(&cell.forward(&ones(&[2, 3]), Some(&wrong)).c, line!(), &["lstm", "[4]", "no state of this cell", "[2, 4]"]);
    let pool = AttentionPool::new(3, 4).init(&device, rng).expect("a layer");
    says(&pool.forward(&ones(&[3]), None), line!(), &["attention_pool", "[.., time, width]"]);
    let mask = ids(&[5, 3]).eq(0);
    says(&pool.forward(&x, Some(&mask)), line!(), &["attention_pool", "[5, 2, 3]", "[5, 3]", "do not fit"]);
    let net = HierarchicalRnn::new(3, 4).init(&device, rng).expect("a layer");
    says(&net.forward(&x, None), line!(), &["hierarchical_rnn", "[batch, segments, steps, 3]"]);
    says(&net.forward(&ones(&[1, 2, 5, 3]), Some(&ids(&[2]))), line!(), &["hierarchical_rnn", "whole numbers [1, 2]"]);
}

#[test]
fn layers_of_sequences() {
    let (device, rng) = (strict(), &mut Rng::seed(0));
    let none = MultiheadAttention::new(6, 2).kdim(0);
    refuses(none.init(&device, rng), line!(), &["multihead_attention", "keys of 0 and values of 6"]);
    let encoder = TransformerEncoderLayer::new(4, 3);
    refuses(encoder.init(&device, rng), line!(), &["transformer_encoder_layer", "vectors of 4 in 3 heads"]);
    let decoder = TransformerDecoderLayer::new(4, 2).feedforward(0);
    refuses(decoder.clone().init(&device, rng), line!(), &["transformer_decoder_layer", "feed-forward net of 0"]);
    let none = TransformerDecoder::new(decoder, 0);
    refuses(none.init(&device, rng), line!(), &["transformer_decoder", "0 layers"]);
    let none = Transformer::new(4, 2).encoder_layers(0);
    refuses(none.init(&device, rng), line!(), &["transformer_encoder", "0 layers"]);
    refuses(RotaryEmbedding::new(5).init(&device, rng), line!(), &["rotary_embedding", "5 columns"]);
    refuses(RotaryEmbedding::new(4).base(0.0).init(&device, rng), line!(), &["rotary_embedding", "base 0"]);
    refuses(Alibi::new(0).init(&device, rng), line!(), &["alibi", "0 heads"]);
    refuses(SinusoidalPosition::new(0).init(&device, rng), line!(), &["sinusoidal_position", "vectors of 0"]);
    refuses(LearnedPosition::new(0, 4).init(&device, rng), line!(), &["learned_position", "0 positions of 4"]);
    refuses(GatedFeedForward::swiglu(0).init(&device, rng), line!(), &["gated_feed_forward", "vectors of 0"]);
    let experts = MixtureOfExperts::new(4, 8, 2).top_k(3);
    refuses(experts.init(&device, rng), line!(), &["mixture_of_experts", "the best 3 of 2 experts"]);
    let experts = MixtureOfExperts::new(4, 8, 2).capacity(0.0);
    refuses(experts.init(&device, rng), line!(), &["mixture_of_experts", "a capacity of 0"]);

    let x = Tensor::ones(&device, [2, 5, 4]);
    let layer = TransformerEncoderLayer::new(6, 2).init(&device, rng).expect("a layer");
    says(&layer.forward(&x, None), line!(), &["multihead_attention", "[2, 5, 4]", "[.., length, 6]"]);
    let layer = MultiheadAttention::new(4, 2).add_zero_attn(true).init(&device, rng).expect("a layer");
    let mask = Tensor::ones(&device, [5, 4]);
    says(&layer.forward(&x, &x, &x, Some(&mask)), line!(), &["attention", "[5, 4]", "cannot be broadcast"]);
    let layer = RotaryEmbedding::new(6).init(&device, rng).expect("a layer");
    says(&layer.forward(&x, 0), line!(), &["rotary_embedding", "[2, 5, 4]", "6 or more"]);
    let layer = Alibi::new(3).init(&device, rng).expect("a layer");
    says(&layer.bias(&x, &x, 0), line!(), &["alibi", "[2, 5, 4]", "[.., 3, length, width]"]);
    let layer = SinusoidalPosition::new(6).init(&device, rng).expect("a layer");
    says(&layer.forward(&x, 0), line!(), &["sinusoidal_position", "[2, 5, 4]", "[.., length, 6]"]);
    let layer = LearnedPosition::new(6, 4).init(&device, rng).expect("a layer");
    says(&layer.forward(&x, 2), line!(), &["learned_position", "from position 2 on", "6 positions of 4"]);
    let layer = GatedFeedForward::swiglu(6).init(&device, rng).expect("a layer");
    says(&layer.forward(&x), line!(), &["matmul", "[2, 5, 4]"]);
    let layer = MixtureOfExperts::new(6, 8, 3).init(&device, rng).expect("a layer");
    says(&layer.forward(&x).balance, line!(), &["mixture_of_experts", "[2, 5, 4]", "[.., 6]"]);
}

/// Parameters are public fields: what somebody puts there is an error where it is used.
#[test]
fn parameters_of_other_axes() {
    let (device, rng) = (strict(), &mut Rng::seed(0));
    let flat = Param::new(Tensor::ones(&device, [3])).expect("a parameter");
    let single = Param::new(Tensor::ones(&device, ())).expect("a parameter");
    let mut layer = MixtureOfExperts::new(6, 8, 3).init(&device, rng).expect("a layer");
    layer.w1 = flat.clone();
    says(&layer.forward(&Tensor::ones(&device, [2, 6])).y, line!(), &["mixture_of_experts", "[3]", "w1"]);
    let x = Tensor::ones(&device, [1, 2, 4, 4]);
    let mut layer = Conv2d::new(2, 3, 2).init(&device, rng).expect("a layer");
    layer.weight = flat;
    says(&layer.forward(&x), line!(), &["conv2d", "2 channels, not 0"]);
    let mut layer = ConvTranspose2d::new(2, 3, 2).init(&device, rng).expect("a layer");
    layer.weight = single;
    says(&layer.forward(&x), line!(), &["conv_transpose2d", "2 channels, not 0"]);
}

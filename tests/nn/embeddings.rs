//! Embeddings and bags of them, by PyTorch's numbers: the table is `sin(0.7 i + 0.3)` of shape [5, 3], what flows back is of the same
//! formula.

use thalweg::{
    graph::Combine,
    nn::{Bag, EmbeddingBag, EmbeddingBagConfig, EmbeddingConfig},
    prelude::*,
};
use thalweg_tests::{cpu, strict, test_gpu};

use super::{close, wave};

fn ids(device: &Device, of: &[i32], shape: &[usize]) -> Tensor {
    Tensor::from_slice(device, of, shape)
}

/// `e = nn.Embedding.from_pretrained(w, freeze=False, ..)`, `(e(ids) * up).sum().backward()` with ids [[0, 2, 2], [4, 2, 0]]: the last two
/// rows of the output, and rows 0 and 2 of the gradient.
#[test]
fn embeddings_have_the_numbers_of_pytorch() -> Result<()> {
    type Settings = fn(EmbeddingConfig) -> EmbeddingConfig;
    let row = [0.2955202, 0.841471, 0.9916648];
    let grads = [[-0.685416, -0.0339812, 0.6334355], [0.3609023, -0.8170986, -1.6108052]];
    let cases: [(Settings, [[f64; 3]; 2], [[f64; 3]; 2]); 5] = [
        (|e| e, [[-0.9775301, -0.8834547, -0.3738767], row], grads),
        (|e| e.max_norm(1.0), [[-0.713727, -0.6450394, -0.2729797], [0.2215762, 0.630921, 0.7435338]], grads),
        (|e| e.max_norm(0.8).norm(1.0), [[-0.3499206, -0.316245, -0.1338344], [0.1110636, 0.316245, 0.3726914]], grads),
        (
            |e| e.by_frequency(true),
            [[-0.9775301, -0.8834547, -0.3738767], row],
            [[-0.342708, -0.0169906, 0.3167178], [0.1203008, -0.2723662, -0.5369351]],
        ),
        (|e| e.padding(2), [[-0.9775301, -0.8834547, -0.3738767], row], [grads[0], [0.0; 3]]),
    ];
    for device in [strict(), cpu(), test_gpu!()] {
        for (settings, out, grad) in cases {
            let config = settings(Embedding::from_pretrained(&wave(&device, &[5, 3])).freeze(false));
            let layer = config.init(&device, &mut Rng::seed(0))?;
            let y = layer.forward(&ids(&device, &[0, 2, 2, 4, 2, 0], &[2, 3]));
            let found = (&y * wave(&device, &[2, 3, 3])).sum(..).backward()?;
            close(&y.to_vec::<f64>()?[12..], &out.concat(), 1e-6);
            let g = found.get(&layer.weight).expect("a gradient").to_vec::<f64>()?;
            close(&[&g[..3], &g[6..9]].concat(), &grad.concat(), 1e-6);
            // What is read shortened is written so on request.
            layer.shorten()?;
            let table = layer.weight.tensor().to_vec::<f64>()?;
            close(&table[6..9], &out[0], 1e-6);
        }
    }
    Ok(())
}

/// `e = nn.EmbeddingBag.from_pretrained(w, freeze=False, ..)`, `(e(ids, offsets) * up).sum().backward()` with ids [0, 2, 2, 4, 2, 0] and
/// offsets [0, 2, 2]: the bags, and rows 0 and 2 of the gradient.
#[test]
fn bags_have_the_numbers_of_pytorch() -> Result<()> {
    type Settings = fn(EmbeddingBagConfig) -> EmbeddingBagConfig;
    let cases: [(Settings, [[f64; 3]; 3], [[f64; 3]; 2]); 6] = [
        (
            |e| e,
            [[-0.341005, -0.0209918, 0.3088941], [0.0; 3], [-0.2491427, -0.2251657, -0.0952898]],
            [[-0.0966224, 0.1998718, 0.4023632], [-0.341005, -0.0209918, 0.3088941]],
        ),
        (
            |e| e.combine(Combine::Sum),
            [[-0.6820099, -0.0419837, 0.6177881], [0.0; 3], [-0.9965708, -0.9006629, -0.3811592]],
            [[-0.6820099, -0.0419837, 0.6177881], [-1.65954, -0.9254383, 0.2439115]],
        ),
        (
            |e| e.combine(Combine::Max),
            [[0.2955202, 0.841471, 0.9916648], [0.0; 3], [0.6629692, 0.841471, 0.9916648]],
            [[0.2955202, -0.0419837, 0.6177881], [0.0; 3]],
        ),
        (
            |e| e.padding(2),
            [[0.2955202, 0.841471, 0.9916648], [0.0; 3], [0.4792447, 0.4331232, 0.1832971]],
            [[-0.1932449, 0.3997437, 0.8047265], [0.0; 3]],
        ),
        (
            |e| e.combine(Combine::Sum).max_norm(1.0),
            [[-0.4921508, -0.0141184, 0.4705542], [0.0; 3], [-0.5429085, -0.6343823, -0.4274962]],
            [[-0.6820099, -0.0419837, 0.6177881], [-1.65954, -0.9254383, 0.2439115]],
        ),
        (
            |e| e.by_frequency(true),
            [[-0.341005, -0.0209918, 0.3088941], [0.0; 3], [-0.2491427, -0.2251657, -0.0952898]],
            [[-0.0483112, 0.0999359, 0.2011816], [-0.1136683, -0.0069973, 0.1029647]],
        ),
    ];
    for device in [strict(), cpu(), test_gpu!()] {
        for (settings, out, grad) in cases {
            let config = settings(EmbeddingBag::from_pretrained(&wave(&device, &[5, 3])).freeze(false));
            let layer = config.init(&device, &mut Rng::seed(0))?;
            let offsets = ids(&device, &[0, 2, 2], &[3]);
            let bag = Bag { offsets: Some(&offsets), ..Bag::default() };
            let y = layer.forward(&ids(&device, &[0, 2, 2, 4, 2, 0], &[6]), bag);
            close(&y.to_vec::<f64>()?, &out.concat(), 1e-6);
            let found = (&y * wave(&device, &[3, 3])).sum(..).backward()?;
            let g = found.get(&layer.weight).expect("a gradient").to_vec::<f64>()?;
            close(&[&g[..3], &g[6..9]].concat(), &grad.concat(), 1e-6);
        }
    }
    Ok(())
}

/// `include_last_offset=True` with offsets [0, 2, 5] of six ids, and `per_sample_weights` of `sin(0.7 i + 0.3)`.
#[test]
fn bags_may_end_early_and_weigh_their_rows() -> Result<()> {
    let device = cpu();
    let config = EmbeddingBag::from_pretrained(&wave(&device, &[5, 3])).combine(Combine::Sum);
    let layer = config.init(&device, &mut Rng::seed(0))?;
    assert!(layer.weight.is_frozen());
    let offsets = ids(&device, &[0, 2, 5], &[3]);
    let bag = Bag { offsets: Some(&offsets), include_last_offset: true, ..Bag::default() };
    let y = layer.forward(&ids(&device, &[0, 2, 2, 4, 2, 0], &[6]), bag);
    close(&y.to_vec::<f64>()?, &[-0.6820099, -0.0419837, 0.6177881, -1.292091, -1.7421339, -1.3728239], 1e-6);
    let weights = wave(&device, &[2, 2]);
    let y = layer.forward(&ids(&device, &[0, 2, 4, 1], &[2, 2]), Bag { weights: Some(&weights), ..Bag::default() });
    close(&y.to_vec::<f64>()?, &[-0.735231, -0.4947298, -0.0215494, 1.1136938, 0.0526551, -1.033148], 1e-6);
    Ok(())
}

#[test]
fn a_table_is_drawn_with_a_row_of_zeros() -> Result<()> {
    let device = cpu();
    let layer = Embedding::new(200, 50).padding(7).init(&device, &mut Rng::seed(0))?;
    let table = layer.weight.tensor();
    assert_eq!(table.select(0, 7).to_vec::<f64>()?, [0.0; 50]);
    let std = table.std(.., 1).item()?;
    assert!((std - 1.0).abs() < 0.03, "{std}");
    assert_eq!(layer.forward(&ids(&device, &[], &[0, 4])).shape(), [0, 4, 50]);
    Ok(())
}

//! A gather whose positions are computed, read beyond its end by a pad: the positions there are nobody's and no error.

use thalweg_graph::{DType, Result, Tensor};
use thalweg_tests::{cpu, own_gpu};

#[test]
fn a_gather_read_beyond_its_end_is_no_error() -> Result<()> {
    for device in [cpu(), own_gpu()] {
        let x = Tensor::arange(&device, 6).cast(DType::F32);
        x.eval()?;
        let index = Tensor::arange(&device, 3) + 3.0;
        let y = x.gather(0, &index).pad(&[(2, 2)], 0.0);
        let z = x.gather(0, &(Tensor::arange(&device, 3) * 2.0)).concat_with(&[x.gather(0, &index)], 0);
        assert_eq!(y.to_vec::<f32>()?, [0.0, 0.0, 3.0, 4.0, 5.0, 0.0, 0.0]);
        assert_eq!(z.to_vec::<f32>()?, [0.0, 2.0, 4.0, 3.0, 4.0, 5.0]);
        device.synchronize()?;
    }
    Ok(())
}

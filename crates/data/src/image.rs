//! Images as bytes, and as what a model sees.

use thalweg_graph::{Device, Error, ErrorKind, Result, Tensor, shape::count};

use crate::host::Host;

/// Red, green and blue of a grey value.
///
/// # Source
/// ITU-R BT.601-7, 2.5.1.
const LUMA: [f32; 3] = [0.299, 0.587, 0.114];

/// An image of 8 bits for each channel of a pixel: `[H, W, C]`, row-major, as files and cameras have it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Image {
    pixels: Vec<u8>,
    height: usize,
    width: usize,
    channels: usize,
}

/// How bytes become floats: `x = (byte / 255 - mean) / std`, with a mean and a deviation for each channel, or one for all.
#[derive(Clone, Debug, PartialEq)]
pub struct Normalise {
    /// What is subtracted.
    pub mean: Vec<f32>,
    /// What is divided by.
    pub std: Vec<f32>,
}

impl Default for Normalise {
    /// To `[0, 1]`.
    fn default() -> Normalise {
        Normalise { mean: vec![0.0], std: vec![1.0] }
    }
}

impl Normalise {
    /// Of the images of ImageNet, which the models of torchvision were trained with.
    ///
    /// # Source
    /// torchvision, `transforms/_presets.py`, `ImageClassification`.
    pub fn imagenet() -> Normalise {
        Normalise { mean: vec![0.485, 0.456, 0.406], std: vec![0.229, 0.224, 0.225] }
    }

    /// Mean and deviation of a channel of so many, or why there are none.
    #[track_caller]
    fn of(&self, channels: usize) -> Result<impl Fn(usize) -> (f32, f32) + '_> {
        let fits = |of: &[f32]| of.len() == 1 || of.len() == channels;
        if !fits(&self.mean) || !fits(&self.std) {
            let (means, stds) = (self.mean.len(), self.std.len());
            return Err(invalid(format!("{means} means and {stds} deviations for {channels} channels")));
        }
        let at = |of: &[f32], c: usize| if of.len() == 1 { of[0] } else { of[c] };
        Ok(move |c| (at(&self.mean, c), at(&self.std, c)))
    }
}

#[track_caller]
fn invalid(problem: String) -> Error {
    Error::new("image", ErrorKind::Invalid(problem))
}

impl Image {
    /// Of bytes in this order: `[H, W, C]`.
    ///
    /// # Errors
    /// Another number of bytes.
    #[track_caller]
    pub fn new(pixels: Vec<u8>, [height, width, channels]: [usize; 3]) -> Result<Image> {
        let shape = [height, width, channels];
        match [width, channels].iter().try_fold(height, |n, extent| n.checked_mul(*extent)) {
            Some(want) if want == pixels.len() => Ok(Image { pixels, height, width, channels }),
            _ => Err(invalid(format!("{} bytes for {shape:?}", pixels.len()))),
        }
    }

    /// Of bytes with a plane for each channel: `[C, H, W]`.
    ///
    /// # Errors
    /// Another number of bytes.
    #[track_caller]
    pub fn from_planes(planes: &[u8], [channels, height, width]: [usize; 3]) -> Result<Image> {
        let mut image = Image::new(planes.to_vec(), [height, width, channels])?;
        for (i, byte) in image.pixels.iter_mut().enumerate() {
            *byte = planes[i % channels * height * width + i / channels];
        }
        Ok(image)
    }

    /// `[H, W, C]`.
    pub fn shape(&self) -> [usize; 3] {
        [self.height, self.width, self.channels]
    }

    /// The bytes, `[H, W, C]`.
    pub fn pixels(&self) -> &[u8] {
        &self.pixels
    }

    /// The bytes with a plane for each channel, `[C, H, W]`.
    pub fn planes(&self) -> Vec<u8> {
        (0..self.channels).flat_map(|c| self.pixels.iter().skip(c).step_by(self.channels).copied()).collect()
    }

    /// The same with 3 channels: grey is repeated, what is transparent is not.
    ///
    /// # Errors
    /// More than 4 channels, or none.
    #[track_caller]
    pub fn to_rgb(&self) -> Result<Image> {
        self.with_pixels(3, |pixel| match *pixel {
            [grey] | [grey, _] => Some(vec![grey; 3]),
            [r, g, b] | [r, g, b, _] => Some(vec![r, g, b]),
            _ => None,
        })
    }

    /// The same with 1 channel: `0.299 R + 0.587 G + 0.114 B`.
    ///
    /// # Errors
    /// More than 4 channels, or none.
    #[track_caller]
    pub fn to_grey(&self) -> Result<Image> {
        self.with_pixels(1, |pixel| match *pixel {
            [grey] | [grey, _] => Some(vec![grey]),
            [r, g, b] | [r, g, b, _] => {
                let grey: f32 = [r, g, b].iter().zip(LUMA).map(|(x, part)| f32::from(*x) * part).sum();
                Some(vec![grey.round() as u8])
            }
            _ => None,
        })
    }

    #[track_caller]
    fn with_pixels(&self, channels: usize, of: impl Fn(&[u8]) -> Option<Vec<u8>>) -> Result<Image> {
        let pixels = self.pixels.chunks_exact(self.channels.max(1)).map(of).collect::<Option<Vec<_>>>();
        match pixels {
            Some(pixels) if self.channels > 0 => Image::new(pixels.concat(), [self.height, self.width, channels]),
            _ => Err(invalid(format!("{} channels have no colour", self.channels))),
        }
    }

    /// As floats, normalised.
    ///
    /// # Shapes
    /// → `[C, H, W]`
    /// # Errors
    /// Neither one mean and deviation nor one for each channel.
    #[track_caller]
    pub fn to_host(&self, normalise: &Normalise) -> Result<Host<f32>> {
        let of = normalise.of(self.channels)?;
        let plane = self.height * self.width;
        let value = |(i, byte): (usize, u8)| {
            let (mean, std) = of(i / plane);
            (f32::from(byte) / 255.0 - mean) / std
        };
        let values = self.planes().into_iter().enumerate().map(value).collect();
        Ok(Host { values, shape: vec![self.channels, self.height, self.width] })
    }

    /// The image that a tensor is: the inverse of [`Image::to_host`], rounded to bytes; what is darker than black or brighter than white
    /// is black or white. Evaluates, and waits for the device.
    ///
    /// # Shapes
    /// `[C, H, W]`, or `[H, W]` for one channel
    /// # Errors
    /// Another number of axes; as [`Image::to_host`] and [`Tensor::to_vec`].
    #[track_caller]
    pub fn from_tensor(tensor: &Tensor, normalise: &Normalise) -> Result<Image> {
        let values = tensor.to_vec::<f32>()?;
        let [channels, height, width] = match *tensor.shape() {
            [height, width] => [1, height, width],
            [channels, height, width] => [channels, height, width],
            _ => {
                let problem = "is not [channels, height, width]".to_string();
                return Err(Error::new("image", ErrorKind::Shape { shape: tensor.shape().to_vec(), problem }));
            }
        };
        let of = normalise.of(channels)?;
        let plane = count(&[height, width]);
        let byte = |(i, x): (usize, &f32)| {
            let (mean, std) = of(i / plane);
            // NaN is black.
            ((x * std + mean) * 255.0).round().clamp(0.0, 255.0) as u8
        };
        let planes: Vec<u8> = values.iter().enumerate().map(byte).collect();
        Image::from_planes(&planes, [channels, height, width])
    }

    /// As a tensor on a device, normalised. What goes wrong is carried by the tensor.
    ///
    /// # Shapes
    /// → `[C, H, W]`
    /// # Errors
    /// As [`Image::to_host`].
    #[track_caller]
    pub fn to(&self, device: &Device, normalise: &Normalise) -> Tensor {
        match self.to_host(normalise) {
            Ok(host) => host.to(device),
            Err(error) => Tensor::zeros(device, [0]).fail("image", error.kind().clone()),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use thalweg_cpu::StrictCpu;

    use super::*;

    /// Two rows of three pixels, whose channels are 10 apart.
    fn image(channels: usize) -> Image {
        let pixels = (0..6).flat_map(|i| (0..channels).map(move |c| (20 * i + 10 * c) as u8)).collect();
        Image::new(pixels, [2, 3, channels]).unwrap()
    }

    #[test]
    fn planes_and_pixels_are_two_orders_of_one_image() {
        let image = image(3);
        let planes = image.planes();
        assert_eq!(planes[..6], [0, 20, 40, 60, 80, 100]);
        assert_eq!(planes[12..], [20, 40, 60, 80, 100, 120]);
        assert_eq!(Image::from_planes(&planes, [3, 2, 3]).unwrap(), image);
        assert!(Image::new(vec![0; 5], [2, 3, 1]).is_err() && Image::new(vec![], [usize::MAX, 2, 1]).is_err());
        assert!(Image::from_planes(&[], [0, 5, 5]).unwrap().to_rgb().is_err());
    }

    #[test]
    fn channels_are_repeated_dropped_or_weighed() {
        assert_eq!(image(1).to_rgb().unwrap().pixels()[3..6], [20, 20, 20]);
        assert_eq!(image(2).to_grey().unwrap(), image(1));
        assert_eq!(image(4).to_rgb().unwrap(), image(3));
        let colours = Image::new(vec![255, 0, 0, 0, 255, 0, 0, 0, 255], [1, 3, 3]).unwrap();
        assert_eq!(colours.to_grey().unwrap().pixels(), [76, 150, 29]);
        assert!(image(5).to_grey().unwrap_err().to_string().contains("5 channels have no colour"));
    }

    #[test]
    fn tensors_are_images_and_back() {
        let device = Device::new(Arc::new(StrictCpu::new()));
        let how = Normalise::imagenet();
        let x = image(3).to(&device, &how);
        assert_eq!(x.shape(), [3, 2, 3]);
        let first = x.to_vec::<f32>().unwrap()[7];
        assert!((first - (30.0 / 255.0 - 0.456) / 0.224).abs() < 1e-6, "{first}");
        assert_eq!(Image::from_tensor(&x, &how).unwrap(), image(3));
        let grey = Tensor::from_slice(&device, &[-1.0f32, 0.5, 7.0, f32::NAN], [2, 2]);
        assert_eq!(Image::from_tensor(&grey, &Normalise::default()).unwrap().pixels(), [0, 128, 255, 0]);
        let error = image(2).to(&device, &how).check().unwrap_err().to_string();
        assert!(error.contains("3 means and 3 deviations for 2 channels"), "{error}");
        assert!(Image::from_tensor(&Tensor::zeros(&device, [2]), &how).is_err());
    }

    #[cfg(feature = "png")]
    #[test]
    fn files_are_written_and_read() {
        let folder = std::env::temp_dir().join(format!("thalweg-images-{}", std::process::id()));
        std::fs::create_dir_all(&folder).unwrap();
        for channels in 1..=4 {
            let path = folder.join(format!("{channels}.png"));
            image(channels).write_png(&path).unwrap();
            assert_eq!(Image::read_png(&path).unwrap(), image(channels));
        }
        assert!(image(5).write_png(folder.join("5.png")).unwrap_err().to_string().contains("a PNG has no 5 channels"));
        std::fs::write(folder.join("no.png"), b"text").unwrap();
        let error = Image::read_png(folder.join("no.png")).unwrap_err().to_string();
        assert!(error.contains("no.png: cannot be read"), "{error}");
        std::fs::remove_dir_all(folder).unwrap();
    }
}

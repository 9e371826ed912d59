//! Images in PNG files, behind the feature `png`.

use std::{fs, io::Cursor, path::Path};

use png::{BitDepth, ColorType, Decoder, Encoder, Transformations};
use thalweg_graph::{Error, ErrorKind, Result};

use crate::image::Image;

/// How many bytes of pixels may come of one in a file: deflate makes 1032 of it at most, a bit of which may be a colour of four.
const DEFLATE: usize = 1032 * 8 * 4;

/// # Files (feature `png`)
impl Image {
    /// Reads a PNG file, with the channels that it has: 1 of grey, 3 of colours, and one more where pixels may be transparent. Palettes
    /// are colours, and of 16 bits the upper 8 are taken.
    ///
    /// # Errors
    /// [`ErrorKind::File`] for a file that cannot be read, or is damaged or none of these.
    #[track_caller]
    pub fn read_png(path: impl AsRef<Path>) -> Result<Image> {
        let path = path.as_ref();
        let read = fs::read(path).map_err(|e| e.to_string()).and_then(|bytes| decode(&bytes));
        match read {
            Ok((pixels, shape)) => Image::new(pixels, shape),
            Err(text) => Err(problem(path, format!("cannot be read: {text}"))),
        }
    }

    /// Writes a PNG file.
    ///
    /// # Errors
    /// [`ErrorKind::File`] for a file that cannot be written; more than 4 channels, or no pixels.
    #[track_caller]
    pub fn write_png(&self, path: impl AsRef<Path>) -> Result<()> {
        let path = path.as_ref();
        let written = encode(self).and_then(|bytes| fs::write(path, bytes).map_err(|e| e.to_string()));
        match written {
            Ok(()) => Ok(()),
            Err(text) => Err(problem(path, format!("cannot be written: {text}"))),
        }
    }
}

fn decode(bytes: &[u8]) -> Result<(Vec<u8>, [usize; 3]), String> {
    let mut decoder = Decoder::new(Cursor::new(bytes));
    decoder.set_transformations(Transformations::normalize_to_color8());
    let mut reader = decoder.read_info().map_err(|e| e.to_string())?;
    // Nothing is compressed further than this, whatever a header says.
    let most = bytes.len().saturating_mul(DEFLATE);
    let size =
        reader.output_buffer_size().filter(|size| *size <= most).ok_or("it says that it is larger than it can be")?;
    let mut pixels = vec![0; size];
    let frame = reader.next_frame(&mut pixels).map_err(|e| e.to_string())?;
    pixels.truncate(frame.buffer_size());
    Ok((pixels, [frame.height as usize, frame.width as usize, frame.color_type.samples()]))
}

fn encode(image: &Image) -> Result<Vec<u8>, String> {
    let [height, width, channels] = image.shape();
    let color = match channels {
        1 => ColorType::Grayscale,
        2 => ColorType::GrayscaleAlpha,
        3 => ColorType::Rgb,
        4 => ColorType::Rgba,
        _ => return Err(format!("a PNG has no {channels} channels")),
    };
    let extent = |n: usize| u32::try_from(n).map_err(|e| e.to_string());
    let mut bytes = Vec::new();
    let mut encoder = Encoder::new(&mut bytes, extent(width)?, extent(height)?);
    encoder.set_color(color);
    encoder.set_depth(BitDepth::Eight);
    let mut writer = encoder.write_header().map_err(|e| e.to_string())?;
    writer.write_image_data(image.pixels()).map_err(|e| e.to_string())?;
    writer.finish().map_err(|e| e.to_string())?;
    Ok(bytes)
}

#[track_caller]
fn problem(path: &Path, problem: String) -> Error {
    Error::new("image", ErrorKind::File { path: path.display().to_string(), problem })
}

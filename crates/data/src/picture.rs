//! Images as text, for a look at what a model sees.

/// From dark to bright.
const SHADES: [char; 10] = [' ', '.', ':', '-', '=', '+', '*', '#', '%', '@'];

/// Lines of two characters for each pixel of an image of this width, scaled from its darkest to its brightest.
///
/// # Shapes
/// `[H, W]`, row-major → `H` lines
pub fn picture(pixels: &[f32], width: usize) -> Vec<String> {
    let low = pixels.iter().copied().fold(f32::INFINITY, f32::min);
    let high = pixels.iter().copied().fold(f32::NEG_INFINITY, f32::max);
    let scale = if high > low { 9.0 / (high - low) } else { 0.0 };
    let shade = |pixel: &f32| SHADES[(((pixel - low) * scale).round() as usize).min(9)];
    pixels.chunks(width.max(1)).map(|row| row.iter().flat_map(|pixel| [shade(pixel); 2]).collect()).collect()
}

/// The lines of several images of one size side by side.
///
/// # Shapes
/// `[B, H, W]`, row-major → `H` lines
pub fn pictures(pixels: &[f32], height: usize, width: usize) -> Vec<String> {
    let images: Vec<Vec<String>> = pixels.chunks((height * width).max(1)).map(|image| picture(image, width)).collect();
    let line =
        |row| images.iter().filter_map(|image| image.get(row)).map(String::as_str).collect::<Vec<_>>().join("  ");
    (0..height).map(|row| line(row).trim_end().to_string()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn runs_from_dark_to_bright() {
        assert_eq!(picture(&[0.0, 0.5, 1.0, 0.0], 2), ["  ++", "@@  "]);
        assert_eq!(picture(&[3.0; 2], 1), ["  ", "  "]);
        assert_eq!(picture(&[f32::NAN], 0), ["  "]);
        assert!(picture(&[], 8).is_empty());
    }

    #[test]
    fn stand_side_by_side() {
        assert_eq!(pictures(&[0.0, 1.0, 0.5, 0.0, 1.0, 0.0], 1, 2), ["  @@  @@    @@"]);
        assert_eq!(pictures(&[0.0, 1.0, 1.0, 0.0], 2, 1), ["    @@", "@@"]);
        assert_eq!(pictures(&[], 2, 3), ["", ""]);
    }
}

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
}

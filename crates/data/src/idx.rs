//! The IDX format: a big-endian magic number and extents, then bytes.

use std::{
    fs::File,
    io::{BufReader, Read},
    path::Path,
};

use thalweg_graph::{Error, ErrorKind, Result};

use crate::gzip;

/// What an IDX file of unsigned bytes holds.
#[derive(Debug, PartialEq)]
pub(crate) struct Idx {
    pub shape: Vec<usize>,
    pub bytes: Vec<u8>,
}

/// Bytes above which extents are taken for damaged ones rather than allocated.
const MAX_BYTES: usize = 1 << 31;

/// Reads a file, gzipped or not, that must have `rank` axes.
pub(crate) fn read(path: &Path, rank: usize) -> Result<Idx> {
    let file = File::open(path).map_err(|e| problem(path, format!("cannot be opened: {e}")))?;
    parse(BufReader::new(file), rank).map_err(|text| problem(path, text))
}

/// An error about this file.
pub(crate) fn problem(path: &Path, problem: String) -> Error {
    Error::new("mnist", ErrorKind::File { path: path.display().to_string(), problem })
}

/// What a file of this format holds, gzipped or not.
fn parse(source: impl Read, rank: usize) -> Result<Idx, String> {
    let mut source = gzip::unpacked(source).map_err(|e| format!("cannot be read: {e}"))?;
    let mut header = vec![0; 4 * (1 + rank)];
    let got = fill(&mut source, &mut header)?;
    let word = |i: usize| u32::from_be_bytes([header[4 * i], header[4 * i + 1], header[4 * i + 2], header[4 * i + 3]]);
    // Two zeros, 8 for unsigned bytes, the rank: 2051 for images, 2049 for labels.
    let want = 0x0800 + rank as u32;
    if got >= 4 && word(0) != want {
        return Err(format!("begins with the number {}, not {want}: it is no IDX file of {rank} axes", word(0)));
    }
    if got < header.len() {
        return Err(format!("is truncated: it ends after {got} of the header's {} bytes", header.len()));
    }
    let shape: Vec<usize> = (1..=rank).map(|i| word(i) as usize).collect();
    let count = shape.iter().try_fold(1usize, |n, d| n.checked_mul(*d)).filter(|n| *n <= MAX_BYTES);
    let count = count.ok_or_else(|| format!("is damaged: its header speaks of {shape:?} elements"))?;
    let mut bytes = Vec::new();
    // One byte more than there should be, to see whether there is one.
    let read = source.by_ref().take(count as u64 + 1).read_to_end(&mut bytes);
    match read {
        Ok(n) if n > count => Err(format!("is damaged: there are bytes behind the {count} that shape {shape:?} takes")),
        Ok(n) if n == count => Ok(Idx { shape, bytes }),
        Ok(n) => Err(format!("is truncated: it has {n} of the {count} bytes that shape {shape:?} takes")),
        Err(e) => Err(format!("is truncated or damaged after {} of {count} bytes: {e}", bytes.len())),
    }
}

/// Reads until `buffer` is full or the source ends; how much there was.
fn fill(source: &mut impl Read, buffer: &mut [u8]) -> Result<usize, String> {
    let mut bytes = Vec::new();
    let read = source.by_ref().take(buffer.len() as u64).read_to_end(&mut bytes);
    // What a damaged gzip stream gave before it broke still tells whether the file is of the right kind.
    if let Err(e) = read {
        return Err(format!("is truncated or damaged in its first {} bytes: {e}", buffer.len()));
    }
    buffer[..bytes.len()].copy_from_slice(&bytes);
    Ok(bytes.len())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::gzip::packed;

    /// Two images of 2 × 3.
    fn images() -> Vec<u8> {
        let mut bytes = vec![0, 0, 8, 3, 0, 0, 0, 2, 0, 0, 0, 2, 0, 0, 0, 3];
        bytes.extend(1..=12);
        bytes
    }

    #[test]
    fn reads_plain_and_gzipped() {
        let want = Idx { shape: vec![2, 2, 3], bytes: (1..=12).collect() };
        assert_eq!(parse(&images()[..], 3).unwrap(), want);
        assert_eq!(parse(&packed(&images())[..], 3).unwrap(), want);
    }

    #[test]
    fn every_truncation_is_an_error() {
        for bytes in [images(), packed(&images())] {
            for end in 0..bytes.len() {
                let error = parse(&bytes[..end], 3).unwrap_err();
                assert!(error.contains("truncated"), "{end}: {error}");
            }
        }
    }

    #[test]
    fn no_change_of_a_byte_panics() {
        for whole in [images(), packed(&images())] {
            for i in 0..whole.len() {
                for flip in [1u8, 0x80, 0xff] {
                    let mut bytes = whole.clone();
                    bytes[i] ^= flip;
                    let _ = parse(&bytes[..], 3);
                }
            }
        }
    }

    #[test]
    fn messages_say_what_is_wrong() {
        let message = |bytes: &[u8]| parse(bytes, 3).unwrap_err();
        assert_eq!(message(&images()[..20]), "is truncated: it has 4 of the 12 bytes that shape [2, 2, 3] takes");
        assert_eq!(message(&images()[..9]), "is truncated: it ends after 9 of the header's 16 bytes");
        let labels = [0, 0, 8, 1, 0, 0, 0, 1, 7];
        assert_eq!(message(&labels), "begins with the number 2049, not 2051: it is no IDX file of 3 axes");
        let mut long = images();
        long.push(0);
        assert_eq!(message(&long), "is damaged: there are bytes behind the 12 that shape [2, 2, 3] takes");
        let mut huge = images();
        huge[4..8].fill(0xff);
        huge[8..12].fill(0xff);
        assert!(message(&huge).starts_with("is damaged: its header speaks of [4294967295, 4294967295, 3]"));
    }
}

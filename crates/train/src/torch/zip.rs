//! The entries of a zip archive that are stored as they are, which is how PyTorch writes them. Nothing in a file is believed, and nothing
//! is copied.
//!
//! ```text
//! | header, name, bytes | header, name, bytes | .. | directory: names, sizes, places | end: where the directory is |
//! ```
//!
//! A crate for zip archives would bring compression, encryption and a copy of every entry; these are the lines that are left.
//!
//! # Source
//! PKWARE, "APPNOTE.TXT", version 6.3.10, sections 4.3 and 4.5.3.

use std::{collections::BTreeMap, ops::Range};

/// What a zip archive of one entry or more begins with.
pub(crate) const MAGIC: [u8; 4] = *b"PK\x03\x04";
const DIRECTORY: [u8; 4] = *b"PK\x01\x02";
const END: [u8; 4] = *b"PK\x05\x06";
const END_64: [u8; 4] = *b"PK\x06\x06";
const LOCATOR_64: [u8; 4] = *b"PK\x06\x07";
/// The lengths of what begins with these, without names and comments.
const HEADER_LEN: usize = 30;
const DIRECTORY_LEN: usize = 46;
const END_LEN: usize = 22;
const LOCATOR_LEN: usize = 20;
/// The longest comment behind the end.
const COMMENT: usize = u16::MAX as usize;
/// The extra field with the numbers that 32 bits do not hold.
const EXTRA_64: u16 = 1;

/// An archive.
pub(crate) struct Archive<'a> {
    bytes: &'a [u8],
    entries: BTreeMap<&'a str, Entry>,
}

struct Entry {
    at: Range<usize>,
    is_stored: bool,
    /// 0 of what was written without.
    crc: u32,
}

impl<'a> Archive<'a> {
    /// What an archive has, or what is wrong with it.
    pub fn parse(bytes: &'a [u8]) -> Result<Archive<'a>, String> {
        let truncated = || "is truncated, or no zip archive (it has no end)".to_string();
        let (count, start) = directory(bytes).ok_or_else(truncated)?;
        let damaged = |i: u64, what: &str| format!("is damaged, or no zip archive (entry {i}: {what})");
        let (mut entries, mut at) = (BTreeMap::new(), start);
        for i in 0..count {
            let (name, entry, next) = entry(bytes, at).map_err(|what| damaged(i, what))?;
            at = next;
            if entries.insert(name, entry).is_some() {
                return Err(damaged(i, "a name that is there twice"));
            }
        }
        Ok(Archive { bytes, entries })
    }

    /// The names.
    pub fn names(&self) -> impl Iterator<Item = &'a str> {
        self.entries.keys().copied()
    }

    /// Where an entry's bytes are, once they are known to be what was written; or what the archive has or has not.
    pub fn find(&self, name: &str) -> Result<Range<usize>, String> {
        let entry = self.entries.get(name).ok_or_else(|| format!("has no '{name}'"))?;
        if !entry.is_stored {
            return Err(format!("has '{name}' compressed or encrypted, which PyTorch does not do"));
        }
        let mut crc = flate2::Crc::new();
        crc.update(&self.bytes[entry.at.clone()]);
        match entry.crc == 0 || crc.sum() == entry.crc {
            true => Ok(entry.at.clone()),
            false => Err(format!("has '{name}' with another checksum than it was written with")),
        }
    }

    /// An entry's bytes.
    pub fn read(&self, name: &str) -> Result<&'a [u8], String> {
        Ok(&self.bytes[self.find(name)?])
    }
}

/// How many entries the directory has, and where it begins.
fn directory(bytes: &[u8]) -> Option<(u64, usize)> {
    let first = bytes.len().saturating_sub(END_LEN + COMMENT);
    let end = (first..=bytes.len().checked_sub(END_LEN)?).rev().find(|at| bytes[*at..].starts_with(&END))?;
    let (count, start) = (u64::from(u16_at(bytes, end + 10)?), u64::from(u32_at(bytes, end + 16)?));
    if count != u64::from(u16::MAX) && start != u64::from(u32::MAX) {
        return Some((count, start.try_into().ok()?));
    }
    // What 32 bits do not hold is in another end, before this one.
    let locator = end.checked_sub(LOCATOR_LEN).filter(|at| bytes[*at..].starts_with(&LOCATOR_64))?;
    let end: usize = u64_at(bytes, locator + 8)?.try_into().ok()?;
    bytes.get(end..)?.starts_with(&END_64).then_some(())?;
    Some((u64_at(bytes, end.checked_add(32)?)?, u64_at(bytes, end.checked_add(48)?)?.try_into().ok()?))
}

/// An entry of the directory, and where the next one is.
fn entry(bytes: &[u8], at: usize) -> Result<(&str, Entry, usize), &'static str> {
    const SHORT: &str = "its directory ends too early";
    if !bytes.get(at..).is_some_and(|rest| rest.starts_with(&DIRECTORY)) {
        return Err(SHORT);
    }
    let (half, word) = (|d: usize| u16_at(bytes, at + d).ok_or(SHORT), |d: usize| u32_at(bytes, at + d).ok_or(SHORT));
    let (flags, method, crc) = (half(8)?, half(10)?, word(16)?);
    let (name_len, extra_len, comment_len) = (half(28)? as usize, half(30)? as usize, half(32)? as usize);
    let name = at + DIRECTORY_LEN;
    let extra = name + name_len;
    let next = extra + extra_len + comment_len;
    let text = std::str::from_utf8(bytes.get(name..extra).ok_or(SHORT)?).map_err(|_| "its name is no UTF-8")?;
    let mut wide = wide_numbers(bytes.get(extra..extra + extra_len).ok_or(SHORT)?);
    let mut number = |d: usize| match word(d)? {
        u32::MAX => wide.next().ok_or("a size is missing"),
        n => Ok(u64::from(n)),
    };
    // In the order in which the extra field has those that are too large.
    let (len, stored_len, header) = (number(24)?, number(20)?, number(42)?);
    let header: usize = header.try_into().map_err(|_| "it is outside of the file")?;
    if !bytes.get(header..).is_some_and(|rest| rest.starts_with(&MAGIC)) {
        return Err("it is not where the directory has it");
    }
    let skip = |d: usize| u16_at(bytes, header + d).map(usize::from).ok_or("it is outside of the file");
    let start = header + HEADER_LEN + skip(26)? + skip(28)?;
    let end = usize::try_from(stored_len).ok().and_then(|len| start.checked_add(len));
    let end = end.filter(|end| *end <= bytes.len()).ok_or("it is outside of the file")?;
    // The lowest flag is that of encryption.
    let is_stored = method == 0 && flags & 1 == 0 && len == stored_len;
    Ok((text, Entry { at: start..end, is_stored, crc }, next))
}

/// The numbers of 64 bits among an entry's extra fields.
fn wide_numbers(mut extra: &[u8]) -> impl Iterator<Item = u64> {
    let mut found: &[u8] = &[];
    while let (Some(id), Some(len)) = (u16_at(extra, 0), u16_at(extra, 2)) {
        let Some(field) = extra.get(4..4 + len as usize) else { break };
        if id == EXTRA_64 {
            found = field;
            break;
        }
        extra = &extra[4 + len as usize..];
    }
    found.as_chunks().0.iter().map(|word| u64::from_le_bytes(*word))
}

fn chunk<const N: usize>(bytes: &[u8], at: usize) -> Option<[u8; N]> {
    bytes.get(at..)?.first_chunk().copied()
}

fn u16_at(bytes: &[u8], at: usize) -> Option<u16> {
    chunk(bytes, at).map(u16::from_le_bytes)
}

fn u32_at(bytes: &[u8], at: usize) -> Option<u32> {
    chunk(bytes, at).map(u32::from_le_bytes)
}

fn u64_at(bytes: &[u8], at: usize) -> Option<u64> {
    chunk(bytes, at).map(u64::from_le_bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn crc(data: &[u8]) -> u32 {
        let mut crc = flate2::Crc::new();
        crc.update(data);
        crc.sum()
    }

    /// An archive of stored entries, whose sizes and places have 64 bits if they are `wide`.
    fn zipped(entries: &[(&str, &[u8])], wide: bool, method: u16) -> Vec<u8> {
        let (mut bytes, mut directory) = (Vec::new(), Vec::new());
        for (name, data) in entries {
            let (at, len, name_len) = (bytes.len() as u64, data.len() as u64, (name.len() as u16).to_le_bytes());
            let small = |n: u64| if wide { u32::MAX } else { n as u32 }.to_le_bytes();
            let extra = match wide {
                true => [&[9, 0, 1, 0, 7, 1, 0, 24, 0][..], &[len, len, at].map(u64::to_le_bytes).concat()].concat(),
                false => vec![],
            };
            let (method, crc) = (method.to_le_bytes(), crc(data).to_le_bytes());
            bytes.extend([&MAGIC[..], &[0; 4], &method, &[0; 4], &crc, &small(len), &small(len), &name_len].concat());
            bytes.extend([&[2, 0][..], name.as_bytes(), b"\0\0", data].concat());
            directory.extend([&DIRECTORY[..], &[0; 6], &method, &[0; 4], &crc, &small(len), &small(len)].concat());
            let extra_len = (extra.len() as u16).to_le_bytes();
            directory.extend([&name_len[..], &extra_len, &[0; 10], &small(at), name.as_bytes(), &extra].concat());
        }
        let (count, start) = (entries.len() as u64, bytes.len() as u64);
        let end_64 = start + directory.len() as u64;
        bytes.extend(directory);
        if wide {
            bytes.extend([&END_64[..], &[0; 28], &count.to_le_bytes(), &[0; 8], &start.to_le_bytes()].concat());
            bytes.extend([&LOCATOR_64[..], &[0; 4], &end_64.to_le_bytes(), &[0; 4]].concat());
        }
        let count = (count as u16).to_le_bytes();
        let start = if wide { u32::MAX } else { start as u32 }.to_le_bytes();
        bytes.extend([&END[..], &[0; 4], &count, &count, &[0; 4], &start, b"\x05\0", b"hello"].concat());
        bytes
    }

    const ENTRIES: [(&str, &[u8]); 3] = [("a/b", b"one"), ("c", b""), ("d", b"PK\x05\x06")];

    #[test]
    fn stored_entries_are_found_in_archives_of_any_size() {
        for wide in [false, true] {
            let bytes = zipped(&ENTRIES, wide, 0);
            let archive = Archive::parse(&bytes).unwrap();
            assert!(archive.names().eq(["a/b", "c", "d"]));
            assert!(ENTRIES.iter().all(|(name, data)| archive.read(name).unwrap() == *data), "{wide}");
            assert!(archive.read("e").unwrap_err().contains("has no 'e'"));
        }
    }

    #[test]
    fn what_is_damaged_compressed_or_twice_there_is_an_error() {
        let problem = |bytes: &[u8]| Archive::parse(bytes).and_then(|a| a.read("a/b").map(drop)).unwrap_err();
        let whole = zipped(&ENTRIES, false, 0);
        // Behind that, the end is that which the last entry has in it.
        let inner = whole.windows(4).position(|w| w == END).unwrap();
        for end in 0..whole.len() - 5 {
            let problem = problem(&whole[..end]);
            assert!(end >= inner + END_LEN || problem.contains("is truncated"), "{end}: {problem}");
        }
        let at = whole.windows(3).position(|w| w == b"one").unwrap();
        let mut torn = whole.clone();
        torn[at] ^= 1;
        assert!(problem(&torn).contains("has 'a/b' with another checksum"));
        assert!(problem(&zipped(&ENTRIES, false, 8)).contains("compressed"));
        assert!(problem(&zipped(&[ENTRIES[0], ENTRIES[0]], false, 0)).contains("a name that is there twice"));
        assert!(problem(&[&whole[..at], &whole[at + 1..]].concat()).contains("is damaged"));
    }
}

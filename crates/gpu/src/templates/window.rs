//! Buffers larger than the largest binding: several bindings, and functions that choose among them.
//!
//! A buffer is cut into windows of one size, each a binding of its own. The kernel calls `ld_3(i)` as ever; that function
//! compares `i` with the windows' ends and calls `ld_3w0`, `ld_3w1`, .. with the position inside. Only kernels over such
//! buffers have them, so nothing else is slower.

use std::fmt::Write as _;

use super::{
    Caps,
    kind::{Kind, Uses},
    ops::register,
};

/// Bytes to which the start of a window is aligned: no device asks for more.
const ALIGN: u64 = 256;

/// How a buffer is cut.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Windows {
    /// How many there are; 1 for a buffer that is bound whole.
    pub count: usize,
    /// Bytes of each but the last.
    pub bytes: u64,
}

impl Windows {
    /// The windows of a buffer of this size on a device with these bindings. The buffer may start behind the aligned address
    /// of its first binding, and vectors read up to 16 bytes behind its end.
    pub fn of(size_bytes: u64, max_binding: u64) -> Windows {
        let bytes = (max_binding / ALIGN).max(1) * ALIGN;
        let reach = size_bytes.saturating_add(ALIGN + 16);
        Windows { count: if reach <= max_binding { 1 } else { reach.div_ceil(bytes) as usize }, bytes }
    }
}

/// The functions of binding `n` of a storage format, for as many windows as it has.
pub fn functions(kind: Kind, caps: &Caps, n: usize, uses: Uses, windows: Windows) -> String {
    if windows.count == 1 {
        return kind.functions(caps, &n.to_string(), uses);
    }
    let mut text = String::new();
    for w in 0..windows.count {
        text.push_str(&kind.functions(caps, &format!("{n}w{w}"), uses));
    }
    let (ty, elements) = (register(kind.class()), windows.bytes / kind.size_bytes());
    let mut choose = |used: bool, name: &str, values: &str, passed: &str, result: Option<String>| {
        if !used {
            return;
        }
        let arrow = result.as_ref().map_or(String::new(), |r| format!(" -> {r}"));
        let _ = writeln!(text, "fn {name}_{n}(i: u32{values}){arrow} {{");
        for w in 0..windows.count {
            let at = if w == 0 { "i".to_string() } else { format!("i - {}u", w as u64 * elements) };
            let call = format!("{name}_{n}w{w}({at}{passed})");
            let last = w + 1 == windows.count;
            let line = match (result.is_some(), last) {
                (true, false) => format!("if i < {}u {{ return {call}; }}", (w as u64 + 1) * elements),
                (true, true) => format!("return {call};"),
                (false, false) => format!("if i < {}u {{ {call}; return; }}", (w as u64 + 1) * elements),
                (false, true) => format!("{call};"),
            };
            let _ = writeln!(text, "    {line}");
        }
        text.push_str("}\n");
    };
    choose(uses.load, "ld", "", "", Some(ty.to_string()));
    choose(uses.load4, "ld4", "", "", Some(format!("vec4<{ty}>")));
    choose(uses.store, "st", &format!(", x: {ty}"), ", x", None);
    choose(uses.store2, "st2", &format!(", x: {ty}, y: {ty}"), ", x, y", None);
    choose(uses.store4, "st4", &format!(", v: vec4<{ty}>"), ", v", None);
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn windows_cover_a_buffer_wherever_it_starts() {
        for (size, max) in [(1u64, 1024u64), (751, 1024), (753, 1024), (100_000, 1024), (1 << 33, 1 << 27), (500, 300)]
        {
            let windows = Windows::of(size, max);
            assert!(windows.bytes <= max.max(ALIGN) && windows.bytes.is_multiple_of(ALIGN));
            let covered = if windows.count == 1 { max } else { windows.count as u64 * windows.bytes };
            assert!(covered >= size + ALIGN, "{size} bytes in bindings of {max}");
        }
    }
}

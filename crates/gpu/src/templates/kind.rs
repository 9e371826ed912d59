//! How elements lie in a storage buffer, and the functions through which kernels read and write them.
//!
//! Every function takes an element index. In the text of a kernel `ld_3(i)` and `ld4_3(i)` read one element or four from
//! storage binding 3 (counted from 0), `st_3(i, x)`, `st2_3(i, x, y)` and `st4_3(i, v)` write; the binding is declared as
//! an array of vectors if any of its uses is four wide. `add_3(i, x)` and `min_3(i, x)` change a word that others change too.

use std::fmt::Write as _;

use thalweg_ir::{Class, DType};

use super::{Caps, ops::register};

/// A storage format.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Kind {
    /// 32-bit floats.
    F32,
    /// 16-bit floats in a type of the shading language.
    F16,
    /// 16-bit floats, two in a `u32`.
    PackedF16,
    /// The upper halves of 32-bit floats, two in a `u32`.
    PackedBF16,
    /// 32-bit signed.
    I32,
    /// 32-bit unsigned.
    U32,
    /// 0 or 1 in a `u32`.
    Bool,
}

/// Which functions of a binding a kernel uses.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Uses {
    /// `ld`.
    pub load: bool,
    /// `ld4`.
    pub load4: bool,
    /// `st`.
    pub store: bool,
    /// `st2`.
    pub store2: bool,
    /// `st4`.
    pub store4: bool,
}

impl Uses {
    /// Whether anything is written.
    pub fn writes(self) -> bool {
        self.store || self.store2 || self.store4
    }
}

impl Kind {
    /// The format of a dtype on a device.
    pub fn of(dtype: DType, caps: &Caps) -> Kind {
        match dtype {
            DType::F16 if caps.native_f16 => Kind::F16,
            DType::F16 => Kind::PackedF16,
            DType::BF16 => Kind::PackedBF16,
            DType::I32 => Kind::I32,
            DType::U32 => Kind::U32,
            DType::Bool => Kind::Bool,
            // F64 never reaches a GPU: tensors of that dtype are refused when they are made.
            DType::F32 | DType::F64 => Kind::F32,
        }
    }

    /// Whether two elements share a word.
    pub fn packed(self) -> bool {
        matches!(self, Kind::PackedF16 | Kind::PackedBF16)
    }

    /// The class of its values in registers.
    pub fn class(self) -> Class {
        match self {
            Kind::I32 => Class::Int,
            Kind::U32 => Class::Uint,
            Kind::Bool => Class::Bool,
            _ => Class::Float,
        }
    }

    fn scalar(self) -> &'static str {
        match self {
            Kind::F32 => "f32",
            Kind::F16 => "f16",
            Kind::I32 => "i32",
            _ => "u32",
        }
    }

    /// A single half cannot be written without touching its neighbour, whose writer is another invocation.
    pub fn atomic(self, uses: Uses) -> bool {
        self.packed() && uses.store
    }

    /// The type of the array's elements.
    pub fn element(self, uses: Uses) -> String {
        let wide = uses.load4 || uses.store4;
        match (self.packed(), wide) {
            (true, _) if self.atomic(uses) => "atomic<u32>".into(),
            (true, true) => "vec2u".into(),
            (true, false) => "u32".into(),
            (false, true) => format!("vec4<{}>", self.scalar()),
            (false, false) => self.scalar().into(),
        }
    }

    /// A stored number as a register value.
    fn decode(self, caps: &Caps, x: &str) -> String {
        match self {
            Kind::F16 => format!("f32({x})"),
            Kind::Bool => format!("({x} != 0u)"),
            Kind::PackedF16 if caps.exact_f16 => format!("unpack2x16float({x}).x"),
            Kind::PackedF16 => format!("f16_value({x})"),
            Kind::PackedBF16 => format!("bf16_value({x})"),
            _ => x.into(),
        }
    }

    /// A register value as a stored number; of a packed kind the low 16 bits.
    fn encode(self, caps: &Caps, x: &str) -> String {
        match self {
            Kind::F16 if caps.exact_f16 => format!("f16({x})"),
            Kind::F16 => format!("f16(round_f16({x}))"),
            Kind::Bool => format!("u32({x})"),
            Kind::PackedF16 => format!("f16_bits({x})"),
            Kind::PackedBF16 => format!("bf16_bits({x})"),
            _ => x.into(),
        }
    }

    /// Bytes of an element.
    pub fn size_bytes(self) -> u64 {
        match self {
            Kind::F16 | Kind::PackedF16 | Kind::PackedBF16 => 2,
            _ => 4,
        }
    }

    /// The functions of the binding called `n` that are used.
    pub fn functions(self, caps: &Caps, n: &str, uses: Uses) -> String {
        let ty = register(self.class());
        let mut text = String::new();
        if self.packed() {
            self.packed_functions(caps, n, uses, &mut text);
            return text;
        }
        let wide = uses.load4 || uses.store4;
        let at = if wide { format!("b{n}[i >> 2u][i & 3u]") } else { format!("b{n}[i]") };
        let four = |f: &dyn Fn(&str) -> String, x: &str| {
            let lanes: Vec<String> = ["x", "y", "z", "w"].iter().map(|c| f(&format!("{x}.{c}"))).collect();
            lanes.join(", ")
        };
        if uses.load {
            let _ = writeln!(text, "fn ld_{n}(i: u32) -> {ty} {{ return {}; }}", self.decode(caps, &at));
        }
        if uses.load4 {
            let value = match self {
                Kind::F16 => "vec4<f32>(v)".to_string(),
                Kind::Bool => "(v != vec4u())".to_string(),
                _ => "v".to_string(),
            };
            let _ = writeln!(text, "fn ld4_{n}(i: u32) -> vec4<{ty}> {{ let v = b{n}[i >> 2u]; return {value}; }}");
        }
        if uses.store {
            let _ = writeln!(text, "fn st_{n}(i: u32, x: {ty}) {{ {at} = {}; }}", self.encode(caps, "x"));
        }
        if uses.store4 {
            let value = match self {
                Kind::F16 if caps.exact_f16 => "vec4<f16>(v)".to_string(),
                Kind::F16 => format!("vec4<f16>({})", four(&|x| self.encode(caps, x), "v")),
                Kind::Bool => format!("vec4u({})", four(&|x| self.encode(caps, x), "v")),
                _ => "v".to_string(),
            };
            let _ = writeln!(text, "fn st4_{n}(i: u32, v: vec4<{ty}>) {{ b{n}[i >> 2u] = {value}; }}");
        }
        text
    }

    fn packed_functions(self, caps: &Caps, n: &str, uses: Uses, text: &mut String) {
        let atomic = self.atomic(uses);
        let wide = !atomic && (uses.load4 || uses.store4);
        let word = |at: &str| match (atomic, wide) {
            (true, _) => format!("atomicLoad(&b{n}[{at}])"),
            (_, true) => format!("b{n}[({at}) >> 1u][({at}) & 1u]"),
            _ => format!("b{n}[{at}]"),
        };
        let low = |w: &str| self.decode(caps, &format!("({w} & 0xffffu)"));
        let high = |w: &str| self.decode(caps, &format!("({w} >> 16u)"));
        let pair = |x: &str, y: &str| format!("{} | ({} << 16u)", self.encode(caps, x), self.encode(caps, y));
        if uses.load {
            let value = self.decode(caps, "((w >> ((i & 1u) << 4u)) & 0xffffu)");
            let _ = writeln!(text, "fn ld_{n}(i: u32) -> f32 {{ let w = {}; return {value}; }}", word("i >> 1u"));
        }
        if uses.load4 {
            let both = if wide {
                format!("let w = b{n}[i >> 2u];")
            } else {
                format!("let w = vec2u({}, {});", word("i >> 1u"), word("(i >> 1u) + 1u"))
            };
            let _ = writeln!(
                text,
                "fn ld4_{n}(i: u32) -> vec4f {{ {both} return vec4f({}, {}, {}, {}); }}",
                low("w.x"),
                high("w.x"),
                low("w.y"),
                high("w.y")
            );
        }
        if uses.store {
            let _ = writeln!(
                text,
                "fn st_{n}(i: u32, x: f32) {{\n    let shift = (i & 1u) << 4u;\n    atomicAnd(&b{n}[i >> 1u], 0xffff0000u \
                 >> shift);\n    atomicOr(&b{n}[i >> 1u], {} << shift);\n}}",
                self.encode(caps, "x")
            );
        }
        let put = |at: &str, value: &str| match (atomic, wide) {
            (true, _) => format!("atomicStore(&b{n}[{at}], {value});"),
            (_, true) => format!("b{n}[({at}) >> 1u][({at}) & 1u] = {value};"),
            _ => format!("b{n}[{at}] = {value};"),
        };
        if uses.store2 {
            let _ = writeln!(text, "fn st2_{n}(i: u32, x: f32, y: f32) {{ {} }}", put("i >> 1u", &pair("x", "y")));
        }
        if uses.store4 {
            let (a, b) = (pair("v.x", "v.y"), pair("v.z", "v.w"));
            let body = if wide {
                format!("b{n}[i >> 2u] = vec2u({a}, {b});")
            } else {
                format!("{} {}", put("i >> 1u", &a), put("(i >> 1u) + 1u", &b))
            };
            let _ = writeln!(text, "fn st4_{n}(i: u32, v: vec4f) {{ {body} }}");
        }
    }
}

//! A kernel: text, bindings, grid and run-time words. Nothing here touches a device.

use std::{collections::HashMap, fmt::Write as _};

use thalweg_ir::schedule::ir::{BufId, BufferSpec};
use thalweg_shaders::{
    Value,
    skeleton::{Skeleton, Text},
};

use super::{
    Caps,
    kind::{Kind, Uses},
    params::{Params, Word},
    window::{self, Windows},
};

/// What a storage binding is bound to.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Source {
    /// A buffer of the schedule.
    Buffer(BufId),
    /// The device's flag words.
    Flags,
    /// f32 memory that the kernels of one launch share: partial sums. [`Kernel::scratch_len`] says how much.
    Scratch,
    /// The same memory as words: sorted rows.
    Words,
}

impl From<BufId> for Source {
    fn from(buf: BufId) -> Source {
        Source::Buffer(buf)
    }
}

/// What is bound to storage bindings; the first is `@binding(1)`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Binding {
    /// What is bound.
    pub source: Source,
    /// WGSL type of the array's elements.
    pub element: String,
    /// Whether the kernel writes it.
    pub writes: bool,
    /// Whether its elements are atomic, so that it is read-write even when it is only read.
    pub atomic: bool,
    /// As how many bindings it is bound.
    pub windows: Windows,
}

/// Everything that a launch needs but the device's objects.
#[derive(Clone, Debug)]
pub struct Kernel {
    /// The entry point, which is also the label.
    pub entry: &'static str,
    /// The text but for the storage bindings' declarations.
    pub text: String,
    /// Storage bindings in order.
    pub bindings: Vec<Binding>,
    /// The run-time words at binding 0.
    pub words: Vec<Word>,
    /// Their names in the text.
    pub names: Vec<String>,
    /// Workgroups.
    pub grid: [u32; 3],
    /// Elements that [`Source::Scratch`] must have.
    pub scratch_len: usize,
    /// Whether the text needs `f16`.
    pub f16: bool,
    /// Whether it uses subgroup operations.
    pub subgroups: bool,
    /// The file that the end of the text comes from, if it does from one, and the line there of each line.
    pub origin: Option<(&'static str, Vec<u32>)>,
    /// Whether our templates wrote all of it, so that its indices need no checks.
    pub trusted: bool,
}

impl Kernel {
    /// The complete text. `shared` has a bit for each binding that must be read-write because its buffer is written
    /// through another binding of this launch.
    pub fn wgsl(&self, shared: u32) -> String {
        let mut text = String::new();
        if self.f16 {
            text.push_str("enable f16;\n");
        }
        let mut at = 0;
        for (i, b) in self.bindings.iter().enumerate() {
            let access = if self.is_written(i, shared) { "read_write" } else { "read" };
            for w in 0..b.windows.count {
                at += 1;
                let (name, element) =
                    (if b.windows.count > 1 { format!("{i}w{w}") } else { i.to_string() }, &b.element);
                let _ = writeln!(text, "@group(0) @binding({at}) var<storage, {access}> b{name}: array<{element}>;");
            }
        }
        text.push_str(&self.text);
        text
    }

    /// Where a line of the complete text comes from, as whoever mends it wants to know it.
    pub fn place(&self, text: &str, line: usize) -> String {
        let generated = text.lines().count() - self.origin.as_ref().map_or(0, |(_, lines)| lines.len());
        match (&self.origin, line.checked_sub(generated + 1)) {
            (Some((file, lines)), Some(line)) if line < lines.len() => format!("{file}:{}", lines[line]),
            _ => format!("generated line {line}"),
        }
    }

    /// Whether binding `i` is read-write.
    pub fn is_written(&self, i: usize, shared: u32) -> bool {
        self.bindings[i].writes || self.bindings[i].atomic || shared >> i & 1 == 1
    }
}

/// `count` workgroups as a grid: counts above one axis' limit are folded into y. Kernels number them with
/// `wid.y * nwg.x + wid.x` and guard the end.
pub fn linear_grid(count: usize, limit: u32) -> [u32; 3] {
    let count = count.max(1) as u64;
    let limit = u64::from(limit);
    if count <= limit {
        return [count as u32, 1, 1];
    }
    let y = count.div_ceil(limit);
    [count.div_ceil(y) as u32, y as u32, 1]
}

/// The coordinates of position `flat` in row-major order; `words` name the extents. One division for each: compilers do not
/// all find the remainder in the quotient, and software Vulkan divides lane by lane.
pub fn decode(k: &mut Builder, flat: &str, extents: &[usize], words: &[String]) -> Vec<String> {
    let mut coords = vec![String::new(); extents.len()];
    let mut rest = flat.to_string();
    for d in (0..extents.len()).rev() {
        if d == 0 {
            coords[0] = rest.clone();
        } else {
            let quotient = k.name("rest", format!("{rest} / {}", words[d]));
            coords[d] = k.name("i", format!("{rest} - {quotient} * {}", words[d]));
            rest = quotient;
        }
    }
    coords
}

/// A kernel being written.
pub struct Builder<'a> {
    /// What the device can do.
    pub caps: &'a Caps,
    /// The schedule's buffers.
    pub buffers: &'a [BufferSpec],
    /// The run-time words.
    pub params: Params,
    /// Module-scope declarations of the template: workgroup memory.
    pub globals: String,
    /// Functions of a kernel's file, which may call those of bindings.
    pub functions: String,
    /// The same of a user.
    pub user: String,
    skeleton: Option<(Skeleton, Text)>,
    /// Whether subgroup operations are used.
    pub subgroups: bool,
    /// Elements that [`Source::Scratch`] must have.
    pub scratch_len: usize,
    /// Whether the text says nothing of shapes: strides of 1 are words like any other, so that one text serves more
    /// launches, with slower addresses.
    pub shared: bool,
    sources: Vec<(Source, Uses)>,
    code: String,
    depth: usize,
    names: usize,
    /// A word that is 0.
    zero_word: Option<String>,
    /// The word of each check.
    flag_words: HashMap<usize, String>,
    /// Names of expressions in scope, by block depth.
    known: Vec<HashMap<String, String>>,
}

impl<'a> Builder<'a> {
    /// A kernel over these buffers.
    pub fn new(caps: &'a Caps, buffers: &'a [BufferSpec]) -> Builder<'a> {
        Builder {
            caps,
            buffers,
            params: Params::default(),
            globals: String::new(),
            functions: String::new(),
            user: String::new(),
            skeleton: None,
            subgroups: false,
            scratch_len: 0,
            shared: false,
            sources: Vec::new(),
            code: String::new(),
            depth: 1,
            names: 0,
            zero_word: None,
            flag_words: HashMap::new(),
            known: vec![HashMap::new()],
        }
    }

    /// The position of a buffer's binding, which is made if it is not there.
    pub fn bind(&mut self, source: Source) -> usize {
        self.sources.iter().position(|(s, _)| *s == source).unwrap_or_else(|| {
            self.sources.push((source, Uses::default()));
            self.sources.len() - 1
        })
    }

    /// The storage format of a buffer.
    pub fn kind(&self, buf: BufId) -> Kind {
        Kind::of(self.buffers[buf].dtype, self.caps)
    }

    /// `ld(i)` of a buffer.
    pub fn load(&mut self, from: impl Into<Source>, at: &str) -> String {
        let n = self.bind(from.into());
        self.sources[n].1.load = true;
        format!("ld_{n}({at})")
    }

    /// `ld4(i)` of a buffer: a vector of register values. `i` must be a multiple of 4.
    pub fn load4(&mut self, from: impl Into<Source>, at: &str) -> String {
        let n = self.bind(from.into());
        self.sources[n].1.load4 = true;
        format!("ld4_{n}({at})")
    }

    /// Writes one element.
    pub fn store(&mut self, from: impl Into<Source>, at: &str, x: &str) {
        let n = self.bind(from.into());
        self.sources[n].1.store = true;
        self.line(format!("st_{n}({at}, {x});"));
    }

    /// Writes two elements of a packed kind; `at` must be even.
    pub fn store2(&mut self, from: impl Into<Source>, at: &str, x: &str, y: &str) {
        let n = self.bind(from.into());
        self.sources[n].1.store2 = true;
        self.line(format!("st2_{n}({at}, {x}, {y});"));
    }

    /// Writes four elements; `at` must be a multiple of 4.
    pub fn store4(&mut self, from: impl Into<Source>, at: &str, v: &str) {
        let n = self.bind(from.into());
        self.sources[n].1.store4 = true;
        self.line(format!("st4_{n}({at}, {v});"));
    }

    /// The name of the function that loads an element of a binding.
    pub fn loader(&mut self, from: impl Into<Source>) -> String {
        let n = self.bind(from.into());
        self.sources[n].1.load = true;
        format!("ld_{n}")
    }

    /// The name of the function that stores one.
    pub fn storer(&mut self, from: impl Into<Source>) -> String {
        let n = self.bind(from.into());
        self.sources[n].1.store = true;
        format!("st_{n}")
    }

    /// The name of the function that loads four, from a multiple of four on.
    pub fn loader4(&mut self, from: impl Into<Source>) -> String {
        let n = self.bind(from.into());
        self.sources[n].1.load4 = true;
        format!("ld4_{n}")
    }

    /// The name of the function that stores four.
    pub fn storer4(&mut self, from: impl Into<Source>) -> String {
        let n = self.bind(from.into());
        self.sources[n].1.store4 = true;
        format!("st4_{n}")
    }

    /// The word of where a buffer's elements begin in its binding.
    pub fn start(&mut self, buf: BufId) -> String {
        let binding = self.bind(buf.into());
        self.params.push(format!("start_{binding}"), Word::Offset { elements: 0, binding })
    }

    /// A float that the compiler does not know to be another. On vectors as [`super::ops::on_vectors`] makes it.
    pub fn opaque(&mut self, x: &str) -> String {
        if self.caps.honest {
            return x.to_string();
        }
        let zero = match &self.zero_word {
            Some(zero) => zero.clone(),
            None => self.zero_word.insert(self.params.fixed("zero", 0)).clone(),
        };
        format!("bitcast<f32>(bitcast<u32>({x}) ^ u32({zero}))")
    }

    /// Reports a position as one of the body's checks where `condition` holds: the first to raise the flag tells whose it is, the
    /// position and the extent.
    pub fn flag(&mut self, condition: &str, check: usize, position: &str, extent: &str) {
        let n = self.bind(Source::Flags);
        self.sources[n].1.store = true;
        let word = match self.flag_words.get(&check) {
            Some(word) => word.clone(),
            None => {
                let word = self.params.push(format!("check_{check}"), Word::Flag(check));
                self.flag_words.insert(check, word.clone());
                word
            }
        };
        self.open(format!("if {condition} {{"));
        self.open(format!("if atomicOr(&b{n}[0], 1u) == 0u {{"));
        for (i, value) in [word.as_str(), position, extent].into_iter().enumerate() {
            self.line(format!("atomicStore(&b{n}[{}], {value});", i + 1));
        }
        self.close();
        self.close();
    }

    /// A line of the entry point.
    pub fn line(&mut self, text: impl AsRef<str>) {
        for _ in 0..self.depth {
            self.code.push_str("    ");
        }
        self.code.push_str(text.as_ref());
        self.code.push('\n');
    }

    /// A line that opens a block.
    pub fn open(&mut self, text: impl AsRef<str>) {
        self.line(text);
        self.depth += 1;
        self.known.push(HashMap::new());
    }

    /// The end of a block.
    pub fn close(&mut self) {
        self.depth -= 1;
        self.known.pop();
        self.line("}");
    }

    /// A function of the kernel: what `body` writes is its code. It reads the words as `p`, which is passed.
    pub fn function<T>(&mut self, signature: &str, body: impl FnOnce(&mut Builder) -> T) -> T {
        let code = std::mem::take(&mut self.code);
        let known = std::mem::replace(&mut self.known, vec![HashMap::new()]);
        let depth = std::mem::replace(&mut self.depth, 1);
        let result = body(self);
        let code = std::mem::replace(&mut self.code, code);
        (self.known, self.depth) = (known, depth);
        let _ = write!(self.functions, "fn {signature} {{\n{code}}}\n\n");
        result
    }

    /// The entry point is that of a skeleton, which calls functions of this kernel.
    ///
    /// # Panics
    /// If the skeleton asks for what it is not given, which is a bug of the template; with the skeleton's line.
    pub fn skeleton(&mut self, skeleton: Skeleton, values: Value) {
        let text = skeleton.render(values).unwrap_or_else(|problem| panic!("{problem}"));
        self.skeleton = Some((skeleton, text));
    }

    /// A new identifier.
    pub fn fresh(&mut self, prefix: &str) -> String {
        self.names += 1;
        format!("{prefix}_{}", self.names)
    }

    /// `let` of an expression, or the name that it already has in this scope; a new name is `stem` and a number. Only for expressions
    /// without effects that read nothing that is written.
    pub fn name(&mut self, stem: &str, expression: String) -> String {
        if let Some(name) = self.known.iter().rev().find_map(|k| k.get(&expression)) {
            return name.clone();
        }
        let name = self.read(stem, &expression);
        self.known.last_mut().expect("a kernel has a scope").insert(expression, name.clone());
        name
    }

    /// `let` of an expression that may read a buffer.
    pub fn read(&mut self, stem: &str, expression: impl AsRef<str>) -> String {
        let name = self.fresh(stem);
        self.line(format!("let {name} = {};", expression.as_ref()));
        name
    }

    /// The kernel. The entry point has the builtins `gid`, `lid`, `wid`, `nwg` (of which the text uses what it names),
    /// and `extra` ones.
    pub fn finish(mut self, entry: &'static str, workgroup: [u32; 3], grid: [u32; 3]) -> Kernel {
        let mut functions = std::mem::take(&mut self.globals);
        let mut bindings = Vec::new();
        for (n, (source, uses)) in self.sources.iter().enumerate() {
            let (kind, len) = match source {
                Source::Buffer(buf) => (self.kind(*buf), self.buffers[*buf].len),
                Source::Scratch => (Kind::F32, self.scratch_len),
                Source::Words => (Kind::U32, self.scratch_len),
                Source::Flags => {
                    let (element, windows) = ("atomic<u32>".into(), Windows::of(0, u64::MAX));
                    bindings.push(Binding { source: *source, element, writes: true, atomic: true, windows });
                    continue;
                }
            };
            let windows = Windows::of(len as u64 * kind.size_bytes(), self.caps.max_binding);
            functions.push_str(&window::functions(kind, self.caps, n, *uses, windows));
            let (element, atomic) = (kind.element(*uses), kind.atomic(*uses));
            bindings.push(Binding { source: *source, element, writes: uses.writes(), atomic, windows });
        }
        let builtins = [
            ("wid", "workgroup_id", "vec3u"),
            ("nwg", "num_workgroups", "vec3u"),
            ("lid", "local_invocation_index", "u32"),
            ("lane", "subgroup_invocation_id", "u32"),
            ("sg_size", "subgroup_size", "u32"),
            ("sg_id", "subgroup_id", "u32"),
            ("sg_count", "num_subgroups", "u32"),
        ];
        let arguments: Vec<String> = builtins
            .iter()
            .filter(|(name, ..)| names(&self.code, name))
            .map(|(name, builtin, ty)| format!("@builtin({builtin}) {name}: {ty}"))
            .collect();
        let [x, y, z] = workgroup;
        let size = if z > 1 {
            format!("{x}, {y}, {z}")
        } else if y > 1 {
            format!("{x}, {y}")
        } else {
            format!("{x}")
        };
        let own = format!(
            "@compute @workgroup_size({size})\nfn {entry}({}) {{\n{}{}}}\n",
            arguments.join(", "),
            self.params.prologue(),
            self.code
        );
        let (main, origin) = match self.skeleton {
            Some((skeleton, text)) => (text.wgsl, Some((skeleton.file, text.origin))),
            None => (own, None),
        };
        let trusted = self.user.is_empty();
        functions.push_str(&self.functions);
        functions.push_str(&self.user);
        let common = thalweg_shaders::common_for(&format!("{functions}{main}"));
        let text = format!("{}{common}{functions}{main}", self.params.declaration(self.caps));
        let f16 = names(&text, "f16") || bindings.iter().any(|b| names(&b.element, "f16"));
        let subgroups = self.subgroups;
        let (names, words) = self.params.unzip();
        Kernel {
            entry,
            text,
            bindings,
            words,
            names,
            grid,
            scratch_len: self.scratch_len,
            f16,
            subgroups,
            origin,
            trusted,
        }
    }
}

/// Whether `text` has `word` as a whole identifier.
fn names(text: &str, word: &str) -> bool {
    text.split(|c: char| !c.is_alphanumeric() && c != '_').any(|w| w == word)
}

#[cfg(test)]
mod tests {
    use super::linear_grid;

    #[test]
    fn large_grids_are_folded() {
        assert_eq!(linear_grid(0, 65535), [1, 1, 1]);
        assert_eq!(linear_grid(65535, 65535), [65535, 1, 1]);
        let [x, y, _] = linear_grid(200_001, 65535);
        assert!(x <= 65535 && x as u64 * y as u64 >= 200_001);
    }
}

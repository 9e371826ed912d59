//! Pickles, read without executing anything.
//!
//! A pickle is a program for a machine with a stack. What is dangerous in it is that it names functions of Python and has them called.
//! Here a call is noted and nothing more: [`Made::Call`] is the name of a function and what it would have been given. A name that is
//! not among those that are allowed is an error, and so is an instruction that state dictionaries do not need.
//!
//! Everything that is made is kept in one list and known by its place there, so what contains itself can neither be walked for ever by
//! whoever drops it nor overflow a stack. Every instruction makes one thing at most.
//!
//! # Source
//! CPython, `Lib/pickletools.py`: the instructions and what they do.

use std::collections::HashMap;

/// A value; what has parts by its place among [`Pickle::made`].
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum Value<'a> {
    None,
    Bool(bool),
    Int(i64),
    Text(&'a str),
    /// A function or a class, by its place among the names that are allowed.
    Name(usize),
    Made(usize),
    /// A number or bytes that a state dictionary has no use for.
    Other,
}

/// Something with parts.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Made<'a> {
    Tuple(Vec<Value<'a>>),
    List(Vec<Value<'a>>),
    Dict(Vec<(Value<'a>, Value<'a>)>),
    /// What a function would have given: its name, its arguments, and the items that were put into the result.
    Call {
        name: usize,
        arguments: Value<'a>,
        items: Vec<(Value<'a>, Value<'a>)>,
    },
    /// Something that is kept outside, by what it is known by.
    Outside(Value<'a>),
}

/// What a pickle makes.
#[derive(Debug)]
pub(crate) struct Pickle<'a> {
    pub made: Vec<Made<'a>>,
    pub value: Value<'a>,
}

impl<'a> Pickle<'a> {
    /// Reads a pickle in which at most these names of modules and functions may be.
    pub fn read(bytes: &'a [u8], names: &[(&str, &str)]) -> Result<Pickle<'a>, String> {
        let mut machine =
            Machine { rest: bytes, stack: Vec::new(), marks: Vec::new(), memo: HashMap::new(), made: Vec::new() };
        loop {
            let at = bytes.len() - machine.rest.len();
            if let Some(value) = machine.step(names).map_err(|stop| stop.text(at))? {
                return Ok(Pickle { made: machine.made, value });
            }
        }
    }

    /// The parts of a tuple or a list.
    pub fn parts(&self, value: Value<'a>) -> Option<&[Value<'a>]> {
        match self.get(value)? {
            Made::Tuple(parts) | Made::List(parts) => Some(parts),
            _ => None,
        }
    }

    /// What a value with parts is.
    pub fn get(&self, value: Value<'a>) -> Option<&Made<'a>> {
        if let Value::Made(at) = value { self.made.get(at) } else { None }
    }
}

/// Why reading ends.
enum Stop {
    Truncated,
    Damaged(&'static str),
    Instruction(u8),
    Name(String),
}

impl Stop {
    fn text(self, at: usize) -> String {
        match self {
            Stop::Truncated => "is truncated (its pickle ends too early)".into(),
            Stop::Damaged(what) => format!("is damaged (its pickle, at byte {at}: {what})"),
            Stop::Instruction(code) => {
                format!("has an instruction that no state dictionary needs: {code:#04x}, at byte {at} of its pickle")
            }
            Stop::Name(name) => {
                format!(
                    "needs '{name}', which would have to be executed: torch.save(model.state_dict(), ..) needs nothing"
                )
            }
        }
    }
}

struct Machine<'a> {
    rest: &'a [u8],
    stack: Vec<Value<'a>>,
    /// Heights of the stack.
    marks: Vec<usize>,
    memo: HashMap<u64, Value<'a>>,
    made: Vec<Made<'a>>,
}

impl<'a> Machine<'a> {
    /// One instruction; what the pickle makes, if it is the last.
    fn step(&mut self, names: &[(&str, &str)]) -> Result<Option<Value<'a>>, Stop> {
        let code = self.number::<1>()? as u8;
        match code {
            // PROTO, FRAME: nothing depends on them.
            0x80 => drop(self.number::<1>()?),
            0x95 => drop(self.number::<8>()?),
            b'.' => return self.pop().map(Some),
            // Constants.
            b'N' => self.stack.push(Value::None),
            0x88 => self.stack.push(Value::Bool(true)),
            0x89 => self.stack.push(Value::Bool(false)),
            b'K' => self.int::<1>()?,
            b'M' => self.int::<2>()?,
            b'J' => {
                let n = self.number::<4>()? as u32 as i32;
                self.stack.push(Value::Int(n.into()));
            }
            0x8a => {
                let len = self.number::<1>()?;
                self.long(len)?;
            }
            0x8b => {
                let len = self.number::<4>()?;
                self.long(len)?;
            }
            b'G' => {
                let _ = self.number::<8>()?;
                self.stack.push(Value::Other);
            }
            // Texts, and bytes.
            b'X' => self.text::<4>()?,
            0x8c => self.text::<1>()?,
            0x8d => self.text::<8>()?,
            b'C' => self.bytes::<1>()?,
            b'B' => self.bytes::<4>()?,
            0x8e | 0x96 => self.bytes::<8>()?,
            // Lists, dictionaries and sets.
            b'(' => self.marks.push(self.stack.len()),
            b']' | 0x8f => self.make(Made::List(Vec::new())),
            b'}' => self.make(Made::Dict(Vec::new())),
            b')' => self.make(Made::Tuple(Vec::new())),
            b't' => {
                let parts = self.pop_mark()?;
                self.make(Made::Tuple(parts));
            }
            0x85..=0x87 => {
                let first = self.stack.len().checked_sub((code - 0x84).into()).filter(|at| *at >= self.floor());
                let first = first.ok_or(Stop::Damaged("nothing to make a tuple of"))?;
                let parts = self.stack.drain(first..).collect();
                self.make(Made::Tuple(parts));
            }
            b'a' => {
                let part = self.pop()?;
                self.list()?.push(part);
            }
            b'e' | 0x90 => {
                let parts = self.pop_mark()?;
                self.list()?.extend(parts);
            }
            b's' => {
                let (value, key) = (self.pop()?, self.pop()?);
                self.items()?.push((key, value));
            }
            b'u' => {
                let parts = self.pop_mark()?;
                let (pairs, odd) = parts.as_chunks();
                if !odd.is_empty() {
                    return Err(Stop::Damaged("a key without a value"));
                }
                self.items()?.extend(pairs.iter().map(|[key, value]| (*key, *value)));
            }
            // What is used again.
            b'q' => self.memorize::<1>()?,
            b'r' => self.memorize::<4>()?,
            0x94 => {
                let last = self.top()?;
                self.memo.insert(self.memo.len() as u64, last);
            }
            b'h' => self.recall::<1>()?,
            b'j' => self.recall::<4>()?,
            b'0' => drop(self.pop()?),
            // Names, and what would be done with them.
            b'c' => {
                let (module, name) = (self.line()?, self.line()?);
                self.name(module, name, names)?;
            }
            0x93 => match (self.pop()?, self.pop()?) {
                (Value::Text(name), Value::Text(module)) => self.name(module, name, names)?,
                _ => return Err(Stop::Damaged("a name that is no text")),
            },
            b'R' => match (self.pop()?, self.pop()?) {
                (arguments, Value::Name(name)) => self.make(Made::Call { name, arguments, items: Vec::new() }),
                _ => return Err(Stop::Damaged("a call of what is no function")),
            },
            b'Q' => {
                let known_by = self.pop()?;
                self.make(Made::Outside(known_by));
            }
            // The attributes of a dictionary: those of a state dictionary are versions of modules.
            b'b' => {
                let _ = self.pop()?;
                let _ = self.items()?;
            }
            code => return Err(Stop::Instruction(code)),
        }
        Ok(None)
    }

    fn take(&mut self, len: u64) -> Result<&'a [u8], Stop> {
        let len = usize::try_from(len).map_err(|_| Stop::Truncated)?;
        let (taken, rest) = self.rest.split_at_checked(len).ok_or(Stop::Truncated)?;
        self.rest = rest;
        Ok(taken)
    }

    /// `N` bytes as a number, the lowest first.
    fn number<const N: usize>(&mut self) -> Result<u64, Stop> {
        let bytes = self.take(N as u64)?;
        Ok(bytes.iter().rev().fold(0, |n, byte| n << 8 | u64::from(*byte)))
    }

    fn int<const N: usize>(&mut self) -> Result<(), Stop> {
        let n = self.number::<N>()?;
        self.stack.push(Value::Int(n as i64));
        Ok(())
    }

    /// A number of any length, in two's complement.
    fn long(&mut self, len: u64) -> Result<(), Stop> {
        let bytes = self.take(len)?;
        let is_negative = bytes.last().is_some_and(|byte| *byte >= 0x80);
        let mut all = [if is_negative { 0xff } else { 0 }; 8];
        self.stack.push(match all.get_mut(..bytes.len()) {
            Some(low) => {
                low.copy_from_slice(bytes);
                Value::Int(i64::from_le_bytes(all))
            }
            None => Value::Other,
        });
        Ok(())
    }

    fn text<const N: usize>(&mut self) -> Result<(), Stop> {
        let len = self.number::<N>()?;
        // Python may write halves of a pair, which are no text of ours, and in no name.
        let text = std::str::from_utf8(self.take(len)?).map_or(Value::Other, Value::Text);
        self.stack.push(text);
        Ok(())
    }

    fn bytes<const N: usize>(&mut self) -> Result<(), Stop> {
        let len = self.number::<N>()?;
        let _ = self.take(len)?;
        self.stack.push(Value::Other);
        Ok(())
    }

    fn line(&mut self) -> Result<&'a str, Stop> {
        let end = self.rest.iter().position(|byte| *byte == b'\n').ok_or(Stop::Truncated)?;
        let line = self.take(end as u64)?;
        let _ = self.take(1)?;
        std::str::from_utf8(line).map_err(|_| Stop::Damaged("a name that is no UTF-8"))
    }

    fn name(&mut self, module: &str, name: &str, names: &[(&str, &str)]) -> Result<(), Stop> {
        let known = names.iter().position(|known| *known == (module, name));
        self.stack.push(Value::Name(known.ok_or_else(|| Stop::Name(format!("{module}.{name}")))?));
        Ok(())
    }

    /// The height of the stack below which the innermost mark is.
    fn floor(&self) -> usize {
        self.marks.last().copied().unwrap_or(0)
    }

    fn top(&self) -> Result<Value<'a>, Stop> {
        self.stack.last().copied().filter(|_| self.stack.len() > self.floor()).ok_or(Stop::Damaged("an empty stack"))
    }

    fn pop(&mut self) -> Result<Value<'a>, Stop> {
        let top = self.top()?;
        self.stack.pop();
        Ok(top)
    }

    fn pop_mark(&mut self) -> Result<Vec<Value<'a>>, Stop> {
        let mark = self.marks.pop().ok_or(Stop::Damaged("an end without a beginning"))?;
        // Not `split_off`, which hands on more room than there are values.
        Ok(self.stack.drain(mark..).collect())
    }

    fn make(&mut self, made: Made<'a>) {
        self.stack.push(Value::Made(self.made.len()));
        self.made.push(made);
    }

    fn made(&mut self) -> Result<&mut Made<'a>, Stop> {
        match self.top()? {
            Value::Made(at) => self.made.get_mut(at).ok_or(Stop::Damaged("nothing there")),
            _ => Err(Stop::Damaged("parts of what has none")),
        }
    }

    fn list(&mut self) -> Result<&mut Vec<Value<'a>>, Stop> {
        match self.made()? {
            Made::List(parts) => Ok(parts),
            _ => Err(Stop::Damaged("parts of what is no list")),
        }
    }

    fn items(&mut self) -> Result<&mut Vec<(Value<'a>, Value<'a>)>, Stop> {
        match self.made()? {
            Made::Dict(items) | Made::Call { items, .. } => Ok(items),
            _ => Err(Stop::Damaged("items of what is no dictionary")),
        }
    }

    fn memorize<const N: usize>(&mut self) -> Result<(), Stop> {
        let (key, last) = (self.number::<N>()?, self.top()?);
        self.memo.insert(key, last);
        Ok(())
    }

    fn recall<const N: usize>(&mut self) -> Result<(), Stop> {
        let key = self.number::<N>()?;
        self.stack.push(*self.memo.get(&key).ok_or(Stop::Damaged("what was never kept"))?);
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const NAMES: [(&str, &str); 1] = [("collections", "OrderedDict")];

    fn problem(bytes: &[u8]) -> String {
        Pickle::read(bytes, &NAMES).unwrap_err()
    }

    /// `pickle.dumps(OrderedDict(a=(1, -2, 300, 70000, None), b=[True, 2**62]), protocol=2)`, and of protocol 4.
    #[test]
    fn what_python_writes_is_read() {
        let two = b"\x80\x02ccollections\nOrderedDict\nq\x00)Rq\x01(X\x01\x00\x00\x00aq\x02(K\x01J\xfe\xff\xff\xffM,\x01Jp\x11\x01\x00Ntq\x03X\x01\x00\x00\x00bq\x04]q\x05(\x88\x8a\x08\x00\x00\x00\x00\x00\x00\x00@eu.";
        let four = b"\x80\x04\x95N\x00\x00\x00\x00\x00\x00\x00\x8c\x0bcollections\x94\x8c\x0bOrderedDict\x94\x93\x94)R\x94(\x8c\x01a\x94(K\x01J\xfe\xff\xff\xffM,\x01Jp\x11\x01\x00Nt\x94\x8c\x01b\x94]\x94(\x88\x8a\x08\x00\x00\x00\x00\x00\x00\x00@eu.";
        for bytes in [&two[..], four] {
            let pickle = Pickle::read(bytes, &NAMES).unwrap();
            let Some(Made::Call { name: 0, items, .. }) = pickle.get(pickle.value) else { panic!("{pickle:?}") };
            let [(Value::Text("a"), a), (Value::Text("b"), b)] = items[..] else { panic!("{items:?}") };
            let ints = [1, -2, 300, 70_000].map(Value::Int);
            assert_eq!(pickle.parts(a), Some(&[&ints[..], &[Value::None]].concat()[..]));
            assert_eq!(pickle.parts(b), Some(&[Value::Bool(true), Value::Int(1 << 62)][..]));
            for end in 0..bytes.len() {
                assert!(problem(&bytes[..end]).contains("is truncated"), "{end}");
            }
        }
    }

    #[test]
    fn nothing_is_executed() {
        // `os.system("true")`, in two ways to write it, and by its address in a registry.
        assert!(problem(b"\x80\x02cos\nsystem\nX\x04\x00\x00\x00true\x85R.").contains("needs 'os.system'"));
        assert!(problem(b"\x80\x04\x8c\x05posix\x8c\x06system\x93\x8c\x04true\x85R.").contains("needs 'posix.system'"));
        assert!(problem(b"(S'true'\nios\nsystem\n.").contains("0x53"));
        assert!(problem(b"\x82\x01.").contains("0x82"));
        // An object made without its constructor.
        assert!(problem(b"\x80\x02ccollections\nOrderedDict\n)\x81.").contains("0x81"));
    }

    #[test]
    fn what_no_pickler_writes_is_an_error() {
        for (bytes, what) in [
            (&b"."[..], "an empty stack"),
            (b"(.", "an empty stack"),
            (b"N(0.", "an empty stack"),
            (b"t.", "an end without a beginning"),
            (b"N\x86.", "nothing to make a tuple of"),
            (b"NNa.", "parts of what has none"),
            (b")Na.", "parts of what is no list"),
            (b"](Nu.", "a key without a value"),
            (b"](NNu.", "items of what is no dictionary"),
            (b"h\x07.", "what was never kept"),
            (b"NNR.", "a call of what is no function"),
            (b"NN\x93.", "a name that is no text"),
        ] {
            let problem = problem(bytes);
            assert!(problem.contains(what), "{bytes:?}: {problem}");
        }
    }
}

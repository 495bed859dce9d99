//! Reads Python's pickle protocol 2 as far as state dicts need it. Nothing is executed: what a call
//! would make is one of a few known forms, or [`Value::Opaque`].

use std::collections::HashMap;
use std::rc::Rc;

/// A Python object.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Value {
    None,
    Integer(i64),
    Text(String),
    Tuple(Vec<Rc<Value>>),
    Dict(Vec<(Rc<Value>, Rc<Value>)>),
    /// `module name` of a class or function.
    Global(String),
    /// An object that is kept outside, by its id.
    Persistent(Rc<Value>),
    /// What calling a global with a tuple makes.
    Call(String, Rc<Value>),
    /// Whatever else: numbers with fractions, lists, objects.
    Opaque,
}

/// The object that `bytes` hold.
///
/// # Errors
/// Bytes that end early, contradict themselves, or use what protocol 2 has not.
pub(super) fn read(bytes: &[u8]) -> Result<Rc<Value>, String> {
    let mut machine = Machine { rest: bytes, stack: vec![], marks: vec![], memo: HashMap::new() };
    while let Some(operation) = machine.take(1)?.first() {
        if *operation == b'.' {
            return machine.pop();
        }
        machine.step(*operation)?;
    }
    Err(ended())
}

fn ended() -> String {
    "its pickle ends early".into()
}

struct Machine<'a> {
    rest: &'a [u8],
    stack: Vec<Rc<Value>>,
    /// Heights of the stack.
    marks: Vec<usize>,
    memo: HashMap<u32, Rc<Value>>,
}

impl<'a> Machine<'a> {
    fn step(&mut self, operation: u8) -> Result<(), String> {
        match operation {
            0x80 => drop(self.take(1)?), // protocol
            b'(' => self.marks.push(self.stack.len()),
            b'0' => drop(self.pop()?),
            b'N' => self.push(Value::None),
            b'J' | b'K' | b'M' | 0x8a | 0x88 | 0x89 => self.integer(operation)?,
            b'G' => {
                self.take(8)?;
                self.push(Value::Opaque);
            }
            b'X' => {
                let length = self.unsigned(4)?;
                self.text(length)?;
            }
            b'c' => {
                let (module, name) = (self.line()?, self.line()?);
                self.push(Value::Global(format!("{module} {name}")));
            }
            b'q' | b'r' | b'h' | b'j' => self.remember(operation)?,
            b')' | b't' | 0x85..=0x87 => self.tuple(operation)?,
            b']' => self.push(Value::Opaque),
            b'}' => self.push(Value::Dict(vec![])),
            b'a' => drop(self.pop()?),
            b'e' => drop(self.popped_to_mark()?),
            b's' => {
                let (value, key) = (self.pop()?, self.pop()?);
                self.set(vec![key, value])?;
            }
            b'u' => {
                let items = self.popped_to_mark()?;
                self.set(items)?;
            }
            b'b' => drop(self.pop()?), // attributes
            b'Q' => {
                let id = self.pop()?;
                self.push(Value::Persistent(id));
            }
            b'R' | 0x81 => self.call()?,
            other => return Err(format!("its pickle uses operation {other:#04x}, unknown here")),
        }
        Ok(())
    }

    fn integer(&mut self, operation: u8) -> Result<(), String> {
        let value = match operation {
            b'J' => i64::from(self.unsigned(4)? as u32 as i32),
            b'K' => self.unsigned(1)? as i64,
            b'M' => self.unsigned(2)? as i64,
            0x8a => {
                let length = self.unsigned(1)?;
                self.long(length)?
            }
            _ => i64::from(operation == 0x88),
        };
        self.push(Value::Integer(value));
        Ok(())
    }

    /// A number of `length` bytes in two's complement.
    fn long(&mut self, length: usize) -> Result<i64, String> {
        let bytes = self.take(length)?;
        if bytes.len() > 8 {
            return Err(format!("its pickle holds a number of {length} bytes"));
        }
        let negative = bytes.last().is_some_and(|byte| byte & 0x80 != 0);
        let mut word = [if negative { 0xff } else { 0 }; 8];
        word.iter_mut().zip(bytes).for_each(|(to, from)| *to = *from);
        Ok(i64::from_le_bytes(word))
    }

    fn text(&mut self, length: usize) -> Result<(), String> {
        let text = String::from_utf8_lossy(self.take(length)?).into_owned();
        self.push(Value::Text(text));
        Ok(())
    }

    fn remember(&mut self, operation: u8) -> Result<(), String> {
        let key = self.unsigned(if matches!(operation, b'q' | b'h') { 1 } else { 4 })? as u32;
        if matches!(operation, b'q' | b'r') {
            let top = self.stack.last().ok_or_else(ended)?;
            self.memo.insert(key, Rc::clone(top));
        } else {
            let kept = self.memo.get(&key).ok_or_else(|| format!("its pickle lacks memo {key}"))?;
            self.stack.push(Rc::clone(kept));
        }
        Ok(())
    }

    fn tuple(&mut self, operation: u8) -> Result<(), String> {
        let items = match operation {
            b')' => vec![],
            b't' => self.popped_to_mark()?,
            _ => {
                let count = usize::from(operation - 0x84);
                let start = self.stack.len().checked_sub(count).ok_or_else(ended)?;
                self.stack.split_off(start)
            }
        };
        self.push(Value::Tuple(items));
        Ok(())
    }

    /// Adds keys and values in turn to the dict on top; other objects swallow them.
    fn set(&mut self, items: Vec<Rc<Value>>) -> Result<(), String> {
        let top = self.stack.last_mut().ok_or_else(ended)?;
        if let Value::Dict(entries) = Rc::make_mut(top) {
            let pairs = items.as_chunks::<2>().0;
            entries.extend(pairs.iter().map(|[key, value]| (Rc::clone(key), Rc::clone(value))));
        }
        Ok(())
    }

    fn call(&mut self) -> Result<(), String> {
        let (arguments, function) = (self.pop()?, self.pop()?);
        self.push(match &*function {
            Value::Global(name) if name == "collections OrderedDict" => Value::Dict(vec![]),
            Value::Global(name) => Value::Call(name.clone(), arguments),
            _ => Value::Opaque,
        });
        Ok(())
    }

    fn push(&mut self, value: Value) {
        self.stack.push(Rc::new(value));
    }

    fn pop(&mut self) -> Result<Rc<Value>, String> {
        self.stack.pop().ok_or_else(ended)
    }

    fn popped_to_mark(&mut self) -> Result<Vec<Rc<Value>>, String> {
        let mark = self.marks.pop().filter(|mark| *mark <= self.stack.len()).ok_or_else(ended)?;
        Ok(self.stack.split_off(mark))
    }

    fn take(&mut self, length: usize) -> Result<&'a [u8], String> {
        let (taken, rest) = self.rest.split_at_checked(length).ok_or_else(ended)?;
        self.rest = rest;
        Ok(taken)
    }

    fn unsigned(&mut self, length: usize) -> Result<usize, String> {
        let bytes = self.take(length)?;
        Ok(bytes.iter().rev().fold(0, |value, byte| value << 8 | usize::from(*byte)))
    }

    fn line(&mut self) -> Result<String, String> {
        let length = self.rest.iter().position(|byte| *byte == b'\n').ok_or_else(ended)?;
        let line = String::from_utf8_lossy(self.take(length)?).into_owned();
        self.take(1)?;
        Ok(line)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_dict_with_every_kind_of_number() {
        // {"a": (1, -2, 300), "b": (-1, True, None)}
        let bytes = b"\x80\x02}q\x00(X\x01\0\0\0aK\x01J\xfe\xff\xff\xffM\x2c\x01\x87q\x01\
                      X\x01\0\0\0b\x8a\x01\xff\x88N\x87u.";
        let rc = |value| Rc::new(value);
        let tuple = |values: [Value; 3]| rc(Value::Tuple(values.map(rc).to_vec()));
        let integer = Value::Integer;
        let expected = Value::Dict(vec![
            (rc(Value::Text("a".into())), tuple([integer(1), integer(-2), integer(300)])),
            (rc(Value::Text("b".into())), tuple([integer(-1), integer(1), Value::None])),
        ]);
        assert_eq!(*read(bytes).unwrap(), expected);
    }

    proptest::proptest! {
        #[test]
        fn no_bytes_panic(bytes in proptest::collection::vec(proptest::num::u8::ANY, 0..64)) {
            let _ = read(&bytes);
        }

        #[test]
        fn no_operations_panic(bytes in "[(0NJKMGXcqrhjt)a}eus\\]bQR.\n]{0,40}") {
            let _ = read(bytes.as_bytes());
        }
    }
}

//! The syntax of objects (ISO 32000-2, 7.2 and 7.3), read without building them: a value is a part of the file's bytes.

use memchr::memchr;

/// Most nested arrays and dictionaries.
const DEPTH: u32 = 64;

/// A value, as far as the structure of a document needs it.
#[derive(Clone, Copy, Debug)]
pub(super) enum Value<'a> {
    Dict(Dict<'a>),
    Array(Array<'a>),
    Name(Name<'a>),
    Int(i64),
    /// The number of the object that is meant.
    Reference(u32),
    Null,
    /// A string, a real number, or a boolean.
    Other,
}

impl<'a> Value<'a> {
    pub(super) fn dict(self) -> Option<Dict<'a>> {
        if let Self::Dict(dict) = self { Some(dict) } else { None }
    }

    pub(super) fn int(self) -> Option<usize> {
        if let Self::Int(int) = self { usize::try_from(int).ok() } else { None }
    }

    /// The number of the object that is meant.
    pub(super) fn reference(self) -> Option<u32> {
        if let Self::Reference(number) = self { Some(number) } else { None }
    }

    pub(super) fn is_name(self, name: &[u8]) -> bool {
        if let Self::Name(found) = self { found.is(name) } else { false }
    }
}

/// A name without its slash, as it is written.
#[derive(Clone, Copy, Debug)]
pub(super) struct Name<'a>(&'a [u8]);

impl Name<'_> {
    /// Compares with a name in plain characters. `#41` is an `A`.
    pub(super) fn is(self, name: &[u8]) -> bool {
        let mut rest = self.0;
        let mut next = || {
            let (first, tail) = rest.split_first()?;
            let hex = |byte: &u8| char::from(*byte).to_digit(16);
            let escaped = match tail {
                [high, low, after @ ..] if *first == b'#' => {
                    hex(high).zip(hex(low)).map(|(high, low)| (high * 16 + low, after))
                }
                _ => None,
            };
            let (byte, after) = escaped.unwrap_or((u32::from(*first), tail));
            rest = after;
            u8::try_from(byte).ok()
        };
        name.iter().all(|byte| next() == Some(*byte)) && next().is_none()
    }
}

/// What is between the brackets of a dictionary that has been read.
#[derive(Clone, Copy, Debug)]
pub(super) struct Dict<'a>(&'a [u8]);

impl<'a> Dict<'a> {
    /// The value of a key.
    pub(super) fn get(self, key: &[u8]) -> Option<Value<'a>> {
        let mut lexer = Lexer::new(self.0, 0);
        while let Some(Value::Name(name)) = lexer.value() {
            let value = lexer.value()?;
            if name.is(key) {
                return Some(value);
            }
        }
        None
    }
}

/// What is between the brackets of an array that has been read.
#[derive(Clone, Copy, Debug)]
pub(super) struct Array<'a>(&'a [u8]);

impl<'a> Array<'a> {
    pub(super) fn iter(self) -> impl Iterator<Item = Value<'a>> {
        let mut lexer = Lexer::new(self.0, 0);
        std::iter::from_fn(move || lexer.value())
    }
}

/// Reads bytes from a position on, which only ever grows: a file is read in linear time, however broken it is.
#[derive(Clone, Copy, Debug)]
pub(super) struct Lexer<'a> {
    bytes: &'a [u8],
    pub(super) at: usize,
}

impl<'a> Lexer<'a> {
    pub(super) fn new(bytes: &'a [u8], at: usize) -> Self {
        Self { bytes, at }
    }

    pub(super) fn rest(&self) -> &'a [u8] {
        self.bytes.get(self.at..).unwrap_or_default()
    }

    fn peek(&self) -> Option<u8> {
        self.rest().first().copied()
    }

    /// Skips these bytes, if they are next.
    pub(super) fn skip(&mut self, bytes: &[u8]) -> bool {
        let is_next = self.rest().starts_with(bytes);
        if is_next {
            self.at += bytes.len();
        }
        is_next
    }

    /// Skips white space and comments.
    pub(super) fn skip_space(&mut self) {
        loop {
            self.take_while(is_space);
            if self.peek() != Some(b'%') {
                return;
            }
            self.take_while(|byte| !matches!(byte, b'\r' | b'\n'));
        }
    }

    fn take_while(&mut self, is: fn(u8) -> bool) -> &'a [u8] {
        let rest = self.rest();
        let taken = &rest[..rest.iter().position(|byte| !is(*byte)).unwrap_or(rest.len())];
        self.at += taken.len();
        taken
    }

    /// The characters up to a delimiter or white space.
    pub(super) fn word(&mut self) -> &'a [u8] {
        self.take_while(|byte| !is_space(byte) && !is_delimiter(byte))
    }

    /// A number without a sign, which something other than a letter or a digit follows.
    pub(super) fn unsigned(&mut self) -> Option<u32> {
        std::str::from_utf8(self.word()).ok()?.parse().ok()
    }

    /// The value that is next; none at the end, or where none begins. The position is then where that was found.
    pub(super) fn value(&mut self) -> Option<Value<'a>> {
        self.nested(DEPTH)
    }

    fn nested(&mut self, depth: u32) -> Option<Value<'a>> {
        self.skip_space();
        match self.peek()? {
            b'/' => {
                self.at += 1;
                Some(Value::Name(Name(self.word())))
            }
            b'(' => self.string(),
            b'<' if self.skip(b"<<") => {
                self.inside(b">>", depth).map(|inner| Value::Dict(Dict(inner)))
            }
            b'<' => self.hex_string(),
            b'[' => {
                self.at += 1;
                self.inside(b"]", depth).map(|inner| Value::Array(Array(inner)))
            }
            b'0'..=b'9' | b'+' | b'-' | b'.' => Some(self.number()),
            _ => match self.word() {
                b"null" => Some(Value::Null),
                b"true" | b"false" => Some(Value::Other),
                _ => None,
            },
        }
    }

    /// Reads values up to a closing bracket.
    fn inside(&mut self, close: &[u8], depth: u32) -> Option<&'a [u8]> {
        let depth = depth.checked_sub(1)?;
        let start = self.at;
        loop {
            self.skip_space();
            let end = self.at;
            if self.skip(close) {
                return self.bytes.get(start..end);
            }
            self.nested(depth)?;
        }
    }

    /// A number, or three words that refer to an object.
    fn number(&mut self) -> Value<'a> {
        let Some(int) = std::str::from_utf8(self.word()).ok().and_then(|word| word.parse().ok())
        else {
            return Value::Other;
        };
        let mut ahead = *self;
        ahead.skip_space();
        if ahead.unsigned().is_some() {
            ahead.skip_space();
            if ahead.word() == b"R" {
                *self = ahead;
                return u32::try_from(int).map_or(Value::Null, Value::Reference);
            }
        }
        Value::Int(int)
    }

    fn string(&mut self) -> Option<Value<'a>> {
        let mut open = 0_u32;
        while let Some(byte) = self.peek() {
            self.at += 1;
            match byte {
                b'\\' => self.at += 1,
                b'(' => open += 1,
                b')' if open == 1 => return Some(Value::Other),
                b')' => open -= 1,
                _ => {}
            }
        }
        None
    }

    fn hex_string(&mut self) -> Option<Value<'a>> {
        let length = memchr(b'>', self.rest());
        self.at += length.map_or(self.rest().len(), |length| length + 1);
        length.map(|_| Value::Other)
    }
}

pub(super) fn is_space(byte: u8) -> bool {
    matches!(byte, b'\0' | b'\t' | b'\n' | b'\x0c' | b'\r' | b' ')
}

fn is_delimiter(byte: u8) -> bool {
    matches!(byte, b'(' | b')' | b'<' | b'>' | b'[' | b']' | b'{' | b'}' | b'/' | b'%')
}

#[cfg(test)]
mod tests {
    use super::*;

    fn value(bytes: &str) -> Option<Value<'_>> {
        Lexer::new(bytes.as_bytes(), 0).value()
    }

    #[test]
    fn a_value_is_found_by_its_key() {
        let dict = "<< /A (a \\) >> (b)) % >>\n /B<41>/#43 [ 1 2 0 R -3.5 null ] /D <</C 7>> /E 12 0 R /F 5>>";
        let dict = value(dict).and_then(Value::dict).unwrap();
        assert!(matches!(dict.get(b"A"), Some(Value::Other)));
        assert!(matches!(dict.get(b"B"), Some(Value::Other)));
        let Some(Value::Array(array)) = dict.get(b"C") else { unreachable!() };
        let values: Vec<_> = array.iter().collect();
        assert!(matches!(
            values[..],
            [Value::Int(1), Value::Reference(2), Value::Other, Value::Null]
        ));
        assert!(dict.get(b"D").and_then(Value::dict).unwrap().get(b"C").unwrap().int() == Some(7));
        assert!(matches!(dict.get(b"E"), Some(Value::Reference(12))));
        assert!(dict.get(b"F").unwrap().int() == Some(5));
        assert!(dict.get(b"G").is_none());
    }

    #[test]
    fn what_is_broken_or_too_deep_is_no_value() {
        for broken in ["", "<<", "[1", "(a", "<41", "endobj", "<< /A", "]", ">>"] {
            assert!(value(broken).is_none(), "{broken}");
        }
        assert!(value(&format!("{}{}", "[".repeat(64), "]".repeat(64))).is_some());
        assert!(value(&format!("{}{}", "[".repeat(65), "]".repeat(65))).is_none());
    }
}

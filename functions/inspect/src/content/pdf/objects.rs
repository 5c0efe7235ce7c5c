//! The objects of a document, found from its beginning to its end: a later one replaces an earlier one of the same number.

use std::collections::HashMap;
use std::io::Read;

use flate2::read::ZlibDecoder;
use memchr::memmem;
use shared_core::uploads::UnreadableFile;

use super::super::deadline::Deadline;
use super::syntax::{Dict, Lexer, Value, is_space};

/// Most objects. A PDF of 10 MiB has some 10,000; an entry takes 32 bytes.
const OBJECTS: usize = 500_000;
/// Most bytes of decompressed object streams, altogether.
const DECOMPRESSED_BYTES: usize = 64 << 20;
/// Most bytes of an object of the structure: a catalogue, or a node of the pages with its children. Objects may overlap, and be
/// asked for again and again, so a longer one would be a loop.
const STRUCTURE_BYTES: usize = 1 << 20;
/// Most bytes of a number, with the space before it.
const NUMBER_BYTES: usize = 64;
/// Objects between two looks at the clock.
const CHECK_EVERY: usize = 1024;

const END_OF_STREAM: &[u8] = b"endstream";

/// Where an object is.
#[derive(Clone, Copy, Debug)]
enum Place {
    /// At this position of the file.
    File(usize),
    /// At this position of a decompressed object stream.
    Stream { index: usize, at: usize },
}

/// A stream that contains objects (7.5.7).
#[derive(Debug)]
struct ObjectStream<'a> {
    data: &'a [u8],
    is_compressed: bool,
    /// Decompressed when an object of it is needed: structure takes few of them.
    content: Option<Vec<u8>>,
}

/// The objects of a document.
#[derive(Debug)]
pub(super) struct Objects<'a> {
    bytes: &'a [u8],
    deadline: Deadline,
    places: HashMap<u32, Place>,
    streams: Vec<ObjectStream<'a>>,
    /// Bytes that may still be decompressed.
    budget: usize,
    root: Option<u32>,
    is_encrypted: bool,
}

impl<'a> Objects<'a> {
    /// Finds all objects.
    pub(super) fn read(bytes: &'a [u8], deadline: Deadline) -> Result<Self, UnreadableFile> {
        let mut objects = Self {
            bytes,
            deadline,
            places: HashMap::new(),
            streams: Vec::new(),
            budget: DECOMPRESSED_BYTES,
            root: None,
            is_encrypted: false,
        };
        objects.scan()?;
        Ok(objects)
    }

    /// Whether the document has a password, be it the empty one: then it is readable only by those who ask for none.
    pub(super) fn is_encrypted(&self) -> bool {
        self.is_encrypted
    }

    /// The number of the catalogue, according to the last trailer.
    pub(super) fn root(&self) -> Option<u32> {
        self.root
    }

    /// An object, if there is one of this number.
    pub(super) fn get(&mut self, number: u32) -> Result<Option<Value<'_>>, UnreadableFile> {
        self.deadline.check()?;
        Ok(match self.places.get(&number) {
            None => None,
            Some(&Place::File(at)) => value_within(self.bytes, at, STRUCTURE_BYTES),
            Some(&Place::Stream { index, at }) => {
                value_within(self.content(index)?, at, STRUCTURE_BYTES)
            }
        })
    }

    fn scan(&mut self) -> Result<(), UnreadableFile> {
        let mut lexer = Lexer::new(self.bytes, 0);
        let mut words = 0_usize;
        loop {
            lexer.skip_space();
            if lexer.rest().is_empty() {
                return Ok(());
            }
            words += 1;
            if words.is_multiple_of(CHECK_EVERY) {
                self.deadline.check()?;
            }
            match lexer.word() {
                // A delimiter.
                [] => lexer.at += 1,
                b"trailer" => {
                    if let Some(Value::Dict(trailer)) = lexer.value() {
                        self.note_trailer(trailer);
                    }
                }
                word => {
                    if let Some(number) = object_number(word, &mut lexer) {
                        self.object(number, &mut lexer)?;
                    }
                }
            }
        }
    }

    fn object(&mut self, number: u32, lexer: &mut Lexer<'a>) -> Result<(), UnreadableFile> {
        lexer.skip_space();
        let at = lexer.at;
        let Some(value) = lexer.value() else { return Ok(()) };
        self.place(number, Place::File(at))?;
        lexer.skip_space();
        if let Value::Dict(dict) = value
            && lexer.skip(b"stream")
        {
            let data = self.stream_data(dict, lexer);
            let kind = dict.get(b"Type");
            if kind.is_some_and(|kind| kind.is_name(b"ObjStm")) {
                self.object_stream(dict, data)?;
            } else if kind.is_some_and(|kind| kind.is_name(b"XRef")) {
                self.note_trailer(dict);
            }
        }
        Ok(())
    }

    fn place(&mut self, number: u32, place: Place) -> Result<(), UnreadableFile> {
        self.places.insert(number, place);
        if self.places.len() > OBJECTS { Err(UnreadableFile::TooComplex) } else { Ok(()) }
    }

    fn note_trailer(&mut self, trailer: Dict<'_>) {
        if let Some(Value::Reference(root)) = trailer.get(b"Root") {
            self.root = Some(root);
        }
        self.is_encrypted |= !matches!(trailer.get(b"Encrypt"), None | Some(Value::Null));
    }

    /// The data of the stream that begins here, and the position behind it.
    fn stream_data(&self, dict: Dict<'_>, lexer: &mut Lexer<'a>) -> &'a [u8] {
        // The end of the line is not data.
        let _ = lexer.skip(b"\r\n") || lexer.skip(b"\n") || lexer.skip(b"\r");
        let rest = lexer.rest();
        let is_end = |length: &usize| {
            let after = rest.get(*length..).unwrap_or_default();
            let space = after.iter().take_while(|byte| is_space(**byte)).take(4).count();
            after[space..].starts_with(END_OF_STREAM)
        };
        let length = self.length(dict).filter(is_end);
        let length = length.or_else(|| memmem::find(rest, END_OF_STREAM)).unwrap_or(rest.len());
        lexer.at += length;
        &rest[..length]
    }

    /// The length that a stream has according to its dictionary. One that refers to a later object is unknown as yet.
    fn length(&self, dict: Dict<'_>) -> Option<usize> {
        let length = dict.get(b"Length")?;
        match length.reference() {
            None => length.int(),
            Some(number) => match self.places.get(&number)? {
                Place::File(at) => value_within(self.bytes, *at, NUMBER_BYTES)?.int(),
                Place::Stream { .. } => None,
            },
        }
    }

    /// Notes the objects of an object stream, whose numbers and positions precede them. One whose form is unknown has none.
    fn object_stream(&mut self, dict: Dict<'_>, data: &'a [u8]) -> Result<(), UnreadableFile> {
        let Some((count, first)) =
            dict.get(b"N").and_then(Value::int).zip(dict.get(b"First").and_then(Value::int))
        else {
            return Ok(());
        };
        let Some(is_compressed) = is_deflated(dict) else { return Ok(()) };
        let stream = ObjectStream { data, is_compressed, content: None };
        let header = stream.decompressed(first, &mut self.budget)?;
        let index = self.streams.len();
        self.streams.push(stream);
        let mut lexer = Lexer::new(&header, 0);
        for _ in 0..count {
            lexer.skip_space();
            let Some(number) = lexer.unsigned() else { break };
            lexer.skip_space();
            let Some(offset) = lexer.unsigned() else { break };
            let at = first.saturating_add(offset as usize);
            self.place(number, Place::Stream { index, at })?;
        }
        self.deadline.check()
    }

    fn content(&mut self, index: usize) -> Result<&[u8], UnreadableFile> {
        let stream = self.streams.get_mut(index).ok_or(UnreadableFile::Damaged)?;
        if stream.content.is_none() {
            self.deadline.check()?;
            stream.content = Some(stream.decompressed(usize::MAX, &mut self.budget)?);
        }
        Ok(stream.content.as_deref().unwrap_or_default())
    }
}

impl ObjectStream<'_> {
    /// The first `most` bytes of its content, paid for from a budget. A damaged stream has those before the damage.
    fn decompressed(&self, most: usize, budget: &mut usize) -> Result<Vec<u8>, UnreadableFile> {
        let mut content = Vec::new();
        let limit = most.min(*budget);
        let mut reader: Box<dyn Read + '_> = if self.is_compressed {
            Box::new(ZlibDecoder::new(self.data))
        } else {
            Box::new(self.data)
        };
        let _ = reader.by_ref().take(limit as u64).read_to_end(&mut content);
        *budget -= content.len();
        let is_cut = content.len() == limit && limit < most;
        if is_cut { Err(UnreadableFile::TooComplex) } else { Ok(content) }
    }
}

/// The value at a position, if it has at most so many bytes.
fn value_within(bytes: &[u8], at: usize, most: usize) -> Option<Value<'_>> {
    let end = at.saturating_add(most).min(bytes.len());
    Lexer::new(&bytes[..end], at).value()
}

/// Whether a stream is compressed with Deflate, the only filter of object streams that programs write; none if it has another.
fn is_deflated(dict: Dict<'_>) -> Option<bool> {
    let is_flate = |value: Value<'_>| value.is_name(b"FlateDecode") || value.is_name(b"Fl");
    match dict.get(b"Filter") {
        None | Some(Value::Null) => Some(false),
        Some(Value::Array(filters)) => {
            let mut filters = filters.iter();
            match (filters.next(), filters.next()) {
                (None, _) => Some(false),
                (Some(filter), None) => is_flate(filter).then_some(true),
                (Some(_), Some(_)) => None,
            }
        }
        Some(filter) => is_flate(filter).then_some(true),
    }
}

/// The number of the object whose header (`12 0 obj`) begins with this word.
fn object_number(word: &[u8], lexer: &mut Lexer<'_>) -> Option<u32> {
    // Some programs leave no space between two objects.
    let word = word.strip_prefix(b"endobj").unwrap_or(word);
    let number = std::str::from_utf8(word).ok()?.parse().ok()?;
    let mut ahead = *lexer;
    ahead.skip_space();
    ahead.unsigned()?;
    ahead.skip_space();
    if !ahead.skip(b"obj") {
        return None;
    }
    *lexer = ahead;
    Some(number)
}

//! PDFs: counted, and kept as they were sent.

use std::io::Write;
use std::time::{Duration, Instant};

use flate2::Compression;
use flate2::write::ZlibEncoder;
use inspect::content::Kept;
use lopdf::encryption::crypt_filters::Aes128CryptFilter;
use lopdf::{Document, EncryptionState, EncryptionVersion, Object, Permissions, dictionary};
use shared_core::uploads::FileForm;
use shared_core::uploads::UnreadableFile::{Damaged, Encrypted, TooComplex, TooManyPages};

use super::fixtures::{document, modern_pdf, pdf};
use super::setup::{accepted, assert_lie, assert_unreadable};

const PDF: &str = "application/pdf";

fn pages(file: &[u8]) -> u32 {
    accepted(PDF, file).file.pages.unwrap().get()
}

#[test]
fn a_pdf_is_kept_as_it_was_sent() {
    let bytes = pdf(3);
    let accepted = accepted(PDF, &bytes);
    assert_eq!(accepted.forms, [(FileForm::Model, Kept::Original { media_type: PDF })]);
    let file = accepted.file;
    assert_eq!((file.media_type, file.model_media_type), (PDF, PDF));
    assert_eq!((file.model_bytes, file.tokens), (bytes.len() as u64, 4500));
}

#[test]
fn pages_are_counted_whatever_wrote_them() {
    for count in [1, 2, 40, 300] {
        assert_eq!(pages(&pdf(count)), count);
        assert_eq!(pages(&modern_pdf(count)), count);
        let read = Document::load_mem(&modern_pdf(count)).unwrap();
        assert_eq!(read.get_pages().len(), count as usize);
    }
    assert_unreadable(PDF, &pdf(301), TooManyPages);
    assert_unreadable(PDF, &modern_pdf(301), TooManyPages);
    assert_unreadable(PDF, &pdf(0), Damaged);
}

/// A PDF of these objects, the first of which is the catalogue; without a cross-reference table.
fn of_objects(objects: &[&str]) -> Vec<u8> {
    let objects =
        (1..).zip(objects).map(|(number, object)| format!("{number} 0 obj{object}endobj "));
    let objects: String = objects.collect();
    format!("%PDF-1.7\n{objects}trailer <</Root 1 0 R>> startxref 0 %%EOF").into_bytes()
}

const CATALOGUE: &str = "<</Type/Catalog/Pages 2 0 R>>";

#[test]
fn a_pdf_is_read_without_its_cross_reference_table() {
    let page = "<</Type/Page/Parent 2 0 R>>";
    assert_eq!(pages(&of_objects(&[CATALOGUE, "<</Type/Pages/Kids[3 0 R]>>", page])), 1);
    // Nested, with an array of its own, an escaped name, and a count that lies.
    let nested = [
        "<</Ty#70e/P#61ges/Count 9999/Ki#64s 4 0 R>>",
        page,
        "[ 3 0 R 5 0 R ]",
        "<</Kids [6 0 R]>>",
        page,
    ];
    assert_eq!(pages(&of_objects(&[&[CATALOGUE][..], &nested].concat())), 2);
}

#[test]
fn a_page_tree_that_is_none_is_damaged() {
    for tree in [
        "<</Kids[2 0 R]>>",
        "<</Kids[3 0 R 3 0 R]>>",
        "<</Kids[9 0 R]>>",
        "<</Kids[]>>",
        "<</Type/Pages>>",
        "[]",
        "<</Kids[7]>>",
    ] {
        assert_unreadable(PDF, &of_objects(&[CATALOGUE, tree, "<</Type/Page>>"]), Damaged);
    }
    assert_unreadable(PDF, b"%PDF-1.7\n%%EOF", Damaged);
    assert_unreadable(PDF, b"%PDF-1.7\ntrailer <</Root 1 0 R>> %%EOF", Damaged);
}

#[test]
fn a_later_revision_replaces_an_object() {
    let tree = |kids: &str| format!("2 0 obj <</Type/Pages/Kids[{kids}]>> endobj ");
    let mut file = of_objects(&[CATALOGUE, "<</Kids[3 0 R]>>", "<</Type/Page>>", "<</Type/Page>>"]);
    file.extend(format!("\n{} trailer <</Root 1 0 R>> %%EOF\n", tree("3 0 R 4 0 R")).as_bytes());
    assert_eq!(pages(&file), 2);
}

#[test]
fn objects_within_the_data_of_a_stream_are_none() {
    let fake = "2 0 obj <</Kids[]>> endobj trailer <</Encrypt 1 0 R>> ";
    for length in [fake.len().to_string(), "7".to_owned(), "4 0 R".to_owned()] {
        let stream = format!("<</Length {length}>>stream\n{fake}\nendstream ");
        let objects = [CATALOGUE, "<</Kids[3 0 R]>>", "<</Type/Page>>", "51", &stream];
        assert_eq!(pages(&of_objects(&objects)), 1, "{length}");
    }
}

#[test]
fn nothing_but_white_space_surrounds_a_pdf() {
    let file = pdf(1);
    let with = |before: &[u8], after: &[u8]| [before, file.trim_ascii_end(), after].concat();
    assert_eq!(pages(&with(b"", b" \r\n\0")), 1);
    assert_unreadable(PDF, &with(b"", b"\nx"), Damaged);
    assert_unreadable(PDF, &with(b"", b"\n<script>alert(1)</script>"), Damaged);
    assert_lie(PDF, &with(b"\n", b""));
    assert_lie(PDF, &with(b"<html>", b""));
}

fn encrypted(user_password: &str) -> Vec<u8> {
    let mut document = document(1);
    let id = || Object::string_literal("0123456789abcdef");
    document.trailer.set("ID", vec![id(), id()]);
    let version = EncryptionVersion::V4 {
        document: &document,
        encrypt_metadata: true,
        crypt_filters: [(b"StdCF".to_vec(), std::sync::Arc::new(Aes128CryptFilter) as _)].into(),
        stream_filter: b"StdCF".to_vec(),
        string_filter: b"StdCF".to_vec(),
        owner_password: "owner",
        user_password,
        permissions: Permissions::all(),
    };
    let state = EncryptionState::try_from(version).unwrap();
    document.encrypt(&state).unwrap();
    let mut bytes = Vec::new();
    document.save_to(&mut bytes).unwrap();
    bytes
}

#[test]
fn an_encrypted_pdf_is_refused_even_if_everyone_may_read_it() {
    assert_unreadable(PDF, &encrypted("secret"), Encrypted);
    assert_unreadable(PDF, &encrypted(""), Encrypted);
    // Declared in a cross-reference stream.
    let mut document = document(1);
    let encrypt = document.add_object(dictionary! { "Filter" => "Standard" });
    document.trailer.set("Encrypt", encrypt);
    let mut bytes = Vec::new();
    document.save_modern(&mut bytes).unwrap();
    assert_unreadable(PDF, &bytes, Encrypted);
}

fn deflated(content: &[u8]) -> Vec<u8> {
    let mut encoder = ZlibEncoder::new(Vec::new(), Compression::best());
    encoder.write_all(content).unwrap();
    encoder.finish().unwrap()
}

/// A PDF whose page tree is in this many object streams of a mebibyte each.
fn with_object_streams(count: u32) -> Vec<u8> {
    let mut file = b"%PDF-1.7\n1 0 obj<</Type/Catalog/Pages 2 0 R>>endobj ".to_vec();
    for at in 0..count {
        let next = if at + 1 == count {
            "<</Type/Page>>".to_owned()
        } else {
            format!("<</Kids[{} 0 R]>>", at + 3)
        };
        let header = format!("{} 0 ", at + 2);
        let data = deflated(&[header.as_bytes(), next.as_bytes(), &vec![b' '; 1 << 20]].concat());
        let (first, length) = (header.len(), data.len());
        let dict = format!(
            "{} 0 obj<</Type/ObjStm/N 1/First {first}/Length {length}/Filter/FlateDecode>>stream\n",
            at + 1000
        );
        file.extend([dict.as_bytes(), &data, b"\nendstream endobj "].concat());
    }
    file.extend(b"trailer <</Root 1 0 R>> %%EOF");
    file
}

#[test]
fn a_decompression_bomb_is_too_complex() {
    assert_eq!(pages(&with_object_streams(60)), 1);
    assert_unreadable(PDF, &with_object_streams(70), TooComplex);
}

#[test]
fn a_pdf_of_too_many_objects_is_too_complex() {
    let mut file = b"%PDF-1.7\n".to_vec();
    for number in 0..500_001 {
        file.extend(format!("{number} 0 obj 1 ").as_bytes());
    }
    file.extend(b"%%EOF");
    assert_unreadable(PDF, &file, TooComplex);
}

#[test]
fn broken_syntax_is_read_in_linear_time() {
    for part in [
        "1 0 obj (",
        "1 0 obj <<",
        "1 0 obj [",
        "1 0 obj <</A<",
        "1 0 obj <<>> stream\n",
        "1 0 obj <</Length 9 0 R>>stream",
        "1 1 1 1 ",
        "((((",
        "%",
    ] {
        let file =
            [b"%PDF-1.7\n", part.repeat((1 << 20) / part.len()).as_bytes(), b"\n%%EOF"].concat();
        assert_unreadable(PDF, &file, Damaged);
    }
}

#[test]
fn an_object_that_is_read_again_and_again_does_not_hold_the_inspection() {
    // The length of every stream refers to a long array.
    let array = format!("[{}]", "1 ".repeat(1 << 20));
    let streams = "6 0 obj<</Length 5 0 R>>stream\nendstream endobj ".repeat(20_000);
    let page = "<</Type/Page/Parent 2 0 R>>";
    let objects = [CATALOGUE, "<</Type/Pages/Kids[3 0 R]>>", page, "null", &array];
    let file = String::from_utf8(of_objects(&objects)).unwrap();
    let file = file.replacen("trailer", &format!("{streams}trailer"), 1).into_bytes();
    let began = Instant::now();
    assert_eq!(pages(&file), 1);
    assert!(began.elapsed() < Duration::from_secs(5), "{:?}", began.elapsed());

    // Nodes of the tree overlap, and each ends with the same tens of megabytes.
    let nodes: Vec<String> =
        (10..70).map(|number| format!("<</Kids[{} 0 R]/Tail ", number + 1)).collect();
    let tail = format!("[{}]{}", "1 ".repeat(20 << 20), ">>".repeat(nodes.len()));
    let file = one_object_stream(&nodes, &tail);
    let began = Instant::now();
    assert_unreadable(PDF, &file, Damaged);
    assert!(began.elapsed() < Duration::from_secs(5), "{:?}", began.elapsed());
}

/// A PDF whose pages' tree is these objects, from number 10 on, in one compressed stream that ends with `tail`.
fn one_object_stream(nodes: &[String], tail: &str) -> Vec<u8> {
    let mut at = 0;
    let header = (10..).zip(nodes).map(|(number, node)| {
        let entry = format!("{number} {at} ");
        at += node.len();
        entry
    });
    let header: String = header.collect();
    let mut content = ZlibEncoder::new(Vec::new(), Compression::fast());
    write!(content, "{header}{}{tail}", nodes.concat()).unwrap();
    let content = content.finish().unwrap();
    let dict = format!("/Type/ObjStm/N {}/First {}/Filter/FlateDecode", nodes.len(), header.len());
    let mut file = b"%PDF-1.7\n1 0 obj<</Type/Catalog/Pages 10 0 R>>endobj 2 0 obj".to_vec();
    file.extend(format!("<<{dict}/Length {}>>stream\n", content.len()).bytes());
    file.extend(content);
    file.extend(b"\nendstream endobj trailer <</Root 1 0 R>> startxref 0 %%EOF");
    file
}

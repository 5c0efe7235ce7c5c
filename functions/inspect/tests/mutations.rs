//! Damaged and forged files: each is accepted or refused within seconds, without a panic and within the memory of the function.
//!
//! `INSPECT_CASES=10000 cargo test -p inspect --test mutations` tries more of each type than CI does.

#![expect(clippy::unwrap_used, reason = "a test stops where it breaks")]

#[path = "content/fixtures.rs"]
#[expect(dead_code, reason = "shared with the other tests")]
mod fixtures;

use std::cell::Cell;
use std::env;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::process::Command;
use std::time::{Duration, Instant};

use inspect::content::{DECODE_WITHIN, inspect_content};
use proptest::collection::vec;
use proptest::prelude::*;
use proptest::sample::Index;
use proptest::test_runner::{Config, TestRunner};
use shared_core::uploads::FileType;

use fixtures::{LOSSY_WEBP, chunk, gif, jpeg, modern_pdf, pdf, png, segment, webp, with_segments};

/// Cases of each type, unless `INSPECT_CASES` says otherwise.
const CASES: u32 = 300;
/// For one file: decoding has its own limit, and what it produced is then encoded.
const LONGEST: Duration = Duration::from_secs(5);
/// Most memory, in KiB.
const MEMORY_KIB: u64 = 300 * 1024;

#[test]
fn mutated_jpegs_are_survived() {
    in_its_own_process("image/jpeg");
}

#[test]
fn mutated_pngs_are_survived() {
    in_its_own_process("image/png");
}

#[test]
fn mutated_webps_are_survived() {
    in_its_own_process("image/webp");
}

#[test]
fn mutated_gifs_are_survived() {
    in_its_own_process("image/gif");
}

#[test]
fn mutated_pdfs_are_survived() {
    in_its_own_process("application/pdf");
}

#[test]
fn mutated_texts_are_survived() {
    in_its_own_process("text/plain");
}

/// Runs the test below for a type, so that its memory is that of the process.
fn in_its_own_process(media_type: &str) {
    let output = Command::new(env::current_exe().unwrap())
        .args(["--exact", "mutations_of_one_type", "--ignored", "--nocapture"])
        .env("INSPECT_TYPE", media_type)
        .output()
        .unwrap();
    let text = |bytes| String::from_utf8_lossy(bytes).into_owned();
    assert!(output.status.success(), "{}\n{}", text(&output.stdout), text(&output.stderr));
    assert!(text(&output.stdout).contains("1 passed"), "{}", text(&output.stdout));
}

#[test]
#[ignore = "run by the tests above, for one type each"]
fn mutations_of_one_type() {
    let media_type = env::var("INSPECT_TYPE").unwrap();
    let declared = FileType::parse(&media_type).unwrap();
    let files = files(&media_type);
    let cases = env::var("INSPECT_CASES").map_or(CASES, |cases| cases.parse().unwrap());
    let config =
        Config { cases, max_shrink_time: 20_000, failure_persistence: None, ..Config::default() };
    let accepted = Cell::new(0);
    let strategy = (any::<Index>(), vec(mutation(), 0..5), any::<bool>());
    let result = TestRunner::new(config).run(&strategy, |(file, mutations, is_mended)| {
        let mut bytes = file.get(&files).clone();
        for mutation in mutations {
            mutation.apply(&mut bytes, &files);
        }
        if is_mended && media_type == "image/png" {
            bytes = with_right_checksums(&bytes);
        }
        let began = Instant::now();
        let inspected =
            catch_unwind(AssertUnwindSafe(|| inspect_content(declared, &bytes, DECODE_WITHIN)));
        prop_assert!(inspected.is_ok(), "a panic escaped");
        prop_assert!(began.elapsed() < LONGEST, "{:?}", began.elapsed());
        accepted.set(accepted.get() + u32::from(matches!(inspected, Ok(Ok(_)))));
        Ok(())
    });
    result.unwrap();
    let accepted = accepted.get();
    let memory = peak_memory_kib();
    println!("{media_type}: {accepted} of {cases} accepted, {} MiB", memory / 1024);
    assert!(memory <= MEMORY_KIB, "{memory} KiB");
    assert!(accepted > 0 && accepted < cases, "{accepted} of {cases} accepted");
}

/// The most memory that this process has had.
fn peak_memory_kib() -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let peak = status.lines().find_map(|line| line.strip_prefix("VmHWM:"));
    // Only Linux tells it, as CI and the function run on.
    peak.map_or(0, |peak| peak.trim().trim_end_matches(" kB").parse().unwrap())
}

/// Files to start from.
fn files(media_type: &str) -> Vec<Vec<u8>> {
    match media_type {
        "image/jpeg" => {
            let exif = [
                &b"Exif\0\0II*\0\x08\0\0\0\x01\0\x12\x01\x03\0\x01\0\0\0\x06\0\0\0\0\0\0\0"[..],
                &jpeg(8, 8),
            ]
            .concat();
            let icc = moxcms::ColorProfile::new_display_p3().encode().unwrap();
            let icc = [b"ICC_PROFILE\0\x01\x01", &icc[..]].concat();
            let photo =
                with_segments(&jpeg(200, 150), &[segment(0xe1, &exif), segment(0xe2, &icc)]);
            vec![jpeg(16, 16), photo]
        }
        "image/png" => vec![png(16, 16), png(200, 150)],
        "image/webp" => vec![webp(16, 16), webp(200, 150), LOSSY_WEBP.to_vec()],
        "image/gif" => vec![gif(16, 16, 1), gif(200, 150, 1), gif(16, 16, 3)],
        "application/pdf" => vec![pdf(1), pdf(40), modern_pdf(40)],
        _ => {
            let text = "# Grüße 🚢\r\n".repeat(20);
            let units = text.encode_utf16().flat_map(u16::to_le_bytes);
            vec![text.clone().into_bytes(), b"\xff\xfe".iter().copied().chain(units).collect()]
        }
    }
}

/// A change of a file.
#[derive(Clone, Debug)]
enum Mutation {
    Flip {
        at: Index,
        bit: u32,
    },
    Set {
        at: Index,
        byte: u8,
    },
    Cut {
        at: Index,
    },
    Remove {
        at: Index,
        count: usize,
    },
    /// Copies a part of a file to somewhere.
    Splice {
        file: Index,
        from: Index,
        count: usize,
        to: Index,
    },
    /// Overwrites what may be a length, a size or an offset.
    Number {
        at: Index,
        number: u32,
        width: usize,
        is_big_endian: bool,
    },
}

fn mutation() -> impl Strategy<Value = Mutation> {
    let at = any::<Index>;
    let number = prop_oneof![
        any::<u32>(),
        0..300_u32,
        Just(u32::MAX),
        Just(i32::MAX.cast_unsigned()),
        Just(0x4000)
    ];
    prop_oneof![
        (at(), 0..8_u32).prop_map(|(at, bit)| Mutation::Flip { at, bit }),
        (at(), any::<u8>()).prop_map(|(at, byte)| Mutation::Set { at, byte }),
        at().prop_map(|at| Mutation::Cut { at }),
        (at(), 1..64_usize).prop_map(|(at, count)| Mutation::Remove { at, count }),
        (at(), at(), 1..512_usize, at()).prop_map(|(file, from, count, to)| Mutation::Splice {
            file,
            from,
            count,
            to
        }),
        (at(), number, 1..=4_usize, any::<bool>()).prop_map(
            |(at, number, width, is_big_endian)| Mutation::Number {
                at,
                number,
                width,
                is_big_endian
            }
        ),
    ]
}

impl Mutation {
    fn apply(self, bytes: &mut Vec<u8>, files: &[Vec<u8>]) {
        if bytes.is_empty() {
            return;
        }
        let length = bytes.len();
        match self {
            Self::Flip { at, bit } => bytes[at.index(length)] ^= 1 << bit,
            Self::Set { at, byte } => bytes[at.index(length)] = byte,
            Self::Cut { at } => bytes.truncate(at.index(length)),
            Self::Remove { at, count } => {
                let at = at.index(length);
                bytes.drain(at..length.min(at + count));
            }
            Self::Splice { file, from, count, to } => {
                let file = file.get(files);
                let from = from.index(file.len());
                let part = file[from..file.len().min(from + count)].to_vec();
                let to = to.index(length);
                bytes.splice(to..to, part);
            }
            Self::Number { at, number, width, is_big_endian } => {
                // Half of them in the first 64 bytes, where sizes are.
                let at = if number % 2 == 0 { at.index(length) } else { at.index(length.min(64)) };
                let digits =
                    if is_big_endian { number.to_be_bytes() } else { number.to_le_bytes() };
                for (to, digit) in bytes[at..].iter_mut().zip(digits.into_iter().take(width)) {
                    *to = digit;
                }
            }
        }
    }
}

/// Makes a PNG whose chunks have the checksums of what they contain: the decoder would look no further otherwise.
fn with_right_checksums(bytes: &[u8]) -> Vec<u8> {
    let mut mended = bytes[..bytes.len().min(8)].to_vec();
    let mut at = mended.len();
    while let Some(header) = bytes.get(at..at + 8) {
        let (length, kind) = header.split_at(4);
        let length = u32::from_be_bytes(length.try_into().unwrap()) as usize;
        let Some(body) = bytes.get(at + 8..at + 8 + length) else { break };
        mended.extend(chunk(kind.try_into().unwrap(), body));
        at += 12 + length;
    }
    mended.extend(bytes.get(at..).unwrap_or_default());
    mended
}

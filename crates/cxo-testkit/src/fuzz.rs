//! Fuzzing on the stable compiler: the inputs of `fuzz/corpus/<target>`, and what becomes of them when
//! they are changed at random, are given to a target for some seconds.
//!
//! A target answers with a short name of what came out. An input with a new answer is changed
//! further, so that the search goes where it has not been. An input under which the target panics is put
//! into the corpus: the next run begins with it. It knows no target.
//!
//! `CXO_FUZZ_SECONDS` says for how long (2), and `CXO_FUZZ_SEED` repeats a run.

use std::collections::BTreeSet;
use std::fs;
use std::panic::{RefUnwindSafe, catch_unwind};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant, SystemTime};

use sha2::{Digest as _, Sha256};

/// The longest input that is made; what a limit refuses is refused long before.
const MAX_INPUT_BYTES: usize = 64 << 10;
/// The most inputs that are changed further.
const MAX_POOL: usize = 4_000;
/// An input that takes longer is a fault of its own, in a debug build on a busy machine too.
const MAX_INPUT_FOR: Duration = Duration::from_secs(5);
/// Numbers around which code breaks.
const NUMBERS: &[&str] = &[
    "0",
    "1",
    "-1",
    "00",
    "255",
    "65536",
    "2147483648",
    "4294967296",
    "18446744073709551616",
    "1e400",
];

/// Runs a target over its corpus and over changed inputs, and panics with the input's place if the
/// target panics. `words` are pieces that mean something to it.
#[expect(clippy::print_stdout, reason = "whoever runs it wants to know how far it came")]
pub fn fuzz(name: &str, words: &[&str], target: impl Fn(&[u8]) -> String + RefUnwindSafe) {
    let corpus = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../fuzz/corpus").join(name);
    let mut pool = read_corpus(&corpus);
    assert!(!pool.is_empty(), "there is no input in {}", corpus.display());
    let seed = number_of("CXO_FUZZ_SEED").unwrap_or_else(fresh_seed);
    let seconds = number_of("CXO_FUZZ_SECONDS").unwrap_or(2);
    let mut answers = BTreeSet::new();
    for input in &pool {
        answers.insert(try_one(&corpus, seed, input, &target));
    }
    let mut chance = Chance(seed);
    let end = Instant::now() + Duration::from_secs(seconds);
    let mut tried = 0_u64;
    while Instant::now() < end {
        let input = changed(&pool, words, &mut chance);
        if answers.insert(try_one(&corpus, seed, &input, &target)) && pool.len() < MAX_POOL {
            pool.push(input);
        }
        tried += 1;
    }
    println!("{name}: {tried} inputs, {} answers, seed {seed}", answers.len());
}

/// Changed inputs without end, for a test that has its own way to give them. The same seed gives the
/// same.
#[derive(Debug)]
pub struct Changes<'a> {
    good: Vec<Vec<u8>>,
    words: &'a [&'a str],
    chance: Chance,
}

impl<'a> Changes<'a> {
    /// Changes of good inputs. `words` are pieces that mean something to what reads them.
    pub fn of(good: Vec<Vec<u8>>, words: &'a [&'a str], seed: u64) -> Self {
        Self { good, words, chance: Chance(seed) }
    }
}

impl Iterator for Changes<'_> {
    type Item = Vec<u8>;

    fn next(&mut self) -> Option<Vec<u8>> {
        Some(changed(&self.good, self.words, &mut self.chance))
    }
}

fn read_corpus(corpus: &Path) -> Vec<Vec<u8>> {
    let listed = fs::read_dir(corpus).into_iter().flatten().flatten();
    let mut paths: Vec<PathBuf> = listed.map(|entry| entry.path()).collect();
    paths.sort();
    paths.iter().filter_map(|path| fs::read(path).ok()).collect()
}

/// What the target answers to one input.
#[expect(clippy::panic, reason = "a test that found something fails")]
fn try_one(
    corpus: &Path,
    seed: u64,
    input: &[u8],
    target: &(impl Fn(&[u8]) -> String + RefUnwindSafe),
) -> String {
    let began = Instant::now();
    let answer = catch_unwind(|| target(input));
    let is_slow = began.elapsed() > MAX_INPUT_FOR;
    if let (Ok(answer), false) = (&answer, is_slow) {
        return answer.clone();
    }
    let digest =
        Sha256::digest(input)[..8].iter().fold(0_u64, |all, &byte| all << 8 | u64::from(byte));
    let place = corpus.join(format!("found-{digest:016x}"));
    let kept = fs::write(&place, input);
    let what = if is_slow { "took too long" } else { "panicked" };
    panic!("the target {what}, seed {seed}; the input is in {}, {kept:?}", place.display());
}

/// One of the inputs, changed in a few places.
fn changed(pool: &[Vec<u8>], words: &[&str], chance: &mut Chance) -> Vec<u8> {
    let mut input = pool[chance.below(pool.len())].clone();
    for _ in 0..=chance.below(6) {
        change(&mut input, pool, words, chance);
    }
    input.truncate(MAX_INPUT_BYTES);
    input
}

fn change(input: &mut Vec<u8>, pool: &[Vec<u8>], words: &[&str], chance: &mut Chance) {
    let at = chance.below(input.len() + 1);
    let end = (at + 1 + chance.below(16)).min(input.len());
    match chance.below(10) {
        0 => {
            if let Some(byte) = input.get_mut(at) {
                *byte ^= 1 << chance.below(8);
            }
        }
        1 => input.insert(at, chance.byte()),
        2 => drop(input.drain(at.min(end)..end)),
        3 => {
            let piece = input[at.min(end)..end].to_vec();
            input.splice(at..at, piece);
        }
        4 => {
            let other = &pool[chance.below(pool.len())];
            let from = chance.below(other.len() + 1);
            input.truncate(at);
            input.extend_from_slice(&other[from..]);
        }
        5 if !words.is_empty() => {
            let word = words[chance.below(words.len())].bytes();
            input.splice(at..at, word);
        }
        6 => change_number(input, at, chance),
        7 => change_lines(input, chance),
        8 => input.truncate(at),
        _ => input.splice(at..at, "é\u{200d}".bytes()).for_each(drop),
    }
}

/// Puts another number in the place of the next one.
fn change_number(input: &mut Vec<u8>, from: usize, chance: &mut Chance) {
    let Some(start) = input[from..].iter().position(u8::is_ascii_digit).map(|at| from + at) else {
        return;
    };
    let digits = input[start..].iter().take_while(|byte| byte.is_ascii_digit()).count();
    input.splice(start..start + digits, NUMBERS[chance.below(NUMBERS.len())].bytes());
}

/// Doubles a line, takes one away, or exchanges two.
fn change_lines(input: &mut Vec<u8>, chance: &mut Chance) {
    let mut lines: Vec<Vec<u8>> =
        input.split_inclusive(|&byte| byte == b'\n').map(<[u8]>::to_vec).collect();
    if lines.is_empty() {
        return;
    }
    let (one, other) = (chance.below(lines.len()), chance.below(lines.len()));
    match chance.below(3) {
        0 => lines.insert(other, lines[one].clone()),
        1 => drop(lines.remove(one)),
        _ => lines.swap(one, other),
    }
    *input = lines.concat();
}

fn number_of(variable: &str) -> Option<u64> {
    std::env::var(variable).ok()?.parse().ok()
}

fn fresh_seed() -> u64 {
    let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
    u64::from(now.subsec_nanos()) ^ now.as_secs() << 30
}

/// A stream of choices (splitmix64).
#[derive(Debug)]
struct Chance(u64);

impl Chance {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let z = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        let z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        z ^ (z >> 31)
    }

    fn below(&mut self, limit: usize) -> usize {
        let limit = u64::try_from(limit).unwrap_or(u64::MAX).max(1);
        usize::try_from(self.next() % limit).unwrap_or_default()
    }

    fn byte(&mut self) -> u8 {
        self.next().to_le_bytes()[0]
    }
}

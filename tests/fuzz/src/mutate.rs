//! Inputs made from samples by small changes, the same for the same seed. libFuzzer does it better, with instrumented
//! code; this needs none and takes a second.

/// A generator of numbers (SplitMix64).
pub struct Numbers(u64);

impl Numbers {
    /// The same numbers for the same seed.
    #[must_use]
    pub fn seeded(seed: u64) -> Self {
        Self(seed)
    }

    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    /// A number below `bound`, which is not 0.
    fn below(&mut self, bound: usize) -> usize {
        let bound = u64::try_from(bound).unwrap();
        usize::try_from(self.next() % bound).unwrap()
    }

    fn pick<'a, T>(&mut self, from: &'a [T]) -> Option<&'a T> {
        (!from.is_empty()).then(|| &from[self.below(from.len())])
    }

    /// A place in or behind `length` items.
    fn place(&mut self, length: usize) -> usize {
        self.below(length + 1)
    }

    fn range(&mut self, length: usize) -> std::ops::Range<usize> {
        let (one, other) = (self.place(length), self.place(length));
        one.min(other)..one.max(other).min(one.min(other) + 64)
    }
}

/// Bytes with a meaning in many formats, and numbers at the ends of their ranges.
const SPECIAL: [&[u8]; 18] = [
    b"\x00",
    b"\xff",
    b"\x7f",
    b"\x80",
    b"\xff\xff\xff\xff",
    b"\x7f\xff\xff\xff",
    b"\x80\x00\x00\x00",
    b"\xff\xff\xff\xff\xff\xff\xff\xff\xff\x01",
    b"\"",
    b"\\",
    b"{",
    b"[",
    b"\n",
    b"-1",
    b"9223372036854775807",
    b"1e400",
    b"null",
    "\u{e9}".as_bytes(),
];

/// Longest input that is made.
const MAX_BYTES: usize = 64 * 1024;

/// An input from one or two of `samples` by up to eight changes, some of them with words of a dictionary.
#[must_use]
pub fn mutated(numbers: &mut Numbers, samples: &[Vec<u8>], words: &[Vec<u8>]) -> Vec<u8> {
    let mut input = numbers.pick(samples).cloned().unwrap_or_default();
    for _ in 0..=numbers.below(8) {
        change(numbers, &mut input, samples, words);
    }
    input.truncate(MAX_BYTES);
    input
}

fn change(numbers: &mut Numbers, input: &mut Vec<u8>, samples: &[Vec<u8>], words: &[Vec<u8>]) {
    let length = input.len();
    match numbers.below(9) {
        0 if length > 0 => {
            let at = numbers.below(length);
            input[at] ^= 1 << numbers.below(8);
        }
        1 if length > 0 => {
            let at = numbers.below(length);
            input[at] = input[at].wrapping_add(1);
        }
        2 => {
            let range = numbers.range(length);
            input.drain(range);
        }
        3 => {
            let again = input[numbers.range(length)].to_vec();
            let times = 1 + numbers.below(8);
            insert(input, numbers.place(length), &again.repeat(times));
        }
        4 => {
            let word = numbers.pick(words).cloned().unwrap_or_default();
            insert(input, numbers.place(length), &word);
        }
        5 => {
            let word = numbers.pick(words).cloned().unwrap_or_default();
            let range = numbers.range(length);
            input.splice(range, word);
        }
        6 => {
            let special = numbers.pick(&SPECIAL).copied().unwrap_or_default();
            insert(input, numbers.place(length), special);
        }
        7 => {
            let other = numbers.pick(samples).cloned().unwrap_or_default();
            let from = numbers.place(other.len());
            input.truncate(numbers.place(length));
            input.extend_from_slice(&other[from..]);
        }
        _ => input.truncate(numbers.place(length)),
    }
}

fn insert(input: &mut Vec<u8>, at: usize, bytes: &[u8]) {
    input.splice(at..at, bytes.iter().copied());
}

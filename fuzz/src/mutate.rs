//! Changes bytes at random, the same way for the same seed.

/// A generator of numbers that are random enough for this (splitmix64).
#[derive(Debug, Clone)]
pub struct Random(u64);

impl Random {
    /// The numbers of a seed.
    #[must_use]
    pub fn new(seed: u64) -> Self {
        Self(seed)
    }

    /// The next number.
    pub fn number(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut bits = self.0;
        bits = (bits ^ (bits >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        bits = (bits ^ (bits >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        bits ^ (bits >> 31)
    }

    /// A number below `bound`, which is not zero.
    pub fn below(&mut self, bound: usize) -> usize {
        usize::try_from(self.number() % bound as u64).unwrap_or_default()
    }
}

/// What numbers and texts are replaced by: the ends of ranges, and words that
/// mean something to somebody.
const WORDS: &[&[u8]] = &[
    b"0",
    b"-1",
    b"1e308",
    b"-0.0",
    b"1e-400",
    b"NaN",
    b"0.0001",
    b"2147483648",
    b"4294967296",
    b"9223372036854775807",
    b"18446744073709551615",
    b"18446744073709551616",
    b"99999999999999999999999",
    b"null",
    b"true",
    b"[]",
    b"{}",
    b"\"\"",
    b"\"\\ud800\"",
    b"\"\\u0000\"",
    b"\"*\"",
    b"\"../..\"",
    b"\"%2e%2e\"",
    b"\r\n",
    b"\r\n\r\n",
    b"Transfer-Encoding: chunked\r\n",
    b"Content-Length: 18446744073709551615\r\n",
    b"\x00",
    b"\xff\xff\xff\xff\xff\xff\xff\xff\xff\x01",
    b"[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[",
];

/// How long an input may grow.
const LONGEST: usize = 64 << 10;

/// A changed copy of an input; `other` may lend parts.
#[must_use]
pub fn mutated(random: &mut Random, input: &[u8], other: &[u8]) -> Vec<u8> {
    let mut bytes = input.to_vec();
    for _ in 0..=random.below(4) {
        change(random, &mut bytes, other);
    }
    bytes.truncate(LONGEST);
    bytes
}

fn change(random: &mut Random, bytes: &mut Vec<u8>, other: &[u8]) {
    let at = random.below(bytes.len() + 1);
    let length = 1 + random.below(16);
    let end = (at + length).min(bytes.len());
    match random.below(10) {
        0 if at < bytes.len() => bytes[at] ^= 1 << random.below(8),
        1 if at < bytes.len() => bytes[at] = random.number() as u8,
        2 => {
            bytes.drain(at..end);
        }
        3 => {
            let copy = bytes[at..end].to_vec();
            bytes.splice(at..at, copy);
        }
        4 => {
            let word = WORDS[random.below(WORDS.len())];
            bytes.splice(at..at, word.iter().copied());
        }
        5 => replace_value(random, bytes, at),
        6 if !other.is_empty() => {
            let start = random.below(other.len());
            let stop = (start + 1 + random.below(256)).min(other.len());
            bytes.splice(at..end, other[start..stop].iter().copied());
        }
        7 => bytes.truncate(at),
        8 => {
            // A piece many times over: what grows in a list or nests.
            let piece = bytes[at..end].to_vec();
            let times = random.below(64);
            bytes.splice(at..at, piece.repeat(times));
        }
        _ => swap_pieces(random, bytes),
    }
}

/// Replaces what looks like one value of JSON or a header by a word.
fn replace_value(random: &mut Random, bytes: &mut Vec<u8>, at: usize) {
    let is_border = |byte: &u8| b",:[]{}\r\n ".contains(byte);
    let start = bytes[..at].iter().rposition(is_border).map_or(0, |p| p + 1);
    let end = bytes[at..]
        .iter()
        .position(is_border)
        .map_or(bytes.len(), |p| at + p);
    let word = WORDS[random.below(WORDS.len())];
    bytes.splice(start..end, word.iter().copied());
}

fn swap_pieces(random: &mut Random, bytes: &mut [u8]) {
    if bytes.len() < 4 {
        return;
    }
    let middle = bytes.len() / 2;
    let length = 1 + random.below(middle.min(32));
    let first = random.below(middle - length + 1);
    let second = middle + random.below(bytes.len() - middle - length + 1);
    let (left, right) = bytes.split_at_mut(middle);
    left[first..first + length].swap_with_slice(&mut right[second - middle..][..length]);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_same_seed_changes_alike_and_nothing_is_out_of_bounds() {
        let inputs: [&[u8]; 4] = [b"", b"x", b"{\"a\": 1}", &[0; 300]];
        for seed in 0..2000 {
            for input in inputs {
                let once = mutated(&mut Random::new(seed), input, b"other");
                let again = mutated(&mut Random::new(seed), input, b"other");
                assert_eq!(once, again);
            }
        }
    }
}

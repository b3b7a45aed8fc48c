//! A stream of bits, lowest bit of each byte first, and the two codes that are written into it.
//!
//! | code of a value `v` | bits |
//! |---|---|
//! | `rice(k)` | `v >> k` zeros, a one, the low `k` bits of `v` |
//! | `gamma(k)` | `q` zeros, a one, where `q` is how many bits `v >> k` has; then, if `q` is 0, the low `k` bits of `v`, else the low `k + q - 1` |
//!
//! The first suits distances whose mean is known, the second numbers of any size.

/// The most bits that one look at the stream is sure to show.
const WINDOW: u32 = 57;

/// Appends bits to bytes. The last byte is filled up with zeros by [`BitWriter::finish`].
pub(crate) struct BitWriter<'a> {
    out: &'a mut Vec<u8>,
    word: u64,
    used: u32,
}

impl<'a> BitWriter<'a> {
    pub(crate) fn new(out: &'a mut Vec<u8>) -> Self {
        Self { out, word: 0, used: 0 }
    }

    /// Writes the low `bits` (up to 64) bits of `value`, which has no others.
    #[inline]
    pub(crate) fn put(&mut self, value: u64, bits: u32) {
        debug_assert!(bits == 64 || value >> bits == 0);
        self.word |= value << self.used;
        let used = self.used + bits;
        if used < 64 {
            self.used = used;
            return;
        }
        self.out.extend_from_slice(&self.word.to_le_bytes());
        self.word = value.checked_shr(64 - self.used).unwrap_or(0);
        self.used = used - 64;
    }

    #[inline]
    fn unary(&mut self, mut zeros: u64) {
        while zeros >= 32 {
            self.put(0, 32);
            zeros -= 32;
        }
        self.put(1 << zeros, zeros as u32 + 1);
    }

    #[inline]
    pub(crate) fn rice(&mut self, value: u64, k: u32) {
        self.unary(value >> k);
        self.put(value & low_bits(k), k);
    }

    #[inline]
    pub(crate) fn gamma(&mut self, value: u64, k: u32) {
        let q = bit_length(value >> k);
        self.unary(u64::from(q));
        let bits = k + q.saturating_sub(1);
        self.put(value & low_bits(bits), bits);
    }

    pub(crate) fn finish(self) {
        let bytes = self.used.div_ceil(8) as usize;
        self.out.extend_from_slice(&self.word.to_le_bytes()[..bytes]);
    }
}

/// Takes bits from bytes. Past their end it reads zeros; [`BitReader::is_done`] tells.
#[derive(Clone, Copy)]
pub(crate) struct BitReader<'a> {
    bytes: &'a [u8],
    /// In bits.
    at: usize,
}

impl<'a> BitReader<'a> {
    pub(crate) fn new(bytes: &'a [u8]) -> Self {
        Self { bytes, at: 0 }
    }

    /// The next bits, at least [`WINDOW`] of them true.
    #[inline(always)]
    fn window(&self) -> u64 {
        let byte = self.at / 8;
        let word = match self.bytes.get(byte..).and_then(|rest| rest.first_chunk::<8>()) {
            Some(chunk) => u64::from_le_bytes(*chunk),
            None => self.last_word(byte),
        };
        word >> (self.at % 8)
    }

    #[cold]
    fn last_word(&self, byte: usize) -> u64 {
        let rest = self.bytes.get(byte..).unwrap_or(&[]);
        rest.iter().rev().fold(0, |word, &byte| word << 8 | u64::from(byte))
    }

    /// The next `bits`, up to 64.
    #[inline]
    pub(crate) fn take(&mut self, bits: u32) -> u64 {
        if bits > WINDOW {
            let low = self.take(32);
            return low | self.take(bits - 32) << 32;
        }
        let value = self.window() & low_bits(bits);
        self.at += bits as usize;
        value
    }

    /// Counts and skips the zeros before the next one, and that one. `None` at the end.
    fn unary(&mut self) -> Option<u64> {
        let begin = self.at;
        loop {
            let word = self.window();
            if word != 0 {
                let zeros = self.at + word.trailing_zeros() as usize - begin;
                self.at = begin + zeros + 1;
                return Some(zeros as u64);
            }
            self.at += WINDOW as usize;
            if self.at >= self.bytes.len() * 8 {
                return None;
            }
        }
    }

    /// One value written by [`BitWriter::rice`]. `k` is at most 32.
    #[inline(always)]
    pub(crate) fn rice(&mut self, k: u32) -> Option<u64> {
        let word = self.window();
        let zeros = word.trailing_zeros();
        if zeros + 1 + k > WINDOW {
            return self.long_rice(k);
        }
        self.at += (zeros + 1 + k) as usize;
        Some(u64::from(zeros) << k | (word >> zeros >> 1) & low_bits(k))
    }

    #[cold]
    fn long_rice(&mut self, k: u32) -> Option<u64> {
        let high = self.unary()?;
        let low = self.take(k);
        high.checked_mul(1 << k).map(|high| high | low)
    }

    /// One value written by [`BitWriter::gamma`]. `k` is at most 63.
    #[inline(always)]
    pub(crate) fn gamma(&mut self, k: u32) -> Option<u64> {
        let word = self.window();
        let q = word.trailing_zeros();
        let bits = (k + q).saturating_sub(u32::from(q > 0));
        if q + 1 + bits > WINDOW {
            return self.long_gamma(k);
        }
        self.at += (q + 1 + bits) as usize;
        let low = (word >> q >> 1) & low_bits(bits);
        Some(if q > 0 { low | 1 << bits } else { low })
    }

    #[cold]
    fn long_gamma(&mut self, k: u32) -> Option<u64> {
        let q = self.unary()?;
        if q > u64::from(64 - k) {
            return None;
        }
        let bits = (k + q as u32).saturating_sub(u32::from(q > 0));
        let low = self.take(bits);
        Some(if q > 0 { low | 1 << bits } else { low })
    }

    /// How many bits are left; 0 past the end.
    pub(crate) fn left(&self) -> usize {
        (self.bytes.len() * 8).saturating_sub(self.at)
    }

    /// The bytes behind the one that was read last, if that one was there and its unread bits are zero.
    pub(crate) fn rest(self) -> Option<&'a [u8]> {
        let (read, rest) = self.bytes.split_at_checked(self.at.div_ceil(8))?;
        Self { bytes: read, ..self }.is_done().then_some(rest)
    }

    /// Whether exactly the bytes were read, up to the zeros that fill the last one.
    pub(crate) fn is_done(mut self) -> bool {
        let is_last_byte = self.at.div_ceil(8) == self.bytes.len();
        is_last_byte && self.take((self.bytes.len() * 8 - self.at) as u32) == 0
    }
}

/// The parameter that makes the [`BitWriter::gamma`] codes of `values` shortest, at most `max`.
pub(crate) fn best_gamma(values: &[u64], max: u32) -> (u32, u64) {
    let mut lengths = [0u64; 65];
    values.iter().for_each(|&value| lengths[bit_length(value) as usize] += 1);
    let longest = lengths.iter().rposition(|&n| n > 0).unwrap_or(0) as u32;
    let bits = |k: u32, length: u32| match length.saturating_sub(k) {
        0 => 1 + k,
        q => 1 + q + k + q - 1,
    };
    let cost = |k: u32| (0..=longest).map(|l| lengths[l as usize] * u64::from(bits(k, l))).sum();
    (0..=longest.min(max))
        .map(|k| (k, cost(k)))
        .min_by_key(|&(_, cost): &(u32, u64)| cost)
        .unwrap_or((0, 0))
}

/// The parameter that makes the [`BitWriter::rice`] codes of `values` shortest, at most `max`.
pub(crate) fn best_rice(values: &[u32], max: u32) -> u32 {
    let sum: u64 = values.iter().map(|&value| u64::from(value)).sum();
    let near = bit_length(sum / values.len().max(1) as u64).min(max);
    let cost = |k: u32| {
        let high: u64 = values.iter().map(|&value| u64::from(value >> k)).sum();
        high + values.len() as u64 * u64::from(k)
    };
    (near.saturating_sub(3)..=near).min_by_key(|&k| cost(k)).unwrap_or(0)
}

/// How many bits `value` needs; 0 for 0.
#[inline]
pub(crate) const fn bit_length(value: u64) -> u32 {
    64 - value.leading_zeros()
}

/// A mask of the low `bits`, up to 63.
#[inline]
const fn low_bits(bits: u32) -> u64 {
    if bits >= 64 { u64::MAX } else { (1 << bits) - 1 }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn every_code_reads_back(values in proptest::collection::vec(
            (any::<u64>(), 0..64u32, 0..64u32), 0..50,
        )) {
            let mut bytes = Vec::new();
            let mut out = BitWriter::new(&mut bytes);
            for &(value, shift, k) in &values {
                out.put(value >> shift, 64 - shift);
                out.gamma(value >> shift, k);
                out.rice(value >> 55, k % 33);
            }
            out.finish();
            let mut bits = BitReader::new(&bytes);
            for &(value, shift, k) in &values {
                prop_assert_eq!(bits.take(64 - shift), value >> shift);
                prop_assert_eq!(bits.gamma(k), Some(value >> shift));
                prop_assert_eq!(bits.rice(k % 33), Some(value >> 55));
            }
            prop_assert!(bits.is_done());
        }
    }

    #[test]
    fn zeros_without_end_are_no_number() {
        assert_eq!(BitReader::new(&[0; 40]).rice(3), None);
        assert_eq!(BitReader::new(&[0; 40]).gamma(3), None);
        assert_eq!(BitReader::new(&[]).rice(0), None);
    }

    #[test]
    fn bits_left_over_or_not_zero_are_noticed() {
        let read = |bytes: &[u8], bits| {
            let mut reader = BitReader::new(bytes);
            reader.take(bits);
            reader.is_done()
        };
        assert!(read(&[0b0000_0101], 3));
        assert!(!read(&[0b0001_0101], 3));
        assert!(!read(&[0b0000_0101, 0], 3));
        assert!(!read(&[0b0000_0101], 9));
    }
}

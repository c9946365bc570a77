//! SHA-256 of sixteen messages side by side: one lane of a vector register for each.
//!
//! One hash cannot be made faster, since every round waits for the one before it; independent ones can. Only for processors with
//! AVX-512, where this takes about a third of the time that the instructions for SHA-256 take. The bytes are those of FIPS 180-4 and
//! of `sha2`, which hashes everything else and everywhere else.

use std::arch::x86_64::__m512i;

use pulp::x86::V4;
use pulp::{NullaryFnOnce, cast};

/// Segments that are hashed at once.
pub(crate) const LANES: usize = 16;
const BLOCK: usize = 64;

/// Start values (FIPS 180-4, section 5.3.3).
const START: [u32; 8] = [
    0x6a09_e667,
    0xbb67_ae85,
    0x3c6e_f372,
    0xa54f_f53a,
    0x510e_527f,
    0x9b05_688c,
    0x1f83_d9ab,
    0x5be0_cd19,
];

/// Constants of the rounds (FIPS 180-4, section 4.2.2).
#[rustfmt::skip]
const ROUNDS: [[u32; 16]; 4] = [
    [0x428a_2f98, 0x7137_4491, 0xb5c0_fbcf, 0xe9b5_dba5, 0x3956_c25b, 0x59f1_11f1, 0x923f_82a4, 0xab1c_5ed5,
     0xd807_aa98, 0x1283_5b01, 0x2431_85be, 0x550c_7dc3, 0x72be_5d74, 0x80de_b1fe, 0x9bdc_06a7, 0xc19b_f174],
    [0xe49b_69c1, 0xefbe_4786, 0x0fc1_9dc6, 0x240c_a1cc, 0x2de9_2c6f, 0x4a74_84aa, 0x5cb0_a9dc, 0x76f9_88da,
     0x983e_5152, 0xa831_c66d, 0xb003_27c8, 0xbf59_7fc7, 0xc6e0_0bf3, 0xd5a7_9147, 0x06ca_6351, 0x1429_2967],
    [0x27b7_0a85, 0x2e1b_2138, 0x4d2c_6dfc, 0x5338_0d13, 0x650a_7354, 0x766a_0abb, 0x81c2_c92e, 0x9272_2c85,
     0xa2bf_e8a1, 0xa81a_664b, 0xc24b_8b70, 0xc76c_51a3, 0xd192_e819, 0xd699_0624, 0xf40e_3585, 0x106a_a070],
    [0x19a4_c116, 0x1e37_6c08, 0x2748_774c, 0x34b0_bcb5, 0x391c_0cb3, 0x4ed8_aa4a, 0x5b9c_ca4f, 0x682e_6ff3,
     0x748f_82ee, 0x78a5_636f, 0x84c8_7814, 0x8cc7_0208, 0x90be_fffa, 0xa450_6ceb, 0xbef9_a3f7, 0xc671_78f2],
];

/// One hash in each lane.
struct Hashes {
    v4: V4,
    state: [__m512i; 8],
}

impl Hashes {
    #[inline(always)]
    fn new(v4: V4) -> Self {
        Self {
            v4,
            state: START.map(|word| cast([word; LANES])),
        }
    }

    /// Takes the next block of every message.
    #[inline(always)]
    fn compress(&mut self, blocks: [&[u8; BLOCK]; LANES]) {
        let mut words = self.words(blocks);
        let [mut a, mut b, mut c, mut d, mut e, mut f, mut g, mut h] = self.state;
        let [first, later @ ..] = &ROUNDS;
        macro_rules! eight {
            ($k:expr, $w:expr) => {{
                let ([k0, k1, k2, k3, k4, k5, k6, k7], [w0, w1, w2, w3, w4, w5, w6, w7]) = ($k, $w);
                (d, h) = self.round([a, b, c, d, e, f, g, h], k0, w0);
                (c, g) = self.round([h, a, b, c, d, e, f, g], k1, w1);
                (b, f) = self.round([g, h, a, b, c, d, e, f], k2, w2);
                (a, e) = self.round([f, g, h, a, b, c, d, e], k3, w3);
                (h, d) = self.round([e, f, g, h, a, b, c, d], k4, w4);
                (g, c) = self.round([d, e, f, g, h, a, b, c], k5, w5);
                (f, b) = self.round([c, d, e, f, g, h, a, b], k6, w6);
                (e, a) = self.round([b, c, d, e, f, g, h, a], k7, w7);
            }};
        }
        macro_rules! sixteen {
            ($k:expr, $w:expr) => {{
                let [k0, k1, k2, k3, k4, k5, k6, k7, l0, l1, l2, l3, l4, l5, l6, l7] = *$k;
                let [w0, w1, w2, w3, w4, w5, w6, w7, v0, v1, v2, v3, v4, v5, v6, v7] = $w;
                eight!([k0, k1, k2, k3, k4, k5, k6, k7], [w0, w1, w2, w3, w4, w5, w6, w7]);
                eight!([l0, l1, l2, l3, l4, l5, l6, l7], [v0, v1, v2, v3, v4, v5, v6, v7]);
            }};
        }
        sixteen!(first, words);
        for constants in later {
            words = self.next_words(words);
            sixteen!(constants, words);
        }
        let worked = [a, b, c, d, e, f, g, h];
        for (old, new) in self.state.iter_mut().zip(worked) {
            *old = self.v4.avx512f._mm512_add_epi32(*old, new);
        }
    }

    /// One round: what `d` and `h` become.
    #[inline(always)]
    fn round(&self, state: [__m512i; 8], constant: u32, word: __m512i) -> (__m512i, __m512i) {
        const CHOOSE: i32 = 0xca;
        const MAJORITY: i32 = 0xe8;
        let avx = self.v4.avx512f;
        let [a, b, c, d, e, f, g, h] = state;
        let sum1 = self.xor(
            avx._mm512_ror_epi32::<6>(e),
            avx._mm512_ror_epi32::<11>(e),
            avx._mm512_ror_epi32::<25>(e),
        );
        let sum0 = self.xor(
            avx._mm512_ror_epi32::<2>(a),
            avx._mm512_ror_epi32::<13>(a),
            avx._mm512_ror_epi32::<22>(a),
        );
        let chosen = avx._mm512_ternarylogic_epi32::<CHOOSE>(e, f, g);
        let majority = avx._mm512_ternarylogic_epi32::<MAJORITY>(a, b, c);
        let input = self.add(self.add(h, word), cast([constant; LANES]));
        let first = self.add(self.add(input, chosen), sum1);
        (self.add(d, first), self.add(first, self.add(sum0, majority)))
    }

    /// The sixteen words of the schedule that follow sixteen.
    #[inline(always)]
    fn next_words(&self, words: [__m512i; 16]) -> [__m512i; 16] {
        let [
            mut w0,
            mut w1,
            mut w2,
            mut w3,
            mut w4,
            mut w5,
            mut w6,
            mut w7,
            mut w8,
            mut w9,
            mut wa,
            mut wb,
            mut wc,
            mut wd,
            mut we,
            mut wf,
        ] = words;
        macro_rules! next {
            ($($word:ident $after:ident $ninth:ident $fourteenth:ident;)*) => {
                $($word = self.next_word($word, $after, $ninth, $fourteenth);)*
            };
        }
        next!(
            w0 w1 w9 we; w1 w2 wa wf; w2 w3 wb w0; w3 w4 wc w1; w4 w5 wd w2; w5 w6 we w3; w6 w7 wf w4; w7 w8 w0 w5;
            w8 w9 w1 w6; w9 wa w2 w7; wa wb w3 w8; wb wc w4 w9; wc wd w5 wa; wd we w6 wb; we wf w7 wc; wf w0 w8 wd;
        );
        [w0, w1, w2, w3, w4, w5, w6, w7, w8, w9, wa, wb, wc, wd, we, wf]
    }

    #[inline(always)]
    fn next_word(&self, word: __m512i, after: __m512i, ninth: __m512i, fourteenth: __m512i) -> __m512i {
        let avx = self.v4.avx512f;
        let sigma0 = self.xor(
            avx._mm512_ror_epi32::<7>(after),
            avx._mm512_ror_epi32::<18>(after),
            avx._mm512_srli_epi32::<3>(after),
        );
        let sigma1 = self.xor(
            avx._mm512_ror_epi32::<17>(fourteenth),
            avx._mm512_ror_epi32::<19>(fourteenth),
            avx._mm512_srli_epi32::<10>(fourteenth),
        );
        self.add(self.add(word, sigma0), self.add(ninth, sigma1))
    }

    /// The words of the blocks: vector `i` has word `i` of every message.
    #[inline(always)]
    fn words(&self, blocks: [&[u8; BLOCK]; LANES]) -> [__m512i; 16] {
        let avx = self.v4.avx512f;
        let big_endian = cast([0x0001_0203_u32, 0x0405_0607, 0x0809_0a0b, 0x0c0d_0e0f]);
        let order = avx._mm512_broadcast_i32x4(big_endian);
        let [b0, b1, b2, b3, b4, b5, b6, b7, b8, b9, ba, bb, bc, bd, be, bf] = blocks;
        let [a0, a1, a2, a3] = self.four_rows(order, [b0, b1, b2, b3]);
        let [b0, b1, b2, b3] = self.four_rows(order, [b4, b5, b6, b7]);
        let [c0, c1, c2, c3] = self.four_rows(order, [b8, b9, ba, bb]);
        let [d0, d1, d2, d3] = self.four_rows(order, [bc, bd, be, bf]);
        let [e0, f0, g0, h0] = self.four_columns([a0, b0, c0, d0]);
        let [e1, f1, g1, h1] = self.four_columns([a1, b1, c1, d1]);
        let [e2, f2, g2, h2] = self.four_columns([a2, b2, c2, d2]);
        let [e3, f3, g3, h3] = self.four_columns([a3, b3, c3, d3]);
        [e0, e1, e2, e3, f0, f1, f2, f3, g0, g1, g2, g3, h0, h1, h2, h3]
    }

    /// Four messages' words in order of bytes: vector `i` has the words `i`, `i + 4`, `i + 8` and `i + 12` of all four.
    #[inline(always)]
    fn four_rows(&self, order: __m512i, blocks: [&[u8; BLOCK]; 4]) -> [__m512i; 4] {
        let (avx, bytes) = (self.v4.avx512f, self.v4.avx512bw);
        let [r0, r1, r2, r3] = blocks;
        let r0 = bytes._mm512_shuffle_epi8(cast(*r0), order);
        let r1 = bytes._mm512_shuffle_epi8(cast(*r1), order);
        let r2 = bytes._mm512_shuffle_epi8(cast(*r2), order);
        let r3 = bytes._mm512_shuffle_epi8(cast(*r3), order);
        let (low0, high0) = (avx._mm512_unpacklo_epi32(r0, r1), avx._mm512_unpackhi_epi32(r0, r1));
        let (low1, high1) = (avx._mm512_unpacklo_epi32(r2, r3), avx._mm512_unpackhi_epi32(r2, r3));
        [
            avx._mm512_unpacklo_epi64(low0, low1),
            avx._mm512_unpackhi_epi64(low0, low1),
            avx._mm512_unpacklo_epi64(high0, high1),
            avx._mm512_unpackhi_epi64(high0, high1),
        ]
    }

    /// Vector `i` has the 128 bits `i` of all four.
    #[inline(always)]
    fn four_columns(&self, [a, b, c, d]: [__m512i; 4]) -> [__m512i; 4] {
        let avx = self.v4.avx512f;
        let (even0, odd0) = (
            avx._mm512_shuffle_i32x4::<0x88>(a, b),
            avx._mm512_shuffle_i32x4::<0xdd>(a, b),
        );
        let (even1, odd1) = (
            avx._mm512_shuffle_i32x4::<0x88>(c, d),
            avx._mm512_shuffle_i32x4::<0xdd>(c, d),
        );
        [
            avx._mm512_shuffle_i32x4::<0x88>(even0, even1),
            avx._mm512_shuffle_i32x4::<0x88>(odd0, odd1),
            avx._mm512_shuffle_i32x4::<0xdd>(even0, even1),
            avx._mm512_shuffle_i32x4::<0xdd>(odd0, odd1),
        ]
    }

    #[inline(always)]
    fn add(&self, a: __m512i, b: __m512i) -> __m512i {
        self.v4.avx512f._mm512_add_epi32(a, b)
    }

    #[inline(always)]
    fn xor(&self, a: __m512i, b: __m512i, c: __m512i) -> __m512i {
        const XOR: i32 = 0x96;
        self.v4.avx512f._mm512_ternarylogic_epi32::<XOR>(a, b, c)
    }

    /// The hash in each lane.
    #[inline(always)]
    fn finish(self) -> [[u8; 32]; LANES] {
        let mut hashes = [[0; 32]; LANES];
        for (place, words) in self.state.into_iter().enumerate() {
            let words: [u32; LANES] = cast(words);
            for (hash, word) in hashes.iter_mut().zip(words) {
                if let Some(bytes) = hash.as_chunks_mut::<4>().0.get_mut(place) {
                    *bytes = word.to_be_bytes();
                }
            }
        }
        hashes
    }
}

/// Messages of one length: `0x00` before every segment.
struct Leaves<'a> {
    v4: V4,
    segments: [&'a [u8]; LANES],
}

impl NullaryFnOnce for Leaves<'_> {
    type Output = Option<[[u8; 32]; LANES]>;

    #[inline(always)]
    fn call(self) -> Self::Output {
        let mut hashes = Hashes::new(self.v4);
        let mut first = [[0; BLOCK]; LANES];
        let mut rests = [&[][..]; LANES];
        for ((first, rest), segment) in first.iter_mut().zip(&mut rests).zip(self.segments) {
            let (head, tail) = segment.split_first_chunk::<63>()?;
            first.last_chunk_mut::<63>()?.copy_from_slice(head);
            *rest = tail;
        }
        hashes.compress(first.each_ref());
        let mut last = [[0; 2 * BLOCK]; LANES];
        let whole = rests.map(|rest| rest.as_chunks::<BLOCK>().0);
        let [shortest, ..] = whole;
        for number in 0..shortest.len() {
            let mut blocks = [&first[0]; LANES];
            for (block, lane) in blocks.iter_mut().zip(&whole) {
                *block = lane.get(number)?;
            }
            hashes.compress(blocks);
        }
        let mut count = 0;
        for (last, (rest, segment)) in last.iter_mut().zip(rests.iter().zip(self.segments)) {
            let tail = rest.as_chunks::<BLOCK>().1;
            count = (tail.len() + 9).div_ceil(BLOCK);
            last.get_mut(..tail.len())?.copy_from_slice(tail);
            *last.get_mut(tail.len())? = 0x80;
            let bits = (segment.len() as u64 + 1) * 8;
            last.get_mut(..count * BLOCK)?
                .last_chunk_mut::<8>()?
                .copy_from_slice(&bits.to_be_bytes());
        }
        for number in 0..count {
            let mut blocks = [&first[0]; LANES];
            for (block, lane) in blocks.iter_mut().zip(&last) {
                *block = lane.as_chunks::<BLOCK>().0.get(number)?;
            }
            hashes.compress(blocks);
        }
        Some(hashes.finish())
    }
}

/// The leaves of sixteen segments of one length, of at least 63 bytes; none where the processor cannot.
pub(crate) fn leaves(segments: [&[u8]; LANES]) -> Option<[[u8; 32]; LANES]> {
    let v4 = V4::try_new()?;
    let len = segments.first()?.len();
    if segments.iter().any(|segment| segment.len() != len) {
        return None;
    }
    v4.vectorize(Leaves { v4, segments })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tree::leaf_hash;

    #[test]
    fn lanes_give_what_one_hash_after_the_other_gives() {
        for len in [63, 64, 117, 118, 119, 120, 126, 127, 128, 181, 182, 183, 1_000, 262_192] {
            let bytes: Vec<u8> = (0..=250).cycle().take(LANES * len).collect();
            let segments: [&[u8]; LANES] = bytes.chunks(len).collect::<Vec<_>>().try_into().unwrap();
            let Some(hashes) = leaves(segments) else {
                assert!(V4::try_new().is_none(), "{len} bytes");
                return;
            };
            assert_eq!(hashes, segments.map(leaf_hash), "{len} bytes");
        }
    }

    #[test]
    fn other_shapes_are_left_to_others() {
        let bytes = [7; 200];
        assert_eq!(leaves([&bytes[..62]; LANES]), None);
        let mut uneven = [&bytes[..100]; LANES];
        uneven[5] = &bytes[..101];
        assert_eq!(leaves(uneven), None);
    }
}

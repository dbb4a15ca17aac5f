//! The lanes on x86-64: sixteen 32-bit words side by side, in two AVX2 registers or one of AVX-512. The two differ in their
//! operations only.

use std::arch::x86_64::*;

use super::{Block, LANES, LaneStates, SINES};

/// What a lane hashes that has no block left, which does not happen.
static NO_BLOCK: Block = [0; 64];

/// The block function, in terms of `Words` (one word of each lane) and its operations, which the calling module has.
macro_rules! compress {
    ($features:literal) => {
        #[target_feature(enable = $features)]
        pub(in super::super) fn compress(states: &mut LaneStates, blocks: &[&[Block]; LANES]) -> usize {
            let count = blocks.iter().map(|blocks| blocks.len()).min().unwrap_or_default();
            let [mut a, mut b, mut c, mut d] = load(states);
            for index in 0..count {
                let block: [&Block; LANES] = blocks.map(|blocks| blocks.get(index).unwrap_or(&NO_BLOCK));
                let words = transpose(&block);
                let before = [a, b, c, d];
                macro_rules! step {
                    ($f:ident, $a:ident, $b:ident, $c:ident, $d:ident, $word:literal, $sine:expr, $left:literal, $right:literal) => {
                        let sum = add(add($a, words[$word]), splat($sine));
                        $a = add(rotate::<$left, $right>(add(sum, $f($b, $c, $d))), $b);
                    };
                }
                steps!(step, a, b, c, d);
                [a, b, c, d] = [add(a, before[0]), add(b, before[1]), add(c, before[2]), add(d, before[3])];
            }
            store(states, [a, b, c, d]);
            count
        }
    };
}

pub(super) mod avx2 {
    use super::*;

    type Words = [__m256i; 2];

    compress!("avx2");

    macro_rules! operation {
        ($name:ident($($word:ident),*) = $one:expr) => {
            #[inline]
            #[target_feature(enable = "avx2")]
            fn $name($($word: Words),*) -> Words {
                let one = |$($word: __m256i),*| $one;
                [one($($word[0]),*), one($($word[1]),*)]
            }
        };
    }

    operation!(add(x, y) = _mm256_add_epi32(x, y));
    operation!(f(b, c, d) = _mm256_xor_si256(d, _mm256_and_si256(b, _mm256_xor_si256(c, d))));
    operation!(g(b, c, d) = _mm256_or_si256(_mm256_andnot_si256(d, c), _mm256_and_si256(b, d)));
    operation!(h(b, c, d) = _mm256_xor_si256(b, _mm256_xor_si256(c, d)));
    operation!(i(b, c, d) = _mm256_xor_si256(c, _mm256_or_si256(b, _mm256_xor_si256(d, _mm256_set1_epi32(-1)))));

    #[inline]
    #[target_feature(enable = "avx2")]
    fn rotate<const LEFT: i32, const RIGHT: i32>(words: Words) -> Words {
        let one = |words| _mm256_or_si256(_mm256_slli_epi32::<LEFT>(words), _mm256_srli_epi32::<RIGHT>(words));
        [one(words[0]), one(words[1])]
    }

    #[inline]
    #[target_feature(enable = "avx2")]
    fn splat(word: u32) -> Words {
        [_mm256_set1_epi32(word.cast_signed()); 2]
    }

    #[inline]
    #[target_feature(enable = "avx2")]
    fn load(states: &LaneStates) -> [Words; 4] {
        // SAFETY: both are 256 bytes without padding, and any bits are vectors.
        unsafe { std::mem::transmute(*states) }
    }

    #[inline]
    #[target_feature(enable = "avx2")]
    fn store(states: &mut LaneStates, words: [Words; 4]) {
        // SAFETY: both are 256 bytes without padding, and any bits are numbers.
        *states = unsafe { std::mem::transmute::<[Words; 4], LaneStates>(words) };
    }

    #[inline]
    #[target_feature(enable = "avx2")]
    fn transpose(blocks: &[&Block; LANES]) -> [Words; 16] {
        let [low, high] = super::transpose_halves(blocks);
        let mut words = [[_mm256_setzero_si256(); 2]; 16];
        for (word, halves) in words.iter_mut().zip(low.into_iter().zip(high)) {
            *word = halves.into();
        }
        words
    }
}

pub(super) mod avx512 {
    use super::*;

    type Words = __m512i;

    compress!("avx512f,avx2");

    /// Operations of three operands by truth table.
    macro_rules! operation {
        ($name:ident, $table:literal) => {
            #[inline]
            #[target_feature(enable = "avx512f")]
            fn $name(b: Words, c: Words, d: Words) -> Words {
                _mm512_ternarylogic_epi32::<$table>(b, c, d)
            }
        };
    }

    operation!(f, 0xCA);
    operation!(g, 0xE4);
    operation!(h, 0x96);
    operation!(i, 0x39);

    #[inline]
    #[target_feature(enable = "avx512f")]
    fn add(x: Words, y: Words) -> Words {
        _mm512_add_epi32(x, y)
    }

    #[inline]
    #[target_feature(enable = "avx512f")]
    fn rotate<const LEFT: i32, const RIGHT: i32>(words: Words) -> Words {
        _mm512_rol_epi32::<LEFT>(words)
    }

    #[inline]
    #[target_feature(enable = "avx512f")]
    fn splat(word: u32) -> Words {
        _mm512_set1_epi32(word.cast_signed())
    }

    #[inline]
    #[target_feature(enable = "avx512f")]
    fn load(states: &LaneStates) -> [Words; 4] {
        // SAFETY: both are 256 bytes without padding, and any bits are vectors.
        unsafe { std::mem::transmute(*states) }
    }

    #[inline]
    #[target_feature(enable = "avx512f")]
    fn store(states: &mut LaneStates, words: [Words; 4]) {
        // SAFETY: both are 256 bytes without padding, and any bits are numbers.
        *states = unsafe { std::mem::transmute::<[Words; 4], LaneStates>(words) };
    }

    #[inline]
    #[target_feature(enable = "avx512f,avx2")]
    fn transpose(blocks: &[&Block; LANES]) -> [Words; 16] {
        let [low, high] = super::transpose_halves(blocks);
        let mut words = [_mm512_setzero_si512(); 16];
        for (word, (low, high)) in words.iter_mut().zip(low.into_iter().zip(high)) {
            *word = _mm512_inserti64x4::<1>(_mm512_castsi256_si512(low), high);
        }
        words
    }
}

/// The words of the blocks of lanes 0 to 7, and of lanes 8 to 15.
#[inline]
#[target_feature(enable = "avx2")]
fn transpose_halves(blocks: &[&Block; LANES]) -> [[__m256i; 16]; 2] {
    let [b0, b1, b2, b3, b4, b5, b6, b7, b8, b9, b10, b11, b12, b13, b14, b15] = *blocks;
    [transpose_half([b0, b1, b2, b3, b4, b5, b6, b7]), transpose_half([b8, b9, b10, b11, b12, b13, b14, b15])]
}

#[inline]
#[target_feature(enable = "avx2")]
fn transpose_half(blocks: [&Block; 8]) -> [__m256i; 16] {
    let mut words = [_mm256_setzero_si256(); 16];
    let (quarters, _) = words.as_chunks_mut::<8>();
    for (quarter, eight_words) in quarters.iter_mut().enumerate() {
        let mut rows = [_mm256_setzero_si256(); 8];
        for (row, block) in rows.iter_mut().zip(blocks) {
            // SAFETY: a block has two times 32 bytes, and `quarter` is 0 or 1.
            *row = unsafe { _mm256_loadu_si256(block.as_ptr().add(32 * quarter).cast()) };
        }
        *eight_words = transpose_square(rows);
    }
    words
}

/// Eight rows of eight words become eight columns.
#[inline]
#[target_feature(enable = "avx2")]
fn transpose_square(rows: [__m256i; 8]) -> [__m256i; 8] {
    let [r0, r1, r2, r3, r4, r5, r6, r7] = rows;
    let pairs = |x, y| (_mm256_unpacklo_epi32(x, y), _mm256_unpackhi_epi32(x, y));
    let fours = |x, y| (_mm256_unpacklo_epi64(x, y), _mm256_unpackhi_epi64(x, y));
    let ((p0, p1), (p2, p3), (p4, p5), (p6, p7)) = (pairs(r0, r1), pairs(r2, r3), pairs(r4, r5), pairs(r6, r7));
    let ((q0, q1), (q2, q3), (q4, q5), (q6, q7)) = (fours(p0, p2), fours(p1, p3), fours(p4, p6), fours(p5, p7));
    let low = |x, y| _mm256_permute2x128_si256::<0x20>(x, y);
    let high = |x, y| _mm256_permute2x128_si256::<0x31>(x, y);
    [low(q0, q4), low(q1, q5), low(q2, q6), low(q3, q7), high(q0, q4), high(q1, q5), high(q2, q6), high(q3, q7)]
}

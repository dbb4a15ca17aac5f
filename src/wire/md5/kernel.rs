//! MD5's block function (RFC 1321) on one message, or on several side by side in SIMD lanes. A single MD5 is a chain in which
//! every step waits for the one before: one message leaves most of the machine idle, and lanes fill it. The vector code is for
//! x86-64 (AVX2, AVX-512) and chosen at run time; elsewhere the lanes run one after the other.
//!
//! One of the two modules with `unsafe` code: loads, and calls of functions that need CPU features.
#![allow(unsafe_code)]

/// Bytes of a block.
pub(super) const BLOCK_BYTES: usize = 64;
/// Messages that are hashed side by side.
pub(super) const LANES: usize = 16;

/// A block of a message.
pub(super) type Block = [u8; BLOCK_BYTES];
/// The state of one message.
pub(super) type State = [u32; 4];

/// The state before the first block.
pub(super) const INITIAL: State = [0x6745_2301, 0xEFCD_AB89, 0x98BA_DCFE, 0x1032_5476];

/// `floor(2^32 × |sin(i + 1)|)`.
#[rustfmt::skip]
const SINES: [u32; 64] = [
    0xd76a_a478, 0xe8c7_b756, 0x2420_70db, 0xc1bd_ceee, 0xf57c_0faf, 0x4787_c62a, 0xa830_4613, 0xfd46_9501,
    0x6980_98d8, 0x8b44_f7af, 0xffff_5bb1, 0x895c_d7be, 0x6b90_1122, 0xfd98_7193, 0xa679_438e, 0x49b4_0821,
    0xf61e_2562, 0xc040_b340, 0x265e_5a51, 0xe9b6_c7aa, 0xd62f_105d, 0x0244_1453, 0xd8a1_e681, 0xe7d3_fbc8,
    0x21e1_cde6, 0xc337_07d6, 0xf4d5_0d87, 0x455a_14ed, 0xa9e3_e905, 0xfcef_a3f8, 0x676f_02d9, 0x8d2a_4c8a,
    0xfffa_3942, 0x8771_f681, 0x6d9d_6122, 0xfde5_380c, 0xa4be_ea44, 0x4bde_cfa9, 0xf6bb_4b60, 0xbebf_bc70,
    0x289b_7ec6, 0xeaa1_27fa, 0xd4ef_3085, 0x0488_1d05, 0xd9d4_d039, 0xe6db_99e5, 0x1fa2_7cf8, 0xc4ac_5665,
    0xf429_2244, 0x432a_ff97, 0xab94_23a7, 0xfc93_a039, 0x655b_59c3, 0x8f0c_cc92, 0xffef_f47d, 0x8584_5dd1,
    0x6fa8_7e4f, 0xfe2c_e6e0, 0xa301_4314, 0x4e08_11a1, 0xf753_7e82, 0xbd3a_f235, 0x2ad7_d2bb, 0xeb86_d391,
];

/// The 64 steps: `$step!(round, a, b, c, d, word, sine, left, right)` with `left + right` = 32.
macro_rules! steps {
    ($step:ident, $a:ident, $b:ident, $c:ident, $d:ident) => {
        steps!(@round $step, f, $a, $b, $c, $d, [7, 25, 12, 20, 17, 15, 22, 10], [0 1 2 3 4 5 6 7 8 9 10 11 12 13 14 15], 0);
        steps!(@round $step, g, $a, $b, $c, $d, [5, 27, 9, 23, 14, 18, 20, 12], [1 6 11 0 5 10 15 4 9 14 3 8 13 2 7 12], 16);
        steps!(@round $step, h, $a, $b, $c, $d, [4, 28, 11, 21, 16, 16, 23, 9], [5 8 11 14 1 4 7 10 13 0 3 6 9 12 15 2], 32);
        steps!(@round $step, i, $a, $b, $c, $d, [6, 26, 10, 22, 15, 17, 21, 11], [0 7 14 5 12 3 10 1 8 15 6 13 4 11 2 9], 48);
    };
    (@round $step:ident, $f:ident, $a:ident, $b:ident, $c:ident, $d:ident, $turns:tt,
        [$w0:literal $w1:literal $w2:literal $w3:literal $($rest:literal)*], $sine:expr) => {
        steps!(@four $step, $f, $a, $b, $c, $d, $turns, $w0, $w1, $w2, $w3, $sine);
        steps!(@round $step, $f, $a, $b, $c, $d, $turns, [$($rest)*], $sine + 4);
    };
    (@round $step:ident, $f:ident, $a:ident, $b:ident, $c:ident, $d:ident, $turns:tt, [], $sine:expr) => {};
    (@four $step:ident, $f:ident, $a:ident, $b:ident, $c:ident, $d:ident,
        [$l0:literal, $r0:literal, $l1:literal, $r1:literal, $l2:literal, $r2:literal, $l3:literal, $r3:literal],
        $w0:literal, $w1:literal, $w2:literal, $w3:literal, $sine:expr) => {
        $step!($f, $a, $b, $c, $d, $w0, SINES[$sine], $l0, $r0);
        $step!($f, $d, $a, $b, $c, $w1, SINES[$sine + 1], $l1, $r1);
        $step!($f, $c, $d, $a, $b, $w2, SINES[$sine + 2], $l2, $r2);
        $step!($f, $b, $c, $d, $a, $w3, SINES[$sine + 3], $l3, $r3);
    };
}

/// Hashes blocks of one message.
pub(super) fn compress(state: &mut State, blocks: &[Block]) {
    for block in blocks {
        let (bytes, _) = block.as_chunks::<4>();
        let words: [u32; 16] =
            std::array::from_fn(|word| bytes.get(word).map_or(0, |bytes| u32::from_le_bytes(*bytes)));
        let [mut a, mut b, mut c, mut d] = *state;
        macro_rules! step {
            (f, $a:ident, $b:ident, $c:ident, $d:ident, $word:literal, $sine:expr, $left:literal, $right:literal) => {
                step!(@ $a, $b, $d ^ ($b & ($c ^ $d)), $word, $sine, $left)
            };
            // The two halves of g have no bit in common: added one by one, the chain through b gets shorter.
            (g, $a:ident, $b:ident, $c:ident, $d:ident, $word:literal, $sine:expr, $left:literal, $right:literal) => {
                step!(@ $a, $b, ($c & !$d).wrapping_add($b & $d), $word, $sine, $left)
            };
            (h, $a:ident, $b:ident, $c:ident, $d:ident, $word:literal, $sine:expr, $left:literal, $right:literal) => {
                step!(@ $a, $b, $b ^ ($c ^ $d), $word, $sine, $left)
            };
            (i, $a:ident, $b:ident, $c:ident, $d:ident, $word:literal, $sine:expr, $left:literal, $right:literal) => {
                step!(@ $a, $b, $c ^ ($b | !$d), $word, $sine, $left)
            };
            (@ $a:ident, $b:ident, $f:expr, $word:literal, $sine:expr, $left:literal) => {
                let sum = $a.wrapping_add(words[$word]).wrapping_add($sine);
                $a = sum.wrapping_add($f).rotate_left($left).wrapping_add($b)
            };
        }
        steps!(step, a, b, c, d);
        for (state, new) in state.iter_mut().zip([a, b, c, d]) {
            *state = state.wrapping_add(new);
        }
    }
}

/// The states of [`LANES`] messages, word by word.
#[derive(Clone, Copy)]
#[repr(align(64))]
pub(super) struct LaneStates(pub(super) [[u32; LANES]; 4]);

/// A way to hash several messages side by side.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kernel {
    /// Two registers of eight words.
    #[cfg(target_arch = "x86_64")]
    Avx2,
    /// One register of sixteen words.
    #[cfg(target_arch = "x86_64")]
    Avx512,
}

impl Kernel {
    /// All that this CPU can run, the fastest first.
    pub(super) fn available() -> impl Iterator<Item = Kernel> {
        #[cfg(target_arch = "x86_64")]
        let kernels = [
            (is_x86_feature_detected!("avx512f") && is_x86_feature_detected!("avx2")).then_some(Kernel::Avx512),
            is_x86_feature_detected!("avx2").then_some(Kernel::Avx2),
        ];
        #[cfg(not(target_arch = "x86_64"))]
        let kernels: [Option<Kernel>; 0] = [];
        kernels.into_iter().flatten()
    }

    /// Hashes blocks of as many messages as there are lanes, of each as many blocks as the shortest slice has; returns how
    /// many. A lane that is not needed repeats the blocks of another.
    #[cfg_attr(not(target_arch = "x86_64"), allow(unused_variables, reason = "there is no kernel"))]
    pub(super) fn compress(self, states: &mut LaneStates, blocks: &[&[Block]; LANES]) -> usize {
        match self {
            #[cfg(target_arch = "x86_64")]
            // SAFETY: `available` made this value, after it had found AVX2.
            Kernel::Avx2 => unsafe { x86::avx2::compress(states, blocks) },
            #[cfg(target_arch = "x86_64")]
            // SAFETY: `available` made this value, after it had found AVX-512F and AVX2.
            Kernel::Avx512 => unsafe { x86::avx512::compress(states, blocks) },
        }
    }
}

#[cfg(target_arch = "x86_64")]
mod x86;

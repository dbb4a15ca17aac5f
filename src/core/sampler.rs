//! Which user records are looked at more closely: one in 128 on average, at distances that no pattern in the puts can follow. Its
//! own little generator keeps it out of everything else's randomness, and at a few instructions a user record.

/// Distances are between 1 and twice this, less 1.
const MEAN: u64 = 128;

#[derive(Debug, Default)]
pub(super) struct Sampler {
    left: u64,
    state: u64,
}

impl Sampler {
    pub(super) fn new(seed: u64) -> Sampler {
        Sampler { left: 1, state: seed | 1 }
    }

    /// Whether this user record is one of them.
    #[inline]
    pub(super) fn picks(&mut self) -> bool {
        self.left -= 1;
        if self.left > 0 {
            return false;
        }
        // xorshift64 (Marsaglia, "Xorshift RNGs", 2003).
        self.state ^= self.state << 13;
        self.state ^= self.state >> 7;
        self.state ^= self.state << 17;
        self.left = 1 + (self.state >> 32) % (2 * MEAN - 1);
        true
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_in_128_is_picked_from_every_part_of_a_pattern() {
        let mut sampler = Sampler::new(7);
        let mut picked = [0_u32; 10];
        for n in 0..1_280_000 {
            picked[n % 10] += u32::from(sampler.picks());
        }
        assert!(picked.iter().all(|count| (900..1100).contains(count)), "{picked:?}");
    }
}

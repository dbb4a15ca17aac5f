//! Hash keys as decimal text without allocating: aggregates and PutRecords bodies carry them so.

use crate::record::HashKey;

/// Digits of 2^128 − 1.
pub(super) const MAX_DIGITS: usize = 39;

/// 10^19, the largest power of ten in a `u64`: the 128-bit number is cut into such pieces, because 128-bit division is slow.
const PIECE: u128 = 10_000_000_000_000_000_000;
const PIECE_DIGITS: usize = 19;

/// The digits of a hash key.
pub(super) struct Decimal {
    digits: [u8; MAX_DIGITS],
    first: usize,
}

impl Decimal {
    pub(super) fn new(hash_key: HashKey) -> Decimal {
        let mut decimal = Decimal { digits: [b'0'; MAX_DIGITS], first: MAX_DIGITS };
        let mut rest = hash_key.0;
        let mut end = MAX_DIGITS;
        loop {
            let mut piece = u64::try_from(rest % PIECE).expect("a remainder of 10^19 fits 64 bits");
            rest /= PIECE;
            let mut at = end;
            while piece > 0 || at == MAX_DIGITS {
                at -= 1;
                if let Some(digit) = decimal.digits.get_mut(at) {
                    *digit = b'0' + u8::try_from(piece % 10).expect("a digit");
                }
                piece /= 10;
            }
            decimal.first = at;
            if rest == 0 {
                return decimal;
            }
            end = end.saturating_sub(PIECE_DIGITS);
        }
    }

    pub(super) fn as_bytes(&self) -> &[u8] {
        self.digits.get(self.first..).unwrap_or_default()
    }
}

/// Reads decimal digits; a plus sign and leading zeros are allowed, as in Java's `BigInteger`.
pub(super) fn parse(text: &[u8]) -> Option<HashKey> {
    let digits = text.strip_prefix(b"+").unwrap_or(text);
    if digits.is_empty() {
        return None;
    }
    let mut number: u128 = 0;
    for byte in digits {
        let digit = byte.wrapping_sub(b'0');
        if digit > 9 {
            return None;
        }
        number = number.checked_mul(10)?.checked_add(u128::from(digit))?;
    }
    Some(HashKey(number))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn check(number: u128) {
        let decimal = Decimal::new(HashKey(number));
        assert_eq!(decimal.as_bytes(), number.to_string().as_bytes());
        assert_eq!(parse(decimal.as_bytes()), Some(HashKey(number)));
    }

    #[test]
    fn edges_of_the_pieces_are_written_whole() {
        for number in [0, 1, 9, 10, PIECE - 1, PIECE, PIECE + 1, PIECE * PIECE - 1, PIECE * PIECE, u128::MAX] {
            check(number);
        }
    }

    #[test]
    fn only_numbers_below_two_to_the_128_are_read() {
        for bad in ["", "+", "-1", "++1", "1 ", "0x1", "340282366920938463463374607431768211456"] {
            assert_eq!(parse(bad.as_bytes()), None, "{bad:?}");
        }
        assert_eq!(parse(b"+007"), Some(HashKey(7)));
    }

    proptest! {
        #[test]
        fn every_number_is_written_as_display_does(number: u128, shift in 0_u32..128) {
            check(number >> shift);
        }
    }
}

//! Where a record stands in the journal.

use std::fmt;
use std::str::FromStr;

/// The id of a journal record: positions of one journal only grow.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Position {
    millis: u64,
    sequence: u64,
}

impl Position {
    /// Before every record: the position of an empty journal, and of a node that never heard of one.
    pub const START: Self = Self { millis: 0, sequence: 0 };

    /// Behind every record.
    pub const MAX: Self = Self { millis: u64::MAX, sequence: u64::MAX };

    /// The birth of an entry that does not say when it was made: a tier gives it to what was stored without
    /// ([`SharedTier::keeps_births`](crate::SharedTier::keeps_births)).
    pub const UNKNOWN: Self = Self::MAX;

    /// How many bytes [`Position::to_bytes`] gives.
    pub const BYTES: usize = 16;

    /// The position `millis-sequence`.
    #[must_use]
    pub const fn new(millis: u64, sequence: u64) -> Self {
        Self { millis, sequence }
    }

    /// The last position that could stand before this one; itself at the start.
    #[must_use]
    pub const fn previous(self) -> Self {
        match (self.millis, self.sequence) {
            (0, 0) => self,
            (millis, 0) => Self { millis: millis - 1, sequence: u64::MAX },
            (millis, sequence) => Self { millis, sequence: sequence - 1 },
        }
    }

    /// The first number: when the record was appended, in milliseconds of the tier's clock.
    #[must_use]
    pub const fn millis(self) -> u64 {
        self.millis
    }

    /// The second number, which tells records of one millisecond apart.
    #[must_use]
    pub const fn sequence(self) -> u64 {
        self.sequence
    }

    /// Both numbers, big-endian.
    #[must_use]
    pub fn to_bytes(self) -> [u8; Self::BYTES] {
        ((u128::from(self.millis) << 64) | u128::from(self.sequence)).to_be_bytes()
    }

    /// The reverse of [`Position::to_bytes`].
    #[must_use]
    pub fn from_bytes(bytes: [u8; Self::BYTES]) -> Self {
        let both = u128::from_be_bytes(bytes);
        // The casts split the number into its halves.
        Self { millis: (both >> 64) as u64, sequence: both as u64 }
    }
}

impl fmt::Display for Position {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}-{}", self.millis, self.sequence)
    }
}

impl FromStr for Position {
    type Err = InvalidPosition;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let parse = || {
            let (millis, sequence) = text.split_once('-')?;
            Some(Self { millis: millis.parse().ok()?, sequence: sequence.parse().ok()? })
        };
        parse().ok_or_else(|| InvalidPosition { text: text.chars().take(40).collect() })
    }
}

/// Why a text is no position.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("invalid journal position {text:?}: expected two numbers joined by a dash")]
pub struct InvalidPosition {
    text: String,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn positions_order_by_time_then_sequence() {
        assert!(Position::new(1, 9) < Position::new(2, 0));
        assert!(Position::new(2, 0) < Position::new(2, 1));
        assert!(Position::START < Position::new(0, 1));
    }

    #[test]
    fn nothing_stands_between_a_position_and_the_previous_one() {
        assert_eq!(Position::new(5, 3).previous(), Position::new(5, 2));
        assert_eq!(Position::new(5, 0).previous(), Position::new(4, u64::MAX));
        assert_eq!(Position::START.previous(), Position::START);
    }

    #[test]
    fn positions_survive_text_and_bytes() {
        for position in [Position::START, Position::new(1_700_000_000_000, 3), Position::new(u64::MAX, u64::MAX)] {
            assert_eq!(position.to_string().parse(), Ok(position));
            assert_eq!(Position::from_bytes(position.to_bytes()), position);
        }
    }

    #[test]
    fn a_bad_position_is_refused() {
        for bad in ["", "1", "1-", "-1", "1-2-3", "a-b", "18446744073709551616-0"] {
            assert!(bad.parse::<Position>().is_err(), "{bad}");
        }
    }
}

//! What may go wrong between processes, drawn from a seed.

/// What may happen to what one process sends to another. Nothing, by default.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub struct Faults {
    /// What is due is delivered in any order, instead of the order in which it was sent.
    pub reorder: bool,
    /// How many of a thousand messages get lost.
    pub drop_per_mille: u32,
    /// How many of a thousand are sent twice: the second with an anchor of its own, as by a sender that tries again.
    /// (The same item, or one that another messenger signed, has one slot on every network, and so here.)
    pub duplicate_per_mille: u32,
    /// Each is under way for up to so many milliseconds.
    pub delay_ms_max: u64,
}

/// Chance, as SplitMix64 has it. Its own few lines, because what a seed means must not change with a library.
#[derive(Debug, Clone)]
pub struct Chance(pub u64);

impl Chance {
    /// The next 64 bits.
    pub fn draw(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    /// Less than `end`; 0 if that is 0.
    pub(crate) fn below(&mut self, end: u64) -> u64 {
        // The bias of a remainder of 64 bits is nothing for lists that fit in memory.
        self.draw().checked_rem(end).unwrap_or(0)
    }

    /// With that probability.
    pub(crate) fn per_mille(&mut self, n: u32) -> bool {
        n > 0 && self.below(1000) < u64::from(n)
    }
}

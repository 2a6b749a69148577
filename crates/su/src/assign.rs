//! What the next assignment of a schedule says. Decides, and does nothing.

use protocol::{Assignment, DataItem, Draft, Epoch, HashChain, Height, Id, Item, ProcessId, Slot, Timestamp};

/// The newest assignment of a schedule, as far as the next one needs to know it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Head {
    /// Its place.
    pub slot: Slot,
    /// Its own id.
    pub assignment: Id,
    /// Covers everything before it.
    pub hash_chain: HashChain,
    /// Milliseconds.
    pub timestamp: Timestamp,
    /// Blocks.
    pub block_height: Height,
}

/// An assignment that nobody has signed yet.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Plan {
    process: ProcessId,
    epoch: Epoch,
    slot: Slot,
    hash_chain: HashChain,
    block_height: Height,
    timestamp: Timestamp,
    message: Option<Id>,
    exclude: Vec<String>,
}

/// The assignment of `message` after `head`, or of the process itself where there is no head.
///
/// A clock that goes back does not take the schedule with it, and neither does a weave that forgets blocks: compute
/// units page by timestamp, so two equal ones at the border of a page would lose a message.
pub fn assign(
    process: ProcessId,
    head: Option<&Head>,
    message: Id,
    exclude: Vec<String>,
    now: Timestamp,
    height: Height,
) -> Plan {
    match head {
        None => Plan {
            process,
            epoch: Epoch(0),
            slot: Slot(0),
            hash_chain: HashChain::start(process),
            block_height: height,
            timestamp: now,
            message: None,
            exclude,
        },
        Some(head) => Plan {
            process,
            epoch: Epoch(0),
            slot: head.slot.next(),
            hash_chain: head.hash_chain.after(head.assignment),
            block_height: height.max(head.block_height),
            timestamp: now.max(Timestamp(head.timestamp.0 + 1)),
            message: Some(message),
            exclude,
        },
    }
}

impl Plan {
    /// The same, in an epoch. It is 0 until an operator ends one, because slots of it may be forgotten.
    pub fn in_epoch(self, epoch: Epoch) -> Plan {
        Plan { epoch, ..self }
    }

    /// What is signed. The anchor is the hash chain: 32 bytes that no other assignment has, without asking anyone
    /// for randomness.
    pub fn draft(&self) -> Draft {
        let tags = Assignment::tags(
            self.process,
            self.epoch,
            self.slot,
            self.hash_chain,
            self.block_height,
            self.timestamp,
            self.message,
            &self.exclude,
        );
        Draft { anchor: Some(self.hash_chain.0), tags, ..Draft::default() }
    }

    /// The schedule's head once this is signed as `signed`.
    pub fn head(&self, signed: &DataItem) -> Head {
        Head {
            slot: self.slot,
            assignment: signed.id,
            hash_chain: self.hash_chain,
            timestamp: self.timestamp,
            block_height: self.block_height,
        }
    }

    /// The assignment that `signed` is, without reading it again.
    pub fn signed(self, signed: Item) -> Assignment {
        Assignment {
            item: signed,
            process: self.process,
            epoch: self.epoch,
            slot: self.slot,
            hash_chain: self.hash_chain,
            block_height: self.block_height,
            timestamp: self.timestamp,
            message: self.message,
            exclude: self.exclude,
        }
    }
}

impl From<&Assignment> for Head {
    fn from(assignment: &Assignment) -> Head {
        Head {
            slot: assignment.slot,
            assignment: assignment.id(),
            hash_chain: assignment.hash_chain,
            timestamp: assignment.timestamp,
            block_height: assignment.block_height,
        }
    }
}

#[cfg(test)]
mod tests {
    use expect_test::{Expect, expect};
    use protocol::Wallet;

    use super::*;

    const PROCESS: ProcessId = ProcessId(Id([1; 32]));
    const MESSAGE: Id = Id([2; 32]);

    /// The tags of the assignment of a message after `head`, at the time `now` and the height `height`.
    #[track_caller]
    fn check(head: Option<Head>, exclude: &[&str], now: u64, height: u64, expect: Expect) {
        let exclude = exclude.iter().map(|&field| field.to_owned()).collect();
        let plan = assign(PROCESS, head.as_ref(), MESSAGE, exclude, Timestamp(now), Height(height));
        let draft = plan.draft();
        let lines = draft.tags.iter().map(|tag| format!("{} {}\n", tag.name, tag.value));
        expect.assert_eq(&lines.collect::<String>());
        assert_eq!(draft.anchor, Some(plan.hash_chain.0));
        assert!(draft.target.is_none() && draft.data.is_empty());

        let signed = DataItem::sign(&Wallet::ed25519_from_seed([0; 32]), draft).unwrap();
        let head = plan.head(&signed);
        let assignment = plan.signed(signed.item().clone());
        assert_eq!(Head::from(&assignment), head);
        assert_eq!(Assignment::try_from(signed.item().clone()), Ok(assignment), "it says what it is");
    }

    fn head(timestamp: u64, height: u64) -> Option<Head> {
        Some(Head {
            slot: Slot(41),
            assignment: Id([3; 32]),
            hash_chain: HashChain([4; 32]),
            timestamp: Timestamp(timestamp),
            block_height: Height(height),
        })
    }

    #[test]
    fn the_process_itself_has_slot_0() {
        check(
            None,
            &[],
            1000,
            7,
            expect![[r#"
            Process AQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQE
            Epoch 0
            Nonce 0
            Hash-Chain cs1uhCLEB_ttCYaQ8RMLfe1-wvf14dML2dUh8BU2N5M
            Block-Height 000000000007
            Timestamp 1000
            Data-Protocol ao
            Type Assignment
            Variant ao.TN.1
        "#]],
        );
    }

    #[test]
    fn a_message_has_the_slot_after_the_head() {
        check(
            head(999, 7),
            &[],
            1000,
            7,
            expect![[r#"
            Process AQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQE
            Epoch 0
            Nonce 42
            Hash-Chain UFqcascL3_pGJI4gJUg_n-mXoOMe0lVZ5Ei3O34Cub0
            Block-Height 000000000007
            Timestamp 1000
            Data-Protocol ao
            Type Assignment
            Variant ao.TN.1
            Message AgICAgICAgICAgICAgICAgICAgICAgICAgICAgICAgI
        "#]],
        );
    }

    #[test]
    fn in_the_same_millisecond_the_timestamp_rises_by_one() {
        check(
            head(1000, 7),
            &[],
            1000,
            7,
            expect![[r#"
            Process AQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQE
            Epoch 0
            Nonce 42
            Hash-Chain UFqcascL3_pGJI4gJUg_n-mXoOMe0lVZ5Ei3O34Cub0
            Block-Height 000000000007
            Timestamp 1001
            Data-Protocol ao
            Type Assignment
            Variant ao.TN.1
            Message AgICAgICAgICAgICAgICAgICAgICAgICAgICAgICAgI
        "#]],
        );
    }

    #[test]
    fn a_clock_that_goes_back_does_not_take_the_schedule_with_it() {
        check(
            head(5000, 7),
            &[],
            1000,
            7,
            expect![[r#"
            Process AQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQE
            Epoch 0
            Nonce 42
            Hash-Chain UFqcascL3_pGJI4gJUg_n-mXoOMe0lVZ5Ei3O34Cub0
            Block-Height 000000000007
            Timestamp 5001
            Data-Protocol ao
            Type Assignment
            Variant ao.TN.1
            Message AgICAgICAgICAgICAgICAgICAgICAgICAgICAgICAgI
        "#]],
        );
    }

    #[test]
    fn a_weave_that_forgets_blocks_does_not_either() {
        check(
            head(999, 9),
            &[],
            1000,
            7,
            expect![[r#"
            Process AQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQE
            Epoch 0
            Nonce 42
            Hash-Chain UFqcascL3_pGJI4gJUg_n-mXoOMe0lVZ5Ei3O34Cub0
            Block-Height 000000000009
            Timestamp 1000
            Data-Protocol ao
            Type Assignment
            Variant ao.TN.1
            Message AgICAgICAgICAgICAgICAgICAgICAgICAgICAgICAgI
        "#]],
        );
    }

    #[test]
    fn excluded_fields_come_last() {
        check(
            head(999, 7),
            &["Data", "Anchor"],
            1000,
            7,
            expect![[r#"
            Process AQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQE
            Epoch 0
            Nonce 42
            Hash-Chain UFqcascL3_pGJI4gJUg_n-mXoOMe0lVZ5Ei3O34Cub0
            Block-Height 000000000007
            Timestamp 1000
            Data-Protocol ao
            Type Assignment
            Variant ao.TN.1
            Message AgICAgICAgICAgICAgICAgICAgICAgICAgICAgICAgI
            Exclude Data
            Exclude Anchor
        "#]],
        );
    }

    #[test]
    fn the_chain_is_that_of_the_protocol() {
        // The vectors of the data protocol, section 1.4: computed by the reference's own checker.
        let process: ProcessId = format!("{}M", "P".repeat(42)).parse().unwrap();
        let first = assign(process, None, process.into(), vec![], Timestamp(0), Height(0));
        assert_eq!(first.hash_chain.to_string(), "ij9oTsz6bNvcieZIwxOVx7jrosJS6yfpEcG1HdienjY");
        let head = Head {
            assignment: format!("{}M", "Q".repeat(42)).parse().unwrap(),
            hash_chain: HashChain(process.0.0),
            ..head(0, 0).unwrap()
        };
        let next = assign(process, Some(&head), MESSAGE, vec![], Timestamp(0), Height(0));
        assert_eq!(next.hash_chain.to_string(), "8YSKaizdNa3GTvhy622sZrmNCzb7OgRnGgx2x-XbSjM");
    }
}

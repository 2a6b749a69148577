//! What an item must be before it gets a slot. Looks at the item alone; the order of the checks is the order in which
//! a client is told.

use std::collections::BTreeSet;

use protocol::{Address, DataItem, Item, Process, ProcessId, tag};

use crate::Error;

/// What an item is to a scheduler.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Admitted {
    /// It starts a process.
    Process {
        /// Its id.
        process: ProcessId,
        /// What it evaluates first, where that is something on the weave.
        on_boot: Option<String>,
    },
    /// It is a message for a process, which may or may not be known here.
    Message {
        /// Its target.
        process: ProcessId,
    },
}

/// Says what `item` is to the scheduler whose wallet is `ours` and who stands in for others, or why it gets no slot.
/// Size and signature are checked already.
pub fn admit(item: &Item, ours: Address, stand_ins: &BTreeSet<Address>) -> Result<Admitted, Error> {
    let id = item.id;
    if let Some(link) = item.tags.iter().find(|tag| is_link(&tag.name) || is_link(&tag.value)) {
        return Err(Error::LinkTag { id, name: link.name.clone() });
    }
    if item.tags.first(tag::DATA_PROTOCOL).is_none() {
        return Err(Error::NoDataProtocol { id });
    }
    match item.kind() {
        Some("Process") => admit_process(item, ours, stand_ins),
        Some("Message") => match item.target {
            Some(target) => Ok(Admitted::Message { process: target.into() }),
            None => Err(Error::NoTarget { id }),
        },
        other => Err(Error::Type { id, kind: other.unwrap_or_default().to_owned() }),
    }
}

/// Refuses what is larger than the operator accepts, before any of it is hashed.
pub(crate) fn check_size(item: &DataItem, max: usize) -> Result<(), Error> {
    let size = item.bytes().len();
    if size > max { Err(Error::ItemTooLarge { id: item.id, size, max }) } else { Ok(()) }
}

/// Fields that an assignment leaves out: they become tags, so they obey the bounds of tags.
pub(crate) fn check_exclude(id: protocol::Id, exclude: &[String], max: usize) -> Result<(), Error> {
    const FIELD_BYTES_MAX: usize = 64;
    if exclude.len() > max {
        return Err(Error::Exclude { id, why: "exclude names too many fields" });
    }
    if exclude.iter().any(|field| field.is_empty() || field.len() > FIELD_BYTES_MAX) {
        return Err(Error::Exclude { id, why: "exclude has a field name that is empty or too long" });
    }
    Ok(())
}

fn admit_process(item: &Item, ours: Address, stand_ins: &BTreeSet<Address>) -> Result<Admitted, Error> {
    let process = Process::try_from(item).map_err(|why| Error::NotAProcess { id: item.id, why })?;
    if process.scheduler != ours && !stand_ins.contains(&process.scheduler) {
        return Err(Error::OtherScheduler { process: process.id, named: process.scheduler, ours });
    }
    let on_boot = item.tags.first(tag::ON_BOOT).filter(|&value| value != "Data").map(str::to_owned);
    Ok(Admitted::Process { process: process.id, on_boot })
}

/// HyperBEAM reads such names as references; an item that has one means different things there and here.
fn is_link(text: &str) -> bool {
    text.ends_with("+link")
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;
    use expect_test::{Expect, expect};
    use protocol::{Id, SignatureType, Tags};

    use super::*;

    const OURS: Address = Address(Id([7; 32]));

    /// What an item with these tags, and a target if it says so, is to us; each tag is `name=value`.
    #[track_caller]
    fn check(has_target: bool, tags: &[&str], expect: Expect) {
        let ours = OURS.to_string();
        let pairs = tags.iter().map(|tag| tag.split_once('=').unwrap());
        let pairs = pairs.map(|(name, value)| (name, value.replace("OURS", &ours)));
        let item = Item {
            id: Id([1; 32]),
            signature_type: SignatureType::Ed25519,
            signature: Bytes::new(),
            owner: Bytes::new(),
            target: has_target.then_some(Id([2; 32])),
            anchor: Bytes::new(),
            tags: pairs.collect::<Tags>(),
            data: Bytes::new(),
        };
        let said = match admit(&item, OURS, &BTreeSet::from([Address(Id([9; 32]))])) {
            Ok(admitted) => format!("{admitted:?}"),
            Err(error) => {
                let error = unit::Error::from(error);
                format!("{:?}: {error}", error.kind)
            }
        };
        expect.assert_eq(&said);
    }

    const AO: &str = "Data-Protocol=ao";
    const MODULE: &str = "Module=AgICAgICAgICAgICAgICAgICAgICAgICAgICAgICAgI";

    #[test]
    fn a_message_has_a_target() {
        check(
            true,
            &[AO, "Type=Message"],
            expect!["Message { process: AgICAgICAgICAgICAgICAgICAgICAgICAgICAgICAgI }"],
        );
        check(
            true,
            &[AO, "type=Message"],
            expect!["Message { process: AgICAgICAgICAgICAgICAgICAgICAgICAgICAgICAgI }"],
        );
        check(
            false,
            &[AO, "Type=Message"],
            expect![
                "Invalid: message AQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQE has no target (hint: set the item's target to the id of a process)"
            ],
        );
    }

    #[test]
    fn other_types_have_no_slot() {
        check(
            true,
            &[AO],
            expect![[
                r#"Invalid: item AQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQE has the Type "" (hint: tag it Type: Process or Type: Message)"#
            ]],
        );
        check(
            true,
            &[AO, "Type=Module"],
            expect![[
                r#"Invalid: item AQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQE has the Type "Module" (hint: tag it Type: Process or Type: Message)"#
            ]],
        );
        check(
            true,
            &["Type=Message"],
            expect![
                "Invalid: item AQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQE has no Data-Protocol tag (hint: tag it Data-Protocol: ao)"
            ],
        );
    }

    #[test]
    fn links_are_refused_before_anything_else() {
        check(
            true,
            &["x+link=1"],
            expect![[
                r#"Invalid: item AQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQE has the tag "x+link", whose name or value ends in +link (hint: rename the tag)"#
            ]],
        );
        check(
            true,
            &[AO, "Type=Message", "x=y+link"],
            expect![[
                r#"Invalid: item AQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQE has the tag "x", whose name or value ends in +link (hint: rename the tag)"#
            ]],
        );
        check(
            true,
            &[AO, "Type=Message", "x+linked=+link?"],
            expect!["Message { process: AgICAgICAgICAgICAgICAgICAgICAgICAgICAgICAgI }"],
        );
    }

    #[test]
    fn a_process_names_its_module_and_us() {
        check(
            false,
            &[AO, "Type=Process", MODULE, "Scheduler=OURS"],
            expect!["Process { process: AQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQE, on_boot: None }"],
        );
        check(
            true,
            &[AO, "Type=Process", MODULE, "Scheduler=OURS", "On-Boot=Data"],
            expect!["Process { process: AQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQE, on_boot: None }"],
        );
        check(
            false,
            &[AO, "Type=Process", MODULE, "Scheduler=OURS", "On-Boot=abc"],
            expect![[
                r#"Process { process: AQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQE, on_boot: Some("abc") }"#
            ]],
        );
        check(
            false,
            &[AO, "Type=Process", "Scheduler=OURS"],
            expect![
                "Invalid: process AQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQE cannot be started: it has no Module tag (hint: a process has a Module tag (a module's id) and a Scheduler tag (a wallet's address))"
            ],
        );
        check(
            false,
            &[AO, "Type=Process", MODULE],
            expect![
                "Invalid: process AQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQE cannot be started: it has no Scheduler tag (hint: a process has a Module tag (a module's id) and a Scheduler tag (a wallet's address))"
            ],
        );
        check(
            false,
            &[AO, "Type=Process", "Module=x", "Scheduler=OURS"],
            expect![[
                r#"Invalid: process AQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQE cannot be started: its Module tag "x" is not an id of 43 base64url characters (hint: a process has a Module tag (a module's id) and a Scheduler tag (a wallet's address))"#
            ]],
        );
    }

    #[test]
    fn a_process_of_another_scheduler_is_refused_with_our_address() {
        let other = "Scheduler=AgICAgICAgICAgICAgICAgICAgICAgICAgICAgICAgI";
        check(
            false,
            &[AO, "Type=Process", MODULE, other],
            expect![
                "Refused: process AQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQE names the scheduler AgICAgICAgICAgICAgICAgICAgICAgICAgICAgICAgI, and this one is BwcHBwcHBwcHBwcHBwcHBwcHBwcHBwcHBwcHBwcHBwc (hint: spawn it with Scheduler: BwcHBwcHBwcHBwcHBwcHBwcHBwcHBwcHBwcHBwcHBwc, or send it to the scheduler that it names)"
            ],
        );
    }

    #[test]
    fn a_process_of_a_scheduler_that_we_stand_in_for_is_ours() {
        let named = "Scheduler=CQkJCQkJCQkJCQkJCQkJCQkJCQkJCQkJCQkJCQkJCQk";
        check(
            false,
            &[AO, "Type=Process", MODULE, named],
            expect!["Process { process: AQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQE, on_boot: None }"],
        );
    }

    #[test]
    fn excluded_fields_are_few_and_have_names() {
        let check = |fields: &[&str]| {
            let fields: Vec<String> = fields.iter().map(|&field| field.to_owned()).collect();
            check_exclude(Id([1; 32]), &fields, 2).is_ok()
        };
        assert!(check(&[]) && check(&["Data", "Tags"]));
        assert!(!check(&["Data", "Tags", "Owner"]) && !check(&[""]) && !check(&[&"x".repeat(65)]));
    }
}

//! What a machine is given. Pure: an entry of a schedule, a tick of a cron or a dry run in, an [`Input`] out.
//!
//! Names are neither normalised nor lifted out of the tags: that is the module's work.

use protocol::id::base64url;
use protocol::{Assignment, Item};
use protocol::{Json, ProcessId, Tag, Tags, tag};
use runtime::{Environment, Input};
use sha3::{Digest as _, Keccak256};
use unit::DryRun;

use crate::cron::Tick;

/// What has a slot, and whether it came with its assignment or was fetched from the weave for it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Delivery {
    /// Delivered to the scheduler; it is for the process that it is assigned to.
    Delivered,
    /// Assigned by its id; it may be for anyone, and parts of it may be excluded.
    Assigned,
}

/// A scheduled message, as the guest sees it.
pub fn scheduled(item: &Item, assignment: &Assignment, delivery: Delivery) -> Input {
    let sees =
        |field: &str| delivery == Delivery::Delivered || !assignment.exclude.iter().any(|name| name == field);
    let owner = sees("Owner").then(|| owner_text(&item.owner));
    let tags = if sees("Tags") { guest_tags(&item.tags) } else { Tags::default() };
    let from_process = tags.first(tag::FROM_PROCESS).map(str::to_owned);
    Input {
        id: Some(item.id.to_string()),
        signature: sees("Signature").then(|| base64url(&item.signature)),
        data: sees("Data").then(|| Json::string(&item.text())),
        target: Some(match delivery {
            Delivery::Delivered => assignment.process.to_string(),
            Delivery::Assigned => item.target.map(|target| target.to_string()).unwrap_or_default(),
        }),
        anchor: sees("Anchor").then(|| item.anchor_text().map(str::to_owned)),
        forwarded_by: from_process.as_ref().and(owner.clone()),
        from: from_process.or_else(|| owner.clone()),
        owner,
        tags,
        epoch: Some(assignment.epoch.0),
        nonce: Some(assignment.slot.0),
        timestamp: Some(assignment.timestamp.0),
        block_height: Some(assignment.block_height.0),
        hash_chain: Some(assignment.hash_chain.to_string()),
        cron: false,
        read_only: false,
    }
}

/// A cron message: from the process's owner to the process.
pub fn cron(process: ProcessId, process_owner: &str, tick: &Tick) -> Input {
    Input {
        owner: Some(process_owner.to_owned()),
        target: Some(process.to_string()),
        from: Some(process_owner.to_owned()),
        tags: tick.tags.clone(),
        timestamp: Some(tick.timestamp.0),
        block_height: Some(tick.height.0),
        cron: true,
        ..Input::default()
    }
}

/// A dry run, with what it leaves out filled in: `timestamp` and `height` are those of the last evaluation.
pub fn dry_run(process: ProcessId, message: DryRun, timestamp: u64, height: u64) -> Input {
    let from_process = message.tags.first(tag::FROM_PROCESS).map(str::to_owned);
    Input {
        id: message.id,
        signature: message.signature,
        data: message.data,
        from: Some(from_process.unwrap_or_else(|| message.owner.clone())),
        owner: Some(message.owner),
        target: Some(message.target.unwrap_or_else(|| process.to_string())),
        anchor: message.anchor,
        forwarded_by: message.forwarded_by,
        tags: message.tags,
        timestamp: Some(message.timestamp.unwrap_or(timestamp)),
        block_height: Some(message.block_height.unwrap_or(height)),
        read_only: true,
        ..Input::default()
    }
}

/// The second argument of every evaluation of a process.
pub fn environment(process: &Item, module: &protocol::Module) -> Environment {
    Environment::new(
        (&process.id.to_string(), &owner_text(&process.owner), &process.tags),
        (&module.id.to_string(), &module.owner.to_string(), &module.tags),
    )
}

/// An owner as guests see it: the address, which for a 65-byte key is the Ethereum address with its checksum in the
/// case of its letters (EIP-55).
pub fn owner_text(owner: &[u8]) -> String {
    match owner {
        [4, key @ ..] if key.len() == 64 => ethereum_address(key),
        _ => protocol::Address::of_owner(owner).to_string(),
    }
}

fn ethereum_address(key: &[u8]) -> String {
    let hash = Keccak256::digest(key);
    let digits: String = hash[12..].iter().map(|byte| format!("{byte:02x}")).collect();
    let checksum = Keccak256::digest(&digits);
    let cased = digits.chars().enumerate().map(|(at, digit)| {
        let nibble = checksum[at / 2] >> (4 * (1 - at % 2)) & 0xf;
        if nibble >= 8 { digit.to_ascii_uppercase() } else { digit }
    });
    std::iter::once("0x".to_owned()).chain(cased.map(String::from)).collect()
}

/// A sender must not say for the unit who it is.
fn guest_tags(tags: &Tags) -> Tags {
    Tags(tags.iter().filter(|Tag { name, .. }| name != "From" && name != "Owner").cloned().collect())
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;
    use expect_test::{Expect, expect};
    use protocol::{Epoch, HashChain, Height, Id, SignatureType, Slot, Timestamp};

    use super::*;

    const PROCESS: ProcessId = ProcessId(Id([7; 32]));

    fn item(tags: &[(&str, &str)]) -> Item {
        Item {
            id: Id([1; 32]),
            signature_type: SignatureType::Ed25519,
            signature: Bytes::from_static(b"signed"),
            owner: Bytes::from_static(b"the owner's public key"),
            target: Some(Id([9; 32])),
            anchor: Bytes::from_static(b"00000000000000000000000000000003"),
            tags: tags.iter().copied().collect(),
            data: Bytes::from_static(b"return \"1+1\""),
        }
    }

    fn assignment(exclude: &[&str]) -> Assignment {
        Assignment {
            item: item(&[]),
            process: PROCESS,
            epoch: Epoch(0),
            slot: Slot(3),
            hash_chain: HashChain([5; 32]),
            block_height: Height(1_440_001),
            timestamp: Timestamp(1_718_000_000_123),
            message: Some(Id([1; 32])),
            exclude: exclude.iter().map(|field| field.to_string()).collect(),
        }
    }

    #[track_caller]
    fn check(item: &Item, exclude: &[&str], delivery: Delivery, expected: Expect) {
        expected.assert_eq(&scheduled(item, &assignment(exclude), delivery).to_json());
    }

    #[test]
    fn a_message_is_given_in_the_keys_and_order_of_the_wire() {
        check(
            &item(&[("Action", "Eval"), ("From", "me"), ("Owner", "you"), ("Data-Protocol", "ao")]),
            &["Data"],
            Delivery::Delivered,
            expect![[
                r#"{"Id":"AQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQE","Signature":"c2lnbmVk","Data":"return \"1+1\"","Owner":"hdf7COhTVa7qZUsVPLwp339GJFhbrmxKD25X9iFY8gI","Target":"BwcHBwcHBwcHBwcHBwcHBwcHBwcHBwcHBwcHBwcHBwc","Anchor":"00000000000000000000000000000003","From":"hdf7COhTVa7qZUsVPLwp339GJFhbrmxKD25X9iFY8gI","Tags":[{"name":"Action","value":"Eval"},{"name":"Data-Protocol","value":"ao"}],"Epoch":0,"Nonce":3,"Timestamp":1718000000123,"Block-Height":1440001,"Hash-Chain":"BQUFBQUFBQUFBQUFBQUFBQUFBQUFBQUFBQUFBQUFBQU","Cron":false,"Read-Only":false}"#
            ]],
        );
    }

    #[test]
    fn a_pushed_message_is_from_its_process_and_forwarded_by_its_owner() {
        let pushed = Item { anchor: Bytes::from_static(&[0xff; 32]), ..item(&[("From-Process", "P")]) };
        check(
            &pushed,
            &[],
            Delivery::Delivered,
            expect![[
                r#"{"Id":"AQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQE","Signature":"c2lnbmVk","Data":"return \"1+1\"","Owner":"hdf7COhTVa7qZUsVPLwp339GJFhbrmxKD25X9iFY8gI","Target":"BwcHBwcHBwcHBwcHBwcHBwcHBwcHBwcHBwcHBwcHBwc","Anchor":null,"From":"P","Forwarded-By":"hdf7COhTVa7qZUsVPLwp339GJFhbrmxKD25X9iFY8gI","Tags":[{"name":"From-Process","value":"P"}],"Epoch":0,"Nonce":3,"Timestamp":1718000000123,"Block-Height":1440001,"Hash-Chain":"BQUFBQUFBQUFBQUFBQUFBQUFBQUFBQUFBQUFBQUFBQU","Cron":false,"Read-Only":false}"#
            ]],
        );
    }

    #[test]
    fn an_assigned_item_keeps_its_own_target_and_hides_what_is_excluded() {
        let assigned = Item { anchor: Bytes::new(), ..item(&[("Action", "Mint")]) };
        check(
            &assigned,
            &["Data", "Signature"],
            Delivery::Assigned,
            expect![[
                r#"{"Id":"AQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQE","Owner":"hdf7COhTVa7qZUsVPLwp339GJFhbrmxKD25X9iFY8gI","Target":"CQkJCQkJCQkJCQkJCQkJCQkJCQkJCQkJCQkJCQkJCQk","Anchor":null,"From":"hdf7COhTVa7qZUsVPLwp339GJFhbrmxKD25X9iFY8gI","Tags":[{"name":"Action","value":"Mint"}],"Epoch":0,"Nonce":3,"Timestamp":1718000000123,"Block-Height":1440001,"Hash-Chain":"BQUFBQUFBQUFBQUFBQUFBQUFBQUFBQUFBQUFBQUFBQU","Cron":false,"Read-Only":false}"#
            ]],
        );
        let everything = ["Data", "Tags", "Signature", "Anchor", "Owner"];
        let nowhere = Item { target: None, ..assigned };
        check(
            &nowhere,
            &everything,
            Delivery::Assigned,
            expect![[
                r#"{"Id":"AQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQE","Target":"","Tags":[],"Epoch":0,"Nonce":3,"Timestamp":1718000000123,"Block-Height":1440001,"Hash-Chain":"BQUFBQUFBQUFBQUFBQUFBQUFBQUFBQUFBQUFBQUFBQU","Cron":false,"Read-Only":false}"#
            ]],
        );
    }

    #[test]
    fn a_cron_message_is_from_the_owner_and_has_no_slot() {
        let tick = Tick {
            timestamp: Timestamp(5123),
            listed: Timestamp(5123),
            height: Height(10),
            cron: "0-5-seconds".into(),
            tags: [("Action", "Tick")].into_iter().collect(),
        };
        expect![[r#"{"Owner":"W","Target":"BwcHBwcHBwcHBwcHBwcHBwcHBwcHBwcHBwcHBwcHBwc","From":"W","Tags":[{"name":"Action","value":"Tick"}],"Timestamp":5123,"Block-Height":10,"Cron":true,"Read-Only":false}"#]]
            .assert_eq(&cron(PROCESS, "W", &tick).to_json());
    }

    #[test]
    fn a_dry_run_fills_in_target_time_and_height() {
        let sparse = DryRun {
            id: Some("1234".into()),
            signature: None,
            data: Some(Json::parse("1234").unwrap()),
            owner: "W".into(),
            target: None,
            anchor: Some(Some("0".into())),
            forwarded_by: None,
            tags: [("From-Process", "Q"), ("Owner", "kept")].into_iter().collect(),
            timestamp: None,
            block_height: Some(3),
        };
        expect![[r#"{"Id":"1234","Data":1234,"Owner":"W","Target":"BwcHBwcHBwcHBwcHBwcHBwcHBwcHBwcHBwcHBwcHBwc","Anchor":"0","From":"Q","Tags":[{"name":"From-Process","value":"Q"},{"name":"Owner","value":"kept"}],"Timestamp":77,"Block-Height":3,"Cron":false,"Read-Only":true}"#]]
            .assert_eq(&dry_run(PROCESS, sparse, 77, 88).to_json());
    }

    #[test]
    fn an_ethereum_owner_is_its_checksummed_address() {
        // The public key of the secret key 1.
        let hex = "0479be667ef9dcbbac55a06295ce870b07029bfcdb2dce28d959f2815b16f81798\
                   483ada7726a3c4655da4fbfc0e1108a8fd17b448a68554199c47d08ffb10d4b8";
        let key: Vec<u8> =
            (0..65).map(|at| u8::from_str_radix(&hex[2 * at..2 * at + 2], 16).unwrap()).collect();
        assert_eq!(owner_text(&key), "0x7E5F4552091A69125d5DfCb7b8C2659029395Bdf");
    }
}

//! Blocks, and what a node says about itself.

use protocol::Id;
use protocol::id::base64url;
use serde::{Deserialize, Serialize};
use unit::{Block, BlockHead, NodeInfo};

use super::info::Network;

/// `GET /info` of a gateway.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[expect(missing_docs, reason = "the names are the wire's")]
pub struct NodeShape {
    pub network: String,
    pub version: u32,
    pub release: u32,
    pub height: u64,
    pub current: String,
    pub blocks: u64,
    pub peers: u64,
    pub queue_length: u64,
    pub node_state_latency: u64,
    /// What a gateway of ours says beyond.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub pirn: Option<Network>,
}

impl NodeShape {
    /// What `node` is, within `network`.
    pub fn new(node: &NodeInfo, network: Option<&Network>) -> NodeShape {
        let height = node.tip.height.0;
        NodeShape {
            network: node.network.clone(),
            // That of the nodes whose answers these are.
            version: 5,
            release: 88,
            height,
            current: node.tip.hash.to_string(),
            blocks: height + 1,
            peers: 0,
            queue_length: node.queue_length,
            node_state_latency: 0,
            pirn: network.cloned(),
        }
    }
}

/// `GET /block/...`. What is not told by a weave without proof of work is a constant that can be read.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[expect(missing_docs, reason = "the names are the wire's")]
pub struct BlockShape {
    pub indep_hash: String,
    pub previous_block: String,
    pub height: u64,
    /// Seconds.
    pub timestamp: u64,
    pub txs: Vec<Id>,
    #[serde(default)]
    pub nonce: String,
    #[serde(default)]
    pub last_retarget: u64,
    #[serde(default)]
    pub diff: String,
    #[serde(default)]
    pub hash: String,
    #[serde(default)]
    pub tx_root: String,
    #[serde(default)]
    pub wallet_list: String,
    #[serde(default)]
    pub reward_addr: String,
    #[serde(default)]
    pub tags: Vec<String>,
    #[serde(default)]
    pub reward_pool: String,
    #[serde(default)]
    pub weave_size: String,
    #[serde(default)]
    pub block_size: String,
    #[serde(default)]
    pub cumulative_diff: String,
    #[serde(default)]
    pub hash_list_merkle: String,
    #[serde(default)]
    pub poa: AccessShape,
}

/// The proof of access of a block; here there is none, so that it is empty.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
#[serde(default)]
#[expect(missing_docs, reason = "the names are the wire's")]
pub struct AccessShape {
    pub option: String,
    pub tx_path: String,
    pub data_path: String,
    pub chunk: String,
}

impl From<&Block> for BlockShape {
    fn from(block: &Block) -> BlockShape {
        let BlockHead { hash, previous, height, timestamp } = block.head;
        BlockShape {
            indep_hash: hash.to_string(),
            previous_block: previous.map(|hash| hash.to_string()).unwrap_or_default(),
            height: height.0,
            timestamp: timestamp.0 / 1000,
            txs: block.transactions.clone(),
            nonce: if block.nonce > 0 { base64url(block.nonce.to_be_bytes()) } else { String::new() },
            last_retarget: timestamp.0 / 1000,
            diff: "0".to_owned(),
            hash: hash.to_string(),
            tx_root: block.tx_root.map(base64url).unwrap_or_default(),
            wallet_list: String::new(),
            reward_addr: "unclaimed".to_owned(),
            tags: Vec::new(),
            reward_pool: block.reward_pool.to_string(),
            weave_size: block.weave_size.to_string(),
            block_size: block.block_size.to_string(),
            cumulative_diff: "0".to_owned(),
            hash_list_merkle: String::new(),
            poa: AccessShape { option: "1".to_owned(), ..AccessShape::default() },
        }
    }
}

/// `GET /tx/{id}/status`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[expect(missing_docs, reason = "the names are the wire's")]
pub struct StatusShape {
    pub block_height: u64,
    pub block_indep_hash: String,
    pub number_of_confirmations: u64,
}

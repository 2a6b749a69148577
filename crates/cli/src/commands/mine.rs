//! `pirn mine`

use clap::Args;
use serde::Serialize;
use unit::{Control as _, MiningMode};

use crate::error::Result;
use crate::network::Where;
use crate::ui::Ui;

/// Make blocks on a development network, or say when they are made
#[derive(Debug, Args)]
pub struct Mine {
    /// How many blocks. Default: 1, or none with --when.
    blocks: Option<u64>,
    /// When blocks are made from now on: `auto` (shortly after something waits for one), `manual` (when asked), or every
    /// so many milliseconds of the network's clock.
    #[arg(long, value_name = "auto|manual|MS", value_parser = parse_mode)]
    when: Option<MiningMode>,
    #[command(flatten)]
    at: Where,
}

fn parse_mode(text: &str) -> Result<MiningMode, String> {
    Ok(match super::dev::parse_mining(text)? {
        weave::Mining::Auto => MiningMode::Auto,
        weave::Mining::Manual => MiningMode::Manual,
        weave::Mining::Interval(interval_ms) => MiningMode::Interval { interval_ms },
    })
}

#[derive(Serialize)]
struct Mined {
    #[serde(skip_serializing_if = "Option::is_none")]
    height: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    timestamp: Option<u64>,
    mining: MiningMode,
}

impl Mine {
    /// Sets the mode, then makes the blocks.
    pub async fn run(self, ui: Ui) -> Result {
        let control = self.at.control()?;
        let mining = match self.when {
            Some(mode) => control.set_mining(mode).await?,
            None => control.mining().await?,
        };
        let blocks = self.blocks.unwrap_or(u64::from(self.when.is_none()));
        let tip = match blocks {
            0 => None,
            blocks => Some(control.mine(blocks).await?),
        };
        let mut said = Vec::new();
        if let Some(tip) = tip {
            said.push(format!("the newest block is {}", tip.height));
        }
        if self.when.is_some() {
            said.push(match mining {
                MiningMode::Auto => "blocks are made shortly after something waits for one".to_owned(),
                MiningMode::Manual => "blocks are made when asked: `pirn mine`".to_owned(),
                MiningMode::Interval { interval_ms } => format!("blocks are made every {interval_ms} ms"),
            });
        }
        let (height, timestamp) = (tip.map(|tip| tip.height.0), tip.map(|tip| tip.timestamp.0));
        ui.answer(said.join("\n"), &Mined { height, timestamp, mining });
        Ok(())
    }
}

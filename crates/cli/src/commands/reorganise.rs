//! `pirn reorganise`

use clap::Args;
use unit::Control as _;

use crate::error::Result;
use crate::network::Where;
use crate::ui::Ui;

/// Replace the last blocks of a development network, as if the rest of it had found a longer chain
///
/// Empty blocks take the place of the old ones, and one more comes on top. What was in the old ones waits for a block
/// again; transactions that name one of them in last_tx, or that their wallet cannot pay any more, are forgotten.
#[derive(Debug, Args)]
pub struct Reorganise {
    /// How many blocks.
    #[arg(default_value_t = 1)]
    blocks: u64,
    #[command(flatten)]
    at: Where,
}

impl Reorganise {
    /// Replaces them, and says what became of what.
    pub async fn run(self, ui: Ui) -> Result {
        let done = self.at.control()?.reorganise(self.blocks).await?;
        let mut said = vec![format!("the newest block is {}", done.height)];
        said.extend(done.orphaned.iter().map(|hash| format!("orphaned   {hash}")));
        said.extend(done.dropped.iter().map(|id| format!("forgotten  {id}")));
        ui.answer(said.join("\n"), &done);
        Ok(())
    }
}

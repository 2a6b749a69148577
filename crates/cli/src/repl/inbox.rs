//! The live inbox: what the process prints for its owner, whoever caused it, as it happens.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::sync::mpsc::{SyncSender, TrySendError};
use std::time::Duration;

use tokio::time::{MissedTickBehavior, interval};
use unit::{Compute as _, Cursor, Evaluated, OutcomeQuery, Sort};

use super::session::Shared;
use crate::render::{self, Typed};

/// Milliseconds between two looks at the outcomes of a unit that does not tell of them by itself.
const EVERY_MS: u64 = 1_000;
/// Outcomes that are asked for at once.
const PAGE: usize = 100;
/// Lines of one message that are shown.
const LINES_MAX: usize = 20;
/// News that may wait until a line is edited again.
pub const WAITING_MAX: usize = 256;

/// Follows a process until the session ends; `out` prints above the line.
pub async fn follow(shared: Arc<Shared>, out: SyncSender<String>) {
    let mut ticks = interval(Duration::from_millis(EVERY_MS));
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let mut at = None;
    loop {
        ticks.tick().await;
        if !shared.live.load(Ordering::Relaxed) {
            // What happens meanwhile is not news when it is wanted again.
            at = None;
            continue;
        }
        // A unit that does not answer now may later; the person is told when they ask it for something.
        match &at {
            None => at = newest(&shared).await,
            Some(cursor) => {
                if let Some(cursor) = news(&shared, cursor.clone(), &out).await {
                    at = Some(cursor);
                }
            }
        }
    }
}

/// Where the outcomes end now. A process without any has its beginning.
async fn newest(shared: &Shared) -> Option<Cursor> {
    let query = OutcomeQuery { sort: Sort::Descending, limit: 1, ..OutcomeQuery::default() };
    let page = shared.clients.cu.results(shared.process, query).await.ok()?;
    page.items.into_iter().next().map(|one| one.cursor)
}

/// Shows what came after `from`, and says where it ends. `None` where it could not be shown now.
async fn news(shared: &Shared, from: Cursor, out: &SyncSender<String>) -> Option<Cursor> {
    // A cursor says in which order it was taken, and that beats the query.
    let from = Cursor { sort: Some(Sort::Ascending), ..from };
    let query =
        OutcomeQuery { from: Some(from), sort: Sort::Ascending, limit: PAGE, ..OutcomeQuery::default() };
    let page = shared.clients.cu.results(shared.process, query).await.ok()?;
    let mut at = None;
    for one in page.items {
        if one.message.is_some_and(|message| shared.is_own(message)) {
            at = Some(one.cursor);
            continue;
        }
        if let Some(text) = line(shared, &one)
            && let Err(TrySendError::Full(_)) = out.try_send(text)
        {
            // The same again when there is room.
            return at;
        }
        shared.saw(&one.outcome);
        at = Some(one.cursor);
    }
    at
}

/// What is shown of an outcome: news, and failures of what others sent.
fn line(shared: &Shared, one: &Evaluated) -> Option<String> {
    let (outcome, paint) = (&one.outcome, shared.paint);
    let text = match render::failure(outcome, &Typed(String::new())) {
        // Whose message it was is not known everywhere; our own failures were shown already.
        Some(_) if one.message.is_none() && one.cursor.cron.is_none() => return None,
        Some(failure) => {
            let frame = failure.frame.map(|frame| format!("\n{frame}")).unwrap_or_default();
            format!("{}{frame}", paint.red(&failure.what))
        }
        None if render::is_news(outcome) => render::output(outcome, paint),
        None => return None,
    };
    let mut lines = text.lines();
    let shown: Vec<&str> = lines.by_ref().take(LINES_MAX).collect();
    let left = lines.count();
    let more = if left > 0 {
        format!("\n{}", paint.dim(&format!("  … {left} more lines")))
    } else {
        String::new()
    };
    let what = match (&one.cursor.cron, one.cursor.ordinate) {
        (Some(cron), _) => format!("cron {cron}"),
        (None, Some(slot)) => format!("slot {slot}"),
        (None, None) => "now".to_owned(),
    };
    Some(format!("{} {}{more}", paint.cyan(&format!("◂ {what}")), shown.join("\n")))
}

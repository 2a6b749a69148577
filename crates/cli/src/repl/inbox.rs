//! The live inbox: what the process prints for its owner, whoever caused it, as it happens.
//!
//! `/results` says what there is, and a cursor where this session stands in it: so nothing is shown twice, and nothing
//! left out, whatever else breaks off. Where a unit tells events they say when to look; elsewhere it is looked at every
//! second.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::sync::mpsc::{SyncSender, TrySendError};
use std::time::Duration;

use pirn_http::client::{EventStream, EventsWanted, Options, Said, Transport};
use pirn_http::wire::event::EventShape;
use protocol::Timestamp;
use tokio::time::sleep;
use unit::{Compute as _, Cursor, Evaluated, Kind, OutcomeQuery, Result, Sort};

use super::session::Shared;
use crate::render::{self, Typed};

/// Between two looks at the outcomes of a unit that does not tell of them by itself, and between two tries to listen.
const EVERY: Duration = Duration::from_millis(1_000);
/// Between two looks at one that does: what it tells may be held up on its way.
const QUIET: Duration = Duration::from_millis(10_000);
/// Outcomes that are asked for at once.
const PAGE: usize = 100;
/// Lines of one message that are shown.
const LINES_MAX: usize = 20;
/// News that may wait until a line is edited again.
pub const WAITING_MAX: usize = 256;

/// Follows a process until the session ends; `out` prints above the line.
pub async fn follow(shared: Arc<Shared>, out: SyncSender<String>) {
    let wanted = EventsWanted {
        process: Some(shared.process),
        kinds: ["evaluated", "ticked"].map(str::to_owned).to_vec(),
        ..EventsWanted::default()
    };
    let url = shared.clients.cu.url().to_owned();
    let mut inbox = Inbox { shared, out, at: At::Unknown, behind: false, wanted, run: None, is_other: false };
    let Ok(transport) = Transport::new(Options::default()) else { return inbox.poll().await };
    loop {
        if matches!(inbox.at, At::Unknown) {
            inbox.look().await;
        }
        match EventStream::open(&transport, &url, &inbox.wanted).await {
            Ok(stream) => inbox.listen(stream).await,
            // It has none, and will have none. What told events before tells them again.
            Err(error) if !error.kind.is_transient() && inbox.run.is_none() => return inbox.poll().await,
            // Others listen; there is no room for more.
            Err(error) if matches!(error.kind, Kind::Busy { .. }) => inbox.look().await,
            // What runs there when it answers again may have another past: that is known once it tells of itself.
            Err(_) => {}
        }
        sleep(EVERY).await;
    }
}

struct Inbox {
    shared: Arc<Shared>,
    out: SyncSender<String>,
    at: At,
    /// Whether there is more than was shown.
    behind: bool,
    wanted: EventsWanted,
    /// The run of the node whose events were heard last.
    run: Option<String>,
    /// Whether the run is another than the one that `at` is of: a network that was put back to a snapshot may have less
    /// than was shown.
    is_other: bool,
}

/// How far outcomes were shown.
#[derive(Debug, Clone)]
enum At {
    /// The unit did not answer yet.
    Unknown,
    /// There were none.
    Beginning,
    After(Cursor),
}

impl Inbox {
    /// Looks again and again.
    async fn poll(mut self) {
        loop {
            self.look().await;
            sleep(EVERY).await;
        }
    }

    /// Looks whenever the unit tells of something, until the stream ends.
    async fn listen(&mut self, mut stream: EventStream) {
        loop {
            let wait = if self.behind { EVERY } else { QUIET };
            let said = tokio::select! {
                biased;
                said = stream.next() => said,
                () = sleep(wait) => {
                    self.go_back_to_newest().await;
                    self.look().await;
                    continue;
                }
            };
            self.wanted.after = stream.position().map(str::to_owned);
            match said {
                Ok(Some(Said::Open(position))) => {
                    let run = position.split_once('-').map(|(run, _)| run.to_owned());
                    self.is_other |= self.run.is_some() && self.run != run;
                    self.run = run;
                    if !self.is_other {
                        self.look().await;
                    }
                }
                Ok(Some(Said::Event(event))) => self.hear(&event).await,
                Ok(Some(Said::Missed(_))) if !self.is_other => self.look().await,
                Ok(Some(Said::Missed(_))) => {}
                // Whoever wants to know why asks the process for something.
                Ok(Some(Said::End(_)) | None) | Err(_) => return,
            }
        }
    }

    async fn hear(&mut self, event: &EventShape) {
        if std::mem::take(&mut self.is_other) {
            self.go_back_before(event).await;
        } else if let (At::After(Cursor { ordinate: Some(at), .. }), Some(slot)) = (&self.at, event.slot)
            && event.cron.is_none()
            && slot <= *at
        {
            // It was there when something before it was told.
            return;
        }
        self.look().await;
    }

    /// The first event of another run: if it is of a place that was shown before, that is no longer what it was.
    async fn go_back_before(&mut self, event: &EventShape) {
        let (At::After(at), Some(slot)) = (&self.at, event.slot) else { return };
        let shown = at.ordinate.unwrap_or_default();
        match event.due {
            Some(due) if slot < shown => {
                let timestamp = Timestamp(due.saturating_sub(1));
                self.at = At::After(Cursor { timestamp, ordinate: None, cron: None, sort: None });
            }
            None if slot <= shown => {
                let Ok(page) = self.newest(PAGE).await else {
                    self.is_other = true;
                    return;
                };
                {
                    let is_before = |one: &Evaluated| one.cursor.ordinate < Some(slot);
                    let before = page.iter().find(|one| is_before(one)).or(page.last());
                    self.at = match before {
                        Some(one) if is_before(one) || page.len() == PAGE => At::After(one.cursor.clone()),
                        _ => At::Beginning,
                    };
                }
            }
            _ => {}
        }
    }

    /// Another run in which nothing has happened yet.
    async fn go_back_to_newest(&mut self) {
        if let (true, At::After(at)) = (self.is_other, &self.at)
            && let Ok(newest) = self.newest(1).await
        {
            self.is_other = false;
            match newest.into_iter().next() {
                Some(one) if one.cursor.timestamp < at.timestamp => self.at = At::After(one.cursor),
                Some(_) => {}
                None => self.at = At::Beginning,
            }
        }
    }

    /// The newest outcomes, the newest first.
    async fn newest(&self, limit: usize) -> Result<Vec<Evaluated>> {
        let query = OutcomeQuery { sort: Sort::Descending, limit, ..OutcomeQuery::default() };
        Ok(self.shared.clients.cu.results(self.shared.process, query).await?.items)
    }

    /// Shows what there is since the last look. A unit that does not answer now may later.
    async fn look(&mut self) {
        let from = match &self.at {
            At::Unknown => {
                if let Ok(newest) = self.newest(1).await {
                    let newest = newest.into_iter().next();
                    self.at = newest.map_or(At::Beginning, |one| At::After(one.cursor));
                }
                return;
            }
            At::Beginning => None,
            // A cursor says in which order it was taken, and that beats the query.
            At::After(cursor) => Some(Cursor { sort: Some(Sort::Ascending), ..cursor.clone() }),
        };
        let query = OutcomeQuery { from, sort: Sort::Ascending, limit: PAGE, ..OutcomeQuery::default() };
        let Ok(page) = self.shared.clients.cu.results(self.shared.process, query).await else {
            self.behind = true;
            return;
        };
        self.behind = page.has_next;
        for one in page.items {
            if !self.show(&one) {
                // The same again when there is room.
                self.behind = true;
                return;
            }
            self.at = At::After(one.cursor);
        }
    }

    /// Shows an outcome, if it is news to whoever sits here. False if there is no room now.
    fn show(&self, one: &Evaluated) -> bool {
        let shared = &*self.shared;
        if one.message.is_some_and(|message| shared.is_own(message)) {
            return true;
        }
        // What happens while nobody wants to hear of it is not news later.
        if shared.live.load(Ordering::Relaxed)
            && let Some(text) = line(shared, one)
            && let Err(TrySendError::Full(_)) = self.out.try_send(text)
        {
            return false;
        }
        shared.saw(&one.outcome);
        true
    }
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

//! `.cron` and `.tick`: what comes of time.

use cu::cron::Crons;
use pirn_http::client::{Control, Options, Transport};
use protocol::{Tags, Timestamp, tag};
use unit::{
    ClockMove, Code, Compute as _, Control as _, OutcomeQuery, Scheduler as _, Sort, TimerState, TimersQuery,
};

use super::session::Shared;
use crate::error::{Context as _, Failure, Result};
use crate::render::{self, Typed};
use crate::ui::span;

/// Outcomes in which the last ticks are looked for.
const LOOKED_AT: usize = 100;

/// A cron of the process: its interval, and the end of the second in which it is due next, if it counts time.
struct Due {
    interval: String,
    next: Option<Timestamp>,
}

impl Shared {
    /// The crons of the process, and the time of its network.
    async fn dues(&self) -> Result<(Vec<Due>, Timestamp)> {
        let su = &self.clients.su;
        let record = su.process(self.process).await?;
        let now = su.now().await?.timestamp;
        let intervals = record.item.tags.all(tag::CRON_INTERVAL);
        let due = |interval: &str| {
            let alone = Tags::from_iter([(tag::CRON_INTERVAL, interval)]);
            let crons = Crons::parse(&alone).context(Code::NOT_A_PROCESS, "its crons cannot be read")?;
            Ok(Due { interval: interval.to_owned(), next: crons.next_due(record.timestamp, now) })
        };
        Ok((intervals.map(due).collect::<Result<_>>()?, now))
    }

    /// For each cron: its interval, when it is due next, when it was last, and what came of that.
    pub async fn crons(&self) -> Result<Vec<Vec<String>>> {
        let (dues, now) = self.dues().await?;
        let query = OutcomeQuery { sort: Sort::Descending, limit: LOOKED_AT, ..OutcomeQuery::default() };
        let newest = self.clients.cu.results(self.process, query).await?.items;
        let row = |due: &Due| {
            // `0-10-minutes`: after its place among them.
            let is_of = |cron: &Option<String>| {
                cron.as_deref()
                    .and_then(|cron| cron.split_once('-'))
                    .is_some_and(|(_, it)| it == due.interval)
            };
            let ticks: Vec<_> = newest.iter().filter(|one| is_of(&one.cursor.cron)).collect();
            let failures = ticks.iter().filter(|one| one.outcome.error.is_some()).count();
            let next = due
                .next
                .map_or_else(|| "with its block".to_owned(), |at| format!("in {}", span(at.0 - now.0)));
            let (last, came) = match ticks.first() {
                None => ("not of late".to_owned(), String::new()),
                Some(one) => {
                    let failure = render::failure(&one.outcome, &Typed(String::new()));
                    let came = match failure {
                        Some(failure) => failure.what,
                        None => render::output(&one.outcome, self.paint),
                    };
                    let ago = span(now.0.saturating_sub(one.cursor.timestamp.0));
                    (format!("{ago} ago"), came.lines().next().unwrap_or_default().chars().take(60).collect())
                }
            };
            vec![due.interval.clone(), next, last, format!("{failures} of {}", ticks.len()), came]
        };
        let mut rows: Vec<Vec<String>> = dues.iter().map(row).collect();
        rows.extend(self.timers().await.iter().map(|timer| timer_row(timer, now)));
        Ok(rows)
    }

    /// Its timers. A scheduler of another make tells of none, and whether there is one was asked before.
    async fn timers(&self) -> Vec<TimerState> {
        let query = TimersQuery { process: Some(self.process), after: None, limit: 1 };
        let told = self.clients.su.timers(query).await.map_or_else(|_| Vec::new(), |page| page.items);
        told.into_iter().flat_map(|told| told.timers).collect()
    }

    /// Moves the clock of a development network to when the next timer or cron is due. How far that was.
    pub async fn tick(&self) -> Result<String> {
        let (dues, now) = self.dues().await?;
        let timers = self.timers().await;
        let timers = timers.iter().filter_map(|timer| timer.next);
        let Some(next) = dues.iter().filter_map(|due| due.next).chain(timers).min() else {
            let what = format!("{} has no timer and no cron that counts time", self.process);
            return Err(
                Failure::new(Code::NOT_FOUND, what).hint("`pirn mine` makes the blocks that others count")
            );
        };
        let control = Control::new(self.clients.mu.url(), Transport::new(Options::default())?);
        control.move_clock(ClockMove::Set(next.max(now))).await?;
        Ok(span(next.0.saturating_sub(now.0)))
    }
}

/// The same of a timer, whose ticks have their slots in the log.
fn timer_row(timer: &TimerState, now: Timestamp) -> Vec<String> {
    let next = timer
        .next
        .map_or_else(|| "no more".to_owned(), |at| format!("in {}", span(at.0.saturating_sub(now.0))));
    let last = timer
        .last
        .map_or_else(|| "never".to_owned(), |at| format!("{} ago", span(now.0.saturating_sub(at.0))));
    let left = timer.budget_left.map_or_else(String::new, |left| format!(", {left} left"));
    let every = format!("{} ({})", timer.schedule, timer.name);
    vec![every, next, last, String::new(), format!("{} ticks{left}", timer.given)]
}

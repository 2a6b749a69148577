//! `pirn clock`

use chrono::DateTime;
use clap::Args;
use protocol::Timestamp;
use unit::{ClockMove, ClockState, Control as _};

use crate::error::{Failure, Result};
use crate::network::Where;
use crate::ui::{Ui, moment};

/// See or move the clock of a development network: blocks, assignments and cron follow it
#[derive(Debug, Args)]
pub struct Clock {
    /// `freeze`, `resume`, how far to advance (`+90s`, `+10m`, `+1h`, `+2d`, `+500ms`), or a moment: as
    /// `2027-01-01T00:00:00Z`, or in milliseconds since 1970. Default: only show it.
    #[arg(allow_hyphen_values = true)]
    what: Option<String>,
    #[command(flatten)]
    at: Where,
}

impl Clock {
    /// Moves it, and says what it shows.
    pub async fn run(self, ui: Ui) -> Result {
        let control = self.at.control()?;
        let state = match self.what.as_deref().map(read).transpose()? {
            None => control.clock().await?,
            Some(how) => control.move_clock(how).await?,
        };
        let ClockState { now, running } = state;
        let goes = if running { "runs" } else { "stands" };
        ui.answer(format!("{} · {now} ms since 1970 · {goes}", moment(now.0)), &state);
        Ok(())
    }
}

fn read(text: &str) -> Result<ClockMove> {
    let unreadable = || {
        Failure::usage(format!("{text:?} is no way to move a clock")).hint(
            "say freeze, resume, +1h (or ms, s, m, d), 2027-01-01T00:00:00Z, or milliseconds since 1970",
        )
    };
    match text {
        "freeze" => return Ok(ClockMove::Freeze),
        "resume" => return Ok(ClockMove::Resume),
        _ => {}
    }
    let Some(by) = text.strip_prefix('+') else {
        let date = || u64::try_from(DateTime::parse_from_rfc3339(text).ok()?.timestamp_millis()).ok();
        let at = text.parse().ok().or_else(date);
        return at.map(|at| ClockMove::Set(Timestamp(at))).ok_or_else(unreadable);
    };
    let digits = by.bytes().take_while(u8::is_ascii_digit).count();
    let (number, unit) = by.split_at(digits);
    let factor: u64 = match unit.trim() {
        "ms" => 1,
        "s" => 1000,
        "m" | "min" => 60_000,
        "h" => 3_600_000,
        "d" => 86_400_000,
        _ => return Err(unreadable()),
    };
    let ms = number.parse::<u64>().ok().and_then(|number| number.checked_mul(factor));
    ms.map(ClockMove::Advance).ok_or_else(unreadable)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ways_to_move_a_clock_are_read() {
        for (text, how) in [
            ("freeze", Some(ClockMove::Freeze)),
            ("resume", Some(ClockMove::Resume)),
            ("+1h", Some(ClockMove::Advance(3_600_000))),
            ("+500ms", Some(ClockMove::Advance(500))),
            ("+2 d", Some(ClockMove::Advance(172_800_000))),
            ("1700000000000", Some(ClockMove::Set(Timestamp(1_700_000_000_000)))),
            ("2027-01-01T00:00:00Z", Some(ClockMove::Set(Timestamp(1_798_761_600_000)))),
            ("2027-01-01T01:00:00.5+01:00", Some(ClockMove::Set(Timestamp(1_798_761_600_500)))),
            ("1960-01-01T00:00:00Z", None),
            ("+1", None),
            ("+h", None),
            ("-1h", None),
            ("soon", None),
            ("+99999999999999999999d", None),
        ] {
            assert_eq!(read(text).ok(), how, "{text}");
        }
    }
}

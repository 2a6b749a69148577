//! Cron syntax: moments in UTC at which minute, hour, day, month and day of the week are of those that were named.
//!
//! Our own and small, since what it says is part of what a process's log means: another version of a library must
//! not say otherwise. Five fields, each `*`, a number, a range `1-5`, a step `*/5` or `10-40/10`, or several with
//! commas between; months and days of the week also by their first three letters; `7` is Sunday, too. Where both
//! the day of the month and the day of the week are restricted, either will do, as in every cron. `@hourly`,
//! `@daily`, `@weekly`, `@monthly` and `@yearly` are known.

use serde::{Deserialize, Serialize};

/// The moments that five fields describe. Whole minutes.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Calendar {
    /// A bit for each minute of the hour.
    minutes: u64,
    /// A bit for each hour of the day.
    hours: u64,
    /// A bit for each day of the month; bit 0 is unused.
    days: u64,
    /// A bit for each month; bit 0 is unused.
    months: u64,
    /// A bit for each day of the week; bit 0 is Sunday.
    weekdays: u64,
    /// Whether a day is of those only if both fields have it: one of them was `*`.
    both: bool,
}

const MINUTE_MS: u64 = 60_000;
const DAY_MS: u64 = 24 * 60 * MINUTE_MS;
/// Days that are looked at for the next moment. The 29th of February is at most eight years away.
const DAYS_MAX: u64 = 8 * 366;
/// Nothing is due after the year 9999.
const END_MS: u64 = 253_402_300_800_000;

const MONTHS: [&str; 12] =
    ["jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec"];
const WEEKDAYS: [&str; 7] = ["sun", "mon", "tue", "wed", "thu", "fri", "sat"];

impl Calendar {
    /// Reads cron syntax; says what is wrong with it.
    pub fn parse(text: &str) -> Result<Calendar, String> {
        let text = match text.trim() {
            "@hourly" => "0 * * * *",
            "@daily" | "@midnight" => "0 0 * * *",
            "@weekly" => "0 0 * * 0",
            "@monthly" => "0 0 1 * *",
            "@yearly" | "@annually" => "0 0 1 1 *",
            other => other,
        };
        let fields: Vec<&str> = text.split_ascii_whitespace().collect();
        let &[minute, hour, day, month, weekday] = &fields[..] else {
            return Err(format!("cron syntax has 5 fields, this has {}", fields.len()));
        };
        let weekdays = field(weekday, 0, 7, &WEEKDAYS, 0)?;
        let calendar = Calendar {
            minutes: field(minute, 0, 59, &[], 0)?,
            hours: field(hour, 0, 23, &[], 0)?,
            days: field(day, 1, 31, &[], 0)?,
            months: field(month, 1, 12, &MONTHS, 1)?,
            weekdays: (weekdays | weekdays >> 7) & 0x7f,
            both: day.starts_with('*') || weekday.starts_with('*'),
        };
        match calendar.after(0) {
            Some(_) => Ok(calendar),
            None => Err("no calendar has such a day".to_owned()),
        }
    }

    /// The first moment after `ms`. Milliseconds since 1970, as everywhere here.
    pub fn after(&self, ms: u64) -> Option<u64> {
        let from = ms.checked_add(1)?.div_ceil(MINUTE_MS) * MINUTE_MS;
        let first = from / DAY_MS;
        for day in first..=first + DAYS_MAX {
            if day * DAY_MS >= END_MS {
                return None;
            }
            if self.has_day(day) {
                let minute = if day == first { from % DAY_MS / MINUTE_MS } else { 0 };
                if let Some(at) = (minute..24 * 60).find(|minute| self.has_minute(*minute)) {
                    return Some(day * DAY_MS + at * MINUTE_MS);
                }
            }
        }
        None
    }

    /// The last moment at or before `ms`.
    pub fn until(&self, ms: u64) -> Option<u64> {
        let last = ms / DAY_MS;
        for day in (last.saturating_sub(DAYS_MAX)..=last).rev() {
            if self.has_day(day) {
                let minute = if day == last { ms % DAY_MS / MINUTE_MS } else { 24 * 60 - 1 };
                if let Some(at) = (0..=minute).rev().find(|minute| self.has_minute(*minute)) {
                    return Some(day * DAY_MS + at * MINUTE_MS);
                }
            }
        }
        None
    }

    fn has_minute(&self, minute: u64) -> bool {
        has(self.hours, minute / 60) && has(self.minutes, minute % 60)
    }

    fn has_day(&self, day: u64) -> bool {
        let (month, of_month) = civil(day);
        // The first of January 1970 was a Thursday.
        let (in_month, in_week) = (has(self.days, of_month), has(self.weekdays, (day + 4) % 7));
        has(self.months, month) && if self.both { in_month && in_week } else { in_month || in_week }
    }
}

fn has(bits: u64, bit: u64) -> bool {
    bits >> bit & 1 == 1
}

/// Month and day of the month of a day since 1970, by the Gregorian calendar: years that begin in March have their
/// odd day at their end.
fn civil(day: u64) -> (u64, u64) {
    let of_era = (day + 719_468) % 146_097;
    let year = (of_era - of_era / 1460 + of_era / 36_524 - of_era / 146_096) / 365;
    let of_year = of_era - (365 * year + year / 4 - year / 100);
    let month = (5 * of_year + 2) / 153;
    (if month < 10 { month + 3 } else { month - 9 }, of_year - (153 * month + 2) / 5 + 1)
}

/// One field as bits.
fn field(text: &str, min: u64, max: u64, names: &[&str], first_name: u64) -> Result<u64, String> {
    let wrong = |why: &str| format!("{text:?} {why}");
    let number = |part: &str| -> Result<u64, String> {
        let named = names.iter().position(|name| part.eq_ignore_ascii_case(name));
        let number = match named {
            Some(at) => at as u64 + first_name,
            None if part.bytes().all(|byte| byte.is_ascii_digit()) => {
                part.parse().map_err(|_| wrong("has a field that is no number"))?
            }
            None => return Err(wrong("has a field that is no number")),
        };
        match (min..=max).contains(&number) {
            true => Ok(number),
            false => Err(wrong(&format!("is not within {min} and {max}"))),
        }
    };
    let mut bits = 0;
    for part in text.split(',') {
        let (range, step) = match part.split_once('/') {
            Some((range, step)) => {
                let step = step.parse().ok().filter(|step: &u64| *step > 0 && *step <= max);
                (range, Some(step.ok_or_else(|| wrong("has a step that is none"))?))
            }
            None => (part, None),
        };
        let (from, to) = match (range, range.split_once('-')) {
            ("*", _) => (min, max),
            (_, Some((from, to))) => (number(from)?, number(to)?),
            (one, None) => {
                let one = number(one)?;
                (one, if step.is_some() { max } else { one })
            }
        };
        if from > to {
            return Err(wrong("has a range that goes down"));
        }
        (from..=to).step_by(step.unwrap_or(1) as usize).for_each(|at| bits |= 1 << at);
    }
    Ok(bits)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// 2024-02-26 12:34:56.789, a Monday.
    const MONDAY: u64 = 1_708_950_896_789;

    fn at(day: u64, hour: u64, minute: u64) -> u64 {
        MONDAY / DAY_MS * DAY_MS + day * DAY_MS + (hour * 60 + minute) * MINUTE_MS
    }

    #[track_caller]
    fn check(text: &str, next: [u64; 3]) {
        let calendar = Calendar::parse(text).unwrap();
        let mut now = MONDAY;
        let mut given = Vec::new();
        for _ in 0..3 {
            now = calendar.after(now).unwrap();
            given.push(now);
            assert_eq!(calendar.until(now), Some(now));
            assert!(calendar.until(now + MINUTE_MS - 1).is_some_and(|it| it >= now));
            assert_eq!(calendar.after(now - 1), Some(now));
        }
        assert_eq!(given, next, "{text}");
    }

    #[test]
    fn moments_come_in_their_order() {
        check("* * * * *", [at(0, 12, 35), at(0, 12, 36), at(0, 12, 37)]);
        check("*/20 * * * *", [at(0, 12, 40), at(0, 13, 0), at(0, 13, 20)]);
        check("5,10-14/2 3 * * *", [at(1, 3, 5), at(1, 3, 10), at(1, 3, 12)]);
        check("@daily", [at(1, 0, 0), at(2, 0, 0), at(3, 0, 0)]);
        check("0 9 * * mon-WED", [at(1, 9, 0), at(2, 9, 0), at(7, 9, 0)]);
        check("0 9 * * 7", [at(6, 9, 0), at(13, 9, 0), at(20, 9, 0)]);
        // 29 February 2024 is three days later, 1 March four: a leap year.
        check("0 0 29,1 * *", [at(3, 0, 0), at(4, 0, 0), at(32, 0, 0)]);
        check("0 0 29 feb *", [at(3, 0, 0), at(3 + 1461, 0, 0), at(3 + 2 * 1461, 0, 0)]);
        // The first of the month or a Friday.
        check("0 0 1 * 5", [at(4, 0, 0), at(11, 0, 0), at(18, 0, 0)].map(|it| it));
    }

    #[test]
    fn what_is_no_cron_syntax_is_told() {
        for text in [
            "",
            "* * * *",
            "* * * * * *",
            "60 * * * *",
            "* 24 * * *",
            "* * 0 * *",
            "* * * 13 *",
            "* * * * 8",
            "a * * * *",
            "5-1 * * * *",
            "*/0 * * * *",
            "*/99 * * * *",
            ", * * * *",
            "1-2-3 * * * *",
            "0 0 30 2 *",
            "-1 * * * *",
            "*/ * * * *",
            "0 0 31 4,6 *",
        ] {
            assert!(Calendar::parse(text).is_err(), "{text:?}");
        }
    }

    #[test]
    fn what_comes_before_is_what_comes_after_backwards() {
        for text in ["*/7 */5 * * *", "0 0 31 * *", "30 4 1,15 * 5", "0 0 29 2 *", "59 23 * 12 0"] {
            let calendar = Calendar::parse(text).unwrap();
            let (mut now, mut before) = (MONDAY, None);
            for _ in 0..40 {
                let Some(next) = calendar.after(now) else { break };
                if let Some(before) = before {
                    assert_eq!(calendar.until(next - 1), Some(before), "{text}");
                }
                (now, before) = (next, Some(next));
            }
        }
    }
}

//! What tags say of timers: those of a process when it begins, and those of a message that sets some.

use protocol::{Tag, Tags, Timestamp, tag};

use super::calendar::Calendar;
use super::timer::{Missed, Schedule, Timer};
use super::{
    CATCH_UP_MAX, INTERVAL_MS_MIN, NAME_BYTES_MAX, TAG_NAME_BYTES_MAX, TAG_VALUE_BYTES_MAX, TAGS_MAX,
};

/// Opens a timer that is due every so often: `5-minutes`.
pub const INTERVAL: &str = "Tick-Interval";
/// Opens a timer that is due at moments of the calendar: `*/5 * * * *`, in UTC.
pub const CRON: &str = "Tick-Cron";
/// What the timer is called. One that is set again under its name is replaced.
pub const NAME: &str = "Tick-Name";
const START: &str = "Tick-Start";
const END: &str = "Tick-End";
const MISSED: &str = "Tick-Missed";
const BUDGET: &str = "Tick-Budget";
/// Before the name of a tag that its ticks carry.
const TAG_PREFIX: &str = "Tick-Tag-";

/// Names that the author of a timer gives to no tag of its ticks: what they say is not his to say.
const RESERVED: &[&str] = &[
    tag::DATA_PROTOCOL,
    tag::VARIANT,
    tag::TYPE,
    tag::FROM_PROCESS,
    tag::FROM_MODULE,
    tag::PUSHED_FOR,
    tag::MODULE,
    tag::SCHEDULER,
    tag::AUTHORITY,
    "From",
    "Owner",
    "Target",
    "Cron",
];

/// The timers that tags open, in their order, set at `now`; or why they are not understood, and then none is set.
pub(super) fn read(tags: &Tags, now: Timestamp) -> Result<Vec<Timer>, String> {
    let mut timers: Vec<Timer> = Vec::new();
    for Tag { name, value } in tags {
        if name == INTERVAL || name == CRON {
            let schedule = match name == INTERVAL {
                true => Schedule::Every { ms: interval(value)?, from: now.0 },
                false => Schedule::Calendar(Calendar::parse(value).map_err(|why| format!("{CRON}: {why}"))?),
            };
            let number = timers.len() + 1;
            timers.push(Timer::new(format!("timer-{number}"), schedule, value.clone(), now));
            continue;
        }
        if !name.starts_with("Tick-") {
            continue;
        }
        let Some(timer) = timers.last_mut() else {
            return Err(format!("the tag {name} stands before any {INTERVAL} or {CRON}"));
        };
        let of = |why: String| format!("{name}: {why}");
        match name.as_str() {
            NAME => timer.name = checked_name(value).map_err(of)?.to_owned(),
            START => timer.start_at(moment(value).map_err(of)?),
            END => timer.end = Some(moment(value).map_err(of)?),
            MISSED => timer.missed = missed(value).map_err(of)?,
            BUDGET => timer.budget = Some(number(value).map_err(of)?),
            _ => {
                // Others are of a later version, or a script's own.
                if let Some(of_tick) = name.strip_prefix(TAG_PREFIX) {
                    let given = Tag::new(of_tick, value);
                    check_tag(&given).map_err(of)?;
                    if timer.tags.iter().count() >= TAGS_MAX {
                        return Err(format!("a tick has at most {TAGS_MAX} tags of its author"));
                    }
                    timer.tags.0.push(given);
                }
            }
        }
    }
    if let Some(twice) =
        timers.iter().enumerate().find(|(at, one)| timers[..*at].iter().any(|it| it.name == one.name))
    {
        return Err(format!("two timers are called {:?}", twice.1.name));
    }
    Ok(timers)
}

/// Whether tags say anything of timers.
pub(super) fn has_some(tags: &Tags) -> bool {
    tags.iter().any(|tag| tag.name == INTERVAL || tag.name == CRON)
}

fn checked_name(text: &str) -> Result<&str, String> {
    match text {
        "" => Err("a name has at least one character".to_owned()),
        "*" => Err("* means all timers, and is no name".to_owned()),
        long if long.len() > NAME_BYTES_MAX => Err(format!("a name has at most {NAME_BYTES_MAX} bytes")),
        name => Ok(name),
    }
}

fn check_tag(tag: &Tag) -> Result<(), String> {
    if tag.name.is_empty() || tag.name.len() > TAG_NAME_BYTES_MAX || tag.value.len() > TAG_VALUE_BYTES_MAX {
        return Err(format!(
            "a tag has a name of 1 to {TAG_NAME_BYTES_MAX} bytes and a value of at most {TAG_VALUE_BYTES_MAX}"
        ));
    }
    let is_ours = tag.name.to_ascii_lowercase().starts_with("tick-");
    if is_ours || RESERVED.iter().any(|name| name.eq_ignore_ascii_case(&tag.name)) {
        return Err(format!("{} is said by the scheduler, not by the timer", tag.name));
    }
    if tag.name.ends_with("+link") || tag.value.ends_with("+link") {
        return Err("neither a name nor a value ends in +link".to_owned());
    }
    Ok(())
}

/// `5-minutes` as milliseconds. Whole numbers of seconds, minutes, hours, days, weeks or years of 365 days.
fn interval(text: &str) -> Result<u64, String> {
    let wrong = || format!("{INTERVAL}: {text:?} is no interval such as 30-seconds, 5-minutes or 1-day");
    let (count, unit) = text.trim().split_once('-').ok_or_else(wrong)?;
    let count = number(count.trim()).map_err(|_| wrong())?;
    let unit: u64 = match unit.trim().to_ascii_lowercase().as_str() {
        "ms" | "millisecond" | "milliseconds" => 1,
        "s" | "sec" | "secs" | "second" | "seconds" => 1000,
        "m" | "min" | "mins" | "minute" | "minutes" => 60_000,
        "h" | "hr" | "hrs" | "hour" | "hours" => 3_600_000,
        "d" | "day" | "days" => 86_400_000,
        "w" | "week" | "weeks" => 7 * 86_400_000,
        "y" | "yr" | "yrs" | "year" | "years" => 365 * 86_400_000,
        _ => return Err(wrong()),
    };
    match count.checked_mul(unit) {
        Some(ms) if (INTERVAL_MS_MIN..1 << 50).contains(&ms) => Ok(ms),
        _ => Err(format!(
            "{INTERVAL}: {text:?} is shorter than {INTERVAL_MS_MIN} ms, or longer than anybody lives"
        )),
    }
}

fn missed(text: &str) -> Result<Missed, String> {
    match text {
        "skip" => Ok(Missed::Skip),
        "once" => Ok(Missed::Once),
        all => {
            let n = all.strip_prefix("all-").and_then(|n| number(n).ok());
            let n = n.filter(|n| (1..=CATCH_UP_MAX).contains(n));
            n.map(Missed::All)
                .ok_or_else(|| format!("it is skip, once, or all-1 to all-{CATCH_UP_MAX}, not {all:?}"))
        }
    }
}

/// Milliseconds since 1970, or `2026-11-29` with or without `T10:00`, `:00`, `.000` and `Z`.
fn moment(text: &str) -> Result<u64, String> {
    let wrong =
        || format!("{text:?} is neither milliseconds since 1970 nor a time such as 2026-11-29T10:00:00Z");
    if let Ok(ms) = number(text) {
        return if ms < 1 << 53 { Ok(ms) } else { Err(wrong()) };
    }
    let text_of = text.strip_suffix('Z').unwrap_or(text);
    let (date, time) = text_of.split_once('T').unwrap_or((text_of, "0:0"));
    let date: Vec<u64> = date.split('-').map(number).collect::<Result<_, _>>().map_err(|_| wrong())?;
    let (time, fraction) = time.split_once('.').unwrap_or((time, "0"));
    let mut time: Vec<u64> = time.split(':').map(number).collect::<Result<_, _>>().map_err(|_| wrong())?;
    time.resize(time.len().max(3), 0);
    let milli = match fraction.len() {
        1..=3 => number(fraction).map_err(|_| wrong())? * 10_u64.pow(3 - fraction.len() as u32),
        _ => return Err(wrong()),
    };
    let (&[year, month, day], &[hour, minute, second]) = (&date[..], &time[..]) else { return Err(wrong()) };
    let fits = (1970..10_000).contains(&year) && hour < 24 && minute < 60 && second < 60;
    let is_leap = year % 4 == 0 && (year % 100 != 0 || year % 400 == 0);
    let lengths = [31, if is_leap { 29 } else { 28 }, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31];
    let month_at = (month as usize).wrapping_sub(1);
    if !fits || month_at >= 12 || day < 1 || day > lengths[month_at] {
        return Err(wrong());
    }
    let leaps = |year: u64| year / 4 - year / 100 + year / 400;
    let days = (year - 1970) * 365 + leaps(year - 1) - leaps(1969)
        + lengths[..month_at].iter().sum::<u64>()
        + (day - 1);
    Ok((((days * 24 + hour) * 60 + minute) * 60 + second) * 1000 + milli)
}

fn number(text: &str) -> Result<u64, String> {
    let digits = !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
    digits.then(|| text.parse().ok()).flatten().ok_or_else(|| format!("{text:?} is no whole number"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn moments_are_read() {
        for (text, ms) in [
            ("0", 0),
            ("1700000000000", 1_700_000_000_000),
            ("1970-01-01", 0),
            ("2023-11-14T22:13:20Z", 1_700_000_000_000),
            ("2024-02-29T00:00", 1_709_164_800_000),
            ("2000-03-01T00:00:00.5Z", 951_868_800_500),
            ("2026-11-29T09:30:01.250", 1_795_944_601_250),
        ] {
            assert_eq!(moment(text), Ok(ms), "{text}");
        }
        for text in [
            "",
            "x",
            "2023-02-29",
            "2023-13-01",
            "2023-00-01",
            "2023-01-00",
            "2023-01-01T24:00",
            "1-1-1",
            "2023-01-01T1:1:1:1",
            "9007199254740993",
            "2023-01-01T00:00:00.1234",
            "-5",
            "٣",
        ] {
            assert!(moment(text).is_err(), "{text}");
        }
    }

    #[test]
    fn intervals_are_read() {
        let read = |text| interval(text).ok();
        assert_eq!(read("5-minutes"), Some(300_000));
        assert_eq!(read("1-Day"), Some(86_400_000));
        assert_eq!([read("2-years"), read("90-s")], [Some(2 * 365 * 86_400_000), Some(90_000)]);
        for text in [
            "",
            "5",
            "minutes",
            "-minutes",
            "0-seconds",
            "999-ms",
            "1.5-hours",
            "3-blocks",
            "5-minutes-x",
            "99999999999999999999-days",
            "9999999999999-years",
        ] {
            assert_eq!(read(text), None, "{text}");
        }
    }
}

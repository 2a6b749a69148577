//! Time, of which there is none: a counter of milliseconds that every look advances, and UTC.

use super::Call;
use crate::format::Width;

const DAY: i64 = 86_400;
/// No date is further from 1970, milliseconds: where JavaScript's calendar ends.
const DATE_MS_MAX: i64 = 8_640_000_000_000_000;

/// What the counter says to the first look of a message. It starts at 10000 and the glue of the reference
/// looks four times while it makes its standard files.
pub(super) const FIRST: u64 = 10_004;

/// `Date.now()`.
pub(super) fn date_now(call: &mut Call<'_, '_>) -> wasmtime::Result<i64> {
    if call.format().clock_stands {
        return Ok(0);
    }
    get_now(call)
}

/// `performance.now()`.
pub(super) fn get_now(call: &mut Call<'_, '_>) -> wasmtime::Result<i64> {
    Ok(look(call) as i64)
}

/// The time, which goes on for being looked at.
pub(super) fn look(call: &mut Call<'_, '_>) -> u64 {
    let now = peek(call);
    call.moment().clock = now + 1;
    now
}

/// The time that the next look will see.
pub(super) fn peek(call: &mut Call<'_, '_>) -> u64 {
    call.moment().clock
}

/// `tzset`: UTC, no summer time.
pub(super) fn set_zone(call: &mut Call<'_, '_>) -> wasmtime::Result<i64> {
    let names = call.pointer(2);
    if call.n_arguments() == 4 {
        call.put_word(call.pointer(0), 0)?;
        call.put_i32(call.pointer(1), 0)?;
        // One glue takes the long name, and six letters of it.
        let name: &[u8] = if call.format().has_environment { b"Coordi\0" } else { b"UTC\0" };
        call.put(call.pointer(3), name)?;
        call.put(names, name)?;
        return Ok(0);
    }
    // Older glue allocates the names, once. That it has is in the memory.
    if call.get_word(names)? != 0 {
        return Ok(0);
    }
    call.put_word(call.pointer(0), 0)?;
    call.put_i32(call.pointer(1), 0)?;
    let Some(malloc) = call.exports()?.malloc.clone() else { return Ok(0) };
    let name = b"Coordinated Universal Time\0";
    for slot in [names, names + call.width().bytes()] {
        let at = malloc.call(&mut *call.caller, &[name.len() as u64])?;
        call.put(at, name)?;
        call.put_word(slot, at)?;
    }
    Ok(0)
}

/// `timegm`: the seconds of a `struct tm`, which is normalised on the way.
pub(super) fn make_time(call: &mut Call<'_, '_>) -> wasmtime::Result<i64> {
    let tm = call.pointer(0);
    let mut field = |index: u64| Ok::<_, wasmtime::Error>(i64::from(call.get_i32(tm + 4 * index)?));
    let (second, minute, hour, day) = (field(0)?, field(1)?, field(2)?, field(3)?);
    let (month, mut year) = (field(4)?, field(5)? + 1900);
    let summer = field(8)?;
    // As the JavaScript calendar has it, where the years of the first century are those of the 20th.
    if (0..100).contains(&year) {
        year += 1900;
    }
    let days = days_of(year + month.div_euclid(12), month.rem_euclid(12) + 1, 1) + day - 1;
    let seconds = days * DAY + hour * 3600 + minute * 60 + second;
    if seconds.abs() > DATE_MS_MAX / 1000 {
        return Ok(-1);
    }
    if summer < 0 {
        call.put_i32(tm + 32, 0)?;
    }
    put_tm(call, tm, seconds)?;
    Ok(seconds)
}

/// `gmtime`.
pub(super) fn split_utc(call: &mut Call<'_, '_>) -> wasmtime::Result<i64> {
    let (seconds, tm) = time_and_tm(call)?;
    put_tm(call, tm, seconds)?;
    Ok(0)
}

/// `localtime`, which is UTC.
pub(super) fn split_local(call: &mut Call<'_, '_>) -> wasmtime::Result<i64> {
    let (seconds, tm) = time_and_tm(call)?;
    put_tm(call, tm, seconds)?;
    call.put_i32(tm + 32, 0)?;
    let offset = tm + if call.width() == Width::W32 { 36 } else { 40 };
    call.put_word(offset, 0)?;
    Ok(0)
}

/// The time comes as a pointer to 32 bits, as two halves, or as 64 bits.
fn time_and_tm(call: &mut Call<'_, '_>) -> wasmtime::Result<(i64, u64)> {
    if call.n_arguments() == 3 {
        let seconds = i64::from(call.i32(0) as u32) | (call.int(1) << 32);
        return Ok((seconds, call.pointer(2)));
    }
    let seconds = match call.width() {
        Width::W32 => i64::from(call.get_i32(call.pointer(0))?),
        Width::W64 => call.int(0),
    };
    Ok((seconds, call.pointer(1)))
}

fn put_tm(call: &mut Call<'_, '_>, tm: u64, seconds: i64) -> wasmtime::Result<()> {
    let fields = if seconds.unsigned_abs() > DATE_MS_MAX as u64 / 1000 {
        // What is no date has no parts.
        [0; 8]
    } else {
        parts(seconds)
    };
    for (index, value) in fields.into_iter().enumerate() {
        call.put_i32(tm + 4 * index as u64, value as i32)?;
    }
    Ok(())
}

/// Second, minute, hour, day, month (0 to 11), years since 1900, weekday, day of the year.
fn parts(seconds: i64) -> [i64; 8] {
    let (days, rest) = (seconds.div_euclid(DAY), seconds.rem_euclid(DAY));
    let (year, month, day) = date_of(days);
    let weekday = (days + 4).rem_euclid(7);
    let day_of_year = days - days_of(year, 1, 1);
    [rest % 60, rest / 60 % 60, rest / 3600, day, month - 1, year - 1900, weekday, day_of_year]
}

/// Days from 1970 to a date of the Gregorian calendar; months from 1.
fn days_of(year: i64, month: i64, day: i64) -> i64 {
    // Years begin in March, so that the leap day is the last.
    let year = if month <= 2 { year - 1 } else { year };
    let era = year.div_euclid(400);
    let of_era = year.rem_euclid(400);
    let of_year = (153 * ((month + 9) % 12) + 2) / 5 + day - 1;
    era * 146_097 + of_era * 365 + of_era / 4 - of_era / 100 + of_year - 719_468
}

/// The date that many days after 1970: year, month from 1, day.
fn date_of(days: i64) -> (i64, i64, i64) {
    let days = days + 719_468;
    let era = days.div_euclid(146_097);
    let of_era = days.rem_euclid(146_097);
    let year = (of_era - of_era / 1460 + of_era / 36_524 - of_era / 146_096) / 365;
    let of_year = of_era - (365 * year + year / 4 - year / 100);
    let shifted = (5 * of_year + 2) / 153;
    let day = of_year - (153 * shifted + 2) / 5 + 1;
    let month = if shifted < 10 { shifted + 3 } else { shifted - 9 };
    (year + era * 400 + i64::from(month <= 2), month, day)
}

/// `strftime`: the text of a `struct tm`; 0 if it does not fit.
pub(super) fn format_time(call: &mut Call<'_, '_>) -> wasmtime::Result<i64> {
    let (to, room, pattern, tm) = (call.pointer(0), call.pointer(1), call.pointer(2), call.pointer(3));
    let mut fields = [0; 10];
    for (index, field) in fields[..9].iter_mut().enumerate() {
        *field = i64::from(call.get_i32(tm + 4 * index as u64)?);
    }
    let (offset, zone) = if call.width() == Width::W32 { (36, 40) } else { (40, 48) };
    fields[9] = call.get_word(tm + offset)? as i64;
    let zone = call.get_word(tm + zone)?;
    let zone = if zone == 0 { String::new() } else { call.string(zone)? };
    let pattern = call.string(pattern)?;
    let text = format_pattern(&pattern, &fields, &zone);
    if text.len() as u64 + 1 > room {
        return Ok(0);
    }
    call.put(to, text.as_bytes())?;
    call.put(to + text.len() as u64, &[0])?;
    Ok(text.len() as i64)
}

const WEEKDAYS: [&str; 7] = ["Sunday", "Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday"];
const MONTHS: [&str; 12] = [
    "January",
    "February",
    "March",
    "April",
    "May",
    "June",
    "July",
    "August",
    "September",
    "October",
    "November",
    "December",
];

/// Conversions that stand for others. In the order in which they are replaced.
const ABBREVIATIONS: [(&str, &str); 28] = [
    ("%c", "%a %b %d %H:%M:%S %Y"),
    ("%D", "%m/%d/%y"),
    ("%F", "%Y-%m-%d"),
    ("%h", "%b"),
    ("%r", "%I:%M:%S %p"),
    ("%R", "%H:%M"),
    ("%T", "%H:%M:%S"),
    ("%x", "%m/%d/%y"),
    ("%X", "%H:%M:%S"),
    ("%Ec", "%c"),
    ("%EC", "%C"),
    ("%Ex", "%m/%d/%y"),
    ("%EX", "%H:%M:%S"),
    ("%Ey", "%y"),
    ("%EY", "%Y"),
    ("%Od", "%d"),
    ("%Oe", "%e"),
    ("%OH", "%H"),
    ("%OI", "%I"),
    ("%Om", "%m"),
    ("%OM", "%M"),
    ("%OS", "%S"),
    ("%Ou", "%u"),
    ("%OU", "%U"),
    ("%OV", "%V"),
    ("%Ow", "%w"),
    ("%OW", "%W"),
    ("%Oy", "%y"),
];

/// Fills a pattern in. Replaces one conversion after the other, as the reference does: `%%c` is a percent
/// sign and a date.
fn format_pattern(pattern: &str, tm: &[i64; 10], zone: &str) -> String {
    let [second, minute, hour, day, month, year, weekday, day_of_year, _, offset] = *tm;
    let mut text = pattern.to_owned();
    for (short, long) in ABBREVIATIONS {
        if text.contains(short) {
            text = text.replace(short, long);
        }
    }
    text = text.replace("%%", "\0\0");
    let name = |names: &[&'static str], index: i64| names.get(index as usize).copied().unwrap_or("");
    let monday = (weekday + 6) % 7;
    let conversions: [(&str, &dyn Fn() -> String); 26] = [
        ("%a", &|| name(&WEEKDAYS, weekday).chars().take(3).collect()),
        ("%A", &|| name(&WEEKDAYS, weekday).to_owned()),
        ("%b", &|| name(&MONTHS, month).chars().take(3).collect()),
        ("%B", &|| name(&MONTHS, month).to_owned()),
        ("%C", &|| format!("{:02}", (year + 1900) / 100)),
        ("%d", &|| format!("{day:02}")),
        ("%e", &|| format!("{day:>2}")),
        ("%g", &|| week_year(year + 1900, day_of_year).to_string().chars().skip(2).collect()),
        ("%G", &|| week_year(year + 1900, day_of_year).to_string()),
        ("%H", &|| format!("{hour:02}")),
        ("%I", &|| {
            format!(
                "{:02}",
                if hour == 0 {
                    12
                } else if hour > 12 {
                    hour - 12
                } else {
                    hour
                }
            )
        }),
        ("%j", &|| format!("{:03}", day + days_of(year + 1900, month + 1, 1) - days_of(year + 1900, 1, 1))),
        ("%m", &|| format!("{:02}", month + 1)),
        ("%M", &|| format!("{minute:02}")),
        ("%n", &|| "\n".to_owned()),
        ("%p", &|| if (0..12).contains(&hour) { "AM" } else { "PM" }.to_owned()),
        ("%S", &|| format!("{second:02}")),
        ("%t", &|| "\t".to_owned()),
        ("%u", &|| if weekday == 0 { 7 } else { weekday }.to_string()),
        ("%U", &|| format!("{:02}", (day_of_year + 7 - weekday).div_euclid(7))),
        ("%V", &|| format!("{:02}", week(year, day_of_year, weekday))),
        ("%w", &|| weekday.to_string()),
        ("%W", &|| format!("{:02}", (day_of_year + 7 - monday).div_euclid(7))),
        ("%y", &|| (year + 1900).to_string().chars().skip(2).collect()),
        ("%Y", &|| (year + 1900).to_string()),
        ("%z", &|| zone_offset(offset)),
    ];
    for (conversion, value) in conversions {
        if text.contains(conversion) {
            text = text.replace(conversion, &value());
        }
    }
    text.replace("%Z", zone).replace("\0\0", "%")
}

fn zone_offset(seconds: i64) -> String {
    let minutes = seconds.abs() / 60;
    format!("{}{:04}", if seconds >= 0 { '+' } else { '-' }, minutes / 60 * 100 + minutes % 60)
}

fn is_leap(year: i64) -> bool {
    year % 4 == 0 && (year % 100 != 0 || year % 400 == 0)
}

/// Week of the year after ISO 8601, with the reference's own idea of which years are leap.
fn week(year: i64, day_of_year: i64, weekday: i64) -> i64 {
    let mut week = (day_of_year + 7 - (weekday + 6) % 7).div_euclid(7);
    if (weekday + 371 - day_of_year - 2) % 7 <= 2 {
        week += 1;
    }
    if week == 0 {
        week = 52;
        let last = (weekday + 7 - day_of_year - 1) % 7;
        if last == 4 || (last == 5 && is_leap(year % 400 - 1)) {
            week += 1;
        }
    } else if week == 53 {
        let first = (weekday + 371 - day_of_year) % 7;
        if first != 4 && (first != 3 || !is_leap(year)) {
            week = 1;
        }
    }
    week
}

/// Year that the week of a day belongs to, after ISO 8601.
fn week_year(year: i64, day_of_year: i64) -> i64 {
    let day = days_of(year, 1, 1) + day_of_year;
    // The week belongs to the year that its Thursday is in.
    let thursday = day - (day + 3).rem_euclid(7) + 3;
    date_of(thursday).0
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(seconds: i64, pattern: &str, text: &str) {
        let mut tm = [0; 10];
        tm[..8].copy_from_slice(&parts(seconds));
        assert_eq!(format_pattern(pattern, &tm, "UTC"), text, "{seconds} {pattern}");
    }

    #[test]
    fn dates_are_written_as_c_writes_them() {
        check(
            0,
            "%Y-%m-%d %H:%M:%S %j %a %A %b %B %p %Z %z",
            "1970-01-01 00:00:00 001 Thu Thursday Jan January AM UTC +0000",
        );
        check(951_782_400, "%F %j %u %w %e %y %C", "2000-02-29 060 2 2 29 00 20");
        check(1_230_768_000, "%G-W%V %g", "2009-W01 09");
        check(1_104_537_600, "%G-W%V", "2004-W53");
        check(
            1_718_000_000,
            "%c|%D|%r|%R|%T|%x|%X",
            "Mon Jun 10 06:13:20 2024|06/10/24|06:13:20 AM|06:13|06:13:20|06/10/24|06:13:20",
        );
        check(-1, "%Y-%m-%d %T", "1969-12-31 23:59:59");
        check(0, "100%% %% %n%t.", "100% % \n\t.");
    }

    #[test]
    fn a_date_and_its_days_are_the_same() {
        for days in (-800_000..800_000).step_by(97) {
            let (year, month, day) = date_of(days);
            assert_eq!(days_of(year, month, day), days);
        }
    }
}

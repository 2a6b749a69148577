//! When the crons of a process are due. Pure: crons, schedule and blocks in, ticks out.
//!
//! A process asks for crons in its tags; between two entries of its schedule they run at seconds counted from its
//! origin (the time and block of slot 0), and at blocks. Which ticks there are depends on nothing but the process's
//! tags, the two entries and the blocks between their heights, so every operator finds the same, whenever asked.
//!
//! # The tail
//!
//! After the newest entry ticks run up to "now", and what is right then may be contradicted later: by an entry whose
//! timestamp lies before an evaluated tick, or by a block that shows up late with an early timestamp. [`Walk::resume`]
//! notices both; whoever evaluates then goes back to before the tail and evaluates it again.
//!
//! # Deviations
//!
//! Blocks may have one time, or an earlier one than the block before. Outcomes of their ticks are then listed a millisecond
//! apart ([`Tick::listed`]), so that none takes the place of another.
//!
//! Intervals that cannot be read as a time (`2-months`) never fire, as in the incumbent, and count as the longest
//! ones when time crons are numbered; the incumbent's numbering of these depends on its sorting algorithm.

use protocol::{Height, Tag, Tags, Timestamp, tag};
use unit::BlockRef;

/// The crons of a process, in the two classes that are numbered apart.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Crons {
    /// Every so many blocks; in the order of the tags.
    blocks: Vec<Cron>,
    /// Every so many seconds; the shortest first.
    times: Vec<Cron>,
}

/// One cron.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Cron {
    /// Seconds or blocks; `None` never fires.
    every: Option<u64>,
    /// The `Cron-Interval` as the tag says it.
    interval: String,
    /// The tags of its messages.
    tags: Tags,
}

/// A cron message that is due.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Tick {
    /// When.
    pub timestamp: Timestamp,
    /// The moment under which its outcome is listed: that; of a block that is not later than the one before, a
    /// millisecond after that one's. Cursors tell ticks apart by nothing else.
    pub listed: Timestamp,
    /// At which height.
    pub height: Height,
    /// Which cron: its number within its class, and its interval. `0-10-minutes`.
    pub cron: String,
    /// The tags of the message.
    pub tags: Tags,
}

/// Why crons cannot be read.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum BadCron {
    /// A `Cron-Tag-` that belongs to no cron.
    #[error("its tag {0:?} stands before any Cron-Interval")]
    TagBeforeInterval(String),
    /// An interval shorter than a second or a block.
    #[error("its Cron-Interval {0:?} is shorter than one second or one block")]
    TooShort(String),
}

/// Where in its ticks a process is: the last second at which something ticked.
#[derive(Debug, Clone, Copy, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub struct Progress {
    /// That second (with the milliseconds of the entry before).
    pub step: u64,
    /// The height that had been reached there.
    pub height: u64,
    /// The second at which that height was reached; `None` if it is that of the entry before.
    reached: Option<u64>,
}

impl Crons {
    /// Reads the crons of a process from its tags.
    pub fn parse(tags: &Tags) -> Result<Crons, BadCron> {
        let mut crons: Vec<(bool, Cron)> = Vec::new();
        for Tag { name, value } in tags {
            if name == tag::CRON_INTERVAL {
                let (of_blocks, every) = parse_interval(value)?;
                crons.push((of_blocks, Cron { every, interval: value.clone(), tags: Tags::default() }));
            } else if let Some(name_in_message) = name.strip_prefix(tag::CRON_TAG_PREFIX) {
                let Some((_, cron)) = crons.last_mut() else {
                    return Err(BadCron::TagBeforeInterval(name.clone()));
                };
                cron.tags.push(name_in_message, value);
            }
        }
        let (blocks, mut times): (Vec<_>, Vec<_>) = crons.into_iter().partition(|(of_blocks, _)| *of_blocks);
        times.sort_by_key(|(_, cron)| cron.every.unwrap_or(u64::MAX));
        let crons = |list: Vec<(bool, Cron)>| list.into_iter().map(|(_, cron)| cron).collect();
        Ok(Crons { blocks: crons(blocks), times: crons(times) })
    }

    /// The end of the second after `after` in which the next cron that counts seconds is due; `origin` is the time of
    /// slot 0. None if there is none.
    pub fn next_due(&self, origin: Timestamp, after: Timestamp) -> Option<Timestamp> {
        let since = (after.0 / 1000).saturating_sub(origin.0 / 1000);
        let due = |every: u64| (since / every + 1).checked_mul(every);
        let next = self.times.iter().filter_map(|cron| cron.every).filter_map(due).min()?;
        let second = (origin.0 / 1000).checked_add(next)?;
        Some(Timestamp(second.checked_mul(1000)?.checked_add(999)?))
    }

    /// The tags of the messages of a cron, by what outcomes call it: `0-10-minutes`.
    pub fn tags<'a>(&'a self, cron: &str) -> Option<&'a Tags> {
        let (number, interval) = cron.split_once('-')?;
        let number: usize = number.parse().ok()?;
        let of = |list: &'a [Cron]| list.get(number).filter(|cron| cron.interval == interval);
        of(&self.times).or_else(|| of(&self.blocks)).map(|cron| &cron.tags)
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.blocks.is_empty() && self.times.is_empty()
    }
}

/// Reads `10-minutes`: whether it counts blocks, and how many blocks or seconds.
fn parse_interval(text: &str) -> Result<(bool, Option<u64>), BadCron> {
    let mut parts = text.split('-').map(str::trim);
    let (number, unit) = (parts.next().unwrap_or_default(), parts.next().unwrap_or_default());
    let too_short = || BadCron::TooShort(text.chars().take(64).collect());
    if matches!(unit, "block" | "blocks") {
        let digits = number.split(|c: char| !c.is_ascii_digit()).next().unwrap_or_default();
        let every = digits.parse().ok().filter(|&every: &u64| every > 0).ok_or_else(too_short)?;
        return Ok((true, Some(every)));
    }
    match parse_milliseconds(number, unit) {
        Some(milliseconds) if milliseconds < 1000.0 => Err(too_short()),
        // Beyond a hundred thousand years it may as well never fire.
        Some(milliseconds) if milliseconds < 4e15 => Ok((false, Some((milliseconds / 1000.0) as u64))),
        _ => Ok((false, None)),
    }
}

/// A time as the npm package `ms` reads it; `None` for what it does not.
fn parse_milliseconds(number: &str, unit: &str) -> Option<f64> {
    let plain = !number.is_empty()
        && number.chars().all(|c| c.is_ascii_digit() || c == '.')
        && !number.ends_with('.')
        && number.matches('.').count() <= 1
        && number.len() + unit.len() < 100;
    let number: f64 = plain.then(|| number.parse().ok()).flatten()?;
    const SECOND: f64 = 1000.0;
    const DAY: f64 = 86_400.0 * SECOND;
    let unit = match unit.to_ascii_lowercase().as_str() {
        "" | "ms" | "msec" | "msecs" | "millisecond" | "milliseconds" => 1.0,
        "s" | "sec" | "secs" | "second" | "seconds" => SECOND,
        "m" | "min" | "mins" | "minute" | "minutes" => 60.0 * SECOND,
        "h" | "hr" | "hrs" | "hour" | "hours" => 3600.0 * SECOND,
        "d" | "day" | "days" => DAY,
        "w" | "week" | "weeks" => 7.0 * DAY,
        "y" | "yr" | "yrs" | "year" | "years" => 365.25 * DAY,
        _ => return None,
    };
    Some(number * unit)
}

/// A moment and a height: of slot 0, or of the entry that ticks follow.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Moment {
    /// Milliseconds.
    pub timestamp: u64,
    /// Blocks.
    pub height: u64,
}

/// What ticks between an entry of a schedule and a later moment.
#[derive(Debug)]
pub struct Walk<'a> {
    crons: &'a Crons,
    origin: Moment,
    /// Ascending, without gaps.
    blocks: &'a [BlockRef],
    /// Exclusive.
    until: u64,
    /// The next second to look at.
    step: u64,
    height: u64,
    reached: Option<u64>,
    /// Of so many of `blocks` it is known where they are listed: of the last of them, there.
    listed: (usize, u64),
}

/// The ticks that were evaluated are not those of this schedule.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Contradiction;

impl<'a> Walk<'a> {
    /// Starts after the entry `left`, or where `progress` says ticking got to after it. `blocks` are those above the
    /// height of `left`, up to the height at `until`.
    pub fn resume(
        crons: &'a Crons,
        origin: Moment,
        left: Moment,
        progress: Option<Progress>,
        blocks: &'a [BlockRef],
        until: u64,
    ) -> Result<Walk<'a>, Contradiction> {
        let start = Walk {
            crons,
            origin,
            blocks,
            until,
            step: left.timestamp,
            height: left.height,
            reached: None,
            listed: (0, 0),
        };
        let Some(progress) = progress else { return Ok(start) };
        if progress.step >= until {
            return Err(Contradiction);
        }
        let walk = Walk {
            step: progress.step.saturating_add(1000),
            height: progress.height,
            reached: progress.reached,
            ..start
        };
        // A block that would have been reached at or before the last tick was not known then.
        let earliest = progress.reached.map_or(left.timestamp, |at| at.saturating_add(1000));
        match walk.next_block() {
            Some(block) if seconds_until(earliest, block.timestamp.0) * 1000 + earliest <= progress.step => {
                Err(Contradiction)
            }
            _ => Ok(walk),
        }
    }

    /// The next ticks, all of one second, and the progress that they are; `None` when there are no more.
    pub fn next_step(&mut self) -> Option<(Progress, Vec<Tick>)> {
        loop {
            let idle = self.seconds_idle()?;
            self.step = self.step.checked_add(idle.checked_mul(1000)?)?;
            if self.step >= self.until {
                return None;
            }
            let ticks = self.at_step();
            let progress = Progress { step: self.step, height: self.height, reached: self.reached };
            self.step = self.step.checked_add(1000)?;
            if !ticks.is_empty() {
                return Some((progress, ticks));
            }
        }
    }

    /// What ticks in the second that is next. At most one block is reached in it.
    fn at_step(&mut self) -> Vec<Tick> {
        let mut ticks = Vec::new();
        let mut emit = |number: usize, cron: &Cron, timestamp, listed, height| {
            ticks.push(Tick {
                timestamp: Timestamp(timestamp),
                listed: Timestamp(listed),
                height: Height(height),
                cron: format!("{number}-{}", cron.interval),
                tags: cron.tags.clone(),
            });
        };
        if let Some(block) = self.next_block().filter(|block| block.timestamp.0 / 1000 <= self.step / 1000) {
            self.height = block.height.0;
            self.reached = Some(self.step);
            let listed = self.listed_at(block);
            let since = block.height.0.saturating_sub(self.origin.height);
            for (number, cron) in self.crons.blocks.iter().enumerate() {
                if since != 0 && cron.every.is_some_and(|every| since.is_multiple_of(every)) {
                    emit(number, cron, block.timestamp.0, listed, block.height.0);
                }
            }
        }
        let since = self.seconds_since_origin();
        for (number, cron) in self.crons.times.iter().enumerate() {
            if since != 0 && cron.every.is_some_and(|every| since.is_multiple_of(every)) {
                emit(number, cron, self.step, self.step, self.height);
            }
        }
        ticks
    }

    /// How many seconds nothing can happen in, from the next on; `None` if nothing will happen at all.
    fn seconds_idle(&self) -> Option<u64> {
        let since = self.seconds_since_origin();
        let times = self.crons.times.iter().filter_map(|cron| cron.every).map(|every| match since {
            0 => every,
            since => (every - since % every) % every,
        });
        let block = self.next_block().map(|block| seconds_until(self.step, block.timestamp.0));
        times.chain(block).min()
    }

    fn seconds_since_origin(&self) -> u64 {
        (self.step / 1000).saturating_sub(self.origin.timestamp / 1000)
    }

    /// Where ticks of a block are listed: at its time, or right after the block before, of those since the entry before.
    fn listed_at(&mut self, block: &BlockRef) -> u64 {
        let (known, mut listed) = self.listed;
        let upto = self.blocks.partition_point(|other| other.height <= block.height);
        for other in &self.blocks[known.min(upto)..upto] {
            listed = other.timestamp.0.max(listed.saturating_add(1));
        }
        self.listed = (upto, listed);
        listed
    }

    fn next_block(&self) -> Option<&'a BlockRef> {
        let next = self.blocks.partition_point(|block| block.height.0 <= self.height);
        self.blocks.get(next)
    }
}

/// Whole seconds from the second of `from` to the second of `to`; 0 if that is past.
fn seconds_until(from: u64, to: u64) -> u64 {
    (to / 1000).saturating_sub(from / 1000)
}

#[cfg(test)]
mod tests {
    use super::*;

    const ORIGIN: Moment = Moment { timestamp: 1_700_000_000_000, height: 10 };

    fn at(milliseconds: u64) -> u64 {
        ORIGIN.timestamp + milliseconds
    }

    fn block(height: u64, milliseconds: u64) -> BlockRef {
        BlockRef { height: Height(height), timestamp: Timestamp(at(milliseconds)) }
    }

    fn crons(intervals: &[&str]) -> Crons {
        Crons::parse(&intervals.iter().map(|text| (tag::CRON_INTERVAL, text)).collect()).unwrap()
    }

    fn walk(walk: Result<Walk<'_>, Contradiction>) -> Vec<(u64, String, u64)> {
        let mut walk = walk.unwrap();
        let mut ticks = Vec::new();
        while let Some((_, step)) = walk.next_step() {
            ticks.extend(step);
        }
        ticks.into_iter().map(|t| (t.timestamp.0 - ORIGIN.timestamp, t.cron, t.height.0)).collect()
    }

    #[track_caller]
    fn check(
        intervals: &[&str],
        left: (u64, u64),
        blocks: &[BlockRef],
        until: u64,
        expected: &[(u64, &str, u64)],
    ) {
        let crons = crons(intervals);
        let left = Moment { timestamp: at(left.0), height: left.1 };
        let ticks = walk(Walk::resume(&crons, ORIGIN, left, None, blocks, at(until)));
        let ticks: Vec<_> = ticks.iter().map(|(at, cron, height)| (*at, cron.as_str(), *height)).collect();
        assert_eq!(ticks, expected);
    }

    #[test]
    fn the_next_second_that_something_is_due_in_is_told() {
        let crons = crons(&["10-seconds", "4-seconds", "3-blocks"]);
        let origin = Timestamp(ORIGIN.timestamp + 500);
        let due = |after| crons.next_due(origin, Timestamp(at(after))).map(|due| due.0 - ORIGIN.timestamp);
        assert_eq!([0, 999, 3999, 4999, 8000].map(due), [4999, 4999, 4999, 8999, 10_999].map(Some));
        assert_eq!(self::crons(&["3-blocks"]).next_due(origin, origin), None);
    }

    #[test]
    fn blocks_come_before_times_and_finer_before_coarser() {
        check(
            &["10-seconds", "2-blocks", "5-seconds"],
            (123, 10),
            &[block(11, 7000), block(12, 13_000)],
            21_000,
            &[
                (5123, "0-5-seconds", 10),
                (10_123, "0-5-seconds", 11),
                (10_123, "1-10-seconds", 11),
                (13_000, "0-2-blocks", 12),
                (15_123, "0-5-seconds", 12),
                (20_123, "0-5-seconds", 12),
                (20_123, "1-10-seconds", 12),
            ],
        );
    }

    #[test]
    fn the_right_edge_is_exclusive_and_the_origin_itself_never_ticks() {
        check(&["1-second"], (0, 10), &[], 2000, &[(1000, "0-1-second", 10)]);
        check(&["1-second"], (0, 10), &[], 2001, &[(1000, "0-1-second", 10), (2000, "0-1-second", 10)]);
    }

    #[test]
    fn a_tick_may_collide_with_the_message_before_it() {
        check(&["2-seconds"], (2000, 10), &[], 3000, &[(2000, "0-2-seconds", 10)]);
    }

    #[test]
    fn one_block_is_reached_per_second() {
        let blocks = [block(11, 1000), block(12, 1000), block(13, 1000), block(14, 1000)];
        let expected = [(1000, "0-1-block", 11), (1000, "0-1-block", 12), (1000, "0-1-block", 13)];
        check(&["1-block"], (500, 10), &blocks, 4000, &expected);
    }

    /// When, where listed and at which height each tick of `2-blocks` is, however the blocks are evaluated in parts.
    #[track_caller]
    fn check_listed(blocks: &[BlockRef], expected: &[(u64, u64, u64)]) {
        let crons = crons(&["2-blocks"]);
        let left = Moment { timestamp: at(500), height: 10 };
        let last = 1000 * (blocks.len() as u64 + 5);
        for every in [1000, 3000, last] {
            let (mut listed, mut progress) = (Vec::new(), None);
            for until in (1..=last / every).map(|n| at(n * every)) {
                let mut walk = Walk::resume(&crons, ORIGIN, left, progress, blocks, until).unwrap();
                while let Some((reached, ticks)) = walk.next_step() {
                    progress = Some(reached);
                    let since = |moment: Timestamp| moment.0 - ORIGIN.timestamp;
                    listed.extend(
                        ticks.iter().map(|tick| (since(tick.timestamp), since(tick.listed), tick.height.0)),
                    );
                }
            }
            assert_eq!(listed, expected, "in parts of {every} ms");
        }
    }

    #[test]
    fn ticks_of_blocks_with_one_time_are_listed_apart() {
        let blocks: Vec<_> =
            (11..17).map(|height| block(height, 1000)).chain([block(17, 2000), block(18, 3000)]).collect();
        check_listed(&blocks, &[(1000, 1001, 12), (1000, 1003, 14), (1000, 1005, 16), (3000, 3000, 18)]);
    }

    #[test]
    fn so_are_those_of_a_thousand_such_blocks_and_those_after_them() {
        let blocks: Vec<_> =
            (11..1213).map(|height| block(height, if height < 1211 { 1000 } else { 2000 })).collect();
        let expected: Vec<_> = (12..1213)
            .step_by(2)
            .map(|height| (if height < 1211 { 1000 } else { 2000 }, 1000 + height - 11, height))
            .collect();
        check_listed(&blocks, &expected);
    }

    #[test]
    fn those_of_a_block_whose_time_goes_back_take_nobodys_place() {
        let blocks = [block(11, 1000), block(12, 3000), block(13, 2000), block(14, 3000), block(15, 9000)];
        check_listed(&blocks, &[(3000, 3000, 12), (3000, 3002, 14)]);
    }

    #[test]
    fn months_never_fire() {
        check(&["1-months", "1-fortnight", "x-seconds", "seconds"], (0, 10), &[block(11, 50)], 1 << 40, &[]);
    }

    #[test]
    fn years_of_idling_cost_nothing() {
        let year = 31_557_600_000;
        check(
            &["1-year"],
            (1, 10),
            &[],
            3 * year,
            &[(year + 1, "0-1-year", 10), (2 * year + 1, "0-1-year", 10)],
        );
    }

    #[test]
    fn intervals_are_read_as_the_ms_package_reads_them() {
        for (text, expected) in [
            ("10-seconds", Some((false, Some(10)))),
            ("10-Minutes", Some((false, Some(600)))),
            ("1.5-hours", Some((false, Some(5400)))),
            ("1-d", Some((false, Some(86_400)))),
            ("2-w", Some((false, Some(1_209_600)))),
            ("1-yrs", Some((false, Some(31_557_600)))),
            ("1500-ms", Some((false, Some(1)))),
            ("2500", Some((false, Some(2)))),
            ("10-blocks", Some((true, Some(10)))),
            ("1-block", Some((true, Some(1)))),
            ("10-BLOCKS", Some((false, None))),
            ("1-month", Some((false, None))),
            ("900-ms", None),
            ("0-seconds", None),
            ("0-blocks", None),
            ("many-blocks", None),
        ] {
            assert_eq!(parse_interval(text).ok(), expected, "{text}");
        }
    }

    #[test]
    fn tags_belong_to_the_interval_before_them() {
        let tags: Tags = [
            ("Cron-Interval", "1-minute"),
            ("Cron-Tag-Action", "Tick"),
            ("Name", "x"),
            ("Cron-Tag-Kind", "a"),
            ("Cron-Interval", "1-second"),
            ("Cron-Tag-Action", "Tock"),
        ]
        .into_iter()
        .collect();
        let crons = Crons::parse(&tags).unwrap();
        assert_eq!(crons.times[0].tags, [("Action", "Tock")].into_iter().collect());
        assert_eq!(crons.times[1].tags, [("Action", "Tick"), ("Kind", "a")].into_iter().collect());
        // As outcomes name them.
        for (number, cron) in crons.times.iter().enumerate() {
            assert_eq!(crons.tags(&format!("{number}-{}", cron.interval)), Some(&cron.tags));
        }
        assert_eq!(crons.tags("0-7-years"), None);
        assert_eq!(crons.tags("first"), None);
        let tags: Tags = [("Cron-Tag-Action", "Tick"), ("Cron-Interval", "1-minute")].into_iter().collect();
        assert_eq!(Crons::parse(&tags), Err(BadCron::TagBeforeInterval("Cron-Tag-Action".into())));
    }

    #[test]
    fn a_tail_in_parts_is_the_tail_in_one() {
        let crons = crons(&["3-seconds", "2-blocks", "7-seconds"]);
        let left = Moment { timestamp: at(400), height: 10 };
        let blocks: Vec<_> = (11..40).map(|height| block(height, (height - 10) * 2300)).collect();
        let whole = walk(Walk::resume(&crons, ORIGIN, left, None, &blocks, at(60_000)));
        assert!(whole.len() > 30);
        let (mut parts, mut progress) = (Vec::new(), None);
        for until in (1000..=60_000).step_by(1000) {
            // Only what is known at that time.
            let known =
                blocks.iter().filter(|block| block.timestamp.0 < at(until)).copied().collect::<Vec<_>>();
            let mut walk = Walk::resume(&crons, ORIGIN, left, progress, &known, at(until)).unwrap();
            while let Some((reached, ticks)) = walk.next_step() {
                progress = Some(reached);
                parts.extend(
                    ticks.into_iter().map(|t| (t.timestamp.0 - ORIGIN.timestamp, t.cron, t.height.0)),
                );
            }
        }
        assert_eq!(parts, whole);
    }

    #[test]
    fn an_entry_or_a_block_that_comes_late_contradicts_the_tail() {
        let crons = crons(&["1-second", "1-block"]);
        let left = Moment { timestamp: at(500), height: 10 };
        let known = [block(11, 2000)];
        let mut walk = Walk::resume(&crons, ORIGIN, left, None, &known, at(6000)).unwrap();
        let progress = std::iter::from_fn(|| walk.next_step()).map(|(progress, _)| progress).last();
        assert_eq!(progress.unwrap().step, at(5500));
        let again = |blocks: &[BlockRef], until| {
            Walk::resume(&crons, ORIGIN, left, progress, blocks, at(until)).map(|_| ()).is_err()
        };
        assert!(!again(&[block(11, 2000), block(12, 6000)], 9000));
        assert!(again(&[block(11, 2000), block(12, 4000)], 9000), "a block at 4 s was not known");
        assert!(again(&[block(11, 2000)], 5000), "a message at 5 s comes before the tick at 5.5 s");
    }
}

//! Queries: entries of the index that all filters share, in the order of everything.
//!
//! Each filter is a union of sorted lists of places. The walk goes through the shortest way it can: whichever filter
//! is furthest ahead says where the others continue (a leapfrog join), so a rare value makes any query quick.

use std::cmp::Ordering;
use std::collections::{BTreeSet, VecDeque};
use std::sync::Arc;

use bytes::Bytes;
use protocol::{Id, Item};
use store::Order;
use unit::{BlockHead, Entry, Found, Kind, Page, Query, Sort, TagFilter};

use crate::Error;
use crate::core::{Core, keys_between};
use crate::keys::{FIND, ORDER, Place, Term};
use crate::record::{Head, What};

/// How many entries of a list are read at once: few, as long as the walk leaps over most of them, then more.
const PAGE_FIRST: usize = 16;
const PAGE_MAX: usize = 512;

/// Where the last thing of a page stands, as clients hold it.
pub(crate) fn cursor(place: Place) -> String {
    protocol::id::base64url(place.key())
}

/// Answers a query.
pub(crate) fn run(core: &Core, query: &Query) -> unit::Result<Page<Entry>> {
    let terms = query.ids.len()
        + query.owners.len()
        + query.recipients.len()
        + query.bundles.len()
        + query.tags.iter().chain(&query.patterns).map(|tag| tag.values.len()).sum::<usize>()
        + query.words.iter().map(unit::WordFilter::len).sum::<usize>();
    if terms > core.options.query_terms_max {
        let what = format!("a query may name {} things, not {terms}", core.options.query_terms_max);
        return Err(unit::Error::new(Kind::TooLarge, what).with_hint("ask in several queries"));
    }
    let Some(range) = bounds(core, query)? else { return Ok(Page { items: Vec::new(), has_next: false }) };
    let mut walk = Walk { core, query, range, steps: 0 };
    let limit = query.limit;
    let places = if query.ids.is_empty() { walk.join(limit + 1)? } else { walk.by_ids(limit + 1)? };
    Ok(Page::cut(places, limit))
}

/// The range of places that the query asks for; `None` if it is empty. Only what is in a block has a height.
fn bounds(core: &Core, query: &Query) -> unit::Result<Option<(Place, Place)>> {
    // No value is one of none.
    let is_none = |tag: &TagFilter| tag.values.is_empty() && !tag.negated;
    let is_wordless = |filter: &unit::WordFilter| filter.is_empty() && !filter.is_negated();
    if query.tags.iter().chain(&query.patterns).any(is_none) || query.words.iter().any(is_wordless) {
        return Ok(None);
    }
    let (mut first, mut last) = (Place::FIRST, Place::LAST);
    if query.block_min.is_some() || query.block_max.is_some() {
        let tip = core.state().tip.height;
        let max = query.block_max.unwrap_or(tip).min(tip);
        let number = core.last_number(max)?;
        last = Place { number, within: u32::MAX };
        if let Some(min) = query.block_min.filter(|min| min.0 > 0) {
            if min > max {
                return Ok(None);
            }
            first = Place::of(core.last_number((min.0 - 1).into())? + 1);
        }
    }
    if let Some(after) = &query.after {
        let after = read_cursor(core, after)?;
        match query.sort {
            Sort::Ascending => match after.next() {
                Some(next) => first = first.max(next),
                None => return Ok(None),
            },
            Sort::Descending => match after.previous() {
                Some(previous) => last = last.min(previous),
                None => return Ok(None),
            },
        }
    }
    Ok((first <= last).then_some((first, last)))
}

/// A cursor of ours, or the id of something.
fn read_cursor(core: &Core, text: &str) -> unit::Result<Place> {
    let invalid =
        || unit::Error::invalid("invalid cursor").with_hint("give a cursor as an earlier page had it");
    if let Ok(id) = text.parse::<Id>() {
        return Ok(core.head(id)?.ok_or_else(invalid)?.place);
    }
    let bytes = protocol::id::from_base64url(text).filter(|bytes| bytes.len() == 12).ok_or_else(invalid)?;
    Place::read(&bytes).ok_or_else(invalid)
}

struct Walk<'a> {
    core: &'a Core,
    query: &'a Query,
    range: (Place, Place),
    steps: u64,
}

impl Walk<'_> {
    /// Looks at each id.
    fn by_ids(&mut self, limit: usize) -> Result<Vec<Entry>, Error> {
        let mut found = Vec::new();
        for id in self.query.ids.iter().collect::<BTreeSet<_>>() {
            let Some((_, head)) = self.core.asked_for(*id)? else { continue };
            if (self.range.0..=self.range.1).contains(&head.place) {
                found.push((head.place, *id, head));
            }
        }
        found.sort_by(|(a, ..), (b, ..)| self.compare(*a, *b));
        let mut entries = Vec::new();
        for (_, id, head) in found {
            if entries.len() == limit {
                break;
            }
            entries.extend(self.matching(id, head)?);
        }
        Ok(entries)
    }

    /// Walks through what all filters share.
    fn join(&mut self, limit: usize) -> Result<Vec<Entry>, Error> {
        let mut filters = self.filters();
        let mut entries = Vec::new();
        let mut at = match self.query.sort {
            Sort::Ascending => self.range.0,
            Sort::Descending => self.range.1,
        };
        'places: while entries.len() < limit {
            let mut shared = None;
            let mut agreeing = 0;
            let mut turn = 0;
            while agreeing < filters.len() {
                let filter = turn % filters.len();
                turn += 1;
                let Some((place, id)) = filters[filter].seek(self, at)? else { break 'places };
                agreeing = if place == at && agreeing > 0 { agreeing + 1 } else { 1 };
                at = place;
                shared = Some(id);
            }
            let Some(id) = shared else { break };
            if let Some(head) = self.core.head(id)? {
                entries.extend(self.matching(id, head)?);
            }
            let next = match self.query.sort {
                Sort::Ascending => at.next(),
                Sort::Descending => at.previous(),
            };
            match next {
                Some(next) if (self.range.0..=self.range.1).contains(&next) => at = next,
                _ => break,
            }
        }
        Ok(entries)
    }

    /// One union of lists for everything that must hold; the list of everything if nothing must.
    fn filters(&self) -> Vec<Filter> {
        let query = self.query;
        let mut filters = Vec::new();
        let mut add = |terms: Vec<Term>| {
            if !terms.is_empty() {
                filters.push(Filter { lists: terms.into_iter().map(|term| List::of(Some(term))).collect() });
            }
        };
        add(query.owners.iter().map(|owner| Term::owner(*owner)).collect());
        add(query.recipients.iter().map(|id| Term::recipient(*id)).collect());
        add(query.bundles.iter().map(|id| Term::bundle(*id)).collect());
        for TagFilter { name, values, .. } in query.tags.iter().filter(|tag| !tag.negated) {
            add(values.iter().map(|value| Term::tag(name, value)).collect());
        }
        if filters.is_empty() {
            filters.push(Filter { lists: vec![List::of(None)] });
        }
        filters
    }

    /// The entry, if everything holds for it: the lists know neither what must not be nor patterns nor words, nor do they see
    /// through a collision of hashes.
    fn matching(&mut self, id: Id, head: Head) -> Result<Option<Entry>, Error> {
        self.step()?;
        // Each word is compared with those of the item.
        self.steps += self.query.words.iter().map(|filter| filter.len() as u64).sum::<u64>();
        let item = Item { id, ..head.item(Bytes::new()).ok_or(Error::Damaged("an item"))? };
        if !holds(self.query, &item) {
            return Ok(None);
        }
        let entry = entry(self.core, id, head, item)?;
        let bundles = &self.query.bundles;
        let in_bundle = bundles.is_empty() || entry.bundle.is_some_and(|bundle| bundles.contains(&bundle));
        Ok(in_bundle.then_some(entry))
    }

    fn step(&mut self) -> Result<(), Error> {
        self.steps += 1;
        let max = self.core.options.query_steps_max;
        if self.steps > max { Err(Error::TooBroad(max)) } else { Ok(()) }
    }

    /// Which of two comes first in the order of this query.
    fn compare(&self, a: Place, b: Place) -> Ordering {
        match self.query.sort {
            Sort::Ascending => a.cmp(&b),
            Sort::Descending => b.cmp(&a),
        }
    }
}

fn holds(query: &Query, item: &Item) -> bool {
    let tag_holds = |filter: &TagFilter| {
        let there =
            item.tags.all(&filter.name).any(|value| filter.values.iter().any(|wanted| wanted == value));
        there != filter.negated
    };
    (query.owners.is_empty() || query.owners.contains(&item.address()))
        && (query.recipients.is_empty()
            || item.target.is_some_and(|target| query.recipients.contains(&target)))
        && query.tags.iter().all(tag_holds)
        && query.patterns.iter().all(|filter| filter.holds_as_patterns(item))
        && query.words.iter().all(|filter| filter.holds(item))
}

/// Everything that is known about something.
pub(crate) fn entry(core: &Core, id: Id, head: Head, item: Item) -> Result<Entry, Error> {
    let block: Option<BlockHead> = core.block_of(head.place.number)?;
    let bundle = core.bundle_of(&head)?;
    let (quantity, reward) = match &head.what {
        What::Item(_) => (0, 0),
        What::Transaction(tx) => (tx.quantity, tx.reward),
    };
    debug_assert_eq!(item.id, id);
    let found = Found {
        item: Arc::new(item),
        base_layer: head.is_transaction(),
        block: block.map(BlockHead::to_ref),
        cursor: cursor(head.place),
    };
    Ok(Entry { found, data_size: head.data_size, quantity, reward, bundle, block })
}

/// Places that have one of several values.
struct Filter {
    lists: Vec<List>,
}

impl Filter {
    /// The first place at or beyond `at`.
    fn seek(&mut self, walk: &mut Walk<'_>, at: Place) -> Result<Option<(Place, Id)>, Error> {
        let mut first: Option<(Place, Id)> = None;
        for list in &mut self.lists {
            let Some(candidate) = list.seek(walk, at)? else { continue };
            if first.is_none_or(|first| walk.compare(candidate.0, first.0).is_lt()) {
                first = Some(candidate);
            }
        }
        Ok(first)
    }
}

/// Places that have one value, or all places.
struct List {
    term: Option<Term>,
    ahead: VecDeque<(Place, Id)>,
    page: usize,
    /// How often the walk stopped in what was read last.
    stops: usize,
    /// Nothing comes after what is ahead.
    ended: bool,
}

impl List {
    fn of(term: Option<Term>) -> List {
        List { term, ahead: VecDeque::new(), page: PAGE_FIRST, stops: 0, ended: false }
    }

    fn seek(&mut self, walk: &mut Walk<'_>, at: Place) -> Result<Option<(Place, Id)>, Error> {
        while let Some(first) = self.ahead.front() {
            if walk.compare(first.0, at).is_ge() {
                self.stops += 1;
                return Ok(Some(*first));
            }
            self.ahead.pop_front();
        }
        if self.ended {
            return Ok(None);
        }
        // Reading what the walk leaps over costs as much as reading what it stops at.
        let is_dense = self.stops >= self.page / 4;
        self.page = if is_dense { (self.page * 4).min(PAGE_MAX) } else { PAGE_FIRST };
        self.stops = 0;
        self.read(walk, at)?;
        Ok(self.ahead.front().copied())
    }

    fn read(&mut self, walk: &mut Walk<'_>, at: Place) -> Result<(), Error> {
        let (from, to, order) = match walk.query.sort {
            Sort::Ascending => (at, walk.range.1, Order::Ascending),
            Sort::Descending => (walk.range.0, at, Order::Descending),
        };
        let page = match &self.term {
            Some(term) => {
                walk.core.store.scan(FIND, keys_between(&term.key(from), &term.key(to)), order, self.page)?
            }
            None => walk.core.store.scan(ORDER, keys_between(&from.key(), &to.key()), order, self.page)?,
        };
        self.ended = page.len() < self.page;
        for (key, value) in page {
            walk.step()?;
            let place = key.len().checked_sub(12).and_then(|start| Place::read(&key[start..]));
            let id = value.get(..32).and_then(Id::from_slice);
            let (Some(place), Some(id)) = (place, id) else { return Err(Error::Damaged("the index")) };
            self.ahead.push_back((place, id));
        }
        Ok(())
    }
}

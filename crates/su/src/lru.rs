//! A bounded map that forgets what was not asked for longest.

use std::collections::BTreeMap;

/// Keeps values up to a total size; the least recently used goes first.
#[derive(Debug)]
pub(crate) struct Lru<K, V> {
    values: BTreeMap<K, Slot<V>>,
    /// Keys by when they were last used.
    order: BTreeMap<u64, K>,
    clock: u64,
    size: usize,
    size_max: usize,
}

#[derive(Debug)]
struct Slot<V> {
    used: u64,
    size: usize,
    value: V,
}

impl<K: Ord + Copy, V> Lru<K, V> {
    pub(crate) fn new(size_max: usize) -> Lru<K, V> {
        Lru { values: BTreeMap::new(), order: BTreeMap::new(), clock: 0, size: 0, size_max }
    }

    pub(crate) fn get(&mut self, key: &K) -> Option<&V> {
        let slot = self.values.get_mut(key)?;
        self.order.remove(&slot.used);
        self.clock += 1;
        slot.used = self.clock;
        self.order.insert(self.clock, *key);
        Some(&slot.value)
    }

    /// Adds a value, and forgets old ones that `may_go` until the rest fits. If none may go, it grows.
    pub(crate) fn put(&mut self, key: K, value: V, size: usize, may_go: impl Fn(&V) -> bool) {
        self.remove(&key);
        let mut candidates = self.order.range(..);
        let mut going = Vec::new();
        let mut left = self.size + size;
        while left > self.size_max {
            let Some((_, key)) = candidates.next() else { break };
            let slot = &self.values[key];
            if may_go(&slot.value) {
                left -= slot.size;
                going.push(*key);
            }
        }
        for key in going {
            self.remove(&key);
        }
        self.clock += 1;
        self.size += size;
        self.order.insert(self.clock, key);
        self.values.insert(key, Slot { used: self.clock, size, value });
    }

    fn remove(&mut self, key: &K) {
        if let Some(slot) = self.values.remove(key) {
            self.order.remove(&slot.used);
            self.size -= slot.size;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(may_go: impl Fn(&&str) -> bool, expect: &[char]) {
        let mut lru = Lru::new(3);
        for (key, name) in [('a', "busy"), ('b', "idle"), ('c', "idle")] {
            lru.put(key, name, 1, &may_go);
        }
        lru.get(&'b');
        lru.put('d', "idle", 1, &may_go);
        assert_eq!(lru.values.keys().copied().collect::<Vec<_>>(), expect);
        assert_eq!(lru.order.len(), lru.values.len());
    }

    #[test]
    fn the_least_recently_used_goes_first() {
        check(|_| true, &['b', 'c', 'd']);
    }

    #[test]
    fn what_is_in_use_stays_and_the_next_goes() {
        check(|&name| name == "idle", &['a', 'b', 'd']);
    }

    #[test]
    fn if_all_is_in_use_it_grows() {
        check(|_| false, &['a', 'b', 'c', 'd']);
    }

    #[test]
    fn a_value_larger_than_the_bound_leaves_only_itself() {
        let mut lru = Lru::new(3);
        lru.put('a', (), 1, |()| true);
        lru.put('b', (), 9, |()| true);
        assert!(lru.get(&'a').is_none() && lru.get(&'b').is_some());
        lru.put('c', (), 1, |()| true);
        assert!(lru.get(&'b').is_none() && lru.get(&'c').is_some());
    }
}

//! What was used last, kept by its key.

use std::{collections::BTreeMap, sync::Arc};

use crate::map::Map;

/// Values by their keys. The least recently used go when there are too many, or all together weigh too much.
#[derive(Debug)]
pub struct Recent<V> {
    entries: Map<Arc<[u64]>, Entry<V>>,
    /// The keys by when each was used last.
    uses: BTreeMap<u64, Arc<[u64]>>,
    /// How many are kept.
    most: usize,
    /// What they may weigh together. The last one stays whatever it weighs.
    heaviest: usize,
    weight: usize,
    clock: u64,
}

#[derive(Debug)]
struct Entry<V> {
    value: V,
    weight: usize,
    used: u64,
}

impl<V> Recent<V> {
    /// None yet.
    pub fn new(most: usize, heaviest: usize) -> Recent<V> {
        Recent { entries: Map::default(), uses: BTreeMap::new(), most, heaviest, weight: 0, clock: 0 }
    }

    /// The value of a key.
    pub fn get(&mut self, key: &[u64]) -> Option<&mut V> {
        let entry = self.entries.get_mut(key)?;
        self.clock += 1;
        let key = self.uses.remove(&entry.used)?;
        self.uses.insert(self.clock, key);
        entry.used = self.clock;
        Some(&mut entry.value)
    }

    /// Keeps a value under a key, in place of one that is there; returns how many went to make room.
    pub fn insert(&mut self, key: Vec<u64>, value: V, weight: usize) -> u64 {
        let key: Arc<[u64]> = key.into();
        self.clock += 1;
        if let Some(old) = self.entries.insert(key.clone(), Entry { value, weight, used: self.clock }) {
            self.weight -= old.weight;
            self.uses.remove(&old.used);
        }
        let mut gone = 0;
        while self.entries.len() > self.most || self.weight + weight > self.heaviest {
            let Some((_, oldest)) = self.uses.pop_first() else { break };
            self.weight -= self.entries.remove(&oldest).map_or(0, |entry| entry.weight);
            gone += 1;
        }
        self.weight += weight;
        self.uses.insert(self.clock, key);
        gone
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_least_recently_used_goes_first() {
        let mut recent = Recent::new(3, 10);
        let gone = [(1, 2), (2, 2), (3, 2)].map(|(key, weight)| recent.insert(vec![key], key, weight));
        assert_eq!(gone, [0; 3]);
        assert_eq!(recent.get(&[1]), Some(&mut 1));
        // Too many: 2 was used before 1.
        assert_eq!(recent.insert(vec![4], 4, 2), 1);
        assert_eq!([1, 2, 3, 4].map(|key| recent.get(&[key]).is_some()), [true, false, true, true]);
        // Too heavy: all but what weighs nothing much.
        assert_eq!(recent.insert(vec![5], 5, 8), 2);
        assert_eq!([1, 3, 4, 5].map(|key| recent.get(&[key]).is_some()), [false, false, true, true]);
        // Heavier than all that is allowed: it is alone.
        assert_eq!(recent.insert(vec![6], 6, 99), 2);
        assert_eq!(recent.get(&[6]), Some(&mut 6));
        // In place of itself.
        assert_eq!(recent.insert(vec![6], 7, 4), 0);
        assert_eq!(recent.get(&[6]), Some(&mut 7));
        assert_eq!(recent.insert(vec![7], 7, 6), 0);
    }
}

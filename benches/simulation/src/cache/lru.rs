//! Least recently used: also what stands for Redis, whose `allkeys-lru` comes close to it.

use super::Cache;

/// No entry.
const NONE: u32 = u32::MAX;

/// A doubly linked list over the numbers of the keys, the least recently used one last.
pub(crate) struct Lru {
    links: Vec<Link>,
    newest: u32,
    oldest: u32,
    held: usize,
    capacity: usize,
}

#[derive(Clone, Copy)]
struct Link {
    newer: u32,
    older: u32,
    held: bool,
}

impl Lru {
    pub(crate) fn new(capacity: usize, keys: usize) -> Self {
        let link = Link { newer: NONE, older: NONE, held: false };
        Self { links: vec![link; keys], newest: NONE, oldest: NONE, held: 0, capacity }
    }

    fn unlink(&mut self, key: u32) {
        let Link { newer, older, .. } = self.links[key as usize];
        match newer {
            NONE => self.newest = older,
            newer => self.links[newer as usize].older = older,
        }
        match older {
            NONE => self.oldest = newer,
            older => self.links[older as usize].newer = newer,
        }
        self.links[key as usize].held = false;
        self.held -= 1;
    }

    fn push(&mut self, key: u32) {
        self.links[key as usize] = Link { newer: NONE, older: self.newest, held: true };
        match self.newest {
            NONE => self.oldest = key,
            newest => self.links[newest as usize].newer = key,
        }
        self.newest = key;
        self.held += 1;
    }
}

impl Cache for Lru {
    fn access(&mut self, key: u32, _next: u32) -> bool {
        let hit = self.links[key as usize].held;
        if hit {
            self.unlink(key);
        } else if self.held == self.capacity {
            self.unlink(self.oldest);
        }
        self.push(key);
        hit
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_least_recently_used_entry_makes_room() {
        let mut lru = Lru::new(2, 3);
        let hits: Vec<bool> = [0, 1, 0, 2, 1, 2].into_iter().map(|key| lru.access(key, 0)).collect();
        assert_eq!(hits, [false, false, true, false, false, true]);
    }
}

//! The keys of a run, and which patterns and tags cover them.

use super::history::KeyNumber;

/// The namespace of all nodes.
pub const NAMESPACE: &str = "checker";

/// How many keys one pattern covers, and how many keys one tag covers.
const GROUP: u32 = 8;

/// The number of keys of a run, from which everything else follows.
#[derive(Debug, Clone, Copy)]
pub struct Keys {
    /// How many keys there are.
    pub count: u32,
}

impl Keys {
    /// How many patterns there are, and how many tags.
    pub const fn groups(self) -> u32 {
        self.count.div_ceil(GROUP)
    }

    /// The name of a key.
    pub fn name(key: KeyNumber) -> String {
        format!("group:{}:key:{key}", key / GROUP)
    }

    /// The number of the key with this name.
    pub fn number(name: &str) -> Option<KeyNumber> {
        name.rsplit(':').next()?.parse().ok()
    }

    /// The pattern of a group.
    pub fn pattern(group: u32) -> String {
        format!("group:{group}:*")
    }

    /// The keys that the pattern of a group covers.
    pub fn of_pattern(self, group: u32) -> impl Iterator<Item = KeyNumber> {
        (group * GROUP..(group + 1) * GROUP).take_while(move |key| *key < self.count)
    }

    /// The tag of a key. Every other key has one: batch loads take no tags, so they need keys without.
    pub fn tag(self, key: KeyNumber) -> Option<String> {
        key.is_multiple_of(2).then(|| Self::tag_name(key / 2 % self.groups()))
    }

    /// The name of a tag.
    pub fn tag_name(tag: u32) -> String {
        format!("tag:{tag}")
    }

    /// The keys that a tag covers.
    pub fn of_tag(self, tag: u32) -> impl Iterator<Item = KeyNumber> {
        let name = Self::tag_name(tag);
        (0..self.count).filter(move |key| self.tag(*key).as_ref() == Some(&name))
    }

    /// What the data key of a key is called in Redis.
    pub fn in_redis(key: KeyNumber) -> String {
        format!("{NAMESPACE}:{}", Self::name(key))
    }

    /// What the journal is called in Redis.
    pub fn journal_in_redis() -> String {
        format!("{{{NAMESPACE}}}!journal")
    }

    /// What keeps the position of the journal's last record is called so in Redis.
    pub fn last_in_redis() -> String {
        format!("{{{NAMESPACE}}}!last")
    }

    /// What the rules are called in Redis.
    pub fn rules_in_redis() -> String {
        format!("{{{NAMESPACE}}}!rules")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_key_is_covered_by_one_pattern_and_every_other_by_one_tag() {
        let keys = Keys { count: 21 };
        let covered: Vec<u32> = (0..keys.groups()).flat_map(|group| keys.of_pattern(group)).collect();
        assert_eq!(covered, (0..21).collect::<Vec<_>>());
        let mut tagged: Vec<u32> = (0..keys.groups()).flat_map(|tag| keys.of_tag(tag)).collect();
        tagged.sort_unstable();
        assert_eq!(tagged, (0..21).step_by(2).collect::<Vec<_>>());
        assert_eq!(keys.of_tag(1).collect::<Vec<_>>(), [2, 8, 14, 20]);
    }

    #[test]
    fn a_pattern_covers_its_keys_by_name() {
        let keys = Keys { count: 100 };
        for group in 0..keys.groups() {
            let pattern = cache_core::Pattern::new(Keys::pattern(group)).unwrap();
            let matched: Vec<u32> = (0..100).filter(|key| pattern.matches(Keys::name(*key).as_str())).collect();
            assert_eq!(matched, keys.of_pattern(group).collect::<Vec<_>>());
            assert!(matched.iter().all(|key| Keys::number(&Keys::name(*key)) == Some(*key)));
        }
    }
}

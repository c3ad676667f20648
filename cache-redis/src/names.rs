//! What keys and channels are called on the server.

use cache_core::{Key, Namespace, Pattern};

use crate::slot::{hash_tag, number_in, slot_of};

/// The names that one namespace uses. Data keys start with `ns:`, the tier's own with `{ns}!`, so that no data key and no
/// pattern of any namespace can mean one of the tier's own.
#[derive(Debug)]
pub(crate) struct Names {
    pub(crate) namespace: Namespace,
    pub(crate) journal: String,
    /// What keeps the position of the journal's last record.
    pub(crate) last: String,
    pub(crate) rules: String,
    pub(crate) nodes: String,
    pub(crate) channel: String,
}

impl Names {
    /// The names in `namespace` on the database with the number `database`. Channels are not divided by database, so the
    /// number is part of their name unless it is 0.
    pub(crate) fn new(namespace: Namespace, database: i64) -> Self {
        let channel = match database {
            0 => format!("{{{namespace}}}!bus"),
            other => format!("{{{namespace}}}!bus/{other}"),
        };
        Self {
            journal: format!("{{{namespace}}}!journal"),
            last: format!("{{{namespace}}}!last"),
            rules: format!("{{{namespace}}}!rules"),
            nodes: format!("{{{namespace}}}!nodes"),
            channel,
            namespace,
        }
    }

    /// The name of the data key for `key`.
    pub(crate) fn data(&self, key: &Key) -> String {
        let namespace = self.namespace.as_str();
        let mut name = String::with_capacity(namespace.len() + 1 + key.as_str().len());
        name.push_str(namespace);
        name.push(':');
        name.push_str(key.as_str());
        name
    }

    /// The name of the fences of `key`.
    pub(crate) fn fences(&self, key: &Key) -> String {
        self.beside(key, "fences")
    }

    /// The name of the count of pending writes of `key`.
    pub(crate) fn pending(&self, key: &Key) -> String {
        self.beside(key, "fences/writes")
    }

    /// The name of something that is kept beside the data of `key`. No pattern of data keys matches it, so that whatever
    /// removes the one leaves the other. In a cluster both are in one slot. The key comes last, since it can end in anything.
    fn beside(&self, key: &Key, mark: &str) -> String {
        let data = self.data(key);
        if let Some(tag) = hash_tag(data.as_bytes()) {
            return format!("{{{}}}!{mark}:{data}", String::from_utf8_lossy(tag));
        }
        if data.contains('}') {
            // The whole name cannot be a tag, so another one of its slot takes its place.
            return format!("{{{}}}!{mark}:{data}", number_in(slot_of(data.as_bytes())));
        }
        format!("{{{data}}}!{mark}")
    }

    /// The key whose data key has this name, if it is one.
    pub(crate) fn key_of(&self, name: &[u8]) -> Option<Key> {
        let key = name.strip_prefix(self.namespace.as_str().as_bytes())?.strip_prefix(b":")?;
        Key::new(std::str::from_utf8(key).ok()?).ok()
    }

    /// What the name of every data key begins with.
    pub(crate) fn prefix(&self) -> String {
        format!("{}:", self.namespace)
    }

    /// The pattern that matches the names of exactly those data keys that `pattern` matches.
    pub(crate) fn data_matching(&self, pattern: &Pattern) -> String {
        format!("{}:{pattern}", Pattern::escape(self.namespace.as_str()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn names_follow_the_namespace() {
        let names = Names::new(Namespace::new("shop/v1.2").unwrap(), 0);
        assert_eq!(names.data(&Key::new("user:1").unwrap()), "shop/v1.2:user:1");
        assert_eq!(names.key_of(b"shop/v1.2:user:1"), Key::new("user:1").ok());
        for foreign in [&b"shop/v1.2"[..], b"shop/v1.2:", b"shop/v1.2:\xff", b"other:user:1"] {
            assert_eq!(names.key_of(foreign), None);
        }
        assert_eq!(names.fences(&Key::new("user:1").unwrap()), "{shop/v1.2:user:1}!fences");
        assert_eq!(names.data_matching(&Pattern::new("user:*").unwrap()), "shop/v1.2:user:*");
        assert_eq!(names.journal, "{shop/v1.2}!journal");
        assert_eq!(names.last, "{shop/v1.2}!last");
        assert_eq!(names.rules, "{shop/v1.2}!rules");
        assert_eq!(names.nodes, "{shop/v1.2}!nodes");
        assert_eq!(names.channel, "{shop/v1.2}!bus");
    }

    #[test]
    fn fences_lie_in_the_slot_of_their_key() {
        let names = Names::new(Namespace::new("test").unwrap(), 0);
        let fences = |key: &str| names.fences(&Key::new(key).unwrap());
        assert_eq!(fences("{user:1}:name"), "{user:1}!fences:test:{user:1}:name");
        assert!(fences("a}b{c").ends_with("}!fences:test:a}b{c"));
        let pending = names.pending(&Key::new("{t}k").unwrap());
        assert_eq!(pending, "{t}!fences/writes:test:{t}k");
        assert_ne!(pending, fences("{t}k/writes"));
        for odd in
            ["a", "{a}", "a{b}c{d}", "a}b{c", "a}b{c}", "{}", "{}{a}", "{{a}}", "}", "{", "{a", "a}", "é{ü}", "{é"]
        {
            let key = Key::new(odd).unwrap();
            for name in [names.fences(&key), names.pending(&key)] {
                assert_eq!(slot_of(name.as_bytes()), slot_of(names.data(&key).as_bytes()), "{odd}: {name}");
            }
        }
    }

    proptest! {
        #[test]
        fn fences_of_any_key_lie_in_its_slot_and_are_its_own(a in "[ab:{}!é]{1,8}", b in "[ab:{}!é]{1,8}", end in "(/writes)?") {
            let names = Names::new(Namespace::new("test").unwrap(), 0);
            let [a, b] = [a, b + &end].map(|key| Key::new(&key).unwrap());
            let (data, fences) = (names.data(&a), names.fences(&a));
            prop_assert_eq!(slot_of(fences.as_bytes()), slot_of(data.as_bytes()));
            prop_assert_eq!(fences == names.fences(&b), a == b);
            prop_assert_eq!(names.pending(&a) == names.pending(&b), a == b);
        }
    }

    #[test]
    fn databases_do_not_share_a_channel() {
        assert_eq!(Names::new(Namespace::default(), 3).channel, "{cache}!bus/3");
    }
}

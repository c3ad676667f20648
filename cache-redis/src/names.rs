//! What keys and channels are called on the server.

use cache_core::{Key, Namespace, Pattern};

/// The names that one namespace uses. Data keys start with `ns:`, the tier's own with `{ns}!`, so that no data key and no
/// pattern of any namespace can mean one of the tier's own.
#[derive(Debug)]
pub(crate) struct Names {
    pub(crate) namespace: Namespace,
    pub(crate) journal: String,
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

    /// The name of the fences of `key`. No pattern of data keys matches it, so that whatever removes the one leaves the other.
    /// As its hash tag is the name of the data key, both are in one slot of a cluster, unless the key has one of its own.
    pub(crate) fn fences(&self, key: &Key) -> String {
        format!("{{{}}}!fences", self.data(key))
    }

    /// The key whose data key has this name, if it is one.
    pub(crate) fn key_of(&self, name: &[u8]) -> Option<Key> {
        let key = name.strip_prefix(self.namespace.as_str().as_bytes())?.strip_prefix(b":")?;
        Key::new(std::str::from_utf8(key).ok()?).ok()
    }

    /// The pattern that matches the names of exactly those data keys that `pattern` matches.
    pub(crate) fn data_matching(&self, pattern: &Pattern) -> String {
        format!("{}:{pattern}", Pattern::escape(self.namespace.as_str()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

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
        assert_eq!(names.rules, "{shop/v1.2}!rules");
        assert_eq!(names.nodes, "{shop/v1.2}!nodes");
        assert_eq!(names.channel, "{shop/v1.2}!bus");
    }

    #[test]
    fn databases_do_not_share_a_channel() {
        assert_eq!(Names::new(Namespace::default(), 3).channel, "{cache}!bus/3");
    }
}

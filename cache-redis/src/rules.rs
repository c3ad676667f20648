//! The rules of a namespace: a hash of what voids, by the position of the record.
//!
//! `cleared` voids everything born before it, `p` and a pattern what it matches, `t` and a number what has the tag.

use std::collections::HashMap;

use cache_core::coherence::{Change, Position, RuleSet};
use cache_core::{Pattern, TagSlot};

/// The fields that a record with this change sets to its position.
pub(crate) fn fields(change: &Change) -> Vec<String> {
    match change {
        Change::Clear => vec!["cleared".to_owned()],
        Change::Pattern(pattern) => vec![pattern_field(pattern)],
        Change::Tags(tags) => tags.slots().iter().copied().map(tag_field).collect(),
        _ => Vec::new(),
    }
}

/// The field of a tag's rule.
pub(crate) fn tag_field(slot: TagSlot) -> String {
    format!("t{}", slot.number())
}

/// The field of a pattern's rule.
pub(crate) fn pattern_field(pattern: &Pattern) -> String {
    format!("p{pattern}")
}

/// Reads the hash. What cannot be read may void anything, so it counts as a clear at its position; without a position
/// nothing can be said, and the rules count as lost.
pub(crate) fn read(hash: HashMap<String, String>) -> Option<RuleSet> {
    let mut rules = RuleSet::default();
    for (field, position) in hash {
        let position: Position = position.parse().ok()?;
        match rule(&field) {
            Some(Rule::Pattern(pattern)) => rules.patterns.push((pattern, position)),
            Some(Rule::Tag(slot)) => rules.tags.push((slot, position)),
            None => rules.cleared = rules.cleared.max(position),
        }
    }
    Some(rules)
}

enum Rule {
    Pattern(Pattern),
    Tag(TagSlot),
}

fn rule(field: &str) -> Option<Rule> {
    if let Some(pattern) = field.strip_prefix('p') {
        return Pattern::new(pattern).ok().map(Rule::Pattern);
    }
    field.strip_prefix('t')?.parse().ok().map(|number| Rule::Tag(TagSlot::new(number)))
}

#[cfg(test)]
mod tests {
    use super::*;
    use cache_core::Tags;

    fn read_back(fields: &[(&str, &str)]) -> Option<RuleSet> {
        read(fields.iter().map(|(field, position)| ((*field).to_owned(), (*position).to_owned())).collect())
    }

    #[test]
    fn what_is_written_is_read() {
        let pattern = Pattern::new("user:*").unwrap();
        assert_eq!(fields(&Change::Clear), ["cleared"]);
        assert_eq!(fields(&Change::Pattern(pattern.clone())), ["puser:*"]);
        assert_eq!(fields(&Change::Tags(Tags::from_slots(vec![TagSlot::new(7), TagSlot::new(9)]))), ["t7", "t9"]);
        assert!(fields(&Change::Begin).is_empty());
        let rules = read_back(&[("cleared", "1-0"), ("puser:*", "2-0"), ("t7", "3-0")]).unwrap();
        assert_eq!(rules.cleared, Position::new(1, 0));
        assert_eq!(rules.patterns, [(pattern, Position::new(2, 0))]);
        assert_eq!(rules.tags, [(TagSlot::new(7), Position::new(3, 0))]);
    }

    #[test]
    fn what_cannot_be_read_counts_as_a_clear() {
        for field in ["", "x", "t", "t65536", "p", "p[", "cleared"] {
            assert_eq!(read_back(&[(field, "5-1")]).unwrap().cleared, Position::new(5, 1), "{field}");
        }
        assert!(read_back(&[("t7", "no position")]).is_none());
    }
}

//! "Did you mean": the known name closest to a mistyped one.

/// The candidate within a third of `name`'s length (at least one edit), if any.
pub(crate) fn nearest<'a>(name: &str, candidates: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    let allowed = (name.chars().count() / 3).max(1);
    candidates
        .into_iter()
        .map(|candidate| (distance(name, candidate), candidate))
        .filter(|(distance, _)| *distance <= allowed)
        .min_by_key(|(distance, _)| *distance)
        .map(|(_, candidate)| candidate)
}

/// ``; did you mean `ttl`?`` or nothing.
pub(crate) fn suggestion<'a>(name: &str, candidates: impl IntoIterator<Item = &'a str>) -> String {
    nearest(name, candidates).map(|found| format!("; did you mean `{found}`?")).unwrap_or_default()
}

/// `` `a`, `b` and `c` ``
pub(crate) fn list<'a>(names: impl IntoIterator<Item = &'a str>) -> String {
    let quoted: Vec<String> = names.into_iter().map(|name| format!("`{name}`")).collect();
    match quoted.split_last() {
        None => String::new(),
        Some((last, [])) => last.clone(),
        Some((last, rest)) => format!("{} and {last}", rest.join(", ")),
    }
}

/// How many characters to insert, delete, replace or swap with their neighbour.
fn distance(left: &str, right: &str) -> usize {
    let (left, right): (Vec<char>, Vec<char>) = (left.chars().collect(), right.chars().collect());
    let mut before = Vec::new();
    let mut row: Vec<usize> = (0..=right.len()).collect();
    for i in 1..=left.len() {
        let mut next = vec![i; right.len() + 1];
        for j in 1..=right.len() {
            let replaced = row[j - 1] + usize::from(left[i - 1] != right[j - 1]);
            next[j] = replaced.min(row[j] + 1).min(next[j - 1] + 1);
            if i > 1 && j > 1 && left[i - 1] == right[j - 2] && left[i - 2] == right[j - 1] {
                let swapped: &Vec<usize> = &before;
                next[j] = next[j].min(swapped[j - 2] + 1);
            }
        }
        before = std::mem::replace(&mut row, next);
    }
    row[right.len()]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn counts_edits() {
        for (left, right, edits) in
            [("ttl", "ttl", 0), ("tll", "ttl", 1), ("kye", "key", 1), ("nmaes", "name", 2), ("", "abc", 3)]
        {
            assert_eq!(distance(left, right), edits, "{left} {right}");
        }
    }

    #[test]
    fn finds_only_what_is_close() {
        let names = ["key", "ttl", "negative_ttl"];
        assert_eq!(nearest("tll", names), Some("ttl"));
        assert_eq!(nearest("negativ_tll", names), Some("negative_ttl"));
        assert_eq!(nearest("expires", names), None);
    }

    #[test]
    fn lists_names() {
        assert_eq!(list([]), "");
        assert_eq!(list(["a"]), "`a`");
        assert_eq!(list(["a", "b", "c"]), "`a`, `b` and `c`");
    }
}

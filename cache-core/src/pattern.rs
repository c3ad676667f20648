//! Glob patterns over keys, with the semantics of Redis.
//!
//! Hand-written because no glob crate has Redis's rules (byte-wise `?`, `^` for negation, `]` that always ends a class,
//! ranges in either order), and both tiers must agree on what a pattern matches. The tests of the Redis tier hold this
//! matcher against a real server.

use std::fmt;
use std::sync::Arc;

/// A glob pattern: `*` any bytes, `?` one byte, `[a-c]` one of, `[^a-c]` none of, `\` makes the next byte literal.
///
/// ```
/// use cache_core::Pattern;
///
/// let pattern = Pattern::new("user:*:profile")?;
/// assert!(pattern.matches("user:7:profile"));
/// assert!(!pattern.matches("user:7:settings"));
/// # Ok::<(), cache_core::InvalidPattern>(())
/// ```
#[derive(Clone, PartialEq, Eq, Hash)]
pub struct Pattern {
    text: Arc<str>,
    tokens: Arc<[Token]>,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash)]
enum Token {
    AnyBytes,
    AnyByte,
    Literal(u8),
    Class { negated: bool, ranges: Box<[(i8, i8)]> },
}

impl Pattern {
    /// The longest pattern, in bytes.
    pub const MAX_BYTES: usize = 1_024;

    /// Parses a pattern. The time to match it is at most proportional to pattern length times key length.
    ///
    /// # Errors
    /// The pattern is empty, longer than [`Pattern::MAX_BYTES`], holds a control character, ends in a lone `\`, or has a
    /// `[` that is not closed. Redis accepts the last two; they are nearly always mistakes.
    pub fn new(pattern: impl AsRef<str>) -> Result<Self, InvalidPattern> {
        let text = pattern.as_ref();
        let fail = |reason| {
            Err(InvalidPattern { pattern: text.chars().take(80).flat_map(char::escape_debug).collect(), reason })
        };
        if text.is_empty() {
            return fail("it is empty; use * to match every key");
        }
        if text.len() > Self::MAX_BYTES {
            return fail("it has more than 1024 bytes; use a shorter prefix and *");
        }
        if text.bytes().any(|byte| byte < 0x20 || byte == 0x7f) {
            return fail("it holds a control character, which no key does");
        }
        match parse(text.as_bytes()) {
            Ok(tokens) => Ok(Self { text: Arc::from(text), tokens: tokens.into() }),
            Err(reason) => fail(reason),
        }
    }

    /// The pattern that matches every key.
    #[must_use]
    pub fn all() -> Self {
        Self { text: Arc::from("*"), tokens: Arc::from([Token::AnyBytes]) }
    }

    /// `text` with each byte that a pattern gives a meaning made literal.
    ///
    /// ```
    /// use cache_core::Pattern;
    ///
    /// assert_eq!(Pattern::escape("a*[b]"), r"a\*\[b\]");
    /// ```
    #[must_use]
    pub fn escape(text: &str) -> String {
        let mut escaped = String::with_capacity(text.len());
        for c in text.chars() {
            if matches!(c, '*' | '?' | '[' | ']' | '^' | '\\') {
                escaped.push('\\');
            }
            escaped.push(c);
        }
        escaped
    }

    /// The pattern as it was written.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.text
    }

    /// Whether the whole of `key` matches.
    #[must_use]
    pub fn matches(&self, key: &str) -> bool {
        let (tokens, key) = (&self.tokens, key.as_bytes());
        let (mut at_token, mut at_key) = (0, 0);
        // Where to go on after the last `*` when what follows it did not match: only the last one ever needs retrying,
        // since an earlier one could only consume what the last one can consume as well.
        let mut retry = None;
        loop {
            match tokens.get(at_token) {
                Some(Token::AnyBytes) => {
                    retry = Some((at_token + 1, at_key));
                    at_token += 1;
                    continue;
                }
                Some(token) if key.get(at_key).is_some_and(|byte| token.matches(*byte)) => {
                    at_token += 1;
                    at_key += 1;
                    continue;
                }
                None if at_key == key.len() => return true,
                _ => {}
            }
            match retry {
                Some((token, start)) if start < key.len() => {
                    retry = Some((token, start + 1));
                    (at_token, at_key) = (token, start + 1);
                }
                _ => return false,
            }
        }
    }
}

impl Token {
    fn matches(&self, byte: u8) -> bool {
        match self {
            Self::AnyBytes | Self::AnyByte => true,
            Self::Literal(literal) => *literal == byte,
            Self::Class { negated, ranges } => {
                // Signed, as a `char` is where Redis runs on x86: it decides ranges that cross from ASCII into UTF-8.
                let byte = byte.cast_signed();
                ranges.iter().any(|(low, high)| (*low..=*high).contains(&byte)) != *negated
            }
        }
    }
}

fn parse(pattern: &[u8]) -> Result<Vec<Token>, &'static str> {
    let mut tokens = Vec::new();
    let mut rest = pattern;
    while let Some((&byte, after)) = rest.split_first() {
        rest = after;
        tokens.push(match byte {
            b'*' => {
                if tokens.last() == Some(&Token::AnyBytes) {
                    continue;
                }
                Token::AnyBytes
            }
            b'?' => Token::AnyByte,
            b'[' => {
                let (class, after) = parse_class(rest)?;
                rest = after;
                class
            }
            b'\\' => {
                let (&literal, after) = rest.split_first().ok_or(r"it ends in a lone \; write \\ for a backslash")?;
                rest = after;
                Token::Literal(literal)
            }
            literal => Token::Literal(literal),
        });
    }
    Ok(tokens)
}

fn parse_class(after_bracket: &[u8]) -> Result<(Token, &[u8]), &'static str> {
    let (negated, mut rest) = match after_bracket {
        [b'^', rest @ ..] => (true, rest),
        rest => (false, rest),
    };
    let mut ranges = Vec::new();
    loop {
        let (low, high);
        (low, high, rest) = match rest {
            [] => return Err(r"a [ is not closed; write \[ for a bracket"),
            [b'\\', literal, rest @ ..] => (*literal, *literal, rest),
            [b']', rest @ ..] => return Ok((Token::Class { negated, ranges: ranges.into() }, rest)),
            [from, b'-', to, rest @ ..] => (*from, *to, rest),
            [literal, rest @ ..] => (*literal, *literal, rest),
        };
        let (low, high) = (low.cast_signed(), high.cast_signed());
        ranges.push((low.min(high), low.max(high)));
    }
}

impl fmt::Debug for Pattern {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.text.fmt(f)
    }
}

impl fmt::Display for Pattern {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.text.fmt(f)
    }
}

/// Why a text is no pattern.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("invalid pattern \"{pattern}\": {reason}")]
pub struct InvalidPattern {
    pattern: String,
    reason: &'static str,
}

#[cfg(test)]
mod tests {
    use super::*;

    fn matches(pattern: &str, key: &str) -> bool {
        Pattern::new(pattern).unwrap().matches(key)
    }

    #[test]
    fn stars_match_any_bytes() {
        assert!(matches("*", "anything"));
        assert!(matches("a*c", "ac"));
        assert!(matches("a*b*c", "aXbYbZc"));
        assert!(matches("**a", "bba"));
        assert!(!matches("a*c", "abd"));
        assert!(!matches("a", "ab"));
    }

    #[test]
    fn a_question_mark_matches_one_byte_not_one_character() {
        assert!(matches("h?llo", "hello"));
        assert!(!matches("h?llo", "hllo"));
        assert!(!matches("?", "é"));
        assert!(matches("??", "é"));
    }

    #[test]
    fn classes_follow_redis() {
        assert!(matches("h[ae]llo", "hallo"));
        assert!(matches("h[^e]llo", "hallo"));
        assert!(!matches("h[^e]llo", "hello"));
        assert!(matches("[c-a]", "b"), "a range may be written in either order");
        assert!(!matches("[]", "]"), "an empty class matches nothing");
        assert!(matches(r"[\]]", "]"));
    }

    #[test]
    fn an_escaped_text_matches_only_itself() {
        let text = r"a*b?[c]^\d";
        let pattern = Pattern::new(Pattern::escape(text)).unwrap();
        assert!(pattern.matches(text));
        assert!(!pattern.matches("aXb?[c]^d"));
    }

    #[test]
    fn a_malformed_pattern_is_named_with_the_fix() {
        let error = |pattern: &str| Pattern::new(pattern).unwrap_err().to_string();
        assert_eq!(error("a[b"), "invalid pattern \"a[b\": a [ is not closed; write \\[ for a bracket");
        assert_eq!(error("a\\"), "invalid pattern \"a\\\\\": it ends in a lone \\; write \\\\ for a backslash");
        assert!(error("").contains("use * to match every key"));
        assert!(error("a\nb").contains("control character"));
        assert!(error(&"a".repeat(1_025)).contains("1024 bytes"));
    }

    #[test]
    fn many_stars_do_not_take_exponential_time() {
        assert!(!matches(&format!("{}c", "a*".repeat(400)), &"a".repeat(1_000)));
    }
}

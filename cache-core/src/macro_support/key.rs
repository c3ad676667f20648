//! Writing keys: without an allocation while they are short, and so that two argument lists never share one.

use std::fmt::{self, Display, Write};

use arrayvec::ArrayString;
use sha2::{Digest, Sha256};

use super::cache_key::CacheKey;
use super::plain::PlainKey;

/// A key being written. Up to [`KeyBuffer::INLINE_BYTES`] bytes it lives on the stack.
#[derive(Debug)]
pub struct KeyBuffer {
    /// All of the key, while `long` is empty; full from then on.
    short: ArrayString<{ Self::INLINE_BYTES }>,
    long: String,
    /// What is escaped in arguments beyond the reserved characters, because it ends them in this key's template.
    separator: Option<char>,
}

impl KeyBuffer {
    /// How long a key may be before it is allocated.
    pub const INLINE_BYTES: usize = 128;

    /// An empty key.
    #[must_use]
    #[inline]
    pub const fn empty() -> Self {
        Self { short: ArrayString::new_const(), long: String::new(), separator: None }
    }

    /// Escapes this character, too, in the arguments from here on. It is ASCII, and neither a letter nor a digit nor
    /// `%`.
    #[inline]
    pub const fn separate_by(&mut self, separator: Option<char>) {
        self.separator = separator;
    }

    /// Appends a part of the template as it is.
    #[inline]
    pub fn literal(&mut self, text: &str) {
        if self.short.try_push_str(text).is_err() {
            self.append_long(text);
        }
    }

    #[cold]
    fn append_long(&mut self, text: &str) {
        if self.long.is_empty() {
            self.long = String::with_capacity(self.short.len() + text.len() + Self::INLINE_BYTES);
            self.long.push_str(&self.short);
            while self.short.try_push('\0').is_ok() {}
        }
        self.long.push_str(text);
    }

    /// Appends what an argument displays, escaped.
    ///
    /// # Panics
    /// The value's `Display` failed, as `to_string` does.
    pub fn text(&mut self, text: fmt::Arguments<'_>) {
        assert!(
            fmt::write(&mut Escaped(self), text).is_ok(),
            "a Display implementation returned an error unexpectedly"
        );
    }

    /// Begins a default key with the path of the function.
    pub fn function(&mut self, path: &str) {
        for (at, segment) in path.split("::").enumerate() {
            if at > 0 {
                self.literal("::");
            }
            self.escaped(segment);
        }
        self.literal("(");
    }

    /// Begins a default key with a type and a function of it.
    pub fn method(&mut self, type_name: &str, name: &str) {
        for path in [type_name, name] {
            for segment in path.split("::") {
                self.escaped(segment);
                self.literal("::");
            }
        }
        self.literal("(");
    }

    /// Begins a default key with a function of a trait or of its implementation, or with `name` in its place, by the name
    /// of the type of a closure in it. That has every type argument of the trait and of `Self`, which no item in the
    /// function has.
    pub fn trait_function(&mut self, closure: &str, name: Option<&str>) {
        let (path, owner) = enclosing_function(closure);
        match name {
            None => self.function(path),
            Some(name) => self.method(name, owner),
        }
    }

    /// Appends the hash of what `write` writes, and nothing else of it: 32 hexadecimal digits.
    ///
    /// The hash is SHA-256, keyed by a constant and cut to 128 bits. It cannot be keyed by the namespace or a secret: every
    /// node must come to the same key, and `find_user::key(..)` knows no service. So it hides what cannot be guessed, such
    /// as a token, and not what can be tried out, such as a birthday.
    pub fn hashed(&mut self, write: impl FnOnce(&mut Self)) {
        let mut value = Self::empty();
        write(&mut value);
        let hash =
            Sha256::new_with_prefix("cache-aside: a hashed placeholder\0").chain_update(value.as_str()).finalize();
        for byte in &hash[..16] {
            self.hexadecimal(*byte);
        }
    }

    /// Appends an argument to a default key.
    pub fn argument<T: CacheKey + ?Sized>(&mut self, argument: &T) {
        argument.write_key(&mut KeyWriter { key: self });
    }

    /// Appends a value as the whole rest of the key.
    pub fn parts<T: CacheKey + ?Sized>(&mut self, value: &T) {
        value.write_parts(&mut KeyWriter { key: self });
    }

    /// The key.
    #[must_use]
    #[inline]
    pub fn as_str(&self) -> &str {
        if self.long.is_empty() { &self.short } else { &self.long }
    }

    /// The key.
    #[must_use]
    pub fn into_string(self) -> String {
        if self.long.is_empty() { self.as_str().to_owned() } else { self.long }
    }

    #[inline]
    pub(super) fn escaped(&mut self, text: &str) {
        if self.separator.is_none() && is_plain(text.as_bytes()) {
            self.literal(text);
        } else {
            self.escape(text);
        }
    }

    /// Appends the digits of a number, and its sign, which may have to be escaped.
    #[inline]
    pub(super) fn signed(&mut self, text: &str) {
        if self.separator.is_none() || !text.starts_with('-') {
            self.literal(text);
        } else {
            self.escape(text);
        }
    }

    #[cold]
    fn escape(&mut self, text: &str) {
        let mut plain_from = 0;
        for (at, character) in text.char_indices() {
            if !is_reserved(character) && self.separator != Some(character) {
                continue;
            }
            self.literal(&text[plain_from..at]);
            plain_from = at + character.len_utf8();
            for byte in character.encode_utf8(&mut [0; 4]).bytes() {
                self.percent(byte);
            }
        }
        self.literal(&text[plain_from..]);
    }

    fn percent(&mut self, byte: u8) {
        self.literal("%");
        self.hexadecimal(byte);
    }

    fn hexadecimal(&mut self, byte: u8) {
        const DIGITS: [char; 16] = ['0', '1', '2', '3', '4', '5', '6', '7', '8', '9', 'A', 'B', 'C', 'D', 'E', 'F'];
        for digit in [byte >> 4, byte & 15] {
            self.literal(DIGITS[usize::from(digit)].encode_utf8(&mut [0; 4]));
        }
    }
}

const fn is_reserved(character: char) -> bool {
    matches!(character, ':' | '*' | '?' | '[' | ']' | '{' | '}' | '\\' | '%' | '\0'..'\x20' | '\x7f'..'\u{a0}')
}

/// Whether every byte is a whole character that is not reserved. Most texts are such, so none ends the look at its eight bytes.
#[inline]
fn is_plain(text: &[u8]) -> bool {
    let mut chunks = text.chunks_exact(8);
    for chunk in &mut chunks {
        if chunk.iter().fold(0, |special, byte| special | SPECIAL[usize::from(*byte)]) != 0 {
            return false;
        }
    }
    chunks.remainder().iter().fold(0, |special, byte| special | SPECIAL[usize::from(*byte)]) == 0
}

/// Zero for the bytes that are a whole character that is not reserved.
static SPECIAL: [u8; 256] = {
    let mut special = [1; 256];
    let mut byte = 0;
    while byte < 0x80 {
        special[byte] = is_reserved(byte as u8 as char) as u8;
        byte += 1;
    }
    special
};

/// Where a [`CacheKey`] writes itself.
#[derive(Debug)]
pub struct KeyWriter<'a> {
    key: &'a mut KeyBuffer,
}

impl KeyWriter<'_> {
    /// Appends what `value` displays. Reserved characters (`: * ? [ ] { } \ %`, control characters, and the one that
    /// ends the placeholder in its template) are percent-escaped.
    ///
    /// # Panics
    /// The value's `Display` failed, as `to_string` does.
    pub fn text(&mut self, value: impl Display) {
        self.key.text(format_args!("{value}"));
    }

    /// As [`KeyWriter::text`], for what needs no formatting.
    pub(super) fn plain(&mut self, value: &(impl PlainKey + ?Sized)) {
        value.write_plain(self.key);
    }

    /// Separates the parts of a key. No text can hold what it appends, nor can a value with elements.
    pub(super) fn separate(&mut self) {
        self.key.literal(":");
    }

    /// Appends a mark that no text can hold, since an escape's digits are none of these letters.
    pub(super) fn mark(&mut self, mark: Mark) {
        self.key.literal(match mark {
            Mark::Nothing => "%n",
            Mark::Something => "%s",
            Mark::Begin => "%l",
            Mark::Element => "%i",
            Mark::End => "%z",
        });
    }
}

/// What a key says of the structure of an argument.
pub(super) enum Mark {
    Nothing,
    Something,
    Begin,
    /// Ends an element.
    Element,
    End,
}

struct Escaped<'a>(&'a mut KeyBuffer);

impl Write for Escaped<'_> {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        self.0.escaped(text);
        Ok(())
    }
}

/// The value of a placeholder: written as it displays, else as a [`CacheKey`].
#[derive(Debug)]
pub struct Placeholder<'a, T: ?Sized>(pub &'a T);

impl<T: ?Sized> Placeholder<'_, T> {
    /// For values without `Display`. Those with it take [`WriteDisplay::write`], which method look-up finds first on a
    /// reference.
    pub fn write(&self, key: &mut KeyBuffer)
    where
        T: CacheKey,
    {
        key.argument(self.0);
    }
}

/// For values whose text is at hand, which needs no formatting.
pub trait WritePlain {
    /// Appends what the value displays.
    fn write(&self, key: &mut KeyBuffer);
}

impl<T: PlainKey + ?Sized> WritePlain for &&Placeholder<'_, T> {
    #[inline]
    fn write(&self, key: &mut KeyBuffer) {
        self.0.write_plain(key);
    }
}

/// For values with `Display`.
pub trait WriteDisplay {
    /// Appends what the value displays.
    fn write(&self, key: &mut KeyBuffer);
}

impl<T: Display + ?Sized> WriteDisplay for &Placeholder<'_, T> {
    fn write(&self, key: &mut KeyBuffer) {
        key.text(format_args!("{}", self.0));
    }
}

/// The function that a closure is in, by the name of the closure's type, and what that function is of: `<A as B<C>>::find`
/// and `<A as B<C>>` for `<A as B<C>>::find<D>::{{closure}}`. The function's own type arguments are left out, since they
/// may be of arguments that are skipped.
///
/// The compiler promises nothing about these names. One that reads otherwise is taken as a whole, which can only be too much.
fn enclosing_function(closure: &str) -> (&str, &str) {
    let function = closure.trim_end_matches("::{{closure}}");
    let bytes = function.as_bytes();
    let (mut depth, mut owner) = (0_usize, None);
    for (at, byte) in bytes.iter().enumerate() {
        let around = (at.checked_sub(1).map(|before| bytes[before]), bytes.get(at + 1));
        match (byte, around) {
            // A constant of type `char`, and what a function pointer returns.
            (b'<' | b'>', (Some(b'\''), Some(b'\''))) | (b'>', (Some(b'-'), _)) => {}
            (b'<', _) => depth += 1,
            (b'>', _) => depth = depth.saturating_sub(1),
            (b':', (_, Some(b':'))) if depth == 0 => owner = Some(at),
            _ => {}
        }
    }
    let Some(owner) = owner.filter(|_| depth == 0) else { return (closure, closure) };
    let name = &function[owner + 2..];
    let length = name.find('<').unwrap_or(name.len());
    (&function[..owner + 2 + length], &function[..owner])
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn placeholder<T: Display>(value: T) -> String {
        let mut key = KeyBuffer::empty();
        (&&Placeholder(&value)).write(&mut key);
        key.into_string()
    }

    #[test]
    fn reserved_characters_are_escaped() {
        assert_eq!(placeholder("a:b*c?d[e]f{g}h\\i%j"), "a%3Ab%2Ac%3Fd%5Be%5Df%7Bg%7Dh%5Ci%25j");
        assert_eq!(placeholder("tab\tdel\u{7f}next\u{85}é-/"), "tab%09del%7Fnext%C2%85é-/");
        let mut key = KeyBuffer::empty();
        for separator in [Some('-'), Some('/'), None] {
            key.separate_by(separator);
            key.text(format_args!("a-b/c,"));
        }
        assert_eq!(key.as_str(), "a%2Db/c,a-b%2Fc,a-b/c,");
    }

    #[test]
    fn a_key_moves_to_the_heap_when_it_is_long() {
        for length in [0, 1, 126, 127, 128, 129, 500] {
            let mut key = KeyBuffer::empty();
            (0..length).for_each(|_| key.literal("x"));
            assert_eq!((key.as_str().len(), key.long.is_empty()), (length, length <= KeyBuffer::INLINE_BYTES));
            key.literal(&"é".repeat(100));
            assert_eq!(key.into_string(), "x".repeat(length) + &"é".repeat(100));
        }
    }

    #[test]
    fn a_default_key_reads_like_a_call() {
        let mut key = KeyBuffer::empty();
        key.function("shop::users::{{closure}}::find");
        key.argument(&7);
        key.literal(":");
        key.argument("a:b");
        key.literal(")");
        assert_eq!(key.as_str(), "shop::users::%7B%7Bclosure%7D%7D::find(7:a%3Ab)");
    }

    #[test]
    fn a_function_is_found_by_a_closure_in_it() {
        for (closure, path, owner) in [
            (
                "<a::B as a::C<d::E>>::find::{{closure}}::{{closure}}",
                "<a::B as a::C<d::E>>::find",
                "<a::B as a::C<d::E>>",
            ),
            (
                "a::find::<impl a::C<fn(&'_ str) -> d::E, '<'> for [a::B; 2]>::find<'_, d::E, '>'>::{{closure}}",
                "a::find::<impl a::C<fn(&'_ str) -> d::E, '<'> for [a::B; 2]>::find",
                "a::find::<impl a::C<fn(&'_ str) -> d::E, '<'> for [a::B; 2]>",
            ),
            (
                "a::find::{{closure}}::<impl a::C<a::g<u8>::{{closure}}> for u8>::find::{{closure}}",
                "a::find::{{closure}}::<impl a::C<a::g<u8>::{{closure}}> for u8>::find",
                "a::find::{{closure}}::<impl a::C<a::g<u8>::{{closure}}> for u8>",
            ),
            ("of another <form::{{closure}}", "of another <form::{{closure}}", "of another <form::{{closure}}"),
            ("", "", ""),
        ] {
            assert_eq!(enclosing_function(closure), (path, owner));
        }
    }

    fn awkward_text() -> impl Strategy<Value = String> {
        prop::collection::vec(
            prop::sample::select(vec!["", ":", "*", "%", "%3A", "3A", "n", "s", "-", "a", "{", "]", "\\", "é", "\n"]),
            0..5,
        )
        .prop_map(|parts| parts.concat())
    }

    proptest! {
        #[test]
        fn different_texts_have_different_keys(a in awkward_text(), b in awkward_text()) {
            let key = |text: &String| placeholder(text);
            prop_assert_eq!(a == b, key(&a) == key(&b));
            let reserved = key(&a).contains([':', '*', '?', '[', ']', '{', '}', '\\', '\n']);
            prop_assert!(!reserved);
        }
    }
}

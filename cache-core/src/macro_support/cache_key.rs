//! Arguments that can stand in a key.

use std::borrow::Cow;
use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::num::{NonZeroI32, NonZeroI64, NonZeroU32, NonZeroU64};
use std::rc::Rc;
use std::sync::Arc;

use super::key::{KeyWriter, Mark};

/// A value that can be a key of a [`Keyspace`](crate::Keyspace), or an argument of a cached function without a key template.
///
/// Two different values must write different keys, else their results are confused. Implemented for integers, `bool`,
/// `char`, floating point numbers, strings, IP addresses, `Uuid` (with the feature `uuid`), and for references, `Option`,
/// tuples, slices and ordered collections of them. For a type of your own, derive it, or write its fields as a tuple:
///
/// ```
/// use cache_core::{CacheKey, KeyWriter};
///
/// struct Page {
///     number: u32,
///     size: Option<u32>,
/// }
///
/// impl CacheKey for Page {
///     fn write_key(&self, key: &mut KeyWriter<'_>) {
///         (self.number, self.size).write_key(key);
///     }
/// }
/// ```
#[diagnostic::on_unimplemented(
    message = "`{Self}` cannot be a part of a cache key",
    label = "cannot be written into a key",
    note = "name what identifies it in the key: `key = \"..:{{argument.id}}\"`",
    note = "or leave the argument out of the key: `skip(argument)`",
    note = "or implement `CacheKey` for the type (`Display` is enough for a placeholder of a key template)"
)]
pub trait CacheKey {
    /// Appends the value to a key.
    fn write_key(&self, key: &mut KeyWriter<'_>);

    /// Appends the value as the whole rest of a key, where nothing follows that it could be confused with: the elements of a
    /// tuple stand side by side, `7:en`. The default is what [`CacheKey::write_key`] writes.
    fn write_parts(&self, key: &mut KeyWriter<'_>) {
        self.write_key(key);
    }
}

macro_rules! displayed {
    ($($type:ty)*) => {
        $(impl CacheKey for $type {
            fn write_key(&self, key: &mut KeyWriter<'_>) {
                key.text(self);
            }
        })*
    };
}

macro_rules! plain {
    ($($type:ty)*) => {
        $(impl CacheKey for $type {
            fn write_key(&self, key: &mut KeyWriter<'_>) {
                key.plain(self);
            }
        })*
    };
}

plain! { u8 u16 u32 u64 u128 usize i8 i16 i32 i64 i128 isize str String }

displayed! {
    f32 f64 bool char
    NonZeroU32 NonZeroU64 NonZeroI32 NonZeroI64 IpAddr Ipv4Addr Ipv6Addr SocketAddr
}

#[cfg(feature = "uuid")]
displayed!(uuid::Uuid);

macro_rules! forwarded {
    ($($type:ty)*) => {
        $(impl<T: CacheKey + ?Sized> CacheKey for $type {
            fn write_key(&self, key: &mut KeyWriter<'_>) {
                T::write_key(self, key);
            }

            fn write_parts(&self, key: &mut KeyWriter<'_>) {
                T::write_parts(self, key);
            }
        })*
    };
}

forwarded!(&T &mut T Box<T> Rc<T> Arc<T>);

impl<T: CacheKey + ToOwned + ?Sized> CacheKey for Cow<'_, T> {
    fn write_key(&self, key: &mut KeyWriter<'_>) {
        T::write_key(self, key);
    }

    fn write_parts(&self, key: &mut KeyWriter<'_>) {
        T::write_parts(self, key);
    }
}

impl<T: CacheKey> CacheKey for Option<T> {
    fn write_key(&self, key: &mut KeyWriter<'_>) {
        match self {
            None => key.mark(Mark::Nothing),
            Some(value) => {
                key.mark(Mark::Something);
                value.write_key(key);
            }
        }
    }
}

fn write_all<T: CacheKey>(values: impl IntoIterator<Item = T>, key: &mut KeyWriter<'_>) {
    begin(key);
    for value in values {
        element(key, &value);
    }
    end(key);
}

/// Begins what has elements.
pub fn begin(key: &mut KeyWriter<'_>) {
    key.mark(Mark::Begin);
}

/// Appends an element between [`begin`] and [`end`].
pub fn element<T: CacheKey + ?Sized>(key: &mut KeyWriter<'_>, value: &T) {
    value.write_key(key);
    key.mark(Mark::Element);
}

/// Ends what has elements.
pub fn end(key: &mut KeyWriter<'_>) {
    key.mark(Mark::End);
}

/// Appends one of the parts that make up the rest of a key.
pub fn part<T: CacheKey + ?Sized>(key: &mut KeyWriter<'_>, first: bool, value: &T) {
    if !first {
        key.separate();
    }
    value.write_key(key);
}

impl<T: CacheKey> CacheKey for [T] {
    fn write_key(&self, key: &mut KeyWriter<'_>) {
        write_all(self, key);
    }
}

impl<T: CacheKey, const N: usize> CacheKey for [T; N] {
    fn write_key(&self, key: &mut KeyWriter<'_>) {
        write_all(self, key);
    }
}

macro_rules! collections {
    ($($type:ty)*) => {
        $(impl<T: CacheKey> CacheKey for $type {
            fn write_key(&self, key: &mut KeyWriter<'_>) {
                write_all(self, key);
            }
        })*
    };
}

collections!(Vec<T> VecDeque<T> BTreeSet<T>);

impl<K: CacheKey, V: CacheKey> CacheKey for BTreeMap<K, V> {
    fn write_key(&self, key: &mut KeyWriter<'_>) {
        write_all(self, key);
    }
}

macro_rules! tuples {
    ($($($name:ident)+;)*) => {
        $(impl<$($name: CacheKey),+> CacheKey for ($($name,)+) {
            #[allow(non_snake_case)]
            fn write_key(&self, key: &mut KeyWriter<'_>) {
                let ($($name,)+) = self;
                begin(key);
                $(element(key, $name);)+
                end(key);
            }

            #[allow(non_snake_case)]
            fn write_parts(&self, key: &mut KeyWriter<'_>) {
                let ($($name,)+) = self;
                let mut first = true;
                $(part(key, std::mem::take(&mut first), $name);)+
            }
        })*
    };
}

tuples! {
    A; A B; A B C; A B C D; A B C D E; A B C D E F; A B C D E F G; A B C D E F G H;
}

impl CacheKey for () {
    fn write_key(&self, _key: &mut KeyWriter<'_>) {}
}

#[cfg(test)]
mod tests {
    use super::super::KeyBuffer;
    use super::*;
    use proptest::prelude::*;

    fn key<T: CacheKey + ?Sized>(value: &T) -> String {
        let mut key = KeyBuffer::empty();
        key.argument(value);
        key.into_string()
    }

    #[test]
    fn simple_values_are_written_as_they_display() {
        assert_eq!(key(&7_u8), "7");
        assert_eq!(key(&-7_i64), "-7");
        assert_eq!(key("a:b"), "a%3Ab");
        assert_eq!(key(&Arc::new(Cow::Borrowed("x"))), "x");
        assert_eq!(key(&IpAddr::from([0, 0, 0, 0, 0, 0, 0, 1])), "%3A%3A1");
    }

    fn parts<T: CacheKey + ?Sized>(value: &T) -> String {
        let mut key = KeyBuffer::empty();
        key.parts(value);
        key.into_string()
    }

    #[test]
    fn the_elements_of_a_whole_key_stand_side_by_side() {
        assert_eq!(parts(&7_u8), "7");
        assert_eq!(parts(&(7_u8, "a:b")), "7:a%3Ab");
        assert_eq!(parts(&Arc::new((7_u8, Some("en")))), "7:%sen");
        assert_eq!(parts(&((1_u8, 2_u8), 3_u8)), "%l1%i2%i%z:3", "nested ones keep their marks");
    }

    #[test]
    fn structure_is_part_of_the_key() {
        let all = [
            key(&None::<&str>),
            key(&Some("")),
            key(&Some("n")),
            key(&Some(None::<&str>)),
            key(&Some(Some(""))),
            key::<[&str]>(&[]),
            key::<[&str]>(&[""]),
            key::<[&str]>(&["", ""]),
            key(&["a", "b"]),
            key(&["ab"]),
            key(&["a%ib"]),
            key(&(vec!["a"], vec!["b"])),
            key(&(vec!["a", "b"], Vec::<&str>::new())),
            key("%n"),
        ];
        let distinct: BTreeSet<&String> = all.iter().collect();
        assert_eq!(distinct.len(), all.len(), "{all:#?}");
    }

    type Nested = (Vec<Option<String>>, Option<Vec<String>>, String);

    fn nested() -> impl Strategy<Value = Nested> {
        let text = || prop::sample::select(vec!["", "%n", "%s", "%i", "%z", "a", ":", "*"]).prop_map(str::to_owned);
        let many = prop::collection::vec(prop::option::of(text()), 0..3);
        (many, prop::option::of(prop::collection::vec(text(), 0..3)), text())
    }

    proptest! {
        #[test]
        fn different_values_have_different_keys(a in nested(), b in nested()) {
            prop_assert_eq!(a == b, key(&a) == key(&b));
            prop_assert_eq!(a == b, parts(&a) == parts(&b));
            let reserved = key(&a).contains([':', '*', '?', '[', ']', '{', '}', '\\']);
            prop_assert!(!reserved);
        }
    }
}

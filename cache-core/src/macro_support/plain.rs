//! Values whose text needs no formatting: most keys are made of these.

use super::key::KeyBuffer;

/// A value that can be written into a key without going through `Display`, and reads the same.
pub trait PlainKey {
    /// Appends what the value displays, escaped.
    fn write_plain(&self, key: &mut KeyBuffer);
}

impl PlainKey for str {
    #[inline]
    fn write_plain(&self, key: &mut KeyBuffer) {
        key.escaped(self);
    }
}

impl PlainKey for String {
    #[inline]
    fn write_plain(&self, key: &mut KeyBuffer) {
        key.escaped(self);
    }
}

impl<T: PlainKey + ?Sized> PlainKey for &T {
    #[inline]
    fn write_plain(&self, key: &mut KeyBuffer) {
        T::write_plain(self, key);
    }
}

macro_rules! integers {
    ($write:ident: $($type:ty)*) => {
        $(impl PlainKey for $type {
            #[inline]
            fn write_plain(&self, key: &mut KeyBuffer) {
                key.$write(itoa::Buffer::new().format(*self));
            }
        })*
    };
}

// Digits are never escaped.
integers! { literal: u8 u16 u32 u64 u128 usize }
integers! { signed: i8 i16 i32 i64 i128 isize }

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn plain<T: PlainKey>(value: T, separator: Option<char>) -> String {
        let mut key = KeyBuffer::empty();
        key.separate_by(separator);
        value.write_plain(&mut key);
        key.into_string()
    }

    proptest! {
        #[test]
        fn it_reads_as_it_displays(number: i64, huge: u128, text: String) {
            for separator in [None, Some('-'), Some('/')] {
                let displayed = |value: &dyn std::fmt::Display| {
                    let mut key = KeyBuffer::empty();
                    key.separate_by(separator);
                    key.text(format_args!("{value}"));
                    key.into_string()
                };
                prop_assert_eq!(plain(number, separator), displayed(&number));
                prop_assert_eq!(plain(huge, separator), displayed(&huge));
                prop_assert_eq!(plain(&text, separator), displayed(&text));
            }
        }
    }
}

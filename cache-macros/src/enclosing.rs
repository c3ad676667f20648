//! Where a function stands in its source file.
//!
//! An attribute sees its function alone, and so cannot tell the implementation of a trait from any other `impl` block. The
//! compiler can say in which file the function is, and the text there tells. That is used for a message only: where there is
//! no file, or more than one function of the name, the expansion is what it would be without.

use crate::ast::Function;
use proc_macro2::{Delimiter, Ident, TokenStream, TokenTree};
use std::cell::RefCell;
use std::path::PathBuf;

thread_local! {
    /// The functions of the file that was read last: most attributes of a file are expanded one after the other.
    static LAST: RefCell<Option<(PathBuf, Vec<Found>)>> = const { RefCell::new(None) };
}

/// A function of a file.
struct Found {
    name: String,
    of_trait: bool,
}

/// Whether the function is one of a trait or of its implementation, as far as can be told.
pub(crate) fn is_of_trait(function: &Function) -> bool {
    // Outside of the compiler there are no files.
    if !proc_macro::is_available() {
        return false;
    }
    let name = &function.signature.ident;
    let Some(path) = name.span().unwrap().local_file() else { return false };
    LAST.with_borrow_mut(|last| {
        if last.as_ref().is_none_or(|(read, _)| *read != path) {
            let text = std::fs::read_to_string(&path).unwrap_or_default();
            *last = Some((path, functions(&text)));
        }
        last.as_ref().is_some_and(|(_, functions)| all_of_trait(functions, name))
    })
}

fn functions(text: &str) -> Vec<Found> {
    let mut found = Vec::new();
    if let Ok(tokens) = text.parse() {
        collect(tokens, false, &mut found);
    }
    found
}

fn all_of_trait(functions: &[Found], name: &Ident) -> bool {
    let mut named = functions.iter().filter(|function| name == &function.name).peekable();
    named.peek().is_some() && named.all(|function| function.of_trait)
}

/// The functions among the tokens of a block, which is one of a trait or is not, and in all blocks within.
fn collect(tokens: TokenStream, of_trait: bool, found: &mut Vec<Found>) {
    let mut head = Vec::new();
    for token in tokens {
        match &token {
            TokenTree::Group(group) => {
                let braces = group.delimiter() == Delimiter::Brace;
                collect(group.stream(), braces && begins_trait(&head), found);
                if braces {
                    head.clear();
                } else {
                    head.push("()".to_owned());
                }
                continue;
            }
            TokenTree::Punct(punct) if punct.as_char() == ';' => head.clear(),
            TokenTree::Ident(name) if head.last().is_some_and(|last| last == "fn") => {
                found.push(Found { name: name.to_string(), of_trait });
            }
            _ => {}
        }
        head.push(token.to_string());
    }
}

/// Whether a block is one of a trait or of its implementation, by the tokens before it that stand in no group.
fn begins_trait(head: &[String]) -> bool {
    match head.iter().find(|token| ["impl", "trait", "fn", "mod"].contains(&token.as_str())) {
        Some(keyword) if keyword == "trait" => true,
        // Not the `for` of `for<'a>`.
        Some(keyword) if keyword == "impl" => head.windows(2).any(|pair| pair[0] == "for" && pair[1] != "<"),
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_stands_in_a_trait_alone_is_of_one() {
        let functions = functions(
            r#"
            trait Finds: Sync { async fn find(&self) -> u8; #[cached] async fn given(&self) -> u8 { 1 } }
            mod inner {
                impl<T: for<'a> Fn(&'a str)> super::Finds for Users<T> where T: Send { // {
                    async fn find(&self) -> u8 { async fn within() {} 2 }
                    async fn twice() {}
                }
            }
            #[doc = "impl A for B {"]
            impl<T> Users<T> where for<'a> T: Fn(&'a str) { async fn twice() {} async fn own() -> impl Sized {} }
            fn free() -> impl Sized { struct A; impl Clone for A { fn clone(&self) -> A { A } } }
            "#,
        );
        for (name, expected) in [
            ("find", true),
            ("given", true),
            ("clone", true),
            ("within", false),
            ("twice", false),
            ("own", false),
            ("free", false),
            ("missing", false),
        ] {
            let name = Ident::new(name, proc_macro2::Span::call_site());
            assert_eq!(all_of_trait(&functions, &name), expected, "{name}");
        }
    }
}

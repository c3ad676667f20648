//! Questions about tokens. Types and expressions are looked at as tokens: what matters is whether a name or a
//! lifetime occurs, and syn's visitors would cost every user compile time.

use proc_macro2::{Delimiter, Ident, TokenStream, TokenTree};
use quote::ToTokens;
use syn::Lit;
use syn::ext::IdentExt;

/// Whether the identifier occurs anywhere in the tokens, which are of a type.
pub(crate) fn mention(tokens: &impl ToTokens, name: &Ident) -> bool {
    any(tokens.to_token_stream(), &mut |token| matches!(token, TokenTree::Ident(ident) if ident == name))
}

/// Whether tokens of an expression read the variable, be it in a format string. What is merely called like it does not:
/// a field, a method, a macro, a part of a path, or what a closure binds.
pub(crate) fn read(tokens: &impl ToTokens, variable: &Ident) -> bool {
    let tokens: Vec<TokenTree> = tokens.to_token_stream().into_iter().collect();
    let is =
        |at: usize, character| matches!(tokens.get(at), Some(TokenTree::Punct(punct)) if punct.as_char() == character);
    let mut at = 0;
    while let Some(token) = tokens.get(at) {
        let behind = |distance: usize, character| at.checked_sub(distance).is_some_and(|at| is(at, character));
        match token {
            TokenTree::Group(group) => {
                let named = at.checked_sub(2).is_some_and(|at| matches!(tokens[at], TokenTree::Ident(_)));
                let is_macros = named && behind(1, '!');
                if read(&group.stream(), variable) || (is_macros && captured(group.stream(), variable)) {
                    return true;
                }
            }
            TokenTree::Ident(ident) if ident == variable => {
                let is_member = behind(1, '.') && !behind(2, '.');
                let is_in_path = behind(1, ':') && behind(2, ':');
                // The name of a field has a colon behind it, too.
                let begins_path = is(at + 1, ':');
                let is_macro = is(at + 1, '!') && !is(at + 2, '=');
                if !(is_member || is_in_path || begins_path || is_macro) {
                    return true;
                }
            }
            TokenTree::Punct(punct)
                if punct.as_char() == '|' && begins_operand(at.checked_sub(1).map(|at| &tokens[at])) =>
            {
                let bound = at + 1..(at + 1..tokens.len()).find(|&at| is(at, '|')).unwrap_or(tokens.len());
                at = bound.end;
                if tokens[bound].iter().any(|token| mention(token, variable)) {
                    // What the body calls by this name is its own.
                    at = (at..tokens.len()).find(|&at| is(at, ',')).unwrap_or(tokens.len());
                }
            }
            _ => {}
        }
        at += 1;
    }
    false
}

/// Whether a string among a macro's arguments captures the variable, as those of `format!` do.
fn captured(arguments: TokenStream, variable: &Ident) -> bool {
    let name = variable.unraw().to_string();
    arguments.into_iter().any(|token| match token {
        TokenTree::Literal(literal) => matches!(Lit::new(literal), Lit::Str(text) if captures(&text.value(), &name)),
        // What a `macro_rules` macro passed on stands in an invisible group.
        TokenTree::Group(group) => group.delimiter() == Delimiter::None && captured(group.stream(), variable),
        _ => false,
    })
}

/// Whether a format string has `{name}`, `{name:..}`, or `name$` for a width or a precision.
fn captures(text: &str, name: &str) -> bool {
    let text = text.replace("{{", "");
    text.split('{').skip(1).filter_map(|from| from.split('}').next()).any(|placeholder| {
        let (argument, format) = placeholder.split_once(':').unwrap_or((placeholder, ""));
        let mut counts = format.rsplit('$').skip(1);
        let is_name = |c: char| c == '_' || c.is_alphanumeric();
        argument.trim() == name || counts.any(|count| count.rsplit(|c| !is_name(c)).next() == Some(name))
    })
}

/// Whether what follows the token is an operand, and no operator.
fn begins_operand(before: Option<&TokenTree>) -> bool {
    match before {
        None => true,
        Some(TokenTree::Punct(punct)) => !['|', '?', '>'].contains(&punct.as_char()),
        Some(TokenTree::Ident(ident)) => ["move", "async", "static", "return"].iter().any(|keyword| ident == keyword),
        Some(_) => false,
    }
}

/// Whether the keyword occurs anywhere in the tokens.
pub(crate) fn contain_keyword(tokens: &impl ToTokens, keyword: &str) -> bool {
    any(tokens.to_token_stream(), &mut |token| matches!(token, TokenTree::Ident(ident) if ident == keyword))
}

/// Whether a type borrows as it is written: a reference or a lifetime that is not `'static`.
pub(crate) fn borrow(tokens: &impl ToTokens) -> bool {
    borrowed_in(tokens.to_token_stream())
}

fn borrowed_in(tokens: TokenStream) -> bool {
    let mut tokens = tokens.into_iter().peekable();
    while let Some(token) = tokens.next() {
        let borrowed = match &token {
            TokenTree::Punct(punct) if punct.as_char() == '&' => {
                !matches!(tokens.peek(), Some(TokenTree::Punct(next)) if next.as_char() == '\'')
            }
            TokenTree::Punct(punct) if punct.as_char() == '\'' => {
                !matches!(tokens.peek(), Some(TokenTree::Ident(lifetime)) if lifetime == "static")
            }
            TokenTree::Group(group) => borrowed_in(group.stream()),
            _ => false,
        };
        if borrowed {
            return true;
        }
    }
    false
}

/// Whether the lifetime `'static` is written in the tokens.
pub(crate) fn say_static(tokens: &impl ToTokens) -> bool {
    contain_keyword(tokens, "static")
}

fn any(tokens: TokenStream, holds: &mut impl FnMut(&TokenTree) -> bool) -> bool {
    tokens.into_iter().any(|token| {
        holds(&token)
            || match token {
                TokenTree::Group(group) => any(group.stream(), holds),
                _ => false,
            }
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use quote::quote;

    #[test]
    fn a_borrow_is_a_reference_or_a_lifetime() {
        for borrowed in
            [quote!(&str), quote!(Option<&T>), quote!(Cow<'a, str>), quote!((u8, Vec<&'a str>)), quote!(Ref<'_>)]
        {
            assert!(borrow(&borrowed), "{borrowed}");
        }
        for owned in
            [quote!(String), quote!(&'static str), quote!(Vec<&'static [u8]>), quote!(Box<dyn Fn(u8) + 'static>)]
        {
            assert!(!borrow(&owned), "{owned}");
        }
    }

    #[test]
    fn names_are_found_in_groups() {
        let name = Ident::new("db", proc_macro2::Span::call_site());
        assert!(mention(&quote!(Pair<&'a [(u8, db)]>), &name), "in nested groups");
        assert!(!mention(&quote!(dbs::Pool), &name));
    }

    #[test]
    fn a_format_string_captures_variables() {
        let name = Ident::new("id", proc_macro2::Span::call_site());
        for reads in [
            quote!(format!("user:{id}")),
            quote!(vec![format!("{{{id:08x}}}")]),
            quote!(f(&std::format!(r#"{ id :?}"#))),
            quote!(format!("{other:>id$}{id2}")),
            quote!(format!("{:1$.id$}", 1, 2)),
            quote!(a != 1 && b == format!("{id}")),
        ] {
            assert!(read(&reads, &name), "{reads}");
        }
        for other in [
            quote!("{id}"),
            quote!(f("{id}")),
            quote!(a != ("{id}")),
            quote!(format!("{}", f("{id}"))),
            quote!(format!("{{id}} id {ids:?} {:id} }id {")),
            quote!(format!(b"{id}", '{')),
            quote!(ids.map(|id| format!("{id}"))),
        ] {
            assert!(!read(&other, &name), "{other}");
        }
        let raw = Ident::new_raw("type", proc_macro2::Span::call_site());
        assert!(read(&quote!(format!("{type}")), &raw));
    }

    #[test]
    fn a_variable_is_not_what_is_called_like_it() {
        let name = Ident::new("id", proc_macro2::Span::call_site());
        for reads in [
            quote!(id),
            quote!(id.len()),
            quote!(f(&[a.get(id)])),
            quote!(a.get(..id)),
            quote!(a.get(0..=id)),
            quote!(a.get(id..)),
            quote!(id != 1),
            quote!(User { id }),
            quote!(User { id: id }),
            quote!(format!("{}", id)),
            quote!(ids.map(|other| other + id)),
            quote!(ids.fold(0, |id, other| id + other, id)),
            quote!(a | id | b),
            quote!(a || id),
            quote!(f(|| id)),
        ] {
            assert!(read(&reads, &name), "{reads}");
        }
        for other in [
            quote!(user.id),
            quote!(user.id()),
            quote!(user.id.len()),
            quote!(module::id),
            quote!(id::user()),
            quote!(User { id: 1 }),
            quote!(id!(user)),
            quote!(ids.map(|id| id + 1)),
            quote!(ids.map(move |(id, other)| id + other)),
            quote!(ids.fold(0, |sum, id| sum + id)),
            quote!(ids),
        ] {
            assert!(!read(&other, &name), "{other}");
        }
    }
}

//! Questions about tokens. Types and expressions are looked at as tokens: what matters is whether a name or a
//! lifetime occurs, and syn's visitors would cost every user compile time.

use proc_macro2::{Ident, TokenStream, TokenTree};
use quote::ToTokens;

/// Whether the identifier occurs anywhere in the tokens.
pub(crate) fn mention(tokens: &impl ToTokens, name: &Ident) -> bool {
    any(tokens.to_token_stream(), &mut |token| matches!(token, TokenTree::Ident(ident) if ident == name))
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
        assert!(mention(&quote!(f(&[db.pool])), &name), "in nested groups");
        assert!(!mention(&quote!(dbs.pool), &name));
    }
}

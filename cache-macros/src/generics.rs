//! Which generic parameters a function needs that takes only some of the arguments.

use crate::tokens;
use proc_macro2::{Ident, TokenStream};
use quote::{ToTokens, quote};
use syn::{GenericParam, Generics, WherePredicate};

/// The parameters that `used` mentions, what their bounds mention, and the bounds on nothing else.
pub(crate) fn narrowed(generics: &Generics, used: &[TokenStream]) -> Generics {
    let mut kept: Vec<Ident> = Vec::new();
    let mut mentioned: Vec<TokenStream> = used.to_vec();
    loop {
        let before = kept.len();
        for parameter in &generics.params {
            let name = any_name(parameter);
            if !kept.contains(name) && mentioned.iter().any(|tokens| tokens::mention(tokens, name)) {
                kept.push(name.clone());
                mentioned.push(parameter.to_token_stream());
            }
        }
        if kept.len() == before {
            break;
        }
        mentioned.extend(bounds_on(generics, &kept).map(ToTokens::to_token_stream));
    }
    let dropped: Vec<&Ident> = generics.params.iter().map(any_name).filter(|name| !kept.contains(name)).collect();
    filtered(generics, &dropped)
}

/// The bounds of the `where` clause on these parameters.
fn bounds_on<'a>(generics: &'a Generics, kept: &[Ident]) -> impl Iterator<Item = &'a WherePredicate> {
    let predicates = generics.where_clause.iter().flat_map(|clause| &clause.predicates);
    predicates.filter(|predicate| match predicate {
        WherePredicate::Type(bound) => kept.iter().any(|name| tokens::mention(&bound.bounded_ty, name)),
        WherePredicate::Lifetime(bound) => kept.contains(&bound.lifetime.ident),
        _ => true,
    })
}

fn filtered(generics: &Generics, dropped: &[&Ident]) -> Generics {
    let mut narrowed = generics.clone();
    narrowed.params =
        generics.params.iter().filter(|parameter| !dropped.contains(&any_name(parameter))).cloned().collect();
    if let Some(clause) = &mut narrowed.where_clause {
        let stays = |predicate: &&WherePredicate| !dropped.iter().any(|name| tokens::mention(predicate, name));
        clause.predicates = clause.predicates.iter().filter(stays).cloned().collect();
    }
    narrowed
}

/// The name of any parameter; a lifetime's without its apostrophe.
fn any_name(parameter: &GenericParam) -> &Ident {
    match parameter {
        GenericParam::Lifetime(parameter) => &parameter.lifetime.ident,
        GenericParam::Type(parameter) => &parameter.ident,
        GenericParam::Const(parameter) => &parameter.ident,
    }
}

/// The name of a type or constant parameter.
pub(crate) fn name(parameter: &GenericParam) -> Option<&Ident> {
    match parameter {
        GenericParam::Lifetime(_) => None,
        GenericParam::Type(parameter) => Some(&parameter.ident),
        GenericParam::Const(parameter) => Some(&parameter.ident),
    }
}

/// `::<T, N>`, for a call with the same parameters. Lifetimes are inferred: most cannot be named in a call.
pub(crate) fn turbofish(generics: &Generics) -> TokenStream {
    let names: Vec<&Ident> = generics.params.iter().filter_map(name).collect();
    if names.is_empty() { TokenStream::new() } else { quote!(::<#(#names),*>) }
}

/// Whether every type parameter is bound to be `'static` in so many words, and there is no lifetime.
pub(crate) fn are_static(generics: &Generics) -> bool {
    generics.params.iter().all(|parameter| match parameter {
        GenericParam::Lifetime(_) => false,
        GenericParam::Const(_) => true,
        GenericParam::Type(parameter) => {
            tokens::say_static(&parameter.bounds)
                || generics.where_clause.iter().flat_map(|clause| &clause.predicates).any(|predicate| match predicate {
                    WherePredicate::Type(bound) => {
                        let bounded = bound.bounded_ty.to_token_stream().to_string();
                        parameter.ident == bounded && tokens::say_static(&bound.bounds)
                    }
                    _ => false,
                })
        }
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use syn::parse_quote;

    fn signature(text: &str) -> Generics {
        syn::parse_str::<syn::Signature>(text).expect(text).generics
    }

    #[test]
    fn only_what_is_used_stays() {
        let generics =
            signature("fn f<'a, 'b, 'c, D: Database, T: From<K>, K, const N: usize>() where D: Into<T>, K: Send + 'c");
        let narrowed = narrowed(&generics, &[quote!(Option<T>), quote!(&'a str)]);
        let where_clause = narrowed.where_clause.to_token_stream().to_string();
        let expected: Vec<GenericParam> =
            vec![parse_quote!('a), parse_quote!('c), parse_quote!(T: From<K>), parse_quote!(K)];
        assert_eq!(narrowed.params.to_token_stream().to_string(), quote!(#(#expected),*).to_string());
        assert_eq!(where_clause, "where K : Send + 'c");
        assert_eq!(turbofish(&narrowed).to_string(), ":: < T , K >");
    }

    #[test]
    fn static_must_be_written() {
        assert!(are_static(&signature("fn f<T: Send + 'static, const N: usize>()")));
        assert!(are_static(&signature("fn f<T>() where T: 'static")));
        assert!(!are_static(&signature("fn f<T: Send, U: 'static>()")));
        assert!(!are_static(&signature("fn f<'a>()")));
    }
}

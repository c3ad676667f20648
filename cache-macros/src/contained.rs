//! An annotated function that holds its whole expansion, for places that can have no other functions: a trait's
//! implementation, of which `async_trait` may have rewritten the functions before.

use crate::expand::{Expansion, local};
use crate::key;
use crate::signature::{self, Awaited};
use proc_macro2::TokenStream;
use quote::quote;

pub(crate) fn function(expansion: &Expansion<'_>) -> TokenStream {
    let function = expansion.cached.function;
    let (attributes, visibility) = (&function.attributes, &function.visibility);
    let signature = expansion.visible_signature(&function.signature.ident, |input| &input.hidden);
    let statements = statements(expansion);
    let body = match expansion.cached.awaited {
        Awaited::Async => statements,
        Awaited::Future => quote!(async move { #statements }),
        Awaited::Boxed => quote!(::std::boxed::Box::pin(async move { #statements })),
    };
    quote!(#(#attributes)* #visibility #signature { #body })
}

fn statements(expansion: &Expansion<'_>) -> TokenStream {
    let (private, [shape, payload, errors]) = (expansion.private(), expansion.probed());
    let (key, opened, destructured) =
        (key::block(expansion), expansion.opened_to_store(), expansion.destructured(|input| &input.hidden));
    let (bypass, load) = (local("__bypass"), local("__load"));
    let condition = match &expansion.cached.arguments.when {
        None => quote!(false),
        // Not negated: the condition is not to be linted as a part of something else.
        Some(when) => quote!(if #when { false } else { true }),
    };
    let (closure, probes, limited) =
        (closure(expansion), expansion.probes(&shape, &payload, &errors), expansion.check_limit(&shape));
    let body = match expansion.cached.awaited {
        Awaited::Async => quote!(::std::boxed::Box::pin(#load())),
        Awaited::Future | Awaited::Boxed => quote!(::std::boxed::Box::pin(async move { #load().await })),
    };
    let answer = expansion.answer(&quote!(inline), &quote!(#private::Verb::Load), &body);
    quote! {
        #key
        #destructured
        let #bypass = #condition;
        #opened
        #probes
        #limited
        let #load = #closure;
        if #bypass {
            return #load().await;
        }
        #answer
    }
}

/// The body, to be run once.
fn closure(expansion: &Expansion<'_>) -> TokenStream {
    let function = expansion.cached.function;
    let body = function.body.stream();
    let patterns = signature::typed(&function.signature).zip(&expansion.cached.inputs).map(|(typed, input)| {
        let (pattern, name) = (&typed.pat, &input.hidden);
        quote!(let #pattern = #name;)
    });
    let patterns = quote!(#(#patterns)*);
    match expansion.cached.awaited {
        Awaited::Async => {
            let block = signature::async_block(&expansion.cached.returned, &patterns, &body);
            quote!(move || #block)
        }
        Awaited::Future | Awaited::Boxed => quote!(move || { #patterns #body }),
    }
}

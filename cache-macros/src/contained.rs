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
    let (key, destructured) = (key::block(expansion), expansion.destructured(|input| &input.hidden));
    let load = local("__load");
    let (closure, probes, asked) = (closure(expansion), expansion.probes(), expansion.asked());
    let body = match expansion.cached.awaited {
        Awaited::Async => quote!(::std::boxed::Box::pin(#load())),
        Awaited::Future | Awaited::Boxed => quote!(::std::boxed::Box::pin(async move { #load().await })),
    };
    let answer = expansion.answer(&quote!(inline), &body);
    let Some(when) = &expansion.cached.arguments.when else {
        return quote! {
            #key
            #destructured
            #probes
            #asked
            let #load = #closure;
            #answer
        };
    };
    // Whether to use the cache is decided before the body takes the arguments, and the body stands here once.
    let call = &expansion.call;
    quote! {
        #key
        #destructured
        #probes
        let #call = if #when {
            #asked
            ::core::option::Option::Some(#call)
        } else {
            ::core::option::Option::None
        };
        let #load = #closure;
        let ::core::option::Option::Some(#call) = #call else {
            return #load().await;
        };
        #answer
    }
}

/// The body, to be run once, behind a use of the arguments that only the attribute uses: they are not unused.
fn closure(expansion: &Expansion<'_>) -> TokenStream {
    let function = expansion.cached.function;
    let body = function.body.stream();
    let patterns = signature::typed(&function.signature).zip(&expansion.cached.inputs).map(|(typed, input)| {
        let (pattern, name) = (&typed.pat, &input.hidden);
        quote!(let #pattern = #name;)
    });
    let used = expansion.cached.inputs.iter().flat_map(|input| &input.used);
    let patterns = quote!(#(#patterns)* #(let _ = &#used;)*);
    match expansion.cached.awaited {
        Awaited::Async => {
            let block = signature::async_block(&expansion.cached.returned, &patterns, &body);
            quote!(move || #block)
        }
        Awaited::Future | Awaited::Boxed => quote!(move || { #patterns #body }),
    }
}

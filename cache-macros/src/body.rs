//! The annotated function's body, in a function of its own, and what calls it.

use crate::ast::AttributeKind;
use crate::expand::Expansion;
use crate::generics;
use crate::loader::Loader;
use crate::signature::Awaited;
use crate::valid::Naming;
use proc_macro2::{Delimiter, Group, TokenStream};
use quote::quote;
use syn::Visibility;

impl Expansion<'_> {
    /// The body, untouched, but for a use of the arguments that only the attribute uses: they are not unused.
    pub(crate) fn body_function(&self, visibility: &Visibility) -> TokenStream {
        let function = self.cached.function;
        let attributes = self
            .attributes(|kind| matches!(kind, AttributeKind::Body | AttributeKind::Lints | AttributeKind::Expectation));
        let mut signature = function.signature.clone();
        signature.ident = self.body.clone();
        let body = function.body.stream();
        let used = self.cached.inputs.iter().flat_map(|input| &input.used);
        let uses = quote!(#(let _ = &#used;)*);
        let mut body = Group::new(Delimiter::Brace, quote!(#uses #body));
        body.set_span(function.body.span());
        quote!(#(#attributes)* #visibility #signature #body)
    }

    /// A call of the body.
    pub(crate) fn body_call(&self, name: Naming) -> TokenStream {
        let (owner, body) = (self.owner(), &self.body);
        let turbofish = generics::turbofish(&self.cached.function.signature.generics);
        let names = self.cached.inputs.iter().map(name);
        let receiver = self.receiver_argument();
        quote!(#owner::#body #turbofish(#receiver #(#names),*))
    }

    /// `self,` if there is one.
    pub(crate) fn receiver_argument(&self) -> Option<TokenStream> {
        self.cached.function.signature.receiver().map(|receiver| {
            let token = &receiver.self_token;
            quote!(#token,)
        })
    }

    /// The body's future, in which nothing happens until it is polled.
    pub(crate) fn lazy_body(&self) -> TokenStream {
        let body = self.body_call(|input| &input.hidden);
        match self.cached.awaited {
            Awaited::Async => body,
            Awaited::Future | Awaited::Boxed => quote!(async move { #body.await }),
        }
    }

    /// The body's future in a box, for functions that load in a task of their own.
    pub(crate) fn boxed_function(&self) -> Option<TokenStream> {
        if self.cached.loader == Loader::Inline {
            return None;
        }
        let signature = &self.cached.function.signature;
        let (generics, clause, returned) =
            (&signature.generics, &signature.generics.where_clause, &self.cached.returned);
        let inputs = self.receiver().into_iter().chain(self.inputs(|input| &input.hidden));
        let (name, body) = (self.hidden("boxed"), self.lazy_body());
        let future = quote!(dyn ::core::future::Future<Output = #returned> + ::core::marker::Send);
        Some(quote! {
            fn #name #generics(#(#inputs),*) -> ::core::pin::Pin<::std::boxed::Box<#future>> #clause {
                ::std::boxed::Box::pin(#body)
            }
        })
    }
}

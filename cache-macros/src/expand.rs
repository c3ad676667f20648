//! The code that takes an annotated function's place: the function itself, which asks the cache, and a type of the same
//! name, whose associated functions [`crate::companion`] writes.
//!
//! A type and not a module: a type lives in the function's scope, so the expansion works in function bodies as well,
//! where a module cannot name what surrounds it.

use crate::ast::{self, AttributeKind, Function};
use crate::attr::{self, Arguments};
use crate::companion;
use crate::contained;
use crate::enclosing;
use crate::errors::Errors;
use crate::key;
use crate::signature::{self, Place};
use crate::valid::{Cached, validate};
use proc_macro2::{Ident, Span, TokenStream};
use quote::{ToTokens, format_ident, quote, quote_spanned};
use syn::{Attribute, Visibility};

/// Expands `#[cached(arguments)] item`.
pub(crate) fn cached(arguments: TokenStream, item: TokenStream) -> TokenStream {
    let function: Function = match syn::parse2(item.clone()) {
        Ok(function) => function,
        Err(error) => {
            let error = error.into_compile_error();
            return quote!(#error #item);
        }
    };
    let mut errors = Errors::default();
    let attribute = arguments.clone();
    let arguments = attr::parse(arguments, &mut errors);
    let place = place(&function, &arguments, &attribute, &mut errors);
    let cached = validate(&function, &arguments, place, &mut errors);
    match (errors.into_compile_errors(), cached) {
        (None, Some(cached)) => Expansion::new(&cached).all(),
        // The companion stays, empty, so that a mistake in the arguments breaks nothing that uses it.
        (errors, cached) => {
            let stubs = cached
                .filter(|cached| cached.place != Place::Contained)
                .map(|cached| companion::stubs(&Expansion::new(&cached)));
            quote!(#errors #[allow(unused_variables)] #function #stubs)
        }
    }
}

/// Where the function stands. In a trait it must be said that there can be no companions.
fn place(function: &Function, arguments: &Arguments, attribute: &TokenStream, errors: &mut Errors) -> Place {
    let place = signature::place(function, arguments, attribute);
    if place != Place::Associated || arguments.companions.is_some() || !enclosing::is_of_trait(function) {
        return place;
    }
    errors.at(
        Span::call_site(),
        "a function of a trait, or of its implementation, can have no companions beside it: write `companions = none`, and invalidate by `#[cache_invalidate]` or by the service",
    );
    Place::Contained
}

/// A function being expanded, with the names that the pieces of the expansion share. The locals among them are
/// invisible to the user's expressions.
pub(crate) struct Expansion<'a> {
    pub(crate) cached: &'a Cached<'a>,
    /// The crate that everything is named through.
    pub(crate) krate: TokenStream,
    pub(crate) key: Ident,
    /// What is asked of the cache.
    pub(crate) call: Ident,
    /// The associated function that holds the body. It is called what the function is called, so that tracing spans
    /// and backtraces say that name.
    pub(crate) body: Ident,
}

impl<'a> Expansion<'a> {
    fn new(cached: &'a Cached<'a>) -> Self {
        let name = &cached.function.signature.ident;
        let krate = match &cached.arguments.crate_path {
            Some(path) => path.to_token_stream(),
            None => quote!(::cache_aside),
        };
        let taken = companion::NAMES.iter().any(|taken| name == taken);
        let body = match cached.place {
            Place::Free if taken => format_ident!("{name}_body", span = name.span()),
            Place::Free => name.clone(),
            Place::Associated | Place::Contained => format_ident!("{name}_uncached", span = name.span()),
        };
        Self { cached, krate, key: local("__key"), call: local("__call"), body }
    }

    fn all(&self) -> TokenStream {
        match self.cached.place {
            Place::Free => self.free(),
            Place::Associated => self.associated(),
            Place::Contained => contained::function(self),
        }
    }

    fn associated(&self) -> TokenStream {
        let function = self.function();
        let companion = companion::expand(self);
        let key = key::function(self);
        let boxed = self.boxed_function();
        let body = self.body_function(&self.cached.function.visibility);
        let lints = self.lints();
        let hidden = [Some(key), boxed].into_iter().flatten().map(|function| {
            quote! {
                #(#lints)*
                #[doc(hidden)]
                #[allow(dead_code, clippy::all, unused_parens, unused_qualifications, missing_docs)]
                #function
            }
        });
        let documentation = companion::uncached_documentation(self);
        quote! {
            #function
            #companion
            #(#hidden)*
            #[doc = #documentation]
            #[allow(dead_code)]
            #body
        }
    }

    fn free(&self) -> TokenStream {
        let function = self.function();
        let companion = companion::expand(self);
        let key = key::function(self);
        let (boxed, again) = (self.boxed_function(), companion::again(self));
        let body = self.body_function(&Visibility::Inherited);
        let name = &self.cached.function.signature.ident;
        let lints = self.lints();
        quote! {
            #function
            #companion
            #(#lints)*
            #[allow(clippy::all, unused_parens, unused_qualifications)]
            impl #name {
                #key
                #boxed
                #again
            }
            impl #name {
                #body
            }
        }
    }

    /// What has the functions of the expansion.
    pub(crate) fn owner(&self) -> TokenStream {
        match self.cached.place {
            Place::Free => self.cached.function.signature.ident.to_token_stream(),
            Place::Associated | Place::Contained => quote!(Self),
        }
    }

    /// The name of a function of the expansion that users do not call.
    pub(crate) fn hidden(&self, name: &str) -> Ident {
        match self.cached.place {
            Place::Free => format_ident!("__{name}"),
            Place::Associated | Place::Contained => format_ident!("__{}_{name}", self.cached.function.signature.ident),
        }
    }

    /// The name of a companion.
    pub(crate) fn companion(&self, name: &str) -> Ident {
        let function = &self.cached.function.signature.ident;
        match self.cached.place {
            Place::Free => format_ident!("{name}"),
            Place::Associated | Place::Contained => format_ident!("{function}_{name}", span = function.span()),
        }
    }

    /// The hidden module that supports expansions.
    pub(crate) fn private(&self) -> TokenStream {
        self.private_at(Span::call_site())
    }

    /// The same, for a call that the compiler should report at `span`.
    pub(crate) fn private_at(&self, span: Span) -> TokenStream {
        match &self.cached.arguments.crate_path {
            Some(path) => quote_spanned!(span=> #path::__private),
            None => quote_spanned!(span=> ::cache_aside::__private),
        }
    }

    /// The function's attributes of some kinds.
    pub(crate) fn attributes(&self, wanted: fn(AttributeKind) -> bool) -> Vec<&'a Attribute> {
        self.cached.function.attributes.iter().filter(|attribute| wanted(ast::kind(attribute))).collect()
    }

    /// The lint levels for what holds the user's tokens beside the body. An expectation is met there; here it allows.
    pub(crate) fn lints(&self) -> Vec<TokenStream> {
        let levels = self.attributes(|kind| matches!(kind, AttributeKind::Lints)).into_iter();
        let expected = self.attributes(|kind| matches!(kind, AttributeKind::Expectation)).into_iter();
        let allowed = expected.filter_map(|attribute| {
            let lints = &attribute.meta.require_list().ok()?.tokens;
            Some(quote!(#[allow(#lints)]))
        });
        levels.map(ToTokens::to_token_stream).chain(allowed).collect()
    }
}

/// A name that no expression of the user can see.
pub(crate) fn local(name: &str) -> Ident {
    Ident::new(name, Span::mixed_site())
}

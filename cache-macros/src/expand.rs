//! The code that takes an annotated function's place: the function itself, which asks the cache, and a type of the same
//! name, whose associated functions [`crate::companion`] writes.
//!
//! A type and not a module: a type lives in the function's scope, so the expansion works in function bodies as well,
//! where a module cannot name what surrounds it.

use crate::ast::{self, AttributeKind, Function};
use crate::attr::{self, Texts};
use crate::companion;
use crate::contained;
use crate::errors::Errors;
use crate::generics;
use crate::key;
use crate::loader::Loader;
use crate::settings::{Setting, policies};
use crate::signature::{self, Awaited, Place};
use crate::valid::{Cached, Input, Naming, validate};
use proc_macro2::{Delimiter, Group, Ident, Span, TokenStream};
use quote::{ToTokens, format_ident, quote, quote_spanned};
use syn::spanned::Spanned;
use syn::{Attribute, Generics};

/// The policies by which a function may refuse what the near tier has.
const BARRING: [&str; 3] = ["schema", "skip_read", "remote_only"];

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
    let place = signature::place(&function, &arguments, &attribute);
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

/// A function being expanded, with the names that the pieces of the expansion share. The locals among them are
/// invisible to the user's expressions.
pub(crate) struct Expansion<'a> {
    pub(crate) cached: &'a Cached<'a>,
    /// The crate that everything is named through.
    pub(crate) krate: TokenStream,
    pub(crate) key: Ident,
    pub(crate) entry: Ident,
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
        Self { cached, krate, key: local("__key"), entry: local("__entry"), body }
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
        let run = self.run_function();
        let boxed = self.boxed_function();
        let body = self.body_function();
        let everything = self.attributes(|kind| matches!(kind, AttributeKind::Everything));
        let hidden = [Some(key), Some(run), boxed].into_iter().flatten().map(|function| {
            quote! {
                #(#everything)*
                #[doc(hidden)]
                #[allow(dead_code, clippy::all, unused_parens, unused_qualifications, missing_docs)]
                #function
            }
        });
        let (visibility, documentation) = (&self.cached.function.visibility, companion::uncached_documentation(self));
        quote! {
            #function
            #companion
            #(#hidden)*
            #(#everything)*
            #[doc = #documentation]
            #[allow(dead_code)]
            #visibility #body
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

    fn free(&self) -> TokenStream {
        let function = self.function();
        let companion = companion::expand(self);
        let key = key::function(self);
        let run = self.run_function();
        let boxed = self.boxed_function();
        let body = self.body_function();
        let name = &self.cached.function.signature.ident;
        let everything = self.attributes(|kind| matches!(kind, AttributeKind::Everything));
        quote! {
            #function
            #companion
            #(#everything)*
            #[allow(clippy::all, unused_parens, unused_qualifications)]
            impl #name {
                #key
                #run
                #boxed
            }
            #(#everything)*
            impl #name {
                #body
            }
        }
    }

    /// The annotated function, which now asks the cache.
    fn function(&self) -> TokenStream {
        let function = self.cached.function;
        let attributes = self.attributes(|kind| matches!(kind, AttributeKind::Callers | AttributeKind::Everything));
        let lints = self.lints();
        let visibility = &function.visibility;
        let name = &function.signature.ident;
        let run = self.run(quote!(Load));
        let owner = match self.cached.place {
            Place::Free => name.to_token_stream(),
            Place::Associated | Place::Contained => quote!(Self),
        };
        let signature = self.visible_signature(name, |input| &input.name);
        let body = match self.cached.awaited {
            Awaited::Async => quote!(#owner::#run.await),
            Awaited::Future => quote!(async move { #owner::#run.await }),
            Awaited::Boxed => quote!(::std::boxed::Box::pin(async move { #owner::#run.await })),
        };
        quote! {
            #(#attributes)*
            #(#lints)*
            #visibility #signature { #body }
        }
    }

    /// A call of the function that [`Self::run_function`] writes.
    pub(crate) fn run(&self, verb: TokenStream) -> TokenStream {
        let private = self.private();
        let turbofish = generics::turbofish(&self.cached.function.signature.generics);
        let (run, names) = (self.hidden("run"), self.cached.inputs.iter().map(|input| &input.name));
        let receiver = self.receiver_argument();
        quote!(#run #turbofish(#receiver #private::Verb::#verb, #(#names),*))
    }

    /// `self,` if there is one.
    fn receiver_argument(&self) -> Option<TokenStream> {
        self.cached.function.signature.receiver().map(|receiver| {
            let token = &receiver.self_token;
            quote!(#token,)
        })
    }

    /// Answers from the cache, or loads; for the function and for `refresh`.
    fn run_function(&self) -> TokenStream {
        let private = self.private();
        let (verb, [shape, payload, errors]) = (local("__verb"), self.probed());
        let signature = self.signature(&self.hidden("run"), |input| &input.hidden, Some(quote!(#verb: #private::Verb)));
        let lints = self.lints();
        let body = self.body_call(|input| &input.hidden);
        let (load, loader) = self.loader();
        let destructured = self.destructured(|input| &input.hidden);
        let bypass = self
            .cached
            .arguments
            .when
            .as_ref()
            // Not negated: the condition is not to be linted as a part of something else.
            .map(|when| quote!(if #when {} else { return #body.await; }));
        let key = key::call(self, |input| &input.hidden);
        let opened = self.opened_to_store();
        let probes = self.probes(&shape, &payload, &errors);
        let limited = self.check_limit(&shape);
        let hit = self.hit(&verb, &shape, &payload);
        let call = self.answer(&quote!(#load), &quote!(#verb), &loader);
        quote! {
            #(#lints)*
            #signature {
                #destructured
                #bypass
                #key
                #probes
                #hit
                // In a box, so that the future of a hit stays small: it is moved about.
                ::std::boxed::Box::pin(async move {
                    #destructured
                    #opened
                    #limited
                    #call
                })
                .await
            }
        }
    }

    /// The statement that returns a value at hand, unless the function's own policies may bar it.
    fn hit(&self, verb: &Ident, shape: &Ident, payload: &Ident) -> Option<TokenStream> {
        let arguments = self.cached.arguments;
        let barring = |setting: &Setting| BARRING.iter().any(|name| setting.name == name);
        if arguments.cache.is_some() || arguments.policy.is_some() || arguments.settings.iter().any(barring) {
            return None;
        }
        let (private, key, answer) = (self.private_at(self.cached.returned.span()), &self.key, local("__hit"));
        Some(quote_spanned! {self.cached.returned.span()=>
            if let ::core::option::Option::Some(#answer) = #private::hit(#verb, &#key, #shape, &#payload) {
                return #answer;
            }
        })
    }

    /// The statements that answer from the cache, or else load. Until the body is needed it is not asked for.
    pub(crate) fn answer(&self, load: &TokenStream, verb: &TokenStream, body: &TokenStream) -> TokenStream {
        let private = self.private_at(self.cached.returned.span());
        let [shape, payload, errors] = self.probed();
        let [found, miss, kept, answer] = ["__found", "__miss", "__kept", "__answer"].map(local);
        let (entry, unless, behind) = (&self.entry, self.unless(), self.cached.loader == Loader::Spawned);
        quote_spanned! {self.cached.returned.span()=>
            let #miss = match #private::look(&#entry, #verb, #behind, #shape, &#payload) {
                ::core::result::Result::Ok(#found) => return #found,
                ::core::result::Result::Err(#miss) => #miss,
            };
            let (#kept, #answer) = #errors.#load(#entry, #miss, #shape, &#payload, #unless, #body);
            #errors.settle(#shape, #payload, #kept, #answer.await)
        }
    }

    /// What bars a value from being stored.
    fn unless(&self) -> TokenStream {
        match &self.cached.arguments.unless {
            Some(unless) => quote_spanned!(unless.span()=> ::core::option::Option::Some(#unless)),
            None => quote!(::core::option::Option::None),
        }
    }

    /// How the body is run, and its future in a box.
    ///
    /// A task's future is boxed where its type can be written down. Else the compiler, asked whether the body may be sent
    /// to another thread, would have to look into a body that calls its own function, and so into itself.
    fn loader(&self) -> (TokenStream, TokenStream) {
        if self.cached.loader == Loader::Inline {
            let body = self.lazy_body();
            return (quote!(inline), quote!(::std::boxed::Box::pin(#body)));
        }
        let turbofish = generics::turbofish(&self.cached.function.signature.generics);
        let (boxed, names) = (self.hidden("boxed"), self.cached.inputs.iter().map(|input| &input.hidden));
        let receiver = self.receiver_argument();
        (quote!(spawned), quote!(Self::#boxed #turbofish(#receiver #(#names),*)))
    }

    /// The body's future, in which nothing happens until it is polled.
    fn lazy_body(&self) -> TokenStream {
        let body = self.body_call(|input| &input.hidden);
        match self.cached.awaited {
            Awaited::Async => body,
            Awaited::Future | Awaited::Boxed => quote!(async move { #body.await }),
        }
    }

    /// The body's future in a box, for functions that load in a task of their own.
    fn boxed_function(&self) -> Option<TokenStream> {
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

    /// The body, untouched, but for a use of the arguments that only the attribute uses: they are not unused.
    fn body_function(&self) -> TokenStream {
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
        quote!(#(#attributes)* #signature #body)
    }

    /// A call of the body.
    pub(crate) fn body_call(&self, name: Naming) -> TokenStream {
        let body = &self.body;
        let turbofish = generics::turbofish(&self.cached.function.signature.generics);
        let names = self.cached.inputs.iter().map(name);
        let receiver = self.receiver_argument();
        quote!(Self::#body #turbofish(#receiver #(#names),*))
    }

    /// The receiver, which comes before all other inputs.
    pub(crate) fn receiver(&self) -> Option<TokenStream> {
        signature::receiver(&self.cached.function.signature).map(ToTokens::into_token_stream)
    }

    /// The function's own signature under another name, with names in place of patterns.
    pub(crate) fn visible_signature(&self, name: &Ident, input_name: Naming) -> TokenStream {
        let signature = &self.cached.function.signature;
        let (keyword, generics, output) = (&signature.asyncness, &signature.generics, &signature.output);
        let inputs = self.receiver().into_iter().chain(self.inputs(input_name));
        let clause = &signature.generics.where_clause;
        quote!(#keyword fn #name #generics(#(#inputs),*) #output #clause)
    }

    /// The signature of an async function with the same inputs and the same output, and maybe one input more.
    pub(crate) fn signature(&self, name: &Ident, input_name: Naming, first: Option<TokenStream>) -> TokenStream {
        let signature = &self.cached.function.signature;
        let (generics, clause) = (&signature.generics, &signature.generics.where_clause);
        let output = match self.cached.awaited {
            Awaited::Async => signature.output.to_token_stream(),
            Awaited::Future | Awaited::Boxed => {
                let returned = &self.cached.returned;
                quote!(-> #returned)
            }
        };
        let inputs = self.receiver().into_iter().chain(first).chain(self.inputs(input_name));
        quote!(async fn #name #generics(#(#inputs),*) #output #clause)
    }

    pub(crate) fn inputs(&self, name: Naming) -> impl Iterator<Item = TokenStream> {
        self.cached.inputs.iter().map(move |input| {
            let (name, ty) = (name(input), input.ty);
            quote!(#name: #ty)
        })
    }

    /// Makes what patterns bind available to the user's expressions, if there are any.
    pub(crate) fn destructured(&self, name: Naming) -> TokenStream {
        let arguments = self.cached.arguments;
        let expressions = arguments.cache.is_some()
            || arguments.when.is_some()
            || arguments.policy.is_some()
            || arguments.tags.is_some()
            || arguments.settings.iter().any(|setting| setting.expression().is_some());
        let patterns = self.cached.inputs.iter().filter(|_| expressions).filter_map(|input| {
            let (pattern, name) = (input.pattern.as_ref()?, name(input));
            Some(quote!(#[allow(unused_variables)] let #pattern = &#name;))
        });
        quote!(#(#patterns)*)
    }

    /// The entry's tags, for what stores a value.
    fn tags(&self) -> Option<TokenStream> {
        match self.cached.arguments.tags.as_ref()? {
            Texts::Expression(tags) => Some(quote_spanned!(tags.span()=> .tags(#tags))),
            Texts::Templates(_) => {
                let parameters = &self.cached.function.signature.generics.params;
                let tags = self.cached.tags.iter().map(|tag| key::text(tag, parameters, &|span| self.private_at(span)));
                let count = tags.len();
                Some(quote!(.tags(::core::convert::identity::<[::std::string::String; #count]>([#(#tags),*]))))
            }
        }
    }

    /// The statements that open the key's entry with the function's policies, and its tags.
    pub(crate) fn opened_to_store(&self) -> TokenStream {
        let (opened, entry) = (self.opened(), &self.entry);
        let tags = self.tags().map(|tags| quote!(let #entry = #entry #tags;));
        quote!(#opened #tags)
    }

    /// The statements that open the key's entry with the function's policies.
    pub(crate) fn opened(&self) -> TokenStream {
        let (krate, key, entry) = (&self.krate, &self.key, &self.entry);
        let service = local("__service");
        let source = match &self.cached.arguments.cache {
            None => quote!(#krate::CachingService::global()),
            Some(cache) => {
                let private = self.private_at(cache.span());
                quote_spanned!(cache.span()=> #private::service(&(#cache)))
            }
        };
        let policies = policies(self.cached.arguments.policy.as_ref(), &self.cached.arguments.settings);
        quote! {
            let #service: #krate::CachingService = #source;
            let #entry = #service.entry(#key.as_str())#policies;
        }
    }

    /// The names of what [`Self::probes`] finds, at the return type: there the compiler points if that cannot be cached.
    pub(crate) fn probed(&self) -> [Ident; 3] {
        let span = Span::mixed_site().located_at(self.cached.returned.span());
        ["__shape", "__payload", "__errors"].map(|name| Ident::new(name, span))
    }

    /// A call that compiles only if the error type can say that a load took too long, where that has a limit.
    pub(crate) fn check_limit(&self, shape: &Ident) -> Option<TokenStream> {
        let private = self.private();
        let setting = self.cached.arguments.settings.iter().find(|setting| setting.name == "load_timeout")?;
        Some(quote_spanned!(setting.name.span()=> #private::check_load_timeout(&#private::errors_of(#shape));))
    }

    /// The statements that find out, by type, what the function returns.
    pub(crate) fn probes(&self, shape: &Ident, payload: &Ident, errors: &Ident) -> TokenStream {
        let returned = &self.cached.returned;
        let private = self.private_at(returned.span());
        quote_spanned! {returned.span()=>
            #[allow(unused_imports)]
            use #private::{ProbeErrors as _, ProbePayload as _, ProbeShape as _};
            let #shape = (&&&#private::Returned::<#returned>::new()).shape();
            let #payload = #private::check_payload((&&#private::payload_of(#shape)).payload());
            let #errors = (&&&&&&#private::errors_of(#shape)).errors();
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

    /// The generic parameters that a function needs which takes only some of the inputs and writes the key.
    pub(crate) fn narrowed(&self, taken: fn(&Input<'a>) -> bool, returned: bool) -> Generics {
        let inputs = self.cached.inputs.iter().filter(|input| input.in_key || taken(input));
        let mut used: Vec<TokenStream> = inputs.map(|input| input.ty.to_token_stream()).collect();
        used.extend(key::type_parameters(self.cached).map(ToTokens::to_token_stream));
        if returned {
            used.push(self.cached.returned.to_token_stream());
        }
        generics::narrowed(&self.cached.function.signature.generics, &used)
    }
}

/// A name that no expression of the user can see.
pub(crate) fn local(name: &str) -> Ident {
    Ident::new(name, Span::mixed_site())
}

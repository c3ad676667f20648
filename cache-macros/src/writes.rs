//! The code that takes the place of a function below `#[cache_put]` or `#[cache_invalidate]`. It stands in the function
//! itself, so it goes wherever a function can be.

use crate::ast::Function;
use crate::attr::{Arguments, Texts};
use crate::errors::Errors;
use crate::expand::local;
use crate::key;
use crate::settings::policies;
use crate::signature::{self, Awaited, Place};
use crate::template::{self, Template};
use crate::tokens;
use crate::valid;
use crate::write_attr::{self, Attribute, WriteArguments};
use proc_macro2::{Ident, Span, TokenStream};
use quote::{ToTokens, quote, quote_spanned};
use syn::spanned::Spanned;
use syn::{Expr, LitStr, Type};

/// Expands `#[attribute(arguments)] item`.
pub(crate) fn expand(attribute: Attribute, arguments: TokenStream, item: TokenStream) -> TokenStream {
    let function: Function = match syn::parse2(item.clone()) {
        Ok(function) => function,
        Err(error) => {
            let error = error.into_compile_error();
            return quote!(#error #item);
        }
    };
    let mut errors = Errors::default();
    let arguments = write_attr::parse(attribute, arguments, &mut errors);
    signature::check(&function, attribute.name(), &mut errors);
    let awaited = signature::awaited(&function.signature);
    if let (Attribute::Put, Some((_, returned))) = (attribute, &awaited) {
        signature::check_returned(returned, &mut errors);
    }
    let mut texts = Reader { function: &function, arguments: &arguments, errors: &mut errors };
    let (keys, pattern, tags) = (texts.keys(), texts.pattern(), texts.tags());
    match (errors.into_compile_errors(), awaited) {
        (None, Some((awaited, returned))) => {
            let is_named = !tokens::contain_keyword(&returned, "impl");
            let returned = signature::inferred(returned);
            Write { function: &function, arguments: &arguments, awaited, returned, is_named, keys, pattern, tags }
                .all(attribute)
        }
        (errors, _) => quote!(#errors #[allow(unused_variables)] #function),
    }
}

/// Turns templates into expressions.
struct Reader<'a> {
    function: &'a Function,
    arguments: &'a WriteArguments,
    errors: &'a mut Errors,
}

impl Reader<'_> {
    fn template(&mut self, literal: &LitStr) -> Option<Template> {
        let mut template = template::parse(literal, self.errors)?;
        let none = Arguments::default();
        let mut inputs = valid::inputs(self.function, &none);
        // Without companions it does not matter where the function stands: wherever it is, it may name types of its `impl` block.
        valid::mark_placeholders(self.function, Place::Associated, &mut template, &mut inputs, self.errors);
        Some(template)
    }

    fn text(&mut self, literal: &LitStr) -> Option<TokenStream> {
        let template = self.template(literal)?;
        let path = self.arguments.crate_path.clone();
        Some(key::text(&template, &|span| private(path.as_ref(), span)))
    }

    fn texts(&mut self, texts: &Texts) -> TokenStream {
        match texts {
            Texts::Templates(literals) => {
                let texts: Vec<_> = literals.iter().filter_map(|literal| self.text(literal)).collect();
                vector(&texts)
            }
            Texts::Expression(expression) => {
                let private = private(self.arguments.crate_path.as_ref(), expression.span());
                quote_spanned!(expression.span()=> #private::texts(#expression))
            }
        }
    }

    /// The keys as a vector, if there are any.
    fn keys(&mut self) -> Option<TokenStream> {
        let arguments = self.arguments;
        let one = arguments.key.as_ref().and_then(|key| self.text(key));
        let several = arguments.keys.as_ref().map(|keys| self.texts(keys));
        match (one, several) {
            (Some(one), None) => Some(vector(&[one])),
            (Some(one), Some(several)) => {
                let keys = local("__keys");
                Some(quote!({ let mut #keys = #several; #keys.push(#one); #keys }))
            }
            (None, several) => several,
        }
    }

    fn pattern(&mut self) -> Option<TokenStream> {
        let pattern = self.arguments.pattern.as_ref()?;
        self.text(pattern)
    }

    fn tags(&mut self) -> Option<TokenStream> {
        let tags = self.arguments.tags.as_ref()?;
        Some(self.texts(tags))
    }
}

/// A function being expanded.
struct Write<'a> {
    function: &'a Function,
    arguments: &'a WriteArguments,
    awaited: Awaited,
    /// What awaiting the function gives, with `_` where that has no name.
    returned: Type,
    is_named: bool,
    keys: Option<TokenStream>,
    pattern: Option<TokenStream>,
    tags: Option<TokenStream>,
}

impl Write<'_> {
    fn all(&self, attribute: Attribute) -> TokenStream {
        let statements = match attribute {
            Attribute::Put => self.put(),
            Attribute::Invalidate => self.invalidate(),
        };
        let Function { attributes, visibility, signature, body } = self.function;
        let mut block = proc_macro2::Group::new(
            proc_macro2::Delimiter::Brace,
            match self.awaited {
                Awaited::Async => statements,
                Awaited::Future => quote!(async move { #statements }),
                Awaited::Boxed => quote!(::std::boxed::Box::pin(async move { #statements })),
            },
        );
        block.set_span(body.span());
        quote!(#(#attributes)* #visibility #signature #block)
    }

    /// The body's future, in which nothing happens until it is polled.
    fn run(&self) -> TokenStream {
        let body = self.function.body.stream();
        match self.awaited {
            Awaited::Async => signature::async_block(&self.returned, &TokenStream::new(), &body),
            Awaited::Future | Awaited::Boxed => quote!(async move { (move || { #body })().await }),
        }
    }

    fn private(&self, span: Span) -> TokenStream {
        private(self.arguments.crate_path.as_ref(), span)
    }

    /// The service, and whether to use it, both read before the body runs.
    fn opened(&self, service: &Ident, when: &Ident) -> TokenStream {
        let krate = match &self.arguments.crate_path {
            Some(path) => path.to_token_stream(),
            None => quote!(::cache_aside),
        };
        let source = match &self.arguments.cache {
            None => quote!(#krate::CachingService::global()),
            Some(cache) => {
                let private = self.private(cache.span());
                quote_spanned!(cache.span()=> ::core::clone::Clone::clone(#private::service(&(#cache))))
            }
        };
        let condition = match &self.arguments.when {
            None | Some(Expr::Closure(_)) => quote!(true),
            Some(when) => when.to_token_stream(),
        };
        quote! {
            let #service: #krate::CachingService = #source;
            let #when: bool = #condition;
        }
    }

    fn put(&self) -> TokenStream {
        let [service, when, key, entry, run] = ["__service", "__when", "__key", "__entry", "__run"].map(local);
        let span = Span::mixed_site().located_at(self.returned.span());
        let [shape, payload] = ["__shape", "__payload"].map(|name| Ident::new(name, span));
        let (opened, body, returned) = (self.opened(&service, &when), self.run(), &self.returned);
        let private = self.private(returned.span());
        let (keys, policies) = (&self.keys, policies(self.arguments.policy.as_ref(), &self.arguments.settings));
        let tags = self.tags.as_ref().map(|tags| quote!(.tags(#tags)));
        let stored = match &self.arguments.value {
            Some(value) => {
                quote_spanned!(value.span()=> #private::put_made(#entry, #shape, #run.await, #value).await)
            }
            None => quote_spanned! {returned.span()=>
                {
                    let #payload = #private::check_payload((&&#private::payload_of(#shape)).payload());
                    #private::put_returned(#entry, #shape, #payload, #run.await).await
                }
            },
        };
        let probe = quote_spanned! {returned.span()=>
            #[allow(unused_imports)]
            use #private::{ProbePayload as _, ProbeShape as _};
            let #shape = (&&&#private::Returned::<#returned>::new()).shape();
        };
        quote! {
            #opened
            let #key: ::std::vec::Vec<::std::string::String> = #keys;
            let #entry = #service.entry(#key[0].as_str())#policies #tags;
            let #run = #body;
            if !#when {
                return #run.await;
            }
            #probe
            #stored
        }
    }

    fn invalidate(&self) -> TokenStream {
        let [service, when, voided, run, result, probe] =
            ["__service", "__when", "__voided", "__run", "__result", "__probe"].map(local);
        let (opened, body, returned) = (self.opened(&service, &when), self.run(), &self.returned);
        let private = self.private(returned.span());
        let none = quote!(::core::default::Default::default());
        let (keys, tags) = (self.keys.as_ref().unwrap_or(&none), self.tags.as_ref().unwrap_or(&none));
        let pattern = match &self.pattern {
            Some(pattern) => quote!(::core::option::Option::Some(#pattern)),
            None => quote!(::core::option::Option::None),
        };
        let returns = match self.is_named {
            true => quote!(#private::Returned::<#returned>::new()),
            false => quote!(#private::returned_by(&#run)),
        };
        let is = |flag: &Option<syn::LitBool>| flag.as_ref().is_some_and(syn::LitBool::value);
        let end = if is(&self.arguments.around) {
            quote! {
                if #when {
                    #private::write_around(&#service, &#voided, (&&#probe).outcome(), #run).await
                } else {
                    #run.await
                }
            }
        } else if is(&self.arguments.before) {
            quote! {
                if #when {
                    #voided.invalidate(&#service).await;
                }
                #run.await
            }
        } else {
            let wanted = match &self.arguments.when {
                Some(when @ Expr::Closure(_)) => quote_spanned! {when.span()=>
                    #private::decide::<#returned>(&#result, #when)
                },
                _ => quote!((&&#probe).has_succeeded(&#result)),
            };
            quote! {
                let #result: #returned = #run.await;
                if #when && #wanted {
                    #voided.invalidate(&#service).await;
                }
                #result
            }
        };
        quote! {
            #[allow(unused_imports)]
            use #private::ProbeOutcome as _;
            #opened
            let #voided = #private::Voided { keys: #keys, pattern: #pattern, tags: #tags };
            let #run = #body;
            #[allow(unused_variables)]
            let #probe = #returns;
            #end
        }
    }
}

/// A vector of texts. The function's module may have no prelude, and so not the trait.
fn vector(texts: &[TokenStream]) -> TokenStream {
    quote! {
        <::std::vec::Vec<::std::string::String> as ::core::convert::From<_>>::from([#(#texts),*])
    }
}

fn private(crate_path: Option<&syn::Path>, span: Span) -> TokenStream {
    match crate_path {
        Some(path) => quote_spanned!(span=> #path::__private),
        None => quote_spanned!(span=> ::cache_aside::__private),
    }
}

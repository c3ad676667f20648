//! The function that takes the annotated one's place: it asks the cache, and runs the body where there is no answer.

use crate::ast::AttributeKind;
use crate::expand::{Expansion, local};
use crate::generics;
use crate::key;
use crate::loader::Loader;
use crate::settings::Setting;
use crate::signature::Awaited;
use proc_macro2::{Ident, TokenStream};
use quote::{quote, quote_spanned};
use syn::spanned::Spanned;

/// The policies by which a function may refuse what the near tier has.
const BARRING: [&str; 3] = ["schema", "skip_read", "remote_only"];

impl Expansion<'_> {
    /// The annotated function, which now asks the cache.
    pub(crate) fn function(&self) -> TokenStream {
        let function = self.cached.function;
        let attributes = self.attributes(|kind| matches!(kind, AttributeKind::Callers));
        let lints = self.lints();
        let visibility = &function.visibility;
        let signature = self.visible_signature(&function.signature.ident, |input| &input.name);
        let statements = self.statements();
        let body = match self.cached.awaited {
            Awaited::Async => statements,
            Awaited::Future => quote!(async move { #statements }),
            Awaited::Boxed => quote!(::std::boxed::Box::pin(async move { #statements })),
        };
        // The user's own tokens are linted where the body is.
        quote! {
            #(#attributes)*
            #(#lints)*
            #[allow(clippy::all, unused_parens, unused_qualifications)]
            #visibility #signature { #body }
        }
    }

    fn statements(&self) -> TokenStream {
        let hidden = self.cached.inputs.iter().filter(|input| input.hidden != input.name).map(|input| {
            let (hidden, name) = (&input.hidden, &input.name);
            quote!(let #hidden = #name;)
        });
        let destructured = self.destructured(|input| &input.hidden);
        let body = self.body_call(|input| &input.hidden);
        let bypass = self
            .cached
            .arguments
            .when
            .as_ref()
            // Not negated: the condition is not to be linted as a part of something else.
            .map(|when| quote!(if #when {} else { return #body.await; }));
        let key = key::call(self, |input| &input.hidden);
        let (probes, asked) = (self.probes(), self.asked());
        let (load, loader) = self.loader();
        let answer = self.answer(&quote!(#load), &loader);
        quote! {
            #(#hidden)*
            #destructured
            #bypass
            #key
            #probes
            #asked
            #answer
        }
    }

    /// The statements that return a value at hand, and else make the call of what loads and stores. Where the function's own
    /// policies may bar what is at hand, the call is made first.
    pub(crate) fn asked(&self) -> TokenStream {
        let (service, named, key, call) = (self.service(), self.named_service(), &self.key, &self.call);
        let ([shape, payload], private) = (self.probed(), self.private_at(self.cached.returned.span()));
        let arguments = self.cached.arguments;
        let barring = |setting: &Setting| BARRING.iter().any(|name| setting.name == name);
        if arguments.policy.is_some() || arguments.settings.iter().any(barring) {
            let hit = self
                .hit(&quote_spanned!(self.cached.returned.span()=> #private::hit_by(&mut #call, #shape, &#payload)));
            let (opened, tagged) = (self.opened(), self.tagged());
            return quote! {
                #named
                let mut #call = #opened;
                #hit
                #tagged
            };
        }
        let hit = self.hit(&match named {
            Some(_) => {
                quote_spanned!(self.cached.returned.span()=> #private::hit_of(#service, &#key, #shape, &#payload))
            }
            None => quote_spanned!(self.cached.returned.span()=> #private::hit(&#key, #shape, &#payload)),
        });
        let opened = self.opened_to_store();
        quote!(#named #hit #opened)
    }

    /// Returns what `hit` gives, if it does.
    fn hit(&self, hit: &TokenStream) -> TokenStream {
        let answer = local("__hit");
        quote_spanned! {self.cached.returned.span()=>
            if let ::core::option::Option::Some(#answer) = #hit {
                return #answer;
            }
        }
    }

    /// The expression that answers from the cache, or else loads.
    pub(crate) fn answer(&self, load: &TokenStream, body: &TokenStream) -> TokenStream {
        let span = self.cached.returned.span();
        let private = self.private_at(span);
        let ([shape, payload], call, unless) = (self.probed(), &self.call, self.unless());
        quote_spanned! {span=>
            (&&&&&&#private::errors_of(#shape)).errors().#load(#call, #shape, #payload, #unless, #body).await
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
    fn loader(&self) -> (Ident, TokenStream) {
        let load = |name| Ident::new(name, self.cached.returned.span());
        if self.cached.loader == Loader::Inline {
            let body = self.lazy_body();
            return (load("inline"), quote!(::std::boxed::Box::pin(#body)));
        }
        let turbofish = generics::turbofish(&self.cached.function.signature.generics);
        let (owner, boxed, names) =
            (self.owner(), self.hidden("boxed"), self.cached.inputs.iter().map(|input| &input.hidden));
        let receiver = self.receiver_argument();
        (load("spawned"), quote!(#owner::#boxed #turbofish(#receiver #(#names),*)))
    }
}

//! The statements that put together what is asked of the cache: the service, the key and the policies.

use crate::attr::Texts;
use crate::expand::{Expansion, local};
use crate::key;
use crate::settings::policies;
use proc_macro2::{Ident, Span, TokenStream};
use quote::{ToTokens, quote, quote_spanned};
use syn::spanned::Spanned;

impl Expansion<'_> {
    /// The entry's tags, for what stores a value.
    fn tags(&self) -> Option<TokenStream> {
        match self.cached.arguments.tags.as_ref()? {
            Texts::Expression(tags) => Some(quote_spanned!(tags.span()=> .tags(#tags))),
            Texts::Templates(_) => {
                let tags = self.cached.tags.iter().map(|tag| key::text(tag, &|span| self.private_at(span)));
                let count = tags.len();
                Some(quote!(.tags(::core::convert::identity::<[::std::string::String; #count]>([#(#tags),*]))))
            }
        }
    }

    /// The statements that make the call of what stores a value: with the function's policies, and its tags.
    pub(crate) fn opened_to_store(&self) -> TokenStream {
        let (limited, call, opened, tags) = (self.check_limit(), &self.call, self.opened(), self.tags());
        quote!(#limited let #call = #opened #tags;)
    }

    /// The same for a call that has been made already.
    pub(crate) fn tagged(&self) -> TokenStream {
        let (limited, call, tags) = (self.check_limit(), &self.call, self.tags());
        quote!(#limited let #call = #call #tags;)
    }

    /// The call of the key with the function's policies.
    pub(crate) fn opened(&self) -> TokenStream {
        let (krate, private, key) = (&self.krate, self.private(), &self.key);
        let service = match &self.cached.arguments.cache {
            None => quote!(&#krate::CachingService::global()),
            Some(_) => self.service().into_token_stream(),
        };
        let policies = policies(self.cached.arguments.policy.as_ref(), &self.cached.arguments.settings);
        quote!(#private::Call::new(#service, #key)#policies)
    }

    /// The name of a reference to the service that the attribute names.
    pub(crate) fn service(&self) -> Ident {
        local("__service")
    }

    /// The statements that find that service, if the attribute names one.
    pub(crate) fn named_service(&self) -> Option<TokenStream> {
        let cache = self.cached.arguments.cache.as_ref()?;
        let (krate, private, service) = (&self.krate, self.private_at(cache.span()), self.service());
        // At the expression: there the compiler points if it gives no service.
        let source = Ident::new("__source", cache.span());
        Some(quote_spanned! {cache.span()=>
            let #source = &(#cache);
            let #service: &#krate::CachingService = #private::service(#source);
        })
    }

    /// The names of what [`Self::probes`] finds, at the return type: there the compiler points if that cannot be cached.
    pub(crate) fn probed(&self) -> [Ident; 2] {
        let span = Span::mixed_site().located_at(self.cached.returned.span());
        ["__shape", "__payload"].map(|name| Ident::new(name, span))
    }

    /// A statement that compiles only if the error type can say that a load took too long, where that has a limit.
    fn check_limit(&self) -> Option<TokenStream> {
        let (private, [shape, _]) = (self.private(), self.probed());
        let setting = self.cached.arguments.settings.iter().find(|setting| setting.name == "load_timeout")?;
        Some(quote_spanned!(setting.name.span()=> #private::check_load_timeout(&#private::errors_of(#shape));))
    }

    /// The statements that find out, by type, what the function returns.
    pub(crate) fn probes(&self) -> TokenStream {
        let (returned, [shape, payload]) = (&self.cached.returned, self.probed());
        let private = self.private_at(returned.span());
        quote_spanned! {returned.span()=>
            #[allow(unused_imports)]
            use #private::{ProbeErrors as _, ProbePayload as _, ProbeShape as _};
            let #shape = (&&&#private::Returned::<#returned>::new()).shape();
            let #payload = #private::check_payload((&&#private::payload_of(#shape)).payload());
        }
    }
}

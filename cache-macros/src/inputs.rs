//! The signatures of the functions of an expansion, and what patterns in them bind.

use crate::expand::Expansion;
use crate::generics;
use crate::key;
use crate::signature::{self, Awaited};
use crate::valid::{Input, Naming};
use proc_macro2::{Ident, TokenStream};
use quote::{ToTokens, quote};
use syn::Generics;

impl<'a> Expansion<'a> {
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

    /// The signature of an async function with the same inputs and the same output.
    pub(crate) fn signature(&self, name: &Ident, input_name: Naming) -> TokenStream {
        let signature = &self.cached.function.signature;
        let (generics, clause) = (&signature.generics, &signature.generics.where_clause);
        let output = match self.cached.awaited {
            Awaited::Async => signature.output.to_token_stream(),
            Awaited::Future | Awaited::Boxed => {
                let returned = &self.cached.returned;
                quote!(-> #returned)
            }
        };
        let inputs = self.receiver().into_iter().chain(self.inputs(input_name));
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

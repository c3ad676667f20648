//! The type of the function's name: `find_user::key(7)`, `find_user::invalidate(7).await` and so on.

use crate::ast::AttributeKind;
use crate::expand::Expansion;
use crate::key;
use crate::returns;
use crate::valid::Input;
use proc_macro2::{Ident, TokenStream};
use quote::{ToTokens, format_ident, quote, quote_spanned};
use syn::spanned::Spanned;

/// The associated functions that users call.
pub(crate) const NAMES: [&str; 6] = ["key", "get", "put", "invalidate", "refresh", "uncached"];

/// The type and its functions.
pub(crate) fn expand(expansion: &Expansion<'_>) -> TokenStream {
    write(expansion, &|function| function.body.clone())
}

/// The same with empty bodies.
pub(crate) fn stubs(expansion: &Expansion<'_>) -> TokenStream {
    write(expansion, &|_| quote!(::core::unimplemented!()))
}

/// One associated function.
struct Function {
    documentation: String,
    signature: TokenStream,
    body: TokenStream,
}

fn write(expansion: &Expansion<'_>, body: &dyn Fn(&Function) -> TokenStream) -> TokenStream {
    let function = expansion.cached.function;
    let (visibility, name) = (&function.visibility, &function.signature.ident);
    let everything = expansion.attributes(|kind| matches!(kind, AttributeKind::Everything));
    let documentation = format!("The cache of [`{name}()`].");
    let functions = functions(expansion).map(|function| {
        let Function { documentation, signature, .. } = &function;
        let body = body(&function);
        quote!(#[doc = #documentation] #visibility #signature { #body })
    });
    quote! {
        #(#everything)*
        #[doc = #documentation]
        #[allow(non_camel_case_types, unreachable_pub, clippy::all)]
        #visibility enum #name {}
        #(#everything)*
        #[allow(dead_code, unreachable_pub, unused_variables, unused_parens, clippy::all)]
        impl #name { #(#functions)* }
    }
}

fn functions(expansion: &Expansion<'_>) -> impl Iterator<Item = Function> {
    [
        key_function(expansion),
        get(expansion),
        put(expansion),
        invalidate(expansion),
        refresh(expansion),
        uncached(expansion),
    ]
    .into_iter()
}

fn key_function(expansion: &Expansion<'_>) -> Function {
    let (call, key) = (key::call(expansion, |input| &input.name), &expansion.key);
    Function {
        documentation: format!("The key of [`{}()`]'s value for these arguments.", name(expansion)),
        signature: signature(expansion, quote!(fn key), |_| false, false, None, &quote!(::std::string::String)),
        body: quote!(#call #key.into_string()),
    }
}

fn get(expansion: &Expansion<'_>) -> Function {
    let stored = returns::stored(&expansion.cached.returned);
    let (open, entry, private) =
        (open(expansion), &expansion.entry, expansion.private_at(expansion.cached.returned.span()));
    let [shape, payload, errors] = expansion.probed();
    let probes = expansion.probes(&shape, &payload, &errors);
    Function {
        documentation: "The cached value, or `None`: never loads.".to_owned(),
        signature: signature(
            expansion,
            quote!(async fn get),
            |input| input.in_cache || input.in_policy,
            true,
            None,
            &quote!(::core::option::Option<::std::sync::Arc<#stored>>),
        ),
        body: quote_spanned!(expansion.cached.returned.span()=> #open #probes #private::get(#entry, #shape, #payload).await),
    }
}

fn put(expansion: &Expansion<'_>) -> Function {
    let stored = returns::stored(&expansion.cached.returned);
    let (open, entry, krate) = (open(expansion), &expansion.entry, &expansion.krate);
    let private = expansion.private_at(expansion.cached.returned.span());
    let [shape, payload, errors] = expansion.probed();
    let probes = expansion.probes(&shape, &payload, &errors);
    let value = format_ident!("value");
    // An argument may be called `value` as well.
    let taken = expansion.cached.inputs.iter().any(|input| input.name == value);
    let value = if taken { format_ident!("new_value") } else { value };
    Function {
        documentation: "Stores a value in place of the cached one, on every node.".to_owned(),
        signature: signature(
            expansion,
            quote!(async fn put),
            |input| input.in_cache || input.in_policy,
            true,
            Some(quote!(#value: #stored)),
            &quote!(#krate::Receipt),
        ),
        body: quote_spanned!(expansion.cached.returned.span()=> #open #probes #private::put(#entry, #shape, #payload, #value).await),
    }
}

fn invalidate(expansion: &Expansion<'_>) -> Function {
    let (open, entry, krate) = (open(expansion), &expansion.entry, &expansion.krate);
    Function {
        documentation: "Drops the cached value from every tier of every node.".to_owned(),
        signature: signature(
            expansion,
            quote!(async fn invalidate),
            |input| input.in_cache || input.in_policy,
            false,
            None,
            &quote!(#krate::Receipt),
        ),
        body: quote!(#open #entry.invalidate().await),
    }
}

fn refresh(expansion: &Expansion<'_>) -> Function {
    let run = expansion.run(quote!(Refresh));
    Function {
        documentation: format!("Drops the cached value, and returns what [`{}()`] loads anew.", name(expansion)),
        signature: expansion.signature(&format_ident!("refresh"), |input| &input.name, None),
        body: quote!(Self::#run.await),
    }
}

fn uncached(expansion: &Expansion<'_>) -> Function {
    let body = expansion.body_call(|input| &input.name);
    Function {
        documentation: format!(
            "What [`{}()`] would be without a cache: runs its body, stores nothing.",
            name(expansion)
        ),
        signature: expansion.signature(&format_ident!("uncached"), |input| &input.name, None),
        body: quote!(#body.await),
    }
}

fn name<'a>(expansion: &Expansion<'a>) -> &'a Ident {
    &expansion.cached.function.signature.ident
}

/// The statements that open the entry, once the key is read.
fn open(expansion: &Expansion<'_>) -> TokenStream {
    let key = key::call(expansion, |input| &input.name);
    let destructured = expansion.destructured(|input| &input.name);
    let opened = expansion.opened();
    quote!(#key #destructured #opened)
}

/// `fn head(inputs of the key, inputs taken, last) -> output`
fn signature<'a>(
    expansion: &Expansion<'a>,
    head: TokenStream,
    taken: fn(&Input<'a>) -> bool,
    returned: bool,
    last: Option<TokenStream>,
    output: &dyn ToTokens,
) -> TokenStream {
    let generics = expansion.narrowed(taken, returned);
    let clause = &generics.where_clause;
    let inputs = expansion.cached.inputs.iter().filter(|input| input.in_key || taken(input)).map(|input| {
        let (name, ty) = (&input.name, input.ty);
        quote!(#name: #ty)
    });
    let inputs = inputs.chain(last);
    quote!(#head #generics(#(#inputs),*) -> #output #clause)
}

//! The type of the function's name: `find_user::key(7)`, `find_user::invalidate(7).await` and so on.

use crate::ast::AttributeKind;
use crate::expand::Expansion;
use crate::key;
use crate::returns;
use crate::signature::Place;
use crate::valid::Input;
use proc_macro2::{Ident, TokenStream};
use quote::{ToTokens, format_ident, quote, quote_spanned};
use syn::spanned::Spanned;

/// The associated functions that users call.
pub(crate) const NAMES: [&str; 6] = ["key", "get", "put", "invalidate", "refresh", "uncached"];

/// The type and its functions.
pub(crate) fn expand(expansion: &Expansion<'_>) -> TokenStream {
    // In an `impl` block the body itself is `find_user_uncached`.
    let uncached = (expansion.cached.place == Place::Free).then(|| uncached(expansion));
    write(expansion, functions(expansion).chain(uncached), &|function| function.body.clone())
}

/// The same with empty bodies.
pub(crate) fn stubs(expansion: &Expansion<'_>) -> TokenStream {
    write(expansion, functions(expansion).chain([uncached(expansion)]), &|_| quote!(::core::unimplemented!()))
}

/// One associated function.
struct Function {
    documentation: String,
    signature: TokenStream,
    body: TokenStream,
}

fn write(
    expansion: &Expansion<'_>,
    functions: impl Iterator<Item = Function>,
    body: &dyn Fn(&Function) -> TokenStream,
) -> TokenStream {
    let function = expansion.cached.function;
    let (visibility, name) = (&function.visibility, &function.signature.ident);
    let everything = expansion.attributes(|kind| matches!(kind, AttributeKind::Everything));
    let documentation = format!("The cache of [`{name}()`].");
    let associated = expansion.cached.place == Place::Associated;
    let attributes = associated.then(
        || quote!(#(#everything)* #[allow(dead_code, unreachable_pub, unused_variables, unused_parens, clippy::all)]),
    );
    let functions = functions.map(|function| {
        let Function { documentation, signature, .. } = &function;
        let body = body(&function);
        quote!(#[doc = #documentation] #attributes #visibility #signature { #body })
    });
    if associated {
        return quote!(#(#functions)*);
    }
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
    [key_function(expansion), get(expansion), put(expansion), invalidate(expansion), refresh(expansion)].into_iter()
}

fn key_function(expansion: &Expansion<'_>) -> Function {
    let (call, key) = (key::call(expansion, |input| &input.name), &expansion.key);
    Function {
        documentation: format!("The key of [`{}()`]'s value for these arguments.", link(expansion)),
        signature: signature(expansion, "key", |_| false, false, None, &quote!(::std::string::String)),
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
            "get",
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
    let (open, entry, krate) = (open_with(expansion, expansion.opened_to_store()), &expansion.entry, &expansion.krate);
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
            "put",
            |input| input.in_cache || input.in_policy || input.in_tags,
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
            "invalidate",
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
        documentation: format!("Drops the cached value, and returns what [`{}()`] loads anew.", link(expansion)),
        signature: expansion.signature(&expansion.companion("refresh"), |input| &input.name, None),
        body: quote!(Self::#run.await),
    }
}

fn uncached(expansion: &Expansion<'_>) -> Function {
    let body = expansion.body_call(|input| &input.name);
    Function {
        documentation: uncached_documentation(expansion),
        signature: expansion.signature(&expansion.companion("uncached"), |input| &input.name, None),
        body: quote!(#body.await),
    }
}

pub(crate) fn uncached_documentation(expansion: &Expansion<'_>) -> String {
    format!("What [`{}()`] would be without a cache: runs its body, stores nothing.", link(expansion))
}

/// The function as a link of rustdoc names it.
fn link(expansion: &Expansion<'_>) -> String {
    let name = name(expansion);
    match expansion.cached.place {
        Place::Free => name.to_string(),
        Place::Associated | Place::Contained => format!("Self::{name}"),
    }
}

fn name<'a>(expansion: &Expansion<'a>) -> &'a Ident {
    &expansion.cached.function.signature.ident
}

/// The statements that open the entry, once the key is read.
fn open(expansion: &Expansion<'_>) -> TokenStream {
    open_with(expansion, expansion.opened())
}

fn open_with(expansion: &Expansion<'_>, opened: TokenStream) -> TokenStream {
    let key = key::call(expansion, |input| &input.name);
    let destructured = expansion.destructured(|input| &input.name);
    quote!(#key #destructured #opened)
}

/// `fn name(inputs of the key, inputs taken, last) -> output`; async, but for the key
fn signature<'a>(
    expansion: &Expansion<'a>,
    name: &str,
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
    let uses = &expansion.cached.receiver;
    let reads_self = uses.in_key || name != "key" && (uses.in_cache || uses.in_policy) || name == "put" && uses.in_tags;
    let receiver = expansion.cached.function.signature.receiver().filter(|_| reads_self).map(|receiver| {
        let token = &receiver.self_token;
        quote!(&#token)
    });
    let inputs = receiver.into_iter().chain(inputs).chain(last);
    let keyword = (name != "key").then(|| quote!(async));
    let name = expansion.companion(name);
    quote!(#keyword fn #name #generics(#(#inputs),*) -> #output #clause)
}

//! The type of the function's name: `find_user::key(7)`, `find_user::invalidate(7).await` and so on.

use crate::expand::{Expansion, local};
use crate::generics;
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
    let lints = expansion.lints();
    // `refresh` calls the function, which may be deprecated.
    let allowed = quote! {
        #(#lints)*
        #[allow(dead_code, deprecated, unreachable_pub, unused_variables, unused_parens, clippy::all)]
    };
    let documentation = format!("The cache of [`{name}()`].");
    let associated = expansion.cached.place == Place::Associated;
    let attributes = associated.then_some(&allowed);
    let functions = functions.map(|function| {
        let Function { documentation, signature, .. } = &function;
        let body = body(&function);
        quote!(#[doc = #documentation] #attributes #visibility #signature { #body })
    });
    if associated {
        return quote!(#(#functions)*);
    }
    quote! {
        #[doc = #documentation]
        #[allow(non_camel_case_types, unreachable_pub, clippy::all)]
        #visibility enum #name {}
        #allowed
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
    let (open, opened, private) =
        (open(expansion), expansion.opened(), expansion.private_at(expansion.cached.returned.span()));
    let ([shape, payload], probes) = (expansion.probed(), expansion.probes());
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
        body: quote_spanned! {expansion.cached.returned.span()=>
            #open
            #probes
            #private::get::<_, _, #stored>(#opened, #shape, #payload).await
        },
    }
}

fn put(expansion: &Expansion<'_>) -> Function {
    let stored = returns::stored(&expansion.cached.returned);
    let (open, opened, krate) = (open(expansion), expansion.opened_to_store(), &expansion.krate);
    let (private, call) = (expansion.private_at(expansion.cached.returned.span()), &expansion.call);
    let ([shape, payload], probes) = (expansion.probed(), expansion.probes());
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
        body: quote_spanned! {expansion.cached.returned.span()=>
            #open
            #probes
            #opened
            #private::put::<_, _, #stored>(#call, #shape, #payload, #value).await
        },
    }
}

fn invalidate(expansion: &Expansion<'_>) -> Function {
    let (open, opened, krate) = (open(expansion), expansion.opened(), &expansion.krate);
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
        body: quote!(#open #opened.invalidate().await),
    }
}

fn refresh(expansion: &Expansion<'_>) -> Function {
    let (open, opened) = (open(expansion), expansion.opened());
    let names = expansion.cached.inputs.iter().map(|input| &input.name);
    let turbofish = generics::turbofish(&expansion.cached.function.signature.generics);
    let (receiver, again, function) = (expansion.receiver_argument(), expansion.hidden("again"), name(expansion));
    let path = match expansion.cached.place {
        Place::Free if is_hidden_by_argument(expansion) => quote!(Self::#again),
        Place::Free => function.to_token_stream(),
        Place::Associated | Place::Contained => quote!(Self::#function),
    };
    Function {
        documentation: format!("Drops the cached value, and returns what [`{}()`] loads anew.", link(expansion)),
        signature: expansion.signature(&expansion.companion("refresh"), |input| &input.name),
        body: quote! {
            { #open #opened.invalidate().await; }
            #path #turbofish(#receiver #(#names),*).await
        },
    }
}

/// Whether an argument is called like its function, which then cannot be called where that argument is in scope.
fn is_hidden_by_argument(expansion: &Expansion<'_>) -> bool {
    expansion.cached.inputs.iter().any(|input| input.name == *name(expansion))
}

/// A function that calls the annotated one, if an argument hides that.
pub(crate) fn again(expansion: &Expansion<'_>) -> Option<TokenStream> {
    if expansion.cached.place != Place::Free || !is_hidden_by_argument(expansion) {
        return None;
    }
    let generics = &expansion.cached.function.signature.generics;
    let (clause, returned) = (&generics.where_clause, &expansion.cached.returned);
    let names: Vec<Ident> =
        (0..expansion.cached.inputs.len()).map(|position| local(&format!("__argument_{position}"))).collect();
    let types = expansion.cached.inputs.iter().map(|input| input.ty);
    let (again, function, turbofish) = (expansion.hidden("again"), name(expansion), generics::turbofish(generics));
    Some(quote! {
        #[allow(dead_code, deprecated)]
        async fn #again #generics(#(#names: #types),*) -> #returned #clause {
            #function #turbofish(#(#names),*).await
        }
    })
}

fn uncached(expansion: &Expansion<'_>) -> Function {
    let body = expansion.body_call(|input| &input.name);
    Function {
        documentation: uncached_documentation(expansion),
        signature: expansion.signature(&expansion.companion("uncached"), |input| &input.name),
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

/// The statements before what opens the call: the key is read, and the service, where the attribute names one.
fn open(expansion: &Expansion<'_>) -> TokenStream {
    let key = key::call(expansion, |input| &input.name);
    let destructured = expansion.destructured(|input| &input.name);
    let named = expansion.named_service();
    quote!(#key #destructured #named)
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

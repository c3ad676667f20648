//! The function that writes a key.

use crate::expand::{Expansion, local};
use crate::generics;
use crate::signature::Place;
use crate::template::{Piece, Placeholder, Subject, Template};
use crate::tokens;
use crate::valid::{Cached, Input, Key, Naming};
use proc_macro2::{Ident, Span, TokenStream};
use quote::{quote, quote_spanned};
use syn::GenericParam;
use syn::spanned::Spanned;

/// `fn __key(&mut KeyBuffer, ..)`, which takes what the key needs by reference. It writes into its caller's buffer, since one
/// that is returned is copied, with all its room.
pub(crate) fn function(expansion: &Expansion<'_>) -> TokenStream {
    let (private, key) = (expansion.private(), &expansion.key);
    let generics = expansion.narrowed(|input| input.in_key, false);
    let clause = &generics.where_clause;
    let parameters = inputs(expansion.cached).map(|input| {
        let (name, ty) = (&input.hidden, input.ty);
        quote!(#name: &(#ty))
    });
    let (receiver, name, statements) =
        (receiver(expansion).map(|receiver| quote!(#receiver,)), expansion.hidden("key"), statements(expansion));
    quote! {
        #[inline]
        fn #name #generics(#receiver #key: &mut #private::KeyBuffer, #(#parameters),*) #clause {
            #statements
        }
    }
}

/// `&self`, if the key reads it.
fn receiver(expansion: &Expansion<'_>) -> Option<TokenStream> {
    let receiver = expansion.cached.function.signature.receiver().filter(|_| expansion.cached.receiver.in_key)?;
    let token = &receiver.self_token;
    Some(quote!(&#token))
}

/// What writes the key, which is a mutable reference, where the inputs are references.
fn statements(expansion: &Expansion<'_>) -> TokenStream {
    let private = expansion.private();
    let writes = match &expansion.cached.key {
        Key::Template(template) => template_writes(expansion, &template.pieces),
        Key::Default { parameters } => default_writes(expansion, parameters),
    };
    quote! {
        #[allow(unused_imports)]
        use #private::{WriteDisplay as _, WritePlain as _};
        #writes
    }
}

/// The key before anything is written.
fn empty(expansion: &Expansion<'_>) -> TokenStream {
    let (private, key) = (expansion.private(), &expansion.key);
    quote!(let mut #key = #private::KeyBuffer::empty();)
}

/// The key where there is no function for it.
pub(crate) fn block(expansion: &Expansion<'_>) -> TokenStream {
    let (key, empty, statements) = (&expansion.key, empty(expansion), statements(expansion));
    let names = inputs(expansion.cached).map(|input| &input.hidden);
    quote!(#empty { #(let #names = &#names;)* let #key = &mut #key; #statements })
}

/// The statements that write the key, before any argument is moved.
pub(crate) fn call(expansion: &Expansion<'_>, name: Naming) -> TokenStream {
    let key = &expansion.key;
    let turbofish = generics::turbofish(&expansion.narrowed(|input| input.in_key, false));
    let (owner, function, names) = (expansion.owner(), expansion.hidden("key"), inputs(expansion.cached).map(name));
    let (receiver, empty) = (receiver(expansion).map(|receiver| quote!(#receiver,)), empty(expansion));
    quote!(#empty #owner::#function #turbofish(#receiver &mut #key, #(&#names),*);)
}

/// The type and constant parameters that are a part of the key.
pub(crate) fn type_parameters<'a>(cached: &'a Cached<'_>) -> impl Iterator<Item = &'a Ident> {
    let (pieces, parameters) = match &cached.key {
        Key::Template(template) => (template.pieces.as_slice(), &[][..]),
        Key::Default { parameters } => (&[][..], parameters.as_slice()),
    };
    let named = pieces.iter().filter_map(|piece| match piece {
        Piece::Placeholder(placeholder) if placeholder.subject != Subject::Argument => Some(&placeholder.root),
        _ => None,
    });
    named.chain(parameters)
}

fn inputs<'c, 'a>(cached: &'c Cached<'a>) -> impl Iterator<Item = &'c Input<'a>> {
    cached.inputs.iter().filter(|input| input.in_key)
}

fn template_writes(expansion: &Expansion<'_>, pieces: &[Piece]) -> TokenStream {
    let key = &expansion.key;
    let destructured = inputs(expansion.cached).filter_map(|input| {
        let (pattern, name) = (input.pattern.as_ref()?, &input.hidden);
        Some(quote!(#[allow(unused_variables)] let #pattern = #name;))
    });
    let writes = pieces_write(pieces, key, &|span| expansion.private_at(span));
    quote!(#(#destructured)* #writes)
}

/// A template's text as a `String`, where the arguments are in scope.
pub(crate) fn text(template: &Template, private: &dyn Fn(Span) -> TokenStream) -> TokenStream {
    let key = local("__text");
    let here = private(Span::call_site());
    let writes = pieces_write(&template.pieces, &key, private);
    quote! {{
        #[allow(unused_imports)]
        use #here::{WriteDisplay as _, WritePlain as _};
        let mut #key = #here::KeyBuffer::empty();
        {
            let #key = &mut #key;
            #writes
        }
        #key.into_string()
    }}
}

/// Writes all pieces to `key`, a mutable reference. What ends a placeholder is told only where it changes: most keys
/// have nothing but `:`, and are to tell nothing.
fn pieces_write(pieces: &[Piece], key: &Ident, private: &dyn Fn(Span) -> TokenStream) -> TokenStream {
    let mut separator = None;
    let writes = pieces.iter().map(|piece| {
        let placeholder = match piece {
            Piece::Literal(text) => return quote!(#key.literal(#text);),
            Piece::Placeholder(placeholder) => placeholder,
        };
        if placeholder.hashed {
            let value = local("__value");
            let write = placeholder_write(placeholder, &value, private);
            return quote_spanned!(placeholder.span=> #key.hashed(|#value| { #write }););
        }
        let write = placeholder_write(placeholder, key, private);
        if separator == placeholder.separator {
            return write;
        }
        separator = placeholder.separator;
        let told = match separator {
            Some(character) => quote!(::core::option::Option::Some(#character)),
            None => quote!(::core::option::Option::None),
        };
        quote!(#key.separate_by(#told); #write)
    });
    quote!(#(#writes)*)
}

/// Writes to `key`, a mutable reference.
fn placeholder_write(placeholder: &Placeholder, key: &Ident, private: &dyn Fn(Span) -> TokenStream) -> TokenStream {
    let (expression, span) = (&placeholder.expression, placeholder.span);
    if placeholder.subject == Subject::Type {
        return type_write(key, &placeholder.root);
    }
    let private = private(span);
    match &placeholder.format {
        None => quote_spanned!(span=> (&&&#private::Placeholder(&#expression)).write(#key);),
        Some(format) => {
            let format = syn::LitStr::new(&format!("{{:{format}}}"), span);
            quote_spanned!(span=> #key.text(::core::format_args!(#format, #expression));)
        }
    }
}

/// Writes the name of a type.
fn type_write(key: &Ident, name: &Ident) -> TokenStream {
    quote!(#key.text(::core::format_args!("{}", ::core::any::type_name::<#name>()));)
}

fn default_writes(expansion: &Expansion<'_>, parameters: &[Ident]) -> TokenStream {
    let key = &expansion.key;
    let generics = &expansion.cached.function.signature.generics.params;
    let is_constant =
        |name: &Ident| generics.iter().any(|each| matches!(each, GenericParam::Const(each) if each.ident == *name));
    let types = parameters.iter().map(|name| match is_constant(name) {
        true => quote!(#key.text(::core::format_args!("{}", #name));),
        false => type_write(key, name),
    });
    let arguments = inputs(expansion.cached).map(|input| {
        let name = &input.hidden;
        let anonymous = tokens::contain_keyword(input.ty, "impl")
            .then(|| quote!(#key.text(::core::format_args!("{}", ::core::any::type_name_of_val(#name)));));
        anonymous.into_iter().chain([quote_spanned!(input.ty.span()=> #key.argument(#name);)])
    });
    let mut parts = types.chain(arguments.flatten());
    let (first, others) = (parts.next(), parts.map(|part| quote!(#key.literal(":"); #part)));
    let named = expansion.cached.arguments.name.as_ref();
    let function = match expansion.cached.place {
        Place::Free if named.is_some() => quote!(#key.function(#named);),
        Place::Free => quote!(#key.function(::core::any::type_name::<Self>());),
        Place::Associated if named.is_some() => quote!(#key.method(#named, ::core::any::type_name::<Self>());),
        Place::Associated => {
            let name = expansion.cached.function.signature.ident.to_string();
            quote!(#key.method(::core::any::type_name::<Self>(), #name);)
        }
        Place::Contained => {
            let name = match named {
                Some(name) => quote!(::core::option::Option::Some(#name)),
                None => quote!(::core::option::Option::None),
            };
            quote!(#key.trait_function(::core::any::type_name_of_val(&|| ()), #name);)
        }
    };
    quote! {
        #function
        #first
        #(#others)*
        #key.literal(")");
    }
}

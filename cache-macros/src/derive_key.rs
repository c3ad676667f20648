//! `#[derive(CacheKey)]`: what writes the fields of a type into a key.

use proc_macro2::{Ident, Span, TokenStream};
use quote::{ToTokens, format_ident, quote, quote_spanned};
use syn::ext::IdentExt;
use syn::spanned::Spanned;
use syn::{Attribute, Data, DeriveInput, Fields, GenericParam, Path, parse_quote};

use crate::errors::Errors;

/// What the names in the expansion are found through.
struct Names {
    krate: TokenStream,
    writer: Ident,
}

pub(crate) fn expand(input: TokenStream) -> TokenStream {
    let input: DeriveInput = match syn::parse2(input) {
        Ok(input) => input,
        Err(error) => return error.to_compile_error(),
    };
    let mut errors = Errors::default();
    let crate_path = crate_path(&input.attrs, &mut errors);
    let krate = crate_path.map_or_else(|| quote!(::cache_aside), |path| path.to_token_stream());
    let names = Names { krate, writer: Ident::new("__key", Span::mixed_site()) };
    let bodies = match &input.data {
        Data::Struct(data) => {
            refuse_attributes(&data.fields, &mut errors);
            names.structure(&data.fields)
        }
        Data::Enum(data) => {
            for variant in &data.variants {
                refuse(&variant.attrs, &mut errors);
                refuse_attributes(&variant.fields, &mut errors);
            }
            names.enumeration(data)
        }
        Data::Union(data) => {
            let message =
                "a union cannot be a cache key: nobody can tell which field it holds; implement `CacheKey` by hand";
            errors.push(syn::Error::new(data.union_token.span, message));
            return errors.into_compile_errors().unwrap_or_default();
        }
    };
    if let Some(errors) = errors.into_compile_errors() {
        return errors;
    }
    names.implementation(input, &bodies)
}

/// The bodies of `write_key` and `write_parts`.
struct Bodies {
    key: TokenStream,
    parts: TokenStream,
}

impl Names {
    fn implementation(&self, mut input: DeriveInput, Bodies { key, parts }: &Bodies) -> TokenStream {
        let Self { krate, writer } = self;
        for parameter in &mut input.generics.params {
            if let GenericParam::Type(parameter) = parameter {
                parameter.bounds.push(parse_quote!(#krate::CacheKey));
            }
        }
        let name = &input.ident;
        let (parameters, arguments, clause) = input.generics.split_for_impl();
        quote! {
            #[automatically_derived]
            impl #parameters #krate::CacheKey for #name #arguments #clause {
                fn write_key(&self, #writer: &mut #krate::KeyWriter<'_>) {
                    #key
                }
                fn write_parts(&self, #writer: &mut #krate::KeyWriter<'_>) {
                    #parts
                }
            }
        }
    }

    /// A type with one field is written as that field is.
    fn structure(&self, fields: &Fields) -> Bodies {
        let (pattern, bound) = bind(fields);
        let (krate, writer) = (&self.krate, &self.writer);
        let both = |key: TokenStream, parts: TokenStream| {
            let opened = |body| quote!(let Self #pattern = self; #body);
            Bodies { key: opened(key), parts: opened(parts) }
        };
        match &bound[..] {
            [] => Bodies { key: quote!(let _ = #writer;), parts: quote!(let _ = #writer;) },
            [Bound { name, ty }] => {
                let call =
                    |method: TokenStream| quote_spanned!(at(ty)=> <#ty as #krate::CacheKey>::#method(#name, #writer););
                both(call(quote!(write_key)), call(quote!(write_parts)))
            }
            several => both(self.elements(None, several), self.parts(None, several)),
        }
    }

    fn enumeration(&self, data: &syn::DataEnum) -> Bodies {
        if data.variants.is_empty() {
            return Bodies { key: quote!(match *self {}), parts: quote!(match *self {}) };
        }
        let (mut keys, mut parts) = (Vec::new(), Vec::new());
        for variant in &data.variants {
            let (pattern, bound) = bind(&variant.fields);
            let (name, text) = (&variant.ident, variant.ident.unraw().to_string());
            let (elements, side_by_side) = (self.elements(Some(&text), &bound), self.parts(Some(&text), &bound));
            keys.push(quote!(Self::#name #pattern => { #elements }));
            parts.push(quote!(Self::#name #pattern => { #side_by_side }));
        }
        Bodies { key: quote!(match self { #(#keys)* }), parts: quote!(match self { #(#parts)* }) }
    }

    fn elements(&self, variant: Option<&str>, bound: &[Bound<'_>]) -> TokenStream {
        let (krate, writer) = (&self.krate, &self.writer);
        let variant = variant.map(|text| quote!(#krate::__private::element::<str>(#writer, #text);));
        let fields = bound
            .iter()
            .map(|Bound { name, ty }| quote_spanned!(at(ty)=> #krate::__private::element::<#ty>(#writer, #name);));
        quote! {
            #krate::__private::begin(#writer);
            #variant
            #(#fields)*
            #krate::__private::end(#writer);
        }
    }

    fn parts(&self, variant: Option<&str>, bound: &[Bound<'_>]) -> TokenStream {
        let (krate, writer) = (&self.krate, &self.writer);
        let named = variant.is_some();
        let variant = variant.map(|text| quote!(#krate::__private::part::<str>(#writer, true, #text);));
        let fields = bound.iter().enumerate().map(|(at_index, Bound { name, ty })| {
            let first = at_index == 0 && !named;
            quote_spanned!(at(ty)=> #krate::__private::part::<#ty>(#writer, #first, #name);)
        });
        quote!(#variant #(#fields)*)
    }
}

/// A field under a name that no field has.
struct Bound<'a> {
    name: Ident,
    ty: &'a syn::Type,
}

/// The pattern behind the name of a struct or of a variant, and what it binds.
fn bind(fields: &Fields) -> (TokenStream, Vec<Bound<'_>>) {
    let name = |index| format_ident!("__field_{}", index, span = Span::mixed_site());
    let bound: Vec<_> =
        fields.iter().enumerate().map(|(index, field)| Bound { name: name(index), ty: &field.ty }).collect();
    let members = fields.members();
    let names = bound.iter().map(|bound| &bound.name);
    (quote!({ #(#members: #names),* }), bound)
}

/// Errors are shown at the field's type, and names are found where the macro is.
fn at(ty: &syn::Type) -> Span {
    ty.span().resolved_at(Span::mixed_site())
}

fn crate_path(attributes: &[Attribute], errors: &mut Errors) -> Option<Path> {
    let mut found = None;
    for attribute in attributes.iter().filter(|attribute| attribute.path().is_ident("cache_key")) {
        let parsed = attribute.parse_nested_meta(|meta| {
            if !meta.path.is_ident("crate") {
                return Err(meta.error("unknown argument; allowed is: crate = path"));
            }
            if found.is_some() {
                return Err(meta.error("`crate` is given twice"));
            }
            found = Some(meta.value()?.call(Path::parse_mod_style)?);
            Ok(())
        });
        if let Err(error) = parsed {
            errors.push(error);
        }
    }
    found
}

fn refuse_attributes(fields: &Fields, errors: &mut Errors) {
    fields.iter().for_each(|field| refuse(&field.attrs, errors));
}

fn refuse(attributes: &[Attribute], errors: &mut Errors) {
    for attribute in attributes.iter().filter(|attribute| attribute.path().is_ident("cache_key")) {
        errors.on(attribute, "`cache_key` goes on the type only: every field is a part of the key");
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn mistakes_in_several_places_are_all_told() {
        let tokens = expand(quote! {
            #[cache_key(prefix = "a")]
            struct S { #[cache_key(skip)] a: u8, #[cache_key] b: u8 }
        });
        assert_eq!(tokens.to_string().matches("compile_error").count(), 3, "{tokens}");
    }
}

//! What an annotated function's signature says: where the function stands, how it is awaited and what it gives.

use crate::ast::Function;
use crate::attr::{Arguments, Companions};
use crate::errors::Errors;
use crate::tokens;
use proc_macro2::{TokenStream, TokenTree};
use quote::{ToTokens, quote};
use syn::{
    AssocType, FnArg, GenericArgument, GenericParam, PathArguments, Receiver, ReceiverKind, ReturnType, Safety,
    Signature, Type, TypeParamBound,
};

/// Where the function stands, and so where its companions can.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum Place {
    /// A free function: its companions are the associated functions of a type of its name.
    Free,
    /// A function of an `impl` block: so are its companions.
    Associated,
    /// A function of a trait or its implementation, which has no companions: an implementation can have no more functions
    /// than the trait, and what a trait's async function gives is not known to be `Send`.
    Contained,
}

/// How the function is awaited.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum Awaited {
    /// `async fn`
    Async,
    /// Its return type is a future: `impl Future`.
    Future,
    /// Its return type is a future in a box: `Pin<Box<dyn Future>>`, which is also what `async_trait` makes of `async fn`.
    Boxed,
}

/// What reads the receiver.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub(crate) struct Uses {
    pub(crate) in_key: bool,
    pub(crate) in_tags: bool,
    pub(crate) in_cache: bool,
    pub(crate) in_policy: bool,
}

/// Where the function stands, as far as its tokens tell; `companions = ..` decides what they do not.
pub(crate) fn place(function: &Function, arguments: &Arguments, attribute: &TokenStream) -> Place {
    let signature = &function.signature;
    match &arguments.companions {
        Some(Companions::None) => return Place::Contained,
        Some(Companions::Associated) => return Place::Associated,
        None => {}
    }
    let boxed_by_async_trait = signature
        .generics
        .params
        .iter()
        .any(|parameter| matches!(parameter, GenericParam::Lifetime(each) if each.lifetime.ident == "async_trait"));
    if boxed_by_async_trait {
        Place::Contained
    } else if signature.receiver().is_some()
        || tokens::contain_keyword(signature, "Self")
        || tokens::contain_keyword(attribute, "Self")
        || means_self(function.body.stream())
    {
        Place::Associated
    } else {
        Place::Free
    }
}

/// Whether a body says `Self`, other than in an item of its own.
fn means_self(body: TokenStream) -> bool {
    let mut in_item = false;
    body.into_iter().any(|token| match token {
        TokenTree::Ident(ident) => {
            in_item |= ["impl", "trait", "struct", "enum", "union"].iter().any(|keyword| ident == keyword);
            !in_item && ident == "Self"
        }
        TokenTree::Punct(punct) => {
            in_item &= punct.as_char() != ';';
            false
        }
        TokenTree::Group(group) if in_item => {
            in_item = group.delimiter() != proc_macro2::Delimiter::Brace;
            false
        }
        TokenTree::Group(group) => means_self(group.stream()),
        TokenTree::Literal(_) => false,
    })
}

/// How the function is awaited, and the type of what that gives; `None` if it is no async function.
pub(crate) fn awaited(signature: &Signature) -> Option<(Awaited, Type)> {
    let returned = match &signature.output {
        ReturnType::Default => syn::parse_quote!(()),
        ReturnType::Type(_, ty) => ty.as_ref().clone(),
    };
    if signature.asyncness.is_some() {
        return Some((Awaited::Async, returned));
    }
    match &returned {
        Type::ImplTrait(future) => Some((Awaited::Future, output(future.bounds.iter())?)),
        Type::Path(path) => {
            let last = path.path.segments.last()?;
            let PathArguments::AngleBracketed(arguments) = &last.arguments else { return None };
            let types: Vec<&Type> = arguments.args.iter().filter_map(type_argument).collect();
            if last.ident == "BoxFuture" {
                return Some((Awaited::Boxed, (*types.last()?).clone()));
            }
            boxed_output(types.first().filter(|_| last.ident == "Pin")?)
        }
        _ => None,
    }
}

/// The output of `Box<dyn Future<Output = T> + ..>`.
fn boxed_output(ty: &Type) -> Option<(Awaited, Type)> {
    let Type::Path(path) = ty else { return None };
    let PathArguments::AngleBracketed(arguments) = &path.path.segments.last()?.arguments else { return None };
    match arguments.args.iter().find_map(type_argument)? {
        Type::TraitObject(future) => Some((Awaited::Boxed, output(future.bounds.iter())?)),
        _ => None,
    }
}

fn type_argument(argument: &GenericArgument) -> Option<&Type> {
    match argument {
        GenericArgument::Type(ty) => Some(ty),
        _ => None,
    }
}

/// `T` of `Future<Output = T>`.
fn output<'a>(bounds: impl Iterator<Item = &'a TypeParamBound>) -> Option<Type> {
    let mut bounds = bounds.filter_map(|bound| match bound {
        TypeParamBound::Trait(bound) => bound.path.segments.last(),
        _ => None,
    });
    let future = bounds.find(|segment| segment.ident == "Future")?;
    let PathArguments::AngleBracketed(arguments) = &future.arguments else { return None };
    arguments.args.iter().find_map(|argument| match argument {
        GenericArgument::AssocType(AssocType { ident, ty, .. }) if ident == "Output" => Some(ty.clone()),
        _ => None,
    })
}

/// The receiver for a function of the expansion, which never changes it.
pub(crate) fn receiver(signature: &Signature) -> Option<Receiver> {
    let mut receiver = signature.receiver()?.clone();
    receiver.mutability = None;
    Some(receiver)
}

/// Whether the receiver owns what it names: `self: Arc<Self>`.
pub(crate) fn is_owned(receiver: &Receiver) -> bool {
    match &receiver.kind {
        ReceiverKind::Typed(_, ty) => tokens::contain_keyword(ty, "Arc") && !tokens::borrow(ty),
        _ => false,
    }
}

/// Whether the signature is one that the attribute can be put on.
pub(crate) fn check(function: &Function, attribute: &str, errors: &mut Errors) -> bool {
    let signature = &function.signature;
    let mut wrong = |tokens: &dyn ToTokens, message: &str| {
        errors.push(syn::Error::new_spanned(tokens.to_token_stream(), message));
        false
    };
    let mut callable = true;
    if awaited(signature).is_none() {
        callable = wrong(
            &signature.fn_token,
            &format!(
                "`#[{attribute}]` needs an async function: write `async fn`, or return `impl Future<Output = ..> + Send`"
            ),
        );
    }
    if let Safety::Unsafe(keyword) = &signature.safety {
        callable =
            wrong(keyword, "an unsafe function cannot be cached: its caller's promises do not hold for other callers");
    }
    if let Some(abi) = &signature.abi {
        callable = wrong(abi, "a function of another ABI cannot be cached");
    }
    callable
}

/// Whether every argument is always there: the functions of the expansion take them all.
pub(crate) fn check_inputs(signature: &Signature, errors: &mut Errors) {
    let attributes = typed(signature).flat_map(|input| &input.attrs);
    for attribute in
        attributes.filter(|attribute| ["cfg", "cfg_attr"].iter().any(|name| attribute.path().is_ident(name)))
    {
        errors.on(
            attribute,
            "an argument of a cached function is always there: put the `#[cfg]` on the function, and write it once for each case",
        );
    }
}

/// Whether what is cached has a type that can be written down.
pub(crate) fn check_returned(returned: &Type, errors: &mut Errors) -> bool {
    let named = !tokens::contain_keyword(returned, "impl");
    if !named {
        errors.on(
            returned,
            "a cached value needs a type that can be named: `impl Trait` cannot be read back from a cache",
        );
    }
    named
}

/// A type with `_` in the place of every `impl Trait`: what it stands for is known where the body is, though it has no name.
pub(crate) fn inferred(mut ty: Type) -> Type {
    fn infer(ty: &mut Type) {
        match ty {
            Type::ImplTrait(_) => *ty = syn::parse_quote!(_),
            Type::Array(array) => infer(&mut array.elem),
            Type::Group(group) => infer(&mut group.elem),
            Type::Paren(paren) => infer(&mut paren.elem),
            Type::Reference(reference) => infer(&mut reference.elem),
            Type::Tuple(tuple) => tuple.elems.iter_mut().for_each(infer),
            Type::Path(path) => path.path.segments.iter_mut().for_each(|segment| {
                let PathArguments::AngleBracketed(arguments) = &mut segment.arguments else { return };
                for argument in &mut arguments.args {
                    if let GenericArgument::Type(ty) = argument {
                        infer(ty);
                    }
                }
            }),
            _ => {}
        }
    }
    infer(&mut ty);
    ty
}

/// The function's inputs that have a type of their own.
pub(crate) fn typed(signature: &Signature) -> impl Iterator<Item = &syn::PatType> {
    signature.inputs.iter().filter_map(|input| match input {
        FnArg::Typed(typed) => Some(typed),
        FnArg::Receiver(_) => None,
    })
}

/// A block that gives a future of `returned`, as an `async fn` with that body does. The type is written where `?` and
/// `return` in the body need it.
pub(crate) fn async_block(returned: &Type, before: &TokenStream, body: &TokenStream) -> TokenStream {
    let value = proc_macro2::Ident::new("__returned", proc_macro2::Span::mixed_site());
    quote! {
        async move {
            #[allow(unreachable_code, clippy::all)]
            if let ::core::option::Option::Some(#value) = ::core::option::Option::None::<#returned> {
                return #value;
            }
            #before
            #[allow(clippy::let_and_return, clippy::let_unit_value)]
            let #value: #returned = { #body };
            #[allow(unreachable_code)]
            #value
        }
    }
}

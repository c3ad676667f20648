//! Where the body of a cached function runs, and what it cannot do there.

use crate::ast::Function;
use crate::attr::Arguments;
use crate::errors::Errors;
use crate::generics;
use crate::signature::{self, Place};
use crate::tokens;
use proc_macro2::TokenStream;
use quote::ToTokens;
use syn::{FnArg, GenericParam, Generics};

/// Where the body runs when it has to.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum Loader {
    /// In its own task: every argument is owned.
    Spawned,
    /// In the caller's task.
    Inline,
}

/// Spawned only if nothing is borrowed by its written type: hidden borrows cannot occur in an async function.
///
/// Of the `impl` block's parameters it is not known here whether they borrow. A method that takes `self: Arc<Self>` says
/// that it does not need its caller; any other runs with it.
pub(crate) fn loader(function: &Function, place: Place) -> Loader {
    if obstacle(function, place).is_none() { Loader::Spawned } else { Loader::Inline }
}

/// Reports the policies that load in the background where the body cannot.
pub(crate) fn check(function: &Function, place: Place, arguments: &Arguments, errors: &mut Errors) {
    let Some(obstacle) = obstacle(function, place) else { return };
    for setting in arguments.settings.iter().filter(|setting| setting.is_in_background()) {
        let name = &setting.name;
        errors.on(
            name,
            format!(
                "`{name}` runs the body while its caller has an answer already, so it may borrow nothing: {obstacle}"
            ),
        );
    }
}

/// Why the body cannot leave its caller, and what to do about it.
fn obstacle(function: &Function, place: Place) -> Option<String> {
    let signature = &function.signature;
    if place == Place::Contained {
        return Some(
            "that of a trait's function does; put the attribute on a free function with owned arguments, and call that"
                .to_owned(),
        );
    }
    if let Some(obstacle) = signature.inputs.iter().find_map(borrowed) {
        return Some(obstacle);
    }
    if place == Place::Associated && signature.receiver().is_none() {
        return Some(
            "that of an associated function may, from the parameters of its `impl` block; put the attribute on a free function, and call that"
                .to_owned(),
        );
    }
    unbounded(&signature.generics)
}

fn borrowed(input: &FnArg) -> Option<String> {
    match input {
        FnArg::Receiver(receiver) if signature::is_owned(receiver) => None,
        FnArg::Receiver(receiver) => {
            let receiver = shown(receiver);
            Some(format!(
                "`{receiver}` is its caller's; take `self: Arc<Self>`, or put the attribute on a free function with owned arguments"
            ))
        }
        FnArg::Typed(typed) if tokens::borrow(&typed.ty) => {
            let (argument, ty) = (shown(typed), shown(&typed.ty));
            let owned = match ty.trim_start_matches('&') {
                "str" => "`String` or `Arc<str>`".to_owned(),
                text if ty.starts_with('&') && !text.starts_with('\'') => format!("`{text}` or `Arc<{text}>`"),
                _ => "an owned type".to_owned(),
            };
            Some(format!("`{argument}` is borrowed; take {owned}"))
        }
        FnArg::Typed(typed) if tokens::contain_keyword(&typed.ty, "impl") && !tokens::say_static(&typed.ty) => {
            let ty = shown(&typed.ty);
            Some(format!("`{ty}` may borrow; write `{ty} + 'static`"))
        }
        FnArg::Typed(_) => None,
    }
}

/// The first generic parameter that may stand for something borrowed.
fn unbounded(generics: &Generics) -> Option<String> {
    if generics::are_static(generics) {
        return None;
    }
    generics.params.iter().find_map(|parameter| match parameter {
        GenericParam::Lifetime(lifetime) => {
            let lifetime = &lifetime.lifetime;
            Some(format!("`{lifetime}` is the lifetime of a borrow; take owned arguments"))
        }
        GenericParam::Type(parameter) => {
            let mut alone = Generics::default();
            alone.where_clause.clone_from(&generics.where_clause);
            alone.params.push(GenericParam::Type(parameter.clone()));
            let name = &parameter.ident;
            (!generics::are_static(&alone)).then(|| format!("`{name}` may borrow; bound it, `{name}: 'static`"))
        }
        GenericParam::Const(_) => None,
    })
}

/// Tokens as they are usually written.
fn shown(tokens: &impl ToTokens) -> String {
    let tokens: TokenStream = tokens.to_token_stream();
    let text = tokens.to_string();
    text.replace("& ", "&")
        .replace(" :", ":")
        .replace(" <", "<")
        .replace("< ", "<")
        .replace(" >", ">")
        .replace(" ,", ",")
}

#[cfg(test)]
mod tests {
    use super::*;
    use proc_macro2::TokenStream;
    use quote::quote;

    fn errors(arguments: TokenStream, function: &str) -> Vec<String> {
        let mut errors = Errors::default();
        let function: Function = syn::parse_str(function).expect(function);
        let arguments = crate::attr::parse(arguments, &mut errors);
        let place = signature::place(&function, &arguments, &TokenStream::new());
        check(&function, place, &arguments, &mut errors);
        errors.messages()
    }

    #[test]
    fn owned_arguments_load_in_a_task_of_their_own() {
        for (function, expected) in [
            ("async fn f(id: u64, name: String) {}", Loader::Spawned),
            ("async fn f(name: &'static str) {}", Loader::Spawned),
            ("async fn f<T: 'static>(value: T) {}", Loader::Spawned),
            ("async fn f(value: impl Display + Send + 'static) {}", Loader::Spawned),
            ("async fn f(self: Arc<Self>) {}", Loader::Spawned),
            ("async fn f(name: &str) {}", Loader::Inline),
            ("async fn f<T: Send>(value: T) {}", Loader::Inline),
            ("async fn f(value: impl Display) {}", Loader::Inline),
            ("async fn f(name: Cow<'_, str>) {}", Loader::Inline),
            ("async fn f() -> Self {}", Loader::Inline),
        ] {
            let parsed: Function = syn::parse_str(function).expect(function);
            let place = signature::place(&parsed, &Arguments::default(), &TokenStream::new());
            assert_eq!(loader(&parsed, place), expected, "{function}");
        }
    }

    #[test]
    fn a_background_load_of_what_is_borrowed_is_refused_with_the_way_out() {
        for (function, fix) in [
            ("async fn f(name: &str) {}", "`name: &str` is borrowed; take `String` or `Arc<str>`"),
            ("async fn f(user: &User) {}", "take `User` or `Arc<User>`"),
            ("async fn f(name: Cow<'_, str>) {}", "take an owned type"),
            ("async fn f(&self) {}", "take `self: Arc<Self>`"),
            ("async fn f() -> Self {}", "put the attribute on a free function"),
            ("async fn f<T: Display>(value: T) {}", "bound it, `T: 'static`"),
            ("async fn f(value: impl Display) {}", "write `impl Display + 'static`"),
        ] {
            for argument in [
                quote!(stale_while_revalidate = "1m"),
                quote!(soft_timeout = "1s", stale_if_error = "1h"),
                quote!(refresh_ahead),
                quote!(refresh_ahead = 2),
            ] {
                let errors = errors(argument, function);
                assert!(errors.len() == 1 && errors[0].contains(fix), "{function}: {errors:?}");
            }
            assert_eq!(errors(quote!(stale_if_error = "1h", refresh_ahead = false), function), Vec::<String>::new());
        }
        assert_eq!(errors(quote!(refresh_ahead), "async fn f(name: String) {}"), Vec::<String>::new());
    }
}

//! What the arguments mean for the function: which inputs are in the key, how the body runs, and what is wrong.

use crate::ast::{self, Function};
use crate::attr::{Arguments, Texts};
use crate::errors::Errors;
use crate::expand::local;
use crate::generics;
use crate::loader::{self, Loader};
use crate::nearest::{list, suggestion};
use crate::signature::{self, Awaited, Place, Uses};
use crate::template::{self, Piece, Placeholder, Subject, Template};
use crate::tokens;
use proc_macro2::Ident;
use quote::{ToTokens, format_ident};
use std::ops::Range;
use syn::punctuated::Punctuated;
use syn::spanned::Spanned;
use syn::{Expr, GenericParam, Pat, PatType, Signature, Token, Type, WherePredicate};

/// A function and all that is known about its cache.
pub(crate) struct Cached<'a> {
    pub(crate) function: &'a Function,
    pub(crate) arguments: &'a Arguments,
    pub(crate) inputs: Vec<Input<'a>>,
    pub(crate) key: Key,
    pub(crate) tags: Vec<Template>,
    pub(crate) loader: Loader,
    pub(crate) place: Place,
    pub(crate) awaited: Awaited,
    /// Who reads `self`, if there is one.
    pub(crate) receiver: Uses,
    /// What awaiting the function gives.
    pub(crate) returned: Type,
}

/// One argument of the function.
pub(crate) struct Input<'a> {
    /// The name that callers see where the pattern is no name.
    pub(crate) name: Ident,
    /// The name that the expansion's own functions give it, apart from what the pattern binds.
    pub(crate) hidden: Ident,
    /// The pattern, if it is more than a name, with nothing bound by value.
    pub(crate) pattern: Option<Pat>,
    pub(crate) ty: &'a Type,
    pub(crate) in_key: bool,
    /// Whether `cache = expr` uses it.
    pub(crate) in_cache: bool,
    /// Whether an expression for a policy uses it.
    pub(crate) in_policy: bool,
    /// Whether a tag uses it.
    pub(crate) in_tags: bool,
    /// The names that the attribute's expressions use.
    pub(crate) used: Vec<Ident>,
    names: Vec<Ident>,
    /// For each name of a whole, `whole @ (part, other)`: where those of its parts are in `names`.
    parts: Vec<(Ident, Range<usize>)>,
}

/// Which of an input's names an expansion uses.
pub(crate) type Naming = for<'i, 'a> fn(&'i Input<'a>) -> &'i Ident;

pub(crate) enum Key {
    Template(Template),
    /// Crate, module, function, these type parameters and every argument that is not skipped.
    Default {
        parameters: Vec<Ident>,
    },
}

/// Joins function and arguments; `None` if nothing can be said about the function's cache.
pub(crate) fn validate<'a>(
    function: &'a Function,
    arguments: &'a Arguments,
    place: Place,
    errors: &mut Errors,
) -> Option<Cached<'a>> {
    let callable = signature::check(function, "cached", errors);
    signature::check_inputs(&function.signature, errors);
    let awaited = signature::awaited(&function.signature);
    let callable = callable & awaited.as_ref().is_some_and(|(_, returned)| signature::check_returned(returned, errors));
    let mut inputs = inputs(function, arguments);
    let mut known = check_skipped(function, arguments, &inputs, errors);
    let key = match &arguments.key {
        Some(literal) => {
            let mut template = template::parse(literal, errors)?;
            known &= mark_placeholders(function, place, &mut template, &mut inputs, errors);
            check_parameters(function, arguments, &template, errors);
            let mut uncovered = Errors::default();
            check_coverage(arguments, &template, &mut inputs, &mut uncovered);
            // Else the name that was mistyped may be what an argument lacks.
            if known {
                errors.extend(uncovered);
            }
            Key::Template(template)
        }
        None => {
            let skipped = |name: &Ident| arguments.skip.contains(name);
            inputs.iter_mut().for_each(|input| input.in_key = !input.names.iter().any(skipped));
            check_skipped_whole(arguments, &inputs, errors);
            Key::Default { parameters: key_parameters(function, arguments, &inputs) }
        }
    };
    let tags = tags(function, place, arguments, &mut inputs, errors);
    if let (Some(name), Some(_)) = (&arguments.name, &arguments.key) {
        errors.on(name, "a `name` stands in the default key, and there is a `key` here: leave one of them out");
    }
    loader::check(function, place, arguments, errors);
    check_attributes(function, place, errors);
    let (awaited, returned) = awaited.filter(|_| callable)?;
    let receiver = receiver(&key, &tags, arguments);
    Some(Cached {
        loader: loader::loader(function, place),
        function,
        arguments,
        inputs,
        key,
        tags,
        place,
        awaited,
        receiver,
        returned,
    })
}

/// The templates of the tags. Their arguments are noted, but a tag is no part of the key.
fn tags(
    function: &Function,
    place: Place,
    arguments: &Arguments,
    inputs: &mut [Input<'_>],
    errors: &mut Errors,
) -> Vec<Template> {
    let Some(Texts::Templates(literals)) = &arguments.tags else { return Vec::new() };
    let in_key: Vec<bool> = inputs.iter().map(|input| input.in_key).collect();
    let mut templates = Vec::new();
    for literal in literals {
        let Some(mut template) = template::parse(literal, errors) else { continue };
        mark_placeholders(function, place, &mut template, inputs, errors);
        templates.push(template);
    }
    for (input, in_key) in inputs.iter_mut().zip(in_key) {
        input.in_tags |= input.names.iter().any(|name| templates.iter().any(|template| template.reads(name)));
        input.in_key = in_key;
    }
    templates
}

/// A function of a trait holds its body, which then is no function that attributes below could stand on: they would stand on
/// the whole, and run at every hit. Those above are in the body by now.
fn check_attributes(function: &Function, place: Place, errors: &mut Errors) {
    for attribute in
        function.attributes.iter().filter(|attribute| place == Place::Contained && ast::is_macro(attribute))
    {
        let path = attribute.path().to_token_stream().to_string().replace(' ', "");
        errors.on(
            attribute,
            format!("in a trait and its implementation this would run at every hit: put `#[{path}]` above `#[cached]`, where it runs with the body"),
        );
    }
}

/// Who reads `self`.
fn receiver(key: &Key, tags: &[Template], arguments: &Arguments) -> Uses {
    let receiver = format_ident!("self");
    let in_key = match key {
        Key::Template(template) => template.reads(&receiver),
        Key::Default { .. } => false,
    };
    Uses {
        in_key,
        in_tags: tags.iter().any(|tag| tag.reads(&receiver)) || arguments.tags_read(&receiver),
        in_cache: tokens::read(&arguments.cache.to_token_stream(), &receiver),
        in_policy: tokens::read(&arguments.policy_expressions(), &receiver),
    }
}

pub(crate) fn inputs<'a>(function: &'a Function, arguments: &Arguments) -> Vec<Input<'a>> {
    let typed = signature::typed(&function.signature);
    typed.enumerate().map(|(position, typed)| input(position, typed, arguments)).collect()
}

fn input<'a>(position: usize, typed: &'a PatType, arguments: &Arguments) -> Input<'a> {
    let mut pattern = typed.pat.as_ref().clone();
    let (mut names, mut parts) = (Vec::new(), Vec::new());
    bindings(&mut pattern, &mut names, &mut parts);
    let name = match names.as_slice() {
        [only] => only.clone(),
        _ => format_ident!("argument_{position}", span = typed.pat.span()),
    };
    let simple = matches!(&pattern, Pat::Ident(ident) if ident.subpat.is_none());
    let (cache, policies) = (arguments.cache.to_token_stream(), arguments.policy_expressions());
    let when = arguments.when.to_token_stream();
    let used = names.iter().filter(|name| {
        [&cache, &policies, &when].iter().any(|tokens| tokens::read(tokens, name)) || arguments.tags_read(name)
    });
    let used = used.cloned().collect();
    Input {
        hidden: if simple { name.clone() } else { local(&format!("__argument_{position}")) },
        name,
        pattern: (!simple).then_some(pattern),
        ty: &typed.ty,
        in_key: false,
        in_cache: names.iter().any(|name| tokens::read(&cache, name)),
        in_tags: names.iter().any(|name| arguments.tags_read(name)),
        in_policy: names.iter().any(|name| tokens::read(&policies, name)),
        used,
        names,
        parts,
    }
}

/// Collects the names that a pattern binds, and takes `mut` and `ref` away: the key only looks.
fn bindings(pattern: &mut Pat, names: &mut Vec<Ident>, parts: &mut Vec<(Ident, Range<usize>)>) {
    match pattern {
        Pat::Ident(ident) => {
            ident.by_ref = None;
            ident.mutability = None;
            names.push(ident.ident.clone());
            if let Some((_, inner)) = &mut ident.subpat {
                let first = names.len();
                bindings(inner, names, parts);
                parts.push((ident.ident.clone(), first..names.len()));
            }
        }
        Pat::Paren(paren) => bindings(&mut paren.pat, names, parts),
        Pat::Reference(reference) => bindings(&mut reference.pat, names, parts),
        Pat::Slice(slice) => each(&mut slice.elems, names, parts),
        Pat::Tuple(tuple) => each(&mut tuple.elems, names, parts),
        Pat::TupleStruct(tuple) => each(&mut tuple.elems, names, parts),
        Pat::Struct(fields) => fields.fields.iter_mut().for_each(|field| bindings(&mut field.pat, names, parts)),
        _ => {}
    }
}

fn each(patterns: &mut Punctuated<Pat, Token![,]>, names: &mut Vec<Ident>, parts: &mut Vec<(Ident, Range<usize>)>) {
    patterns.iter_mut().for_each(|pattern| bindings(pattern, names, parts));
}

fn parameters(function: &Function) -> impl Iterator<Item = &Ident> {
    function.signature.generics.params.iter().filter_map(generics::name)
}

fn named(names: &[Ident]) -> Vec<String> {
    names.iter().map(Ident::to_string).collect()
}

/// ``the arguments are `id` and `name` `` or a word on there being none.
fn known_arguments(names: &[String]) -> String {
    match names {
        [] => "the function has no arguments".to_owned(),
        [only] => format!("the only argument is `{only}`"),
        _ => format!("the arguments are {}", list(names.iter().map(String::as_str))),
    }
}

/// Whether everything that is skipped is there.
fn check_skipped(function: &Function, arguments: &Arguments, inputs: &[Input<'_>], errors: &mut Errors) -> bool {
    let mut known = true;
    let names: Vec<String> = inputs.iter().flat_map(|input| named(&input.names)).collect();
    for (position, skipped) in arguments.skip.iter().enumerate() {
        let text = skipped.to_string();
        if arguments.skip[..position].contains(skipped) {
            errors.on(skipped, format!("`{text}` is skipped twice: leave one out"));
        } else if !names.contains(&text)
            && parameters(function).all(|name| name != skipped)
            && !(text == "self" && function.signature.receiver().is_some())
        {
            known = false;
            let nearest = suggestion(&text, names.iter().map(String::as_str));
            errors
                .on(skipped, format!("`{text}` is no argument of this function{nearest}\n{}", known_arguments(&names)));
        }
    }
    known
}

/// Notes which inputs the placeholders name, and reports placeholders that name none. Whether all name one.
pub(crate) fn mark_placeholders(
    function: &Function,
    place: Place,
    template: &mut Template,
    inputs: &mut [Input<'_>],
    errors: &mut Errors,
) -> bool {
    let mut known = true;
    let names: Vec<String> = inputs.iter().flat_map(|input| named(&input.names)).collect();
    for piece in &mut template.pieces {
        let Piece::Placeholder(placeholder) = piece else { continue };
        let root = &placeholder.root;
        let argument = inputs.iter().any(|input| input.names.contains(root));
        let receiver = root == "self" && function.signature.receiver().is_some();
        let subject =
            if argument || receiver { Some(Subject::Argument) } else { parameter(function, place, placeholder) };
        placeholder.subject = subject.unwrap_or(Subject::Argument);
        if subject.is_none() {
            known = false;
            let text = root.to_string();
            let nearest = suggestion(&text, names.iter().map(String::as_str));
            let arguments = known_arguments(&names);
            let hint = match text.starts_with(char::is_uppercase) {
                true => {
                    "\nif the function is one of an `impl` block that has this parameter, write `companions = associated`"
                }
                false => "",
            };
            let message = format!("`{{{text}}}` names no argument of this function{nearest}\n{arguments}{hint}");
            errors.at(placeholder.span, message);
        }
        if subject == Some(Subject::Type) && !is_name(placeholder) {
            known = false;
            let message =
                format!("`{root}` is a type, and all that a key can hold of it is its name: write `{{{root}}}`");
            errors.at(placeholder.span, message);
        }
        // Not only the root: `{name.get(index)}` has two arguments in the key.
        let tokens = placeholder.expression.to_token_stream();
        for input in inputs.iter_mut().filter(|input| input.names.iter().any(|name| tokens::read(&tokens, name))) {
            input.in_key = true;
            let used = input.names.iter().filter(|name| tokens::read(&tokens, name)).cloned();
            input.used.extend(used);
        }
    }
    known
}

/// What a generic parameter is, if the name that a placeholder begins with is one. Those of the `impl` block are not to be seen
/// from here, but are written like types; one that has methods or a format is a constant.
fn parameter(function: &Function, place: Place, placeholder: &Placeholder) -> Option<Subject> {
    let root = &placeholder.root;
    let own = function.signature.generics.params.iter().find(|each| generics::name(each) == Some(root));
    match own {
        Some(GenericParam::Const(_)) => Some(Subject::Constant),
        Some(_) => Some(Subject::Type),
        None if place == Place::Free || !root.to_string().starts_with(char::is_uppercase) => None,
        None if root == "Self" || is_name(placeholder) => Some(Subject::Type),
        None => Some(Subject::Constant),
    }
}

/// Whether a placeholder is a name, and nothing is said of how to write it.
fn is_name(placeholder: &Placeholder) -> bool {
    placeholder.format.is_none() && matches!(placeholder.expression, Expr::Path(_))
}

/// A type or constant parameter that is not in the key would let two of them share it, if the return type has it or no
/// argument does. One that an argument has is up to that argument.
fn check_parameters(function: &Function, arguments: &Arguments, template: &Template, errors: &mut Errors) {
    for parameter in parameters(function) {
        let named = template.pieces.iter().any(|piece| matches!(piece, Piece::Placeholder(p) if p.root == *parameter));
        let returned = tokens::mention(&function.signature.output, parameter);
        if (returned || !is_taken(&function.signature, parameter)) && !named && !arguments.skip.contains(parameter) {
            errors.on(
                parameter,
                format!(
                    "results of different `{parameter}` would share a key: put `{{{parameter}}}` into the key, or share them on purpose with `skip({parameter})`"
                ),
            );
        }
    }
}

/// Whether the arguments say what the parameter is: one of them has it in its type, or the bounds of another parameter do, as
/// those of a function do of what it returns.
fn is_taken(signature: &Signature, parameter: &Ident) -> bool {
    let binds = |generic: &GenericParam| match generic {
        GenericParam::Type(other) => other.ident != *parameter && tokens::mention(&other.bounds, parameter),
        _ => false,
    };
    let ties = |predicate: &WherePredicate| match predicate {
        WherePredicate::Type(of) => {
            !tokens::mention(&of.bounded_ty, parameter) && tokens::mention(&of.bounds, parameter)
        }
        _ => false,
    };
    let generics = &signature.generics;
    signature::typed(signature).any(|input| tokens::mention(&input.ty, parameter))
        || generics.params.iter().any(binds)
        || generics.where_clause.iter().any(|clause| clause.predicates.iter().any(ties))
}

/// Every name of every argument is in the key or skipped, and not both. An argument with one that is neither counts as a part
/// of the key from here on, so that nothing but its own error is reported.
fn check_coverage(arguments: &Arguments, key: &Template, inputs: &mut [Input<'_>], errors: &mut Errors) {
    let cache = arguments.cache.to_token_stream();
    let is_read = |name: &Ident| key.reads(name) || tokens::read(&cache, name);
    for input in inputs {
        if input.names.is_empty() {
            errors.at(input.name.span(), "this argument is not in the key, so its different values would share a result: give it a name and put that into the key, or share results on purpose with `skip(name)`");
            input.in_key = true;
        }
        for (position, name) in input.names.iter().enumerate() {
            let mut wholes = input.parts.iter().filter(|(_, parts)| parts.contains(&position));
            match arguments.skip.iter().find(|skipped| *skipped == name) {
                Some(skipped) if key.reads(name) => {
                    errors
                        .on(skipped, format!("`{skipped}` is both in the key and skipped: take it out of one of them"));
                }
                None if !is_read(name) && !wholes.any(|(whole, _)| is_read(whole)) => {
                    errors.on(name, format!("`{name}` is not in the key, so its different values would share a result: put `{{{name}}}` into the key, or share results on purpose with `skip({name})`"));
                    input.in_key = true;
                }
                _ => {}
            }
        }
    }
}

/// A default key has no template that could name a part of an argument.
fn check_skipped_whole(arguments: &Arguments, inputs: &[Input<'_>], errors: &mut Errors) {
    for input in inputs {
        let taken = input.names.iter().find(|name| !arguments.skip.contains(name));
        let skipped = arguments.skip.iter().find(|skipped| input.names.contains(skipped));
        if let (Some(skipped), Some(taken)) = (skipped, taken) {
            errors.on(
                skipped,
                format!(
                    "a default key takes an argument whole, and `{skipped}` is a part of one that has `{taken}` as well: write a `key` with what is to be in it, such as `{{{taken}}}`"
                ),
            );
        }
    }
}

/// The type parameters that belong into a default key: all but those that only skipped arguments have.
fn key_parameters(function: &Function, arguments: &Arguments, inputs: &[Input<'_>]) -> Vec<Ident> {
    let in_key = |name: &Ident| inputs.iter().any(|input| input.in_key && tokens::mention(input.ty, name));
    let skipped = |name: &Ident| inputs.iter().any(|input| !input.in_key && tokens::mention(input.ty, name));
    parameters(function)
        .filter(|name| !arguments.skip.contains(name))
        .filter(|name| tokens::mention(&function.signature.output, name) || in_key(name) || !skipped(name))
        .cloned()
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::attr;
    use proc_macro2::TokenStream;
    use quote::quote;

    fn check(arguments: TokenStream, function: &str) -> (Vec<String>, Option<(Loader, Vec<bool>)>) {
        let mut errors = Errors::default();
        let function: Function = syn::parse_str(function).expect(function);
        let arguments = attr::parse(arguments, &mut errors);
        let place = signature::place(&function, &arguments, &TokenStream::new());
        let valid = validate(&function, &arguments, place, &mut errors)
            .map(|cached| (cached.loader, cached.inputs.iter().map(|input| input.in_key).collect()));
        (errors.messages(), valid)
    }

    #[test]
    fn patterns_are_arguments_too() {
        let (errors, valid) = check(
            quote!(key = "{id}:{x}:{name.get(at)}", skip(db)),
            "async fn f(Path(mut id): Path<u64>, Point { x, .. }: Point, name: &str, at: usize, db: Db) {}",
        );
        assert_eq!(errors, Vec::<String>::new());
        assert_eq!(valid, Some((Loader::Inline, vec![true, true, true, true, false])));
    }

    #[test]
    fn all_mistakes_are_reported_together() {
        let (errors, valid) = check(
            quote!(key = "{di}:{name}", skip(nmae, name)),
            "unsafe fn f<T>(id: u64, name: String, (a, b): (u8, u8)) -> Option<T> {}",
        );
        assert_eq!(valid, None);
        for expected in [
            "needs an async function",
            "unsafe function",
            "`{di}` names no argument of this function; did you mean `id`?\nthe arguments are `id`, `name`, `a` and `b`",
            "`nmae` is no argument of this function; did you mean `name`?",
            "put `{T}` into the key",
        ] {
            assert!(errors.iter().any(|error| error.contains(expected)), "{expected}: {errors:#?}");
        }
        assert_eq!(errors.len(), 5, "what a mistyped name may explain is not reported: {errors:#?}");
    }

    #[test]
    fn every_argument_is_in_the_key_or_skipped() {
        let (errors, _) = check(quote!(key = "{name}", skip(name, db)), "async fn f(id: u64, name: u8, db: Db) {}");
        for expected in [
            "`name` is both in the key and skipped",
            "put `{id}` into the key, or share results on purpose with `skip(id)`",
        ] {
            assert!(errors.iter().any(|error| error.contains(expected)), "{expected}: {errors:#?}");
        }
        assert_eq!(errors.len(), 2, "{errors:#?}");
    }

    #[test]
    fn every_name_of_a_pattern_is_in_the_key_or_skipped() {
        let missing = |name: &str| format!("`{name}` is not in the key, so its different values would share a result");
        for (arguments, function, expected) in [
            (quote!(key = "{id}"), "async fn f(Path((tenant, id)): Path<(u64, u64)>) {}", missing("tenant")),
            (quote!(key = "a:{id}", cache = svc), "async fn f((svc, other): (S, u8), id: u64) {}", missing("other")),
            (quote!(key = "{id}"), "async fn f(whole @ (id, _): (u64, u8)) {}", missing("whole")),
            (quote!(key = "{id}", skip(id, db)), "async fn f((id, db): (u64, Db)) {}", "`id` is both".to_owned()),
            (
                quote!(skip(db)),
                "async fn f((id, db): (u64, Db)) {}",
                "a default key takes an argument whole, and `db` is a part of one that has `id` as well".to_owned(),
            ),
        ] {
            let (errors, _) = check(arguments.clone(), function);
            assert!(errors.len() == 1 && errors[0].contains(&expected), "{arguments} {function}: {errors:?}");
        }
        for (arguments, function) in [
            (quote!(key = "{id}", skip(db)), "async fn f((id, db): (u64, Db)) {}"),
            (quote!(key = "{id}", cache = svc), "async fn f((svc, id): (S, u8)) {}"),
            (quote!(key = "{whole:?}"), "async fn f(whole @ Point { x, at: [y, ..] }: Point) {}"),
            (quote!(key = "{x}:{y:?}", skip(whole)), "async fn f(whole @ Point { x, y: y @ (a, _) }: Point) {}"),
            (quote!(skip(id, db)), "async fn f((id, db): (u64, Db)) {}"),
        ] {
            assert_eq!(check(arguments.clone(), function).0, Vec::<String>::new(), "{arguments} {function}");
        }
    }

    #[test]
    fn a_field_or_a_method_called_like_an_argument_is_not_that_argument() {
        let (errors, _) = check(
            quote!(key = "{user.id}:{name.len()}:{page.size:04}", cache = self.context.tenant.cache),
            "async fn f(&self, user: &User, id: u64, name: &str, len: u8, page: Page, size: u8, cache: Mode, tenant: &str) {}",
        );
        for forgotten in ["id", "len", "size", "cache", "tenant"] {
            let expected = format!("`{forgotten}` is not in the key");
            assert!(errors.iter().any(|error| error.contains(&expected)), "{expected}: {errors:#?}");
        }
        assert_eq!(errors.len(), 5, "{errors:#?}");
    }

    #[test]
    fn a_type_has_a_name_and_nothing_else() {
        let function = "async fn f<T, const N: usize>() {}";
        for key in [quote!("{T:>8}"), quote!("{T.len()}"), quote!("{Self:?}")] {
            let (errors, _) = check(quote!(key = #key, companions = associated, skip(T, N)), function);
            assert!(
                errors.len() == 1 && errors[0].contains("all that a key can hold of it is its name"),
                "{key}: {errors:?}"
            );
        }
        for key in [quote!("{T}:{N}:{Self}:{U}"), quote!("{T:hash}:{N:04}:{N.pow(2)}"), quote!("{M:04}:{M.pow(2)}")] {
            let (errors, _) = check(quote!(key = #key, companions = associated, skip(T, N)), function);
            assert_eq!(errors, Vec::<String>::new(), "{key}");
        }
        let (errors, _) = check(quote!(key = "{U}", skip(T, N)), function);
        assert!(errors.len() == 1 && errors[0].contains("write `companions = associated`"), "{errors:?}");
    }

    #[test]
    fn a_default_key_takes_every_argument_that_is_not_skipped() {
        let (errors, valid) = check(quote!(skip(db)), "async fn f(db: Db, id: u64, _: u8) {}");
        assert_eq!((errors, valid), (vec![], Some((Loader::Spawned, vec![false, true, true]))));
    }
}

//! The arguments of `#[cached(..)]`, as they are written. What they mean together is for [`crate::valid`].

use crate::errors::Errors;
use crate::nearest::{list, suggestion};
use crate::settings::{self, Setting};
use crate::tokens;
use proc_macro2::{Ident, TokenStream, TokenTree};
use syn::ext::IdentExt;
use syn::parse::{Parse, ParseStream, Parser};
use syn::punctuated::Punctuated;
use syn::{Expr, ExprLit, Lit, LitStr, Path, Token};

/// Every argument, in the order in which messages list them.
const NAMES: [&str; 26] = [
    "key",
    "name",
    "ttl",
    "local_ttl",
    "negative_ttl",
    "stale_while_revalidate",
    "stale_if_error",
    "error_throttle",
    "soft_timeout",
    "load_timeout",
    "refresh_ahead",
    "jitter",
    "schema",
    "tags",
    "max_value_bytes",
    "local_only",
    "remote_only",
    "skip_read",
    "skip_write",
    "policy",
    "cache",
    "when",
    "unless",
    "skip",
    "companions",
    "crate",
];

/// The arguments of one attribute.
#[derive(Default)]
pub(crate) struct Arguments {
    pub(crate) key: Option<LitStr>,
    /// What a default key begins with in place of the function's path.
    pub(crate) name: Option<LitStr>,
    pub(crate) tags: Option<Texts>,
    pub(crate) unless: Option<Expr>,
    /// The policies given one by one, in the order of the attribute.
    pub(crate) settings: Vec<Setting>,
    pub(crate) policy: Option<Expr>,
    pub(crate) cache: Option<Expr>,
    pub(crate) when: Option<Expr>,
    pub(crate) skip: Vec<Ident>,
    pub(crate) companions: Option<Companions>,
    pub(crate) crate_path: Option<Path>,
}

impl Arguments {
    /// Whether the expression that gives the tags, if there is one, reads the variable.
    pub(crate) fn tags_read(&self, name: &Ident) -> bool {
        matches!(&self.tags, Some(Texts::Expression(tags)) if tokens::read(tags, name))
    }

    /// The expressions that policies are given by, one after the other.
    pub(crate) fn policy_expressions(&self) -> TokenStream {
        settings::expressions(self.policy.as_ref(), &self.settings)
    }
}

/// Where companions go, where the function does not tell.
#[derive(Clone, Copy)]
pub(crate) enum Companions {
    /// Beside it in its `impl` block.
    Associated,
    /// Nowhere.
    None,
}

/// Reads the arguments, and reports every one that is wrong.
pub(crate) fn parse(tokens: TokenStream, errors: &mut Errors) -> Arguments {
    let mut arguments = Arguments::default();
    each("cached", &NAMES, tokens, errors, &mut |name, input| argument(name, input, &mut arguments));
    settings::check(arguments.policy.as_ref(), &arguments.settings, errors);
    arguments
}

/// Reads what stands behind the name of an argument.
type Read<'r> = dyn FnMut(&Ident, ParseStream<'_>) -> syn::Result<()> + 'r;

/// Reads every argument of an attribute whose name is one of `names`, and reports the others.
pub(crate) fn each(attribute: &str, names: &[&str], tokens: TokenStream, errors: &mut Errors, read: &mut Read<'_>) {
    let parsed = (|input: ParseStream<'_>| {
        let mut seen = Vec::new();
        while !input.is_empty() {
            let result = named(input, &mut seen, errors)
                .and_then(|name| match names.contains(&name.to_string().as_str()) {
                    true => read(&name, input),
                    false => Err(unknown_argument(attribute, names, &name)),
                })
                .and_then(|()| separator(input));
            if let Err(error) = result {
                errors.push(error);
                skip_to_next(input);
            }
        }
        Ok(())
    })
    .parse2(tokens);
    if let Err(error) = parsed {
        errors.push(error);
    }
}

fn separator(input: ParseStream<'_>) -> syn::Result<()> {
    if !input.is_empty() {
        input.parse::<Token![,]>()?;
    }
    Ok(())
}

/// Goes on behind the next comma, so that one mistake does not hide the next.
fn skip_to_next(input: ParseStream<'_>) {
    while let Ok(token) = input.parse::<TokenTree>() {
        if matches!(&token, TokenTree::Punct(punct) if punct.as_char() == ',') && starts_argument(input) {
            return;
        }
    }
}

fn starts_argument(input: ParseStream<'_>) -> bool {
    let rest = input.fork();
    rest.is_empty()
        || rest.call(Ident::parse_any).is_ok()
            && (rest.is_empty() || rest.peek(Token![=]) || rest.peek(Token![,]) || rest.peek(syn::token::Paren))
}

/// The name of the next argument.
fn named(input: ParseStream<'_>, seen: &mut Vec<Ident>, errors: &mut Errors) -> syn::Result<Ident> {
    if input.peek(LitStr) {
        let literal: LitStr = input.parse()?;
        let text = literal.value();
        return Err(syn::Error::new_spanned(literal, format!("a key is given by name: `key = \"{text}\"`")));
    }
    let name = input.call(Ident::parse_any)?;
    if let Some(first) = seen.iter().find(|earlier| **earlier == name) {
        errors.on(first, format!("`{name}` is given here first"));
        errors.on(&name, format!("`{name}` is given twice: leave one out"));
    }
    seen.push(name.clone());
    Ok(name)
}

fn argument(name: &Ident, input: ParseStream<'_>, arguments: &mut Arguments) -> syn::Result<()> {
    if let Some(setting) = settings::policy(input, name) {
        arguments.settings.push(setting?);
        return Ok(());
    }
    match name.to_string().as_str() {
        "key" => arguments.key = Some(assigned(input, name, text)?),
        "name" => arguments.name = Some(assigned(input, name, text)?),
        "tags" => arguments.tags = Some(assigned(input, name, texts)?),
        "unless" => arguments.unless = Some(assigned(input, name, closure)?),
        "policy" => arguments.policy = Some(assigned(input, name, expression)?),
        "cache" => arguments.cache = Some(assigned(input, name, expression)?),
        "when" => arguments.when = Some(assigned(input, name, expression)?),
        "skip" => arguments.skip.extend(skipped(input, name)?),
        "companions" => arguments.companions = Some(assigned(input, name, companions)?),
        _ => arguments.crate_path = Some(assigned(input, name, Path::parse)?),
    }
    Ok(())
}

fn unknown_argument(attribute: &str, names: &[&str], name: &Ident) -> syn::Error {
    let text = name.to_string();
    if (attribute, text.as_str()) == ("cache_put", "negative_ttl") {
        return syn::Error::new_spanned(
            name,
            "`#[cache_put]` stores no absence, so `negative_ttl` would do nothing: a `None` that the function returns invalidates the key\ntake `negative_ttl` out, or give it to the `#[cached]` function that loads the absence",
        );
    }
    let (nearest, known) = (suggestion(&text, names.iter().copied()), list(names.iter().copied()));
    syn::Error::new_spanned(
        name,
        format!("`#[{attribute}]` has no argument `{text}`{nearest}\nits arguments are {known}"),
    )
}

/// `= value`
pub(crate) fn assigned<T>(
    input: ParseStream<'_>,
    name: &Ident,
    value: fn(ParseStream<'_>) -> syn::Result<T>,
) -> syn::Result<T> {
    if !input.peek(Token![=]) {
        return Err(syn::Error::new_spanned(name, format!("`{name}` needs a value: `{name} = ..`")));
    }
    input.parse::<Token![=]>()?;
    value(input)
}

/// What a `macro_rules` macro passed on stands in an invisible group.
pub(crate) fn ungrouped(expression: Expr) -> Expr {
    match expression {
        Expr::Group(group) => ungrouped(*group.expr),
        other => other,
    }
}

pub(crate) fn text(input: ParseStream<'_>) -> syn::Result<LitStr> {
    literal(input.parse()?)
}

fn literal(expression: Expr) -> syn::Result<LitStr> {
    match ungrouped(expression) {
        Expr::Lit(ExprLit { lit: Lit::Str(template), .. }) => Ok(template),
        other => Err(syn::Error::new_spanned(other, "this is a string literal, for example `\"user:{id}\"`")),
    }
}

/// Several templates, or what gives several strings.
pub(crate) enum Texts {
    Templates(Vec<LitStr>),
    Expression(Expr),
}

/// `["org:{org_id}", ..]`, or an expression.
pub(crate) fn texts(input: ParseStream<'_>) -> syn::Result<Texts> {
    match ungrouped(input.parse()?) {
        Expr::Array(array) => array.elems.into_iter().map(literal).collect::<syn::Result<_>>().map(Texts::Templates),
        Expr::Lit(ExprLit { lit: Lit::Str(text), .. }) => {
            let value = text.value();
            Err(syn::Error::new_spanned(text, format!("these are several: write `[\"{value}\"]`")))
        }
        other => Ok(Texts::Expression(other)),
    }
}

/// `|value| ..`
pub(crate) fn closure(input: ParseStream<'_>) -> syn::Result<Expr> {
    match ungrouped(input.parse()?) {
        Expr::Closure(closure) if closure.inputs.len() == 1 => Ok(Expr::Closure(closure)),
        other => Err(syn::Error::new_spanned(other, "this is a closure over the value: write `|value| ..`")),
    }
}

fn companions(input: ParseStream<'_>) -> syn::Result<Companions> {
    let value: TokenTree = input.parse()?;
    match value.to_string().as_str() {
        "associated" => Ok(Companions::Associated),
        "none" => Ok(Companions::None),
        _ => Err(syn::Error::new_spanned(
            value,
            "`companions` is `associated`, for a function of an `impl` block, or `none`, for one of a trait or its implementation",
        )),
    }
}

pub(crate) fn expression(input: ParseStream<'_>) -> syn::Result<Expr> {
    match ungrouped(input.parse()?) {
        Expr::Lit(ExprLit { lit: Lit::Str(text), .. }) => Err(syn::Error::new_spanned(
            &text,
            format!("this is an expression: write it without quotes, `{}`", text.value()),
        )),
        other => Ok(other),
    }
}

/// `(db, pool)`
fn skipped(input: ParseStream<'_>, name: &Ident) -> syn::Result<Punctuated<Ident, Token![,]>> {
    if !input.peek(syn::token::Paren) {
        return Err(syn::Error::new_spanned(name, "the arguments to skip go in parentheses: `skip(db)`"));
    }
    let content;
    syn::parenthesized!(content in input);
    Punctuated::parse_terminated_with(&content, Ident::parse_any)
}

#[cfg(test)]
mod tests {
    use super::*;
    use quote::quote;

    fn read(tokens: TokenStream) -> (Arguments, Vec<String>) {
        let mut errors = Errors::default();
        let arguments = parse(tokens, &mut errors);
        (arguments, errors.messages())
    }

    #[test]
    fn reads_every_argument() {
        let (arguments, errors) = read(quote! {
            key = "user:{id}", ttl = "5m", local_ttl = Duration::from_secs(1), negative_ttl = "30s", load_timeout = "2s",
            jitter = 0.2, schema = 3, policy = POLICY, cache = db.cache, when = id > 10 && f::<u8, u8>(id), skip(db, pool),
            crate = my::cache,
        });
        assert_eq!(errors, Vec::<String>::new());
        assert_eq!(arguments.settings.len(), 6);
        assert_eq!(arguments.skip.len(), 2);
        assert!(arguments.key.is_some() && arguments.policy.is_some() && arguments.cache.is_some());
        assert!(arguments.when.is_some() && arguments.crate_path.is_some());
    }

    #[test]
    fn reads_every_policy() {
        let (arguments, errors) = read(quote! {
            stale_while_revalidate = "1m", stale_if_error = "1h", error_throttle = "1s", soft_timeout = "50ms", refresh_ahead,
            max_value_bytes = 64 * 1024, local_only = false, remote_only, skip_read = "redis", skip_write = ["local", "redis"],
        });
        assert_eq!((arguments.settings.len(), errors), (10, vec![]));
        let calls = settings::policies(None, &arguments.settings).to_string();
        for call in [". refresh_ahead (1f64)", ". remote_only ()", ". skip_write (\"local\") . skip_write (\"redis\")"]
        {
            assert!(calls.contains(call), "{call}: {calls}");
        }
        assert!(!calls.contains("local_only"), "{calls}");
    }

    #[test]
    fn policies_that_contradict_each_other_are_reported() {
        for (tokens, fix) in [
            (quote!(ttl = "1m", local_ttl = "2m"), "raise `ttl`"),
            (quote!(soft_timeout = "1s"), "`stale_if_error = \"..\"`"),
            (quote!(error_throttle = "1s"), "`stale_if_error = \"..\"`"),
            (quote!(soft_timeout = "2s", load_timeout = "1s", stale_if_error = "1m"), "raise `load_timeout`"),
            (quote!(stale_if_error = "1m", error_throttle = "2m"), "raise `stale_if_error`"),
            (
                quote!(stale_while_revalidate = "1m", stale_if_error = "1m", error_throttle = "2m"),
                "raise `stale_if_error`",
            ),
            (quote!(local_only, remote_only), "take one of them out"),
            (quote!(local_only = yes), "`true` or `false`"),
            (quote!(skip_read = LOCAL), "the name of a tier"),
        ] {
            let (_, errors) = read(tokens.clone());
            assert!(errors.len() == 1 && errors[0].contains(fix), "{tokens}: {errors:?}");
        }
        for tokens in [
            quote!(policy = POLICY, soft_timeout = "1s"),
            quote!(policy = POLICY, error_throttle = "2m"),
            quote!(refresh_ahead, error_throttle = "2m"),
            quote!(stale_while_revalidate = "1h", stale_if_error = "1m", error_throttle = "2m"),
            quote!(stale_while_revalidate = WINDOW, stale_if_error = "1m", error_throttle = "2m"),
        ] {
            assert_eq!(read(tokens.clone()).1, Vec::<String>::new(), "{tokens}");
        }
    }

    #[test]
    fn reports_all_mistakes_and_keeps_the_rest() {
        let (arguments, errors) = read(quote!(ttl = "5 parsecs", tll = "5m", schema = , key = "a", ttl));
        assert!(errors.iter().any(|e| e.contains("`parsecs` is no unit")), "{errors:?}");
        assert!(errors.iter().any(|e| e.contains("did you mean `ttl`?")), "{errors:?}");
        assert!(errors.iter().any(|e| e.contains("`ttl` needs a value")), "{errors:?}");
        assert!(errors.iter().any(|e| e.contains("given twice")), "{errors:?}");
        assert_eq!(arguments.key.map(|key| key.value()), Some("a".to_owned()), "{errors:?}");
    }

    #[test]
    fn says_how_values_are_written() {
        for (tokens, fix) in [
            (quote!("user:{id}"), "key = \"user:{id}\""),
            (quote!(ttl = 300), "\"300s\""),
            (quote!(when = "id > 1"), "without quotes"),
            (quote!(key = make_key()), "string literal"),
            (quote!(skip = db), "skip(db)"),
        ] {
            let (_, errors) = read(tokens.clone());
            assert!(errors.len() == 1 && errors[0].contains(fix), "{tokens}: {errors:?}");
        }
    }
}

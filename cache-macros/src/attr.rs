//! The arguments of `#[cached(..)]`, as they are written. What they mean together is for [`crate::valid`].

use crate::duration;
use crate::errors::Errors;
use crate::nearest::{list, suggestion};
use proc_macro2::{Ident, TokenStream, TokenTree};
use quote::ToTokens;
use std::time::Duration;
use syn::ext::IdentExt;
use syn::parse::{Parse, ParseStream, Parser};
use syn::punctuated::Punctuated;
use syn::{Expr, ExprLit, Lit, LitStr, Path, Token};

/// Every argument, in the order in which messages list them.
const NAMES: [&str; 13] = [
    "key",
    "ttl",
    "local_ttl",
    "negative_ttl",
    "load_timeout",
    "jitter",
    "schema",
    "policy",
    "cache",
    "when",
    "skip",
    "companions",
    "crate",
];

/// The arguments of one attribute.
#[derive(Default)]
pub(crate) struct Arguments {
    pub(crate) key: Option<LitStr>,
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
    /// The expressions that policies are given by, one after the other.
    pub(crate) fn policy_expressions(&self) -> TokenStream {
        let settings = self.settings.iter().filter_map(|setting| match &setting.value {
            SettingValue::Expression(expression) => Some(expression),
            SettingValue::Duration(_) => None,
        });
        settings.chain(&self.policy).map(ToTokens::to_token_stream).collect()
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

/// One policy and its value.
pub(crate) struct Setting {
    pub(crate) name: Ident,
    pub(crate) value: SettingValue,
}

pub(crate) enum SettingValue {
    Duration(Duration),
    Expression(Expr),
}

/// Reads the arguments, and reports every one that is wrong.
pub(crate) fn parse(tokens: TokenStream, errors: &mut Errors) -> Arguments {
    let mut arguments = Arguments::default();
    let parsed = (|input: ParseStream<'_>| {
        let mut seen = Vec::new();
        while !input.is_empty() {
            let result = argument(input, &mut arguments, &mut seen, errors).and_then(|()| separator(input));
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
    arguments
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

fn argument(
    input: ParseStream<'_>,
    arguments: &mut Arguments,
    seen: &mut Vec<Ident>,
    errors: &mut Errors,
) -> syn::Result<()> {
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
    match name.to_string().as_str() {
        "key" => arguments.key = Some(assigned(input, &name, key)?),
        "ttl" | "local_ttl" | "negative_ttl" | "load_timeout" => {
            let value = assigned(input, &name, duration_value)?;
            arguments.settings.push(Setting { name, value });
        }
        "jitter" | "schema" => {
            let value = SettingValue::Expression(assigned(input, &name, expression)?);
            arguments.settings.push(Setting { name, value });
        }
        "policy" => arguments.policy = Some(assigned(input, &name, expression)?),
        "cache" => arguments.cache = Some(assigned(input, &name, expression)?),
        "when" => arguments.when = Some(assigned(input, &name, expression)?),
        "skip" => arguments.skip.extend(skipped(input, &name)?),
        "companions" => arguments.companions = Some(assigned(input, &name, companions)?),
        "crate" => arguments.crate_path = Some(assigned(input, &name, Path::parse)?),
        unknown => return Err(syn::Error::new_spanned(&name, unknown_argument(unknown))),
    }
    Ok(())
}

fn unknown_argument(name: &str) -> String {
    let nearest = suggestion(name, NAMES);
    format!("`#[cached]` has no argument `{name}`{nearest}\nits arguments are {}", list(NAMES))
}

/// `= value`
fn assigned<T>(input: ParseStream<'_>, name: &Ident, value: fn(ParseStream<'_>) -> syn::Result<T>) -> syn::Result<T> {
    if !input.peek(Token![=]) {
        return Err(syn::Error::new_spanned(name, format!("`{name}` needs a value: `{name} = ..`")));
    }
    input.parse::<Token![=]>()?;
    value(input)
}

/// What a `macro_rules` macro passed on stands in an invisible group.
fn ungrouped(expression: Expr) -> Expr {
    match expression {
        Expr::Group(group) => ungrouped(*group.expr),
        other => other,
    }
}

fn key(input: ParseStream<'_>) -> syn::Result<LitStr> {
    match ungrouped(input.parse()?) {
        Expr::Lit(ExprLit { lit: Lit::Str(template), .. }) => Ok(template),
        other => Err(syn::Error::new_spanned(other, "a key is a string literal, for example `key = \"user:{id}\"`")),
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

fn duration_value(input: ParseStream<'_>) -> syn::Result<SettingValue> {
    match ungrouped(input.parse()?) {
        Expr::Lit(ExprLit { lit: Lit::Str(text), .. }) => duration::parse(&text.value())
            .map(SettingValue::Duration)
            .map_err(|message| syn::Error::new_spanned(&text, message)),
        Expr::Lit(ExprLit { lit: Lit::Int(number), .. }) => Err(syn::Error::new_spanned(
            &number,
            format!("a duration needs a unit: write `\"{number}s\"` for seconds, or another of {}", duration::EXAMPLES),
        )),
        other => Ok(SettingValue::Expression(other)),
    }
}

fn expression(input: ParseStream<'_>) -> syn::Result<Expr> {
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

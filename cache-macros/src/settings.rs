//! The policies that an attribute gives one by one, each named like the method of the entry that it becomes.

use crate::attr::{assigned, expression, ungrouped};
use crate::duration;
use crate::errors::Errors;
use proc_macro2::{Ident, TokenStream};
use quote::{ToTokens, quote};
use std::time::Duration;
use syn::parse::ParseStream;
use syn::{Expr, ExprLit, Lit, LitBool, LitStr, Token};

/// The policies: the one place to add another.
const POLICIES: [(&str, Kind); 16] = [
    ("ttl", Kind::Duration),
    ("local_ttl", Kind::Duration),
    ("negative_ttl", Kind::Duration),
    ("stale_while_revalidate", Kind::Duration),
    ("stale_if_error", Kind::Duration),
    ("error_throttle", Kind::Duration),
    ("soft_timeout", Kind::Duration),
    ("load_timeout", Kind::Duration),
    ("refresh_ahead", Kind::Ahead),
    ("jitter", Kind::Expression),
    ("schema", Kind::Expression),
    ("max_value_bytes", Kind::Expression),
    ("local_only", Kind::Flag),
    ("remote_only", Kind::Flag),
    ("skip_read", Kind::Tiers),
    ("skip_write", Kind::Tiers),
];

/// How the value of a policy is written.
#[derive(Clone, Copy)]
enum Kind {
    /// `"5m"`, or an expression.
    Duration,
    /// An expression.
    Expression,
    /// Nothing, or `= true`, or `= false`.
    Flag,
    /// The same, or a number.
    Ahead,
    /// `"local"`, or several in brackets.
    Tiers,
}

/// One policy and its value.
pub(crate) struct Setting {
    pub(crate) name: Ident,
    pub(crate) value: SettingValue,
}

pub(crate) enum SettingValue {
    Duration(Duration),
    Expression(Expr),
    Flag(bool),
    Tiers(Vec<LitStr>),
}

/// The policy of this name and its value, if the name is that of one.
pub(crate) fn policy(input: ParseStream<'_>, name: &Ident) -> Option<syn::Result<Setting>> {
    let (_, kind) = POLICIES.iter().find(|(policy, _)| name == policy)?;
    let value = match kind {
        Kind::Duration => assigned(input, name, duration_value),
        Kind::Expression => assigned(input, name, |input| expression(input).map(SettingValue::Expression)),
        Kind::Tiers => assigned(input, name, tiers),
        Kind::Flag | Kind::Ahead if !input.peek(Token![=]) => Ok(SettingValue::Flag(true)),
        Kind::Flag => assigned(input, name, |input| flag(input).map(|flag| SettingValue::Flag(flag.value))),
        Kind::Ahead => assigned(input, name, ahead),
    };
    Some(value.map(|value| Setting { name: name.clone(), value }))
}

/// `true` or `false`
pub(crate) fn flag(input: ParseStream<'_>) -> syn::Result<LitBool> {
    input.parse().map_err(|error| syn::Error::new(error.span(), "this is `true` or `false`"))
}

fn ahead(input: ParseStream<'_>) -> syn::Result<SettingValue> {
    match expression(input)? {
        Expr::Lit(ExprLit { lit: Lit::Bool(flag), .. }) => Ok(SettingValue::Flag(flag.value)),
        Expr::Lit(ExprLit { lit: Lit::Int(number), .. }) if number.suffix().is_empty() => {
            let number = syn::LitFloat::new(&format!("{number}.0"), number.span());
            Ok(SettingValue::Expression(syn::parse_quote!(#number)))
        }
        other => Ok(SettingValue::Expression(other)),
    }
}

fn tiers(input: ParseStream<'_>) -> syn::Result<SettingValue> {
    let name = |expression: Expr| match ungrouped(expression) {
        Expr::Lit(ExprLit { lit: Lit::Str(name), .. }) => Ok(name),
        other => Err(syn::Error::new_spanned(
            other,
            "this is the name of a tier, or several in brackets: `\"local\"`, `[\"local\", \"redis\"]`",
        )),
    };
    match ungrouped(input.parse()?) {
        Expr::Array(array) => array.elems.into_iter().map(name).collect::<syn::Result<_>>().map(SettingValue::Tiers),
        other => Ok(SettingValue::Tiers(vec![name(other)?])),
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

impl Setting {
    /// The expression that gives the value, if one does.
    pub(crate) const fn expression(&self) -> Option<&Expr> {
        match &self.value {
            SettingValue::Expression(expression) => Some(expression),
            SettingValue::Duration(_) | SettingValue::Flag(_) | SettingValue::Tiers(_) => None,
        }
    }

    /// Whether it is set to mean that there is none.
    const fn is_off(&self) -> bool {
        match self.value {
            SettingValue::Duration(duration) => duration.is_zero(),
            SettingValue::Flag(flag) => !flag,
            SettingValue::Expression(_) | SettingValue::Tiers(_) => false,
        }
    }

    /// Whether it loads while the caller has its answer already.
    pub(crate) fn is_in_background(&self) -> bool {
        let background = ["stale_while_revalidate", "soft_timeout", "refresh_ahead"];
        !self.is_off() && background.iter().any(|name| self.name == name)
    }

    /// The calls that make it.
    fn calls(&self) -> TokenStream {
        let name = &self.name;
        match &self.value {
            SettingValue::Expression(expression) => quote!(.#name(#expression)),
            SettingValue::Duration(duration) => {
                let (seconds, nanoseconds) = (duration.as_secs(), duration.subsec_nanos());
                quote!(.#name(::core::time::Duration::new(#seconds, #nanoseconds)))
            }
            SettingValue::Flag(on) if name == "refresh_ahead" => {
                let beta = f64::from(u8::from(*on));
                quote!(.#name(#beta))
            }
            SettingValue::Flag(true) => quote!(.#name()),
            SettingValue::Flag(false) => TokenStream::new(),
            SettingValue::Tiers(tiers) => quote!(#(.#name(#tiers))*),
        }
    }
}

/// The calls that give an entry its policies.
pub(crate) fn policies(policy: Option<&Expr>, settings: &[Setting]) -> TokenStream {
    let policy = policy.iter().map(|policy| quote!(.policy(#policy))).collect::<TokenStream>();
    let settings = settings.iter().map(Setting::calls);
    quote!(#policy #(#settings)*)
}

/// The expressions that policies are given by, one after the other.
pub(crate) fn expressions(policy: Option<&Expr>, settings: &[Setting]) -> TokenStream {
    settings.iter().filter_map(Setting::expression).chain(policy).map(ToTokens::to_token_stream).collect()
}

/// Reports what contradicts itself already as it is written. What only shows at run time, such as in `policy = expr`, is for
/// the policy itself.
pub(crate) fn check(policy: Option<&Expr>, settings: &[Setting], errors: &mut Errors) {
    let set = |name: &str| settings.iter().find(|setting| setting.name == name && !setting.is_off());
    let duration = |name: &str| match set(name)?.value {
        SettingValue::Duration(duration) => Some(duration),
        _ => None,
    };
    if let (Some(local), Some(ttl)) = (duration("local_ttl"), duration("ttl"))
        && local > ttl
    {
        errors.on(named(settings, "local_ttl"), "`local_ttl` is longer than `ttl`: lower it, or raise `ttl`");
    }
    if let (Some(soft), Some(load)) = (duration("soft_timeout"), duration("load_timeout"))
        && soft >= load
    {
        errors.on(
            named(settings, "soft_timeout"),
            "`soft_timeout` is not shorter than `load_timeout`: lower it, or raise `load_timeout`",
        );
    }
    let windows = ["stale_while_revalidate", "stale_if_error"];
    if let Some(soft) = set("soft_timeout")
        && policy.is_none()
        && windows.iter().all(|name| set(name).is_none())
    {
        errors.on(
            &soft.name,
            "`soft_timeout` needs a stale value to serve: set `stale_if_error = \"..\"` or `stale_while_revalidate = \"..\"` as well",
        );
    }
    if let Some(throttle) = set("error_throttle")
        && policy.is_none()
        && windows.iter().chain(&["refresh_ahead"]).all(|name| set(name).is_none())
    {
        errors.on(
            &throttle.name,
            "`error_throttle` needs a value to serve where a load failed: set `stale_if_error = \"..\"` as well",
        );
    }
    if let (Some(throttle), Some(window)) = (duration("error_throttle"), duration("stale_if_error"))
        && throttle > window
        // An expression may give the other window any length.
        && set("stale_while_revalidate").is_none_or(|_| duration("stale_while_revalidate").is_some_and(|other| throttle > other))
    {
        errors.on(
            named(settings, "error_throttle"),
            "`error_throttle` is longer than `stale_if_error`, so the value would be gone before it is loaded again: lower it, or raise `stale_if_error`",
        );
    }
    if let (Some(_), Some(remote)) = (set("local_only"), set("remote_only")) {
        errors.on(&remote.name, "`local_only` and `remote_only` leave no tier: take one of them out");
    }
}

fn named(settings: &[Setting], name: &str) -> Option<Ident> {
    settings.iter().find(|setting| setting.name == name).map(|setting| setting.name.clone())
}

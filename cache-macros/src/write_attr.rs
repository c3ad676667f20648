//! The arguments of `#[cache_put(..)]` and `#[cache_invalidate(..)]`, as they are written.

use crate::attr::{self, Texts};
use crate::errors::Errors;
use crate::settings::{self, Setting, flag};
use proc_macro2::TokenStream;
use syn::parse::Parse;
use syn::{Expr, LitBool, LitStr, Path};

/// Which of the two attributes.
#[derive(Clone, Copy, PartialEq)]
pub(crate) enum Attribute {
    Put,
    Invalidate,
}

impl Attribute {
    pub(crate) const fn name(self) -> &'static str {
        match self {
            Self::Put => "cache_put",
            Self::Invalidate => "cache_invalidate",
        }
    }

    const fn arguments(self) -> &'static [&'static str] {
        match self {
            Self::Put => &[
                "key",
                "value",
                "when",
                "ttl",
                "local_ttl",
                "stale_while_revalidate",
                "stale_if_error",
                "refresh_ahead",
                "jitter",
                "schema",
                "tags",
                "max_value_bytes",
                "local_only",
                "remote_only",
                "skip_write",
                "policy",
                "cache",
                "crate",
            ],
            Self::Invalidate => &["key", "keys", "pattern", "tags", "when", "before", "around", "cache", "crate"],
        }
    }
}

/// The arguments of one attribute.
#[derive(Default)]
pub(crate) struct WriteArguments {
    pub(crate) key: Option<LitStr>,
    pub(crate) keys: Option<Texts>,
    pub(crate) pattern: Option<LitStr>,
    pub(crate) tags: Option<Texts>,
    pub(crate) value: Option<Expr>,
    pub(crate) when: Option<Expr>,
    pub(crate) before: Option<LitBool>,
    pub(crate) around: Option<LitBool>,
    pub(crate) settings: Vec<Setting>,
    pub(crate) policy: Option<Expr>,
    pub(crate) cache: Option<Expr>,
    pub(crate) crate_path: Option<Path>,
}

/// Reads the arguments, and reports every one that is wrong.
pub(crate) fn parse(attribute: Attribute, tokens: TokenStream, errors: &mut Errors) -> WriteArguments {
    let mut arguments = WriteArguments::default();
    attr::each(attribute.name(), attribute.arguments(), tokens, errors, &mut |name, input| {
        if let Some(setting) = settings::policy(input, name) {
            arguments.settings.push(setting?);
            return Ok(());
        }
        match name.to_string().as_str() {
            "key" => arguments.key = Some(attr::assigned(input, name, attr::text)?),
            "keys" => arguments.keys = Some(attr::assigned(input, name, attr::texts)?),
            "pattern" => arguments.pattern = Some(attr::assigned(input, name, attr::text)?),
            "tags" => arguments.tags = Some(attr::assigned(input, name, attr::texts)?),
            "value" => arguments.value = Some(attr::assigned(input, name, attr::closure)?),
            "when" => arguments.when = Some(attr::assigned(input, name, attr::expression)?),
            "before" => arguments.before = Some(attr::assigned(input, name, flag)?),
            "around" => arguments.around = Some(attr::assigned(input, name, flag)?),
            "policy" => arguments.policy = Some(attr::assigned(input, name, attr::expression)?),
            "cache" => arguments.cache = Some(attr::assigned(input, name, attr::expression)?),
            _ => arguments.crate_path = Some(attr::assigned(input, name, Path::parse)?),
        }
        Ok(())
    });
    check(attribute, &arguments, errors);
    settings::check(arguments.policy.as_ref(), &arguments.settings, errors);
    arguments
}

/// What does not go together, or is missing.
fn check(attribute: Attribute, arguments: &WriteArguments, errors: &mut Errors) {
    let WriteArguments { key, keys, pattern, tags, when, before, around, .. } = arguments;
    let here = proc_macro2::Span::call_site();
    match attribute {
        Attribute::Put if key.is_none() => {
            errors.at(here, "`#[cache_put]` needs the key to store at: `key = \"user:{id}\"`");
        }
        Attribute::Invalidate if key.is_none() && keys.is_none() && pattern.is_none() && tags.is_none() => {
            errors.at(here, "`#[cache_invalidate]` needs what to invalidate: `key = \"user:{id}\"`, `keys = [..]`, `pattern = \"user:*\"` or `tags = [..]`");
        }
        _ => {}
    }
    let over_result = when.as_ref().filter(|when| matches!(when, Expr::Closure(_)));
    if let (Attribute::Put, Some(when)) = (attribute, over_result) {
        errors.on(when, "`when` of `#[cache_put]` is an expression over the arguments: write it without `|..|`");
    }
    let [around, before] = [around, before].map(|flag| flag.as_ref().filter(|flag| flag.value));
    let Some(early) = around.or(before) else { return };
    if let Some(when) = over_result {
        errors.on(when, "what is decided before the function runs cannot depend on what it returned: write `when` over the arguments");
    }
    if around.is_some() && (pattern.is_some() || tags.is_some()) {
        errors.on(early, "`around` fences keys, not patterns or tags: give those an attribute of their own");
    }
    if let (Some(around), Some(_)) = (around, before) {
        errors.on(around, "`around` invalidates before and after the function: leave `before` out");
    }
}

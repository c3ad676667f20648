//! The annotated function. Its body stays a token group: it is never read, so it expands even where it does not
//! parse yet, which editors rely on.

use proc_macro2::{Group, TokenStream, TokenTree};
use quote::{ToTokens, TokenStreamExt};
use syn::parse::{Parse, ParseStream};
use syn::{Attribute, Signature, Visibility};

/// A function with attributes, visibility and body.
pub(crate) struct Function {
    pub(crate) attributes: Vec<Attribute>,
    pub(crate) visibility: Visibility,
    pub(crate) signature: Signature,
    pub(crate) body: Group,
}

impl Parse for Function {
    fn parse(input: ParseStream<'_>) -> syn::Result<Self> {
        let attributes = input.call(Attribute::parse_outer)?;
        let visibility = input.parse()?;
        if !is_function(input) {
            return Err(input.error("this attribute goes on an async function"));
        }
        let signature = input.parse::<Signature>()?;
        match input.parse::<TokenTree>() {
            Ok(TokenTree::Group(body)) => Ok(Self { attributes, visibility, signature, body }),
            _ => Err(syn::Error::new_spanned(&signature, "this attribute goes on a function with a body")),
        }
    }
}

/// Whether the tokens hold `fn` outside of any group.
fn is_function(input: ParseStream<'_>) -> bool {
    let rest = input.fork();
    std::iter::from_fn(|| rest.parse::<TokenTree>().ok())
        .any(|token| matches!(token, TokenTree::Ident(keyword) if keyword == "fn"))
}

impl ToTokens for Function {
    fn to_tokens(&self, tokens: &mut TokenStream) {
        tokens.append_all(&self.attributes);
        self.visibility.to_tokens(tokens);
        self.signature.to_tokens(tokens);
        self.body.to_tokens(tokens);
    }
}

/// What an attribute of the function is about, which decides where it goes. `#[cfg]` is none of these: the compiler has dealt with it
/// before it asks for the expansion.
pub(crate) enum AttributeKind {
    /// Documentation, `#[must_use]`, `#[deprecated]`: for the callers.
    Callers,
    /// `#[allow]` and the like: for every piece that holds the user's tokens.
    Lints,
    /// `#[expect]`, which may be met only once, where the body is.
    Expectation,
    /// All others, such as `#[tracing::instrument]`: for the body that they annotate.
    Body,
}

pub(crate) fn kind(attribute: &Attribute) -> AttributeKind {
    let Some(name) = attribute.path().get_ident() else {
        return AttributeKind::Body;
    };
    match name.to_string().as_str() {
        "doc" | "must_use" | "deprecated" => AttributeKind::Callers,
        "allow" | "warn" | "deny" | "forbid" => AttributeKind::Lints,
        "expect" => AttributeKind::Expectation,
        _ => AttributeKind::Body,
    }
}

/// Attributes of functions that the compiler knows, which generate no code.
const BUILT_IN: [&str; 7] = ["cold", "coverage", "inline", "no_mangle", "optimize", "target_feature", "track_caller"];

/// The tools that attributes may be for: `#[rustfmt::skip]`.
const TOOLS: [&str; 5] = ["clippy", "diagnostic", "miri", "rust_analyzer", "rustfmt"];

/// Whether an attribute is a macro, which rewrites the function that it stands on.
pub(crate) fn is_macro(attribute: &Attribute) -> bool {
    let is_known = match (attribute.path().get_ident(), attribute.path().segments.first()) {
        (Some(name), _) => BUILT_IN.iter().any(|known| name == known),
        (None, Some(first)) => TOOLS.iter().any(|tool| first.ident == tool),
        (None, None) => false,
    };
    matches!(kind(attribute), AttributeKind::Body) && !is_known
}

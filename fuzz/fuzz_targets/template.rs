//! Key templates of `#[cached]`, from the sources of the macros: a crate of macros exports nothing else.
#![no_main]
#![allow(dead_code, reason = "only the reader of templates is used")]

#[path = "../../cache-macros/src/errors.rs"]
mod errors;
#[path = "../../cache-macros/src/template.rs"]
mod template;
#[path = "../../cache-macros/src/tokens.rs"]
mod tokens;

libfuzzer_sys::fuzz_target!(|text: &str| {
    let literal = syn::LitStr::new(text, proc_macro2::Span::call_site());
    let _ = template::parse(&literal, &mut errors::Errors::default());
});

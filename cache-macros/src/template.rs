//! Key templates: `"user:{id}:{name.len()}"`.

use crate::errors::Errors;
use crate::tokens;
use proc_macro2::{Ident, Span};
use syn::{Expr, ExprField, ExprMethodCall, LitStr};

/// A template, cut into its pieces.
pub(crate) struct Template {
    pub(crate) pieces: Vec<Piece>,
}

impl Template {
    /// Whether a placeholder reads the variable.
    pub(crate) fn reads(&self, name: &Ident) -> bool {
        self.pieces.iter().any(|piece| match piece {
            Piece::Placeholder(placeholder) => tokens::read(&placeholder.expression, name),
            Piece::Literal(_) => false,
        })
    }
}

pub(crate) enum Piece {
    Literal(String),
    Placeholder(Box<Placeholder>),
}

/// An argument, or something that it gives.
pub(crate) struct Placeholder {
    pub(crate) expression: Expr,
    /// The name that the expression begins with.
    pub(crate) root: Ident,
    pub(crate) subject: Subject,
    /// What follows the colon: `08x`.
    pub(crate) format: Option<String>,
    /// Whether only a hash of it is written: `{token:hash}`.
    pub(crate) hashed: bool,
    /// What is escaped in it beyond the reserved characters, because it ends it.
    pub(crate) separator: Option<char>,
    pub(crate) span: Span,
}

/// What the name that a placeholder begins with stands for.
#[derive(Clone, Copy, PartialEq)]
pub(crate) enum Subject {
    /// An argument, or `self`.
    Argument,
    /// A constant parameter, which has a value as an argument has.
    Constant,
    /// A type, whose name is written.
    Type,
}

/// Characters that are escaped in every placeholder, so that none of its text can hold one. `%` is escaped as well, but
/// begins an escape, and so separates nothing.
const RESERVED: [char; 8] = [':', '*', '?', '[', ']', '{', '}', '\\'];

/// Reads the template; `None` if it has a mistake.
pub(crate) fn parse(literal: &LitStr, errors: &mut Errors) -> Option<Template> {
    match cut(literal) {
        Ok(mut pieces) => separate(&mut pieces, literal, errors).then_some(Template { pieces }),
        Err(error) => {
            errors.push(error);
            None
        }
    }
}

fn cut(literal: &LitStr) -> syn::Result<Vec<Piece>> {
    let text = literal.value();
    let fail = |message: String| Err(syn::Error::new_spanned(literal, message));
    if text.is_empty() {
        return fail("an empty key or tag: write for example `\"user:{id}\"`".to_owned());
    }
    if let Some(control) = text.chars().find(|c| c.is_control()) {
        return fail(format!("keys and tags hold no control characters, but this one has {control:?}"));
    }
    let mut pieces = Vec::new();
    let mut plain = String::new();
    let mut rest = text.as_str();
    while let Some(at) = rest.find(['{', '}']) {
        let (before, from) = rest.split_at(at);
        plain.push_str(before);
        let brace = &from[..1];
        if from[1..].starts_with(brace) {
            plain.push_str(brace);
            rest = &from[2..];
        } else if brace == "}" {
            return fail("a `}` without its `{`: write `}}` for the character itself".to_owned());
        } else {
            let Some(length) = closing(&from[1..]) else {
                return fail("a `{` without its `}`: write `{{` for the character itself".to_owned());
            };
            push_literal(&mut pieces, &mut plain);
            pieces.push(Piece::Placeholder(Box::new(placeholder(&from[1..1 + length], literal)?)));
            rest = &from[length + 2..];
        }
    }
    plain.push_str(rest);
    push_literal(&mut pieces, &mut plain);
    Ok(pieces)
}

fn push_literal(pieces: &mut Vec<Piece>, plain: &mut String) {
    if !plain.is_empty() {
        pieces.push(Piece::Literal(std::mem::take(plain)));
    }
}

/// Where the brace that was opened before `text` closes.
fn closing(text: &str) -> Option<usize> {
    let mut depth = 0_usize;
    for (at, character) in text.char_indices() {
        match character {
            '{' => depth += 1,
            '}' if depth == 0 => return Some(at),
            '}' => depth -= 1,
            _ => {}
        }
    }
    None
}

fn placeholder(text: &str, literal: &LitStr) -> syn::Result<Placeholder> {
    let fail = |message: String| Err(syn::Error::new_spanned(literal, message));
    let (source, format) = split_format(text);
    if source.trim().is_empty() {
        return fail(format!("`{{{text}}}` names no argument: write for example `{{id}}`"));
    }
    let hashed = format.is_some_and(|format| format.trim() == "hash");
    let Ok(expression) = LitStr::new(source, literal.span()).parse::<Expr>() else {
        return fail(format!("`{{{text}}}` is no expression"));
    };
    match root(&expression) {
        Some(root) => Ok(Placeholder {
            root,
            subject: Subject::Argument,
            expression,
            format: format.filter(|_| !hashed).map(str::to_owned),
            hashed,
            separator: None,
            span: literal.span(),
        }),
        None => fail(format!(
            "`{{{text}}}` is more than a placeholder may be: an argument, a field or a method call of one, such as `{{id}}`, `{{user.id}}` or `{{name.len()}}`"
        )),
    }
}

/// The expression, and the format behind the first colon outside of parentheses that is not half of `::`.
fn split_format(text: &str) -> (&str, Option<&str>) {
    let bytes = text.as_bytes();
    let mut depth = 0_usize;
    let mut at = 0;
    while at < bytes.len() {
        match bytes[at] {
            b'(' | b'[' | b'{' | b'<' => depth += 1,
            b')' | b']' | b'}' | b'>' => depth = depth.saturating_sub(1),
            b':' if bytes.get(at + 1) == Some(&b':') => at += 1,
            b':' if depth == 0 => return (&text[..at], Some(&text[at + 1..])),
            _ => {}
        }
        at += 1;
    }
    (text, None)
}

/// The identifier that fields and methods are taken of.
fn root(expression: &Expr) -> Option<Ident> {
    match expression {
        Expr::Path(path) => path.path.get_ident().cloned(),
        Expr::Field(ExprField { base, .. }) => root(base),
        Expr::MethodCall(ExprMethodCall { receiver, .. }) => root(receiver),
        _ => None,
    }
}

/// Notes what ends each placeholder, so that every argument list has its own key; or reports what keeps that from being
/// so.
///
/// What ends it is the first character of the text behind it that is reserved or other punctuation (letters and digits
/// are what escapes are made of). It is escaped in the placeholder, and nothing before it in that text is the same
/// character: so the first one behind the beginning of the placeholder is this one, which says where the placeholder
/// ends. The first placeholder begins where the text before it ends, each other one where the text behind its
/// predecessor does, and the last one may go on to the end of the key. So a key gives back what each placeholder has
/// written.
///
/// That depends on nothing but the text behind the placeholder: where two templates, or a key and a pattern, agree on
/// it, they write a value alike. Therefore it holds of the text behind the last placeholder as well.
fn separate(pieces: &mut [Piece], literal: &LitStr, errors: &mut Errors) -> bool {
    let mut rest = pieces;
    while let Some((piece, behind)) = rest.split_first_mut() {
        if let Piece::Placeholder(placeholder) = piece {
            match behind {
                [] => {}
                [Piece::Placeholder(_), ..] => {
                    errors.on(literal, "two placeholders with nothing between them could share a key (`1` and `23`, `12` and `3`): put a `:` between them");
                    return false;
                }
                [Piece::Literal(text), others @ ..] => match separator(text) {
                    Separator::Reserved => {}
                    Separator::Other(character) => placeholder.separator = Some(character),
                    Separator::None if others.is_empty() => {}
                    Separator::None => {
                        errors.on(literal, format!("`{text}` can be a part of the arguments beside it, so that two argument lists could share a key: put a `:` between them"));
                        return false;
                    }
                },
            }
        }
        rest = behind;
    }
    true
}

enum Separator {
    Reserved,
    Other(char),
    None,
}

fn separator(text: &str) -> Separator {
    let ends = |c: &char| RESERVED.contains(c) || (c.is_ascii() && *c != '%' && !c.is_ascii_alphanumeric());
    match text.chars().find(ends) {
        Some(character) if RESERVED.contains(&character) => Separator::Reserved,
        Some(character) => Separator::Other(character),
        None => Separator::None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str) -> Result<Template, Vec<String>> {
        let mut errors = Errors::default();
        parse(&LitStr::new(text, Span::call_site()), &mut errors).ok_or_else(|| errors.messages())
    }

    fn shape(text: &str) -> String {
        let template = read(text).unwrap_or_else(|errors| panic!("{text}: {errors:?}"));
        let pieces: Vec<String> = template
            .pieces
            .iter()
            .map(|piece| match piece {
                Piece::Literal(literal) => format!("{literal:?}"),
                Piece::Placeholder(placeholder) => {
                    let separator = placeholder.separator.map(|character| format!("+{character}")).unwrap_or_default();
                    format!("{}/{:?}{separator}", placeholder.root, placeholder.format)
                }
            })
            .collect();
        pieces.join(" ")
    }

    #[test]
    fn is_cut_into_pieces() {
        assert_eq!(shape("user:{id}"), r#""user:" id/None"#);
        assert_eq!(shape("{user.id}:{name.len()}:x"), r#"user/None ":" name/None ":x""#);
        assert_eq!(shape("{{{id:08x}}}"), r#""{" id/Some("08x") "}""#);
        assert_eq!(shape("{a.get::<u8>(b::C)}"), "a/None");
    }

    #[test]
    fn what_ends_a_placeholder_is_escaped_in_it() {
        assert_eq!(shape("{a}-{b}/{c}:{d}"), r#"a/None+- "-" b/None+/ "/" c/None ":" d/None"#);
        assert_eq!(shape("{a}1-2/{b}"), r#"a/None+- "1-2/" b/None"#);
        assert_eq!(shape("{a}-:{b}:-{c}"), r#"a/None+- "-:" b/None ":-" c/None"#);
        assert_eq!(shape("{a}%é-{b}-v1"), r#"a/None+- "%é-" b/None+- "-v1""#);
        assert_eq!(shape("{a}-*"), r#"a/None+- "-*""#);
        assert_eq!(shape("{a}2"), r#"a/None "2""#);
    }

    /// Templates that agree on the text behind a placeholder agree on what it escapes, whatever else they hold.
    #[test]
    fn what_a_placeholder_escapes_depends_on_the_text_behind_it() {
        let separator = |text: &str, at: usize| match read(text).map(|mut template| template.pieces.swap_remove(at)) {
            Ok(Piece::Placeholder(placeholder)) => placeholder.separator,
            _ => panic!("{text} has no placeholder at {at}"),
        };
        for behind in ["-", "/", "_", ".", " ", ":", "a-", "-:", "9:_", "é/"] {
            let alone = separator(&format!("{{a}}{behind}*"), 0);
            for other in ["-", "/", ":", "_x", "y."] {
                assert_eq!(
                    separator(&format!("{{z}}{other}{{a}}{behind}{{b}}{other}{{c}}"), 2),
                    alone,
                    "{behind} {other}"
                );
            }
        }
    }

    #[test]
    fn refuses_what_could_share_a_key() {
        for text in ["{a}{b}", "{a}2{b}", "{a}and{b}", "{a}%{b}", "{a}é{b}"] {
            let errors = read(text).err().unwrap_or_default();
            assert!(errors.len() == 1 && errors[0].contains("put a `:` between them"), "{text}: {errors:?}");
        }
    }

    #[test]
    fn refuses_what_it_cannot_read() {
        for (text, message) in [
            ("", "an empty key"),
            ("a\n", "control characters"),
            ("{id", "without its `}`"),
            ("id}", "without its `{`"),
            ("{}", "names no argument"),
            ("{id +}", "no expression"),
            ("{id + 1}", "more than a placeholder may be"),
            ("{std::process::id()}", "more than a placeholder may be"),
        ] {
            let errors = read(text).err().unwrap_or_default();
            assert!(errors.len() == 1 && errors[0].contains(message), "{text}: {errors:?}");
        }
    }

    /// Every text of up to four of what templates are made of; fuzz/ goes further.
    #[test]
    fn no_text_panics() {
        const PARTS: [&str; 14] = ["{", "}", ":", "::", "<", ">", "(", ")", "a", ".", "\"", "'", "é", "%"];
        for text in 0..PARTS.len().pow(4) {
            let parts = (0..4).map(|at| PARTS[text / PARTS.len().pow(at) % PARTS.len()]);
            for text in [parts.clone().collect::<String>(), format!("{{a{}}}", parts.collect::<String>())] {
                parse(&LitStr::new(&text, Span::call_site()), &mut Errors::default());
            }
        }
    }
}

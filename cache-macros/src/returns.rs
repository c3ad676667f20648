//! What a function stores, read from how its return type is written.
//!
//! The expansion recognises `Option`, `Result` and `Arc` by type. Only the signatures of `get` and `put` need the stored
//! type by name, before types are known; where an alias hides it, they speak the function's own return type instead.

use syn::{GenericArgument, PathArguments, Type};

/// `T` for `T`, `Option<T>`, `Result<T, E>`, `Result<Option<T>, E>`, and for each with `Arc<T>`.
pub(crate) fn stored(returned: &Type) -> &Type {
    let fallible = first_argument(returned, |name| name.ends_with("Result")).unwrap_or(returned);
    let present = first_argument(fallible, |name| name == "Option").unwrap_or(fallible);
    first_argument(present, |name| name == "Arc").unwrap_or(present)
}

/// The first type argument of a path whose last name is one of those meant.
fn first_argument(ty: &Type, meant: fn(&str) -> bool) -> Option<&Type> {
    match ty {
        Type::Group(group) => first_argument(&group.elem, meant),
        Type::Paren(paren) => first_argument(&paren.elem, meant),
        Type::Path(path) => {
            let last = path.path.segments.last()?;
            let PathArguments::AngleBracketed(arguments) = &last.arguments else { return None };
            arguments.args.iter().filter(|_| meant(&last.ident.to_string())).find_map(|argument| match argument {
                GenericArgument::Type(ty) => Some(ty),
                _ => None,
            })
        }
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use quote::ToTokens;

    #[test]
    fn the_value_is_what_is_stored() {
        for (returned, expected) in [
            ("User", "User"),
            ("Vec<User>", "Vec < User >"),
            ("Option<User>", "User"),
            ("Result<User, E>", "User"),
            ("anyhow::Result<Option<Arc<User>>>", "User"),
            ("DbResult<User>", "User"),
            ("Arc<User>", "User"),
            ("Option<Option<User>>", "Option < User >"),
            ("UserResult", "UserResult"),
        ] {
            let ty: Type = syn::parse_str(returned).expect(returned);
            assert_eq!(stored(&ty).to_token_stream().to_string(), expected, "{returned}");
        }
    }
}

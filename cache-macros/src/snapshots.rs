//! What the main shapes expand to, in full: `UPDATE_EXPECT=1` writes the files of `tests/snapshots` anew.

use crate::write_attr::Attribute;
use crate::{expand, writes};
use expect_test::{ExpectFile, expect_file};
use proc_macro2::TokenStream;
use quote::quote;

fn check(expansion: TokenStream, expected: ExpectFile) {
    let file = syn::parse2(expansion).expect("an expansion parses");
    expected.assert_eq(&prettyplease::unparse(&file));
}

/// An expansion that stands in an `impl` block.
fn check_method(expansion: TokenStream, expected: ExpectFile) {
    check(quote!(impl Users { #expansion }), expected);
}

#[test]
fn a_function_that_owns_its_arguments() {
    let function = quote! {
        /// Finds a user.
        #[tracing::instrument]
        pub async fn find_user(id: u64, org: String) -> Result<User, DbError> {
            query(id, &org).await
        }
    };
    let arguments = quote!(key = "user:{org}:{id}", ttl = "5m", tags = ["org:{org}"], refresh_ahead, when = id > 0);
    check(expand::cached(arguments, function), expect_file!["../tests/snapshots/owned.rs"]);
}

#[test]
fn a_function_that_borrows_with_a_default_key() {
    let function = quote! {
        async fn find_user<T: CacheKey>(db: &Db, id: &T) -> Option<Arc<User>> {
            db.find(id).await
        }
    };
    let arguments = quote!(skip(db), negative_ttl = "30s", unless = |user| user.is_guest());
    check(expand::cached(arguments, function), expect_file!["../tests/snapshots/borrowed.rs"]);
}

#[test]
fn a_method() {
    let function = quote! {
        pub(crate) async fn find(&self, Path(id): Path<u64>) -> User {
            self.db.find(id).await
        }
    };
    let arguments = quote!(key = "user:{self.tenant}:{id}", cache = self.cache);
    check_method(expand::cached(arguments, function), expect_file!["../tests/snapshots/method.rs"]);
}

#[test]
fn a_function_of_a_traits_implementation() {
    let function = quote! {
        async fn find(&self, id: u64) -> Result<User, DbError> {
            self.db.find(id).await
        }
    };
    let arguments = quote!(key = "user:{id}", companions = none);
    check_method(expand::cached(arguments, function), expect_file!["../tests/snapshots/contained.rs"]);
}

#[test]
fn a_function_with_a_mistake_stays_and_so_do_its_companions() {
    let function = quote! {
        async fn find_user(id: u64) -> User {
            query(id).await
        }
    };
    let arguments = quote!(key = "user:{di}", tll = "5m");
    check(expand::cached(arguments, function), expect_file!["../tests/snapshots/mistaken.rs"]);
}

#[test]
fn a_function_that_puts() {
    let function = quote! {
        async fn save_user(user: User) -> Result<User, DbError> {
            store(user).await
        }
    };
    let arguments = quote!(key = "user:{user.id}", ttl = "5m");
    check(writes::expand(Attribute::Put, arguments, function), expect_file!["../tests/snapshots/put.rs"]);
}

#[test]
fn a_function_that_invalidates() {
    let function = quote! {
        async fn save_user(user: &User) -> Result<(), DbError> {
            store(user).await
        }
    };
    let arguments = quote!(key = "user:{user.id}", pattern = "list:{user.org}:*", around = false);
    check(writes::expand(Attribute::Invalidate, arguments, function), expect_file!["../tests/snapshots/invalidate.rs"]);
}

/// Editors expand while the user types: a body is passed on as it is.
#[test]
fn a_body_that_does_not_parse_yet_expands() {
    for body in ["let user = id.", "match id { 1 =>", "query(id", "return find(", "let ="] {
        // An open group is closed by the editor, as it is by its parser.
        let closing: String = body
            .chars()
            .rev()
            .filter_map(|open| match open {
                '{' => Some('}'),
                '(' => Some(')'),
                _ => None,
            })
            .collect();
        let function = format!("async fn find_user(id: u64) -> User {{ {body}{closing} }}");
        let function: TokenStream = function.parse().expect(body);
        let body: TokenStream = format!("{body}{closing}").parse().expect(body);
        let [cached, put, invalidate] = [
            expand::cached(quote!(key = "user:{id}"), function.clone()),
            writes::expand(Attribute::Put, quote!(key = "user:{id}"), function.clone()),
            writes::expand(Attribute::Invalidate, quote!(key = "user:{id}"), function),
        ]
        .map(|expansion| expansion.to_string());
        for expansion in [cached, put, invalidate] {
            assert!(expansion.contains(&body.to_string()), "{body}: {expansion}");
            assert!(!expansion.contains("compile_error"), "{body}: {expansion}");
        }
    }
}

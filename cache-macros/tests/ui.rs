//! What `#[cached]` says of mistakes, and shapes of functions that compile.

#[test]
fn mistakes_are_explained() {
    trybuild::TestCases::new().compile_fail("tests/ui/fail/*.rs");
}

#[test]
fn shapes_compile() {
    trybuild::TestCases::new().pass("tests/ui/pass/*.rs");
}

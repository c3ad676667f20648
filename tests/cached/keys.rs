//! Which arguments share a key: none.

use super::*;
use cache_aside::cache_invalidate;
use proptest::prelude::*;

#[cached(key = "search:{tenant}:{query}/{page}-{size}")]
async fn search(tenant: &str, query: &str, page: i32, size: i32) -> u8 {
    unimplemented!("{tenant} {query} {page} {size}: only its keys are used")
}

#[cached]
async fn search_by_default(tenant: &str, words: Vec<String>, page: Option<i32>) -> u8 {
    unimplemented!("{tenant} {words:?} {page:?}: only its keys are used")
}

struct Account {
    id: u64,
    name: String,
}

#[cached(key = "{{a}}:{account.id:04x}:{account.name.len()}:{account.name.get(..1):?}:{T}")]
#[expect(clippy::extra_unused_type_parameters, reason = "the key names it")]
async fn formatted<T: Send>(account: &Account) -> Option<String> {
    unimplemented!("{}: only its keys are used", account.name)
}

#[test]
fn placeholders_are_arguments_fields_method_calls_and_types() {
    let account = Account { id: 255, name: "ab".to_owned() };
    assert_eq!(formatted::key::<u8>(&account), "{a}:00ff:2:Some(\"a\"):u8");
    assert_ne!(formatted::key::<u8>(&account), formatted::key::<u16>(&account));
}

#[test]
fn reserved_characters_and_what_ends_a_placeholder_are_escaped() {
    assert_eq!(search::key("a:b", "c*[d]/e", -1, 2), "search:a%3Ab:c%2A%5Bd%5D%2Fe/%2D1-2");
    assert_eq!(search::key("", "", 0, 0), "search::/0-0");
    assert_eq!(search::key("acme-eu", "a-b", 1, -2), "search:acme-eu:a-b/1--2");
    assert_eq!(separated::key("a-_", "a-_ ", "a ", "a_-", "a-v"), "a%2D_-:a-_ :a%20 1-a%5F-2_a%2Dv-v1");
}

#[cached(key = "search:{tenant}:{words:?}/{page:02}")]
async fn other_search(tenant: &str, words: &[&str], page: u8) -> u8 {
    unimplemented!("{tenant} {words:?} {page}: only its keys are used")
}

#[cached(key = "{a}-:{b}:{c} 1-{d}2_{e}-v1")]
async fn separated(a: &str, b: &str, c: &str, d: &str, e: &str) -> u8 {
    unimplemented!("{a} {b} {c} {d} {e}: only its keys are used")
}

#[cache_invalidate(pattern = "search:{tenant}:*")]
async fn forget_tenant(tenant: &str) -> usize {
    tenant.len()
}

#[cache_invalidate(pattern = "search:{tenant}:{query}/*")]
async fn forget_query(tenant: &str, query: &str) -> usize {
    tenant.len() + query.len()
}

#[cache_invalidate(pattern = "{a}-*")]
async fn forget_first(a: &str) -> usize {
    a.len()
}

#[cache_invalidate(pattern = "{a}-:{b}:{c} 1-{d}2_*")]
async fn forget_first_four(a: &str, b: &str, c: &str, d: &str) -> usize {
    a.len() + b.len() + c.len() + d.len()
}

#[tokio::test]
async fn a_pattern_writes_a_value_as_the_key_does() {
    scoped(async {
        search::put("acme-eu", "a/b", 1, 2, 3).await;
        search::put("acme", "a/b", 1, 2, 4).await;
        assert_eq!(search::get("acme-eu", "a/b", 1, 2).await.as_deref(), Some(&3));
        forget_tenant("acme-eu").await;
        assert_eq!(search::get("acme-eu", "a/b", 1, 2).await, None);
        forget_query("acme", "a").await;
        assert_eq!(search::get("acme", "a/b", 1, 2).await.as_deref(), Some(&4), "no argument widens a pattern");
        forget_query("acme", "a/b").await;
        assert_eq!(search::get("acme", "a/b", 1, 2).await, None);
    })
    .await;
}

#[test]
fn a_default_key_names_crate_module_function_and_arguments() {
    assert_eq!(
        search_by_default::key("t", vec!["a".to_owned()], None),
        "cached::keys::search_by_default(t:%la%i%z:%n)"
    );
}

#[test]
fn functions_of_one_name_have_their_own_default_keys() {
    let first = {
        #[cached]
        async fn same(id: u64) -> u64 {
            id
        }
        drop(same(1));
        same::key(1)
    };
    fn second() -> String {
        #[cached]
        async fn same(id: u64) -> u64 {
            id
        }
        drop(same(1));
        same::key(1)
    }
    assert_ne!(first, second());
}

#[test]
fn a_type_can_bring_its_own_key() {
    struct Page {
        number: u32,
        size: Option<u32>,
    }
    impl CacheKey for Page {
        fn write_key(&self, key: &mut KeyWriter<'_>) {
            (self.number, self.size).write_key(key);
        }
    }
    #[cached]
    async fn list(page: Page) -> u32 {
        page.number
    }
    #[cached(key = "list:{page}:{tags}")]
    async fn list_by_key(page: Page, tags: &[&str]) -> usize {
        page.number as usize + tags.len()
    }
    drop((list(Page { number: 1, size: None }), list_by_key(Page { number: 1, size: None }, &[])));
    assert!(list::key(Page { number: 1, size: Some(2) }).ends_with("list(%l1%i%s2%i%z)"));
    assert_eq!(list_by_key::key(Page { number: 1, size: None }, &["a", "b"]), "list:%l1%i%n%i%z:%la%ib%i%z");
}

#[tokio::test]
async fn long_keys_are_cached_as_well() {
    #[cached(key = "long:{name}", skip(source))]
    async fn find(source: &Source, name: &str) -> User {
        source.find(name.len() as u64)
    }
    let source = Source::default();
    scoped(async {
        for length in [100, 122, 123, 124, 900] {
            let name = "é".repeat(length / 2) + &"x".repeat(length % 2);
            assert_eq!(find::key(&name), format!("long:{name}"));
            let (first, second) = (find(&source, &name).await, find(&source, &name).await);
            assert_eq!(first, second);
        }
    })
    .await;
    assert_eq!(source.runs(), 5);
}

fn awkward() -> impl Strategy<Value = String> {
    const PARTS: [&str; 20] =
        ["", ":", "*", "?", "[a]", "{", "}", "\\", "%", "%3A", "3A", "/", "-", "_", " ", "%n", "%i", "a", "é", "\n"];
    prop::collection::vec(prop::sample::select(&PARTS[..]), 0..4).prop_map(|parts| parts.concat())
}

fn searches() -> impl Strategy<Value = (String, String, i32, i32)> {
    (awkward(), awkward(), -2..3, -2..3)
}

type Separated = [String; 5];

/// What the text of the template between its placeholders is made of, too.
fn separated_arguments() -> impl Strategy<Value = Separated> {
    let part = prop::sample::select(vec!["", "-", "_", " ", ":", "1", "2", "-:", "2_", " 1-", "-v1", "%2D", "a"]);
    prop::array::uniform5(prop::collection::vec(part, 0..3).prop_map(|parts| parts.concat()))
}

fn separated_key([a, b, c, d, e]: &Separated) -> String {
    separated::key(a, b, c, d, e)
}

fn default_searches() -> impl Strategy<Value = (String, Vec<String>, Option<i32>)> {
    (awkward(), prop::collection::vec(awkward(), 0..3), prop::option::of(-2..3))
}

#[cached(key = "mixed:{T}:{id:08x}-{token:hash}:{name}/{page:?}:{N}")]
#[expect(clippy::extra_unused_type_parameters, reason = "the key names it")]
async fn mixed<T: Send, const N: usize>(id: u32, token: &str, name: &str, page: Option<i8>) -> u8 {
    unimplemented!("{id} {token} {name} {page:?}: only its keys are used")
}

#[cached]
async fn generic_by_default<T: CacheKey + Send + Sync>(value: T, name: &str) -> u8 {
    unimplemented!("{name}, {}: only its keys are used", size_of_val(&value))
}

/// What has a type of its own in its keys.
struct Shelf<T>(std::marker::PhantomData<fn() -> T>);

impl<T> Shelf<T> {
    #[cached(key = "shelf:{Self}:{name}:{id:x}", companions = associated)]
    async fn book(name: &str, id: u16) -> u8 {
        unimplemented!("{name} {id}: only its keys are used")
    }

    #[cached(companions = associated)]
    async fn book_by_default(name: &str, id: u16) -> u8 {
        unimplemented!("{name} {id}: only its keys are used")
    }
}

/// Which type, and the arguments.
type Typed = (u8, String, u16);

fn typed() -> impl Strategy<Value = Typed> {
    (0..3_u8, awkward(), 0..3_u16)
}

type Mixed = (u8, u32, String, String, Option<i8>);

fn mixed_arguments() -> impl Strategy<Value = Mixed> {
    let id = prop::sample::select(vec![0, 1, 0x10, 0x1000_0000, u32::MAX]);
    (0..4_u8, id, awkward(), awkward(), prop::option::of(-1..2_i8))
}

fn is_no_pattern(key: &str) -> bool {
    !key.contains(['*', '?', '[', ']', '{', '}', '\\']) && !key.chars().any(char::is_control)
}

proptest! {
    #[test]
    fn formatted_hashed_and_generic_placeholders_never_share_a_key(a in mixed_arguments(), b in mixed_arguments()) {
        let key = |(kind, id, token, name, page): &Mixed| match kind {
            0 => mixed::key::<u8, 1>(*id, token, name, *page),
            1 => mixed::key::<u16, 1>(*id, token, name, *page),
            2 => mixed::key::<Vec<u8>, 1>(*id, token, name, *page),
            _ => mixed::key::<u8, 11>(*id, token, name, *page),
        };
        prop_assert_eq!(a == b, key(&a) == key(&b), "{} {}", key(&a), key(&b));
        prop_assert!(is_no_pattern(&key(&a)), "{}", key(&a));
        prop_assert_eq!(key(&a).matches(':').count(), 4);
    }

    #[test]
    fn types_and_self_are_a_part_of_the_key(a in typed(), b in typed()) {
        let by_type = |(kind, name, id): &Typed| match kind {
            0 => generic_by_default::key(*id, name),
            1 => generic_by_default::key(u32::from(*id), name),
            _ => generic_by_default::key(id.to_string(), name),
        };
        prop_assert_eq!(a == b, by_type(&a) == by_type(&b));
        let by_self = |(kind, name, id): &Typed| match kind {
            0 => Shelf::<u8>::book_key(name, *id),
            1 => Shelf::<Shelf<u8>>::book_key(name, *id),
            _ => Shelf::<(u8, &str)>::book_key(name, *id),
        };
        prop_assert_eq!(a == b, by_self(&a) == by_self(&b));
        let by_default = |(kind, name, id): &Typed| match kind {
            0 => Shelf::<u8>::book_by_default_key(name, *id),
            1 => Shelf::<Shelf<u8>>::book_by_default_key(name, *id),
            _ => Shelf::<(u8, &str)>::book_by_default_key(name, *id),
        };
        prop_assert_eq!(a == b, by_default(&a) == by_default(&b));
        for key in [by_type(&a), by_self(&a), by_default(&a)] {
            prop_assert!(is_no_pattern(&key), "{}", key);
        }
    }

    #[test]
    fn different_arguments_never_share_a_key(a in searches(), b in searches()) {
        let key = |(tenant, query, page, size): &(String, String, i32, i32)| search::key(tenant, query, *page, *size);
        prop_assert_eq!(a == b, key(&a) == key(&b));
    }

    #[test]
    fn mixed_separators_never_let_two_arguments_share_a_key(a in separated_arguments(), b in separated_arguments()) {
        prop_assert_eq!(a == b, separated_key(&a) == separated_key(&b), "{}", separated_key(&a));
    }

    /// What one placeholder has more at its end than another argument list, the next one has more at its beginning.
    #[test]
    fn what_moves_from_one_argument_to_the_next_changes_the_key(
        a in separated_arguments(), at in 0..4_usize, moved in separated_arguments(),
    ) {
        let (mut left, mut right) = (a.clone(), a);
        left[at].push_str(&moved[0]);
        right[at + 1].insert_str(0, &moved[0]);
        prop_assert_eq!(left == right, separated_key(&left) == separated_key(&right), "{}", separated_key(&left));
    }

    #[test]
    fn templates_that_agree_on_what_is_around_a_placeholder_write_it_alike(a in searches(), page in 0..3_u8) {
        let (by_query, by_words) = (search::key(&a.0, &a.1, a.2, a.3), other_search::key(&a.0, &[], page));
        let tenant = |key: &str| key.split(':').nth(1).map(str::to_owned);
        prop_assert_eq!(tenant(&by_query), tenant(&by_words));
    }

    #[test]
    fn a_pattern_matches_the_keys_of_its_values_and_no_others(a in separated_arguments(), b in separated_arguments()) {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        runtime.block_on(scoped(async {
            let [one, two, three, four, five] = &a;
            let is_cached = async || separated::get(one, two, three, four, five).await.is_some();
            separated::put(one, two, three, four, five, 1).await;
            forget_first(&b[0]).await;
            assert_eq!(is_cached().await, a[0] != b[0], "{} {b:?}", separated_key(&a));
            separated::put(one, two, three, four, five, 1).await;
            forget_first_four(one, two, three, &b[3]).await;
            assert_eq!(is_cached().await, a[3] != b[3], "{} {b:?}", separated_key(&a));
        }));
    }

    #[test]
    fn different_arguments_never_share_a_default_key(a in default_searches(), b in default_searches()) {
        let key = |(tenant, words, page): &(String, Vec<String>, Option<i32>)| {
            search_by_default::key(tenant, words.clone(), *page)
        };
        prop_assert_eq!(a == b, key(&a) == key(&b));
    }

    #[test]
    fn no_argument_widens_a_pattern(a in searches()) {
        let key = search::key(&a.0, &a.1, a.2, a.3);
        let special = key.contains(['*', '?', '[', ']', '\\']) || key.chars().any(char::is_control);
        prop_assert!(!special);
        prop_assert_eq!(key.matches(':').count(), 2);
    }
}

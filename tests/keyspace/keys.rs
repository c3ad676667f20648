//! What a typed key is written as.

use std::collections::HashMap;

use cache_aside::{CacheKey, CachingService, KeyspaceKey, Pattern, cached};
use proptest::collection::vec;
use proptest::prelude::*;
use proptest::test_runner::TestCaseError;

use crate::support::local_only;

#[derive(Clone, PartialEq, Eq, Hash, CacheKey)]
struct UserId(u64);

#[derive(Clone, PartialEq, Eq, Hash, CacheKey)]
enum Language {
    German,
    Other(String),
    Dialect { of: Box<Language>, number: u8 },
}

#[derive(Clone, PartialEq, Eq, Hash, CacheKey)]
struct Page {
    user: UserId,
    language: Language,
    numbers: Vec<u8>,
}

#[derive(Clone, PartialEq, Eq, Hash, CacheKey)]
struct Everything;

fn written<K: KeyspaceKey>(cache: &CachingService, key: &K) -> String {
    cache.keyspace::<K, String>("p").build().unwrap().key(key)
}

#[tokio::test]
async fn parts_stand_side_by_side_and_are_escaped() {
    let cache = local_only().await;
    assert_eq!(written(&cache, &7_u64), "p:7");
    assert_eq!(written(&cache, &"a:b*".to_owned()), "p:a%3Ab%2A");
    assert_eq!(written(&cache, &(7_u64, "en".to_owned())), "p:7:en");
    assert_eq!(written(&cache, &UserId(7)), "p:7");
    assert_eq!(written(&cache, &Language::German), "p:German");
    assert_eq!(written(&cache, &Language::Other("a:b".to_owned())), "p:Other:a%3Ab");
    let dialect = Language::Dialect { of: Box::new(Language::German), number: 1 };
    assert_eq!(written(&cache, &dialect), "p:Dialect:%lGerman%i%z:1");
    let page = Page { user: UserId(7), language: Language::German, numbers: vec![1, 2] };
    assert_eq!(written(&cache, &page), "p:7:%lGerman%i%z:%l1%i2%i%z");
    assert_eq!(written(&cache, &Everything), "p:");
}

#[cached(key = "user:{id}:{language}")]
async fn greeting(id: u64, language: &str) -> String {
    format!("{id} {language}")
}

#[tokio::test]
async fn a_keyspace_and_an_annotated_function_see_the_same_values() {
    let cache = local_only().await;
    let greetings = cache.keyspace::<(u64, String), String>("user").build().unwrap();
    cache.clone().scope(async { greeting(7, "e:n").await }).await;
    assert_eq!(*greetings.get(&(7, "e:n".to_owned())).await.unwrap(), "7 e:n");
    greetings.invalidate(&(7, "e:n".to_owned())).await;
    assert_eq!(cache.get::<String>(&greeting::key(7, "e:n")).await, None);
}

/// Every kind of type that keys can be derived for, in every place that a field can have.
#[derive(Clone, Debug, PartialEq, Eq, Hash, CacheKey)]
enum Shape {
    Unit,
    Other,
    Text(String),
    Pair(String, Option<String>),
    Named { list: Vec<String>, number: i16 },
    Nested(Box<Shape>, String),
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, CacheKey)]
struct Wrapped<T>(T);

#[derive(Clone, Debug, PartialEq, Eq, Hash, CacheKey)]
struct Composite {
    shape: Shape,
    text: String,
    maybe: Option<Option<String>>,
    tuple: (String, bool),
    wrapped: Wrapped<Vec<Shape>>,
}

/// What is reserved in keys or patterns, what escapes are made of, and the names of variants.
fn text() -> impl Strategy<Value = String> {
    prop_oneof!["[a:%*?{}\\[\\]\\\\]{0,3}", "[%lizns0-9:3A]{0,4}", Just("Unit".to_owned()), Just("Text:".to_owned())]
}

fn shape() -> impl Strategy<Value = Shape> {
    let flat = prop_oneof![
        Just(Shape::Unit),
        Just(Shape::Other),
        text().prop_map(Shape::Text),
        (text(), proptest::option::of(text())).prop_map(|(one, two)| Shape::Pair(one, two)),
        (vec(text(), 0..3), -1..3_i16).prop_map(|(list, number)| Shape::Named { list, number }),
    ];
    flat.prop_recursive(2, 4, 1, |inner| (inner, text()).prop_map(|(shape, text)| Shape::Nested(Box::new(shape), text)))
}

fn composite() -> impl Strategy<Value = Composite> {
    let maybe = proptest::option::of(proptest::option::of(text()));
    let wrapped = vec(shape(), 0..3).prop_map(Wrapped);
    (shape(), text(), maybe, (text(), any::<bool>()), wrapped)
        .prop_map(|(shape, text, maybe, tuple, wrapped)| Composite { shape, text, maybe, tuple, wrapped })
}

/// Checks that as many keys come out as different values went in, and that none means anything in a pattern.
fn check_keys<K: KeyspaceKey + std::fmt::Debug>(keys: Vec<K>) -> Result<(), TestCaseError> {
    let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
    let cache = runtime.block_on(local_only());
    let keyspace = cache.keyspace::<K, String>("p").build().unwrap();
    let mut written = HashMap::new();
    for key in keys {
        let text = keyspace.key(&key);
        prop_assert!(!text.contains(['*', '?', '[', ']', '{', '}', '\\']), "{:?} is {}", key, text);
        prop_assert_eq!(&Pattern::escape(&text), &text);
        if let Some(other) = written.insert(text.clone(), key.clone()) {
            prop_assert_eq!(other, key, "both are {}", text);
        }
    }
    Ok(())
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(50))]

    #[test]
    fn derived_keys_of_different_values_differ(keys in vec(composite(), 20)) {
        check_keys(keys)?;
    }

    /// Few values, so that nearly the same come together.
    #[test]
    fn derived_keys_of_similar_values_differ(keys in vec(shape(), 60)) {
        check_keys(keys)?;
    }

    #[test]
    fn keys_of_different_tuples_and_collections_differ(
        pairs in vec((text(), text()), 60),
        lists in vec(vec(text(), 0..4), 60),
        mixed in vec((proptest::option::of(text()), vec(text(), 0..2), text()), 60),
    ) {
        check_keys(pairs)?;
        check_keys(lists)?;
        check_keys(mixed)?;
    }
}

#[cfg(feature = "uuid")]
#[tokio::test]
async fn a_uuid_is_a_key_and_a_part_of_one() {
    use uuid::Uuid;

    #[derive(Clone, PartialEq, Eq, Hash, CacheKey)]
    struct Order {
        id: Uuid,
        line: u32,
    }

    let cache = local_only().await;
    let text = "67e55044-10b1-426f-9247-bb680e5fe0c8";
    let id: Uuid = text.parse().unwrap();
    assert_eq!(written(&cache, &id), format!("p:{text}"));
    assert_eq!(written(&cache, &(id, 7_u8)), format!("p:{text}:7"));
    assert_eq!(written(&cache, &Order { id, line: 7 }), format!("p:{text}:7"));
    assert_eq!(written(&cache, &Some(id)), format!("p:%s{text}"));

    let orders = cache.keyspace::<Uuid, String>("order").build().unwrap();
    orders.set(&id, "tea".to_owned()).await;
    assert_eq!(orders.get(&id).await.as_deref().map(String::as_str), Some("tea"));
    assert_eq!(orders.get(&Uuid::nil()).await, None);
    assert_eq!(cache.get::<String>(&format!("order:{text}")).await.as_deref().map(String::as_str), Some("tea"));
}

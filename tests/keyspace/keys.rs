//! What a typed key is written as.

use cache_aside::{CacheKey, CachingService, KeyspaceKey, cached};

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

//! `tags`, `unless`, `name`, hashed placeholders, and values that cannot be copied.

use super::*;

#[tokio::test]
async fn tags_invalidate_what_they_are_on() {
    #[cached(key = "member:{id}", tags = ["org:{org}", "members"], skip(source, org))]
    async fn member(source: &Source, id: u64, org: &str) -> User {
        source.find(id)
    }
    #[cached(key = "listed:{id}", tags = groups.clone(), skip(source, groups))]
    async fn listed(source: Source, id: u64, groups: Vec<String>) -> User {
        source.find(id)
    }
    let source = Source::default();
    scoped(async {
        let cache = CachingService::global();
        let groups = || vec!["a".to_owned(), "b".to_owned()];
        for _ in 0..2 {
            member(&source, 1, "x").await;
            member(&source, 2, "y:*").await;
            listed(source.clone(), 3, groups()).await;
        }
        assert_eq!(source.runs(), 3);
        cache.invalidate_tags(["org:x"]).await;
        assert!(member::get(1).await.is_none() && member::get(2).await.is_some());
        cache.invalidate_tags(["org:y%3A%2A"]).await;
        assert!(member::get(2).await.is_none(), "a tag's arguments are escaped as a key's are");
        cache.invalidate_tags(["b"]).await;
        assert!(listed::get(3).await.is_none());
        member::put(4, "z", User::default()).await;
        cache.invalidate_tags(["members"]).await;
        assert!(member::get(4).await.is_none(), "what is put is tagged too");
    })
    .await;
}

#[tokio::test]
async fn unless_bars_a_value_from_being_stored() {
    #[cached(key = "unless:{id}", unless = |user| user.version < 3, skip(source))]
    async fn find(source: Source, id: u64) -> Result<Option<Arc<User>>, String> {
        Ok(Some(Arc::new(source.find(id))))
    }
    #[cached(key = "unless-inline:{id}", unless = |user: &User| user.version < 6, skip(source))]
    async fn find_inline(source: &Source, id: u64) -> Result<User, std::cell::Cell<u8>> {
        Ok(source.find(id))
    }
    let source = Source::default();
    scoped(async {
        for version in [1, 2, 3, 3] {
            assert_eq!(find(source.clone(), 1).await.unwrap().unwrap().version, version);
        }
        for version in [4, 5, 6, 6] {
            assert_eq!(find_inline(&source, 1).await.unwrap().version, version);
        }
    })
    .await;
}

#[test]
fn a_name_takes_the_place_of_the_path_in_a_default_key() {
    #[cached(name = "people")]
    async fn find(id: u64) -> u64 {
        id
    }
    struct Named;
    impl Named {
        #[cached(name = "people")]
        async fn find(&self, id: u64) -> u64 {
            id
        }
    }
    drop((find(1), Named.find(1)));
    assert_eq!(find::key(7), "people(7)");
    assert_ne!(Named::find_key(7), find::key(7));
}

#[test]
fn a_hashed_placeholder_hides_its_value() {
    #[cached(key = "session:{token:hash}:{id}")]
    async fn session(token: &str, id: u64) -> u64 {
        token.len() as u64 + id
    }
    drop(session("secret", 1));
    let key = session::key("secret", 7);
    assert_eq!(key, session::key("secret", 7));
    assert_ne!(key, session::key("secrets", 7));
    assert!(!key.contains("secret"), "{key}");
    let hash = key.strip_prefix("session:").and_then(|rest| rest.strip_suffix(":7")).unwrap();
    assert!(hash.len() == 32 && hash.chars().all(|digit| digit.is_ascii_hexdigit()), "{hash}");
    assert_eq!(hash, "1A3740F1FE25A3580A414E990F7D164D", "nodes of every version come to the same key");
    assert_eq!(session::key(&"long".repeat(100), 7).len(), key.len());
}

/// Neither `Clone` nor `Copy`.
#[derive(Debug, PartialEq, Serialize, Deserialize)]
struct Unique(u64);

#[tokio::test]
async fn an_arc_needs_no_clone_of_its_value() {
    static KEPT: std::sync::Mutex<Option<Arc<Unique>>> = std::sync::Mutex::new(None);

    type Found = Result<Arc<Unique>, String>;

    #[cached(key = "unique:{id}", skip(source))]
    async fn unique(source: &Source, id: u64) -> Result<Option<Arc<Unique>>, String> {
        let value = Arc::new(Unique(source.find(id).version));
        *KEPT.lock().unwrap() = Some(value.clone());
        Ok(Some(value))
    }
    #[cached(key = "alias:{id}")]
    async fn alias(id: u64) -> Found {
        Ok(Arc::new(Unique(id)))
    }
    let source = Source::default();
    scoped(async {
        let loaded = unique(&source, 1).await.unwrap().unwrap();
        assert!(Arc::ptr_eq(&loaded, &unique(&source, 1).await.unwrap().unwrap()));
        assert!(Arc::ptr_eq(&loaded, &unique::get(1).await.unwrap()));
        assert!(Arc::ptr_eq(&loaded, KEPT.lock().unwrap().as_ref().unwrap()), "not even the load copies it");
        unique::put(1, Unique(50)).await;
        assert_eq!(unique(&source, 1).await, Ok(Some(Arc::new(Unique(50)))));
        alias::put(1, Ok(loaded.clone())).await;
        assert!(Arc::ptr_eq(&loaded, &alias(1).await.unwrap()));
    })
    .await;
}

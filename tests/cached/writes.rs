//! `#[cache_put]` and `#[cache_invalidate]`.

use super::*;
use async_trait::async_trait;
use cache_aside::{CacheTier, Entry, Key, Pattern, TierError, cache_invalidate, cache_put};
use std::sync::Mutex;

/// What the cache has at `key`, by version.
async fn cached_version(key: &str) -> Option<u64> {
    CachingService::global().get::<User>(key).await.map(|user| user.version)
}

async fn fill(keys: &[&str]) {
    for key in keys {
        CachingService::global().set(key, User { id: 0, version: 1 }).await;
    }
}

#[cache_put(key = "user:{user.id}", ttl = "5m", tags = ["users"])]
async fn save(user: User) -> Result<User, String> {
    let saved = user;
    if saved.id == 0 {
        return Err("zero".to_owned());
    }
    Ok(saved)
}

#[tokio::test]
async fn put_stores_what_was_returned_and_nothing_after_an_error() {
    scoped(async {
        assert_eq!(save(User { id: 7, version: 3 }).await.unwrap().version, 3);
        assert_eq!(cached_version("user:7").await, Some(3));
        save(User { id: 0, version: 3 }).await.unwrap_err();
        assert_eq!(cached_version("user:0").await, None);
        CachingService::global().invalidate_tags(["users"]).await;
        assert_eq!(cached_version("user:7").await, None);
    })
    .await;
}

#[tokio::test]
async fn put_takes_every_shape() {
    #[derive(Debug, PartialEq)]
    struct Saved {
        user: User,
        rows: u64,
    }
    #[cache_put(key = "user:{id}", value = |saved| saved.user.clone(), when = store, schema = 0)]
    async fn made(id: u64, store: bool) -> Result<Saved, std::cell::Cell<u8>> {
        Ok(Saved { user: User { id, version: 9 }, rows: 1 })
    }
    #[cache_put(key = "user:{id}")]
    async fn maybe(id: u64, version: Option<u64>) -> Option<User> {
        Some(User { id, version: version? })
    }
    #[cache_put(key = "user:{id}")]
    #[allow(clippy::manual_async_fn, reason = "that is what is tested")]
    fn shared(id: u64) -> impl Future<Output = Arc<User>> + Send {
        async move { Arc::new(User { id, version: 4 }) }
    }
    scoped(async {
        made(1, false).await.unwrap();
        assert_eq!(cached_version("user:1").await, None);
        assert_eq!(made(1, true).await.unwrap().rows, 1);
        assert_eq!(cached_version("user:1").await, Some(9));

        maybe(1, Some(2)).await;
        assert_eq!(cached_version("user:1").await, Some(2));
        assert_eq!(maybe(1, None).await, None);
        assert_eq!(cached_version("user:1").await, None, "what is gone is invalidated");

        let user = shared(5).await;
        let stored = CachingService::global().get::<User>("user:5").await.unwrap();
        assert!(Arc::ptr_eq(&user, &stored), "an `Arc` is stored without a copy");
    })
    .await;
}

#[tokio::test]
async fn invalidate_takes_keys_patterns_and_tags() {
    #[cache_invalidate(key = "user:{id}")]
    #[cache_invalidate(keys = ["a:{name}", "b:{name.len()}"], pattern = "list:{name}:*")]
    #[cache_invalidate(tags = ["org:{org}"])]
    #[cache_invalidate(keys = more.iter().map(|key| format!("more:{key}")))]
    async fn change(id: u64, name: String, org: Arc<str>, more: Vec<u8>) -> usize {
        drop((name, org));
        more.len() + usize::try_from(id).unwrap()
    }
    let all = ["user:1", "a:x", "b:1", "list:x:1", "list:x:2", "more:5", "more:6"];
    let others = ["user:2", "a:y", "list:y:1"];
    scoped(async {
        fill(&all).await;
        fill(&others).await;
        CachingService::global().entry("tagged").tags(["org:z"]).set(User::default()).await;
        assert_eq!(change(1, "x".to_owned(), "z".into(), vec![5, 6]).await, 3);
        for key in all.iter().chain(&["tagged"]) {
            assert_eq!(cached_version(key).await, None, "{key}");
        }
        for key in others {
            assert_eq!(cached_version(key).await, Some(1), "{key}");
        }
        change(1, "*".to_owned(), "z".into(), vec![]).await;
        assert_eq!(cached_version("list:y:1").await, Some(1), "no argument widens a pattern");
    })
    .await;
}

#[tokio::test]
async fn an_argument_may_be_called_like_what_the_expansion_needs() {
    #[cache_invalidate(key = "user:{keys}", keys = ["a", "b"])]
    async fn change(keys: u64) -> u64 {
        keys
    }
    scoped(async {
        fill(&["user:7", "a", "b"]).await;
        change(7).await;
        for key in ["user:7", "a", "b"] {
            assert_eq!(cached_version(key).await, None, "{key}");
        }
    })
    .await;
}

/// A tier that never answers a removal of keys.
struct Silent;

#[async_trait]
impl CacheTier for Silent {
    fn name(&self) -> &'static str {
        "silent"
    }

    async fn get(&self, _key: &Key) -> Result<Option<Entry>, TierError> {
        Ok(None)
    }

    async fn set(&self, _key: &Key, _entry: Entry, _ttl: Duration) -> Result<(), TierError> {
        Ok(())
    }

    async fn delete(&self, _keys: &[Key]) -> Result<u64, TierError> {
        std::future::pending().await
    }

    async fn invalidate_pattern(&self, _pattern: &Pattern) -> Result<u64, TierError> {
        Ok(0)
    }

    async fn ping(&self) -> Result<(), TierError> {
        Ok(())
    }
}

#[tokio::test]
async fn a_caller_that_goes_away_has_invalidated_everything() {
    #[cache_invalidate(key = "user:{id}", pattern = "list:{id}:*", tags = ["org:{id}"])]
    async fn change(id: u64) -> u64 {
        id
    }
    let service = CachingService::builder().local(LocalTier::new(1_000)).tier(Silent).build().await.unwrap();
    service
        .scope(async {
            CachingService::global().entry("tagged").tags(["org:1"]).local_only().set(User::default()).await;
            for key in ["user:1", "list:1:a", "list:2:a"] {
                CachingService::global().entry(key).local_only().set(User { id: 0, version: 1 }).await;
            }
            let mut gone = Box::pin(change(1));
            assert!(is_pending(&mut gone).await, "the tier does not answer");
            drop(gone);
            for key in ["user:1", "list:1:a", "tagged"] {
                assert_eq!(cached_version(key).await, None, "{key}");
            }
            assert_eq!(cached_version("list:2:a").await, Some(1));
        })
        .await;
}

#[tokio::test]
async fn invalidate_needs_no_name_for_what_is_returned() {
    #[cache_invalidate(key = "user:{id}")]
    async fn opaque(id: u64) -> impl Display {
        id
    }
    #[cache_invalidate(key = "user:{id}", when = |written| written.is_ok())]
    async fn fallible(id: u64) -> Result<impl Display, std::num::ParseIntError> {
        let parsed: u64 = if id == 0 { "zero" } else { "1" }.parse()?;
        Ok(parsed)
    }
    #[cache_invalidate(key = "user:{id}", around = true)]
    async fn fenced(id: u64) -> Result<Vec<impl Display>, String> {
        Ok(vec![id])
    }
    #[cache_invalidate(key = "user:{id}")]
    #[allow(clippy::manual_async_fn, reason = "that is what is tested")]
    fn future(id: u64) -> impl Future<Output = Option<impl Display>> + Send {
        async move { Some(id) }
    }
    #[cache_invalidate(key = "user:{id}")]
    async fn hidden(id: u64) -> impl Into<Result<u64, String>> {
        if id == 0 { Err("zero".to_owned()) } else { Ok(id) }
    }
    scoped(async {
        for round in 0..5 {
            fill(&["user:0", "user:1"]).await;
            let written = match round {
                0 => opaque(1).await.to_string(),
                1 => fallible(1).await.unwrap().to_string(),
                2 => fenced(1).await.unwrap()[0].to_string(),
                3 => future(1).await.unwrap().to_string(),
                _ => hidden(1).await.into().unwrap().to_string(),
            };
            assert_eq!((written.as_str(), cached_version("user:1").await), ("1", None), "{round}");
        }
        assert!(fallible(0).await.is_err() && hidden(0).await.into().is_err());
        assert_eq!(
            cached_version("user:0").await,
            Some(1),
            "an error invalidates nothing, also where its type is hidden"
        );
    })
    .await;
}

#[tokio::test]
async fn invalidate_waits_for_success_unless_told_otherwise() {
    type Written = Result<(), String>;

    #[cache_invalidate(key = "user:{id}")]
    async fn on_success(id: u64, fails: bool) -> Written {
        assert_eq!(cached_version(&format!("user:{id}")).await, Some(1), "not before the body has run");
        if fails { Err("failed".to_owned()) } else { Ok(()) }
    }
    #[cache_invalidate(key = "user:{id}", when = |_| true)]
    async fn always(id: u64) -> Written {
        Err(id.to_string())
    }
    #[cache_invalidate(key = "user:{id}", when = |written| matches!(written, Err(text) if text == "2"))]
    async fn by_result(id: u64) -> Written {
        Err(id.to_string())
    }
    #[cache_invalidate(key = "user:{id}", before = true)]
    async fn before(id: u64) -> Written {
        assert_eq!(cached_version(&format!("user:{id}")).await, None);
        Err(id.to_string())
    }
    #[cache_invalidate(key = "user:{id}", when = id > 1)]
    async fn conditional(id: u64) -> u64 {
        id
    }
    scoped(async {
        fill(&["user:1", "user:2"]).await;
        on_success(1, true).await.unwrap_err();
        assert_eq!(cached_version("user:1").await, Some(1));
        on_success(1, false).await.unwrap();
        assert_eq!(cached_version("user:1").await, None);

        fill(&["user:1"]).await;
        always(1).await.unwrap_err();
        assert_eq!(cached_version("user:1").await, None);

        fill(&["user:1"]).await;
        by_result(1).await.unwrap_err();
        by_result(2).await.unwrap_err();
        assert_eq!((cached_version("user:1").await, cached_version("user:2").await), (Some(1), None));

        before(1).await.unwrap_err();

        fill(&["user:1", "user:2"]).await;
        assert_eq!(conditional(1).await + conditional(2).await, 3);
        assert_eq!((cached_version("user:1").await, cached_version("user:2").await), (Some(1), None));
    })
    .await;
}

/// A tier that notes which keys were removed.
#[derive(Clone, Default)]
struct Removals(Arc<Mutex<Vec<String>>>);

impl Removals {
    fn note(&self, what: &str) {
        self.0.lock().unwrap().push(what.to_owned());
    }
}

#[async_trait]
impl CacheTier for Removals {
    fn name(&self) -> &'static str {
        "removals"
    }

    async fn get(&self, _key: &Key) -> Result<Option<Entry>, TierError> {
        Ok(None)
    }

    async fn set(&self, _key: &Key, _entry: Entry, _ttl: Duration) -> Result<(), TierError> {
        Ok(())
    }

    async fn delete(&self, keys: &[Key]) -> Result<u64, TierError> {
        keys.iter().for_each(|key| self.note(key.as_str()));
        Ok(0)
    }

    async fn invalidate_pattern(&self, _pattern: &Pattern) -> Result<u64, TierError> {
        Ok(0)
    }

    async fn ping(&self) -> Result<(), TierError> {
        Ok(())
    }
}

#[tokio::test]
async fn each_attribute_wraps_those_above_it() {
    #[cache_invalidate(key = "before:top", before = true)]
    #[cache_invalidate(key = "after:top")]
    #[cache_invalidate(key = "before:bottom", before = true)]
    #[cache_invalidate(key = "after:bottom")]
    async fn write(removals: Removals) {
        removals.note("body");
    }
    let removals = Removals::default();
    let service = CachingService::builder().tier(removals.clone()).build().await.unwrap();
    service.scope(write(removals.clone())).await;
    let expected = ["before:bottom", "before:top", "body", "after:top", "after:bottom"];
    assert_eq!(*removals.0.lock().unwrap(), expected);
}

#[tokio::test]
async fn around_fences_the_keys_while_the_body_runs() {
    #[cache_invalidate(key = "user:{id}", around = true)]
    async fn write(source: Source, id: u64) -> Result<u64, String> {
        assert_eq!(cached_version("user:7").await, None, "dropped before the body runs");
        Ok(find_user(source, id).await.version)
    }
    #[cache_invalidate(keys = ["user:7"], around = true, when = fence)]
    async fn plain(fence: bool) -> u64 {
        u64::from(cached_version("user:7").await.is_some())
    }
    scoped(async {
        fill(&["user:7"]).await;
        assert_eq!(write(Source::default(), 7).await, Ok(1));
        assert_eq!(cached_version("user:7").await, None, "what was loaded meanwhile is not stored");
        fill(&["user:7"]).await;
        assert_eq!((plain(false).await, plain(true).await), (1, 0));
    })
    .await;
}

/// Whether the near tier has `user:7`, without waiting.
fn is_cached() -> bool {
    let cache = CachingService::global();
    let mut found = std::pin::pin!(cache.get::<User>("user:7"));
    let mut context = std::task::Context::from_waker(std::task::Waker::noop());
    matches!(found.as_mut().poll(&mut context), Poll::Ready(Some(_)))
}

/// The part of such a body that runs where the future is made is a part of the write.
#[tokio::test]
#[allow(clippy::manual_async_fn, reason = "that is what is tested")]
async fn no_part_of_a_body_runs_before_its_keys_are_fenced() {
    type Boxed = Pin<Box<dyn Future<Output = bool> + Send>>;

    #[cache_invalidate(key = "user:{id}", around = true)]
    fn fenced(id: u64) -> impl Future<Output = bool> + Send {
        let (was_cached, _) = (is_cached(), id);
        async move { was_cached }
    }
    #[cache_invalidate(key = "user:{id}", around = true)]
    fn fenced_in_a_box(id: u64) -> Pin<Box<dyn Future<Output = bool> + Send>> {
        let (was_cached, _) = (is_cached(), id);
        Box::pin(async move { was_cached })
    }
    #[cache_invalidate(key = "user:{id}", before = true)]
    fn invalidated(id: u64) -> impl Future<Output = bool> + Send {
        let (was_cached, _) = (is_cached(), id);
        async move { was_cached }
    }
    #[cache_invalidate(key = "user:{id}", before = true)]
    fn invalidated_in_a_box(id: u64) -> Pin<Box<dyn Future<Output = bool> + Send>> {
        let (was_cached, _) = (is_cached(), id);
        Box::pin(async move { was_cached })
    }
    scoped(async {
        let writes: [fn() -> Boxed; 4] =
            [|| Box::pin(fenced(7)), || fenced_in_a_box(7), || Box::pin(invalidated(7)), || invalidated_in_a_box(7)];
        for (at, write) in writes.into_iter().enumerate() {
            fill(&["user:7"]).await;
            assert!(is_cached());
            assert!(!write().await, "{at}");
        }
    })
    .await;
}

struct Users {
    cache: CachingService,
}

#[async_trait]
trait Writes: Sync {
    async fn rename(&self, id: u64, name: String) -> Result<(), String>;
}

#[async_trait]
impl Writes for Users {
    #[cache_invalidate(key = "user:{id}", cache = self.cache)]
    async fn rename(&self, id: u64, name: String) -> Result<(), String> {
        if name.is_empty() { Err(id.to_string()) } else { Ok(()) }
    }
}

trait Removes: Sync {
    async fn remove(&mut self, id: u64);
}

impl Removes for Users {
    #[cache_invalidate(key = "user:{id}", cache = self.cache)]
    async fn remove(&mut self, id: u64) {
        let _ = id;
    }
}

impl Users {
    #[cache_put(key = "user:{user.id}", cache = self.cache)]
    #[cache_invalidate(pattern = "list:*", cache = self.cache)]
    async fn insert(self: Arc<Self>, User { id, version }: User, user: &User) -> User {
        User { id: id + user.id, version }
    }
}

#[tokio::test]
async fn methods_and_functions_of_traits_write_through_their_own_service() {
    let mut users = Users { cache: service().await };
    users.cache.set("user:1", User::default()).await;
    users.rename(1, String::new()).await.unwrap_err();
    assert!(users.cache.get::<User>("user:1").await.is_some());
    users.rename(1, "a".to_owned()).await.unwrap();
    assert!(users.cache.get::<User>("user:1").await.is_none());

    users.cache.set("user:2", User::default()).await;
    users.remove(2).await;
    assert!(users.cache.get::<User>("user:2").await.is_none());

    users.cache.set("list:2", User::default()).await;
    let users = Arc::new(users);
    let inserting = users.clone();
    let insert = async move { inserting.insert(User { id: 1, version: 8 }, &User { id: 2, version: 0 }).await };
    tokio::spawn(insert).await.unwrap();
    assert_eq!(users.cache.get::<User>("user:2").await.map(|user| (user.id, user.version)), Some((3, 8)));
    assert!(users.cache.get::<User>("list:2").await.is_none());
}

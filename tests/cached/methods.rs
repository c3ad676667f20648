//! Methods, associated functions and functions of traits.

use super::*;
use async_trait::async_trait;
use cache_aside::cache_invalidate;
use std::marker::PhantomData;

struct Users {
    source: Source,
    cache: CachingService,
    tenant: u64,
}

impl Users {
    async fn new() -> Self {
        Self { source: Source::default(), cache: service().await, tenant: 1 }
    }

    /// A user.
    #[cached(key = "user:{id}", ttl = "5m", cache = self.cache)]
    pub(crate) async fn find_user(&self, id: u64) -> Result<User, String> {
        let user = self.source.find(id);
        if id == 0 {
            return Err("no zero".to_owned());
        }
        Ok(user)
    }

    #[cached(key = "changed:{self.tenant}:{id}", cache = self.cache)]
    async fn change(&mut self, id: u64) -> User {
        self.tenant += 1;
        self.source.find(id)
    }

    #[cached(key = "owned:{id}", cache = self.cache, skip(gate))]
    async fn find_owned(self: Arc<Self>, gate: Arc<tokio::sync::Semaphore>, id: u64) -> User {
        gate.acquire().await.unwrap().forget();
        self.source.find(id)
    }

    #[cached(key = "consumed:{id}", cache = self.cache)]
    async fn consume(mut self, id: u64) -> User {
        self.tenant = id;
        self.source.find(self.tenant)
    }

    #[cached(key = "matched:{id}:{x}", cache = self.cache, when = *x < 10, skip(name))]
    async fn matched<'a>(&'a self, (mut id, x): (u64, u64), name: &'a str) -> Option<User> {
        id += name.len() as u64;
        Some(self.source.find(id + x))
    }

    #[cached(key = "future:{id}", cache = self.cache)]
    fn future(&self, id: u64) -> impl Future<Output = Result<Arc<User>, String>> + Send {
        async move { Ok(Arc::new(self.source.find(id))) }
    }
}

#[tokio::test]
async fn a_method_has_associated_companions() {
    let users = Users::new().await;
    assert_eq!(Users::find_user_key(7), "user:7");
    assert_eq!(users.find_user(7).await.unwrap().version, 1);
    assert_eq!(users.find_user(7).await.unwrap().version, 1);
    assert_eq!(users.find_user_get(7).await.map(|user| user.version), Some(1));
    assert_eq!(users.find_user_uncached(7).await.unwrap().version, 2);
    assert_eq!(users.find_user_refresh(7).await.unwrap().version, 3);
    users.find_user_put(7, User { id: 7, version: 50 }).await;
    assert_eq!(users.find_user(7).await.unwrap().version, 50);
    users.find_user_invalidate(7).await;
    assert_eq!(users.find_user(7).await.unwrap().version, 4);
    assert_eq!(users.find_user(0).await, Err("no zero".to_owned()));
    assert_eq!(users.cache.get::<User>("user:7").await.map(|user| user.version), Some(4));
}

#[tokio::test]
async fn every_receiver_is_taken() {
    let mut users = Users::new().await;
    let cache = users.cache.clone();
    assert_eq!(users.change(1).await.version, 1);
    assert_eq!(users.change_key(1), "changed:2:1", "the key is read before the body runs");
    assert_eq!(users.change(1).await.version, 2);

    assert_eq!(users.matched((1, 2), "abc").await.map(|user| user.id), Some(6));
    assert_eq!(users.matched((1, 2), "other").await.map(|user| user.id), Some(6));
    assert_eq!(users.matched((1, 20), "abc").await.map(|user| user.id), Some(24));
    assert!(users.matched_get((1, 2)).await.is_some() && users.matched_get((1, 20)).await.is_none());

    let first = users.future(3).await.unwrap();
    assert!(Arc::ptr_eq(&first, &users.future(3).await.unwrap()));

    let source = users.source.clone();
    assert_eq!(users.consume(9).await.id, 9);
    let other = Users { source, cache, tenant: 5 };
    let runs = other.source.runs();
    let again = other.consume(9).await;
    assert_eq!((again.id, again.version), (9, runs));
}

#[tokio::test]
async fn a_method_that_owns_itself_loads_in_a_task_of_its_own() {
    let (users, gate) = (Arc::new(Users::new().await), Arc::new(tokio::sync::Semaphore::new(0)));
    let mut gone = Box::pin(users.clone().find_owned(gate.clone(), 1));
    assert!(is_pending(&mut gone).await);
    drop(gone);
    let waiting = users.clone().find_owned(gate.clone(), 1);
    gate.add_permits(1);
    assert_eq!(waiting.await.version, 1);
}

#[tokio::test]
async fn the_future_of_a_method_can_be_sent() {
    let users = Arc::new(Users::new().await);
    let sent = tokio::spawn(async move { users.find_user(1).await.map(|user| user.id) });
    assert_eq!(sent.await.unwrap(), Ok(1));
}

/// A repository of any rows.
struct Repository<T> {
    source: Source,
    row: PhantomData<fn() -> T>,
}

impl<T> Repository<T>
where
    T: Clone + From<User> + Serialize + for<'a> Deserialize<'a> + Send + Sync + 'static,
{
    #[cached]
    async fn find(&self, id: u64) -> Option<T> {
        Some(self.source.find(id).into())
    }

    #[cached(key = "row:{T}:{id}")]
    async fn row(&self, id: u64) -> T {
        self.source.find(id).into()
    }

    #[cached(skip(source))]
    async fn made<N: Display + CacheKey + Send + Sync>(source: &Source, number: N) -> Vec<T> {
        let id = number.to_string().len() as u64;
        Vec::from([Self { source: source.clone(), row: PhantomData }.find_uncached(id).await.unwrap()])
    }

    #[cached(companions = associated)]
    async fn constant() -> u64 {
        7
    }
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
struct Name(String);

impl From<User> for Name {
    fn from(user: User) -> Self {
        Self(format!("user {}", user.id))
    }
}

#[tokio::test]
async fn generic_methods_have_keys_of_their_own_for_each_type() {
    let source = Source::default();
    let users = Repository::<User> { source: source.clone(), row: PhantomData };
    let names = Repository::<Name> { source: source.clone(), row: PhantomData };
    scoped(async {
        for _ in 0..2 {
            assert_eq!(users.find(1).await.map(|user| user.id), Some(1));
            assert_eq!(names.find(1).await, Some(Name("user 1".to_owned())));
            assert_eq!(names.row(1).await, Name("user 1".to_owned()));
            assert_eq!(users.row(1).await.id, 1);
            assert_eq!(Repository::<Name>::made(&source, 10_u8).await.len(), 1);
            assert_eq!(Repository::<User>::constant().await, 7);
        }
        assert_eq!(source.runs(), 5);
    })
    .await;
    assert_ne!(Repository::<User>::find_key(1), Repository::<Name>::find_key(1));
    assert_ne!(Repository::<User>::constant_key(), Repository::<Name>::constant_key());
    assert_eq!(Repository::<Name>::row_key(1), "row:cached%3A%3Amethods%3A%3AName:1");
}

trait Finds: Sync {
    fn source(&self) -> &Source;

    #[cached(key = "default:{id}", companions = none)]
    async fn find_by_default(&self, id: u64) -> User {
        self.source().find(id)
    }

    async fn find(&self, id: u64) -> Result<User, String>;
}

impl Finds for Source {
    fn source(&self) -> &Source {
        self
    }

    #[cached(companions = none)]
    async fn find(&self, id: u64) -> Result<User, String> {
        let found = Some(Source::find(self, id));
        let user = found.ok_or("none")?;
        if id == 0 {
            return Err("zero".to_owned());
        }
        Ok(user)
    }
}

trait FindsToo: Sync {
    async fn find(&self, id: u64) -> Result<User, String>;
}

impl FindsToo for Source {
    #[cached(companions = none)]
    async fn find(&self, mut id: u64) -> Result<User, String> {
        id += 100;
        Ok(Source::find(self, id))
    }
}

#[tokio::test]
async fn functions_of_traits_are_cached() {
    let source = Source::default();
    scoped(async {
        for _ in 0..2 {
            assert_eq!(source.find_by_default(1).await.version, 1);
            assert_eq!(Finds::find(&source, 1).await.unwrap().id, 1);
            assert_eq!(FindsToo::find(&source, 1).await.unwrap().id, 101, "the trait is a part of the key");
        }
        assert_eq!(source.runs(), 3);
        assert_eq!(Finds::find(&source, 0).await, Err("zero".to_owned()));
    })
    .await;
}

/// A trait with a parameter, which two implementations for one type, or one that is generic, differ by.
trait Label<K: 'static>: Sync {
    async fn label(&self, id: u64) -> String;

    #[cached(companions = none, skip(source, skipped))]
    async fn by_default<T: Send>(&self, source: &Source, id: u64, skipped: Option<T>) -> String {
        drop(skipped);
        format!("{} {id} in run {}", std::any::type_name::<K>(), source.find(id).version)
    }
}

impl<K: 'static> Label<K> for Source {
    #[cached(companions = none)]
    async fn label(&self, id: u64) -> String {
        format!("{} {id} in run {}", std::any::type_name::<K>(), self.find(id).version)
    }
}

#[async_trait]
trait BoxedLabel<K: 'static>: Sync {
    async fn label(&self, id: u64) -> String;
}

#[async_trait]
impl<K: 'static> BoxedLabel<K> for Source {
    #[cached(name = "labels")]
    async fn label(&self, id: u64) -> String {
        format!("{} {id} in run {}", std::any::type_name::<K>(), self.find(id).version)
    }
}

#[tokio::test]
async fn the_arguments_of_a_trait_are_a_part_of_the_default_key() {
    let (user, order, source) = ("cached::methods::Name", "alloc::vec::Vec<cached::User>", Source::default());
    scoped(async {
        for _ in 0..2 {
            assert_eq!(<Source as Label<Name>>::label(&source, 7).await, format!("{user} 7 in run 1"));
            assert_eq!(<Source as Label<Vec<User>>>::label(&source, 7).await, format!("{order} 7 in run 2"));
            assert_eq!(<Source as BoxedLabel<Name>>::label(&source, 7).await, format!("{user} 7 in run 3"));
            assert_eq!(<Source as BoxedLabel<Vec<User>>>::label(&source, 7).await, format!("{order} 7 in run 4"));
            let default = <Source as Label<Name>>::by_default(&source, &source, 7, Some(1_u8)).await;
            assert_eq!(default, format!("{user} 7 in run 5"));
            let default = <Source as Label<Vec<User>>>::by_default(&source, &source, 7, Some(1_u8)).await;
            assert_eq!(default, format!("{order} 7 in run 6"));
        }
        let default = <Source as Label<Name>>::by_default(&source, &source, 7, Some("")).await;
        assert_eq!(default, format!("{user} 7 in run 5"), "a parameter of the function is skipped");
        for key in [
            "<cached::Source as cached::methods::Label<cached::methods::Name>>::label(7)",
            "<cached::Source as cached::methods::Label<cached::methods::Name>>::by_default(7)",
            "labels::<cached::Source as cached::methods::BoxedLabel<cached::methods::Name>>::(7)",
        ] {
            assert!(CachingService::global().get::<String>(key).await.is_some(), "{key}");
        }
    })
    .await;
}

#[async_trait]
trait Dynamic: Sync {
    async fn find(&self, id: u64, name: &str) -> Result<Option<User>, String>;

    #[cached(key = "dynamic:default:{id}")]
    async fn find_by_default(&self, id: u64) -> Option<User> {
        self.find(id, "").await.ok().flatten()
    }
}

#[async_trait]
impl Dynamic for Users {
    #[cached(key = "dynamic:{self.tenant}:{id}:{name}", cache = self.cache, when = id < 100)]
    async fn find(&self, id: u64, name: &str) -> Result<Option<User>, String> {
        if id == 0 {
            return Err(format!("no {name}"));
        }
        Ok(Some(self.source.find(id)))
    }
}

#[tokio::test]
async fn functions_that_async_trait_has_rewritten_are_cached() {
    let users: Box<dyn Dynamic + Send> = {
        let users = Users::new().await;
        Box::new(users)
    };
    scoped(async {
        for _ in 0..2 {
            assert_eq!(users.find(1, "a").await.unwrap().unwrap().version, 1);
            assert_eq!(users.find_by_default(2).await.unwrap().version, 2);
        }
        assert_eq!(users.find(0, "x").await, Err("no x".to_owned()));
        assert_eq!(users.find(100, "a").await.unwrap().unwrap().version, 3);
        assert_eq!(users.find(100, "a").await.unwrap().unwrap().version, 4, "`when` bypasses the cache");
    })
    .await;
}

struct Reader {
    source: Source,
    cache: CachingService,
}

impl Finds for Reader {
    fn source(&self) -> &Source {
        &self.source
    }

    #[cache_invalidate(key = "seen:{id}", cache = self.cache)]
    #[tracing::instrument(skip(self))]
    #[cached(key = "read:{id}", cache = self.cache, companions = none)]
    #[inline]
    async fn find(&self, id: u64) -> Result<User, String> {
        Ok(self.source.find(id))
    }
}

#[tokio::test]
async fn what_stands_above_a_function_of_a_trait_runs_with_its_body() {
    let reader = Reader { source: Source::default(), cache: service().await };
    for _ in 0..2 {
        assert_eq!(reader.find(7).await.unwrap().version, 1);
        assert_eq!(reader.cache.stats().invalidations_sent, 1);
    }
}

#[tokio::test]
async fn free_functions_may_return_a_future() {
    #[cached(key = "async-move:{id}", skip(source))]
    fn plain(source: Source, id: u64) -> impl Future<Output = User> + Send {
        async move { source.find(id) }
    }
    #[cached(key = "boxed:{id}", skip(source))]
    fn boxed(source: &Source, id: u64) -> Pin<Box<dyn Future<Output = Result<User, String>> + Send + '_>> {
        Box::pin(async move { Ok(source.find(id)) })
    }
    let source = Source::default();
    scoped(async {
        for _ in 0..2 {
            assert_eq!(plain(source.clone(), 1).await.version, 1);
            assert_eq!(boxed(&source, 1).await.unwrap().version, 2);
        }
        assert_eq!(plain::get(1).await.map(|user| user.version), Some(1));
        assert_eq!(boxed::refresh(&source, 1).await.unwrap().version, 3);
    })
    .await;
}

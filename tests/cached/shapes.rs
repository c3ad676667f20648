//! Return types, arguments and signatures.

use super::*;

#[tokio::test]
async fn an_absence_is_cached_only_with_a_negative_ttl() {
    #[cached(key = "forgotten:{id}", skip(source))]
    async fn forgotten(source: &Source, id: u64) -> Option<User> {
        Some(source.find(id)).filter(|_| id > 10)
    }
    #[cached(key = "remembered:{id}", negative_ttl = "30s", skip(source))]
    async fn remembered(source: &Source, id: u64) -> Option<User> {
        Some(source.find(id)).filter(|_| id > 10)
    }
    let source = Source::default();
    scoped(async {
        for _ in 0..2 {
            assert_eq!(forgotten(&source, 1).await, None);
        }
        assert_eq!(source.runs(), 2);
        for _ in 0..2 {
            assert_eq!(remembered(&source, 1).await, None);
        }
        assert_eq!(source.runs(), 3);
        for _ in 0..2 {
            assert!(forgotten(&source, 20).await.is_some() && remembered(&source, 20).await.is_some());
        }
        assert_eq!(source.runs(), 5);
    })
    .await;
}

#[tokio::test]
async fn an_error_is_never_cached_behind_an_alias_either() {
    type Lookup = Result<User, String>;
    type Fallible<T> = core::result::Result<T, String>;

    #[cached(key = "result:{id}", negative_ttl = "30s", skip(source))]
    async fn result(source: &Source, id: u64) -> Result<User, String> {
        let user = source.find(id);
        if id > 10 { Ok(user) } else { Err(format!("no {id}")) }
    }
    #[cached(key = "lookup:{id}", skip(source))]
    async fn lookup(source: &Source, id: u64) -> Lookup {
        result::uncached(source, id).await
    }
    #[cached(key = "fallible:{id}", negative_ttl = "30s", skip(source))]
    async fn fallible(source: &Source, id: u64) -> Fallible<Option<User>> {
        result::uncached(source, id).await.map(|user| Some(user).filter(|_| id > 20))
    }
    let source = Source::default();
    scoped(async {
        for _ in 0..2 {
            assert_eq!(result(&source, 1).await, Err("no 1".to_owned()));
            assert_eq!(lookup(&source, 1).await, Err("no 1".to_owned()));
            assert_eq!(fallible(&source, 1).await, Err("no 1".to_owned()));
        }
        assert_eq!(source.runs(), 6);
        for _ in 0..2 {
            assert_eq!(result(&source, 30).await.unwrap().version, 7);
            assert_eq!(lookup(&source, 30).await.unwrap().version, 8);
            assert_eq!(fallible(&source, 30).await.unwrap().unwrap().version, 9);
            assert_eq!(fallible(&source, 15).await.unwrap(), None);
        }
        assert_eq!(source.runs(), 10);

        let stored = CachingService::global().get::<User>("lookup:30").await;
        assert_eq!(stored.map(|user| user.version), Some(8), "what is stored is the value, whatever the alias");
        assert_eq!(lookup::get(30).await.as_deref(), Some(&Ok(User { id: 30, version: 8 })));
        lookup::put(30, Ok(User::default())).await;
        assert_eq!(lookup(&source, 30).await, Ok(User::default()));
        lookup::put(30, Err("gone".to_owned())).await;
        assert_eq!(lookup::get(30).await, None);
    })
    .await;
}

#[tokio::test]
async fn an_arc_is_handed_out_without_a_copy() {
    #[cached(key = "arc:{id}")]
    async fn plain(id: u64) -> Arc<User> {
        Arc::new(User { id, version: 0 })
    }
    #[cached(key = "arcs:{id}")]
    async fn nested(id: u64) -> Result<Option<Arc<User>>, String> {
        Ok(Some(Arc::new(User { id, version: 0 })))
    }
    scoped(async {
        let first = plain(1).await;
        assert!(Arc::ptr_eq(&first, &plain(1).await));
        assert!(Arc::ptr_eq(&first, &plain::get(1).await.unwrap()));
        let stored = CachingService::global().get::<User>(plain::key(1)).await.unwrap();
        assert!(Arc::ptr_eq(&first, &stored));
        let first = nested(1).await.unwrap().unwrap();
        assert!(Arc::ptr_eq(&first, &nested(1).await.unwrap().unwrap()));
    })
    .await;
}

#[tokio::test]
async fn types_are_found_where_the_function_is() {
    #[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
    struct Local(u64);

    #[cached(key = "local:{id}")]
    async fn local(id: u64) -> Local {
        Local(id)
    }
    scoped(async {
        assert_eq!(local(1).await, Local(1));
        assert_eq!(local::get(1).await.as_deref(), Some(&Local(1)));
    })
    .await;
}

mod inner {
    use super::*;

    /// Documented.
    #[cached(key = "visible:{id}")]
    #[must_use]
    #[allow(clippy::unused_async)]
    pub(crate) async fn visible(id: u64) -> u64 {
        id
    }
}

#[tokio::test]
async fn the_companion_is_as_visible_as_the_function() {
    use inner::visible;
    scoped(async {
        assert_eq!(visible(1).await, 1);
        assert_eq!(visible::get(1).await.as_deref(), Some(&1));
        assert_eq!(inner::visible::key(1), "visible:1");
    })
    .await;
}

#[tokio::test]
async fn a_function_may_be_called_like_one_of_its_companions() {
    #[cached(key = "get:{id}")]
    async fn get(id: u64) -> u64 {
        id
    }
    #[cached(key = "put:{value}")]
    async fn put(value: u64) -> u64 {
        value
    }
    scoped(async {
        assert_eq!((get(1).await, get::get(1).await.as_deref().copied()), (1, Some(1)));
        put::put(1, 2).await;
        assert_eq!(put(1).await, 2);
    })
    .await;
}

#[tokio::test]
async fn an_argument_may_be_called_like_its_function() {
    #[cached(key = "named:{named}")]
    async fn named(named: u64) -> u64 {
        named
    }
    scoped(async {
        named::put(1, 7).await;
        assert_eq!((named(1).await, named::refresh(1).await, named(1).await), (7, 1, 1));
    })
    .await;
}

/// A trait to be generic over.
trait Table: Send + Sync {
    type Row: Clone + Serialize + serde::de::DeserializeOwned + Send + Sync + 'static;
    fn row(&self, id: u64) -> Self::Row;
}

struct Users;

impl Table for Users {
    type Row = User;
    fn row(&self, id: u64) -> User {
        User { id, version: 1 }
    }
}

#[cached(key = "row:{T}:{id}", skip(table))]
async fn row<'a, T>(table: &'a T, id: u64) -> T::Row
where
    T: Table + ?Sized + 'a,
{
    table.row(id)
}

#[cached(skip(D))]
async fn count<D, const N: usize>(items: [u8; N]) -> usize
where
    D: Default + Send + 'static,
{
    let _ = D::default();
    items.len()
}

#[tokio::test]
async fn generic_functions_keep_their_parameters() {
    scoped(async {
        assert_eq!(row(&Users, 3).await.id, 3);
        row::invalidate::<Users>(3).await;
        assert_eq!(count::<u8, 2>([1, 2]).await, 2);
        assert_eq!(count::key([1, 2]), "cached::shapes::count(2:%l1%i2%i%z)");
    })
    .await;
}

struct Wrapped<T>(T);

struct Point {
    x: u64,
    y: u64,
}

#[tokio::test]
async fn patterns_and_impl_trait_are_arguments() {
    #[cached(key = "{id}:{x}-{y}:{name}:{text}", when = *x < 10)]
    async fn find(
        Wrapped(mut id): Wrapped<u64>,
        Point { x, y }: Point,
        name: impl Display + Send,
        mut text: Cow<'_, str>,
    ) -> String {
        id += 1;
        text.to_mut().push('!');
        format!("{id} {x} {y} {name} {text}")
    }
    scoped(async {
        let call = |x| find(Wrapped(1), Point { x, y: 3 }, 'n', Cow::Borrowed("t"));
        assert_eq!(call(2).await, "2 2 3 n t!");
        assert_eq!(find::key(Wrapped(1), Point { x: 2, y: 3 }, 'n', "t".into()), "1:2-3:n:t");
        assert!(find::get(Wrapped(1), Point { x: 2, y: 3 }, 'n', "t".into()).await.is_some());
        call(20).await;
        assert_eq!(find::get(Wrapped(1), Point { x: 20, y: 3 }, 'n', "t".into()).await, None);
    })
    .await;
}

#[tokio::test]
async fn a_body_may_call_its_own_function() {
    #[cached(key = "fibonacci:{n}")]
    async fn fibonacci(n: u64) -> u64 {
        match n {
            0 | 1 => n,
            _ => fibonacci(n - 1).await + fibonacci(n - 2).await,
        }
    }
    assert_eq!(scoped(fibonacci(50)).await, 12_586_269_025);
}

#[tokio::test]
async fn the_attribute_finds_a_renamed_crate() {
    use cache_aside as renamed;

    #[cached(key = "renamed:{id}", crate = renamed)]
    async fn find(id: u64) -> u64 {
        id
    }
    scoped(async {
        assert_eq!(find(1).await, 1);
        assert!(find::get(1).await.is_some());
    })
    .await;
}

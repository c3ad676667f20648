//! Failing loads that several callers wait for, for every kind of error type.

use super::*;
use cache_aside::SharedError;
use std::convert::Infallible;
use tokio::sync::Semaphore;

/// Lets bodies wait until the test has all its callers waiting.
#[derive(Clone)]
struct Gate {
    open: Arc<Semaphore>,
    runs: Arc<AtomicU64>,
}

impl Gate {
    fn new() -> Self {
        Self { open: Arc::new(Semaphore::new(0)), runs: Arc::default() }
    }

    /// Which run this is, once the gate is open.
    async fn pass(&self) -> u64 {
        let run = self.runs.fetch_add(1, Ordering::SeqCst) + 1;
        let _permit = self.open.acquire().await.unwrap();
        run
    }

    /// Starts every call, opens the gate when all of them wait, and returns what they gave and how many bodies ran.
    async fn all<T>(&self, calls: impl IntoIterator<Item = impl Future<Output = T>>) -> (Vec<T>, u64) {
        let mut calls: Vec<_> = calls.into_iter().map(Box::pin).collect();
        for call in &mut calls {
            assert!(is_pending(call).await);
        }
        self.open.add_permits(1_000);
        let results = futures_util::future::join_all(calls).await;
        (results, self.runs.load(Ordering::SeqCst))
    }
}

#[derive(Clone, Debug, PartialEq)]
struct Cloneable(u64);

#[cached(key = "clone:{id}", skip(gate))]
async fn by_clone(gate: Gate, id: u64) -> Result<u64, Cloneable> {
    Err(Cloneable(gate.pass().await * id))
}

#[tokio::test]
async fn callers_share_an_error_that_can_be_cloned() {
    let gate = Gate::new();
    let (errors, runs) = scoped(gate.all((0..5).map(|_| by_clone(gate.clone(), 1)))).await;
    assert_eq!((errors, runs), (vec![Err(Cloneable(1)); 5], 1));
}

#[cached(key = "anyhow:{id}", skip(gate))]
async fn by_anyhow(gate: Gate, id: u64) -> anyhow::Result<u64> {
    let run = gate.pass().await;
    Err(anyhow::anyhow!("the cause").context(format!("load {id}, run {run}")))
}

#[tokio::test]
async fn callers_share_an_anyhow_error() {
    let gate = Gate::new();
    let (errors, runs) = scoped(gate.all((0..5).map(|_| by_anyhow(gate.clone(), 7)))).await;
    assert_eq!(runs, 1);
    for error in errors {
        let error = error.unwrap_err();
        assert_eq!(format!("{error:#}"), "load 7, run 1: the cause");
    }
}

#[cached(key = "boxed:{id}", skip(gate))]
async fn by_box(gate: Gate, id: u64) -> Result<u64, Box<dyn std::error::Error + Send + Sync>> {
    let run = gate.pass().await;
    Err(format!("load {id}, run {run}").into())
}

#[tokio::test]
async fn callers_share_a_boxed_error() {
    let gate = Gate::new();
    let (errors, runs) = scoped(gate.all((0..5).map(|_| by_box(gate.clone(), 7)))).await;
    assert_eq!(runs, 1);
    assert!(errors.into_iter().all(|error| error.unwrap_err().to_string() == "load 7, run 1"));
}

#[cached(key = "eyre:{id}", load_timeout = "1m", skip(gate))]
async fn by_eyre(gate: Gate, id: u64) -> eyre::Result<u64> {
    let run = gate.pass().await;
    Err(eyre::eyre!("the cause").wrap_err(format!("load {id}, run {run}")))
}

#[tokio::test]
async fn callers_share_an_eyre_report() {
    let gate = Gate::new();
    let (errors, runs) = scoped(gate.all((0..5).map(|_| by_eyre(gate.clone(), 7)))).await;
    assert_eq!(runs, 1);
    for error in errors {
        let error = error.unwrap_err();
        assert_eq!(format!("{error:#}"), "load 7, run 1: the cause");
    }
}

#[derive(Debug)]
enum Converted {
    NotFound(u64),
    Shared(SharedError),
}

impl Display for Converted {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::NotFound(id) => write!(f, "no {id}"),
            Self::Shared(error) => error.fmt(f),
        }
    }
}

impl From<SharedError> for Converted {
    fn from(error: SharedError) -> Self {
        Self::Shared(error)
    }
}

#[cached(key = "converted:{id}", skip(gate))]
async fn by_conversion(gate: Gate, id: u64) -> Result<u64, Converted> {
    gate.pass().await;
    Err(Converted::NotFound(id))
}

#[tokio::test]
async fn callers_share_an_error_by_conversion_and_find_the_original() {
    let gate = Gate::new();
    let (errors, runs) = scoped(gate.all((0..5).map(|_| by_conversion(gate.clone(), 7)))).await;
    assert_eq!(runs, 1);
    let mut shared = 0;
    for error in errors {
        let error = error.unwrap_err();
        assert_eq!(error.to_string(), "no 7");
        if let Converted::Shared(error) = error {
            assert!(matches!(error.original::<Converted>(), Some(Converted::NotFound(7))));
            shared += 1;
        }
    }
    assert!(shared >= 4, "at most one caller has the loader's own error");
}

#[tokio::test]
async fn a_lone_caller_gets_the_error_itself() {
    let gate = Gate::new();
    gate.open.add_permits(1);
    let error = scoped(by_conversion(gate, 7)).await.unwrap_err();
    assert!(matches!(error, Converted::NotFound(7)), "{error:?}");
}

/// Neither `Clone` nor made from a [`SharedError`], nor even `Sync`.
#[derive(Debug)]
struct Unshareable(std::cell::Cell<u64>);

#[cached(key = "alone:{id}", skip(gate))]
async fn alone(gate: Gate, id: u64) -> Result<u64, Unshareable> {
    Err(Unshareable(std::cell::Cell::new(gate.pass().await * id)))
}

#[cached(key = "alone-inline:{id}", skip(gate))]
async fn alone_inline(gate: &Gate, id: u64) -> Result<u64, Unshareable> {
    Err(Unshareable(std::cell::Cell::new(gate.pass().await * id)))
}

#[tokio::test]
async fn callers_whose_error_cannot_be_shared_load_for_themselves() {
    let own = |results: Vec<Result<u64, Unshareable>>| {
        let mut runs: Vec<u64> = results.into_iter().map(|result| result.unwrap_err().0.get()).collect();
        runs.sort_unstable();
        runs
    };
    let gate = Gate::new();
    let (errors, runs) = scoped(gate.all((0..4).map(|_| alone(gate.clone(), 1)))).await;
    assert_eq!((own(errors), runs), (vec![1, 2, 3, 4], 4));

    let gate = Gate::new();
    let (errors, runs) = scoped(gate.all((0..4).map(|_| alone_inline(&gate, 1)))).await;
    assert_eq!((own(errors), runs), (vec![1, 2, 3, 4], 4));
}

/// `sqlx::Error` is neither `Clone` nor made from a [`SharedError`].
#[cached(key = "sqlx:{id}", skip(gate))]
async fn by_sqlx(gate: Gate, id: u64) -> Result<Option<u64>, sqlx::Error> {
    match gate.pass().await {
        _ if id == 0 => Err(sqlx::Error::RowNotFound),
        run => Ok(Some(run)),
    }
}

/// What one writes to share it.
#[derive(Debug, thiserror::Error)]
enum Database {
    #[error("the database failed")]
    Sqlx(#[from] sqlx::Error),
    #[error(transparent)]
    Shared(#[from] SharedError),
}

#[cached(key = "database:{id}", load_timeout = "1m", skip(gate))]
async fn by_database(gate: &Gate, id: u64) -> Result<u64, Database> {
    by_sqlx::uncached(gate.clone(), id).await?;
    Ok(id)
}

#[tokio::test]
async fn callers_share_a_value_and_load_for_themselves_where_sqlx_fails() {
    let gate = Gate::new();
    let (errors, runs) = scoped(gate.all((0..3).map(|_| by_sqlx(gate.clone(), 0)))).await;
    assert!(errors.iter().all(|error| matches!(error, Err(sqlx::Error::RowNotFound))), "{errors:?}");
    assert_eq!(runs, 3);

    let gate = Gate::new();
    let (values, runs) = scoped(gate.all((0..3).map(|_| by_sqlx(gate.clone(), 1)))).await;
    assert!(values.iter().all(|value| matches!(value, Ok(Some(1)))), "{values:?}");
    assert_eq!(runs, 1);
}

#[tokio::test]
async fn an_error_of_sqlx_within_a_users_own_is_shared() {
    let gate = Gate::new();
    let (errors, runs) = scoped(gate.all((0..4).map(|_| by_database(&gate, 0)))).await;
    assert_eq!(runs, 1);
    for error in errors {
        let error = error.unwrap_err();
        assert_eq!(error.to_string(), "the database failed");
        let original = match &error {
            Database::Shared(shared) => shared.original::<Database>(),
            own => Some(own),
        };
        assert!(matches!(original, Some(Database::Sqlx(sqlx::Error::RowNotFound))), "{error:?}");
    }
}

#[cached(key = "fine:{id}", skip(gate))]
async fn fine(gate: Gate, id: u64) -> Result<Option<u64>, Unshareable> {
    Ok(Some(gate.pass().await * id))
}

#[cached(key = "infallible:{id}", skip(gate))]
async fn infallible(gate: Gate, id: u64) -> Result<u64, Infallible> {
    Ok(gate.pass().await * id)
}

#[tokio::test]
async fn callers_share_a_value_whatever_the_error_type() {
    let gate = Gate::new();
    let (values, runs) = scoped(gate.all((0..4).map(|_| fine(gate.clone(), 1)))).await;
    assert_eq!(runs, 1);
    assert!(values.into_iter().all(|value| value.unwrap() == Some(1)));

    let gate = Gate::new();
    let (values, runs) = scoped(gate.all((0..4).map(|_| infallible(gate.clone(), 1)))).await;
    assert_eq!((values, runs), (vec![Ok(1); 4], 1));
}

#[cached(key = "panics:{id}", skip(gate))]
async fn panics(gate: Gate, id: u64) -> u64 {
    let run = gate.pass().await;
    assert!(run > 1, "the first load of {id} panics");
    run
}

#[tokio::test]
async fn a_panic_resumes_in_every_caller_and_frees_the_key() {
    use futures_util::FutureExt;
    use std::panic::AssertUnwindSafe;

    let gate = Gate::new();
    scoped(async {
        let calls = (0..3).map(|_| AssertUnwindSafe(panics(gate.clone(), 1)).catch_unwind());
        let (results, runs) = gate.all(calls).await;
        assert!(results.iter().all(Result::is_err));
        assert_eq!(runs, 1);
        assert_eq!(panics(gate.clone(), 1).await, 2);
    })
    .await;
}

/// The messages of the panics of this process that were reported while `run` was.
async fn reported<T>(run: impl Future<Output = T>) -> (T, Vec<String>) {
    let messages = Arc::new(std::sync::Mutex::new(Vec::new()));
    let (collected, before) = (Arc::clone(&messages), std::panic::take_hook());
    std::panic::set_hook(Box::new(move |panic| {
        collected.lock().unwrap().push(panic.to_string());
        before(panic);
    }));
    let result = run.await;
    let messages = messages.lock().unwrap().clone();
    (result, messages)
}

#[tokio::test]
async fn a_caller_whose_load_is_cut_off_by_the_end_of_the_service_is_told_so() {
    let (gate, service) = (Gate::new(), service().await);
    let mut call = Box::pin(service.clone().scope(by_conversion(gate.clone(), 7)));
    assert!(is_pending(&mut call).await);
    service.shutdown().await;
    match call.await {
        Err(Converted::Shared(error)) => assert!(error.is_cancelled() && !error.is_timeout(), "{error}"),
        other => panic!("{other:?}"),
    }
}

#[tokio::test]
async fn a_panic_of_a_caller_whose_load_was_cut_off_is_reported() {
    use futures_util::FutureExt;
    use std::panic::AssertUnwindSafe;

    let (gate, service) = (Gate::new(), service().await);
    let mut calls = (
        Box::pin(AssertUnwindSafe(service.clone().scope(by_clone(gate.clone(), 7))).catch_unwind()),
        Box::pin(AssertUnwindSafe(service.clone().scope(alone(gate.clone(), 7))).catch_unwind()),
    );
    assert!(is_pending(&mut calls.0).await && is_pending(&mut calls.1).await);
    // One that has not begun yet would be run by its caller.
    while gate.runs.load(Ordering::SeqCst) < 2 {
        tokio::task::yield_now().await;
    }
    service.shutdown().await;
    let (ended, messages) = reported(async { (calls.0.await.is_err(), calls.1.await.is_err()) }).await;
    assert_eq!(ended, (true, true), "neither error can say so");
    let shut_down = messages.iter().filter(|message| message.contains("the service was shut down")).count();
    assert_eq!(shut_down, 2, "{messages:?}");
}

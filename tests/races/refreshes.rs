//! A refresh, and a stale value that is served in its place, when something overtakes them.

use std::sync::Arc;
use std::time::Duration;

use cache_aside::{CachingService, EntryBuilder, Event, LoadError};
use tokio::task::JoinHandle;

use crate::gated::Point;
use crate::setting::{Change, NEW, OLD, Setting, Writer, changes, changes_of_nodes};
use crate::support::{Gate, eventually, near, until};

const MINUTE: Duration = Duration::from_secs(60);
const DAY: Duration = Duration::from_secs(24 * 60 * 60);
/// What a refresh loads. It is as old as its begin.
const REFRESHED: &str = "refreshed";

/// A call that may be served what is a minute old for a day, in need, and for an hour at once.
fn entry<'a>(node: &'a CachingService, key: &'a str) -> EntryBuilder<'a> {
    let entry = node.entry(key).ttl(MINUTE).jitter(0.0).tags([key]).stale_if_error(DAY);
    entry.stale_while_revalidate(MINUTE * 60).error_throttle(MINUTE)
}

/// A call that may be served it in need alone.
fn in_need<'a>(node: &'a CachingService, key: &'a str) -> EntryBuilder<'a> {
    entry(node, key).stale_while_revalidate(Duration::ZERO)
}

type Call = JoinHandle<Result<Arc<String>, LoadError<&'static str>>>;

/// Calls by a loader that stands at a gate, and then gives `answer`.
fn call(
    node: &CachingService,
    key: &str,
    settings: impl FnOnce(EntryBuilder<'_>) -> EntryBuilder<'_> + Send + 'static,
    answer: Result<&'static str, &'static str>,
) -> (Call, Gate) {
    let (node, key, gate) = (node.clone(), key.to_owned(), Gate::default());
    let passed = gate.clone();
    let load = move || async move {
        passed.pass().await;
        answer.map(str::to_owned)
    };
    (tokio::spawn(async move { settings(entry(&node, &key)).get_or_load(load).await }), gate)
}

/// What the caller has got, if that is all that `node` has of it.
async fn served(call: Call) -> Result<String, &'static str> {
    match call.await.unwrap() {
        Ok(value) => Ok(String::clone(&value)),
        Err(error) => Err(error.source_error().copied().unwrap_or("another")),
    }
}

impl Setting {
    /// A value that is stale on a and in Redis.
    async fn with_stale(&self, key: &str) {
        entry(&self.a, key).set(OLD.to_owned()).await;
        self.clock.advance(MINUTE * 2);
        self.a_has_heard().await;
    }

    /// Checks that a refresh in the background, whose caller is served at once, is stored nowhere when `change` overtakes it.
    async fn assert_refused(
        &self,
        change: Change,
        writer: Writer,
        key: &str,
        settings: impl FnOnce(EntryBuilder<'_>) -> EntryBuilder<'_> + Send + 'static,
    ) {
        let (caller, gate) = call(&self.a, key, settings, Ok(REFRESHED));
        assert_eq!(served(caller).await.as_deref(), Ok(OLD), "at once");
        gate.reached().await;
        self.change(change, writer, key).await;
        self.a_has_heard().await;
        let mut events = self.events();
        gate.open();
        until(&mut events, "it is refused", |event| matches!(event, Event::FillFenced { .. })).await;
        self.assert_forgotten(change, writer, key).await;
    }

    /// Checks that no tier of any node has anything from before `change`, stale or not.
    async fn assert_forgotten(&self, change: Change, writer: Writer, key: &str) {
        self.assert_void(change, writer, key).await;
        for node in [&self.a, &self.b] {
            let asked = in_need(node, key).get_or_load(|| async { Err::<String, _>("nothing is there") }).await;
            let expected = if change == Change::Set { Some(NEW) } else { None };
            assert_eq!(asked.ok().as_deref().map(String::as_str), expected, "{change:?} by {writer:?}");
        }
    }
}

fn cases(all: impl Iterator<Item = (Change, Writer)>) -> impl Iterator<Item = (Change, Writer, String)> {
    all.map(|(change, writer)| (change, writer, format!("{change:?}{writer:?}")))
}

/// FusionCache #535 and #628: a background refresh that outlives a tag, a clear, or a removal.
#[tokio::test]
async fn a_background_refresh_that_a_change_overtakes_is_stored_nowhere() {
    let setting = Setting::new().await;
    for (change, writer, key) in cases(changes()) {
        setting.with_stale(&key).await;
        setting.assert_refused(change, writer, &key, |entry| entry).await;
    }
}

/// The refresh ends before the record has come to its node.
#[tokio::test]
async fn a_refresh_that_ends_as_a_change_returns_is_stored_nowhere() {
    let setting = Setting::new().await;
    for (change, writer, key) in cases(changes()) {
        setting.with_stale(&key).await;
        let (caller, gate) = call(&setting.a, &key, |entry| entry, Ok(REFRESHED));
        assert_eq!(served(caller).await.as_deref(), Ok(OLD), "at once");
        gate.reached().await;
        let held = setting.bus.hold_replies();
        setting.change(change, writer, &key).await;
        let refused = setting.a.stats().fenced_fills;
        gate.open();
        // Redis refuses it, but for one whose tag was invalidated: that is void by its birth, as soon as the record has come.
        eventually("it has ended", || async {
            setting.a.stats().fenced_fills > refused || near(&setting.a, &key).await.as_deref() == Some(REFRESHED)
        })
        .await;
        held.release();
        setting.assert_forgotten(change, writer, &key).await;
    }
}

async fn overtaken_at(point: Point, changes: impl Iterator<Item = (Change, Writer)>) {
    let setting = Setting::new().await;
    for (change, writer, key) in cases(changes) {
        setting.with_stale(&key).await;
        let held = setting.gates.close(point);
        let (caller, gate) =
            call(&setting.a, &key, |entry| entry.stale_while_revalidate(Duration::ZERO), Ok(REFRESHED));
        gate.reached().await;
        gate.open();
        held.reached().await;
        setting.change(change, writer, &key).await;
        setting.a_has_heard().await;
        held.open();
        assert_eq!(served(caller).await.as_deref(), Ok(REFRESHED), "it was loaded before the change");
        setting.assert_forgotten(change, writer, &key).await;
    }
}

#[tokio::test]
async fn a_refill_that_a_change_overtakes_on_its_way_to_redis_is_refused() {
    overtaken_at(Point::RefillSent, changes()).await;
}

#[tokio::test]
async fn a_refill_that_a_change_overtakes_on_its_way_back_is_not_kept_near() {
    overtaken_at(Point::RefillAnswered, changes_of_nodes()).await;
}

/// FusionCache #625: the fallback of a load that fails after its key was invalidated.
#[tokio::test]
async fn what_was_invalidated_during_a_load_is_not_served_when_the_load_fails() {
    let setting = Setting::new().await;
    for (change, writer, key) in cases(changes_of_nodes()) {
        setting.with_stale(&key).await;
        let (caller, gate) = call(&setting.a, &key, |entry| entry.stale_while_revalidate(Duration::ZERO), Err("down"));
        gate.reached().await;
        setting.change(change, writer, &key).await;
        setting.a_has_heard().await;
        gate.open();
        assert_eq!(served(caller).await, Err("down"), "{change:?} by {writer:?}");
        setting.assert_forgotten(change, writer, &key).await;
    }
}

#[tokio::test]
async fn what_was_invalidated_during_a_load_is_not_served_when_the_load_takes_long() {
    let setting = Setting::new().await;
    for (change, writer, key) in cases(changes_of_nodes()) {
        setting.with_stale(&key).await;
        let (caller, gate) = call(
            &setting.a,
            &key,
            |entry| entry.stale_while_revalidate(Duration::ZERO).soft_timeout(Duration::from_secs(7)),
            Ok(REFRESHED),
        );
        gate.reached().await;
        setting.change(change, writer, &key).await;
        setting.a_has_heard().await;
        setting.clock.advance(Duration::from_secs(8));
        // Long enough for the caller to be woken and to take what it may.
        setting.a_has_heard().await;
        assert!(!caller.is_finished(), "{change:?} by {writer:?}");
        gate.open();
        assert_eq!(served(caller).await.as_deref(), Ok(REFRESHED), "{change:?} by {writer:?}");
        setting.assert_forgotten(change, writer, &key).await;
    }
}

/// While the source is left alone after a failure, what is stale is all that callers get: and not when it is void.
#[tokio::test]
async fn what_was_invalidated_is_not_served_in_place_of_a_load_that_is_throttled() {
    let setting = Setting::new().await;
    for (change, writer, key) in cases(changes_of_nodes()) {
        setting.with_stale(&key).await;
        for expected in [1, 1] {
            let before = setting.a.stats().loads;
            let failed = in_need(&setting.a, &key).get_or_load(|| async { Err::<String, _>("down") }).await;
            assert_eq!(*failed.unwrap(), OLD);
            assert!(setting.a.stats().loads - before <= expected);
        }
        setting.change(change, writer, &key).await;
        setting.a_has_heard().await;
        let loaded = in_need(&setting.a, &key).get_or_load(|| async { Ok::<_, &str>(NEW.to_owned()) }).await;
        assert_eq!(*loaded.unwrap(), NEW, "{change:?} by {writer:?}");
    }
}

/// An early refresh is of a value that is still fresh.
#[tokio::test]
async fn an_early_refresh_that_a_change_overtakes_is_stored_nowhere() {
    let setting = Setting::new().await;
    for (change, writer, key) in cases(changes()) {
        let (caller, gate) = call(&setting.a, &key, |entry| entry.refresh_ahead(1e6), Ok(OLD));
        gate.reached().await;
        setting.clock.advance(Duration::from_secs(1));
        gate.open();
        assert_eq!(served(caller).await.as_deref(), Ok(OLD));
        setting.a_has_heard().await;
        setting.assert_refused(change, writer, &key, |entry| entry.refresh_ahead(1e6)).await;
    }
}

/// A refresh of one node is not undone by a read of another that it has overtaken.
#[tokio::test]
async fn a_read_that_a_refresh_overtakes_does_not_put_the_old_value_back() {
    let setting = Setting::new().await;
    setting.with_stale("k").await;
    // The read by another type's caller, so that it takes no part in the refresh.
    let answered = setting.gates.close(Point::GetAnswered);
    let reader = tokio::spawn({
        let a = setting.a.clone();
        async move { a.get::<String>("k").await }
    });
    answered.reached().await;
    let refreshed = in_need(&setting.a, "k").get_or_load(|| async { Ok::<_, &str>(REFRESHED.to_owned()) }).await;
    assert_eq!(*refreshed.unwrap(), REFRESHED);
    answered.open();
    reader.await.unwrap();
    assert_eq!(*setting.a.get::<String>("k").await.unwrap(), REFRESHED);
}

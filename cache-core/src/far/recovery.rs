//! Brings a far tier back: pings it until it answers, delivers what it missed, and only then lets it be read again.

use std::pin::pin;
use std::sync::atomic::Ordering;
use std::time::Duration;

use backon::BackoffBuilder;

use super::{Far, Manner, Owed};
use crate::coherence::{Change, Coherence, Position};
use crate::error::TierError;
use crate::event::Event;

/// The shortest and the longest wait between two attempts.
const WAITS: (Duration, Duration) = (Duration::from_millis(50), Duration::from_millis(250));

impl Far {
    /// Mends the tier whenever it is down or owed something, for ever.
    pub(crate) async fn recover(&self, coherence: &Coherence) {
        // Another may have ended with its runtime, and have taken note of what there is to do.
        loop {
            let (shortest, longest) = WAITS;
            let mut waits = backon::ExponentialBuilder::default()
                .with_min_delay(shortest)
                .with_max_delay(longest)
                .without_max_times()
                .with_jitter()
                .build();
            while self.mend(coherence).await.is_err() {
                self.clock.sleep(waits.next().unwrap_or(longest)).await;
            }
            self.work.notified().await;
        }
    }

    /// One attempt to make the tier ready.
    pub(crate) async fn mend(&self, coherence: &Coherence) -> Result<(), TierError> {
        let was_down = self.breaker.is_open();
        if was_down {
            let answer = self.attempt(self.tier.ping()).await;
            self.events.emit(Event::TierProbed { tier: self.tier.name(), answered: answer.is_ok() });
            answer?;
            // One that answers pings may do nothing else yet.
            self.drain_next(coherence).await?;
            // It hears of changes from now on, and is asked when it has been delivered what it is owed.
            self.breaker.close();
        }
        let drained = self.drain(coherence).await;
        if was_down && drained.is_err() {
            self.breaker.open();
        }
        drained?;
        self.announce_delivered();
        // Also where another recovery has found it down, which ended with its runtime.
        if !self.breaker.is_open() {
            self.tell_up();
        }
        self.free_owed(coherence).await?;
        self.announce_delivered();
        Ok(())
    }

    /// Delivers what the tier is owed, and waits for what is on its way, for up to three timeouts. To be called when [`Far::recover`] has ended.
    pub(crate) async fn settle(&self, coherence: &Coherence) {
        let attempts = async {
            loop {
                // Before the queue, which has what could not be delivered before that counts as no more under way.
                let is_quiet = self.under_way.load(Ordering::Acquire) == 0;
                let delivered = self.queued() == 0 || self.mend(coherence).await.is_ok();
                if is_quiet && delivered {
                    break;
                }
                // Not on the service's clock: like the bound, it is there for a peer that does not answer.
                tokio::time::sleep(WAITS.0).await;
            }
        };
        // What is left is told of below.
        let _ = tokio::time::timeout(self.timeout.saturating_mul(3), attempts).await;
        self.settled.store(true, Ordering::Release);
        self.tell_lost();
    }

    /// Tells of what nobody delivers any more. What is void by a record that stands is void, freed or not.
    pub(super) fn tell_lost(&self) {
        let queued = self.lock_queue().unheard() as u64;
        if queued > 0 {
            self.events.emit(Event::InvalidationsLost { tier: self.tier.name(), queued });
        }
    }

    /// Tells the tier of what it has yet to hear of.
    async fn drain(&self, coherence: &Coherence) -> Result<(), TierError> {
        while self.drain_next(coherence).await? {}
        Ok(())
    }

    /// Tells the tier of the next change. False when there is none.
    async fn drain_next(&self, coherence: &Coherence) -> Result<bool, TierError> {
        let Some(change) = self.take_queued() else { return Ok(false) };
        let owed = Owed::new(self, coherence, &change);
        // After it was taken: whoever owes it in place of a write has said so before.
        self.held_off().await;
        owed.carry_record().await?;
        Ok(true)
    }

    fn take_queued(&self) -> Option<Change> {
        let mut queue = self.lock_queue();
        let change = queue.take();
        if change.is_none() {
            self.backlog.store(false, Ordering::Release);
        }
        change
    }

    /// Frees what is void in the tier by changes that it has heard of. What comes in meanwhile does not wait for that.
    async fn free_owed(&self, coherence: &Coherence) -> Result<(), TierError> {
        while let Some((change, position)) = self.take_scan() {
            let mut freed = pin!(Owed::scan(self, coherence, &change, position).carry(Manner::default()));
            loop {
                tokio::select! {
                    freed = &mut freed => {
                        freed?;
                        break;
                    }
                    () = self.work.notified() => {
                        if self.breaker.is_open() {
                            // Nobody but the next attempt looks whether the tier is back. The scan is owed from its beginning.
                            return Err(TierError::unavailable(format!("{} is away", self.tier.name())));
                        }
                        self.drain(coherence).await?;
                    }
                }
            }
        }
        Ok(())
    }

    fn take_scan(&self) -> Option<(Change, Position)> {
        self.lock_queue().take_scan()
    }

    /// Tells that nothing waits any more, if that is so, and anybody was told that something did.
    fn announce_delivered(&self) {
        let queue = self.lock_queue();
        let delivered = queue.len() == 0 && self.announced.swap(false, Ordering::AcqRel);
        drop(queue);
        self.update_state();
        if delivered {
            self.events.emit(Event::InvalidationsDelivered { tier: self.tier.name() });
        }
    }
}

#[cfg(test)]
mod tests {
    use std::ops::ControlFlow;
    use std::sync::atomic::AtomicUsize;
    use std::sync::{Arc, Mutex};

    use async_trait::async_trait;
    use tokio::time::Instant;

    use super::*;
    use crate::clock::{Clock, SystemClock};
    use crate::coherence::{Change, Timings};
    use crate::entry::Entry;
    use crate::event::Events;
    use crate::far::FarLimits;
    use crate::key::Key;
    use crate::pattern::Pattern;
    use crate::stats::Counters;
    use crate::tier::CacheTier;

    /// Breaks where it is never to end.
    type Once = Box<dyn FnOnce() -> ControlFlow<()> + Send>;

    /// A tier that notes when it was told to delete, and what happens while it removes by a pattern.
    #[derive(Clone, Default)]
    struct Told(Arc<Mutex<Vec<Instant>>>, Arc<Mutex<Option<Once>>>);

    #[async_trait]
    impl CacheTier for Told {
        fn name(&self) -> &'static str {
            "told"
        }

        async fn get(&self, _: &Key) -> Result<Option<Entry>, TierError> {
            Ok(None)
        }

        async fn set(&self, _: &Key, _: Entry, _: Duration) -> Result<(), TierError> {
            Ok(())
        }

        async fn delete(&self, _: &[Key]) -> Result<u64, TierError> {
            self.0.lock().unwrap().push(Instant::now());
            Ok(0)
        }

        async fn invalidate_pattern(&self, _: &Pattern) -> Result<u64, TierError> {
            let meanwhile = self.1.lock().unwrap().take();
            if let Some(meanwhile) = meanwhile
                && meanwhile().is_break()
            {
                std::future::pending::<()>().await;
            }
            Ok(0)
        }

        async fn ping(&self) -> Result<(), TierError> {
            Ok(())
        }
    }

    #[tokio::test(start_paused = true)]
    async fn what_is_owed_for_a_write_comes_after_the_write_can_run() {
        let clock: Arc<dyn Clock> = Arc::new(SystemClock::new());
        let (told, limits) = (
            Told::default(),
            FarLimits { timeout: Duration::from_secs(1), breaker_threshold: 3, queue_capacity: 10, read_retries: 0 },
        );
        let far = Far::new(Arc::new(told.clone()), Arc::clone(&clock), limits);
        let coherence = Coherence::new(None, clock, Arc::new(Counters::default()), Timings::TEST, false);
        let change = Change::Keys([Key::new("k").unwrap()].into());

        Owed::in_place_of_write(&far, &coherence, &change).delivered();
        assert!(far.is_ready(), "what is delivered is not owed");
        let given_up = Instant::now();
        drop(Owed::in_place_of_write(&far, &coherence, &change));
        assert!(!far.is_ready());
        far.mend(&coherence).await.unwrap();
        assert!(far.is_ready());
        assert_eq!(*told.0.lock().unwrap(), [given_up + limits.timeout]);

        drop(Owed::new(&far, &coherence, &change));
        far.mend(&coherence).await.unwrap();
        assert_eq!(told.0.lock().unwrap()[1], given_up + limits.timeout, "an invalidation is delivered at once");
    }

    /// Each takes as long to be delivered as it takes for the next to be made.
    #[tokio::test(start_paused = true)]
    async fn steady_changes_do_not_keep_a_tier_from_being_used_again() {
        let (far, clock) = (far(0), Arc::new(SystemClock::new()));
        let coherence = Coherence::new(None, clock, Arc::new(Counters::default()), Timings::TEST, false);
        let change = |n: u32| Change::Keys([Key::new(n.to_string()).unwrap()].into());
        far.enqueue(&change(0), &coherence);
        assert!(!far.is_ready());
        let mut delivery = std::pin::pin!(far.mend(&coherence));
        for n in 1..10 {
            assert!(far.invalidate(&change(n), Manner::default(), &coherence).await.is_ok(), "it hears of what is new");
            assert!(!far.is_ready(), "it is owed something");
        }
        assert_eq!(far.queued(), 1);
        (&mut delivery).await.unwrap();
        assert!(far.is_ready());
        drop(Owed::in_place_of_write(&far, &coherence, &change(0)));
        assert!(
            far.invalidate(&change(0), Manner::default(), &coherence).await.is_err(),
            "the write may come after it"
        );
    }

    #[test]
    fn a_scan_keeps_a_tier_from_nothing_and_does_not_hide_what_is_on_its_way() {
        let coherence = Coherence::new(None, Arc::new(SystemClock::new()), Arc::default(), Timings::TEST, false);
        let (far, key) = (far(0), Change::Keys([Key::new("k").unwrap()].into()));
        let scan = || far.enqueue_scan(&Change::Pattern(Pattern::all()), Position::new(1, 0), &coherence);
        scan();
        assert!(far.is_ready() && far.queued() == 1);
        far.enqueue(&key, &coherence);
        assert_eq!(far.take_queued(), Some(key));
        scan();
        assert!(!far.is_ready(), "the key is on its way");
        assert!(far.take_queued().is_none() && far.is_ready());
    }

    #[tokio::test(start_paused = true)]
    async fn a_write_that_is_given_up_while_others_are_delivered_is_waited_for_as_well() {
        let clock: Arc<dyn Clock> = Arc::new(SystemClock::new());
        let (told, timeout) = (Told::default(), Duration::from_secs(1));
        let limits = FarLimits { timeout, breaker_threshold: 3, queue_capacity: 10, read_retries: 0 };
        let far: &Far = Box::leak(Box::new(Far::new(Arc::new(told.clone()), Arc::clone(&clock), limits)));
        let coherence = Coherence::new(None, clock, Arc::new(Counters::default()), Timings::TEST, false);
        let coherence: &Coherence = Box::leak(Box::new(coherence));
        let change: &Change = Box::leak(Box::new(Change::Keys([Key::new("k").unwrap()].into())));

        let write = Owed::in_place_of_write(far, coherence, change);
        drop(Owed::new(far, coherence, &Change::Pattern(Pattern::all())));
        *told.1.lock().unwrap() = Some(Box::new(move || {
            drop(write);
            ControlFlow::Continue(())
        }));
        let given_up = Instant::now();
        far.mend(coherence).await.unwrap();
        assert_eq!(*told.0.lock().unwrap(), [given_up + timeout]);
    }

    #[tokio::test(start_paused = true)]
    async fn a_tier_that_goes_down_while_it_is_scanned_is_brought_back() {
        let clock: Arc<dyn Clock> = Arc::new(SystemClock::new());
        let (told, timeout) = (Told::default(), Duration::from_secs(1));
        let limits = FarLimits { timeout, breaker_threshold: 3, queue_capacity: 10, read_retries: 0 };
        let far: &Far = Box::leak(Box::new(Far::new(Arc::new(told.clone()), Arc::clone(&clock), limits)));
        let coherence = Coherence::new(None, clock, Arc::new(Counters::default()), Timings::TEST, false);
        far.enqueue_scan(&Change::Pattern(Pattern::all()), Position::new(1, 0), &coherence);
        *told.1.lock().unwrap() = Some(Box::new(move || {
            for _ in 0..limits.breaker_threshold {
                assert!(far.note(Err::<(), _>(TierError::unavailable("broken"))).is_err());
            }
            ControlFlow::Break(())
        }));
        let recovery = tokio::time::timeout(Duration::from_secs(60), far.recover(&coherence)).await;
        assert!(recovery.is_err() && far.is_ready(), "nothing else will look whether it is back");
        assert_eq!(far.queued(), 0);
    }

    /// What a recovery had taken note of that ended with its runtime.
    #[tokio::test(start_paused = true)]
    async fn a_recovery_goes_on_where_another_was_cut_off() {
        let (far, coherence) = (far(0), coherence());
        far.enqueue(&Change::Keys([Key::new("k").unwrap()].into()), &coherence);
        far.work.notified().await;
        let recovery = tokio::time::timeout(Duration::from_secs(60), far.recover(&coherence)).await;
        assert!(recovery.is_err() && far.is_ready() && far.queued() == 0);
    }

    /// A tier that answers pings, and nothing else.
    struct Stuck(Arc<AtomicUsize>);

    #[async_trait]
    impl CacheTier for Stuck {
        fn name(&self) -> &'static str {
            "stuck"
        }

        async fn get(&self, _: &Key) -> Result<Option<Entry>, TierError> {
            std::future::pending().await
        }

        async fn set(&self, _: &Key, _: Entry, _: Duration) -> Result<(), TierError> {
            std::future::pending().await
        }

        async fn delete(&self, _: &[Key]) -> Result<u64, TierError> {
            self.0.fetch_add(1, Ordering::SeqCst);
            std::future::pending().await
        }

        async fn invalidate_pattern(&self, _: &Pattern) -> Result<u64, TierError> {
            std::future::pending().await
        }

        async fn ping(&self) -> Result<(), TierError> {
            Ok(())
        }
    }

    #[tokio::test(start_paused = true)]
    async fn a_tier_that_only_answers_pings_is_told_of_as_down_once_and_keeps_no_caller() {
        let (deletes, coherence) = (Arc::new(AtomicUsize::new(0)), coherence());
        let (far, told) = told_of(Stuck(Arc::clone(&deletes)), 2);
        let calls = async {
            for n in 0..200 {
                let change = Change::Keys([Key::new(n.to_string()).unwrap()].into());
                let began = Instant::now();
                assert!(far.invalidate(&change, Manner::default(), &coherence).await.is_err());
                let by = began.elapsed();
                assert!(n < 2 || by < far.timeout(), "call {n} waited for a tier that is down: {by:?}");
                tokio::time::sleep(Duration::from_millis(100)).await;
            }
        };
        tokio::select! {
            () = calls => {}
            () = far.recover(&coherence) => {}
        }
        assert_eq!(*told.lock().unwrap(), ["down"]);
        assert!(deletes.load(Ordering::SeqCst) > 10, "it is tried again and again");
    }

    #[tokio::test(start_paused = true)]
    async fn what_was_told_of_as_down_is_told_of_as_up_also_by_another_recovery() {
        let (tier, coherence) = (Told::default(), coherence());
        let (far, told) = told_of(tier.clone(), 1);
        let break_off = || assert!(far.note(Err::<(), _>(TierError::unavailable("broken"))).is_err());
        break_off();
        far.enqueue(&Change::Keys([Key::new("k").unwrap()].into()), &coherence);
        far.enqueue(&Change::Pattern(Pattern::all()), &coherence);
        // It ends with its runtime when the tier hears of changes again, and has yet to be told of all.
        *tier.1.lock().unwrap() = Some(Box::new(|| ControlFlow::Break(())));
        let first = tokio::time::timeout(Duration::from_secs(1), far.recover(&coherence));
        assert!(first.await.is_err() && *told.lock().unwrap() == ["down"]);
        let second = tokio::time::timeout(Duration::from_secs(60), far.recover(&coherence)).await;
        assert!(second.is_err() && far.is_ready());
        assert_eq!(*told.lock().unwrap(), ["down", "up"]);
        break_off();
        assert_eq!(*told.lock().unwrap(), ["down", "up", "down"]);
    }

    #[tokio::test(start_paused = true)]
    async fn the_end_waits_for_what_is_on_its_way_and_what_comes_later_is_told_of_as_lost() {
        let (coherence, (far, told)) = (coherence(), told_of(Told::default(), 3));
        let change = Change::Keys([Key::new("k").unwrap()].into());
        let under_way = Owed::new(&far, &coherence, &change);
        let mut end = pin!(far.settle(&coherence));
        assert!(futures_util::poll!(&mut end).is_pending());
        under_way.delivered();
        end.await;
        assert!(told.lock().unwrap().is_empty());
        drop(Owed::new(&far, &coherence, &change));
        assert_eq!(*told.lock().unwrap(), ["lost"]);
    }

    /// A tier whose breaker opens after so many outages in a row, and what is told of it.
    fn told_of(tier: impl CacheTier, breaker_threshold: u32) -> (Far, Arc<Mutex<Vec<&'static str>>>) {
        let timeout = Duration::from_secs(1);
        let limits = FarLimits { timeout, breaker_threshold, queue_capacity: 1_000, read_retries: 0 };
        let told = Arc::new(Mutex::new(Vec::new()));
        let heard = Arc::clone(&told);
        let tell = move |event: &Event| {
            let what = match event {
                Event::TierDown { .. } => "down",
                Event::TierUp { .. } => "up",
                Event::InvalidationsLost { .. } => "lost",
                _ => return,
            };
            heard.lock().unwrap().push(what);
        };
        let events = Events::new(Some(Box::new(tell)), Arc::default());
        let far = Far::new(Arc::new(tier), Arc::new(SystemClock::new()), limits);
        (far.with_events(Arc::new(events)), told)
    }

    fn coherence() -> Coherence {
        Coherence::new(None, Arc::new(SystemClock::new()), Arc::default(), Timings::TEST, false)
    }

    fn far(read_retries: usize) -> Far {
        let limits =
            FarLimits { timeout: Duration::from_secs(1), breaker_threshold: 3, queue_capacity: 10, read_retries };
        Far::new(Arc::new(Told::default()), Arc::new(SystemClock::new()), limits)
    }

    /// Reads with as many retries as given, where each attempt ends as given, and tells what came of it, how many attempts
    /// there were, and how long it took.
    async fn read(retries: usize, attempts: &[Result<u8, TierError>]) -> (Option<u8>, usize, Duration) {
        let (far, began, made) = (far(retries), Instant::now(), AtomicUsize::new(0));
        let attempt = || {
            let outcome = attempts[made.fetch_add(1, Ordering::SeqCst)].clone();
            async move { outcome }
        };
        let result = far.read(attempt).await;
        let made = made.into_inner();
        assert_eq!(far.counters.retries.get(), made.saturating_sub(1) as u64);
        (result, made, began.elapsed())
    }

    #[tokio::test(start_paused = true)]
    async fn a_read_is_made_again_after_a_fault_but_not_after_a_timeout_or_a_refusal() {
        let broken = Err(TierError::unavailable("broken"));
        let (late, refused) = (Err(TierError::timed_out("late")), Err(TierError::refused("refused")));
        let (value, attempts, took) = read(1, &[broken.clone(), Ok(7)]).await;
        assert_eq!((value, attempts), (Some(7), 2));
        assert!((Duration::from_millis(5)..=Duration::from_millis(11)).contains(&took), "{took:?}");
        for (retries, outcomes, attempts) in [
            (0, vec![broken.clone()], 1),
            (2, vec![broken.clone(), broken.clone(), Ok(7)], 3),
            (2, vec![late.clone()], 1),
            (2, vec![broken.clone(), late], 2),
            (2, vec![refused], 1),
        ] {
            assert_eq!(read(retries, &outcomes).await.1, attempts, "{outcomes:?}");
        }
        let (value, attempts, _) = read(9, &[broken.clone(), broken.clone(), broken]).await;
        assert_eq!((value, attempts), (None, 3), "the third failure opens the breaker");
    }
}

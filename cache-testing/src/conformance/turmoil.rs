//! Many callers, and callers that go away.

use std::future::Future;
use std::sync::Arc;

use cache_core::{CacheTier, Key, Pattern, TierError};
use tokio::task::JoinSet;

use super::support::{HOUR, assert_absent, assert_holds, entry, get, key, payload, set};

const TASKS: usize = 64;
const ROUNDS: usize = 20;
const CANCELLED_CALLS: usize = 1_000;

async fn join(mut tasks: JoinSet<()>) {
    while let Some(outcome) = tasks.join_next().await {
        outcome.expect("no task panics");
    }
}

/// Each task reads what it wrote, whatever the others do to their keys.
pub async fn many_tasks_share_the_tier(tier: Arc<dyn CacheTier>) {
    let mut tasks = JoinSet::new();
    for task in 0..TASKS {
        let tier = Arc::clone(&tier);
        tasks.spawn(async move {
            let [own, other] = ["own", "other"].map(|name| key(format!("{name}:{task}")));
            for round in 0..ROUNDS {
                set(&*tier, &own, format!("{task}/{round}")).await;
                set(&*tier, &other, "v").await;
                assert_holds(&*tier, &own, format!("{task}/{round}")).await;
                let removed = tier.delete(&[other.clone(), own.clone()]).await.expect("delete");
                assert_eq!(removed, 2, "{own:?}");
                assert_absent(&*tier, &own).await;
            }
            set(&*tier, &own, format!("{task}")).await;
        });
    }
    join(tasks).await;
    for task in 0..TASKS {
        assert_holds(&*tier, &key(format!("own:{task}")), format!("{task}")).await;
    }
}

/// A reader sees one writer's value, whole.
pub async fn a_concurrent_replacement_is_never_torn(tier: Arc<dyn CacheTier>) {
    let mut tasks = JoinSet::new();
    for task in 0..TASKS {
        let tier = Arc::clone(&tier);
        tasks.spawn(async move {
            let byte = u8::try_from(task).expect("there are fewer tasks than bytes");
            for _ in 0..ROUNDS {
                set(&*tier, &key("k"), vec![byte; 100 + task * 10]).await;
                let found = get(&*tier, &key("k")).await;
                let found = payload(found.as_ref()).expect("nobody removes it");
                let whole =
                    found.len() == 100 + usize::from(found[0]) * 10 && found.iter().all(|byte| *byte == found[0]);
                assert!(whole, "{} bytes, the first is {}", found.len(), found[0]);
            }
        });
    }
    join(tasks).await;
}

/// A future that is dropped at any point spoils neither the connection nor another caller's answer.
pub async fn a_cancelled_call_disturbs_no_other(tier: Arc<dyn CacheTier>) {
    let steady: Vec<Key> = (0..10).map(|n| key(format!("steady:{n}"))).collect();
    for key in &steady {
        set(&*tier, key, key.as_str().to_owned()).await;
    }
    for n in 0..CANCELLED_CALLS {
        give_up_after(fastrand::usize(0..40), any_call(&*tier, n)).await;
        let key = &steady[n % steady.len()];
        assert_holds(&*tier, key, key.as_str()).await;
    }
    // Keys that no cancelled call has touched: such a call may take effect even now.
    for n in 0..100 {
        let key = key(format!("after:{n}"));
        set(&*tier, &key, key.as_str().to_owned()).await;
        assert_holds(&*tier, &key, key.as_str()).await;
        assert_eq!(tier.delete(&[key]).await.expect("delete"), 1);
    }
    tier.ping().await.expect("ping");
}

async fn any_call(tier: &dyn CacheTier, n: usize) -> Result<(), TierError> {
    let touched = key(format!("touched:{}", n % 7));
    let entry = entry(vec![b'x'; fastrand::usize(0..10_000)]);
    match n % 6 {
        0 => tier.get(&touched).await.map(drop),
        1 => tier.set(&touched, entry, HOUR).await,
        2 => tier.delete(&[touched]).await.map(drop),
        3 => tier.get_many(&[touched.clone(), key("absent"), touched]).await.map(drop),
        4 => tier.set_many(vec![(touched.clone(), entry.clone(), HOUR), (touched, entry, HOUR)]).await,
        _ => tier.invalidate_pattern(&Pattern::new("touched:*").expect("it is valid")).await.map(drop),
    }
}

/// Drops the call when the other tasks have had so many turns and it has not ended.
async fn give_up_after(turns: usize, call: impl Future<Output = Result<(), TierError>>) {
    let turns = async {
        for _ in 0..turns {
            tokio::task::yield_now().await;
        }
    };
    tokio::select! {
        biased;
        outcome = call => outcome.expect("a call that was not cancelled succeeds"),
        () = turns => {}
    }
}

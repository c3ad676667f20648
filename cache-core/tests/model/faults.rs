//! What may go wrong, and time.

use crate::failover;
use crate::fences;
use crate::setup::Setup;
use crate::state::{Entry, Faults, Link, Slot, State};

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Fault {
    /// The key expires or is evicted. A lease expires without being counted: it always does in the end.
    Evict,
    Cut {
        node: u8,
    },
    Drop {
        node: u8,
    },
    LatePut,
    Restart {
        empty: bool,
    },
    Flush,
    Trim,
    Tick,
    /// The server that follows has all that there is; from now on it falls behind.
    FallBehind,
    Failover,
    /// The fences lapse of those that have gone away.
    Lapse,
}

pub(crate) fn steps(state: &State, push: &mut dyn FnMut(Fault)) {
    let left = state.faults;
    if !matches!(state.redis.key, Slot::Absent | Slot::Fence(_)) {
        push(Fault::Evict);
    }
    for node in 0..u8::try_from(state.nodes.len()).unwrap_or(u8::MAX) {
        if left.cut > 0 {
            push(Fault::Cut { node });
        }
        if left.drop > 0 {
            push(Fault::Drop { node });
        }
    }
    let others = [
        (!state.redis.late.is_empty(), Fault::LatePut),
        (left.restart > 0, Fault::Restart { empty: false }),
        (left.restart_empty > 0, Fault::Restart { empty: true }),
        (left.flush > 0, Fault::Flush),
        (left.trim > 0, Fault::Trim),
        (left.tick > 0, Fault::Tick),
        (left.failover > 0 && state.redis.follower.is_none(), Fault::FallBehind),
        (state.redis.follower.is_some(), Fault::Failover),
        (state.redis.fences != 0, Fault::Lapse),
    ];
    others.into_iter().filter(|(possible, _)| *possible).for_each(|(_, fault)| push(fault));
}

pub(crate) fn step(state: &mut State, setup: &Setup, fault: Fault) -> Option<()> {
    match fault {
        Fault::Evict => evict(state, setup)?,
        Fault::Cut { node } => {
            spend(state, |faults| &mut faults.cut)?;
            cut(state, node)?;
        }
        Fault::Drop { node } => {
            spend(state, |faults| &mut faults.drop)?;
            let messages = &mut state.node_mut(node).listener.messages;
            if messages.is_empty() {
                return None;
            }
            messages.remove(0);
        }
        Fault::LatePut => late_put(state, setup)?,
        Fault::Restart { empty } => {
            spend(state, |faults| if empty { &mut faults.restart_empty } else { &mut faults.restart })?;
            if empty {
                forget(state, setup);
            }
            for node in 0..setup.nodes {
                // One that is not connected loses nothing.
                let _ = cut(state, node);
            }
        }
        Fault::Flush => {
            spend(state, |faults| &mut faults.flush)?;
            forget(state, setup);
        }
        Fault::Trim => {
            spend(state, |faults| &mut faults.trim)?;
            if state.redis.journal.len() < 2 {
                return None;
            }
            state.redis.journal.remove(0);
        }
        Fault::FallBehind => failover::fall_behind(state)?,
        Fault::Failover => failover::take_over(state, setup)?,
        Fault::Tick => tick(state)?,
        Fault::Lapse => fences::lapse(state)?,
    }
    Some(())
}

fn spend(state: &mut State, budget: impl FnOnce(&mut Faults) -> &mut u8) -> Option<()> {
    let budget = budget(&mut state.faults);
    *budget = budget.checked_sub(1)?;
    Some(())
}

fn evict(state: &mut State, setup: &Setup) -> Option<()> {
    match state.redis.key {
        Slot::Absent | Slot::Fence(_) => return None,
        Slot::Lease(holder) if is_dead(state, holder) => {
            if !setup.protocol.lease_expires {
                return None;
            }
        }
        Slot::Lease(_) | Slot::Value(_) => spend(state, |faults| &mut faults.evict)?,
    }
    state.redis.key = Slot::Absent;
    Some(())
}

/// Whether nobody will fill or release what `holder` took.
fn is_dead(state: &State, holder: u8) -> bool {
    use crate::state::{CallerAt, Permit};
    !matches!(
        state.callers[usize::from(holder)].at,
        CallerAt::Load(Permit::Lease) | CallerAt::Store(Permit::Lease) | CallerAt::Fill
    )
}

pub(crate) fn cut(state: &mut State, node: u8) -> Option<()> {
    let listener = &mut state.node_mut(node).listener;
    if listener.link != Link::Open {
        return None;
    }
    listener.link = Link::Cut;
    listener.messages.clear();
    Some(())
}

fn late_put(state: &mut State, setup: &Setup) -> Option<()> {
    let version = state.redis.late.pop()?;
    if !setup.protocol.late_put_refused {
        let record = state.append(crate::state::Change::Key, version, &setup.protocol);
        state.redis.key = Slot::Value(Entry { version, birth: record.position, as_of: 0, limited: false });
    }
    Some(())
}

/// Redis loses everything.
fn forget(state: &mut State, setup: &Setup) {
    let redis = &mut state.redis;
    redis.key = Slot::Absent;
    redis.journal.clear();
    // What begins the journal anew begins the rules: nobody remembers them.
    redis.cleared = 0;
    redis.pattern = 0;
    redis.heard.iter_mut().for_each(|registered| *registered = None);
    redis.lost_at = Some(state.now);
    if setup.clock_back {
        redis.next = 1;
    }
}

/// Time moves on, whether or not a node notices that it hears nothing: it may stand still.
fn tick(state: &mut State) -> Option<()> {
    spend(state, |faults| &mut faults.tick)?;
    state.now += 1;
    let oldest = state.returned.pop()?;
    if let Some(last) = state.returned.last_mut() {
        *last = oldest.max(*last);
    }
    let newest = state.returned[0];
    state.returned.insert(0, newest);
    Some(())
}

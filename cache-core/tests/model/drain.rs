//! The delivery of invalidations that had to wait.

use crate::setup::Setup;
use crate::state::{Change, Drain, Record, State, VoidStage, Voiding};

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum DrainStep {
    Take,
    Carry,
    CarryFails { ran: bool },
    VoidBefore(VoidStage),
    Sweep,
}

pub(crate) fn steps(state: &State, node: u8, push: &mut dyn FnMut(DrainStep)) {
    let node = state.node(node);
    match node.drain {
        Drain::Idle if node.queue.key.is_some() || node.queue.rule.is_some() => push(DrainStep::Take),
        Drain::Idle => {}
        Drain::Carry(..) => {
            push(DrainStep::Carry);
            push(DrainStep::CarryFails { ran: false });
            push(DrainStep::CarryFails { ran: true });
        }
        Drain::Void(voiding) => push(DrainStep::VoidBefore(voiding.stage)),
        Drain::Sweep(_) => push(DrainStep::Sweep),
    }
}

pub(crate) fn step(state: &mut State, setup: &Setup, node: u8, step: DrainStep) -> Option<()> {
    match (step, state.node(node).drain) {
        (DrainStep::Take, _) => {
            let queue = &mut state.node_mut(node).queue;
            let (change, owed) =
                if queue.key.is_some() { (Change::Key, queue.key.take()) } else { (Change::Clear, queue.rule.take()) };
            state.node_mut(node).drain = Drain::Carry(change, owed?);
        }
        (DrainStep::Carry, Drain::Carry(..)) if state.awaits_a_beginning(setup) => return None,
        (DrainStep::Carry, Drain::Carry(change, version)) => {
            let previous = setup.fails_over().then(|| state.last_position());
            let record = state.invalidate(change, version, &setup.protocol);
            state.node_mut(node).drain = Drain::Void(Voiding { record, previous, stage: VoidStage::Learn });
        }
        (DrainStep::CarryFails { ran }, Drain::Carry(change, version)) => {
            state.faults.fail = state.faults.fail.checked_sub(1)?;
            if ran {
                state.invalidate(change, version, &setup.protocol);
            }
            state.node_mut(node).drain = Drain::Idle;
            state.enqueue(node, change, version, &setup.protocol);
        }
        (DrainStep::VoidBefore(_), _) => void_before(state, setup, node),
        (DrainStep::Sweep, Drain::Sweep(version)) => {
            state.sweep(version, &setup.protocol);
            state.node_mut(node).drain = Drain::Idle;
        }
        _ => return None,
    }
    Some(())
}

fn void_before(state: &mut State, setup: &Setup, node: u8) {
    while let Drain::Void(voiding) = state.node(node).drain {
        let next = state.void_before(node, voiding, &setup.protocol);
        let stands = state.stands(node, voiding);
        if next.is_none() && !stands {
            let Record { change, version, .. } = voiding.record;
            state.node_mut(node).drain = Drain::Idle;
            return state.enqueue(node, change, version, &setup.protocol);
        }
        state.node_mut(node).drain = match next {
            Some(stage) => Drain::Void(Voiding { stage, ..voiding }),
            None if voiding.record.change != Change::Key => Drain::Sweep(voiding.record.version),
            None => Drain::Idle,
        };
        if setup.fine {
            return;
        }
    }
}

//! The protocol as a stateright model.

use stateright::{Model, Property};

use crate::callers::{self, CallerStep};
use crate::drain::{self, DrainStep};
use crate::faults::{self, Fault};
use crate::listener::{self, ListenerStep};
use crate::properties;
use crate::setup::Setup;
use crate::state::State;
use crate::writers::{self, WriterStep};

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Step {
    Caller(usize, CallerStep),
    Writer(usize, WriterStep),
    Drain(u8, DrainStep),
    Listener(u8, ListenerStep),
    Fault(Fault),
}

impl Model for Setup {
    type State = State;
    type Action = Step;

    fn init_states(&self) -> Vec<State> {
        vec![self.initial()]
    }

    fn actions(&self, state: &State, actions: &mut Vec<Step>) {
        for (at, caller) in state.callers.iter().enumerate() {
            actions.extend(callers::steps(caller.at, state.faults.fail > 0).iter().map(|step| Step::Caller(at, *step)));
        }
        for (at, writer) in state.writers.iter().enumerate() {
            writers::steps(writer, &mut |step| actions.push(Step::Writer(at, step)));
        }
        for node in 0..self.nodes {
            drain::steps(state, node, &mut |step| actions.push(Step::Drain(node, step)));
            listener::steps(state, self, node, &mut |step| actions.push(Step::Listener(node, step)));
        }
        faults::steps(state, &mut |fault| actions.push(Step::Fault(fault)));
    }

    fn next_state(&self, last: &State, step: Step) -> Option<State> {
        let mut state = last.clone();
        match step {
            Step::Caller(at, step) => callers::step(&mut state, self, at, step)?,
            Step::Writer(at, step) => writers::step(&mut state, self, at, step)?,
            Step::Drain(node, step) => drain::step(&mut state, self, node, step)?,
            Step::Listener(node, step) => listener::step(&mut state, self, node, step)?,
            Step::Fault(fault) => faults::step(&mut state, self, fault)?,
        }
        Some(state)
    }

    fn properties(&self) -> Vec<Property<Self>> {
        properties::all()
    }
}

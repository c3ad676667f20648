//! The whole protocol, with every fence.

use crate::explore::assert_holds;
use crate::setup::Setup;
use crate::state::{Faults, Kind};

#[test]
fn two_nodes_fill_while_one_invalidates() {
    assert_holds(
        Setup::new("fill", 2, &[0, 1], &[(1, Kind::Invalidate)]).faults(Faults { evict: 1, ..Faults::default() }),
    );
}

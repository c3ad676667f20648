//! Which parts of the protocol are in force.

/// Every fence of the protocol. A mutant has one of them taken out.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Protocol {
    /// `fill` stores only over the lease of its caller.
    pub(crate) lease_in_fill: bool,
    /// An insertion into the near tier asks whether the epoch stands.
    pub(crate) epoch_on_insert: bool,
    /// An insertion into the near tier asks whether a record voids what it brings.
    pub(crate) voided_before_on_insert: bool,
    /// The epoch is noted before the far tier is asked.
    pub(crate) note_before_read: bool,
    /// The birth of a loaded value is noted before the load.
    pub(crate) birth_before_load: bool,
    /// An invalidation voids here once Redis has told its position.
    pub(crate) void_on_acknowledgement: bool,
    /// An invalidation that could not be told voids here again.
    pub(crate) void_again_when_queued: bool,
    /// Invalidations made here detach flights.
    pub(crate) detach_on_void: bool,
    /// Records detach flights.
    pub(crate) detach_on_record: bool,
    /// A record whose predecessor was not applied is a gap.
    pub(crate) gap_by_previous: bool,
    /// A heartbeat compares positions.
    pub(crate) gap_by_heartbeat: bool,
    /// A connection subscribes before it asks for the last position.
    pub(crate) subscribe_first: bool,
    /// A reconnected node reads what it missed.
    pub(crate) catch_up_on_connect: bool,
    /// A journal that does not reach back, or went backwards, voids the node.
    pub(crate) reset_on_trim: bool,
    pub(crate) reset_on_backwards: bool,
    /// A reset removes what the near tier holds.
    pub(crate) reset_removes: bool,
    /// A reset voids the fills under way.
    pub(crate) reset_voids_fills: bool,
    /// A node that may not hear bounds the age of what it serves.
    pub(crate) isolation: bool,
    /// Trust runs out by itself, not once the node has noticed that it does not hear.
    pub(crate) trust_runs_out: bool,
    /// The bound counts from when the read began, not from when it ended.
    pub(crate) as_of_before_read: bool,
    /// The far tier is not asked while it is owed invalidations.
    pub(crate) backlog_blocks_reads: bool,
    /// A change that could not be told is owed.
    pub(crate) queue_when_failed: bool,
    /// A change that comes during its delivery is owed anew.
    pub(crate) queue_during_delivery: bool,
    /// Reads of the far tier, and insertions into the near one, check the rules.
    pub(crate) rules_on_far_reads: bool,
    /// A clear sweeps what it covers.
    pub(crate) sweep: bool,
    /// A set's entry is born at its own record.
    pub(crate) birth_of_put: bool,
    /// A set whose fence was moved leaves nothing in the near tier.
    pub(crate) void_refused_put: bool,
    /// The lease of a caller that is gone expires.
    pub(crate) lease_expires: bool,
    /// The journal is never empty while a node follows it: the first to see it empty appends a record.
    pub(crate) journal_opened: bool,
    /// A node that begins anew learns the rules in force.
    pub(crate) rules_loaded_on_begin: bool,

    /// A flight is born at what was applied, not at what is known.
    pub(crate) flight_born_at_applied: bool,
    /// Where all keys are voided, flights are detached after the removal, not before.
    pub(crate) detach_last: bool,
    /// The insertion of a set's value moves the epoch.
    pub(crate) put_moves_epoch: bool,
    /// A set that was given up never runs.
    pub(crate) late_put_refused: bool,
    /// An isolated node's callers join no flight that is older than what it may serve.
    pub(crate) isolated_flights_age: bool,
    /// What the journal has lost is delivered again by those who remember it.
    pub(crate) lost_is_owed: bool,
    /// Nothing that a node remembers stands between two records of its journal.
    pub(crate) nothing_between: bool,
    /// Nothing that is read of the journal stands where this node remembers something else.
    pub(crate) replay_agrees: bool,
    /// A record of this node that it hears of only now, while what was applied lacks it or has another there, was lost.
    pub(crate) late_acknowledgement_noticed: bool,
    /// What is read of the journal begins with the last record that was applied.
    pub(crate) replay_from_the_last: bool,
    /// A key is fenced while the source is being changed.
    pub(crate) fence_around_writes: bool,
    /// Who fences a fenced key joins the others.
    pub(crate) fences_join: bool,
    /// A fenced key gives no lease.
    pub(crate) fence_bars_leases: bool,
    /// An invalidation lifts no fence but that of its writer.
    pub(crate) fence_outlives_invalidations: bool,
    /// A set stores nothing over a fence.
    pub(crate) fence_bars_sets: bool,
    /// A sweep leaves fences where they are.
    pub(crate) fence_outlives_sweeps: bool,
    /// What is loaded without a lease is not stored while a fence is known of.
    pub(crate) fence_bars_unleased: bool,
    /// A lease counts for nothing, if nobody has said that the fill still found it there.
    pub(crate) unanswered_fill_is_unleased: bool,
    /// The end of a write that its caller went away from is not the end of the fence in its node.
    pub(crate) fence_outlives_its_caller: bool,
    /// What is loaded without a lease is served for as long as by a node that hears nothing.
    pub(crate) unleased_limited: bool,
    /// A far read that was under way when a rule was forgotten is not believed.
    pub(crate) forgotten_rules_void_reads: bool,
    /// A journal that ends before what a node knows goes on behind it.
    pub(crate) begin_raises: bool,
    /// A fence voids what it covers whatever its birth.
    pub(crate) fence_voids_any_birth: bool,
    /// A strict invalidation waits for those who have not heard of it.
    pub(crate) strict_waits: bool,
    /// Nodes register with what they have applied, not with what they know to exist.
    pub(crate) registers_what_is_applied: bool,
    /// Those who hear nothing are waited for until what they have read themselves is too old as well.
    pub(crate) strict_waits_for_age: bool,
    /// Where registrations were lost, everybody is waited for who may have been registered.
    pub(crate) strict_waits_for_the_lost: bool,
    /// What a node is sure of counts from the question, not from the answer.
    pub(crate) confirms_from_the_question: bool,
    /// No replica is taken while a change of this node is on its way, or waits.
    pub(crate) replica_asks_for_debts: bool,
    /// A replica asks whether the epoch has moved since it was looked for such changes.
    pub(crate) epoch_on_replica: bool,
    /// A replica asks whether a later record voids it.
    pub(crate) replica_is_newest: bool,
    /// A set with a version stores nothing over a newer one.
    pub(crate) put_compares_versions: bool,
    /// What the shared tier has refused does not go into the near one.
    pub(crate) superseded_stays_out: bool,
}

impl Protocol {
    /// With every fence.
    pub(crate) const WHOLE: Self = Self {
        lease_in_fill: true,
        epoch_on_insert: true,
        voided_before_on_insert: true,
        note_before_read: true,
        birth_before_load: true,
        void_on_acknowledgement: true,
        void_again_when_queued: true,
        detach_on_void: true,
        detach_on_record: true,
        gap_by_previous: true,
        gap_by_heartbeat: true,
        subscribe_first: true,
        catch_up_on_connect: true,
        reset_on_trim: true,
        reset_on_backwards: true,
        reset_removes: true,
        reset_voids_fills: true,
        isolation: true,
        trust_runs_out: true,
        as_of_before_read: true,
        backlog_blocks_reads: true,
        queue_when_failed: true,
        queue_during_delivery: true,
        rules_on_far_reads: true,
        sweep: true,
        birth_of_put: true,
        void_refused_put: true,
        lease_expires: true,
        flight_born_at_applied: true,
        detach_last: true,
        journal_opened: true,
        put_moves_epoch: true,
        late_put_refused: true,
        isolated_flights_age: true,
        forgotten_rules_void_reads: true,
        lost_is_owed: true,
        nothing_between: true,
        replay_agrees: true,
        late_acknowledgement_noticed: true,
        replay_from_the_last: true,
        fence_around_writes: true,
        fences_join: true,
        fence_bars_leases: true,
        fence_outlives_invalidations: true,
        fence_bars_sets: true,
        fence_outlives_sweeps: true,
        fence_bars_unleased: true,
        unanswered_fill_is_unleased: true,
        fence_outlives_its_caller: true,
        unleased_limited: true,
        rules_loaded_on_begin: true,
        begin_raises: true,
        fence_voids_any_birth: true,
        strict_waits: true,
        registers_what_is_applied: true,
        strict_waits_for_age: true,
        strict_waits_for_the_lost: true,
        confirms_from_the_question: true,
        replica_asks_for_debts: true,
        epoch_on_replica: true,
        replica_is_newest: true,
        put_compares_versions: true,
        superseded_stays_out: true,
    };
}

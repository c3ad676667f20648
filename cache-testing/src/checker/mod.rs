//! The fault-injecting checker: real node processes over a real server, everything that can go wrong, and every read held
//! against the promises.
//!
//! # What is checked
//!
//! Each key has a version at a [`source`], which only grows. A write gives keys new versions there, and then tells one node
//! by one of the calls of [`history::WriteKind`]; a `write_around` gives them itself, in the midst of the call. Nobody else
//! writes these keys until the call has returned, because of two writes at once nobody could say which was the last. With *w*
//! the version written and *r* the moment at which the call returned `Done`:
//!
//! - **G2**: no read, on any node, that started after *r* + D saw a version below *w*.
//! - **G2 while all is well**: in a stretch of time without a fault, from when every node has said that its bus is healthy,
//!   no read on any node that started later than a delivery after *r*, and after the start of the stretch, saw a version
//!   below *w*. A delivery is [`run::DELIVERY`] and the longest time by which any process was late in that stretch: a message
//!   waits for the processes that it passes, and who did not get a processor broke no promise. That is measured by every
//!   node, and by the checker, through which the messages pass; not by the server.
//! - **G3**: no read on the node that was called, and that started after *r*, saw a version below *w*.
//! - **G1**: no read of Redis itself, past all nodes, after *r* saw a version below *w* (but for tags, which void a value and
//!   leave its removal for later). At the end, when all is healed and D has passed, every node and a new one read every key,
//!   and see nothing below the newest *w*.
//! - **Strict**: after an `invalidate_strict`, no read on any node that started after *r* saw a version below *w*. It binds no
//!   process that has not reached Redis since it was started: nobody knows of it. What such a process loads itself it may serve
//!   for its `isolated_ttl`, which is within D, as G2 asks of it too.
//! - **G6**: what returned `Queued` holds on its own node from *r* on (it is G3 there), and everywhere from the moment at
//!   which its node owed nothing any more; a node that lives comes to owe nothing.
//! - **Fences**: after the fence of a `write_around` was put, no read of Redis itself saw a version below *w*, whether the call
//!   returned or its node was killed when the source had *w*. In that case the call counts as returned when the `fence_ttl` has
//!   passed since. Nothing is asked where the node may have written without a fence, where the fence may have lapsed before the
//!   source had *w*, or where the server lost what it held. What a near tier stores in spite of a fence is hardly ever seen:
//!   it would have to stay until the bound is over, and other writes of the key come before.
//!
//! Another write whose node was killed before it was delivered binds nobody: there is no call that returned. The writes before it
//! bind as before, and so does the next one that is delivered. A node that is gone without having been killed breaks the run,
//! whatever was read. D is what the services themselves state (`CachingService::staleness_bound`), and [`run::ALLOWANCE`].
//!
//! A failover to a replica that had not heard of everything undoes writes, until the nodes have told the replica themselves.
//! So G1, G3, strictness, and G2 while all is well give a read after a failover of a write before it the bound D, and G2 gives it
//! nothing more. The same goes for a server that is rolled back to a snapshot. Neither comes unless it is asked for.
//!
//! # Why counting per version loses nothing
//!
//! All moments are of one clock ([`moment`]), read before a read starts and after a call has returned. A promise is broken
//! by a read of version *v* that started after some moment, which depends on the key, on *v*, on the node, on the failovers
//! so far and on whether all was well, and on nothing else of the read. So among all reads that have these in common
//! ([`history::Sight`]), the one that started last breaks every promise that any of them breaks, and its start is all that
//! must be kept: see [`history::Seen`]. Millions of reads become a table of some hundred thousand entries. A node sends what
//! it has counted ten times a second; what it had not sent when it was killed is neither checked nor counted as read, and
//! what it sends together counts as read after a failover in between, or after the end of a time in which all was well.
//!
//! # Parts
//!
//! - [`history`] and [`check`]: what happened, and the judgement. They know of no process and no server.
//! - [`source`], [`ledger`], [`writers`]: the writes. [`keys`]: what patterns and tags cover.
//! - [`faults`], [`injector`], [`server`]: what goes wrong.
//! - [`fleet`], [`node`], [`message`]: the processes, and what is said between them.
//! - [`probe`]: reads of Redis itself. [`stalls`]: how good the measurement is.
//! - [`run`] and [`report`]: all of it together.

pub mod check;
pub mod faults;
pub mod fleet;
pub mod history;
pub mod injector;
pub mod keys;
pub mod ledger;
pub mod message;
pub mod moment;
pub mod node;
pub mod probe;
pub mod report;
pub mod run;
pub mod server;
pub mod source;
pub mod stalls;
pub mod writers;

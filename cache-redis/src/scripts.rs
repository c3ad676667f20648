//! The Lua scripts: what must happen as one step on the server.
//!
//! Each script declares every key it touches in `KEYS`. The journal and the data keys hash to different slots, so in a
//! cluster the scripts that touch both have to be split: remove first, then append.

use std::sync::LazyLock;

use cache_core::frame;
use redis::Script;

macro_rules! script {
    ($name:ident, $file:literal) => {
        pub(crate) static $name: LazyLock<Script> = LazyLock::new(|| Script::new(include_str!($file)));
    };
}

script!(ACQUIRE, "scripts/acquire.lua");
script!(EXTEND, "scripts/extend.lua");
script!(FILL, "scripts/fill.lua");
script!(CLAIM, "scripts/claim.lua");
script!(RECLAIM, "scripts/reclaim.lua");
script!(REFILL, "scripts/refill.lua");
script!(RELEASE, "scripts/release.lua");
script!(PUT, "scripts/put.lua");
script!(INVALIDATE, "scripts/invalidate.lua");
script!(FENCE, "scripts/fence.lua");
script!(BEGIN, "scripts/begin.lua");
script!(BEAT, "scripts/beat.lua");
script!(UNHEARD, "scripts/unheard.lua");
script!(SWEPT, "scripts/swept.lua");
script!(FORGET, "scripts/forget.lua");

// The scripts name these offsets as numbers.
const _: () = assert!(frame::MAGIC[0] == 202 && frame::MAGIC[1] == 195 && frame::LAYOUT == 2);
const _: () = assert!(frame::KIND_AT == 3 && frame::TOKEN_AT == 4 && frame::FLAG_AT == 20 && frame::LEASE_BYTES == 21);
const _: () = assert!(frame::BIRTH_AT == 54 && frame::VERSION_AT == 70 && frame::CLAIMED_AT == 78);
const _: () = assert!(frame::HEADER_BYTES == 86 && frame::ENTRY_BYTES == 90);

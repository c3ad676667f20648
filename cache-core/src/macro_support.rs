//! What the expansion of `#[cached]` calls. Of this only [`CacheKey`], [`KeyWriter`] and [`SharedError`] are public API,
//! re-exported by the crates above; the rest changes with the macros.

mod cache_key;
mod call;
mod companion;
mod failure;
mod hit;
mod key;
mod load;
mod plain;
mod returned;
mod shared_error;
mod write;

pub use cache_key::{CacheKey, begin, element, end, part};
pub use call::Call;
pub use companion::{Presents, ServiceSource, get, put, service};
pub use failure::{
    Alone, ByClone, ByConversion, Coalesced, ErrorsOf, Limit, ProbeErrors, SaysTimeout, Share, Timed, Untimed,
    check_load_timeout, errors_of,
};
pub use hit::{hit, hit_by, hit_of};
pub use key::{KeyBuffer, KeyWriter, Placeholder, WriteDisplay, WritePlain};
pub use load::{Body, Optional, Presence, Required, Slot, Unless};
pub use plain::PlainKey;
pub use returned::{
    Copied, Fallible, FallibleMaybe, HandedOut, Marker, Maybe, Of, Payload, PayloadOf, Plain, ProbePayload, ProbeShape,
    Returned, Shape, Shared, Stored, check_payload, payload_of,
};
pub use shared_error::{AsDisplay, AsError, AsHolder, Describe, HoldsError, SharedError};
pub use write::{ProbeOutcome, Voided, decide, put_made, put_returned, returned_by, texts, write_around};

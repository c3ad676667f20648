//! The hit path of a cached absence, which is apart from that of values: only functions that may return none ask.

use super::Inner;
use crate::entry::Value;
use crate::policy::Policy;
use crate::selection::{Access, Tier};

impl Inner {
    /// Whether the near tier knows that the source has no value under `key`, freshly by every policy and of the service's own
    /// schema. Only a hit is counted: after anything else the call goes on to look closer.
    pub(crate) fn settled_absence(&self, key: &str) -> bool {
        self.settled_absence_by(key, &self.policy, self.access)
    }

    /// As [`Inner::settled_absence`], of the schema of `policy`, if `access` reads the near tier.
    pub(super) fn settled_absence_by(&self, key: &str, policy: &Policy, access: Access) -> bool {
        if !access.reads(Tier::NEAR) {
            return false;
        }
        let mut absent = false;
        self.coherence.inspect(key, &mut |entry| {
            let now = self.clock.now_or_later();
            absent = matches!(entry.value, Value::Absent)
                && entry.schema == policy.schema_version()
                && now < entry.settled_until
                && self.coherence.is_trusted(entry, now);
        });
        if absent {
            self.near_counters.hits.increment();
        }
        absent
    }
}

//! Which tiers a call reads and writes.

use crate::error::Error;

/// The choice of tiers in a policy, by name.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Selection {
    pub(crate) local_only: bool,
    pub(crate) remote_only: bool,
    pub(crate) unread: Vec<&'static str>,
    pub(crate) unwritten: Vec<&'static str>,
}

impl Selection {
    /// Every tier is read and written.
    pub(crate) const ALL: Self =
        Self { local_only: false, remote_only: false, unread: Vec::new(), unwritten: Vec::new() };

    /// What it comes to where the near tier and the far ones have these names.
    pub(crate) fn access<'a>(&self, near: Option<&'a str>, far: impl Iterator<Item = &'a str>) -> Access {
        let mut access = Access::ALL;
        if self.local_only {
            access = access.without_far();
        }
        if self.remote_only {
            access = access.without_near();
        }
        if self.unread.is_empty() && self.unwritten.is_empty() {
            return access;
        }
        for (at, name) in near.into_iter().map(|name| (Tier::NEAR, name)).chain(Tier::far().zip(far)) {
            if self.unread.contains(&name) {
                access = access.without_reading(at);
            }
            if self.unwritten.contains(&name) {
                access = access.without_writing(at);
            }
        }
        access
    }

    /// Why nothing could be meant by it.
    pub(crate) const fn contradiction(&self) -> Option<&'static str> {
        if self.local_only && self.remote_only {
            return Some(
                "local_only and remote_only leave no tier; choose one, or skip_read and skip_write for single tiers",
            );
        }
        None
    }

    /// # Errors
    /// It names a tier that is none of `tiers`.
    pub(crate) fn check_names<'a>(&self, tiers: impl Iterator<Item = &'a str>) -> Result<(), Error> {
        let tiers: Vec<&str> = tiers.collect();
        for (setting, names) in [("skip_read", &self.unread), ("skip_write", &self.unwritten)] {
            if let Some(unknown) = names.iter().find(|name| !tiers.contains(name)) {
                let known = tiers.join(", ");
                return Err(Error::configuration(format!(
                    "policy: {setting} names the tier \"{unknown}\", and there is none of that name; the tiers are: {known}"
                )));
            }
        }
        Ok(())
    }
}

/// The place of a tier.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Tier(usize);

impl Tier {
    /// How many far tiers there can be.
    pub(crate) const MAX_FAR: usize = 31;
    pub(crate) const NEAR: Self = Self(0);

    /// The far tiers, nearest first.
    pub(crate) fn far() -> impl Iterator<Item = Self> {
        (0..Self::MAX_FAR).map(Self::far_at)
    }

    /// The far tier with `depth` others before it.
    pub(crate) const fn far_at(depth: usize) -> Self {
        Self(depth + 1)
    }

    const fn bit(self) -> u32 {
        1 << self.0
    }
}

/// The tiers that a call reads and those that it writes, a bit each.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Access {
    reads: u32,
    writes: u32,
}

impl Access {
    pub(crate) const ALL: Self = Self { reads: u32::MAX, writes: u32::MAX };

    pub(crate) const fn without_near(self) -> Self {
        self.without_reading(Tier::NEAR).without_writing(Tier::NEAR)
    }

    pub(crate) const fn without_far(self) -> Self {
        self.and(Self { reads: Tier::NEAR.bit(), writes: Tier::NEAR.bit() })
    }

    pub(crate) const fn without_reading(self, tier: Tier) -> Self {
        Self { reads: self.reads & !tier.bit(), ..self }
    }

    pub(crate) const fn without_writing(self, tier: Tier) -> Self {
        Self { writes: self.writes & !tier.bit(), ..self }
    }

    /// What both allow.
    pub(crate) const fn and(self, other: Self) -> Self {
        Self { reads: self.reads & other.reads, writes: self.writes & other.writes }
    }

    pub(crate) const fn reads(self, tier: Tier) -> bool {
        self.reads & tier.bit() != 0
    }

    pub(crate) const fn writes(self, tier: Tier) -> bool {
        self.writes & tier.bit() != 0
    }

    pub(crate) const fn reads_far(self) -> bool {
        self.reads & !Tier::NEAR.bit() != 0
    }

    pub(crate) const fn writes_far(self) -> bool {
        self.writes & !Tier::NEAR.bit() != 0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn access(selection: &Selection) -> Access {
        selection.access(Some("local"), ["disk", "redis"].into_iter())
    }

    #[test]
    fn a_skip_is_of_one_tier_and_one_direction() {
        let selection = Selection { unread: vec!["local"], unwritten: vec!["redis"], ..Selection::ALL };
        let access = access(&selection);
        let tiers: Vec<Tier> = std::iter::once(Tier::NEAR).chain(Tier::far().take(2)).collect();
        assert_eq!(tiers.iter().map(|tier| access.reads(*tier)).collect::<Vec<_>>(), [false, true, true]);
        assert_eq!(tiers.iter().map(|tier| access.writes(*tier)).collect::<Vec<_>>(), [true, true, false]);
    }

    #[test]
    fn one_side_only_leaves_out_the_other() {
        let local = access(&Selection { local_only: true, ..Selection::ALL });
        assert!(local.reads(Tier::NEAR) && local.writes(Tier::NEAR) && !local.reads_far() && !local.writes_far());
        let remote = access(&Selection { remote_only: true, ..Selection::ALL });
        assert!(!remote.reads(Tier::NEAR) && !remote.writes(Tier::NEAR) && remote.reads_far() && remote.writes_far());
        assert!(!local.and(remote).reads_far() && !local.and(remote).reads(Tier::NEAR));
    }

    #[test]
    fn a_tier_that_does_not_exist_is_named() {
        let selection = Selection { unwritten: vec!["rediss"], ..Selection::ALL };
        let error = selection.check_names(["local", "redis"].into_iter()).unwrap_err();
        assert_eq!(
            error.to_string(),
            "policy: skip_write names the tier \"rediss\", and there is none of that name; the tiers are: local, redis"
        );
        assert_eq!(access(&selection), Access::ALL);
    }
}

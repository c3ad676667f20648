//! The rows of the table, for each policy.
//!
//! States and events, each of them with each; what the caller gets; what the near tier and Redis hold in the end; and how many were
//! counted of loads, load failures, stale values served, refreshes, refreshes that failed, fills that were refused, and loads that were
//! left out because one had failed a moment ago.

/// Nothing is served that is not fresh, and no absence is kept.
pub(super) const BARE: &str = "
    fresh get,ok,error,timeout,panic,slow,again,down old    | old  old  | 0 0 0 0 0 0 0
    fresh invalidated                                old    | -    -    | 0 0 0 0 0 0 0

    stale,overdue,expired,negative,absent get         none   | -    -    | 0 0 0 0 0 0 0
    stale,overdue,expired,negative,absent ok,slow     new    | new  new  | 1 0 0 0 0 0 0
    stale,overdue,expired,negative,absent error       failed | -    -    | 1 1 0 0 0 0 0
    stale,overdue,expired,negative,absent timeout     late   | -    -    | 1 1 0 0 0 0 0
    stale,overdue,expired,negative,absent panic       panic  | -    -    | 1 1 0 0 0 0 0
    stale,overdue,expired,negative,absent again       new    | new  new  | 2 1 0 0 0 0 0
    stale,overdue,expired,negative,absent invalidated new    | -    -    | 1 0 0 0 0 1 0
    stale,overdue,expired,negative,absent down        new    | new  -    | 1 0 0 0 0 0 0
";

/// For a minute the stale value is served at once, and loaded anew in the background.
pub(super) const WHILE_REVALIDATE: &str = "
    fresh get,ok,error,timeout,panic,slow,again,down old    | old  old  | 0 0 0 0 0 0 0
    fresh invalidated                                old    | -    -    | 0 0 0 0 0 0 0

    stale get                 none   | old  old  | 0 0 0 0 0 0 0
    stale ok,slow             old    | new  new  | 1 0 1 1 0 0 0
    stale error,timeout,panic old    | old  old  | 1 1 1 1 1 0 0
    stale again               old    | old  old  | 1 1 2 1 1 0 1
    stale invalidated         old    | -    -    | 1 0 1 1 0 1 0
    stale down                old    | new  old  | 1 0 1 1 0 0 0

    overdue,expired,negative,absent get         none   | -    -    | 0 0 0 0 0 0 0
    overdue,expired,negative,absent ok,slow     new    | new  new  | 1 0 0 0 0 0 0
    overdue,expired,negative,absent error       failed | -    -    | 1 1 0 0 0 0 0
    overdue,expired,negative,absent timeout     late   | -    -    | 1 1 0 0 0 0 0
    overdue,expired,negative,absent panic       panic  | -    -    | 1 1 0 0 0 0 0
    overdue,expired,negative,absent again       new    | new  new  | 2 1 0 0 0 0 0
    overdue,expired,negative,absent invalidated new    | -    -    | 1 0 0 0 0 1 0
    overdue,expired,negative,absent down        new    | new  -    | 1 0 0 0 0 0 0
";

/// For five minutes the stale value is served where a load fails, and the source is then left alone for ten seconds.
pub(super) const IF_ERROR: &str = "
    fresh get,ok,error,timeout,panic,slow,again,down old    | old  old  | 0 0 0 0 0 0 0
    fresh invalidated                                old    | -    -    | 0 0 0 0 0 0 0

    stale,overdue get                 none   | old  old  | 0 0 0 0 0 0 0
    stale,overdue ok,slow             new    | new  new  | 1 0 0 1 0 0 0
    stale,overdue error,timeout,panic old    | old  old  | 1 1 1 1 1 0 0
    stale,overdue again               old    | old  old  | 1 1 2 1 1 0 1
    stale,overdue invalidated         new    | -    -    | 1 0 0 1 0 1 0
    stale,overdue down                new    | new  old  | 1 0 0 1 0 0 0

    expired,negative,absent get         none   | -    -    | 0 0 0 0 0 0 0
    expired,negative,absent ok,slow     new    | new  new  | 1 0 0 0 0 0 0
    expired,negative,absent error       failed | -    -    | 1 1 0 0 0 0 0
    expired,negative,absent timeout     late   | -    -    | 1 1 0 0 0 0 0
    expired,negative,absent panic       panic  | -    -    | 1 1 0 0 0 0 0
    expired,negative,absent again       new    | new  new  | 2 1 0 0 0 0 0
    expired,negative,absent invalidated new    | -    -    | 1 0 0 0 0 1 0
    expired,negative,absent down        new    | new  -    | 1 0 0 0 0 0 0
";

/// Both of these, and absences that are kept for a minute.
pub(super) const BOTH: &str = "
    fresh get,ok,error,timeout,panic,slow,again,down old    | old  old  | 0 0 0 0 0 0 0
    fresh invalidated                                old    | -    -    | 0 0 0 0 0 0 0

    stale get                 none   | old  old  | 0 0 0 0 0 0 0
    stale ok,slow             old    | new  new  | 1 0 1 1 0 0 0
    stale error,timeout,panic old    | old  old  | 1 1 1 1 1 0 0
    stale again               old    | old  old  | 1 1 2 1 1 0 1
    stale invalidated         old    | -    -    | 1 0 1 1 0 1 0
    stale down                old    | new  old  | 1 0 1 1 0 0 0

    overdue get                 none   | old  old  | 0 0 0 0 0 0 0
    overdue ok,slow             new    | new  new  | 1 0 0 1 0 0 0
    overdue error,timeout,panic old    | old  old  | 1 1 1 1 1 0 0
    overdue again               old    | old  old  | 1 1 2 1 1 0 1
    overdue invalidated         new    | -    -    | 1 0 0 1 0 1 0
    overdue down                new    | new  old  | 1 0 0 1 0 0 0

    expired,absent get         none   | -    -    | 0 0 0 0 0 0 0
    expired,absent ok,slow     new    | new  new  | 1 0 0 0 0 0 0
    expired,absent error       failed | -    -    | 1 1 0 0 0 0 0
    expired,absent timeout     late   | -    -    | 1 1 0 0 0 0 0
    expired,absent panic       panic  | -    -    | 1 1 0 0 0 0 0
    expired,absent again       new    | new  new  | 2 1 0 0 0 0 0
    expired,absent invalidated new    | -    -    | 1 0 0 0 0 1 0
    expired,absent down        new    | new  -    | 1 0 0 0 0 0 0

    negative get,ok,error,timeout,panic,slow,again,down none   | none none | 0 0 0 0 0 0 0
    negative invalidated                                none   | -    -    | 0 0 0 0 0 0 0
";

/// As `IF_ERROR`, and no caller waits for longer than a second if there is a stale value.
pub(super) const SOFT_TIMEOUT: &str = "
    fresh get,ok,error,timeout,panic,slow,again,down old    | old  old  | 0 0 0 0 0 0 0
    fresh invalidated                                old    | -    -    | 0 0 0 0 0 0 0

    stale,overdue get                 none   | old  old  | 0 0 0 0 0 0 0
    stale,overdue ok                  new    | new  new  | 1 0 0 1 0 0 0
    stale,overdue slow                old    | new  new  | 1 0 1 1 0 0 0
    stale,overdue error,timeout,panic old    | old  old  | 1 1 1 1 1 0 0
    stale,overdue again               old    | old  old  | 1 1 2 1 1 0 1
    stale,overdue invalidated         new    | -    -    | 1 0 0 1 0 1 0
    stale,overdue down                new    | new  old  | 1 0 0 1 0 0 0

    expired,negative,absent get         none   | -    -    | 0 0 0 0 0 0 0
    expired,negative,absent ok,slow     new    | new  new  | 1 0 0 0 0 0 0
    expired,negative,absent error       failed | -    -    | 1 1 0 0 0 0 0
    expired,negative,absent timeout     late   | -    -    | 1 1 0 0 0 0 0
    expired,negative,absent panic       panic  | -    -    | 1 1 0 0 0 0 0
    expired,negative,absent again       new    | new  new  | 2 1 0 0 0 0 0
    expired,negative,absent invalidated new    | -    -    | 1 0 0 0 0 1 0
    expired,negative,absent down        new    | new  -    | 1 0 0 0 0 0 0
";

/// What is fresh is loaded anew in the background, and what is not is not there.
pub(super) const AHEAD: &str = "
    fresh get                 old    | old  old  | 0 0 0 0 0 0 0
    fresh ok,slow             old    | new  new  | 1 0 0 1 0 0 0
    fresh error,timeout,panic old    | old  old  | 1 1 0 1 1 0 0
    fresh again               old    | old  old  | 1 1 0 1 1 0 1
    fresh invalidated         old    | -    -    | 1 0 0 1 0 1 0
    fresh down                old    | new  old  | 1 0 0 1 0 0 0

    stale,overdue,expired,negative,absent get         none   | -    -    | 0 0 0 0 0 0 0
    stale,overdue,expired,negative,absent ok,slow     new    | new  new  | 1 0 0 0 0 0 0
    stale,overdue,expired,negative,absent error       failed | -    -    | 1 1 0 0 0 0 0
    stale,overdue,expired,negative,absent timeout     late   | -    -    | 1 1 0 0 0 0 0
    stale,overdue,expired,negative,absent panic       panic  | -    -    | 1 1 0 0 0 0 0
    stale,overdue,expired,negative,absent again       new    | new  new  | 2 1 0 0 0 0 0
    stale,overdue,expired,negative,absent invalidated new    | -    -    | 1 0 0 0 0 1 0
    stale,overdue,expired,negative,absent down        new    | new  -    | 1 0 0 0 0 0 0
";

/// The near tier keeps values and absences for a third of the time, so that each state but `absent` is one of Redis alone.
pub(super) const LOCAL_TTL: &str = "
    fresh get,ok,error,timeout,panic,slow,again old    | old  old  | 0 0 0 0 0 0 0
    fresh invalidated                           old    | -    -    | 0 0 0 0 0 0 0
    fresh down                                  new    | new  old  | 1 0 0 0 0 0 0

    stale,overdue,expired,absent get         none   | -    -    | 0 0 0 0 0 0 0
    stale,overdue,expired,absent ok,slow     new    | new  new  | 1 0 0 0 0 0 0
    stale,overdue,expired,absent error       failed | -    -    | 1 1 0 0 0 0 0
    stale,overdue,expired,absent timeout     late   | -    -    | 1 1 0 0 0 0 0
    stale,overdue,expired,absent panic       panic  | -    -    | 1 1 0 0 0 0 0
    stale,overdue,expired,absent again       new    | new  new  | 2 1 0 0 0 0 0
    stale,overdue,expired,absent invalidated new    | -    -    | 1 0 0 0 0 1 0
    stale,overdue,expired,absent down        new    | new  -    | 1 0 0 0 0 0 0

    negative get,ok,error,timeout,panic,slow,again none   | none none | 0 0 0 0 0 0 0
    negative invalidated                           none   | -    -    | 0 0 0 0 0 0 0
    negative down                                  new    | new  none | 1 0 0 0 0 0 0
";

//! Deliberate faults in the machine, so that the properties show that they would notice them.

use std::cell::Cell;

/// One fault.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::machine) enum Mutant {
    /// A connected source whose stream isn't running is there all the same.
    IdleIsThere,
    /// Nobody is ducked.
    ForgetsDucks,
    /// What went down stays down.
    NeverComesUp,
    /// What fades is pulled for good.
    FadesForEver,
    /// Protected sources are as others.
    PolicesSafety,
    /// The latest start stays unanswered.
    OwesDecisions,
    /// The matrix pauses nobody.
    NeverPauses,
    /// Who once waits, waits for ever.
    NeverAdmits,
    /// Connections stay in CONNECTING.
    NeverConnects,
    /// A restored machine doesn't know who was first.
    ForgetsWhoWasFirst,
    /// Late requests are waited for.
    NeverAborts,
    /// Handles don't rest.
    ReusesHandles,
    /// What a newcomer stopped stays stopped when it fails.
    ForgetsDisplaced,
    /// A segment is taken down though another connection runs over it.
    ForgetsShared,
    /// What came up after all stays up.
    ForgetsOrphans,
    /// A sink muted for a connection stays muted.
    ForgetsHold,
    /// An ack is anybody's.
    TakesForeignAcks,
    /// Sources are not switched off.
    SkipsOff,
    /// A lost domain's connections stay.
    KeepsLost,
    /// A limit whose cause is silent counts.
    LimitsOutliveTheirCause,
    /// What rules decide is not done.
    RulesDoNothing,
    /// A zone's segment outlives its connection.
    KeepsSegment,
    /// A connection outlives its zone's segment.
    ForgetsHeld,
    /// A rule that overrides goes before the duck for a protected source too.
    RulesOverrideSafety,
    /// A restored machine holds nothing.
    ForgetsLimits,
    /// What rules mute stays muted.
    RulesMuteForGood,
    /// Rules that ran out of steps are not undone.
    KeepsWhatRanAway,
    /// Nothing is faded. (Not of [`DOMAINS`]: the crossfaders' own property notices it.)
    NeverFades,
    /// Between a prompt and the one that takes its place nobody is ducked. (Not of [`DOMAINS`]: the hand-over's own property notices
    /// it.)
    LetsOthersUpBetween,
    /// After a reload, what the new matrix forbids is still there. (Not of [`ALL`]: the reload's own property notices it.)
    KeepsWhatIsIllegal,
    /// A machine at another time is another machine. (These three not of [`ALL`]: the saver's own tests notice them.)
    TakesTimeForAChange,
    /// A fade that ends is no change.
    LosesSightOfFades,
    /// How far requests to domains are is no change.
    LosesSightOfDomains,
}

pub(in crate::machine) const ALL: [Mutant; 10] = [
    Mutant::IdleIsThere,
    Mutant::ForgetsDucks,
    Mutant::NeverComesUp,
    Mutant::FadesForEver,
    Mutant::PolicesSafety,
    Mutant::OwesDecisions,
    Mutant::NeverPauses,
    Mutant::NeverAdmits,
    Mutant::NeverConnects,
    Mutant::ForgetsWhoWasFirst,
];

/// Those in what is about domains.
pub(in crate::machine) const DOMAINS: [Mutant; 11] = [
    Mutant::NeverAborts,
    Mutant::ReusesHandles,
    Mutant::ForgetsDisplaced,
    Mutant::ForgetsShared,
    Mutant::ForgetsOrphans,
    Mutant::ForgetsHold,
    Mutant::TakesForeignAcks,
    Mutant::SkipsOff,
    Mutant::KeepsLost,
    Mutant::KeepsSegment,
    Mutant::ForgetsHeld,
];

thread_local! {
    static PLANTED: Cell<Option<Mutant>> = const { Cell::new(None) };
}

/// Whether this fault is planted in this thread.
pub(in crate::machine) fn is(mutant: Mutant) -> bool {
    PLANTED.get() == Some(mutant)
}

/// Runs something with a fault planted.
pub(in crate::machine) fn with<T>(mutant: Mutant, run: impl FnOnce() -> T) -> T {
    PLANTED.set(Some(mutant));
    let result = run();
    PLANTED.set(None);
    result
}

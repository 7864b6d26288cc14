//! The core, broken on purpose: the simulator has to notice. Without the feature `mutations` nothing of it is left.

/// Something that the core gets wrong.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Mutation {
    /// The end of a lease is not taken notice of.
    LeaseNeverEnds,
    /// Nobody is asked before a group is started.
    NobodyIsAsked,
    /// Of two that have a group neither lets go.
    NobodyYields,
    /// A group does not return to its preferred node.
    NeverReturns,
    /// It is not looked at whether a start would succeed.
    IgnoresOutlook,
    /// A start is given a reason that is none.
    WrongCause,
    /// Whoever leaves stops what is being stopped.
    StopsTwice,
    /// Maintenance is not respected.
    TouchesAnyway,
    /// Whoever was frozen does not doubt what it knew.
    NeverDoubts,
    /// The witness is not waited for.
    AsksNoWitness,
    /// What the witness answered counts for ever.
    AnswersNeverEnd,
    /// Who loses its address to a silent node takes it back.
    NeverGivesWay,
    /// Whoever was frozen says nothing for as long as those wait who were frozen with it.
    KeepsQuiet,
}

#[cfg(feature = "mutations")]
mod switch {
    use std::cell::Cell;

    use super::Mutation;

    thread_local! {
        static IN_FORCE: Cell<Option<Mutation>> = const { Cell::new(None) };
    }

    /// From now on the nodes of this thread are broken in this way, or in none.
    pub fn mutate(mutation: Option<Mutation>) {
        IN_FORCE.set(mutation);
    }

    pub(in crate::core) fn is_mutated(mutation: Mutation) -> bool {
        IN_FORCE.get() == Some(mutation)
    }
}

#[cfg(feature = "mutations")]
pub use switch::mutate;

#[cfg(feature = "mutations")]
pub(super) use switch::is_mutated;

#[cfg(not(feature = "mutations"))]
pub(super) const fn is_mutated(_: Mutation) -> bool {
    false
}

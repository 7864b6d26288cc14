//! Pure logic: who is alive, and who should own what. No input or output, no clock, no randomness, no locks; time is an
//! argument. State machines take events and answer with actions.

mod deed;
mod detector;
mod event;
mod group;
mod lease;
mod mutation;
mod node;
mod outbox;
mod peer;
#[cfg(test)]
mod testing;

pub use deed::{Deed, Finding, Holder, Lost, Patience, Reading, taker};
pub use detector::{Change, Detector, Findings, Graced, Silence, Timing, Wake, Witnessed, hush};
pub use event::{
    Action, Advert, Carry, Cause, Command, Event, Failback, GroupSettings, Outcome, Outlook, Quorum, Reconfiguration,
    Settings, StuckPolicy, Taker, Which,
};
pub use group::GroupState;
pub use lease::Lease;
#[cfg(feature = "mutations")]
pub use mutation::{Mutation, mutate};
pub use node::{GroupView, Node, Progress, Refusal, TAKE_BACKS, Unready, Waiting};
pub use outbox::Outbox;
pub use peer::{Contact, Differs, Echoed, Fencing, PeerView, Sight};

//! Pure logic: who is alive, and who should own what. No input or output, no clock, no randomness, no locks; time is an
//! argument. State machines take events and answer with actions.

mod detector;
mod group;
mod node;
mod peer;
#[cfg(test)]
mod testing;

pub use detector::{Change, Detector, Findings, Silence, Timing, Wake, status_of};
pub use group::GroupState;
pub use node::{Action, Advert, Cause, Event, Failback, GroupSettings, GroupView, Node, Outcome, Settings};
pub use peer::{Contact, PeerView};

//! Floating IPs of clouds, moved through their providers' APIs without a script: `digitalocean::203.0.113.10`.
//!
//! Every API accepts a move long before the address is here, loses answers, and refuses while somebody else's move is under
//! way. So a move ends in only two ways: the address has been read back as ours, or an error says what is known.

pub mod provider;

pub use provider::{ActionId, ActionState, Answer, Assignment, Failure, InstanceId, Owner, Provider, RateLimit};

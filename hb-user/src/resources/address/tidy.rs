//! What a daemon that was killed has left on this host.

use std::time::Duration;

use super::order::Task;
use super::{Hands, explain};
use crate::config::Address;

impl Hands {
    /// Removes an address that is here although another node has it, and that nobody has added in this life: its group was never
    /// stopped, and while the kernel answers for it two hosts do. Where it is not here nothing happens.
    pub async fn tidy(&self, address: &Address, limit: Duration) {
        // What cannot be made ready is on no interface of this host's.
        let Ok(ready) = self.ready(address).await else { return };
        if !matches!(self.is_here(address, &ready, limit).await, Ok(true)) {
            return;
        }
        let removed = {
            let mut book = self.lock();
            if book.entry(address).used.is_some() {
                // By now its group is started here.
                return;
            }
            self.begin_with(&mut book, address, Task::Remove, &ready)
        };
        let (ip, interface) = (address.ip, &ready.plan.interface);
        match removed {
            Ok(answer) => match answer.await.map(|answer| answer.was_here) {
                Ok(Ok(was_here)) => tracing::warn!(
                    address = %ip, interface, was_here,
                    "was left here by a daemon that was killed, and another node has it: removed"
                ),
                Ok(Err(refusal)) => {
                    let error = explain(&ready.plan, &refusal);
                    tracing::error!(address = %ip, interface, %error, "was left here, and cannot be removed");
                }
                // The thread has ended with the daemon.
                Err(_) => {}
            },
            Err(error) => tracing::error!(address = %ip, interface, %error, "was left here, and cannot be removed"),
        }
    }
}

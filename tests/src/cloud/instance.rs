//! What a floating IP can lead to.

use std::net::Ipv4Addr;

use crate::network::Server;

/// An instance of the account.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Instance {
    /// One of the two servers.
    Of(Server),
    /// One that is no node of the cluster, and on which no hb runs.
    Stranger,
}

impl Instance {
    pub(super) const ALL: [Self; 3] = [Self::Of(Server::Primary), Self::Of(Server::Secondary), Self::Stranger];

    /// The server that it is, if it is one.
    #[must_use]
    pub fn server(self) -> Option<Server> {
        match self {
            Self::Of(server) => Some(server),
            Self::Stranger => None,
        }
    }

    pub(super) fn name(self) -> &'static str {
        match self {
            Self::Of(server) => server.name(),
            Self::Stranger => "stranger",
        }
    }

    /// Its address on the servers' network. At the stranger's nobody answers.
    pub(super) fn address(self) -> Ipv4Addr {
        match self {
            Self::Of(server) => server.address(),
            Self::Stranger => Ipv4Addr::new(198, 51, 100, 7),
        }
    }
}

impl From<Server> for Instance {
    fn from(server: Server) -> Self {
        Self::Of(server)
    }
}

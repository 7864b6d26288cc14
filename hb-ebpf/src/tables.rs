//! The layout of the tables that userspace fills and the kernel only reads.

/// The most links (medium lines of ha.cf) to one peer.
pub const MAX_LINKS: usize = 8;

/// Numbers of keys are below this.
pub const KEYS: u32 = 16;

/// An IPv6 address, or an IPv4 address mapped into one (RFC 4291, section 2.5.5.2), as four big-endian words.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
#[repr(C)]
pub struct Address(pub [u32; 4]);

impl Address {
    /// `::ffff:a.b.c.d`.
    #[must_use]
    #[inline(always)]
    pub const fn v4(address: u32) -> Self {
        Self([0, 0, 0xffff, address])
    }

    /// Equality in one branch: the verifier follows each.
    #[inline(always)]
    fn is(&self, other: &Self) -> bool {
        (self.0[0] ^ other.0[0]) | (self.0[1] ^ other.0[1]) | (self.0[2] ^ other.0[2]) | (self.0[3] ^ other.0[3]) == 0
    }
}

impl From<core::net::IpAddr> for Address {
    fn from(address: core::net::IpAddr) -> Self {
        match address {
            core::net::IpAddr::V4(v4) => Self::v4(v4.to_bits()),
            core::net::IpAddr::V6(v6) => {
                let halves = v6.segments().map(u32::from);
                Self([0, 2, 4, 6].map(|index| (halves[index] << 16) | halves[index + 1]))
            }
        }
    }
}

/// One link of a peer.
#[derive(Clone, Copy, Debug, Default)]
#[repr(C)]
pub struct Link {
    /// Where the peer's beats come from on this link.
    pub address: Address,
    /// The index of the link's value in the liveness map.
    pub slot: u32,
}

/// Where a peer's beats come from: what a [`crate::peers::Bucket`] says of a node.
#[derive(Clone, Copy, Debug, Default)]
#[repr(C)]
pub struct Peer {
    /// How many of `links` are in use.
    pub count: u32,
    /// The links.
    pub links: [Link; MAX_LINKS],
}

impl Peer {
    /// The slot of the link that has this address.
    #[must_use]
    #[inline(always)]
    pub fn slot(&self, address: &Address) -> Option<u32> {
        for (index, link) in self.links.iter().enumerate() {
            if index >= self.count as usize {
                return None;
            }
            if link.address.is(address) {
                return Some(link.slot);
            }
        }
        None
    }
}

/// What the program knows of its own host.
#[derive(Clone, Copy, Debug)]
pub struct Own {
    /// Our name, as beats to us carry it.
    pub node: crate::NodeId,
    /// [`crate::Incarnation::low`] of this life of ours, as beats to us echo it.
    pub incarnation: u32,
    /// The UDP port of beats.
    pub port: u16,
}

#[cfg(test)]
mod tests;

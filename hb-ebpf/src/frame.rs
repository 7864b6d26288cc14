//! From an Ethernet frame to the payload of a UDP datagram on our port.

use crate::beat::{self, Tag, Words};
use crate::tables::Address;
use crate::units::put;

const ETHERNET: usize = 14;
const VLAN_TAG: usize = 4;
const UDP: usize = 8;

const TYPE_IPV4: u16 = 0x0800;
const TYPE_IPV6: u16 = 0x86dd;
const TYPE_VLAN: u16 = 0x8100;
const TYPE_SERVICE_VLAN: u16 = 0x88a8;
const PROTOCOL_UDP: u8 = 17;

/// The bytes of a frame, wherever they are: a packet in the kernel, or a slice on the host.
pub trait Frame: Copy {
    /// The `LEN` bytes from `offset` on, if the frame has them all.
    fn bytes<const LEN: usize>(&self, offset: usize) -> Option<Window<'_, LEN>>;
}

impl Frame for &[u8] {
    fn bytes<const LEN: usize>(&self, offset: usize) -> Option<Window<'_, LEN>> {
        let end = offset.checked_add(LEN)?;
        self.get(offset..end)?.try_into().ok().map(Window)
    }
}

/// `LEN` bytes of a frame. Every header before a beat has an even length and frames start at even addresses, which
/// lets the kernel read halves of words: a load for two bytes.
#[derive(Clone, Copy, Debug)]
pub struct Window<'a, const LEN: usize>(pub &'a [u8; LEN]);

impl<const LEN: usize> Window<'_, LEN> {
    /// The byte at `offset`.
    #[must_use]
    #[inline(always)]
    pub fn byte(&self, offset: usize) -> u8 {
        self.0[offset]
    }

    /// The two bytes at the even `offset`, as the network writes numbers.
    #[must_use]
    #[inline(always)]
    pub fn half(&self, offset: usize) -> u16 {
        #[cfg(not(target_arch = "bpf"))]
        return u16::from_be_bytes([self.0[offset], self.0[offset + 1]]);
        #[cfg(target_arch = "bpf")]
        // SAFETY: callers pass constants with `offset + 2 <= LEN`, and the address is even: see the type. (The
        // verifier proves both again.)
        return u16::from_be(unsafe { self.0.as_ptr().add(offset).cast::<u16>().read() });
    }

    /// The four bytes at the even `offset`, as the network writes numbers.
    #[must_use]
    #[inline(always)]
    pub fn word(&self, offset: usize) -> u32 {
        (u32::from(self.half(offset)) << 16) | u32::from(self.half(offset + 2))
    }
}

/// A UDP datagram to our port.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Datagram {
    /// Where it comes from.
    pub source: Address,
    /// Where in the frame its payload starts.
    pub payload: usize,
    /// How long the payload is, by the UDP header. The frame may be shorter.
    pub length: usize,
}

/// Finds the datagram, behind up to two VLAN tags and IPv4 options; `None` for everything else, fragments and IPv6
/// extension headers included.
///
/// Checksums are not looked at. On veth and virtio the UDP checksum of a local sender is not yet filled in when XDP
/// sees the frame; and of what they cover, only the addresses are not under the tag.
#[inline(always)]
pub fn datagram<F: Frame>(frame: &F, port: u16) -> Option<Datagram> {
    let mut ethertype = frame.bytes::<ETHERNET>(0)?.half(12);
    let mut offset = ETHERNET;
    if is_vlan(ethertype) {
        ethertype = frame.bytes::<VLAN_TAG>(offset)?.half(2);
        offset += VLAN_TAG;
        if is_vlan(ethertype) {
            ethertype = frame.bytes::<VLAN_TAG>(offset)?.half(2);
            offset += VLAN_TAG;
        }
    }
    match ethertype {
        TYPE_IPV4 => in_ipv4(frame, offset, port),
        TYPE_IPV6 => in_ipv6(frame, offset, port),
        _ => None,
    }
}

#[inline(always)]
fn is_vlan(ethertype: u16) -> bool {
    ethertype == TYPE_VLAN || ethertype == TYPE_SERVICE_VLAN
}

/// RFC 791, section 3.1.
#[inline(always)]
fn in_ipv4<F: Frame>(frame: &F, offset: usize, port: u16) -> Option<Datagram> {
    let header = frame.bytes::<20>(offset)?;
    let version_and_length = header.byte(0);
    let header_length = usize::from(version_and_length & 0x0f) * 4;
    if version_and_length >> 4 != 4 || header_length < 20 || header.byte(9) != PROTOCOL_UDP {
        return None;
    }
    // More fragments follow, or this is not the first.
    if header.half(6) & 0x3fff != 0 {
        return None;
    }
    let total_length = usize::from(header.half(2));
    let source = Address::v4(header.word(12));
    in_udp(
        frame,
        offset + header_length,
        total_length.checked_sub(header_length)?,
        source,
        port,
    )
}

/// RFC 8200, section 3.
#[inline(always)]
fn in_ipv6<F: Frame>(frame: &F, offset: usize, port: u16) -> Option<Datagram> {
    let header = frame.bytes::<40>(offset)?;
    if header.byte(0) >> 4 != 6 || header.byte(6) != PROTOCOL_UDP {
        return None;
    }
    let payload_length = usize::from(header.half(4));
    let source = Address([header.word(8), header.word(12), header.word(16), header.word(20)]);
    in_udp(frame, offset + 40, payload_length, source, port)
}

/// RFC 768. `available` is what the IP header leaves for the datagram; a datagram that claims more is not whole.
#[inline(always)]
fn in_udp<F: Frame>(frame: &F, offset: usize, available: usize, source: Address, port: u16) -> Option<Datagram> {
    let header = frame.bytes::<UDP>(offset)?;
    if header.half(2) != port {
        return None;
    }
    let length = usize::from(header.half(4));
    if length > available {
        return None;
    }
    Some(Datagram {
        source,
        payload: offset + UDP,
        length: length.checked_sub(UDP)?,
    })
}

/// Reads the message and the tag of a beat.
#[inline(always)]
pub fn read(payload: &Window<'_, { beat::LEN }>, message: &mut Words, tag: &mut Tag) {
    for index in 0..14 {
        put(&mut message.0[index], payload.word(4 * index));
    }
    // The tag starts at the last byte of word 13, so each of its words is cut from two of the frame's; the last of
    // those has three bytes.
    for index in 0..4 {
        put(
            &mut tag.0[index],
            (payload.word(52 + 4 * index) << 24) | (payload.word(56 + 4 * index) >> 8),
        );
    }
    let last = (u32::from(payload.half(72)) << 8) | u32::from(payload.byte(74));
    put(&mut tag.0[4], (payload.word(68) << 24) | last);
}

#[cfg(test)]
mod tests;

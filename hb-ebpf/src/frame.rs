//! From an Ethernet frame to the payload of a UDP datagram on our port.

use crate::tables::Address;

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

/// `LEN` bytes of a frame.
#[derive(Clone, Copy, Debug)]
pub struct Window<'a, const LEN: usize>(pub &'a [u8; LEN]);

impl<const LEN: usize> Window<'_, LEN> {
    /// The byte at `offset`.
    #[must_use]
    #[inline(always)]
    pub fn byte(&self, offset: usize) -> u8 {
        self.0[offset]
    }

    /// The two bytes at `offset`, as the network writes numbers.
    #[must_use]
    #[inline(always)]
    pub fn half(&self, offset: usize) -> u16 {
        #[cfg(not(target_arch = "bpf"))]
        return u16::from_be_bytes([self.0[offset], self.0[offset + 1]]);
        #[cfg(target_arch = "bpf")]
        return u16::from_be(load_half(self.0, offset));
    }

    /// The four bytes at `offset`, as the network writes numbers.
    #[must_use]
    #[inline(always)]
    pub fn word(&self, offset: usize) -> u32 {
        #[cfg(not(target_arch = "bpf"))]
        return u32::from_be_bytes([
            self.0[offset],
            self.0[offset + 1],
            self.0[offset + 2],
            self.0[offset + 3],
        ]);
        #[cfg(target_arch = "bpf")]
        return u32::from_be(load_word(self.0, offset));
    }
}

/// One load instruction, aligned or not, where Rust's own would be a load for each byte. The verifier allows that
/// where the processor does, as x86-64 and arm64 do, and proves again that the frame goes that far.
#[cfg(target_arch = "bpf")]
#[inline(always)]
fn load_half<const LEN: usize>(window: &[u8; LEN], offset: usize) -> u16 {
    let value;
    // SAFETY: callers pass constants with `offset + 2 <= LEN`.
    unsafe {
        core::arch::asm!(
            "{value} = *(u16 *)({at} + 0)",
            at = in(reg) window.as_ptr().add(offset),
            value = out(reg) value,
            options(pure, readonly, nostack, preserves_flags)
        );
    }
    value
}

/// As [`load_half`].
#[cfg(target_arch = "bpf")]
#[inline(always)]
fn load_word<const LEN: usize>(window: &[u8; LEN], offset: usize) -> u32 {
    let value;
    // SAFETY: callers pass constants with `offset + 4 <= LEN`.
    unsafe {
        core::arch::asm!(
            "{value} = *(u32 *)({at} + 0)",
            at = in(reg) window.as_ptr().add(offset),
            value = out(reg) value,
            options(pure, readonly, nostack, preserves_flags)
        );
    }
    value
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

#[cfg(test)]
mod tests;

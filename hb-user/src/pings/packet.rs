//! Echo requests and replies on the wire: RFC 792 and RFC 4443 section 4.

/// What a reply has to repeat, so that nobody can forge one without having seen the request.
pub(super) const TOKEN: usize = 16;
/// Type, code, checksum, identifier, sequence.
const HEADER: usize = 8;
/// A request, whole.
pub(super) const REQUEST: usize = HEADER + TOKEN;
/// What an IPv4 header has at least.
const IPV4_HEADER: usize = 20;
const PROTOCOL_ICMP: u8 = 1;

/// Which of the two protocols.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Family {
    V4,
    V6,
}

impl Family {
    fn request(self) -> u8 {
        match self {
            Self::V4 => 8,
            Self::V6 => 128,
        }
    }

    fn reply(self) -> u8 {
        match self {
            Self::V4 => 0,
            Self::V6 => 129,
        }
    }
}

/// What makes an echo ours.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) struct Echo {
    pub(super) identifier: u16,
    pub(super) sequence: u16,
    pub(super) token: [u8; TOKEN],
}

/// Writes a request. The kernel fills in the checksum of `ICMPv6`, which covers addresses that only it knows.
pub(super) fn request(family: Family, echo: &Echo) -> [u8; REQUEST] {
    let mut packet = [0; REQUEST];
    packet[0] = family.request();
    packet[4..6].copy_from_slice(&echo.identifier.to_be_bytes());
    packet[6..8].copy_from_slice(&echo.sequence.to_be_bytes());
    packet[HEADER..].copy_from_slice(&echo.token);
    if family == Family::V4 {
        let sum = checksum(&packet);
        packet[2..4].copy_from_slice(&sum.to_be_bytes());
    }
    packet
}

/// Reads a reply; `None` for whatever else it is. Checksums are the kernel's business: what has the token is ours.
pub(super) fn reply(family: Family, packet: &[u8]) -> Option<Echo> {
    let (header, token) = packet.split_first_chunk::<HEADER>()?;
    let [kind, code, _, _, identifier @ .., s0, s1] = *header;
    if kind != family.reply() || code != 0 {
        return None;
    }
    Some(Echo {
        identifier: u16::from_be_bytes(identifier),
        sequence: u16::from_be_bytes([s0, s1]),
        token: token.try_into().ok()?,
    })
}

/// What follows the IPv4 header, which raw sockets deliver (raw(7)); `None` if it is no ICMP.
pub(super) fn after_ipv4_header(packet: &[u8]) -> Option<&[u8]> {
    let first = *packet.first()?;
    let length = usize::from(first & 0x0f) * 4;
    if first >> 4 != 4 || length < IPV4_HEADER || *packet.get(9)? != PROTOCOL_ICMP {
        return None;
    }
    packet.get(length..)
}

/// The Internet checksum (RFC 1071).
fn checksum(packet: &[u8; REQUEST]) -> u16 {
    let words = packet.as_chunks::<2>().0.iter();
    let mut sum: u32 = words.map(|word| u32::from(u16::from_be_bytes(*word))).sum();
    while sum > 0xffff {
        sum = (sum & 0xffff) + (sum >> 16);
    }
    !u16::try_from(sum).unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const ECHO: Echo = Echo {
        identifier: 0x1234,
        sequence: 0xfffe,
        token: *b"sixteen bytes ok",
    };

    /// The answer of a host that does as the RFCs say.
    fn answer(family: Family) -> Vec<u8> {
        let mut packet = request(family, &ECHO).to_vec();
        packet[0] = family.reply();
        packet
    }

    #[test]
    fn a_request_is_as_the_rfc_has_it() {
        let packet = request(Family::V4, &ECHO);
        assert_eq!(&packet[..2], &[8, 0]);
        assert_eq!(&packet[4..8], &[0x12, 0x34, 0xff, 0xfe]);
        assert_eq!(&packet[8..], b"sixteen bytes ok");
        assert_eq!(checksum(&packet), 0, "a sum over a right checksum is zero");
        assert_eq!(&request(Family::V6, &ECHO)[..4], &[128, 0, 0, 0]);
    }

    #[test]
    fn only_a_whole_reply_is_one() {
        for family in [Family::V4, Family::V6] {
            assert_eq!(reply(family, &answer(family)), Some(ECHO));
            assert_eq!(reply(family, &request(family, &ECHO)), None, "a request");
            let mut packet = answer(family);
            packet[1] = 1;
            assert_eq!(reply(family, &packet), None, "a code");
            let mut packet = answer(family);
            packet.push(0);
            assert_eq!(reply(family, &packet), None, "too long");
            for length in 0..REQUEST {
                assert_eq!(reply(family, &answer(family)[..length]), None, "{length}");
            }
        }
        assert_eq!(reply(Family::V4, &answer(Family::V6)), None);
        assert_eq!(reply(Family::V6, &answer(Family::V4)), None);
    }

    #[test]
    fn an_ipv4_header_is_skipped_whatever_its_length() {
        let with_header = |first: u8, protocol: u8, length: usize| {
            let mut packet = vec![0; length];
            packet[0] = first;
            packet[9] = protocol;
            packet.extend(answer(Family::V4));
            packet
        };
        let table = [
            (with_header(0x45, 1, 20), true),
            (with_header(0x4f, 1, 60), true),
            (with_header(0x44, 1, 16), false),
            (with_header(0x65, 1, 20), false),
            (with_header(0x45, 17, 20), false),
            (vec![0x45; 10], false),
            (vec![0x4f; 30], false),
            (Vec::new(), false),
        ];
        for (packet, good) in table {
            let read = after_ipv4_header(&packet).and_then(|icmp| reply(Family::V4, icmp));
            assert_eq!(read.is_some(), good, "{packet:?}");
        }
    }

    proptest! {
        #[test]
        fn no_bytes_panic_and_random_ones_are_no_reply_of_ours(bytes in proptest::collection::vec(any::<u8>(), 0..300)) {
            for family in [Family::V4, Family::V6] {
                prop_assert_ne!(reply(family, &bytes), Some(ECHO));
                let icmp = after_ipv4_header(&bytes).unwrap_or_default();
                prop_assert_ne!(reply(family, icmp), Some(ECHO));
            }
        }

        #[test]
        fn one_changed_bit_makes_another_echo_or_none(bit in 0..REQUEST * 8) {
            let mut packet = answer(Family::V4);
            packet[bit / 8] ^= 1 << (bit % 8);
            // The checksum is the kernel's.
            let is_checksum = (2..4).contains(&(bit / 8));
            prop_assert_eq!(reply(Family::V4, &packet) == Some(ECHO), is_checksum);
        }
    }
}

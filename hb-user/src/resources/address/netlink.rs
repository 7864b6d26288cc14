//! Requests to the kernel's routing, by netlink: one at a time, and nothing allocated on the way.

use std::io;
use std::os::fd::{AsRawFd, OwnedFd};

use netlink_packet_core::{
    NLM_F_ACK_TLVS, NLM_F_CAPPED, NLMSG_DONE, NLMSG_ERROR, NetlinkBuffer, NlaBuffer, NlasIterator,
};
use nix::errno::Errno;
use nix::sys::socket::{
    AddressFamily, MsgFlags, NetlinkAddr, SockFlag, SockProtocol, SockType, connect, recv, send, setsockopt, socket,
    sockopt,
};
use nix::sys::time::{TimeVal, TimeValLike};

use super::message::Message;

/// The kernel answers while it takes the request, so this is for one that does not answer at all.
const PATIENCE: i64 = 2;

/// What one reading may return: the kernel makes a part of a long answer no longer than the room that there is, up to this.
const ROOM: usize = 32 * 1024;

/// The attribute of a refusal that has the kernel's words (`NLMSGERR_ATTR_MSG`).
const WORDS: u16 = 1;

/// A connection to the kernel's routing.
#[derive(Debug)]
pub(super) struct Netlink {
    socket: OwnedFd,
    sequence: u32,
    buffer: Box<[u8]>,
}

/// The kernel says no.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) struct Refusal {
    pub(super) errno: Errno,
    words: [u8; 80],
    length: usize,
}

impl Refusal {
    /// Of a reason without words.
    pub(super) fn new(errno: Errno) -> Self {
        Self {
            errno,
            words: [0; 80],
            length: 0,
        }
    }

    fn with_words(errno: Errno, words: &[u8]) -> Self {
        let mut refusal = Self::new(errno);
        refusal.length = words.len().min(refusal.words.len());
        refusal.words[..refusal.length].copy_from_slice(&words[..refusal.length]);
        refusal
    }

    /// What the kernel says of its reason, where it says anything.
    pub(super) fn words(&self) -> &str {
        str::from_utf8(&self.words[..self.length]).unwrap_or_default()
    }
}

impl From<Errno> for Refusal {
    fn from(errno: Errno) -> Self {
        Self::new(errno)
    }
}

/// Whether more of an answer is to come.
enum Part {
    More,
    Last,
}

impl Netlink {
    pub(super) fn open() -> io::Result<Self> {
        let kind = (SockType::Raw, SockFlag::SOCK_CLOEXEC, SockProtocol::NetlinkRoute);
        let socket = socket(AddressFamily::Netlink, kind.0, kind.1, kind.2)?;
        // To the kernel, and from nobody else.
        connect(socket.as_raw_fd(), &NetlinkAddr::new(0, 0))?;
        setsockopt(&socket, sockopt::ReceiveTimeout, &TimeVal::seconds(PATIENCE))?;
        // The kernel's words, without a copy of the request; and only the interface that was asked for. An older kernel
        // knows less, and what it sends too much is passed over.
        for option in [
            libc::NETLINK_EXT_ACK,
            libc::NETLINK_CAP_ACK,
            libc::NETLINK_GET_STRICT_CHK,
        ] {
            let _ = switch_on(&socket, option);
        }
        Ok(Self {
            socket,
            sequence: 0,
            // Zeroes would be pages that are not there yet.
            buffer: vec![1; ROOM].into(),
        })
    }

    /// Asks for something to be done, and waits for the answer.
    pub(super) fn request(&mut self, message: &Message) -> Result<(), Refusal> {
        self.exchange(message, |_, _| {})
    }

    /// Asks, and shows the type and the payload of each part of the answer.
    pub(super) fn dump(&mut self, message: &Message, each: impl FnMut(u16, &[u8])) -> Result<(), Refusal> {
        self.exchange(message, each)
    }

    fn exchange(&mut self, message: &Message, mut each: impl FnMut(u16, &[u8])) -> Result<(), Refusal> {
        self.sequence = self.sequence.wrapping_add(1);
        let numbered = message.numbered(self.sequence);
        send(self.socket.as_raw_fd(), numbered.bytes(), MsgFlags::empty())?;
        loop {
            let length = match recv(self.socket.as_raw_fd(), &mut self.buffer, MsgFlags::empty()) {
                Ok(length) => length,
                Err(Errno::EINTR) => continue,
                Err(Errno::EAGAIN) => return Err(Errno::ETIMEDOUT.into()),
                Err(errno) => return Err(errno.into()),
            };
            if let Part::Last = read(&self.buffer[..length], self.sequence, &mut each)? {
                return Ok(());
            }
        }
    }
}

/// Reads what came at once, as far as it belongs to this request.
fn read(mut bytes: &[u8], sequence: u32, each: &mut impl FnMut(u16, &[u8])) -> Result<Part, Refusal> {
    while !bytes.is_empty() {
        let message = NetlinkBuffer::new_checked(bytes).map_err(|_| Errno::EBADMSG)?;
        let length = message.length() as usize;
        let payload = &bytes[16..length];
        if message.sequence_number() == sequence {
            match message.message_type() {
                NLMSG_ERROR => return judge(payload, message.flags()).map(|()| Part::Last),
                NLMSG_DONE => return judge(payload, 0).map(|()| Part::Last),
                kind => each(kind, payload),
            }
        }
        bytes = bytes.get(length.next_multiple_of(4)..).unwrap_or_default();
    }
    Ok(Part::More)
}

/// An acknowledgement: zero, or a negative error number; then the header of what was asked, and attributes.
fn judge(payload: &[u8], flags: u16) -> Result<(), Refusal> {
    let code = payload.first_chunk().map_or(0, |code| i32::from_ne_bytes(*code));
    if code == 0 {
        return Ok(());
    }
    let errno = Errno::from_raw(-code);
    let has_words = flags & NLM_F_ACK_TLVS != 0 && flags & NLM_F_CAPPED != 0;
    let rest = payload.get(4 + 16..).filter(|_| has_words).unwrap_or_default();
    let words = attributes(rest).find(|attribute| attribute.kind() == WORDS);
    Err(words.map_or(Refusal::new(errno), |words| {
        Refusal::with_words(errno, words.value().strip_suffix(&[0]).unwrap_or_default())
    }))
}

/// The attributes in a payload, up to one that is none.
pub(super) fn attributes(bytes: &[u8]) -> impl Iterator<Item = NlaBuffer<&[u8]>> {
    NlasIterator::new(bytes).map_while(Result::ok)
}

fn switch_on(socket: &OwnedFd, option: libc::c_int) -> Result<(), Errno> {
    let on: libc::c_int = 1;
    let size = libc::socklen_t::try_from(size_of_val(&on)).unwrap_or(0);
    // SAFETY: the option's value is an integer, and its size is given.
    let result = unsafe {
        libc::setsockopt(
            socket.as_raw_fd(),
            libc::SOL_NETLINK,
            option,
            (&raw const on).cast(),
            size,
        )
    };
    Errno::result(result).map(drop)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_answer_is_read_to_its_end() {
        let mut netlink = Netlink::open().expect("a socket");
        let ip = std::net::IpAddr::from([127, 0, 0, 1]);
        for _ in 0..3 {
            netlink
                .dump(&Message::routes(ip), |kind, _| assert_eq!(kind, libc::RTM_NEWROUTE))
                .expect("routes");
        }
    }

    #[test]
    fn only_the_own_answer_counts() {
        let ack = |sequence: u32, code: i32| {
            let mut bytes = 36_u32.to_ne_bytes().to_vec();
            bytes.extend(NLMSG_ERROR.to_ne_bytes());
            bytes.extend(0_u16.to_ne_bytes());
            bytes.extend(sequence.to_ne_bytes());
            bytes.extend([0; 4]);
            bytes.extend(code.to_ne_bytes());
            bytes.extend([0; 16]);
            bytes
        };
        let read = |bytes: &[u8]| read(bytes, 7, &mut |_, _| {});
        assert!(matches!(read(&ack(6, -1)), Ok(Part::More)));
        assert!(matches!(read(&ack(7, 0)), Ok(Part::Last)));
        let refusal = read(&[ack(6, 0), ack(7, -17)].concat()).err().expect("refused");
        assert_eq!((refusal.errno, refusal.words()), (Errno::EEXIST, ""));
        assert_eq!(read(&ack(7, 0)[..20]).err().map(|it| it.errno), Some(Errno::EBADMSG));
        assert_eq!(read(&[1, 2, 3]).err().map(|it| it.errno), Some(Errno::EBADMSG));
    }

    #[test]
    fn the_kernels_words_are_kept_as_far_as_there_is_room() {
        let words = |text: &str| {
            let mut payload = (-13_i32).to_ne_bytes().to_vec();
            payload.extend([0; 16]);
            let length = u16::try_from(4 + text.len() + 1).expect("short");
            payload.extend(length.to_ne_bytes());
            payload.extend(WORDS.to_ne_bytes());
            payload.extend(text.bytes().chain([0]));
            payload.resize(payload.len().next_multiple_of(4), 0);
            judge(&payload, NLM_F_ACK_TLVS | NLM_F_CAPPED)
                .expect_err("refused")
                .words()
                .to_owned()
        };
        assert_eq!(
            words("IPv6 is disabled on this device"),
            "IPv6 is disabled on this device"
        );
        assert_eq!(words(&"x".repeat(100)), "x".repeat(80));
    }
}

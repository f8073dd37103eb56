//! Datagrams out: neighbours of one size for one address leave as one message (UDP GSO), many messages with one
//! system call.

use std::io;
use std::mem::zeroed;
use std::net::SocketAddr;
use std::os::fd::AsRawFd;
use std::sync::Arc;

use super::address::{self, Raw};
use super::{Socket, checked};
use crate::outbox::{MAX_DATAGRAM, Outbox};

/// Bytes gathered before they are sent; small enough to stay in a core's cache.
const GATHERED: usize = 128 * 1024;
/// Messages of one system call.
const MESSAGES: usize = 64;
/// Segments and bytes of one message that every kernel takes.
const SEGMENTS: usize = 64;
const MESSAGE_LENGTH: usize = 65_000;
/// A segment above the path's MTU is refused as offload that does not work is; no client may bring that about.
const SEGMENT_LENGTH: usize = 1400;
const CONTROL: usize = 32;

#[repr(C, align(8))]
#[derive(Clone, Copy)]
struct Control([u8; CONTROL]);

#[derive(Clone, Copy)]
struct Datagram {
    to: SocketAddr,
    start: usize,
    length: usize,
}

/// Neighbouring datagrams that leave as one message.
#[derive(Clone, Copy)]
struct Group {
    first: usize,
    count: usize,
    length: usize,
}

/// Counts since the start.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct SendCounters {
    /// Datagrams that the kernel did not take.
    pub unsent: u64,
    /// System calls.
    pub calls: u64,
    /// Segmentation offload was refused and is off for good.
    pub offload_refused: bool,
}

/// Gathers datagrams and sends them when they are many, or on [`Sender::flush`].
pub struct Sender {
    socket: Arc<Socket>,
    bytes: Box<[u8]>,
    used: usize,
    datagrams: Vec<Datagram>,
    groups: Vec<Group>,
    messages: Messages,
    offload: bool,
    counters: SendCounters,
}

/// What the system call reads. The headers point into the other boxes, which are made once and never replaced.
struct Messages {
    names: Box<[Raw]>,
    vectors: Box<[libc::iovec]>,
    controls: Box<[Control]>,
    headers: Box<[libc::mmsghdr]>,
}

// SAFETY: the pointers lead only to boxes that the sender owns.
unsafe impl Send for Messages {}

impl Sender {
    /// Sends over `socket`; with `offload` the kernel, or the device, cuts messages into datagrams.
    pub fn new(socket: Arc<Socket>, offload: bool) -> Self {
        Self {
            socket,
            bytes: vec![0; GATHERED].into(),
            used: 0,
            datagrams: Vec::with_capacity(1024),
            groups: Vec::with_capacity(1024),
            messages: Messages::new(),
            offload,
            counters: SendCounters::default(),
        }
    }

    /// Counts since the start.
    pub fn counters(&self) -> SendCounters {
        self.counters
    }

    /// Sends what was gathered.
    pub fn flush(&mut self) {
        self.group();
        let mut next = 0;
        while next < self.groups.len() {
            let count = (self.groups.len() - next).min(MESSAGES);
            for at in 0..count {
                let group = self.groups[next + at];
                let Datagram { to, start, length } = self.datagrams[group.first];
                let bytes = &mut self.bytes[start..start + group.length];
                let segment = (group.count > 1).then_some(length as u16);
                self.messages.set(at, to, self.socket.is_v6(), bytes, segment);
            }
            self.counters.calls += 1;
            match self.messages.send(&self.socket, count) {
                Ok(sent) => next += sent.max(1),
                Err(error) => {
                    let group = self.groups[next];
                    let refused =
                        matches!(error.raw_os_error(), Some(libc::EIO | libc::EINVAL | libc::EOPNOTSUPP));
                    if refused && group.count > 1 {
                        self.offload = false;
                        self.counters.offload_refused = true;
                        self.datagrams.drain(..group.first);
                        self.group();
                        next = 0;
                    } else {
                        // A full buffer or an address that cannot be reached: media that waits is worth nothing.
                        self.counters.unsent += group.count as u64;
                        next += 1;
                    }
                }
            }
        }
        self.used = 0;
        self.datagrams.clear();
    }

    /// Divides the gathered datagrams into messages.
    fn group(&mut self) {
        self.groups.clear();
        let mut rest = self.datagrams.iter().enumerate().peekable();
        while let Some((first, head)) = rest.next() {
            let mut group = Group { first, count: 1, length: head.length };
            let mut last = head.length;
            while let Some((_, next)) = rest.next_if(|(_, next)| {
                // Only the last segment may be shorter than the others.
                self.offload
                    && head.length <= SEGMENT_LENGTH
                    && next.to == head.to
                    && last == head.length
                    && next.length <= last
                    && group.count < SEGMENTS
                    && group.length + next.length <= MESSAGE_LENGTH
            }) {
                group.count += 1;
                group.length += next.length;
                last = next.length;
            }
            self.groups.push(group);
        }
    }
}

impl Outbox for Sender {
    fn put(&mut self, to: SocketAddr, fill: impl FnOnce(&mut [u8]) -> usize) {
        if self.used + MAX_DATAGRAM > self.bytes.len() {
            self.flush();
        }
        let start = self.used;
        let length = fill(&mut self.bytes[start..start + MAX_DATAGRAM]);
        if length > 0 {
            self.datagrams.push(Datagram { to, start, length });
            self.used += length;
        }
    }
}

impl Messages {
    fn new() -> Self {
        let mut this = Self {
            names: vec![address::empty(); MESSAGES].into(),
            vectors: vec![libc::iovec { iov_base: std::ptr::null_mut(), iov_len: 0 }; MESSAGES].into(),
            controls: vec![Control([0; CONTROL]); MESSAGES].into(),
            // SAFETY: all zeroes is a valid mmsghdr without buffers.
            headers: vec![unsafe { zeroed::<libc::mmsghdr>() }; MESSAGES].into(),
        };
        for at in 0..MESSAGES {
            let header = &mut this.headers[at].msg_hdr;
            header.msg_name = (&raw mut this.names[at]).cast();
            header.msg_iov = &raw mut this.vectors[at];
            header.msg_iovlen = 1;
        }
        this
    }

    /// Makes message `at` of `bytes`, to be cut into datagrams of `segment` bytes. The bytes have to stay where they
    /// are until [`Messages::send`].
    fn set(&mut self, at: usize, to: SocketAddr, is_v6: bool, bytes: &mut [u8], segment: Option<u16>) {
        let header = &mut self.headers[at].msg_hdr;
        header.msg_namelen = address::write(to, is_v6, &mut self.names[at]);
        self.vectors[at] = libc::iovec { iov_base: bytes.as_mut_ptr().cast(), iov_len: bytes.len() };
        let Some(segment) = segment else {
            header.msg_control = std::ptr::null_mut();
            header.msg_controllen = 0;
            return;
        };
        header.msg_control = self.controls[at].0.as_mut_ptr().cast();
        // SAFETY: the control buffer is aligned for a header and longer than CMSG_SPACE(2), so that the first header
        // exists and has room for the two bytes of its data.
        unsafe {
            header.msg_controllen = libc::CMSG_SPACE(size_of::<u16>() as libc::c_uint) as usize;
            let control = &mut *libc::CMSG_FIRSTHDR(header);
            control.cmsg_level = libc::SOL_UDP;
            control.cmsg_type = libc::UDP_SEGMENT;
            control.cmsg_len = libc::CMSG_LEN(size_of::<u16>() as libc::c_uint) as usize;
            libc::CMSG_DATA(control).cast::<u16>().write_unaligned(segment);
        }
    }

    /// Sends the first `count` messages; returns how many the kernel took.
    fn send(&mut self, socket: &Socket, count: usize) -> io::Result<usize> {
        let headers = &mut self.headers[..count];
        // SAFETY: each header was set up by `set` in this flush and points to bytes that the sender still holds.
        let result = unsafe {
            libc::sendmmsg(
                socket.as_raw_fd(),
                headers.as_mut_ptr(),
                headers.len() as libc::c_uint,
                libc::MSG_DONTWAIT,
            )
        };
        checked(result)
    }
}

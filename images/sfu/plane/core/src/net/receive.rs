//! Datagrams in, many with one system call.

use std::io;
use std::mem::zeroed;
use std::net::SocketAddr;
use std::os::fd::AsRawFd;
use std::time::Duration;

use super::address::{self, Raw};
use super::{Socket, checked};

/// Above the longest datagram that WebRTC sends.
const LENGTH: usize = 2048;
/// Room for one arrival time.
const CONTROL: usize = 64;

#[repr(C, align(8))]
#[derive(Clone, Copy)]
struct Control([u8; CONTROL]);

/// Buffers for a batch. The headers point into the other boxes, which are made once and never replaced, so that the
/// pointers hold for the life of the receiver, wherever it is moved.
pub struct Receiver {
    datagrams: Box<[[u8; LENGTH]]>,
    names: Box<[Raw]>,
    controls: Box<[Control]>,
    vectors: Box<[libc::iovec]>,
    headers: Box<[libc::mmsghdr]>,
    filled: usize,
}

// SAFETY: the pointers in the headers and vectors lead only to boxes that the receiver owns.
unsafe impl Send for Receiver {}

impl Receiver {
    /// Buffers for `batch` datagrams.
    pub fn new(batch: usize) -> Self {
        let mut this = Self {
            datagrams: vec![[0; LENGTH]; batch].into(),
            names: vec![address::empty(); batch].into(),
            controls: vec![Control([0; CONTROL]); batch].into(),
            vectors: vec![libc::iovec { iov_base: std::ptr::null_mut(), iov_len: LENGTH }; batch].into(),
            // SAFETY: all zeroes is a valid mmsghdr without buffers.
            headers: vec![unsafe { zeroed::<libc::mmsghdr>() }; batch].into(),
            filled: batch,
        };
        for at in 0..batch {
            this.vectors[at].iov_base = this.datagrams[at].as_mut_ptr().cast();
            let header = &mut this.headers[at].msg_hdr;
            header.msg_name = (&raw mut this.names[at]).cast();
            header.msg_iov = &raw mut this.vectors[at];
            header.msg_iovlen = 1;
            header.msg_control = this.controls[at].0.as_mut_ptr().cast();
        }
        this
    }

    /// Takes what is there, without waiting; returns how many.
    ///
    /// # Errors
    /// What the kernel says. "Nothing there" and errors that earlier sends caused are no errors.
    pub fn receive(&mut self, socket: &Socket) -> io::Result<usize> {
        for header in &mut self.headers[..self.filled] {
            header.msg_hdr.msg_namelen = size_of::<Raw>() as libc::socklen_t;
            header.msg_hdr.msg_controllen = CONTROL;
        }
        // SAFETY: each of the headers points to buffers of the lengths that it says, all owned by `self`.
        let result = unsafe {
            libc::recvmmsg(
                socket.as_raw_fd(),
                self.headers.as_mut_ptr(),
                self.headers.len() as libc::c_uint,
                libc::MSG_DONTWAIT,
                std::ptr::null_mut(),
            )
        };
        self.filled = match checked(result) {
            Ok(count) => count,
            Err(error) => match error.raw_os_error() {
                Some(libc::EAGAIN | libc::EINTR | libc::ECONNREFUSED) => 0,
                _ => return Err(error),
            },
        };
        Ok(self.filled)
    }

    /// Whether there may be more than the last batch held.
    pub fn is_full(&self) -> bool {
        self.filled == self.headers.len()
    }

    /// Datagram `at` of the last batch: sender, arrival by the wall clock, bytes. `None` when it was cut.
    pub fn datagram(&mut self, at: usize) -> Option<(SocketAddr, Option<Duration>, &mut [u8])> {
        let header = self.headers[..self.filled].get(at)?;
        if header.msg_hdr.msg_flags & libc::MSG_TRUNC != 0 {
            return None;
        }
        let from = address::read(&self.names[at])?;
        let stamp = stamp(&header.msg_hdr);
        Some((from, stamp, &mut self.datagrams[at][..header.msg_len as usize]))
    }
}

fn stamp(header: &libc::msghdr) -> Option<Duration> {
    // SAFETY: the kernel has just filled the control buffer that `header` points to, up to the length that it says;
    // the macros stay within that length.
    unsafe {
        let control = libc::CMSG_FIRSTHDR(header).as_ref()?;
        if control.cmsg_level != libc::SOL_SOCKET || control.cmsg_type != libc::SCM_TIMESTAMPNS {
            return None;
        }
        let time = libc::CMSG_DATA(control).cast::<libc::timespec>().read_unaligned();
        Some(Duration::new(u64::try_from(time.tv_sec).ok()?, u32::try_from(time.tv_nsec).ok()?))
    }
}

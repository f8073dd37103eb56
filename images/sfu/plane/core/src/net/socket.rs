//! The one UDP socket.

use std::io;
use std::net::{SocketAddr, UdpSocket};
use std::os::fd::{AsRawFd, RawFd};
use std::time::Duration;

use super::{Wake, checked};

/// A bound socket whose datagrams carry the kernel's arrival time.
pub struct Socket {
    socket: UdpSocket,
    is_v6: bool,
}

/// What a wait ended with.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Waited {
    /// Datagrams are there.
    pub readable: bool,
    /// Somebody woke us.
    pub woken: bool,
}

impl Socket {
    /// Binds `address` and asks for `buffer` bytes in each direction, of which the kernel gives what it allows.
    ///
    /// # Errors
    /// What the kernel says, such as that the port is taken.
    pub fn bind(address: SocketAddr, buffer: usize) -> io::Result<Self> {
        let socket = UdpSocket::bind(address)?;
        socket.set_nonblocking(true)?;
        let this = Self { socket, is_v6: address.is_ipv6() };
        this.set(libc::SO_TIMESTAMPNS, 1)?;
        let buffer = libc::c_int::try_from(buffer).unwrap_or(libc::c_int::MAX);
        for (forced, plain) in
            [(libc::SO_RCVBUFFORCE, libc::SO_RCVBUF), (libc::SO_SNDBUFFORCE, libc::SO_SNDBUF)]
        {
            // Above the system's limit only with CAP_NET_ADMIN.
            if this.set(forced, buffer).is_err() {
                this.set(plain, buffer)?;
            }
        }
        Ok(this)
    }

    /// Where it is bound.
    ///
    /// # Errors
    /// What the kernel says.
    pub fn local_address(&self) -> io::Result<SocketAddr> {
        self.socket.local_addr()
    }

    /// Waits for datagrams, for `wake`, or for `timeout`, whichever is first.
    ///
    /// # Errors
    /// What the kernel says; an interrupted wait is over, not an error.
    pub fn wait(&self, wake: &Wake, timeout: Duration) -> io::Result<Waited> {
        let entry = |fd| libc::pollfd { fd, events: libc::POLLIN, revents: 0 };
        let mut entries = [entry(self.as_raw_fd()), entry(wake.as_raw_fd())];
        // Rounded up: a wait of no milliseconds for what is left of one would spin.
        let timeout = libc::c_int::try_from(timeout.as_micros().div_ceil(1000)).unwrap_or(libc::c_int::MAX);
        // SAFETY: the pointer and the count describe `entries`.
        let result = unsafe { libc::poll(entries.as_mut_ptr(), entries.len() as libc::nfds_t, timeout) };
        match checked(result) {
            Err(error) if error.kind() != io::ErrorKind::Interrupted => Err(error),
            _ => Ok(Waited { readable: entries[0].revents != 0, woken: entries[1].revents != 0 }),
        }
    }

    pub(super) fn is_v6(&self) -> bool {
        self.is_v6
    }

    fn set(&self, option: libc::c_int, value: libc::c_int) -> io::Result<()> {
        // SAFETY: the pointer and the length describe `value`.
        let result = unsafe {
            libc::setsockopt(
                self.as_raw_fd(),
                libc::SOL_SOCKET,
                option,
                (&raw const value).cast(),
                size_of_val(&value) as libc::socklen_t,
            )
        };
        checked(result).map(|_| ())
    }
}

impl AsRawFd for Socket {
    fn as_raw_fd(&self) -> RawFd {
        self.socket.as_raw_fd()
    }
}

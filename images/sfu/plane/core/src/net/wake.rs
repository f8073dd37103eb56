//! An eventfd: one thread wakes another that waits in `poll`.

use std::io;
use std::os::fd::{AsRawFd, FromRawFd, OwnedFd, RawFd};

use super::checked;

/// Stays readable from [`Wake::wake`] to [`Wake::clear`].
pub struct Wake(OwnedFd);

impl Wake {
    /// Opens the descriptor.
    ///
    /// # Errors
    /// What the kernel says, when descriptors are used up.
    pub fn new() -> io::Result<Self> {
        // SAFETY: eventfd takes two integers; a descriptor that it returns belongs to nobody else.
        unsafe {
            let fd = libc::eventfd(0, libc::EFD_CLOEXEC | libc::EFD_NONBLOCK);
            checked(fd)?;
            Ok(Self(OwnedFd::from_raw_fd(fd)))
        }
    }

    /// Makes the descriptor readable.
    pub fn wake(&self) {
        let one = 1_u64;
        // SAFETY: reads 8 bytes of `one`. It can only fail when the counter is at its end: readable all the same.
        unsafe { libc::write(self.0.as_raw_fd(), (&raw const one).cast(), 8) };
    }

    /// Makes the descriptor unreadable.
    pub fn clear(&self) {
        let mut count = 0_u64;
        // SAFETY: writes 8 bytes of `count`. It can only fail when there was nothing to clear.
        unsafe { libc::read(self.0.as_raw_fd(), (&raw mut count).cast(), 8) };
    }
}

impl AsRawFd for Wake {
    fn as_raw_fd(&self) -> RawFd {
        self.0.as_raw_fd()
    }
}

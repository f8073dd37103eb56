//! The system calls: a UDP socket that takes and gives datagrams in batches, and a file descriptor to wake a thread.
//! The only unsafe code of the plane is here.
#![allow(unsafe_code)]

mod address;
mod receive;
mod send;
mod socket;
mod wake;

pub use receive::Receiver;
pub use send::{SendCounters, Sender};
pub use socket::{Socket, Waited};
pub use wake::Wake;

use std::io;

/// The result of a system call that says -1 for "see errno".
fn checked(result: libc::c_int) -> io::Result<usize> {
    usize::try_from(result).map_err(|_| io::Error::last_os_error())
}

#[cfg(test)]
mod tests;

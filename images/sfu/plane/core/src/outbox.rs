//! Where the plane puts datagrams.

use std::net::SocketAddr;

/// The longest datagram that the plane sends or takes.
pub const MAX_DATAGRAM: usize = 1600;

/// Takes datagrams in the order in which they are to leave.
pub trait Outbox {
    /// Lets `fill` write a datagram for `to` into at least [`MAX_DATAGRAM`] bytes; it returns the length, 0 for
    /// "none after all".
    fn put(&mut self, to: SocketAddr, fill: impl FnOnce(&mut [u8]) -> usize);
}

/// Keeps everything; for tests and for callers with little to send.
impl Outbox for Vec<(SocketAddr, Vec<u8>)> {
    fn put(&mut self, to: SocketAddr, fill: impl FnOnce(&mut [u8]) -> usize) {
        let mut datagram = vec![0; MAX_DATAGRAM];
        let length = fill(&mut datagram);
        if length > 0 {
            datagram.truncate(length);
            self.push((to, datagram));
        }
    }
}

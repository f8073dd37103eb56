//! Socket addresses as the kernel writes them.

use std::mem::zeroed;
use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr, SocketAddrV6};

pub(super) type Raw = libc::sockaddr_storage;

/// Writes `address` into `raw`, for a socket of the family IPv6 in its mapped form; returns the length.
pub(super) fn write(address: SocketAddr, is_v6: bool, raw: &mut Raw) -> libc::socklen_t {
    match address {
        SocketAddr::V4(v4) if !is_v6 => {
            let name = libc::sockaddr_in {
                sin_family: libc::AF_INET as libc::sa_family_t,
                sin_port: v4.port().to_be(),
                sin_addr: libc::in_addr { s_addr: u32::from(*v4.ip()).to_be() },
                sin_zero: [0; 8],
            };
            // SAFETY: sockaddr_storage is made to hold, size and alignment, every kind of socket address.
            unsafe { std::ptr::from_mut(raw).cast::<libc::sockaddr_in>().write(name) };
            size_of::<libc::sockaddr_in>() as libc::socklen_t
        }
        other => {
            let (ip, scope) = match other {
                SocketAddr::V4(v4) => (v4.ip().to_ipv6_mapped(), 0),
                SocketAddr::V6(v6) => (*v6.ip(), v6.scope_id()),
            };
            let name = libc::sockaddr_in6 {
                sin6_family: libc::AF_INET6 as libc::sa_family_t,
                sin6_port: other.port().to_be(),
                sin6_flowinfo: 0,
                sin6_addr: libc::in6_addr { s6_addr: ip.octets() },
                sin6_scope_id: scope,
            };
            // SAFETY: as above.
            unsafe { std::ptr::from_mut(raw).cast::<libc::sockaddr_in6>().write(name) };
            size_of::<libc::sockaddr_in6>() as libc::socklen_t
        }
    }
}

/// Reads `raw`; IPv4 that came over an IPv6 socket is IPv4.
pub(super) fn read(raw: &Raw) -> Option<SocketAddr> {
    match i32::from(raw.ss_family) {
        libc::AF_INET => {
            // SAFETY: the family says that the kernel wrote a sockaddr_in; storage is large and aligned enough.
            let name = unsafe { std::ptr::from_ref(raw).cast::<libc::sockaddr_in>().read() };
            let ip = Ipv4Addr::from(u32::from_be(name.sin_addr.s_addr));
            Some(SocketAddr::from((ip, u16::from_be(name.sin_port))))
        }
        libc::AF_INET6 => {
            // SAFETY: the family says that the kernel wrote a sockaddr_in6; storage is large and aligned enough.
            let name = unsafe { std::ptr::from_ref(raw).cast::<libc::sockaddr_in6>().read() };
            let ip = Ipv6Addr::from(name.sin6_addr.s6_addr);
            let port = u16::from_be(name.sin6_port);
            Some(match ip.to_ipv4_mapped() {
                Some(v4) => SocketAddr::from((v4, port)),
                None => SocketAddr::V6(SocketAddrV6::new(ip, port, 0, name.sin6_scope_id)),
            })
        }
        _ => None,
    }
}

/// An empty address.
pub(super) fn empty() -> Raw {
    // SAFETY: all zeroes is a valid sockaddr_storage: AF_UNSPEC.
    unsafe { zeroed() }
}

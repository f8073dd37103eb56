//! The ICE-lite agent of one peer (RFC 8445 section 2.5): answers checks, follows the client's nominations, and
//! takes the checks that keep coming as consent (RFC 7675; a lite agent sends none of its own).

use std::net::SocketAddr;
use std::time::Duration;

use aws_lc_rs::hmac;

use crate::stun::{Request, role_conflict, success};
use crate::time::Time;

/// Without a check for so long the client has gone (RFC 7675 section 5.1).
pub const CONSENT: Duration = Duration::from_secs(30);

/// Addresses from which a client may be heard at the same time: a handful of interfaces, in two families.
const MAX_ADDRESSES: usize = 8;

/// Our user fragment and password, as the session description told them.
#[derive(Clone)]
pub struct Credentials {
    ufrag: Vec<u8>,
    key: hmac::Key,
}

impl Credentials {
    /// Takes the fragment and the password of one ICE generation.
    pub fn new(ufrag: &[u8], password: &[u8]) -> Self {
        let key = hmac::Key::new(hmac::HMAC_SHA1_FOR_LEGACY_USE_ONLY, password);
        Self { ufrag: ufrag.to_vec(), key }
    }

    /// The user fragment, by which the plane finds the peer.
    pub fn ufrag(&self) -> &[u8] {
        &self.ufrag
    }

    /// The key that signs checks and answers.
    pub fn key(&self) -> &hmac::Key {
        &self.key
    }
}

/// What a check brought about.
#[derive(Debug, PartialEq, Eq)]
pub struct Checked {
    /// The answer, to be sent where the check came from.
    pub answer: Vec<u8>,
    /// The address is new to this peer; its datagrams are the peer's from now on.
    pub learned: bool,
    /// An address that gave way to the new one.
    pub forgotten: Option<SocketAddr>,
    /// The fragment of the generation that this check ended.
    pub void: Option<Vec<u8>>,
}

/// One peer's half of ICE.
pub struct Agent {
    credentials: Credentials,
    previous: Option<Credentials>,
    addresses: Vec<SocketAddr>,
    selected: Option<SocketAddr>,
    heard: Time,
}

impl Agent {
    /// An agent that waits for the first check from `now` on.
    pub fn new(credentials: Credentials, now: Time) -> Self {
        Self { credentials, previous: None, addresses: Vec::new(), selected: None, heard: now }
    }

    /// Starts a new ICE generation; the old credentials work until the client nominates under the new ones.
    /// Returns the generation before the old one, which is void.
    pub fn restart(&mut self, credentials: Credentials) -> Option<Credentials> {
        self.previous.replace(std::mem::replace(&mut self.credentials, credentials))
    }

    /// Where the peer is sent to.
    pub fn selected(&self) -> Option<SocketAddr> {
        self.selected
    }

    /// All addresses that are the peer's.
    pub fn addresses(&self) -> &[SocketAddr] {
        &self.addresses
    }

    /// Whether the client has been silent for too long.
    pub fn has_expired(&self, now: Time) -> bool {
        now.since(self.heard) >= CONSENT
    }

    /// Answers a check; `None`, and no answer, for one that is not signed with our password.
    pub fn check(&mut self, now: Time, from: SocketAddr, request: &Request<'_>) -> Option<Checked> {
        let ufrag = request.local_ufrag();
        let is_current = ufrag == self.credentials.ufrag;
        let generation = if is_current { Some(&self.credentials) } else { self.previous.as_ref() };
        let credentials = generation.filter(|one| one.ufrag == ufrag && request.is_signed_with(&one.key))?;
        if request.controlled {
            let answer = role_conflict(request.transaction(), &credentials.key);
            return Some(Checked { answer, learned: false, forgotten: None, void: None });
        }
        let answer = success(request.transaction(), from, &credentials.key);
        self.heard = now;
        let (learned, forgotten) = self.learn(from);
        let mut void = None;
        if request.use_candidate {
            self.selected = Some(from);
            if is_current {
                void = self.previous.take().map(|previous| previous.ufrag);
            }
        }
        Some(Checked { answer, learned, forgotten, void })
    }

    fn learn(&mut self, from: SocketAddr) -> (bool, Option<SocketAddr>) {
        if self.addresses.contains(&from) {
            return (false, None);
        }
        let crowded = self.addresses.len() >= MAX_ADDRESSES;
        let oldest = self.addresses.iter().position(|one| crowded && Some(*one) != self.selected);
        let forgotten = oldest.map(|at| self.addresses.remove(at));
        self.addresses.push(from);
        (true, forgotten)
    }
}

//! Time as the plane sees it: monotonic, from the plane's own start.

use std::ops::{Add, Sub};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

/// Seconds from the NTP epoch (1900) to the Unix epoch (1970).
const NTP_TO_UNIX: u64 = 2_208_988_800;

/// Nanoseconds since the plane started, by a clock that never steps.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct Time(u64);

impl Time {
    /// The plane's start.
    pub const ZERO: Self = Self(0);

    /// The time `nanos` after the plane's start.
    pub const fn from_nanos(nanos: u64) -> Self {
        Self(nanos)
    }

    /// The time `millis` after the plane's start.
    pub const fn from_millis(millis: u64) -> Self {
        Self(millis * 1_000_000)
    }

    /// Nanoseconds since the plane's start.
    pub const fn as_nanos(self) -> u64 {
        self.0
    }

    /// Microseconds since the plane's start.
    pub const fn as_micros(self) -> u64 {
        self.0 / 1000
    }

    /// How long after `earlier` this is; zero when it is not.
    pub const fn since(self, earlier: Self) -> Duration {
        Duration::from_nanos(self.0.saturating_sub(earlier.0))
    }
}

impl Add<Duration> for Time {
    type Output = Self;

    fn add(self, rhs: Duration) -> Self {
        Self(self.0.saturating_add(u64::try_from(rhs.as_nanos()).unwrap_or(u64::MAX)))
    }
}

impl Sub<Duration> for Time {
    type Output = Self;

    fn sub(self, rhs: Duration) -> Self {
        Self(self.0.saturating_sub(u64::try_from(rhs.as_nanos()).unwrap_or(u64::MAX)))
    }
}

/// What ties [`Time`] to the clocks outside; read once, so a stepping wall clock moves nothing.
#[derive(Clone, Copy, Debug)]
pub struct Origin {
    instant: Instant,
    unix: Duration,
}

impl Origin {
    /// Takes the present as [`Time::ZERO`].
    pub fn now() -> Self {
        // A clock before 1970 only shifts the NTP times, which nobody compares with another clock.
        let unix = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        Self { instant: Instant::now(), unix }
    }

    /// The present.
    pub fn time(&self) -> Time {
        Time::ZERO + self.instant.elapsed()
    }

    /// `time` for interfaces that want the standard library's clock.
    pub fn instant(&self, time: Time) -> Instant {
        self.instant + time.since(Time::ZERO)
    }

    /// What the standard library calls `instant`; the start for all that lies before it.
    pub fn at(&self, instant: Instant) -> Time {
        Time::ZERO + instant.saturating_duration_since(self.instant)
    }

    /// `time` as a 64-bit NTP timestamp (RFC 5905 section 6).
    pub fn ntp(&self, time: Time) -> u64 {
        let unix = self.unix + time.since(Time::ZERO);
        ntp_duration(unix) + (NTP_TO_UNIX << 32)
    }
}

/// `duration` in the 32.32 fixed point of NTP.
pub fn ntp_duration(duration: Duration) -> u64 {
    (duration.as_secs() << 32) + ((u64::from(duration.subsec_nanos()) << 32) / 1_000_000_000)
}

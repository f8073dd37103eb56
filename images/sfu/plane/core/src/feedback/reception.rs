//! What a receiver report says about one stream (RFC 3550 section 6.4.1, appendices A.3 and A.8).

use rtc_rtcp::reception_report::ReceptionReport;

use crate::time::{Time, ntp_duration};

/// Counters of one stream.
#[derive(Debug, Default)]
pub struct Reception {
    first: Option<u64>,
    highest: u64,
    received: u64,
    expected_before: u64,
    received_before: u64,
    /// In 1/16 of a tick, as appendix A.8 keeps it.
    jitter: u64,
    transit: Option<u32>,
    sender_report: Option<(u32, Time)>,
}

impl Reception {
    /// Counts a packet that came in its own stream, not as a repair.
    pub fn arrived(&mut self, index: u64, timestamp: u32, arrival: Time, clock_rate: u32) {
        self.first.get_or_insert(index);
        self.highest = self.highest.max(index);
        self.received += 1;
        let ticks = u128::from(arrival.as_nanos()) * u128::from(clock_rate) / 1_000_000_000;
        let transit = (ticks as u32).wrapping_sub(timestamp);
        if let Some(before) = self.transit.replace(transit) {
            let deviation = u64::from(transit.wrapping_sub(before).cast_signed().unsigned_abs());
            self.jitter = self.jitter + deviation - ((self.jitter + 8) >> 4);
        }
    }

    /// Notes a sender report, whose middle NTP bits the next report repeats.
    pub fn sender_report(&mut self, ntp: u64, arrival: Time) {
        self.sender_report = Some(((ntp >> 16) as u32, arrival));
    }

    /// The report since the last one; `None` before the first packet.
    pub fn report(&mut self, ssrc: u32, now: Time) -> Option<ReceptionReport> {
        let expected = self.highest - self.first? + 1;
        let expected_now = expected - self.expected_before;
        let received_now = self.received - self.received_before;
        self.expected_before = expected;
        self.received_before = self.received;
        let lost_now = expected_now.saturating_sub(received_now);
        let fraction_lost = (lost_now * 256).checked_div(expected_now).unwrap_or(0).min(255) as u8;
        let (last_sender_report, delay) = self
            .sender_report
            .map_or((0, 0), |(middle, arrival)| (middle, (ntp_duration(now.since(arrival)) >> 16) as u32));
        Some(ReceptionReport {
            ssrc,
            fraction_lost,
            // 24 bits, signed on the wire; duplicates never make it negative here.
            total_lost: expected.saturating_sub(self.received).min(0x7F_FFFF) as u32,
            last_sequence_number: self.highest as u32,
            jitter: (self.jitter >> 4) as u32,
            last_sender_report,
            delay,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Duration;

    #[test]
    fn losses_are_counted_per_interval_and_in_all() {
        let mut reception = Reception::default();
        assert!(reception.report(1, Time::ZERO).is_none());
        for index in (0..100_u64).filter(|index| index % 4 != 3) {
            let arrival = Time::from_millis(20 * index);
            reception.arrived(65_500 + index, 960 * index as u32, arrival, 48_000);
        }
        reception.arrived(65_500 + 100, 96_000, Time::from_millis(2000), 48_000);
        let report = reception.report(1, Time::ZERO).unwrap();
        assert_eq!((report.total_lost, report.fraction_lost), (25, (25 * 256 / 101) as u8));
        assert_eq!(report.last_sequence_number, 65_600);
        assert_eq!(report.jitter, 0);
        assert_eq!(reception.report(1, Time::ZERO).unwrap().fraction_lost, 0);
    }

    #[test]
    fn a_sender_report_is_repeated_with_its_age() {
        let mut reception = Reception::default();
        reception.arrived(1, 0, Time::ZERO, 48_000);
        reception.sender_report(0x1122_3344_5566_7788, Time::from_millis(100));
        let report = reception.report(1, Time::from_millis(100) + Duration::from_millis(500)).unwrap();
        assert_eq!((report.last_sender_report, report.delay), (0x3344_5566, 0x8000));
    }

    #[test]
    fn uneven_arrival_is_jitter() {
        let mut reception = Reception::default();
        for index in 0..1000_u64 {
            let late = if index % 2 == 0 { 0 } else { 10 };
            reception.arrived(index, 960 * index as u32, Time::from_millis(20 * index + late), 48_000);
        }
        let jitter = reception.report(1, Time::ZERO).unwrap().jitter;
        assert!((470..=480).contains(&jitter), "10 ms are 480 ticks: {jitter}");
    }
}

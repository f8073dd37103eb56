//! RTCP: reports and feedback from clients, and how ours are sent.

use std::net::SocketAddr;
use std::time::Duration;

use rtc_rtcp::packet::{Packet, marshal};
use rtc_rtcp::payload_feedbacks::full_intra_request::FullIntraRequest;
use rtc_rtcp::payload_feedbacks::picture_loss_indication::PictureLossIndication;
use rtc_rtcp::receiver_report::ReceiverReport;
use rtc_rtcp::reception_report::ReceptionReport;
use rtc_rtcp::sender_report::SenderReport;
use rtc_rtcp::transport_feedbacks::transport_layer_cc::TransportLayerCc;
use rtc_rtcp::transport_feedbacks::transport_layer_nack::TransportLayerNack;

use super::Plane;
use crate::command::Event;
use crate::ids::PeerId;
use crate::media::ClockPair;
use crate::outbox::Outbox;
use crate::peer::Peer;
use crate::rtcp;
use crate::time::Time;

/// How often a changed estimate is told.
const TELL: Duration = Duration::from_millis(500);

impl Plane {
    pub(super) fn receive_control(
        &mut self,
        now: Time,
        arrival: Time,
        from: SocketAddr,
        datagram: &mut [u8],
        out: &mut impl Outbox,
    ) {
        let Some(id) = self.addresses.get(&from).copied() else {
            self.counters.strangers += 1;
            return;
        };
        let receiver = self.peers.get_mut(&id).and_then(|peer| peer.receiver.as_mut());
        let Some(plain) = receiver.and_then(|receiver| receiver.open_rtcp(datagram).ok()) else {
            self.counters.rejected += 1;
            return;
        };
        for part in rtcp::packets(&datagram[..plain]) {
            match part {
                Ok(packets) => packets.iter().for_each(|packet| self.hear(id, now, arrival, &**packet, out)),
                Err(rtcp::Malformed) => self.counters.rejected += 1,
            }
        }
    }

    fn hear(&mut self, id: PeerId, now: Time, arrival: Time, packet: &dyn Packet, out: &mut impl Outbox) {
        let packet = packet.as_any();
        if let Some(report) = packet.downcast_ref::<SenderReport>() {
            self.hear_sender(id, arrival, report);
            self.hear_reception(id, now, &report.reports);
        } else if let Some(report) = packet.downcast_ref::<ReceiverReport>() {
            self.hear_reception(id, now, &report.reports);
        } else if let Some(nack) = packet.downcast_ref::<TransportLayerNack>() {
            self.hear_nack(id, now, nack, out);
        } else if let Some(pli) = packet.downcast_ref::<PictureLossIndication>() {
            self.hear_plea(id, now, pli.media_ssrc);
        } else if let Some(fir) = packet.downcast_ref::<FullIntraRequest>() {
            fir.fir.iter().for_each(|entry| self.hear_plea(id, now, entry.ssrc));
        } else if let Some(feedback) = packet.downcast_ref::<TransportLayerCc>() {
            self.hear_arrivals(id, now, feedback);
        }
    }

    fn hear_arrivals(&mut self, id: PeerId, now: Time, feedback: &TransportLayerCc) {
        let Some(peer) = self.peers.get_mut(&id) else { return };
        let departures = peer.departures.feedback(feedback);
        peer.estimator.feedback(now, &departures);
        self.tell_estimate(id, now);
    }

    /// Lets a subscriber's share follow its estimate, and tells the estimate when it is due.
    pub(super) fn tell_estimate(&mut self, id: PeerId, now: Time) {
        let Some(peer) = self.peers.get_mut(&id) else { return };
        let estimate = peer.estimator.bits_per_second();
        if estimate < peer.taken {
            peer.choice_due = now;
        }
        let (told, at) = peer.told;
        // A fall is told at once, for layers have to go; anything else in its time.
        let has_fallen = estimate * 10 < told * 9;
        if told == 0 || has_fallen || (now.since(at) >= TELL && estimate != told) {
            peer.told = (estimate, now);
            self.events.push(Event::Estimate { peer: id, bits_per_second: estimate });
        }
    }

    fn hear_sender(&mut self, id: PeerId, arrival: Time, report: &SenderReport) {
        let route = self.peers.get(&id).and_then(|peer| peer.routes.get(&report.ssrc));
        let Some(route) = route.filter(|route| !route.is_repair) else { return };
        let Some(track) = self.tracks.get_mut(&route.track) else { return };
        let encoding = &mut track.encodings[usize::from(route.encoding)];
        encoding.reception.sender_report(report.ntp_time, arrival);
        encoding.clock = Some(ClockPair { ntp: report.ntp_time, timestamp: report.rtp_time, arrival });
    }

    fn hear_reception(&mut self, id: PeerId, now: Time, reports: &[ReceptionReport]) {
        let Some(peer) = self.peers.get_mut(&id) else { return };
        for report in reports {
            let Some((track, leg)) = peer.legs.get(&report.ssrc) else { continue };
            let leg = self.tracks.get(track).and_then(|track| track.leg(*leg));
            let measured = leg.and_then(|leg| leg.round_trip(now, report.last_sender_report, report.delay));
            if let Some(round_trip) = measured {
                peer.round_trip = round_trip;
            }
        }
    }

    fn hear_nack(&mut self, id: PeerId, now: Time, nack: &TransportLayerNack, out: &mut impl Outbox) {
        let Some(peer) = self.peers.get_mut(&id) else { return };
        let Some((track, leg)) = peer.legs.get(&nack.media_ssrc).copied() else { return };
        let Some(track) = self.tracks.get_mut(&track) else { return };
        let sequences = nack.nacks.iter().flat_map(|pair| {
            let following = (0..16).filter(|bit| pair.lost_packets & (1 << bit) != 0);
            std::iter::once(pair.packet_id).chain(following.map(|bit| pair.packet_id.wrapping_add(bit + 1)))
        });
        Self::repair(track, leg, peer, sequences, now, &mut self.counters, out);
    }

    fn hear_plea(&mut self, id: PeerId, now: Time, ssrc: u32) {
        let found = self.peers.get(&id).and_then(|peer| peer.legs.get(&ssrc));
        let Some((track, leg)) = found.copied() else { return };
        let Some(track) = self.tracks.get_mut(&track).filter(|track| track.codec.is_video()) else { return };
        let Some(leg) = track.leg_mut(leg) else { return };
        let Some(encoding) = leg.awaits().or(leg.encoding()) else { return };
        if leg.plea.is_heard(now) {
            track.encodings[usize::from(encoding)].requests.want();
        }
    }
}

/// Sends `packets` as one datagram; nothing before the handshake.
pub(super) fn send(peer: &mut Peer, packets: &[Box<dyn Packet>], out: &mut impl Outbox) {
    let (Some(to), Some(sender)) = (peer.agent.selected(), peer.sender.as_mut()) else { return };
    let Ok(plain) = marshal(packets) else { return };
    out.put(to, |datagram| {
        let Some(space) = datagram.get_mut(..plain.len() + crate::srtp::MAX_OVERHEAD) else { return 0 };
        space[..plain.len()].copy_from_slice(&plain);
        sender.seal_rtcp(space, plain.len()).unwrap_or(0)
    });
}

//! What happens with time: handshakes are resent, silent clients expire, feedback and reports leave.

use std::time::Duration;

use rtc_rtcp::packet::Packet;
use rtc_rtcp::payload_feedbacks::picture_loss_indication::PictureLossIndication;
use rtc_rtcp::receiver_report::ReceiverReport;
use rtc_rtcp::sender_report::SenderReport;
use rtc_rtcp::source_description::{
    SdesType, SourceDescription, SourceDescriptionChunk, SourceDescriptionItem,
};
use rtc_rtcp::transport_feedbacks::transport_layer_nack::{
    TransportLayerNack, nack_pairs_from_sequence_numbers,
};

use super::{Plane, control};
use crate::command::{Event, Parting};
use crate::ids::PeerId;
use crate::outbox::Outbox;
use crate::time::Time;

/// How often [`Plane::tick`] wants to be called while there are peers.
pub const TICK: Duration = Duration::from_millis(10);
/// Transport-wide feedback, as often as browsers send it.
const FEEDBACK: Duration = Duration::from_millis(50);
/// Sender and receiver reports.
const REPORT: Duration = Duration::from_secs(1);
/// Blocks of one report (its count has 5 bits) and reports of one datagram.
const BLOCKS: usize = 20;
/// The SSRC of our own RTCP; the client announces no stream of ours under it.
const OWN_SSRC: u32 = 1;

impl Plane {
    /// Does what is due. Cheap when nothing is.
    pub fn tick(&mut self, now: Time, out: &mut impl Outbox) {
        let ids: Vec<PeerId> = self.peers.keys().copied().collect();
        for id in ids {
            self.tick_transport(id, now, out);
            self.tick_publisher(id, now, out);
            self.tick_reports(id, now, out);
            self.tick_estimate(id, now);
            self.tick_layers(id, now);
            self.tick_filling(id, now, out);
        }
    }

    fn tick_transport(&mut self, id: PeerId, now: Time, out: &mut impl Outbox) {
        let Some(peer) = self.peers.get_mut(&id) else { return };
        if peer.agent.has_expired(now) {
            self.forget_peer(id);
            self.events.push(Event::Disconnected { peer: id, why: Parting::Silent });
            return;
        }
        // Before the first nomination there is nobody to whom a flight could be resent.
        let address = peer.agent.selected().or(peer.agent.addresses().first().copied());
        if let Some(to) = address.filter(|_| peer.dtls_deadline.is_some_and(|deadline| deadline <= now)) {
            let progress = peer.dtls.expire(self.origin.instant(now));
            self.advance(id, to, progress, out);
        }
    }

    /// Feedback on what the client publishes.
    fn tick_publisher(&mut self, id: PeerId, now: Time, out: &mut impl Outbox) {
        let Some(peer) = self.peers.get_mut(&id).filter(|peer| peer.sender.is_some()) else { return };
        let mut packets: Vec<Box<dyn Packet>> = Vec::new();
        for at in 0..peer.tracks.len() {
            let Some(track) = self.tracks.get_mut(&peer.tracks[at]) else { continue };
            if let Some(loudness) = track.loudness.take(now) {
                self.events.push(Event::Loudness { track: peer.tracks[at], loudness });
            }
            for encoding in track.encodings.iter_mut().filter(|encoding| encoding.is_live(now)) {
                encoding.bitrate.sample(now);
                let Some(media_ssrc) = encoding.ssrc else { continue };
                if encoding.requests.due(now) {
                    self.counters.key_frame_requests += 1;
                    packets.push(Box::new(PictureLossIndication { sender_ssrc: OWN_SSRC, media_ssrc }));
                }
                if track.rtx_payload_type.is_some() && !encoding.losses.is_empty() {
                    let due = encoding.losses.due(now, peer.round_trip);
                    if !due.is_empty() {
                        let nacks = nack_pairs_from_sequence_numbers(&due);
                        packets.push(Box::new(TransportLayerNack { sender_ssrc: OWN_SSRC, media_ssrc, nacks }));
                    }
                }
            }
        }
        packets.chunks(BLOCKS).for_each(|chunk| control::send(peer, chunk, out));
        if now >= peer.feedback_due {
            peer.feedback_due = now + FEEDBACK;
            let media_ssrc = peer.routes.keys().next().copied().unwrap_or(0);
            for feedback in peer.arrivals.take(OWN_SSRC, media_ssrc) {
                control::send(peer, &[Box::new(feedback)], out);
            }
        }
    }

    /// An estimate that nobody renews.
    fn tick_estimate(&mut self, id: PeerId, now: Time) {
        let Some(peer) = self.peers.get_mut(&id) else { return };
        let before = peer.estimator.bits_per_second();
        peer.estimator.tick(now, peer.departures.bytes());
        if peer.estimator.bits_per_second() != before {
            self.tell_estimate(id, now);
        }
    }

    /// Receiver reports on what the client publishes, sender reports on what it gets.
    fn tick_reports(&mut self, id: PeerId, now: Time, out: &mut impl Outbox) {
        let Some(peer) = self.peers.get_mut(&id).filter(|peer| peer.sender.is_some()) else { return };
        if now < peer.report_due {
            return;
        }
        peer.report_due = now + REPORT;
        let mut blocks = Vec::new();
        for id in &peer.tracks {
            let Some(track) = self.tracks.get_mut(id) else { continue };
            for encoding in track.encodings.iter_mut().filter(|encoding| encoding.is_live(now)) {
                blocks.extend(encoding.ssrc.and_then(|ssrc| encoding.reception.report(ssrc, now)));
            }
        }
        for reports in blocks.chunks(BLOCKS) {
            let report =
                ReceiverReport { ssrc: OWN_SSRC, reports: reports.to_vec(), ..ReceiverReport::default() };
            control::send(peer, &[Box::new(report)], out);
        }
        let mut packets: Vec<Box<dyn Packet>> = Vec::new();
        for (ssrc, (track, leg)) in &peer.legs {
            let Some(track) = self.tracks.get_mut(track) else { continue };
            let Ok(at) = track.legs.binary_search_by_key(leg, |leg| leg.spec.id) else { continue };
            let report = track.legs[at].report(now, &track.encodings, track.codec.clock_rate());
            let Some((ntp_time, rtp_time, packet_count, octet_count)) = report else { continue };
            let ssrc = *ssrc;
            packets.push(Box::new(SenderReport {
                ssrc,
                ntp_time,
                rtp_time,
                packet_count,
                octet_count,
                ..SenderReport::default()
            }));
            packets.push(Box::new(name(ssrc, track.peer)));
        }
        packets.chunks(BLOCKS).for_each(|chunk| control::send(peer, chunk, out));
    }
}

/// Tells the receiver which streams share a clock (RFC 3550 section 6.5.1): those of one publisher.
fn name(ssrc: u32, publisher: PeerId) -> SourceDescription {
    let text = publisher.0.to_string().into_bytes().into();
    let items = vec![SourceDescriptionItem { sdes_type: SdesType::SdesCname, text }];
    SourceDescription { chunks: vec![SourceDescriptionChunk { source: ssrc, items }] }
}

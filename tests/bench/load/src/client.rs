//! One client: str0m on a socket of its own.

use std::collections::HashMap;
use std::io;
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use callcluster_plane::net::{Receiver, Sender, Socket};
use callcluster_plane::outbox::Outbox;
use str0m::config::{DtlsCert, Fingerprint};
use str0m::media::{MediaKind, Mid};
use str0m::net::{Protocol, Receive};
use str0m::rtp::{Extension, ExtensionMap, ExtensionValues, RtpPacket, RtpWrite};
use str0m::{Candidate, Event, IceCreds, Input, Output, Rtc, RtcConfig};

use crate::ciphers;
use crate::payload::{self, Picture, Stamp};
use crate::request::{Connect, Kind, Track};
use crate::tally::Tally;

const OPUS: u8 = 111;
const VP8: u8 = 96;
const VP8_RTX: u8 = 97;
/// Of each socket, in each direction.
const BUFFER: usize = 4 << 20;
/// Packets kept for retransmission.
const KEPT: usize = 512;
const OPUS_CLOCK: f64 = 48_000.0;
const VIDEO_CLOCK: f64 = 90_000.0;
const EXTENSIONS: [Extension; 5] = [
    Extension::AbsoluteSendTime,
    Extension::AudioLevel,
    Extension::TransportSequenceNumber,
    Extension::RtpMid,
    Extension::RtpStreamId,
];

/// One thing that the client may send.
struct Publication {
    track: Track,
    packets: u64,
    pictures: u16,
    began: Instant,
    wants_key: bool,
}

/// A client and its counters.
pub struct Client {
    /// The transport is up.
    pub connected: bool,
    peer: u32,
    rtc: Rtc,
    socket: Arc<Socket>,
    sender: Sender,
    address: SocketAddr,
    counts_only: bool,
    due: Instant,
    publications: HashMap<Mid, Publication>,
    streams: HashMap<u32, u64>,
    payload: Vec<u8>,
}

fn kind(kind: Kind) -> MediaKind {
    match kind {
        Kind::Audio => MediaKind::Audio,
        Kind::Video => MediaKind::Video,
    }
}

fn fingerprint(text: &str) -> Result<Fingerprint, String> {
    let bytes: Result<Vec<u8>, _> = text.split(':').map(|byte| u8::from_str_radix(byte, 16)).collect();
    let bytes = bytes.ok().filter(|bytes| bytes.len() == 32);
    let bytes = bytes.ok_or("fingerprint: write SHA-256 as 32 bytes in hex with colons between them")?;
    Ok(Fingerprint { hash_func: "sha-256".into(), bytes })
}

fn extensions(connect: &Connect) -> ExtensionMap {
    let mut map = ExtensionMap::empty();
    for (id, uri) in &connect.extensions {
        if let Some(known) = EXTENSIONS.into_iter().find(|known| known.as_uri() == uri) {
            map.set(*id, known);
        }
    }
    map
}

impl Client {
    /// Starts the transport.
    ///
    /// # Errors
    /// What is wrong with the request, or with the machine.
    pub fn start(connect: &Connect, certificate: &DtlsCert, now: Instant) -> Result<Self, String> {
        let own: IpAddr = connect.address.ip();
        let socket = Socket::bind(SocketAddr::new(own, 0), BUFFER).map_err(|error| error.to_string())?;
        let socket = Arc::new(socket);
        let address = socket.local_address().map_err(|error| error.to_string())?;
        let local = IceCreds { ufrag: connect.local.ufrag.clone(), pass: connect.local.password.clone() };
        let remote = IceCreds { ufrag: connect.remote.ufrag.clone(), pass: connect.remote.password.clone() };
        let mut rtc = RtcConfig::new()
            .set_crypto_provider(ciphers::provider())
            .set_rtp_mode(true)
            .clear_codecs()
            .enable_opus(true, false)
            .enable_vp8(true)
            .set_extension_map(extensions(connect))
            .set_local_ice_credentials(local)
            .set_dtls_cert(certificate.clone())
            .set_send_buffer_video(KEPT)
            .build(now);
        let host = |address| Candidate::host(address, "udp").map_err(|error| error.to_string());
        rtc.add_local_candidate(host(address)?);
        rtc.add_remote_candidate(host(connect.address)?);
        let mut api = rtc.direct_api();
        api.set_remote_fingerprint(fingerprint(&connect.fingerprint)?);
        api.set_remote_ice_credentials(remote);
        api.set_ice_controlling(connect.controlling);
        if connect.feedback {
            api.enable_twcc_feedback();
        }
        api.start_dtls(true).map_err(|error| error.to_string())?;
        if connect.data {
            api.start_sctp(false);
        }
        for track in &connect.publishes {
            api.declare_media(track.mid.as_str().into(), kind(track.kind));
            let rtx = track.rtx.map(Into::into);
            api.declare_stream_tx(track.ssrc.into(), rtx, track.mid.as_str().into(), None);
        }
        let publication = |track: &Track| Publication {
            track: track.clone(),
            packets: 0,
            pictures: 0,
            began: now,
            wants_key: true,
        };
        let publications =
            connect.publishes.iter().map(|track| (track.mid.as_str().into(), publication(track)));
        let mut this = Self {
            connected: false,
            peer: connect.peer,
            publications: publications.collect(),
            rtc,
            sender: Sender::new(socket.clone(), true),
            socket,
            address,
            counts_only: connect.counts_only,
            due: now,
            streams: HashMap::new(),
            payload: Vec::new(),
        };
        this.expect(&connect.receives);
        Ok(this)
    }

    /// More media to come.
    pub fn expect(&mut self, tracks: &[Track]) {
        let mut api = self.rtc.direct_api();
        for track in tracks {
            let mid = track.mid.as_str().into();
            if api.stream_rx(&track.ssrc.into()).is_none() {
                api.declare_media(mid, kind(track.kind));
                api.expect_stream_rx(track.ssrc.into(), track.rtx.map(Into::into), mid, None);
            }
        }
    }

    /// False once the SFU or the network has ended the transport.
    pub fn is_alive(&self) -> bool {
        self.rtc.is_alive()
    }

    /// How many streams have brought media.
    pub fn streams(&self) -> usize {
        self.streams.len()
    }

    /// Packets sent of a publication and the source that stands in their stamps; `None` if there is none on `mid`.
    pub fn progress(&self, mid: &str) -> Option<(u64, u32)> {
        let publication = self.publications.get(&mid.into())?;
        Some((publication.packets, publication.track.ssrc))
    }

    /// Publications that the SFU asked for a key frame.
    pub fn wanted_keys(&self) -> impl Iterator<Item = &str> {
        let wanting = self.publications.values().filter(|publication| publication.wants_key);
        wanting.map(|publication| publication.track.mid.as_str())
    }

    /// Sends a frame of `packets` packets of `size` bytes each.
    pub fn send(&mut self, now: Instant, mid: &str, size: usize, packets: u16, tally: &mut Tally) {
        let Some(publication) = self.publications.get_mut(&mid.into()) else { return };
        let is_video = publication.track.kind == Kind::Video;
        let is_key = std::mem::take(&mut publication.wants_key);
        publication.pictures = publication.pictures.wrapping_add(1);
        let (id, ssrc) = (publication.pictures & 0x7FFF, publication.track.ssrc);
        let clock = if is_video { VIDEO_CLOCK } else { OPUS_CLOCK };
        let timestamp = ((now - publication.began).as_secs_f64() * clock) as u64 as u32;
        let first = publication.packets;
        publication.packets += u64::from(packets);
        tally.sent(packets.into());
        let values = ExtensionValues {
            audio_level: (!is_video).then_some(-20),
            voice_activity: (!is_video).then_some(true),
            ..ExtensionValues::default()
        };
        for at in 0..packets {
            let index = first + u64::from(at);
            let stamp = Stamp { source: ssrc, index, sent: since_epoch() };
            let picture = is_video.then_some(Picture { id, is_key, is_first: at == 0 });
            payload::write(&mut self.payload, size.saturating_sub(payload::HEADER), stamp, picture);
            let payload_type = if is_video { VP8 } else { OPUS };
            let packet = RtpWrite::new(payload_type.into(), index.into(), timestamp, now, &self.payload[..])
                .marker(at + 1 == packets)
                .nackable(is_video)
                .ext_vals(values.clone());
            let mut api = self.rtc.direct_api();
            if let Some(stream) = api.stream_tx(&ssrc.into()) {
                stream.write_rtp(packet);
            }
            self.drain(Duration::ZERO, tally);
        }
        self.sender.flush();
    }

    /// Takes what has come; returns how many datagrams.
    ///
    /// # Errors
    /// What the kernel says.
    pub fn receive(&mut self, now: Instant, batch: &mut Receiver, tally: &mut Tally) -> io::Result<usize> {
        let count = batch.receive(&self.socket)?;
        for at in 0..count {
            let Some((from, arrival, datagram)) = batch.datagram(at) else { continue };
            if self.counts_only && is_stream(datagram) {
                if let Some((ssrc, sequence)) = media_source(datagram) {
                    *self.streams.entry(ssrc).or_default() += 1;
                    tally.counted(self.peer, ssrc, sequence);
                }
                continue;
            }
            let Ok(receive) = Receive::new(Protocol::Udp, from, self.address, datagram) else { continue };
            if self.rtc.is_alive() && self.rtc.handle_input(Input::Receive(now, receive)).is_ok() {
                self.drain(arrival.unwrap_or_default(), tally);
            }
        }
        if count > 0 {
            self.sender.flush();
        }
        Ok(count)
    }

    /// Lets the protocol's timers run.
    pub fn expire(&mut self, now: Instant, tally: &mut Tally) {
        if now < self.due || !self.rtc.is_alive() {
            return;
        }
        if self.rtc.handle_input(Input::Timeout(now)).is_ok() {
            self.drain(Duration::ZERO, tally);
            self.sender.flush();
        }
    }

    /// Carries out what the protocol wants; `arrival` is that of the datagram that it was just given.
    fn drain(&mut self, arrival: Duration, tally: &mut Tally) {
        while self.rtc.is_alive() {
            match self.rtc.poll_output() {
                Ok(Output::Timeout(due)) => {
                    self.due = due;
                    return;
                }
                Ok(Output::Transmit(transmit)) => self.sender.put(transmit.destination, |buffer| {
                    buffer[..transmit.contents.len()].copy_from_slice(&transmit.contents);
                    transmit.contents.len()
                }),
                Ok(Output::Event(event)) => self.hear(event, arrival, tally),
                // The protocol has given up; it is no longer alive.
                Err(_) => return,
            }
        }
    }

    fn hear(&mut self, event: Event, arrival: Duration, tally: &mut Tally) {
        match event {
            Event::Connected => self.connected = true,
            Event::KeyframeRequest(request) => {
                if let Some(publication) = self.publications.get_mut(&request.mid) {
                    publication.wants_key = true;
                }
            }
            Event::RtpPacket(packet) => self.count(&packet, arrival, tally),
            _ => {}
        }
    }

    fn count(&mut self, packet: &RtpPacket, arrival: Duration, tally: &mut Tally) {
        let Some(stamp) = payload::read(&packet.payload) else { return };
        let ssrc = *packet.header.ssrc;
        *self.streams.entry(ssrc).or_default() += 1;
        tally.opened(self.peer, ssrc, *packet.seq_no, arrival, stamp);
    }
}

fn since_epoch() -> Duration {
    SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default()
}

/// RTP rather than RTCP, STUN or DTLS (RFC 7983, RFC 5761).
fn is_stream(datagram: &[u8]) -> bool {
    datagram.len() >= 12 && datagram[0] >> 6 == 2 && !(192..=223).contains(&datagram[1])
}

/// SSRC and sequence number of a packet that is neither padding nor a retransmission.
fn media_source(datagram: &[u8]) -> Option<(u32, u16)> {
    const PADDED: u8 = 0x20;
    let is_media = datagram[0] & PADDED == 0 && datagram[1] & 0x7F != VP8_RTX;
    let ssrc = u32::from_be_bytes([datagram[8], datagram[9], datagram[10], datagram[11]]);
    is_media.then(|| (ssrc, u16::from_be_bytes([datagram[2], datagram[3]])))
}

//! A plane on a real port and str0m clients on theirs.
#![allow(dead_code, missing_docs, reason = "each test file uses a part of the kit")]

use std::net::{SocketAddr, UdpSocket};
use std::time::{Duration, Instant};

use callcluster_plane::command::{Command, Event, Refusal};
use callcluster_plane::dtls::Identity;
use callcluster_plane::ids::{LegId, PeerId, TrackId};
use callcluster_plane::media::{Codec, EncodingSpec, LegSpec, TrackSpec, Wish};
use callcluster_plane::plane::Config;
use callcluster_plane::rtp::ExtensionIds;
use callcluster_plane::worker::{News, Settings, Worker};
use dimpl::certificate::{calculate_fingerprint, generate_self_signed_certificate};
use str0m::config::{DtlsVersion, Fingerprint};
use str0m::media::{KeyframeRequestKind, MediaKind};
use str0m::net::{Protocol, Receive};
use str0m::rtp::{Extension, ExtensionValues, RtpPacket, RtpWrite};
use str0m::{Candidate, IceCreds, Input, Output, Rtc, RtcConfig};

pub const EXTENSIONS: ExtensionIds =
    ExtensionIds { mid: 4, rid: 10, repaired_rid: 11, transport_sequence: 3, audio_level: 1, dependency: 0 };
pub const VP8: u8 = 96;
pub const VP8_RTX: u8 = 97;
pub const OPUS: u8 = 111;
const PATIENCE: Duration = Duration::from_secs(20);

/// How a client behaves.
#[derive(Clone, Copy)]
pub struct Options {
    pub bandwidth_estimation: bool,
    pub version: DtlsVersion,
}

pub struct Sfu {
    pub worker: Worker,
    pub events: Vec<Event>,
    pub answers: Vec<(u64, Result<(), Refusal>)>,
    fingerprint: Vec<u8>,
    next: u32,
}

impl Sfu {
    pub fn start() -> Self {
        Self::start_with(true)
    }

    pub fn start_with(offload: bool) -> Self {
        let certificate = generate_self_signed_certificate().unwrap();
        let fingerprint = calculate_fingerprint(&certificate.certificate);
        let identity = Identity::new(certificate.certificate, certificate.private_key).unwrap();
        let config = Config { identity, health: None, max_peers: 100 };
        let settings = Settings { bind: "127.0.0.1:0".parse().unwrap(), buffer: 4 << 20, offload };
        let worker = Worker::start(settings, config).unwrap();
        Self { worker, events: Vec::new(), answers: Vec::new(), fingerprint, next: 1 }
    }

    /// Gives an order and waits for the answer, so that what follows finds it carried out.
    pub fn command(&mut self, command: Command) {
        self.next += 1;
        self.worker.command(self.next.into(), command);
        let start = Instant::now();
        while self.answers.last().is_none_or(|(token, _)| *token != self.next.into()) {
            assert!(start.elapsed() < PATIENCE, "no answer");
            std::thread::sleep(Duration::from_micros(100));
            self.refresh();
        }
    }

    pub fn refresh(&mut self) {
        for news in self.worker.news() {
            match news {
                News::Event(event) => self.events.push(event),
                News::Answer { token, outcome } => self.answers.push((token, outcome)),
                other => panic!("{other:?}"),
            }
        }
    }

    /// Announces a client that is still to connect.
    pub fn client(&mut self, options: Options) -> Client {
        let mut client = Client::new(self, options, PeerId(self.next));
        let fingerprint = client.rtc.direct_api().local_dtls_fingerprint().bytes.clone().try_into().unwrap();
        self.announce(&client, fingerprint);
        client
    }

    pub fn announce(&mut self, client: &Client, fingerprint: [u8; 32]) {
        let (ufrag, password) = credentials(client.peer);
        let command = Command::AddPeer {
            peer: client.peer,
            ufrag: ufrag.into_bytes(),
            password: password.into_bytes(),
            fingerprint,
            extensions: EXTENSIONS,
        };
        self.command(command);
    }

    pub fn connected(&mut self, version: DtlsVersion) -> Client {
        self.connected_with(Options { bandwidth_estimation: true, version })
    }

    pub fn connected_with(&mut self, options: Options) -> Client {
        let mut client = self.client(options);
        let peer = client.peer;
        eventually(self, &mut [&mut client], |sfu, clients| {
            let known = sfu
                .events
                .iter()
                .any(|event| matches!(event, Event::Connected { peer: one, .. } if *one == peer));
            known && clients[0].connected
        });
        client
    }

    pub fn track(&mut self, publisher: &Client, id: u32, mid: &str, codec: Codec, rids: &[&str]) {
        let named = |rid: &&str| EncodingSpec { rid: Some(rid.as_bytes().to_vec()), ..EncodingSpec::default() };
        let mut encodings: Vec<_> = rids.iter().map(named).collect();
        if encodings.is_empty() {
            encodings.push(EncodingSpec::default());
        }
        let is_video = codec.is_video();
        self.command(Command::AddTrack(TrackSpec {
            id: TrackId(id),
            peer: publisher.peer,
            mid: mid.into(),
            codec,
            payload_type: if is_video { VP8 } else { OPUS },
            rtx_payload_type: is_video.then_some(VP8_RTX),
            encodings,
        }));
    }

    /// Forwards a track, and tells the subscriber to expect it.
    pub fn leg(&mut self, id: u32, track: u32, subscriber: &mut Client, mid: &str, codec: Codec, highest: u8) {
        let is_video = codec.is_video();
        let (ssrc, rtx) = (0x1000 + 2 * id, is_video.then_some((0x1001 + 2 * id, VP8_RTX)));
        subscriber.expect(mid, ssrc, rtx.map(|(ssrc, _)| ssrc), is_video);
        let spec = LegSpec {
            id: LegId(id),
            peer: subscriber.peer,
            mid: mid.into(),
            ssrc,
            rtx,
            payload_type: if is_video { VP8 } else { OPUS },
        };
        let wish = Some(Wish { highest, priority: 0 });
        self.command(Command::AddLeg { track: TrackId(track), spec, wish });
    }
}

pub struct Client {
    pub rtc: Rtc,
    pub peer: PeerId,
    pub received: Vec<RtpPacket>,
    pub key_frame_requests: Vec<(String, KeyframeRequestKind)>,
    pub estimates: usize,
    pub connected: bool,
    /// Which of the datagrams in each direction are lost, by their number.
    pub lose: fn(u32) -> bool,
    socket: UdpSocket,
    address: SocketAddr,
    datagrams: u32,
}

fn credentials(peer: PeerId) -> (String, String) {
    (format!("ufrag{}", peer.0), format!("password-of-client-{}-and-more", peer.0))
}

impl Client {
    pub fn new(sfu: &Sfu, options: Options, peer: PeerId) -> Self {
        let socket = UdpSocket::bind("127.0.0.1:0").unwrap();
        socket.set_nonblocking(true).unwrap();
        let address = socket.local_addr().unwrap();
        let mut config = RtcConfig::new()
            .set_rtp_mode(true)
            .set_dtls_version(options.version)
            .clear_codecs()
            .enable_vp8(true)
            .enable_opus(true, false)
            .clear_extension_map()
            .set_extension(1, Extension::AudioLevel)
            .set_extension(3, Extension::TransportSequenceNumber)
            .set_extension(4, Extension::RtpMid)
            .set_extension(10, Extension::RtpStreamId)
            .set_extension(11, Extension::RepairedRtpStreamId);
        if options.bandwidth_estimation {
            config = config.enable_bwe(Some(str0m::bwe::Bitrate::mbps(20)));
        }
        let mut rtc = config.build(Instant::now());
        rtc.add_local_candidate(Candidate::host(address, "udp").unwrap());
        rtc.add_remote_candidate(Candidate::host(sfu.worker.address(), "udp").unwrap());
        let (ufrag, pass) = credentials(peer);
        let mut api = rtc.direct_api();
        api.set_remote_fingerprint(Fingerprint { hash_func: "sha-256".into(), bytes: sfu.fingerprint.clone() });
        api.set_remote_ice_credentials(IceCreds { ufrag, pass });
        api.set_ice_controlling(true);
        api.enable_twcc_feedback();
        api.start_dtls(true).unwrap();
        Self {
            rtc,
            peer,
            received: Vec::new(),
            key_frame_requests: Vec::new(),
            estimates: 0,
            connected: false,
            lose: |_| false,
            socket,
            address,
            datagrams: 0,
        }
    }

    pub fn publish(&mut self, mid: &str, ssrc: u32, rtx: Option<u32>, rid: Option<&str>, is_video: bool) {
        let mut api = self.rtc.direct_api();
        api.declare_media(mid.into(), if is_video { MediaKind::Video } else { MediaKind::Audio });
        api.declare_stream_tx(ssrc.into(), rtx.map(Into::into), mid.into(), rid.map(Into::into));
    }

    pub fn expect(&mut self, mid: &str, ssrc: u32, rtx: Option<u32>, is_video: bool) {
        let mut api = self.rtc.direct_api();
        api.declare_media(mid.into(), if is_video { MediaKind::Video } else { MediaKind::Audio });
        api.expect_stream_rx(ssrc.into(), rtx.map(Into::into), mid.into(), None);
    }

    pub fn write(&mut self, ssrc: u32, index: u64, timestamp: u32, payload: &[u8], rid: Option<&str>) {
        let payload_type = if payload.len() < 100 { OPUS } else { VP8 };
        let mut api = self.rtc.direct_api();
        let stream = api.stream_tx(&ssrc.into()).unwrap();
        let values = ExtensionValues {
            audio_level: (payload_type == OPUS).then_some(-20),
            voice_activity: (payload_type == OPUS).then_some(true),
            rid: rid.map(Into::into),
            ..ExtensionValues::default()
        };
        let packet = RtpWrite::new(payload_type.into(), index.into(), timestamp, Instant::now(), payload);
        stream.write_rtp(packet.marker(true).ext_vals(values).nackable(true));
        self.pump();
    }

    /// Gives a packet to str0m that leaves with the next [`Client::pump`].
    pub fn queue(&mut self, ssrc: u32, index: u64, timestamp: u32, payload: &[u8]) {
        let payload_type = if payload.len() < 100 { OPUS } else { VP8 };
        let mut api = self.rtc.direct_api();
        let stream = api.stream_tx(&ssrc.into()).unwrap();
        stream.write_rtp(RtpWrite::new(payload_type.into(), index.into(), timestamp, Instant::now(), payload));
        self.drain();
    }

    /// Empties the socket past str0m; returns how many datagrams had at least `length` bytes.
    pub fn count_media(&mut self, length: usize) -> u64 {
        let mut buffer = [0; 2048];
        let datagrams = std::iter::from_fn(|| self.socket.recv(&mut buffer).ok());
        datagrams.filter(|received| *received >= length).count() as u64
    }

    /// Moves everything that can move at this moment.
    pub fn pump(&mut self) {
        let mut buffer = [0; 2048];
        loop {
            self.drain();
            let Ok((length, from)) = self.socket.recv_from(&mut buffer) else { break };
            self.datagrams += 1;
            if (self.lose)(self.datagrams) {
                continue;
            }
            let receive = Receive::new(Protocol::Udp, from, self.address, &buffer[..length]).unwrap();
            self.rtc.handle_input(Input::Receive(Instant::now(), receive)).unwrap();
        }
        self.rtc.handle_input(Input::Timeout(Instant::now())).unwrap();
        self.drain();
    }

    fn drain(&mut self) {
        if !self.rtc.is_alive() {
            return;
        }
        loop {
            match self.rtc.poll_output().unwrap() {
                Output::Timeout(_) => break,
                Output::Transmit(transmit) => {
                    self.datagrams += 1;
                    if !(self.lose)(self.datagrams) {
                        self.socket.send_to(&transmit.contents, transmit.destination).unwrap();
                    }
                }
                Output::Event(str0m::Event::Connected) => self.connected = true,
                Output::Event(str0m::Event::RtpPacket(packet)) => self.received.push(packet),
                Output::Event(str0m::Event::KeyframeRequest(request)) => {
                    let rid = request.rid.map(|rid| rid.to_string()).unwrap_or_default();
                    self.key_frame_requests.push((rid, request.kind));
                }
                Output::Event(str0m::Event::EgressBitrateEstimate(_)) => self.estimates += 1,
                Output::Event(_) => {}
            }
        }
    }
}

/// Runs everyone until `done`.
pub fn eventually(sfu: &mut Sfu, clients: &mut [&mut Client], done: impl Fn(&Sfu, &[&mut Client]) -> bool) {
    let start = Instant::now();
    loop {
        sfu.refresh();
        clients.iter_mut().for_each(|client| client.pump());
        if done(sfu, clients) {
            return;
        }
        assert!(start.elapsed() < PATIENCE, "not in time; events {:?}, answers {:?}", sfu.events, sfu.answers);
        std::thread::sleep(Duration::from_millis(1));
    }
}

/// A VP8 packet with a 15-bit picture id and TL0PICIDX in front of bytes that nobody can read.
pub fn vp8(starts_key_frame: bool, picture_id: u16, base: u8, length: usize) -> Vec<u8> {
    let [high, low] = (picture_id | 0x8000).to_be_bytes();
    let mut payload = vec![0x90, 0xC0, high, low, base, u8::from(!starts_key_frame)];
    payload.resize(length, 0x5A);
    payload
}

//! The generator's clients in a call through our own plane.
#![allow(missing_docs)]

use std::net::SocketAddr;
use std::time::{Duration, Instant};

use callcluster_load::generator::Generator;
use callcluster_plane::command::Command;
use callcluster_plane::dtls::Identity;
use callcluster_plane::ids::{LegId, PeerId, TrackId};
use callcluster_plane::media::{Codec, EncodingSpec, LegSpec, TrackSpec, Wish};
use callcluster_plane::plane::Config;
use callcluster_plane::rtp::ExtensionIds;
use callcluster_plane::worker::{Settings, Worker};
use serde_json::{Value, json};
use str0m::crypto::from_feature_flags;

const PATIENCE: Duration = Duration::from_secs(20);
const MEDIA: u32 = 0xAAAA;
const FORWARDED: u32 = 0x1000;
const MID: &str = "urn:ietf:params:rtp-hdrext:sdes:mid";
const TRANSPORT_SEQUENCE: &str = "http://www.ietf.org/id/draft-holmer-rmcat-transport-wide-cc-extensions-01";

struct Call {
    worker: Worker,
    fingerprint: String,
    generator: Generator,
    clients: [u8; 32],
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02X}")).collect::<Vec<_>>().join(":")
}

impl Call {
    fn new() -> Self {
        let provider = from_feature_flags();
        let certificate = provider.dtls_provider.generate_certificate().unwrap();
        let fingerprint = hex(&provider.sha256_provider.sha256(&certificate.certificate));
        let identity = Identity::new(certificate.certificate, certificate.private_key).unwrap();
        let config = Config { identity, health: None, max_peers: 10 };
        let bind: SocketAddr = "127.0.0.1:0".parse().unwrap();
        let worker = Worker::start(Settings { bind, buffer: 1 << 20, offload: true }, config).unwrap();
        let generator = Generator::new();
        let greeting: Value = serde_json::from_str(&generator.greeting()).unwrap();
        let text = greeting["fingerprint"].as_str().unwrap();
        let bytes: Vec<u8> = text.split(':').map(|byte| u8::from_str_radix(byte, 16).unwrap()).collect();
        Self { worker, fingerprint, generator, clients: bytes.try_into().unwrap() }
    }

    fn ask(&mut self, request: &Value) -> Value {
        serde_json::from_str(&self.generator.answer(&request.to_string())).unwrap()
    }

    fn connect(&mut self, peer: u32, publishes: &Value, receives: &Value, counts_only: bool) {
        let (ufrag, password) = (format!("sfu{peer}"), format!("password-of-the-sfu-for-{peer}"));
        let extensions = ExtensionIds { mid: 4, transport_sequence: 3, ..ExtensionIds::default() };
        self.worker.command(
            peer.into(),
            Command::AddPeer {
                peer: PeerId(peer),
                ufrag: ufrag.clone().into_bytes(),
                password: password.clone().into_bytes(),
                fingerprint: self.clients,
                extensions,
            },
        );
        let answer = self.ask(&json!({
            "op": "connect",
            "peer": peer,
            "local": {"ufrag": format!("client{peer}"), "password": format!("password-of-the-client-{peer}")},
            "remote": {"ufrag": ufrag, "password": password},
            "fingerprint": self.fingerprint,
            "address": self.worker.address().to_string(),
            "controlling": true,
            "extensions": [[4, MID], [3, TRANSPORT_SEQUENCE]],
            "publishes": publishes,
            "receives": receives,
            "counts_only": counts_only,
        }));
        assert_eq!(answer, json!({}));
    }

    fn forward(&self, leg: u32, subscriber: u32) {
        let spec = LegSpec {
            id: LegId(leg),
            peer: PeerId(subscriber),
            mid: "9".into(),
            ssrc: FORWARDED + 2 * leg,
            rtx: Some((FORWARDED + 2 * leg + 1, 97)),
            payload_type: 96,
        };
        let wish = Some(Wish { highest: 0, priority: 0 });
        self.worker.command(0, Command::AddLeg { track: TrackId(1), spec, wish });
    }

    fn until(&mut self, what: &str, done: impl Fn(&Value) -> bool) {
        let start = Instant::now();
        loop {
            self.generator.step().unwrap();
            let state = self.ask(&json!({"op": "state"}));
            if done(&state) {
                return;
            }
            assert!(start.elapsed() < PATIENCE, "{what}: not in time: {state}");
        }
    }

    fn run(&mut self, time: Duration) {
        let start = Instant::now();
        while start.elapsed() < time {
            self.generator.step().unwrap();
        }
    }
}

fn receiving(leg: u32) -> Value {
    let ssrc = FORWARDED + 2 * leg;
    json!([{"mid": "9", "kind": "video", "ssrc": ssrc, "rtx": ssrc + 1}])
}

#[test]
fn what_a_client_sends_is_opened_and_counted_by_the_others() {
    let mut call = Call::new();
    let published = json!([{"mid": "0", "kind": "video", "ssrc": MEDIA, "rtx": MEDIA + 1}]);
    call.connect(1, &published, &json!([]), false);
    call.worker.command(
        0,
        Command::AddTrack(TrackSpec {
            id: TrackId(1),
            peer: PeerId(1),
            mid: "0".into(),
            codec: Codec::Vp8,
            payload_type: 96,
            rtx_payload_type: Some(97),
            encodings: vec![EncodingSpec::default()],
        }),
    );
    call.connect(2, &json!([]), &receiving(1), false);
    call.connect(3, &json!([]), &receiving(2), true);
    call.forward(1, 2);
    call.forward(2, 3);
    call.until("connected", |state| state["connected"] == json!([1, 2, 3]));
    let state = call.ask(&json!({"op": "state"}));
    let profiles = state["profiles"].as_object().unwrap().values();
    assert_eq!(profiles.filter_map(Value::as_u64).sum::<u64>(), 3, "{state}");
    // Key frames that the plane asks the silent publisher for.
    call.until("media", |state| state["streams"] == json!({"1": 0, "2": 1, "3": 1}));
    let pace = json!({"peer": 1, "mid": "0", "size": 1100, "packets": 3, "rate": 100.0});
    assert_eq!(call.ask(&json!({"op": "pace", "tracks": [pace]})), json!({}));
    call.ask(&json!({"op": "measure"}));
    call.run(Duration::from_millis(500));
    assert_eq!(call.ask(&json!({"op": "pace", "tracks": []})), json!({}));
    call.run(Duration::from_millis(200));
    let measured = call.ask(&json!({"op": "measure"}));
    let number = |name: &str| measured[name].as_u64().unwrap();
    assert!(number("sent") >= 30, "{measured}");
    assert_eq!(number("opened"), number("sent"), "{measured}");
    assert_eq!(number("received"), 2 * number("sent"), "{measured}");
    assert_eq!(number("lost"), 0, "{measured}");
    assert!(measured["latency"]["p50"].as_u64().unwrap() > 0, "{measured}");
}

#[test]
fn a_request_that_cannot_be_met_is_answered_with_the_reason() {
    let mut call = Call::new();
    for request in [
        json!({"op": "nonsense"}),
        json!({"op": "close", "peer": 1}),
        json!({"op": "pace", "tracks": [{"peer": 1, "mid": "0", "size": 1, "packets": 1, "rate": 1.0}]}),
    ] {
        let answer = call.ask(&request);
        assert!(answer["error"].as_str().is_some_and(|reason| !reason.is_empty()), "{answer}");
    }
}

//! The class that Python sees.

use std::net::SocketAddr;
use std::os::fd::AsRawFd;
use std::sync::{Mutex, MutexGuard, PoisonError};

use callcluster_plane::command::Command;
use callcluster_plane::dtls::Identity;
use callcluster_plane::ice::Credentials;
use callcluster_plane::ids::{LegId, PeerId, TrackId};
use callcluster_plane::media::{Codec, EncodingSpec, LegSpec, TrackSpec, Wish};
use callcluster_plane::plane::Config;
use callcluster_plane::rtp::ExtensionIds;
use callcluster_plane::worker::{Settings, Worker};
use pyo3::exceptions::{PyRuntimeError, PyValueError};
use pyo3::prelude::*;
use pyo3::types::PyList;

use crate::news;

/// Rid, SSRC and SSRC of retransmissions, each only as far as the session description names it.
type Encoding = (Option<Vec<u8>>, Option<u32>, Option<u32>);

/// The header extension ids of one session description; 0 is "not negotiated".
#[pyclass(frozen)]
#[derive(Clone, Copy)]
pub struct Extensions(ExtensionIds);

#[pymethods]
impl Extensions {
    #[new]
    #[pyo3(signature = (*, mid=0, rid=0, repaired_rid=0, transport_sequence=0, audio_level=0, dependency=0))]
    fn new(
        mid: u8,
        rid: u8,
        repaired_rid: u8,
        transport_sequence: u8,
        audio_level: u8,
        dependency: u8,
    ) -> Self {
        Self(ExtensionIds { mid, rid, repaired_rid, transport_sequence, audio_level, dependency })
    }
}

/// A running plane. All orders return at once; the answer comes with :meth:`drain`.
#[pyclass(frozen)]
pub struct Plane {
    worker: Mutex<Option<Worker>>,
    port: u16,
}

impl Plane {
    fn worker(&self) -> MutexGuard<'_, Option<Worker>> {
        // The guarded value is whole whoever panicked: it is only ever replaced.
        self.worker.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn with<T>(&self, act: impl FnOnce(&Worker) -> T) -> PyResult<T> {
        self.worker().as_ref().map(act).ok_or_else(|| PyRuntimeError::new_err("the plane is closed"))
    }

    fn order(&self, token: u64, command: Command) -> PyResult<()> {
        self.with(|worker| worker.command(token, command))
    }
}

fn codec(name: &str) -> PyResult<Codec> {
    match name {
        "opus" => Ok(Codec::Opus),
        "vp8" => Ok(Codec::Vp8),
        "vp9" => Ok(Codec::Vp9),
        other => Err(PyValueError::new_err(format!("codec {other:?}: use opus, vp8 or vp9"))),
    }
}

fn wish(highest: Option<u8>, priority: u8) -> Option<Wish> {
    highest.map(|highest| Wish { highest, priority })
}

#[pymethods]
impl Plane {
    #[new]
    #[pyo3(signature = (bind, *, certificate, private_key, buffer, offload, max_peers, health=None))]
    fn new(
        bind: &str,
        certificate: Vec<u8>,
        private_key: Vec<u8>,
        buffer: usize,
        offload: bool,
        max_peers: usize,
        health: Option<(Vec<u8>, Vec<u8>)>,
    ) -> PyResult<Self> {
        let bind: SocketAddr =
            bind.parse().map_err(|_| PyValueError::new_err("bind: write it as 0.0.0.0:7000 or [::]:7000"))?;
        let identity = Identity::new(certificate, private_key)
            .map_err(|error| PyValueError::new_err(error.to_string()))?;
        let health = health.map(|(ufrag, password)| Credentials::new(&ufrag, &password));
        let config = Config { identity, health, max_peers };
        let worker = Worker::start(Settings { bind, buffer, offload }, config)?;
        Ok(Self { port: worker.address().port(), worker: Mutex::new(Some(worker)) })
    }

    /// The UDP port.
    #[getter]
    fn port(&self) -> u16 {
        self.port
    }

    /// Readable while there are news.
    fn fileno(&self) -> PyResult<i32> {
        self.with(|worker| worker.as_raw_fd())
    }

    /// All news since the last call.
    fn drain<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyList>> {
        news::list(py, self.with(Worker::news)?)
    }

    #[pyo3(signature = (token, peer, *, ufrag, password, fingerprint, extensions))]
    fn add_peer(
        &self,
        token: u64,
        peer: u32,
        ufrag: Vec<u8>,
        password: Vec<u8>,
        fingerprint: [u8; 32],
        extensions: &Extensions,
    ) -> PyResult<()> {
        let peer = PeerId(peer);
        self.order(token, Command::AddPeer { peer, ufrag, password, fingerprint, extensions: extensions.0 })
    }

    fn remove_peer(&self, token: u64, peer: u32) -> PyResult<()> {
        self.order(token, Command::RemovePeer(PeerId(peer)))
    }

    #[pyo3(signature = (token, peer, *, ufrag, password))]
    fn restart_ice(&self, token: u64, peer: u32, ufrag: Vec<u8>, password: Vec<u8>) -> PyResult<()> {
        self.order(token, Command::RestartIce { peer: PeerId(peer), ufrag, password })
    }

    fn set_extensions(&self, token: u64, peer: u32, extensions: &Extensions) -> PyResult<()> {
        self.order(token, Command::SetExtensions { peer: PeerId(peer), extensions: extensions.0 })
    }

    #[expect(clippy::too_many_arguments, reason = "keywords in Python")]
    #[pyo3(signature = (token, track, peer, *, mid, codec, payload_type, rtx_payload_type, encodings))]
    fn add_track(
        &self,
        token: u64,
        track: u32,
        peer: u32,
        mid: Vec<u8>,
        codec: &str,
        payload_type: u8,
        rtx_payload_type: Option<u8>,
        encodings: Vec<Encoding>,
    ) -> PyResult<()> {
        let encodings = encodings.into_iter().map(|(rid, ssrc, rtx_ssrc)| EncodingSpec { rid, ssrc, rtx_ssrc });
        let spec = TrackSpec {
            id: TrackId(track),
            peer: PeerId(peer),
            mid,
            codec: self::codec(codec)?,
            payload_type,
            rtx_payload_type,
            encodings: encodings.collect(),
        };
        self.order(token, Command::AddTrack(spec))
    }

    fn remove_track(&self, token: u64, track: u32) -> PyResult<()> {
        self.order(token, Command::RemoveTrack(TrackId(track)))
    }

    #[expect(clippy::too_many_arguments, reason = "keywords in Python")]
    #[pyo3(signature = (token, leg, track, peer, *, mid, ssrc, payload_type, rtx, highest, priority=0))]
    fn add_leg(
        &self,
        token: u64,
        leg: u32,
        track: u32,
        peer: u32,
        mid: Vec<u8>,
        ssrc: u32,
        payload_type: u8,
        rtx: Option<(u32, u8)>,
        highest: Option<u8>,
        priority: u8,
    ) -> PyResult<()> {
        let spec = LegSpec { id: LegId(leg), peer: PeerId(peer), mid, ssrc, rtx, payload_type };
        self.order(token, Command::AddLeg { track: TrackId(track), spec, wish: wish(highest, priority) })
    }

    #[pyo3(signature = (token, leg, highest, priority=0))]
    fn aim_leg(&self, token: u64, leg: u32, highest: Option<u8>, priority: u8) -> PyResult<()> {
        self.order(token, Command::AimLeg { leg: LegId(leg), wish: wish(highest, priority) })
    }

    fn remove_leg(&self, token: u64, leg: u32) -> PyResult<()> {
        self.order(token, Command::RemoveLeg(LegId(leg)))
    }

    fn request_key_frame(&self, token: u64, track: u32) -> PyResult<()> {
        self.order(token, Command::RequestKeyFrame(TrackId(track)))
    }

    fn ask_statistics(&self, token: u64) -> PyResult<()> {
        self.with(|worker| worker.ask_statistics(token))
    }

    /// Ends the thread and frees the port; a second call does nothing.
    fn close(&self, py: Python<'_>) {
        let worker = self.worker().take();
        // Waits for the thread: others may use the interpreter meanwhile.
        py.detach(|| drop(worker));
    }
}

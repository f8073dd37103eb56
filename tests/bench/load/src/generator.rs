//! All clients and their schedule, in one thread.

use std::collections::BTreeMap;
use std::io;
use std::time::{Duration, Instant};

use callcluster_plane::net::Receiver;
use serde::Serialize;
use serde_json::json;
use str0m::config::DtlsCert;
use str0m::crypto::from_feature_flags;

use crate::ciphers;
use crate::client::Client;
use crate::request::{Pace, Request, State};
use crate::schedule::{Due, Timetable};
use crate::tally::Tally;

/// Datagrams read with one system call.
const BATCH: usize = 64;
/// How long a step may sleep when nothing is due; arrival times come from the kernel and do not suffer.
const NAP: Duration = Duration::from_micros(500);
/// Size of the key frame of a publication that is not paced.
const IDLE_SIZE: usize = 200;

/// The whole load.
pub struct Generator {
    certificate: DtlsCert,
    clients: BTreeMap<u32, Client>,
    timetables: Vec<Timetable>,
    batch: Receiver,
    tally: Tally,
}

impl Default for Generator {
    fn default() -> Self {
        Self::new()
    }
}

impl Generator {
    /// Without clients.
    ///
    /// # Panics
    /// When the cryptographic library makes no certificate, which is a fault of the build.
    pub fn new() -> Self {
        let certificate = from_feature_flags().dtls_provider.generate_certificate();
        Self {
            certificate: certificate.expect("the library makes certificates"),
            clients: BTreeMap::new(),
            timetables: Vec::new(),
            batch: Receiver::new(BATCH),
            tally: Tally::new(Instant::now()),
        }
    }

    /// The first line: what the driver has to know.
    pub fn greeting(&self) -> String {
        let digest = from_feature_flags().sha256_provider.sha256(&self.certificate.certificate);
        let bytes: Vec<_> = digest.iter().map(|byte| format!("{byte:02X}")).collect();
        json!({ "fingerprint": bytes.join(":") }).to_string()
    }

    /// Carries out a request; the answer is one line, and an object with `error` if it could not be done.
    pub fn answer(&mut self, line: &str) -> String {
        let request = serde_json::from_str(line).map_err(|error| error.to_string());
        request
            .and_then(|request| self.carry_out(request))
            .unwrap_or_else(|error| json!({ "error": error }).to_string())
    }

    fn carry_out(&mut self, request: Request) -> Result<String, String> {
        let now = Instant::now();
        match request {
            Request::Connect(connect) => {
                let client = Client::start(&connect, &self.certificate, now)?;
                self.clients.insert(connect.peer, client);
            }
            Request::Receive { peer, tracks } => self.client(peer)?.expect(&tracks),
            Request::Pace { tracks } => self.timetables = self.plan(tracks, now)?,
            Request::Close { peer } => {
                self.clients.remove(&peer).ok_or("no such peer")?;
                self.timetables.retain(|timetable| timetable.pace.peer != peer);
            }
            Request::State => return written(&self.state()),
            Request::Measure => return written(&self.tally.measure(now)),
        }
        Ok("{}".into())
    }

    fn client(&mut self, peer: u32) -> Result<&mut Client, String> {
        self.clients.get_mut(&peer).ok_or_else(|| "no such peer".into())
    }

    fn plan(&self, tracks: Vec<Pace>, now: Instant) -> Result<Vec<Timetable>, String> {
        let count = tracks.len() as f64;
        let all = tracks.into_iter().enumerate().map(|(at, pace)| {
            let client = self.clients.get(&pace.peer).ok_or("no such peer")?;
            client.progress(&pace.mid).ok_or("the peer publishes nothing on that mid")?;
            Timetable::new(pace, now, at as f64 / count)
        });
        all.collect()
    }

    fn state(&self) -> State {
        let those = |is: fn(&Client) -> bool| {
            self.clients.iter().filter(|(_, client)| is(client)).map(|(peer, _)| *peer).collect()
        };
        State {
            connected: those(|client| client.connected && client.is_alive()),
            dead: those(|client| !client.is_alive()),
            profiles: ciphers::chosen(),
            streams: self.clients.iter().map(|(peer, client)| (*peer, client.streams())).collect(),
        }
    }

    /// Does all that is due, and sleeps a little if that was nothing.
    ///
    /// # Errors
    /// What the kernel says about a socket.
    pub fn step(&mut self) -> io::Result<()> {
        let now = Instant::now();
        let mut idle_until = now + NAP;
        let mut is_idle = true;
        for timetable in &mut self.timetables {
            let Some(client) = self.clients.get_mut(&timetable.pace.peer) else { continue };
            let Some((sent, source)) = client.progress(&timetable.pace.mid) else { continue };
            let arrived = self.tally.height(source).map_or(0, |height| height + 1);
            match timetable.ask(now, sent, arrived) {
                Due::At(due) => idle_until = idle_until.min(due),
                Due::Frame { skipped } => {
                    is_idle = false;
                    self.tally.skipped(skipped);
                    let Pace { mid, size, packets, .. } = &timetable.pace;
                    client.send(now, mid, *size, *packets, &mut self.tally);
                }
            }
        }
        self.wake_idle_publications(now);
        for client in self.clients.values_mut() {
            is_idle &= client.receive(now, &mut self.batch, &mut self.tally)? == 0;
            client.expire(now, &mut self.tally);
        }
        if is_idle {
            std::thread::sleep(idle_until.saturating_duration_since(Instant::now()));
        }
        Ok(())
    }

    /// Key frames of what is not paced: SFUs announce a track when its first packet has come.
    fn wake_idle_publications(&mut self, now: Instant) {
        let paced = |peer: u32, mid: &str| {
            self.timetables.iter().any(|timetable| timetable.pace.peer == peer && timetable.pace.mid == mid)
        };
        for (peer, client) in &mut self.clients {
            if !client.connected {
                continue;
            }
            let wanted: Vec<_> =
                client.wanted_keys().filter(|mid| !paced(*peer, mid)).map(str::to_owned).collect();
            for mid in wanted {
                client.send(now, &mid, IDLE_SIZE, 1, &mut self.tally);
            }
        }
    }
}

fn written(answer: &impl Serialize) -> Result<String, String> {
    serde_json::to_string(answer).map_err(|error| error.to_string())
}

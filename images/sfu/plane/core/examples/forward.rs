//! How many packets a second of the plane's CPU time forwards, from one publisher to N subscribers, over real
//! sockets with real handshakes. Everything is on: history, feedback, reports, retransmission.
//!
//! `cargo run --release --example forward -- subscribers=10 size=1100 burst=8 window=256 seconds=3 idle=0 offload=1`
//!
//! The CPU time is that of the plane's thread, system calls included. The publisher keeps at most `window` packets
//! on their way; the last subscriber's socket is drained to see how far the plane is, the others' are not read.
#![allow(missing_docs)]

#[path = "../tests/kit/mod.rs"]
mod kit;

use std::collections::HashMap;
use std::fs;
use std::time::{Duration, Instant};

use callcluster_plane::command::Command;
use callcluster_plane::media::Codec;
use callcluster_plane::worker::News;
use kit::{Client, Options, Sfu, eventually, vp8};
use str0m::config::DtlsVersion;

const MEDIA: u32 = 0xAAAA;
const REPAIR: u32 = 0xBBBB;
/// Payloads below this are sent as audio.
const AUDIO: usize = 200;

struct Arguments(HashMap<String, u64>);

impl Arguments {
    fn read() -> Self {
        let pairs = std::env::args().skip(1).map(|argument| {
            let (name, value) = argument.split_once('=').expect("arguments are name=number");
            (name.to_owned(), value.parse().expect("arguments are name=number"))
        });
        Self(pairs.collect())
    }

    fn get(&self, name: &str, default: u64) -> u64 {
        self.0.get(name).copied().unwrap_or(default)
    }
}

/// Where the kernel tells about the plane's thread.
fn plane_thread() -> String {
    let tasks = fs::read_dir("/proc/self/task").unwrap();
    let mut paths = tasks.map(|entry| entry.unwrap().path());
    let is_plane = |path: &std::path::PathBuf| fs::read_to_string(path.join("comm")).unwrap().trim() == "plane";
    paths.find(is_plane).unwrap().to_str().unwrap().to_owned()
}

fn cpu_time(thread: &str) -> Duration {
    let statistics = fs::read_to_string(format!("{thread}/schedstat")).unwrap();
    Duration::from_nanos(statistics.split(' ').next().unwrap().parse().unwrap())
}

/// Runs the plane on the second core, the publisher on the first, where there are two.
fn pin(thread: &str, core: u32) {
    let id = thread.rsplit('/').next().unwrap();
    let arguments = ["-pc".to_owned(), core.to_string(), id.to_owned()];
    let pinned = std::process::Command::new("taskset").args(arguments).output();
    if !pinned.is_ok_and(|output| output.status.success()) {
        eprintln!("not pinned: figures may be lower");
    }
}

fn main() {
    let arguments = Arguments::read();
    let subscribers = arguments.get("subscribers", 10) as u32;
    let size = arguments.get("size", 1100) as usize;
    let burst = arguments.get("burst", 8);
    let window = arguments.get("window", 256);
    let idle = arguments.get("idle", 0) as u32;
    let duration = Duration::from_secs(arguments.get("seconds", 3));
    let offload = arguments.get("offload", 1) == 1;

    let mut sfu = Sfu::start_with(offload);
    let quiet = Options { bandwidth_estimation: false, version: DtlsVersion::Auto };
    let mut alice = sfu.connected_with(quiet);
    let is_audio = size < AUDIO;
    let codec = if is_audio { Codec::Opus } else { Codec::Vp8 };
    alice.publish("0", MEDIA, (!is_audio).then_some(REPAIR), None, !is_audio);
    sfu.track(&alice, 1, "0", codec, &[]);
    for other in 0..idle {
        sfu.track(&alice, 100 + other, &format!("i{other}"), Codec::Vp8, &[]);
    }
    let mut members: Vec<Client> = (0..subscribers).map(|_| sfu.connected_with(quiet)).collect();
    for (at, member) in (1..).zip(&mut members) {
        sfu.leg(at, 1, member, "0", codec, 0);
        for other in 0..idle {
            sfu.leg(10_000 * (other + 1) + at, 100 + other, member, &format!("i{other}"), Codec::Vp8, 0);
        }
    }
    // The plane's clocks have to have the track begin before the measurement does.
    let payload = |index: u64| {
        let header = 30;
        if is_audio { vec![0x11; size - header] } else { vp8(index == 0, index as u16, 0, size - header) }
    };
    let mut sent = 0;
    alice.write(MEDIA, sent, 0, &payload(0), None);
    sent += 1;
    let mut everyone: Vec<&mut Client> = members.iter_mut().collect();
    eventually(&mut sfu, &mut everyone, |_, members| members.iter().all(|member| !member.received.is_empty()));
    let drained = members.last_mut().unwrap();

    let thread = plane_thread();
    pin(&std::process::id().to_string(), 0);
    pin(&thread, 1);
    let mut arrived = sent;
    let warm_up = Instant::now() + Duration::from_millis(300);
    let mut measured = None;
    loop {
        let now = Instant::now();
        if measured.is_none() && now >= warm_up {
            measured = Some((now, cpu_time(&thread), statistics(&mut sfu)));
        }
        if measured.as_ref().is_some_and(|(start, ..)| now - *start >= duration) {
            break;
        }
        let mut stalled = Instant::now() + Duration::from_millis(100);
        while sent + burst > arrived + window {
            let news = drained.count_media(MEDIA_LENGTH);
            arrived += news;
            if news > 0 {
                stalled = Instant::now() + Duration::from_millis(100);
            } else if Instant::now() > stalled {
                // What was lost in the drained socket's own buffer never arrives.
                arrived = sent;
            }
        }
        for _ in 0..burst {
            alice.queue(MEDIA, sent, 3000 * sent as u32, &payload(sent));
            sent += 1;
        }
        alice.pump();
    }
    let (start, cpu_before, before) = measured.unwrap();
    let wall = start.elapsed();
    let cpu = cpu_time(&thread) - cpu_before;
    let after = statistics(&mut sfu);
    let (media_in, media_out) = (after.0 - before.0, after.1 - before.1);
    println!(
        "1->{subscribers} size={size} burst={burst} window={window} idle={idle} offload={offload}: \
         {:.0} out/CPU-s, {:.0} in/s, {:.0} out/s, CPU {:.0} %, fan-out {:.2}, repairs {}, unsent {}",
        media_out as f64 / cpu.as_secs_f64(),
        media_in as f64 / wall.as_secs_f64(),
        media_out as f64 / wall.as_secs_f64(),
        100.0 * cpu.as_secs_f64() / wall.as_secs_f64(),
        media_out as f64 / media_in as f64,
        after.2,
        after.3,
    );
    for member in &members {
        sfu.command(Command::RemovePeer(member.peer));
    }
}

/// RTCP is shorter than any packet of the measured track.
const MEDIA_LENGTH: usize = 90;

/// Media in, media out, repairs, datagrams that the kernel did not take.
fn statistics(sfu: &mut Sfu) -> (u64, u64, u64, u64) {
    sfu.worker.ask_statistics(0);
    loop {
        for news in sfu.worker.news() {
            if let News::Statistics { plane, socket, .. } = news {
                return (plane.media_in, plane.media_out, plane.repairs_out, socket.unsent);
            }
        }
        std::thread::yield_now();
    }
}

//! The thread that owns the socket and the plane. It never waits for anyone: orders come through a queue, news
//! leave through another, and a descriptor tells the control half that there are some.

use std::io;
use std::net::SocketAddr;
use std::os::fd::{AsRawFd, RawFd};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::mpsc::{self, TryRecvError};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread::JoinHandle;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use crate::command::Command;
use crate::hold::{Hold, Turn};
use crate::net::{Receiver, Sender, Socket, Wake};
pub use crate::news::News;
use crate::news::Queue;
use crate::plane::{Config, Plane, TICK};
use crate::time::{Origin, Time};

/// Datagrams of one batch.
const BATCH: usize = 64;
/// State of which the last word alone counts waits so long until the control half is woken for it.
const QUIET: Duration = Duration::from_millis(200);
/// How long an idle plane sleeps.
const IDLE: Duration = Duration::from_secs(1);
/// A kernel stamp older than this is no arrival time: the wall clock was set.
const MAX_AGE: Duration = Duration::from_secs(1);

/// How the socket is set up.
#[derive(Clone, Copy, Debug)]
pub struct Settings {
    /// The one port.
    pub bind: SocketAddr,
    /// Bytes of the socket's buffers, in each direction.
    pub buffer: usize,
    /// Let the kernel cut messages into datagrams; falls back by itself where it is refused.
    pub offload: bool,
}

enum Order {
    Command(u64, Box<Command>),
    Statistics(u64),
    Close,
}

/// What the two sides share.
struct Shared {
    queue: Mutex<Queue>,
    has_news: Wake,
    has_orders: Wake,
}

/// A running plane; ends with [`Worker::close`] or when dropped.
pub struct Worker {
    shared: Arc<Shared>,
    orders: mpsc::Sender<Order>,
    thread: Option<JoinHandle<()>>,
    address: SocketAddr,
}

impl Worker {
    /// Binds the port and starts the thread.
    ///
    /// # Errors
    /// What the kernel says, such as that the port is taken.
    pub fn start(settings: Settings, config: Config) -> io::Result<Self> {
        let socket = Arc::new(Socket::bind(settings.bind, settings.buffer)?);
        let address = socket.local_address()?;
        let shared =
            Arc::new(Shared { queue: Mutex::default(), has_news: Wake::new()?, has_orders: Wake::new()? });
        let (orders, inbox) = mpsc::channel();
        let origin = Origin::now();
        let mut run = Run {
            plane: Plane::new(config, origin),
            origin,
            receiver: Receiver::new(BATCH),
            sender: Sender::new(socket.clone(), settings.offload),
            socket,
            shared: shared.clone(),
            inbox,
            next_tick: Time::ZERO,
            next_quiet: Time::ZERO,
            hold: Hold::default(),
        };
        let thread = std::thread::Builder::new().name("plane".into()).spawn(move || {
            // A panic has been printed by then; the control half has to hear of it as of any other failure.
            let ended = catch_unwind(AssertUnwindSafe(|| run.until_closed()));
            if !matches!(ended, Ok(Ok(()))) {
                run.shared.tell([News::Failed]);
            }
        })?;
        Ok(Self { shared, orders, thread: Some(thread), address })
    }

    /// Where the socket is bound.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Gives an order; the answer comes with the news.
    pub fn command(&self, token: u64, command: Command) {
        self.order(Order::Command(token, Box::new(command)));
    }

    /// Asks for the counts; the answer comes with the news.
    pub fn ask_statistics(&self, token: u64) {
        self.order(Order::Statistics(token));
    }

    /// All news since the last call. [`Worker::as_raw_fd`] is readable while there are some.
    pub fn news(&self) -> Vec<News> {
        self.shared.has_news.clear();
        self.shared.queue().take()
    }

    /// Ends the thread and frees the port.
    pub fn close(&mut self) {
        if let Some(thread) = self.thread.take() {
            self.order(Order::Close);
            // However it ended, there is nothing left to close.
            drop(thread.join());
        }
    }

    fn order(&self, order: Order) {
        // After a failure nobody listens: the control half has heard `News::Failed`.
        if self.orders.send(order).is_ok() {
            self.shared.has_orders.wake();
        }
    }
}

impl AsRawFd for Worker {
    fn as_raw_fd(&self) -> RawFd {
        self.shared.has_news.as_raw_fd()
    }
}

impl Drop for Worker {
    fn drop(&mut self) {
        self.close();
    }
}

impl Shared {
    fn queue(&self) -> MutexGuard<'_, Queue> {
        // The queue is a plain list: whoever panicked while holding it left it whole.
        self.queue.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn tell(&self, news: impl IntoIterator<Item = News>) {
        let mut queue = self.queue();
        let mut wakes = false;
        news.into_iter().for_each(|one| wakes |= queue.put(one));
        drop(queue);
        if wakes {
            self.has_news.wake();
        }
    }

    /// Wakes the control half for state that waits.
    fn tell_quiet(&self) {
        if self.queue().has_quiet() {
            self.has_news.wake();
        }
    }
}

/// The thread's own.
struct Run {
    plane: Plane,
    origin: Origin,
    receiver: Receiver,
    sender: Sender,
    socket: Arc<Socket>,
    shared: Arc<Shared>,
    inbox: mpsc::Receiver<Order>,
    next_tick: Time,
    /// When the control half is woken next for state that waits.
    next_quiet: Time,
    hold: Hold,
}

impl Run {
    fn until_closed(&mut self) -> io::Result<()> {
        loop {
            // Orders before datagrams: what was ordered before a client was answered holds for all that it sends.
            if !self.obey() {
                return Ok(());
            }
            let begun = self.origin.time();
            let sent = self.plane.counters().media_out;
            if begun >= self.next_tick {
                self.plane.tick(begun, &mut self.sender);
                self.next_tick = begun + TICK;
            }
            let span = self.receive()?;
            self.report(begun);
            self.sender.flush();
            // After a full batch there is probably more, which needs no waiting for.
            if self.receiver.is_full() {
                continue;
            }
            let sent = self.plane.counters().media_out - sent;
            match self.hold.after(Turn { begun, ended: self.origin.time(), span, sent }) {
                Some(rest) => std::thread::sleep(rest),
                None => self.wait()?,
            }
        }
    }

    fn report(&mut self, now: Time) {
        let mut events = self.plane.events().peekable();
        if events.peek().is_some() {
            self.shared.tell(events.map(News::Event));
        }
        if now >= self.next_quiet {
            self.next_quiet = now + QUIET;
            self.shared.tell_quiet();
        }
    }

    fn wait(&self) -> io::Result<()> {
        let until_tick = self.next_tick.since(self.origin.time());
        let timeout = if self.plane.peers() > 0 { until_tick } else { IDLE };
        if self.socket.wait(&self.shared.has_orders, timeout)?.woken {
            self.shared.has_orders.clear();
        }
        Ok(())
    }

    /// Takes what is there and forwards it; returns the time between the first and the last arrival.
    fn receive(&mut self) -> io::Result<Duration> {
        let count = self.receiver.receive(&self.socket)?;
        let now = self.origin.time();
        let wall = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        let (mut first, mut last) = (now, Time::ZERO);
        for at in 0..count {
            let Some((from, stamp, datagram)) = self.receiver.datagram(at) else { continue };
            // The stamp is of the wall clock, the plane's time is not; their difference carries over.
            let age = stamp.and_then(|stamp| wall.checked_sub(stamp)).filter(|age| *age < MAX_AGE);
            let arrival = now - age.unwrap_or_default();
            (first, last) = (first.min(arrival), last.max(arrival));
            self.plane.receive(now, arrival, from, datagram, &mut self.sender);
        }
        self.plane.flush(now, &mut self.sender);
        Ok(last.since(first))
    }

    /// Carries out the orders that are there; false when the last one was to close.
    fn obey(&mut self) -> bool {
        loop {
            match self.inbox.try_recv() {
                Ok(Order::Command(token, command)) => {
                    let outcome = self.plane.command(self.origin.time(), *command, &mut self.sender);
                    self.shared.tell([News::Answer { token, outcome }]);
                }
                Ok(Order::Statistics(token)) => self.shared.tell([News::Statistics {
                    token,
                    peers: self.plane.peers(),
                    plane: self.plane.counters(),
                    socket: self.sender.counters(),
                }]),
                Ok(Order::Close) | Err(TryRecvError::Disconnected) => {
                    self.sender.flush();
                    return false;
                }
                Err(TryRecvError::Empty) => {
                    self.plane.settle(self.origin.time());
                    return true;
                }
            }
        }
    }
}

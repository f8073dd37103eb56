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

use crate::command::{Command, Event, Refusal};
use crate::net::{Receiver, SendCounters, Sender, Socket, Wake};
use crate::plane::{Config, Counters, Plane, TICK};
use crate::time::{Origin, Time};

/// Datagrams of one batch.
const BATCH: usize = 64;
/// News that wait for the control half; what is above is counted and lost.
const MAX_NEWS: usize = 65_536;
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

/// What the worker tells.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum News {
    /// Something happened.
    Event(Event),
    /// The order with this token was carried out, or not.
    Answer {
        /// As given with the order.
        token: u64,
        /// The plane's word.
        outcome: Result<(), Refusal>,
    },
    /// What [`Worker::ask_statistics`] asked for.
    Statistics {
        /// As given with the question.
        token: u64,
        /// How many peers there are.
        peers: usize,
        /// The plane's counts.
        plane: Counters,
        /// The socket's counts.
        socket: SendCounters,
    },
    /// So many news were lost, for nobody fetched them.
    Lost(u64),
    /// The socket failed, or the plane did; the worker has ended.
    Failed,
}

enum Order {
    Command(u64, Box<Command>),
    Statistics(u64),
    Close,
}

#[derive(Default)]
struct Queue {
    news: Vec<News>,
    lost: u64,
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
        let mut queue = self.shared.queue();
        let lost = std::mem::take(&mut queue.lost);
        let mut news = std::mem::take(&mut queue.news);
        if lost > 0 {
            news.push(News::Lost(lost));
        }
        news
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
        let was_empty = queue.news.is_empty() && queue.lost == 0;
        for one in news {
            if queue.news.len() < MAX_NEWS {
                queue.news.push(one);
            } else {
                queue.lost += 1;
            }
        }
        let has_some = !queue.news.is_empty();
        drop(queue);
        if was_empty && has_some {
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
}

impl Run {
    fn until_closed(&mut self) -> io::Result<()> {
        loop {
            // Orders before datagrams: what was ordered before a client was answered holds for all that it sends.
            if !self.obey() {
                return Ok(());
            }
            let now = self.origin.time();
            if now >= self.next_tick {
                self.plane.tick(now, &mut self.sender);
                self.next_tick = now + TICK;
            }
            self.receive()?;
            self.report();
            self.sender.flush();
            // After a full batch there is probably more, which needs no waiting for.
            if !self.receiver.is_full() {
                self.wait()?;
            }
        }
    }

    fn report(&mut self) {
        let mut events = self.plane.events().peekable();
        if events.peek().is_some() {
            self.shared.tell(events.map(News::Event));
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

    fn receive(&mut self) -> io::Result<()> {
        let count = self.receiver.receive(&self.socket)?;
        let now = self.origin.time();
        let wall = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        for at in 0..count {
            let Some((from, stamp, datagram)) = self.receiver.datagram(at) else { continue };
            // The stamp is of the wall clock, the plane's time is not; their difference carries over.
            let age = stamp.and_then(|stamp| wall.checked_sub(stamp)).filter(|age| *age < MAX_AGE);
            let arrival = now - age.unwrap_or_default();
            self.plane.receive(now, arrival, from, datagram, &mut self.sender);
        }
        self.plane.flush(now, &mut self.sender);
        Ok(())
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
                Err(TryRecvError::Empty) => return true,
            }
        }
    }
}

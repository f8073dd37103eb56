use super::*;
use crate::outbox::Outbox;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

const SOON: Duration = Duration::from_secs(5);

fn socket(address: &str) -> Socket {
    Socket::bind(address.parse().unwrap(), 1 << 20).unwrap()
}

fn receive(socket: &Socket, count: usize) -> Vec<(SocketAddr, Duration, Vec<u8>)> {
    let (mut receiver, wake) = (Receiver::new(16), Wake::new().unwrap());
    let mut all = Vec::new();
    while all.len() < count {
        assert!(socket.wait(&wake, SOON).unwrap().readable, "{} of {count}", all.len());
        for at in 0..receiver.receive(socket).unwrap() {
            let (from, stamp, bytes) = receiver.datagram(at).unwrap();
            all.push((from, stamp.unwrap(), bytes.to_vec()));
        }
    }
    all
}

#[test]
fn datagrams_arrive_whole_and_in_order_with_and_without_offload() {
    for offload in [true, false] {
        let target = socket("127.0.0.1:0");
        let to = target.local_address().unwrap();
        let source = Arc::new(socket("127.0.0.1:0"));
        let mut sender = Sender::new(source.clone(), offload);
        let lengths = [100, 1100, 1100, 700, 700, 700, 1100, 3, 0, 1200];
        for (number, length) in lengths.iter().enumerate() {
            sender.put(to, |space| {
                space[..*length].fill(number as u8);
                *length
            });
        }
        sender.flush();
        let sent: Vec<_> = lengths.iter().enumerate().filter(|(_, length)| **length > 0).collect();
        let arrived = receive(&target, sent.len());
        for ((from, stamp, bytes), (number, length)) in arrived.iter().zip(sent) {
            assert_eq!(*from, source.local_address().unwrap());
            assert_eq!(*bytes, vec![number as u8; *length]);
            let age = SystemTime::now().duration_since(UNIX_EPOCH).unwrap().abs_diff(*stamp);
            assert!(age < SOON);
        }
        assert_eq!(sender.counters(), SendCounters { unsent: 0, calls: 1, offload_refused: false });
    }
}

#[test]
fn more_than_the_sender_gathers_leaves_by_itself() {
    let target = socket("127.0.0.1:0");
    let to = target.local_address().unwrap();
    let mut sender = Sender::new(Arc::new(socket("127.0.0.1:0")), true);
    for number in 0..200_u8 {
        sender.put(to, |space| {
            space[..1000].fill(number);
            1000
        });
    }
    sender.flush();
    let arrived = receive(&target, 200);
    assert!(arrived.iter().enumerate().all(|(number, (_, _, bytes))| bytes == &vec![number as u8; 1000]));
}

#[test]
fn an_address_that_cannot_be_reached_spoils_nothing() {
    let target = socket("127.0.0.1:0");
    let mut sender = Sender::new(Arc::new(socket("127.0.0.1:0")), true);
    let addresses = ["255.255.255.255:9".parse().unwrap(), target.local_address().unwrap()];
    for to in addresses {
        sender.put(to, |space| {
            space[..10].fill(7);
            10
        });
    }
    sender.flush();
    assert_eq!(receive(&target, 1)[0].2, [7; 10]);
    assert_eq!(sender.counters().unsent, 1);
}

#[test]
fn a_dual_stack_socket_speaks_ipv4() {
    let target = socket("127.0.0.1:0");
    let source = Arc::new(socket("[::]:0"));
    let mut sender = Sender::new(source.clone(), true);
    sender.put(target.local_address().unwrap(), |space| {
        space[0] = 1;
        1
    });
    sender.flush();
    let (from, ..) = receive(&target, 1).remove(0);
    assert_eq!(from.to_string(), format!("127.0.0.1:{}", source.local_address().unwrap().port()));
    let mut back = Sender::new(Arc::new(target), true);
    back.put(from, |space| {
        space[0] = 2;
        1
    });
    back.flush();
    assert!(receive(&source, 1)[0].0.is_ipv4());
}

#[test]
fn a_wait_ends_when_woken() {
    let (socket, wake) = (socket("127.0.0.1:0"), Wake::new().unwrap());
    wake.wake();
    assert_eq!(socket.wait(&wake, SOON).unwrap(), Waited { readable: false, woken: true });
    wake.clear();
    assert_eq!(socket.wait(&wake, Duration::ZERO).unwrap(), Waited { readable: false, woken: false });
}

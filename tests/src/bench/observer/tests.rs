use std::net::UdpSocket;

use super::*;
use crate::nodes::lan::{Lan, Station, address};

#[test]
fn packets_are_seen_once_by_who_sent_them_with_the_time_of_their_sending() -> Result<()> {
    let lan = Lan::create(2)?;
    let ports = [0, 1].map(|node| Station::Node(node).port());
    let observer = Observer::start(lan.switch(), &ports, DayClock::start())?;
    let message = b"###\n12:(0)t=stonith,";
    let stonith = Packet::Heartbeat(packet::Message::Stonith);
    // The kernel begins to stamp packets a moment after it was asked to.
    let send = || -> Result<[Moment; 2]> {
        let before = Moment::now();
        lan.nodes[0].enter(|| {
            let socket = UdpSocket::bind("0.0.0.0:0")?;
            socket.send_to(message, (address(1), 694))
        })??;
        Ok([before, Moment::now()])
    };
    let seen = crate::clock::poll(Duration::from_secs(10), || {
        let [before, after] = send()?;
        let seen = crate::clock::poll(Duration::from_secs(5), || {
            observer
                .newest(0, |packet| *packet == stonith)
                .map(|newest| newest.filter(|newest| newest.at >= before))
        })?;
        Ok(seen.filter(|seen| seen.at <= after))
    })?;
    let seen = seen.context("no packet was stamped while it was sent")?;
    assert!(observer.newest(1, |packet| *packet == stonith)?.is_none());
    let all = observer.since(seen.at)?;
    assert_eq!(all.iter().filter(|other| other.packet == stonith).count(), 1, "{all:?}");
    assert_eq!(observer.dropped(), 0);
    Ok(())
}

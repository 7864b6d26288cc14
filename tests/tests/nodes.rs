//! The harness for clusters of any size: its network, and hb on it.

use std::{net::UdpSocket, time::Duration};

use anyhow::{Context, Result, ensure};
use hb_tests::{
    clock::{Moment, poll},
    expect::LIMIT,
    host::Host,
    nodes::{
        Files, Nodes,
        lan::{GATEWAY_IP, Lan, Station, address, name},
    },
    ownership::total,
    stamp,
};

use Station::{Gateway, Node};

const WEB: &str = "web";

/// Where datagrams go.
const PORT: u16 = 4000;

/// A socket on a station's network.
struct Ear(UdpSocket);

impl Ear {
    fn on(host: &Host) -> Result<Self> {
        let socket = host.enter(|| UdpSocket::bind(("0.0.0.0", PORT)))??;
        socket.set_read_timeout(Some(LIMIT))?;
        Ok(Self(socket))
    }

    fn say(&self, to: Station, what: &str) -> Result<()> {
        let to = match to {
            Node(node) => address(node),
            Gateway => GATEWAY_IP,
        };
        self.0.send_to(what.as_bytes(), (to, PORT))?;
        Ok(())
    }

    fn hear(&self) -> Result<String> {
        let mut heard = [0; 64];
        let length = self.0.recv(&mut heard).context("nothing is heard")?;
        Ok(String::from_utf8_lossy(&heard[..length]).into_owned())
    }
}

#[test]
fn the_switch_loses_what_is_cut_and_nothing_else() -> Result<()> {
    let lan = Lan::create(3)?;
    let stations: Vec<_> = lan.stations().collect();
    let ears: Vec<_> = stations
        .iter()
        .map(|station| Ear::on(lan.host(*station)))
        .collect::<Result<_>>()?;
    let pairs = || {
        (0..4)
            .flat_map(|from| (0..4).map(move |to| (from, to)))
            .filter(|(from, to)| from != to)
    };
    // Everybody learns everybody's Ethernet address: so nothing waits for one during a cut, and comes after it.
    for (from, to) in pairs() {
        ears[from].say(stations[to], "hello")?;
        ensure!(ears[to].hear()? == "hello");
    }
    let check = |lost: &[(usize, usize)]| -> Result<()> {
        for (from, to) in pairs() {
            ears[from].say(stations[to], &format!("{from} during a cut"))?;
        }
        for (to, ear) in ears.iter().enumerate() {
            let heard = (0..4).filter(|from| *from != to && !lost.contains(&(*from, to)));
            for from in heard {
                let text = ear.hear()?;
                ensure!(
                    text == format!("{from} during a cut"),
                    "{to} hears {text:?}, not {from}"
                );
            }
        }
        lan.heal()?;
        // What was lost does not come later either: the next that is heard is what is said next.
        for (from, to) in pairs() {
            ears[from].say(stations[to], "healed")?;
            let text = ears[to].hear()?;
            ensure!(text == "healed", "{to} hears {text:?} of {from}");
        }
        Ok(())
    };
    check(&[])?;
    lan.cut(&[Node(0)], &[Node(1)])?;
    check(&[(0, 1), (1, 0)])?;
    lan.cut_one_way(&[Node(0)], &[Node(2), Gateway])?;
    check(&[(0, 2), (0, 3)])?;
    lan.cut(&[Node(0), Gateway], &[Node(1), Node(2)])?;
    lan.cut(&[Node(0)], &[Node(1)])?;
    check(&[(0, 1), (0, 2), (3, 1), (3, 2), (1, 0), (2, 0), (1, 3), (2, 3)])?;
    ensure!(lan.cut(&[Node(0)], &[Node(0)]).is_err());
    Ok(())
}

#[test]
fn what_is_frozen_stands_still_and_what_lost_power_is_gone() -> Result<()> {
    let mut nodes = Nodes::create(2, |_| Files::of(2, ""))?;
    let host = nodes.host(0);
    host.run_ok("/etc/ha.d/resource.d/stamp", &[WEB, "start"])?;
    let counter = host.spawn(
        host.command("sh")
            .args(["-c", "while :; do echo x >>/run/count; sleep 0.01; done"]),
    )?;
    let count =
        |host: &Host| -> Result<usize> { Ok(host.run_ok("sh", &["-c", "cat /run/count 2>/dev/null; :"])?.len()) };
    let grows = |beyond: usize| {
        let grown = poll(LIMIT, || Ok((count(nodes.host(0))? > beyond).then_some(())))?;
        grown.context("nothing runs")
    };
    grows(3)?;
    nodes.freeze(0)?;
    let frozen = count(host)?;
    let state = host.run_ok("sh", &["-c", "cat /proc/[0-9]*/stat | grep -c ' T '"])?;
    ensure!(state.trim().parse::<usize>()? >= 1, "nobody is stopped");
    ensure!(count(host)? == frozen);
    nodes.thaw(0)?;
    grows(frozen + 3)?;
    ensure!(counter.exit_status()?.is_none());

    let before = Moment::now();
    nodes.power_off(0)?;
    let ended = counter.wait_exit(LIMIT)?;
    ensure!(!ended.success(), "it ended with {ended}");
    ensure!(nodes.runs_on(WEB)?.is_empty());
    let ownership = nodes.ownership()?;
    let [interval] = ownership.intervals() else {
        anyhow::bail!("{:?}", ownership.intervals());
    };
    ensure!(interval.host == name(0) && interval.to.is_some_and(|to| to > before));
    // The host itself lives on.
    nodes.host(0).run_ok("true", &[])?;
    Ok(())
}

#[test]
fn two_nodes_own_it_while_they_are_cut_apart_and_not_after() -> Result<()> {
    let (interval, deadtime) = (Duration::from_millis(50), Duration::from_millis(800));
    let mut nodes = Nodes::create(2, |_| Files::of(2, "keepalive 50ms\ndeadtime 800ms\ninitdead 10"))?;
    nodes.start_all()?;
    nodes.wait_for_owner(WEB, 0, LIMIT)?;
    nodes.wait_until("both see each other", LIMIT, || {
        Ok((0..2).all(|node| nodes.status(node).is_ok_and(|status| status.sees_all_peers())))
    })?;
    let calm = Moment::now();
    let room = Duration::from_millis(30);
    stamp::spoil(nodes.host(1), WEB, "stop", stamp::Fault::Takes(room))?;

    let cut = Moment::now();
    nodes.lan.cut(&[Node(0)], &[Node(1)])?;
    nodes.wait_until("both run it", LIMIT, || Ok(nodes.runs_on(WEB)? == [0, 1]))?;
    let healed = Moment::now();
    nodes.lan.heal()?;
    nodes.wait_for_owner(WEB, 0, LIMIT)?;
    let end = Moment::now();

    let ownership = nodes.ownership()?;
    ensure!(ownership.clashes().is_empty(), "{:?}", ownership.clashes());
    ensure!(ownership.overlaps(WEB, calm, cut).is_empty());
    ensure!(ownership.gaps(WEB, calm, end).is_empty());
    let overlaps = ownership.overlaps(WEB, cut, end);
    ensure!(
        overlaps.len() == 1 && overlaps[0].owners == [name(0), name(1)],
        "{overlaps:?}"
    );
    ensure!(overlaps[0].from - cut + interval >= deadtime, "{overlaps:?}");
    ensure!(
        overlaps[0].to > healed + room && total(&overlaps) >= room,
        "{overlaps:?}"
    );

    let ran = nodes.run(0, &["status", "--json"])?;
    ensure!(
        ran.code == Some(0) && ran.err.is_empty() && ran.out.contains(WEB),
        "{ran:?}"
    );
    nodes.stop(0)?;
    nodes.wait_for_owner(WEB, 1, LIMIT)?;
    ensure!(nodes.log(0).contains(WEB), "{}", nodes.log(0));
    nodes.stop(1)
}

//! The client: asks for the floating IP's page all the time, and remembers what it got.

use std::{
    net::SocketAddrV4,
    sync::{Arc, Mutex},
    time::Duration,
};

use anyhow::{Context, Result};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
    time::timeout,
};

use crate::{
    clock::{Moment, lock, poll, ticks},
    host::Host,
    network::FLOATING_IP,
    service::Service,
};

/// How long the client waits for one answer. It does not wait for it before it asks again.
pub const PATIENCE: Duration = Duration::from_millis(50);

/// One request and what became of it.
#[derive(Clone, Debug)]
pub struct Answer {
    /// When it was sent.
    pub asked: Moment,
    /// When it was answered, or given up.
    pub ended: Moment,
    /// The page, or why there is none.
    pub page: Result<String, String>,
}

impl Answer {
    /// The server that the page names.
    #[must_use]
    pub fn server(&self) -> Option<&str> {
        let page = self.page.as_ref().ok()?;
        page.strip_prefix("Server: ")?.split(',').next()
    }
}

/// A time during which no page came.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Gap {
    /// When the last page came.
    pub last: Moment,
    /// When the next one came.
    pub next: Moment,
}

impl Gap {
    /// How long it was.
    #[must_use]
    pub fn length(self) -> Duration {
        self.next - self.last
    }
}

/// A client that asks until it is dropped.
#[derive(Debug)]
pub struct Client {
    answers: Arc<Mutex<Vec<Answer>>>,
    _service: Service,
}

impl Client {
    /// Starts to ask from a host, once every `interval`.
    pub fn start(host: &Host, interval: Duration) -> Result<Self> {
        let answers = Arc::default();
        let service = {
            let answers = Arc::clone(&answers);
            Service::start(host, "client", move || ask_always(interval, answers))?
        };
        Ok(Self {
            answers,
            _service: service,
        })
    }

    /// All answers so far, in the order in which they ended.
    #[must_use]
    pub fn answers(&self) -> Vec<Answer> {
        lock(&self.answers).clone()
    }

    /// Waits for a page of this server's to a request sent from now on.
    pub fn wait_for(&self, server: &str, limit: Duration) -> Result<Answer> {
        self.wait_since(Moment::now(), server, limit)
    }

    /// Waits for a page of this server's to a request sent at `since` or later.
    pub fn wait_since(&self, since: Moment, server: &str, limit: Duration) -> Result<Answer> {
        poll(
            limit,
            || Ok(self.first(since, |answer| answer.server() == Some(server))),
        )?
        .with_context(|| {
            let last = lock(&self.answers).last().map(|answer| format!("{:?}", answer.page));
            format!(
                "no page from {server} within {limit:?}; the last answer was {}",
                last.unwrap_or_default()
            )
        })
    }

    /// The first page to a request sent at `since` or later.
    #[must_use]
    pub fn first_good(&self, since: Moment) -> Option<Answer> {
        self.first(since, |answer| answer.page.is_ok())
    }

    /// The last page that came at `until` or earlier.
    #[must_use]
    pub fn last_good(&self, until: Moment) -> Option<Answer> {
        self.last(until, |answer| answer.page.is_ok())
    }

    /// The last page of this server's that came at `until` or earlier.
    #[must_use]
    pub fn last_of(&self, server: &str, until: Moment) -> Option<Answer> {
        self.last(until, |answer| answer.server() == Some(server))
    }

    /// The longest time without a page of those that overlap with `from..to`. Where no page came before or after, the
    /// time counts from `from` and until `to`.
    #[must_use]
    pub fn longest_gap(&self, from: Moment, to: Moment) -> Gap {
        longest_gap(&lock(&self.answers), from, to)
    }

    fn last(&self, until: Moment, wanted: impl Fn(&Answer) -> bool) -> Option<Answer> {
        lock(&self.answers)
            .iter()
            .rev()
            .find(|answer| answer.ended <= until && wanted(answer))
            .cloned()
    }

    fn first(&self, since: Moment, wanted: impl Fn(&Answer) -> bool) -> Option<Answer> {
        let answers = lock(&self.answers);
        // Newer answers are at the end, and `since` is mostly a moment ago.
        let after = answers
            .iter()
            .rposition(|answer| answer.ended < since)
            .map_or(0, |last| last + 1);
        answers[after..]
            .iter()
            .find(|answer| answer.asked >= since && wanted(answer))
            .cloned()
    }
}

fn longest_gap(answers: &[Answer], from: Moment, to: Moment) -> Gap {
    let good = || {
        answers
            .iter()
            .filter(|answer| answer.page.is_ok())
            .map(|answer| answer.ended)
    };
    let before = good().rev().find(|at| *at <= from).unwrap_or(from);
    let after = good().find(|at| *at >= to).unwrap_or(to);
    let inside = good().filter(|at| from < *at && *at < to);
    let mut last = before;
    let mut longest = Gap { last, next: last };
    for next in inside.chain([after]) {
        let gap = Gap { last, next };
        if gap.length() > longest.length() {
            longest = gap;
        }
        last = next;
    }
    longest
}

async fn ask_always(every: Duration, answers: Arc<Mutex<Vec<Answer>>>) {
    let mut ticks = ticks(every);
    loop {
        ticks.tick().await;
        let answers = Arc::clone(&answers);
        // A request that hangs does not delay the next: what the client sees is as fine as its interval.
        tokio::spawn(async move {
            let asked = Moment::now();
            let page = match timeout(PATIENCE, ask()).await {
                Ok(page) => page.map_err(|error| error.to_string()),
                Err(_) => Err("timed out".to_owned()),
            };
            let ended = Moment::now();
            lock(&answers).push(Answer { asked, ended, page });
        });
    }
}

async fn ask() -> std::io::Result<String> {
    let mut stream = TcpStream::connect(SocketAddrV4::new(FLOATING_IP, 80)).await?;
    stream
        .write_all(format!("GET / HTTP/1.0\r\nHost: {FLOATING_IP}\r\n\r\n").as_bytes())
        .await?;
    let mut answer = String::new();
    stream.read_to_string(&mut answer).await?;
    match answer.split_once("\r\n\r\n") {
        Some((head, body)) if head.split(' ').nth(1) == Some("200") => Ok(body.trim_end().to_owned()),
        _ => Err(std::io::Error::other(
            answer.lines().next().unwrap_or("an empty answer").to_owned(),
        )),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(micros: u64) -> Moment {
        Moment::from_clock(Duration::from_micros(micros))
    }

    fn answers(good: &[u64], bad: &[u64]) -> Vec<Answer> {
        let one = |micros: &u64, page| Answer {
            asked: at(*micros),
            ended: at(*micros),
            page,
        };
        let page = || Ok("Server: primary, IP Address: 198.51.100.5".to_owned());
        let mut all: Vec<_> = good.iter().map(|micros| one(micros, page())).collect();
        all.extend(bad.iter().map(|micros| one(micros, Err("refused".to_owned()))));
        all.sort_by_key(|answer| answer.ended);
        all
    }

    #[test]
    fn the_longest_gap_lies_between_good_answers() {
        let answers = answers(&[10, 20, 70, 80, 200], &[30, 50]);
        assert_eq!(
            longest_gap(&answers, at(15), at(80)),
            Gap {
                last: at(20),
                next: at(70)
            }
        );
        assert_eq!(
            longest_gap(&answers, at(30), at(40)),
            Gap {
                last: at(20),
                next: at(70)
            }
        );
        assert_eq!(
            longest_gap(&answers, at(5), at(300)),
            Gap {
                last: at(80),
                next: at(200)
            }
        );
        assert_eq!(
            longest_gap(&answers, at(210), at(300)),
            Gap {
                last: at(200),
                next: at(300)
            }
        );
        assert_eq!(
            longest_gap(&[], at(1), at(3)),
            Gap {
                last: at(1),
                next: at(3)
            }
        );
    }

    #[test]
    fn the_page_names_its_server() {
        let answer = answers(&[1], &[2]);
        assert_eq!(answer[0].server(), Some("primary"));
        assert_eq!(answer[1].server(), None);
    }
}

//! The loop.

use std::io;
use std::sync::Arc;
use std::sync::mpsc;

use super::beating::{Beating, Snapshot};
use super::wake::Bell;
use super::{Means, News, Order, OrderSender, Pulse, PulseError, Settings, Stats};
use crate::{clock, realtime};

/// News for the controller that fit before it reads. It is told levels, so what does not fit is told later.
const NEWS: usize = 256;
/// Orders that fit before the thread reads.
const ORDERS: usize = 64;

pub(super) fn start(settings: Settings, means: Means, former: Option<Snapshot>) -> Result<Pulse, PulseError> {
    let (news_in, news_out) = touched(NEWS, || News::Gone);
    let (orders_in, orders_out) = touched(ORDERS, || Order::Stop);
    let news_bell = Bell::new()?;
    let order_bell = Bell::new()?;
    let stats = Arc::new(Stats::new(clock::now()));
    let (granted_in, granted) = mpsc::channel();

    let wanted = means.scheduling.clone();
    let is_new = former.is_none();
    let mut beating = Beating::new(settings, means, stats.clone(), clock::now())?;
    if let Some(former) = former {
        beating.go_on(former, clock::now());
    }
    let mailbox = Mailbox {
        news: news_in,
        news_bell: news_bell.clone(),
        orders: orders_out,
        order_bell: order_bell.clone(),
    };
    let thread = std::thread::Builder::new().name("hb-pulse".into()).spawn(move || {
        realtime::touch_stack();
        // The one who waits for it cannot be gone.
        let _ = granted_in.send(realtime::ask(&wanted));
        // Rings when the thread ends, also by a panic: the controller must not go on without it.
        let _last = LastRing(mailbox.news_bell.clone());
        run(beating, mailbox, is_new);
    })?;
    let granted = granted
        .recv()
        .map_err(|_| io::Error::other("the thread ended at once"))?;
    let orders = OrderSender {
        queue: orders_in,
        bell: order_bell,
    };
    Ok(Pulse {
        news: news_out,
        bell: news_bell,
        orders,
        stats,
        granted,
        thread: Some(thread),
    })
}

/// A queue whose memory has been written to once, so that no page of it is missing later.
pub(crate) fn touched<T>(capacity: usize, filler: impl Fn() -> T) -> (rtrb::Producer<T>, rtrb::Consumer<T>) {
    let (mut producer, mut consumer) = rtrb::RingBuffer::new(capacity);
    while producer.push(filler()).is_ok() {}
    while consumer.pop().is_ok() {}
    (producer, consumer)
}

struct LastRing(Bell);

impl Drop for LastRing {
    fn drop(&mut self) {
        self.0.ring();
    }
}

/// The thread's ends of the queues.
pub(super) struct Mailbox {
    news: rtrb::Producer<News>,
    news_bell: Bell,
    orders: rtrb::Consumer<Order>,
    order_bell: Bell,
}

fn run(mut beating: Beating, mut mailbox: Mailbox, is_new: bool) {
    // Who was here before looks first what has come meanwhile, to echo that.
    if is_new {
        beating.send(clock::now());
    }
    loop {
        let planned = beating.next(clock::now());
        let wake = beating.sleep(planned, &mailbox.order_bell);
        beating.drain_events();
        beating.notice_freeze(wake);
        while let Ok(order) = mailbox.orders.pop() {
            match order {
                Order::Advertise(advert) => beating.advertise(advert, wake.now),
                Order::TakenIn { node, sequence } => beating.take_in(node, sequence, wake.now),
                Order::Reconfigure(new) => beating.reconfigure(*new, wake.now),
                Order::Farewell => beating.farewell(wake.now),
                Order::Promise { span } => beating.begin_promise(span, wake.now),
                Order::Snapshot { suspend, reply } => {
                    // Who asked for it waits, or has given up.
                    let _ = reply.try_send(Box::new(beating.snapshot(suspend, wake.now)));
                }
                Order::Resume => beating.resume(wake.now),
                Order::Stop => {
                    beating.disarm(false);
                    return;
                }
            }
        }
        if beating.is_suspended() {
            continue;
        }
        beating.look(wake, &mut mailbox);
        beating.confirm_promise(wake.now, &mut mailbox);
        beating.feed_watchdog();
        if beating.is_beat_due(wake.now) {
            beating.send(wake.now);
        }
        if beating.is_farewell_over(wake.now) {
            if mailbox.tell(News::Gone) {
                beating.disarm(true);
                return;
            }
            beating.farewell(wake.now);
        }
    }
}

impl Mailbox {
    /// False if the queue is full.
    pub(super) fn tell(&mut self, news: News) -> bool {
        let told = self.news.push(news).is_ok();
        self.news_bell.ring();
        told
    }
}

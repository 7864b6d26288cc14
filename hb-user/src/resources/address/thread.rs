//! The thread `hb-hands`: takes orders, carries them out, answers, and announces again what it has announced.

use std::collections::HashMap;
use std::io;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, mpsc};
use std::thread::JoinHandle;

use tokio::sync::oneshot;

use super::message::Prepared;
use super::order::{Answer, News, Order, Task, Upkeep};
use super::worker::Worker;
use crate::pulse::touched;
use crate::pulse::wake::{Bell, Doorbell, Post};
use crate::realtime::{self, Granted, Wanted};

/// Orders without an answer that there may be. Each group has one at a time, and one for its monitor.
const ORDERS: usize = 256;
/// What was heard of others, or told of this host, and not taken yet. More is lost; who uses an address is heard again.
const NEWS: usize = 64;

/// The thread, as the controller sees it.
#[derive(Debug)]
pub(super) struct Thread {
    pub(super) granted: Granted,
    desk: Arc<Mutex<Desk>>,
    handle: Option<JoinHandle<()>>,
}

/// What the controller's tasks share. The thread itself never touches it.
#[derive(Debug)]
struct Desk {
    orders: Option<Post<Order>>,
    next: u64,
    waiting: HashMap<u64, oneshot::Sender<Answer>>,
}

/// Why there is no answer.
#[derive(Clone, Copy, Debug, Eq, PartialEq, thiserror::Error)]
pub(super) enum Unanswered {
    #[error("the thread that moves addresses has ended")]
    Ended,
    #[error("the kernel has not answered {ORDERS} orders before this one")]
    Full,
}

impl Thread {
    /// Starts it. Needs the runtime, in which answers are handed to who waits for them.
    pub(super) fn start(wanted: Wanted, on_news: impl Fn(News) + Send + 'static) -> io::Result<Self> {
        let (orders_in, orders) = touched(ORDERS, Order::nothing);
        let (answers_in, mut answers) = touched(ORDERS, Answer::nothing);
        let (news_in, mut news_out) = touched(NEWS, News::nothing);
        let order_bell = Bell::new()?;
        let answer_bell = Bell::new()?;
        let doorbell = Doorbell::new(answer_bell.clone())?;
        let worker = Worker::open()?;
        let mut post = Post {
            queue: answers_in,
            bell: answer_bell.clone(),
        };
        let mut news = Post {
            queue: news_in,
            bell: answer_bell,
        };
        let bell = order_bell.clone();
        let (granted_in, granted) = mpsc::channel();
        let handle = std::thread::Builder::new().name("hb-hands".into()).spawn(move || {
            realtime::touch_stack();
            // The one who waits for it cannot be gone.
            let _ = granted_in.send(realtime::ask(&wanted));
            // Rings when the thread ends, also by a panic: nobody must wait for an answer then.
            let _last = LastRing(post.bell.clone());
            run(worker, orders, &bell, &mut post, &mut news);
        })?;
        let granted = granted
            .recv()
            .map_err(|_| io::Error::other("the thread ended at once"))?;

        let desk = Arc::new(Mutex::new(Desk {
            orders: Some(Post {
                queue: orders_in,
                bell: order_bell,
            }),
            next: 0,
            waiting: HashMap::new(),
        }));
        let shared = desk.clone();
        tokio::spawn(async move {
            while doorbell.rung().await.is_ok() {
                // Asked first: its last answer may come between a look into the queue and its end.
                let has_ended = answers.is_abandoned();
                while let Ok(news) = news_out.pop() {
                    on_news(news);
                }
                while let Ok(answer) = answers.pop() {
                    // What was heard before the answer was given is there by now.
                    while let Ok(news) = news_out.pop() {
                        on_news(news);
                    }
                    hand_over(&shared, answer);
                }
                if has_ended {
                    break;
                }
            }
            let mut desk = lock(&shared);
            desk.orders = None;
            desk.waiting.clear();
        });
        Ok(Self {
            granted,
            desk,
            handle: Some(handle),
        })
    }

    /// Has something done. Orders are carried out one after the other, in the order in which they are given, also those
    /// whose answer nobody waits for any more.
    pub(super) async fn order(
        &self,
        task: Task,
        key: u32,
        prepared: &Prepared,
        upkeep: Upkeep,
    ) -> Result<Answer, Unanswered> {
        let answer = self.begin(task, key, prepared, upkeep)?;
        answer.await.map_err(|_| Unanswered::Ended)
    }

    /// The same, for who may not want to wait for the answer.
    pub(super) fn begin(
        &self,
        task: Task,
        key: u32,
        prepared: &Prepared,
        upkeep: Upkeep,
    ) -> Result<oneshot::Receiver<Answer>, Unanswered> {
        let (sender, answer) = oneshot::channel();
        {
            let mut desk = lock(&self.desk);
            let number = desk.next;
            desk.next += 1;
            if desk.waiting.len() == ORDERS {
                return Err(Unanswered::Full);
            }
            let order = Order {
                number,
                task,
                key,
                prepared: *prepared,
                upkeep,
            };
            let orders = desk.orders.as_mut().ok_or(Unanswered::Ended)?;
            orders.try_send(order).map_err(|_| Unanswered::Full)?;
            desk.waiting.insert(number, sender);
        }
        Ok(answer)
    }
}

impl Drop for Thread {
    /// The thread ends when the queue of its orders does, with the last order carried out.
    fn drop(&mut self) {
        if let Some(Post { queue, bell }) = lock(&self.desk).orders.take() {
            drop(queue);
            bell.ring();
        }
        if let Some(handle) = self.handle.take() {
            // It only fails if the thread panicked, and then it has said so.
            let _ = handle.join();
        }
    }
}

struct LastRing(Bell);

impl Drop for LastRing {
    fn drop(&mut self) {
        self.0.ring();
    }
}

fn run(
    mut worker: Worker,
    mut orders: rtrb::Consumer<Order>,
    bell: &Bell,
    answers: &mut Post<Answer>,
    news: &mut Post<News>,
) {
    loop {
        if let Some(hush) = worker.sleep(bell) {
            let _ = news.try_send(News::Hushed(hush));
        }
        bell.silence();
        let is_last = orders.is_abandoned();
        while let Ok(order) = orders.pop() {
            if order.task == Task::Listen {
                worker.listen_now();
                worker.hear(|heard| {
                    let _ = news.try_send(News::Heard(heard));
                });
            }
            // There is room: there are no more answers on their way than there were orders.
            let _ = answers.try_send(worker.carry_out(&order));
        }
        if is_last {
            return;
        }
        worker.announce_again();
        worker.hear(|heard| {
            // What does not fit is lost.
            let _ = news.try_send(News::Heard(heard));
        });
    }
}

fn hand_over(desk: &Mutex<Desk>, answer: Answer) {
    if let Some(waiting) = lock(desk).waiting.remove(&answer.number) {
        // Who has waited may have given up.
        let _ = waiting.send(answer);
    }
}

fn lock(desk: &Mutex<Desk>) -> MutexGuard<'_, Desk> {
    // Who panicked with it has left it whole: each change of it is one.
    desk.lock().unwrap_or_else(PoisonError::into_inner)
}

//! Tests of two processes that share a refresh, over a real socket.

use std::sync::Arc;
use std::sync::atomic::AtomicU32;

use bytes::Bytes;
use tokio::sync::Notify;

use super::*;
use crate::answer::Answer;
use crate::conversation::flight_of;
use crate::dialect::Heard;
use crate::ids::ClientId;

/// A process, the one after it, and what the bank was asked by both.
struct Two {
    before: Flights,
    after: Flights,
    server: Option<FlightsServer>,
    asked: Arc<AtomicU32>,
    _folder: tempfile::TempDir,
}

impl Two {
    fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("flights.1");
        let (before, after) = (Flights::default(), Flights::default());
        let server = FlightsServer::start(before.clone(), path.clone()).unwrap();
        after.set_predecessor(path);
        Self { before, after, server: Some(server), asked: Arc::default(), _folder: folder }
    }

    /// An exchange that lasts until it may end.
    fn exchange(&self, end: &Arc<Notify>) -> impl Future<Output = Outcome> + use<> {
        let (asked, end) = (self.asked.clone(), end.clone());
        async move {
            let number = asked.fetch_add(1, Ordering::SeqCst);
            end.notified().await;
            let answer = Answer::of_platform(Bytes::from(format!("answer {number}")));
            (Ok(Heard { answer, oddity: None }), Trail { endpoint: Some(0), ..Trail::default() })
        }
    }

    fn asked(&self) -> u32 {
        self.asked.load(Ordering::SeqCst)
    }

    async fn until_asked(&self, count: u32) {
        while self.asked() < count {
            tokio::time::sleep(Duration::from_millis(2)).await;
        }
    }
}

fn flight(form: &str) -> Flight {
    flight_of(ClientId::parse("C1").unwrap(), "rt-1", form)
}

fn body((outcome, _): &Outcome) -> Result<Bytes, Fault> {
    outcome.clone().map(|heard| heard.answer.body)
}

const NONE: Duration = Duration::ZERO;

/// Both orders: whoever begins asks the bank, and the other one is given the answer.
#[tokio::test]
async fn a_refresh_is_one_on_both_sides_of_an_upgrade() {
    for (first, second) in [(0, 1), (1, 0)] {
        let two = Two::new();
        let sides = [&two.before, &two.after];
        let end = Arc::new(Notify::new());
        let leads = sides[first].alone(flight("x"), NONE, two.exchange(&end));
        let follows = async {
            two.until_asked(1).await;
            let theirs = sides[second].alone(flight("x"), NONE, two.exchange(&end));
            let soon = async {
                tokio::time::sleep(Duration::from_millis(100)).await;
                end.notify_waiters();
            };
            tokio::join!(theirs, soon).0
        };
        let ((one, _), (other, _)) = tokio::join!(leads, follows);
        assert_eq!(body(&one), body(&other));
        assert_eq!(two.asked(), 1, "{first} leads");
    }
}

#[tokio::test]
async fn another_question_about_a_token_is_refused_across_an_upgrade() {
    let two = Two::new();
    let end = Arc::new(Notify::new());
    let leads = two.before.alone(flight("x"), NONE, two.exchange(&end));
    let differs = async {
        two.until_asked(1).await;
        let ((outcome, _), _) =
            two.after.alone(flight("y"), NONE, two.exchange(&Arc::default())).await;
        end.notify_waiters();
        outcome.map(|_| ())
    };
    let (_, differs) = tokio::join!(leads, differs);
    assert_eq!(differs, Err(Fault::RefreshDiffers));
    assert_eq!(two.asked(), 1);
}

#[tokio::test]
async fn who_waits_for_a_successor_that_gave_up_goes_itself() {
    let two = Two::new();
    let never = Arc::new(Notify::new());
    let end = Arc::new(Notify::new());
    let gives_up = async {
        let led = two.after.alone(flight("x"), NONE, two.exchange(&never));
        let waited = tokio::time::timeout(Duration::from_millis(200), led).await;
        assert!(waited.is_err());
    };
    let waits = async {
        two.until_asked(1).await;
        let theirs = two.before.alone(flight("x"), NONE, two.exchange(&end));
        let soon = async {
            two.until_asked(2).await;
            end.notify_one();
        };
        tokio::join!(theirs, soon).0
    };
    let ((), (outcome, _)) = tokio::join!(gives_up, waits);
    assert_eq!(body(&outcome), Ok(Bytes::from("answer 1")));
}

#[tokio::test]
async fn a_process_before_that_is_gone_holds_nobody() {
    let mut two = Two::new();
    drop(two.server.take());
    let end = Arc::new(Notify::new());
    end.notify_one();
    let (outcome, _) = two.after.alone(flight("x"), NONE, two.exchange(&end)).await;
    assert_eq!(body(&outcome), Ok(Bytes::from("answer 0")));
    assert!(!two.after.0.predecessor.is_there());
}

/// What ended just before the process did is told to who waits for it.
#[tokio::test(flavor = "multi_thread")]
async fn the_end_of_the_process_before_waits_until_it_has_told() {
    let mut two = Two::new();
    let end = Arc::new(Notify::new());
    let leads = tokio::spawn({
        let (flights, exchange) = (two.before.clone(), two.exchange(&end));
        async move { flights.alone(flight("x"), NONE, exchange).await.0 }
    });
    two.until_asked(1).await;
    let follows = tokio::spawn({
        let (flights, exchange) = (two.after.clone(), two.exchange(&end));
        async move { flights.alone(flight("x"), NONE, exchange).await.0 }
    });
    tokio::time::sleep(Duration::from_millis(100)).await;
    end.notify_waiters();
    let one = leads.await.unwrap();
    drop(two.server.take());
    assert_eq!(body(&follows.await.unwrap()), body(&one));
    assert_eq!(two.asked(), 1);
}

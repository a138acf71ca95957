//! Tests of who goes, who waits, and who is given an answer again.

use std::cell::Cell;

use bytes::Bytes;
use tokio::time::sleep;

use super::shelf::{KEPT_BYTES_EACH_MAX, KEPT_OF_CLIENT_MAX};
use super::*;
use crate::answer::Answer;
use crate::conversation::flight_of;
use crate::dialect::Heard;
use crate::ids::ClientId;

const SECOND: Duration = Duration::from_secs(1);

fn flight(client: &str, token: &str, form: &str) -> Flight {
    flight_of(ClientId::parse(client).unwrap(), token, form)
}

fn good(body: &str) -> Outcome {
    let answer = Answer::of_platform(Bytes::from(body.to_owned()));
    (Ok(Heard { answer, oddity: None }), Trail::default())
}

fn body((outcome, _): &Outcome) -> Result<String, Fault> {
    let heard = outcome.clone()?;
    Ok(String::from_utf8(heard.answer.body.to_vec()).unwrap())
}

/// Counts how often the bank was asked.
struct Bank {
    flights: Flights,
    asked: Cell<u32>,
}

impl Bank {
    fn new() -> Self {
        Self { flights: Flights::default(), asked: Cell::new(0) }
    }

    async fn ask(
        &self,
        flight: Flight,
        replay: Duration,
    ) -> (Result<String, Fault>, Option<Receipt>) {
        let exchange = async {
            self.asked.set(self.asked.get() + 1);
            sleep(SECOND).await;
            good(&format!("answer {}", self.asked.get()))
        };
        let (outcome, receipt) = self.flights.alone(flight, replay, exchange).await;
        (body(&outcome), receipt)
    }
}

#[tokio::test(start_paused = true)]
async fn who_asks_something_else_about_a_token_in_use_is_refused_and_nothing_is_sent() {
    let bank = Bank::new();
    let anna = || flight("C1", "rt-1", "username=anna&scope=read");
    let beat = || flight("C1", "rt-1", "username=beat&scope=read");
    let (first, (second, _), (third, _)) = tokio::join!(
        bank.ask(anna(), Duration::ZERO),
        bank.ask(beat(), Duration::ZERO),
        bank.ask(anna(), Duration::ZERO),
    );
    assert_eq!(first.0, Ok("answer 1".to_owned()));
    assert_eq!(second, Err(Fault::RefreshDiffers));
    assert_eq!(third, Ok("answer 1".to_owned()));
    // Nobody is known to have the answer yet: it is kept, for this question alone.
    assert_eq!(bank.ask(beat(), Duration::ZERO).await.0, Err(Fault::RefreshDiffers));
    assert_eq!(bank.asked.get(), 1);
    // Another client's flight is another one.
    assert_eq!(bank.ask(flight("C2", "rt-1", ""), Duration::ZERO).await.0, Ok("answer 2".into()));
}

#[tokio::test(start_paused = true)]
async fn an_answer_that_was_delivered_is_forgotten_and_one_that_was_not_is_given_again() {
    let bank = Bank::new();
    let ask = || bank.ask(flight("C1", "rt-1", "a=b"), Duration::ZERO);
    let (_, lost) = ask().await;
    drop(lost);
    let (again, receipt) = ask().await;
    assert_eq!(again, Ok("answer 1".to_owned()));
    receipt.unwrap().delivered();
    let (next, receipt) = ask().await;
    assert_eq!(next, Ok("answer 2".to_owned()), "it has arrived, so it is not kept");
    drop(receipt);
    tokio::time::advance(UNDELIVERED).await;
    assert_eq!(ask().await.0, Ok("answer 3".to_owned()), "nor for ever");
    assert_eq!(bank.flights.shelf().held().0, 1);
    tokio::time::advance(UNDELIVERED).await;
    bank.flights.sweep();
    assert_eq!(bank.flights.shelf().held(), (0, 0));
    assert!(bank.flights.0.flights.is_empty());
}

#[tokio::test(start_paused = true)]
async fn within_its_window_an_answer_is_given_again_though_it_was_delivered() {
    let bank = Bank::new();
    let ask = || bank.ask(flight("C1", "rt-1", "a=b"), 5 * SECOND);
    let (_, receipt) = ask().await;
    assert!(receipt.is_none(), "it is kept whether it arrives or not");
    tokio::time::advance(4 * SECOND).await;
    assert_eq!(ask().await.0, Ok("answer 1".to_owned()));
    tokio::time::advance(SECOND).await;
    assert_eq!(ask().await.0, Ok("answer 2".to_owned()));
}

#[tokio::test(start_paused = true)]
async fn one_client_takes_a_part_of_the_room_and_no_more() {
    let flights = Flights::default();
    let keep = async |client: &str, number: usize, bytes: usize| {
        let flight = flight(client, &format!("rt-{number}"), "a=b");
        let exchange = async { good(&"x".repeat(bytes)) };
        flights.alone(flight, Duration::ZERO, exchange).await.1.is_some()
    };
    for number in 0..KEPT_OF_CLIENT_MAX {
        assert!(keep("C1", number, 10).await);
    }
    assert!(!keep("C1", KEPT_OF_CLIENT_MAX, 10).await);
    assert!(keep("C2", 0, KEPT_BYTES_EACH_MAX).await);
    assert!(!keep("C2", 1, KEPT_BYTES_EACH_MAX + 1).await);
    assert_eq!(flights.shelf().held().0, KEPT_OF_CLIENT_MAX + 1);
    assert_eq!(flights.0.flights.len(), KEPT_OF_CLIENT_MAX + 1, "what is not kept is forgotten");
}

#[tokio::test(start_paused = true)]
async fn a_refusal_is_not_kept_and_a_leader_that_gives_up_leaves_nothing() {
    let flights = Flights::default();
    let of = || flight("C1", "rt-1", "a=b");
    let refused = async { (Err(Fault::ProviderFailed), Trail::default()) };
    let (outcome, _) = flights.alone(of(), 5 * SECOND, refused).await;
    assert_eq!(body(&outcome), Err(Fault::ProviderFailed));
    assert!(flights.0.flights.is_empty());
    let never = flights.alone(of(), Duration::ZERO, std::future::pending());
    assert!(tokio::time::timeout(SECOND, never).await.is_err());
    assert!(flights.0.flights.is_empty());
}

/// An answer of a refresh that is about to go out.
async fn owed(bank: &Bank, owed: &Owed, token: &str) {
    let (_, receipt) = bank.ask(flight("C1", token, "a=b"), Duration::ZERO).await;
    owed.push(receipt.unwrap());
}

#[tokio::test(start_paused = true)]
async fn over_http_2_an_answer_is_delivered_once_every_stream_before_it_has_ended() {
    let (bank, owes) = (Bank::new(), Owed::default());
    let kept = || bank.flights.shelf().held().0;
    owes.set_newest(3);
    owed(&bank, &owes, "rt-1").await;
    owes.set_newest(7);
    owed(&bank, &owes, "rt-2").await;
    // Its stream may be any up to the newest of then: 1 and 5 are open.
    owes.settle_before(1);
    assert_eq!(kept(), 2);
    owes.settle_before(5);
    assert_eq!(kept(), 1);
    owes.settle_before(u32::MAX);
    assert!(kept() == 0 && owes.is_empty());
}

#[tokio::test(start_paused = true)]
async fn over_http_2_an_answer_whose_stream_may_have_been_reset_is_kept() {
    let (bank, owes) = (Bank::new(), Owed::default());
    owes.set_newest(3);
    owed(&bank, &owes, "rt-1").await;
    owes.set_newest(5);
    owed(&bank, &owes, "rt-2").await;
    owes.note_reset(5);
    owes.settle();
    assert_eq!(bank.flights.shelf().held().0, 1, "the first is not the one of stream 5");
    let again = bank.ask(flight("C1", "rt-2", "a=b"), Duration::ZERO).await.0;
    assert_eq!((again, bank.asked.get()), (Ok("answer 2".to_owned()), 2));
}

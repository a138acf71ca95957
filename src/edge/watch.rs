//! A connection's deadlines, and the one timer that keeps them.
//!
//! This file decides how long a connection may take over what. It must not know what its bytes
//! mean, or how it is ended.

use std::future::{Future as _, poll_fn};
use std::pin::{Pin, pin};
use std::task::{Context, Poll};
use std::time::Duration;

use tokio::time::{Instant, Sleep, sleep_until};

use super::cut::Cut;
use super::gateway::Link;
use super::progress::Phase;
use crate::deadline::later;
use crate::routes::EdgeLimits;

/// How long a connection whose client is out may take to say goodbye.
pub(super) const PARTING: Duration = Duration::from_millis(300);

/// What a connection is told about its end.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Goodbye {
    /// The gateway leaves: what comes is still served.
    Soon,
    /// It takes nothing new.
    Now,
}

/// How a connection came to its end.
pub(super) enum End {
    /// The library is done with it, or the guard refused a head.
    Closed,
    /// A head began and did not end in time.
    HeadLate,
    /// Nothing more to say.
    Cut,
    /// It is idle, and may be so for a while.
    Resting,
}

/// A connection's deadlines, by what it waits for.
pub(super) struct Watch {
    /// After so long without a request, [`End::Resting`].
    rest: Option<Duration>,
    idle: Duration,
    head: Duration,
    answer: Duration,
    age_max: Duration,
    /// How long it may be quiet once the gateway leaves.
    quiet: Duration,
    /// Since when the gateway leaves.
    leaving: Option<Instant>,
    /// How long a peer is listened to once it was told of the end; nothing where there is no word
    /// for that between two requests.
    parting: Duration,
    /// Until when one that was told while it was idle is listened to.
    parted: Option<Instant>,
}

impl Watch {
    pub(super) fn new(link: &Link, limits: &EdgeLimits) -> Self {
        Self {
            rest: None,
            idle: limits.idle_timeout,
            head: limits.head_timeout,
            answer: limits.answer_timeout,
            age_max: limits.connection_age_max,
            quiet: link.worker.hub.snapshot.load().table.gateway.drain_quiet,
            leaving: None,
            parting: Duration::ZERO,
            parted: None,
        }
    }

    /// When the current wait has to be over.
    fn deadline(&self, link: &Link) -> (Phase, Instant) {
        let (phase, since) = link.progress.phase();
        match phase {
            // Whoever is out had its time; only what is under way is waited for.
            Phase::Idle | Phase::Head if link.stay.is_over() => (Phase::Idle, Instant::now()),
            Phase::Busy if link.stay.is_over() || self.parted.is_some() => {
                (phase, Instant::now() + PARTING)
            }
            Phase::Idle => {
                let end = self.parted.unwrap_or_else(|| self.idle_end(link));
                let rest = self.rest.filter(|_| self.leaving.is_none());
                (phase, rest.map_or(end, |rest| end.min(later(since, rest))))
            }
            Phase::Head => (phase, later(since, self.head)),
            // The exchange has deadlines of its own; look again when it may be over, or when the
            // connection is to take no other one.
            Phase::Busy => {
                let (now, old) = (Instant::now(), later(link.opened, self.age_max));
                let next = later(now, self.idle);
                (phase, if old > now { next.min(old) } else { next })
            }
        }
    }
}

impl Watch {
    /// The same, but a connection rests after so long.
    pub(super) fn and_rest(self, after: Duration) -> Self {
        Self { rest: Some(after), ..self }
    }

    /// The same, but a peer can be told of the end, and is listened to for so long.
    pub(super) fn and_part(self, parting: Duration) -> Self {
        Self { parting, ..self }
    }

    /// When a connection that stays idle ends.
    pub(super) fn idle_end(&self, link: &Link) -> Instant {
        let (_, since) = link.progress.phase();
        // Whoever can't be told is not cut off between two requests that follow each other closely:
        // the next answer announces the close.
        let lull = if self.parting.is_zero() { self.quiet } else { Duration::ZERO };
        // Whoever has shown no certificate and never asked has the time of a head, not more.
        let stranger = link.peer.fingerprint.is_none() && !link.progress.has_asked();
        let idle = if stranger { self.idle.min(self.head) } else { self.idle };
        let end = later(since, idle).min(later(link.opened, self.age_max).max(later(since, lull)));
        let quiet = self.leaving.map(|leaving| later(leaving.max(since), self.quiet));
        quiet.map_or(end, |quiet| end.min(quiet))
    }

    /// Whether the peer is still to be told that this idle connection ends. Who is out was told
    /// then, and so was everybody when the gateway began to leave.
    fn begins_to_part(&mut self, link: &Link) -> bool {
        let told = self.leaving.is_some() || self.parted.is_some() || link.stay.is_over();
        if told || self.parting.is_zero() {
            return false;
        }
        self.parted = Some(later(Instant::now(), self.parting));
        true
    }

    /// Whether an idle connection whose time is up may go on without the library.
    fn may_rest(&self, link: &Link) -> bool {
        self.rest.is_some() && !link.stay.is_over() && Instant::now() < self.idle_end(link)
    }
}

/// Polls a connection to its end, with one timer that is only touched when it fires or when a head
/// comes in pieces: a request that arrives whole costs no timer.
pub(super) async fn drive(
    link: &Link,
    watch: &mut Watch,
    mut poll_connection: impl FnMut(&mut Context<'_>, Option<Goodbye>) -> Poll<()>,
) -> End {
    let mut timer = pin!(sleep_until(watch.deadline(link).1));
    let mut leaving = pin!(link.worker.hub.leaving());
    let (mut heard, mut over) = (false, false);
    let mut untaken_since = None;
    let end = poll_fn(|cx| {
        if !heard {
            heard = true;
            link.stay.wake(cx.waker());
        }
        let out = !over && link.stay.is_over();
        if out {
            over = true;
            timer.as_mut().reset(Instant::now() + PARTING);
        }
        let leaves = watch.leaving.is_none() && leaving.as_mut().poll(cx).is_ready();
        if leaves {
            watch.leaving = Some(Instant::now());
        }
        let goodbye = if out { Some(Goodbye::Now) } else { leaves.then_some(Goodbye::Soon) };
        if poll_connection(cx, goodbye).is_ready() {
            return Poll::Ready(End::Closed);
        }
        if link.progress.take_hurry() || leaves {
            timer.as_mut().reset(watch.deadline(link).1);
        }
        let ended = link.progress.take_end();
        match (link.progress.is_untaken(), untaken_since) {
            // Answers are taken, if not all at once. A stream that only drips ends none, though a
            // neighbour that ends may shield it; one that is out has no such grace.
            (true, Some(_)) if ended && !over => untaken_since = Some(Instant::now()),
            (true, None) => {
                let now = Instant::now();
                untaken_since = Some(now);
                let soonest = timer.deadline().min(later(now, watch.answer));
                timer.as_mut().reset(soonest);
            }
            (false, Some(_)) => {
                untaken_since = None;
                // What waited for this may be over by now.
                let soonest = timer.deadline().min(Instant::now() + PARTING);
                timer.as_mut().reset(soonest);
            }
            (true, Some(_)) | (false, None) => {}
        }
        let taken_by = untaken_since.map(|since| later(since, watch.answer));
        if taken_by.is_some_and(|taken_by| taken_by <= Instant::now()) {
            link.progress.cut(Cut::Untaken);
            return Poll::Ready(End::Cut);
        }
        look_at_timer(link, watch, taken_by, timer.as_mut(), cx, &mut poll_connection)
    })
    .await;
    if let Some(cut) = link.progress.take_cut() {
        link.worker.meters().count_cut(cut.as_str());
    }
    end
}

fn look_at_timer(
    link: &Link,
    watch: &mut Watch,
    taken_by: Option<Instant>,
    mut timer: Pin<&mut Sleep>,
    cx: &mut Context<'_>,
    poll_connection: &mut impl FnMut(&mut Context<'_>, Option<Goodbye>) -> Poll<()>,
) -> Poll<End> {
    while timer.as_mut().poll(cx).is_ready() {
        let (phase, deadline) = match (watch.deadline(link), taken_by) {
            // What still has an answer to take is not idle, also where its client is out.
            ((Phase::Idle, _), Some(taken_by)) => (Phase::Idle, taken_by),
            (deadline, _) => deadline,
        };
        if phase == Phase::Busy
            && Instant::now() >= later(link.opened, watch.age_max)
            && poll_connection(cx, Some(Goodbye::Now)).is_ready()
        {
            // It takes nothing new: HTTP/2 could carry a next stream before the last one ends.
            return Poll::Ready(End::Closed);
        }
        if deadline > Instant::now() {
            timer.as_mut().reset(taken_by.map_or(deadline, |taken_by| taken_by.min(deadline)));
            continue;
        }
        if phase == Phase::Idle && taken_by.is_none() && watch.may_rest(link) {
            return Poll::Ready(End::Resting);
        }
        if phase == Phase::Idle && watch.begins_to_part(link) {
            // Streams may be on their way: the library ends when the peer has heard of it.
            if poll_connection(cx, Some(Goodbye::Now)).is_ready() {
                return Poll::Ready(End::Closed);
            }
            timer.as_mut().reset(watch.deadline(link).1);
            continue;
        }
        return match phase {
            Phase::Head if link.progress.owes() => Poll::Ready(End::Cut),
            Phase::Head => Poll::Ready(End::HeadLate),
            Phase::Idle | Phase::Busy => {
                // Between two requests there is nothing to lose: say goodbye properly.
                let _ = poll_connection(cx, Some(Goodbye::Now));
                Poll::Ready(if phase == Phase::Idle { End::Closed } else { End::Cut })
            }
        };
    }
    Poll::Pending
}

//! Dials under way to a bank that is spoken to in HTTP/2: one for each address, whoever waits.
//!
//! This file decides that calls which come while a connection is being made wait for that one, and
//! share its failure. It must not know how a connection is made.

use std::cell::{Cell, RefCell};
use std::rc::Rc;

use tokio::sync::Notify;

use crate::fault::Fault;

/// Those under way, by address.
#[derive(Debug, Default)]
pub(super) struct Dials(RefCell<Vec<(usize, Rc<Dial>)>>);

/// One of them.
#[derive(Debug, Default)]
pub(super) struct Dial {
    is_over: Cell<bool>,
    failed: RefCell<Option<Fault>>,
    ended: Notify,
}

/// Held by whoever dials; its end is told also when it is dropped with its call.
pub(super) struct DialGuard {
    dials: Rc<Dials>,
    dial: Rc<Dial>,
}

impl Dials {
    /// The one that is under way to an address.
    pub(super) fn under_way(&self, endpoint: usize) -> Option<Rc<Dial>> {
        let dials = self.0.borrow();
        dials.iter().find(|(to, _)| *to == endpoint).map(|(_, dial)| dial.clone())
    }

    /// Begins one.
    pub(super) fn begin(self: &Rc<Self>, endpoint: usize) -> DialGuard {
        let dial = Rc::<Dial>::default();
        self.0.borrow_mut().push((endpoint, dial.clone()));
        DialGuard { dials: self.clone(), dial }
    }
}

impl Dial {
    /// Waits for its end: the fault, where it failed.
    pub(super) async fn end(&self) -> Option<Fault> {
        let mut ended = std::pin::pin!(self.ended.notified());
        // From here on the end is not missed.
        ended.as_mut().enable();
        if !self.is_over.get() {
            ended.await;
        }
        self.failed.borrow().clone()
    }
}

impl DialGuard {
    /// It failed.
    pub(super) fn fail(self, fault: Fault) {
        *self.dial.failed.borrow_mut() = Some(fault);
    }
}

impl Drop for DialGuard {
    fn drop(&mut self) {
        self.dial.is_over.set(true);
        self.dials.0.borrow_mut().retain(|(_, dial)| !Rc::ptr_eq(dial, &self.dial));
        self.dial.ended.notify_waiters();
    }
}

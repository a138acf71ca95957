//! Reloads: the table and every file that it names, taken up while the gateway runs.
//!
//! One thread makes them, one at a time: because somebody asked (the admin listener, SIGHUP), or
//! because a file changed, or because a certificate that was not yet good has come to be. Who asks
//! while one is under way gets the next one, together with all others who asked meanwhile. This
//! file decides when a reload is made. It must not know what is in a table.

mod hangup;
mod report;
mod stage;
mod watch;

pub(super) use self::hangup::reload_on_hangup;
pub(super) use self::report::{Aside, Outcome, Report};
pub(super) use self::stage::set_aside;
use self::stage::{Refused, stage};
use self::watch::{Recorder, Restless, Watcher};

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::mpsc::{Receiver, RecvTimeoutError, SyncSender, TrySendError, sync_channel};
use std::thread::JoinHandle;
use std::time::Duration;

use tokio::sync::oneshot;

use super::hub::Hub;
use super::last_good::Keeper;
use super::standing::Now;
use super::{now, unix_now};
use crate::deadline::later;
use crate::routes::Watch;
use crate::snapshot::Snapshot;

/// Most requests that wait at once.
const WAITING_MAX: usize = 64;
/// How long a reload under way may hold up the end.
const STOP_PATIENCE: Duration = Duration::from_secs(2);
/// How often it looks whether a table that served is still in use.
const RETIRING: Duration = Duration::from_secs(1);
/// How much longer than a reload that a file caused nothing is looked at: who changes a file all
/// the time has a part of a processor, whatever the table's size.
const REST_TIMES: u32 = 4;
/// The longest such rest.
const REST_MAX: Duration = Duration::from_secs(30);
/// How long the thread sleeps where no files are watched.
const UNWATCHED: Duration = Duration::from_secs(3_600);

/// What is asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Task {
    /// Take up what has changed.
    Reload,
    /// Only say what that would be.
    Plan,
}

/// Who asks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Cause {
    /// The admin listener.
    Admin,
    /// SIGHUP.
    Signal,
    /// A file changed.
    File,
}

impl Cause {
    const fn as_str(self) -> &'static str {
        match self {
            Self::Admin => "admin",
            Self::Signal => "signal",
            Self::File => "file",
        }
    }
}

#[derive(Debug)]
enum Message {
    Work { task: Task, cause: Cause, reply: oneshot::Sender<Arc<Report>> },
    Stop,
}

/// Where reloads are asked for.
#[derive(Debug, Clone)]
pub(super) struct Reloader {
    sender: SyncSender<Message>,
    /// The operator's file, as the process was started with it.
    pub(super) config: Arc<Path>,
}

/// The thread that makes reloads.
#[derive(Debug)]
pub(super) struct ReloadThread {
    sender: SyncSender<Message>,
    thread: JoinHandle<()>,
}

/// Why a reload was not even begun.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Unasked {
    /// Too many wait already.
    Busy,
    /// The gateway is leaving.
    Leaving,
}

impl Reloader {
    /// Asks for a task. The answer comes when it is done.
    ///
    /// # Errors
    /// [`Unasked`] when it will not be done.
    pub(super) fn ask(
        &self,
        task: Task,
        cause: Cause,
    ) -> Result<oneshot::Receiver<Arc<Report>>, Unasked> {
        let (reply, answer) = oneshot::channel();
        match self.sender.try_send(Message::Work { task, cause, reply }) {
            Ok(()) => Ok(answer),
            Err(TrySendError::Full(_)) => Err(Unasked::Busy),
            Err(TrySendError::Disconnected(_)) => Err(Unasked::Leaving),
        }
    }
}

impl ReloadThread {
    /// Lets it end: at once, unless it is in the middle of a reload.
    pub(super) fn stop(self) {
        let end = now() + STOP_PATIENCE;
        while !self.thread.is_finished() && now() < end {
            let _ = self.sender.try_send(Message::Stop);
            std::thread::sleep(Duration::from_millis(1));
        }
        if !self.thread.is_finished() {
            // A file system that hangs must not hold up the end.
            tracing::error!("a reload is still under way; it is left behind");
        } else if self.thread.join().is_err() {
            tracing::error!("the reload thread panicked");
        }
    }
}

/// Starts the thread, and makes the hub's reloads its work.
///
/// # Errors
/// The thread can't be made.
pub(super) fn spawn(hub: Arc<Hub>, config: &Path, texts: Texts) -> std::io::Result<ReloadThread> {
    let (sender, messages) = sync_channel(WAITING_MAX);
    // Whoever asks may stand in another directory.
    let shown = std::path::absolute(config).unwrap_or_else(|_| config.to_owned());
    let reloader = Reloader { sender: sender.clone(), config: shown.into() };
    let _ = hub.reloader.set(reloader);
    let config = config.to_owned();
    let thread = std::thread::Builder::new().name("reload".to_owned()).spawn(move || {
        let (watcher, retired, keeper) = Default::default();
        let mut desk = Desk { watcher, hub, config, retired, again_at: None, keeper };
        desk.keep(texts);
        desk.run(&messages);
    })?;
    Ok(ReloadThread { sender, thread })
}

/// What is to be kept of the included files that are served.
#[derive(Debug, Default)]
pub(super) struct Texts {
    /// Those that are right, with their texts.
    pub(super) good: Vec<(Arc<Path>, String)>,
    /// All of them.
    pub(super) included: Vec<Arc<Path>>,
}

struct Desk {
    hub: Arc<Hub>,
    config: PathBuf,
    watcher: Watcher,
    /// Tables that served. The last to hold one takes it apart, which takes long for a large one:
    /// that is to be this thread, and not a worker.
    retired: Vec<Arc<Snapshot>>,
    /// When something that was refused as not yet good comes to be, in Unix seconds: no file will
    /// change then.
    again_at: Option<i64>,
    keeper: Keeper,
}

/// What is left to do after a task.
struct Done {
    report: Report,
    /// Whether the files could be read as far as they have to.
    read: bool,
    again_at: Option<i64>,
    /// What served before.
    retired: Option<Arc<Snapshot>>,
    /// Of what serves now; nothing after a plan.
    texts: Option<Texts>,
}

impl Desk {
    fn run(mut self, messages: &Receiver<Message>) {
        // What the process was started with is looked at once more: a file may have changed
        // since, and which files there are is not known yet.
        let mut next_look = now();
        let mut not_before = next_look;
        loop {
            self.retired.retain(|snapshot| Arc::strong_count(snapshot) > 1);
            let rest = if self.retired.is_empty() { UNWATCHED } else { RETIRING };
            let watch = self.hub.snapshot.load().table.gateway.watch;
            let wait = match watch {
                Watch::Off => rest,
                Watch::Every(interval) => {
                    // The interval may be another since the last look.
                    next_look = next_look.min(later(now(), interval)).max(not_before);
                    rest.min(next_look.saturating_duration_since(now()))
                }
            };
            match messages.recv_timeout(wait) {
                Ok(Message::Stop) | Err(RecvTimeoutError::Disconnected) => return,
                Ok(Message::Work { task, cause, reply }) => {
                    if !self.serve(messages, task, cause, reply) {
                        return;
                    }
                }
                Err(RecvTimeoutError::Timeout) => {
                    let Watch::Every(interval) = watch else { continue };
                    if now() < next_look {
                        continue;
                    }
                    let has_come = self.again_at.is_some_and(|at| unix_now() >= at);
                    let changed = self.watcher.look(now(), &self.config);
                    if let Some(restless) = changed.or_else(|| has_come.then(Restless::default)) {
                        let began = now();
                        self.work(Task::Reload, Cause::File, restless);
                        not_before = later(now(), rest_after(now().duration_since(began)));
                    }
                    next_look = later(now(), interval);
                }
            }
        }
    }

    /// Does a task for all who wait for it. `false` when it is time to end.
    fn serve(
        &mut self,
        messages: &Receiver<Message>,
        task: Task,
        cause: Cause,
        reply: oneshot::Sender<Arc<Report>>,
    ) -> bool {
        let (mut reloads, mut plans) = (Vec::new(), Vec::new());
        let mut causes = cause;
        let mut sort = |task, cause, reply| match task {
            Task::Reload => {
                causes = cause;
                reloads.push(reply);
            }
            Task::Plan => plans.push(reply),
        };
        sort(task, cause, reply);
        let mut goes_on = true;
        while let Ok(message) = messages.try_recv() {
            match message {
                Message::Work { task, cause, reply } => sort(task, cause, reply),
                Message::Stop => goes_on = false,
            }
        }
        for (task, replies) in [(Task::Reload, reloads), (Task::Plan, plans)] {
            if replies.is_empty() || !goes_on {
                continue;
            }
            let report = Arc::new(self.work(task, causes, Restless::default()));
            for reply in replies {
                // Who does not wait any more finds it in the log.
                let _ = reply.send(report.clone());
            }
        }
        goes_on
    }

    fn keep(&mut self, Texts { good, included }: Texts) {
        let snapshot = self.hub.snapshot.load_full();
        self.keeper.keep(&snapshot.table.gateway, &good, &included);
    }

    fn work(&mut self, task: Task, cause: Cause, restless: Restless) -> Report {
        let recorder = Recorder::new(restless);
        let before = self.watcher.stamps();
        let done = guarded(|| make(&self.hub, &self.config, &recorder, task));
        let Done { report, read, again_at, retired, texts } = done.unwrap_or_else(|| {
            let problem = "the reload failed by a fault of the gateway's own; see its log";
            Done::refused(&self.hub, Refused::new(vec![problem.to_owned()]))
        });
        self.retired.extend(retired);
        // A process that leaves has a successor, or none: what is good is not its to say any more.
        if !self.hub.stage().is_leaving() {
            texts.into_iter().for_each(|texts| self.keep(texts));
        }
        let learns = self.watcher.is_new() && cause == Cause::File;
        if task == Task::Reload {
            // A plan leaves the watcher as it is: what it saw is still to be taken up.
            self.again_at = again_at;
            self.watcher.keep(recorder, (!read).then_some(before));
            if learns && !report.diff.takes_effect() && read {
                // It only found out which files there are.
                return report;
            }
            self.hub.standing.count_reload(report.outcome);
            if report.outcome == Outcome::Unchanged {
                let now = self.hub.standing.now();
                let good_at = unix_now();
                self.hub.standing.set_now(Now { good_at, ..Now::clone(&now) });
            }
            report.log(cause.as_str());
        }
        report
    }
}

fn rest_after(spent: Duration) -> Duration {
    spent.saturating_mul(REST_TIMES).min(REST_MAX)
}

impl Done {
    fn refused(hub: &Hub, Refused { problems, again_at }: Refused) -> Self {
        let report = Report::refused(hub, problems);
        Self { report, read: false, again_at, retired: None, texts: None }
    }
}

/// Does a task.
fn make(hub: &Hub, config: &Path, recorder: &Recorder, task: Task) -> Done {
    let mut staged = match stage(hub, config, recorder) {
        Ok(staged) => staged,
        Err(refused) => return Done::refused(hub, refused),
    };
    let (report, again_at) = (staged.report(hub), staged.again_at);
    if task == Task::Plan {
        return Done { report, read: true, again_at, retired: None, texts: None };
    }
    let texts = Some(std::mem::take(&mut staged.texts));
    let retired = staged.take_up(hub);
    hub.tokens.forget_ended();
    let report = Report { generation: hub.standing.generation(), ..report };
    Done { report, read: true, again_at, retired, texts }
}

/// Does something that may panic: one reload that does must not be the last one. Nothing where it
/// has; the process log has where it was.
fn guarded<T>(work: impl FnOnce() -> T) -> Option<T> {
    // What it was in the middle of is left as it is. A reload builds beside what serves, so that
    // this is nothing unless it panics within the swap itself.
    let done = catch_unwind(AssertUnwindSafe(work));
    if done.is_err() {
        tracing::error!("a reload panicked; what serves is served on");
    }
    done.ok()
}

#[cfg(test)]
mod tests;

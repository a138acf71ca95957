//! When a change counts, by a clock of the test's own.

use super::*;

const INTERVAL: Duration = Duration::from_secs(2);

/// A watcher of a folder, with the operator's file and a bank's.
struct Scene {
    folder: tempfile::TempDir,
    watcher: Watcher,
    now: Instant,
    touches: u32,
}

#[expect(clippy::disallowed_methods, reason = "a first instant has to come from somewhere")]
impl Scene {
    fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let watcher = Watcher::default();
        let mut scene = Self { folder, watcher, now: Instant::now(), touches: 0 };
        for name in ["routes.toml", "bank.toml", "other.toml"] {
            std::fs::write(scene.path(name), name).unwrap();
        }
        assert_eq!(scene.look(), Some(Restless::default()), "nothing is known yet");
        scene.reload(Restless::default());
        scene
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    fn look(&mut self) -> Option<Restless> {
        self.now += INTERVAL;
        let config = self.path("routes.toml");
        self.watcher.look(self.now, &config)
    }

    /// What a reload reads, and which files it could not.
    fn reload(&mut self, restless: Restless) -> Vec<&'static str> {
        let recorder = Recorder::new(restless);
        recorder.read(&self.path("routes.toml"), 100).unwrap();
        let included = ["bank.toml", "other.toml"];
        let left_out = included
            .into_iter()
            .filter(|name| recorder.read_included(&self.path(name), 100).is_err())
            .collect();
        self.watcher.keep(recorder, None);
        left_out
    }

    /// Another date, the same text.
    fn touch(&mut self, name: &str) {
        self.touches += 1;
        let date = std::time::UNIX_EPOCH + Duration::from_secs(1_000 + u64::from(self.touches));
        let file = std::fs::File::options().write(true).open(self.path(name)).unwrap();
        file.set_modified(date).unwrap();
    }

    /// Another date and another text.
    fn write(&mut self, name: &str) {
        std::fs::write(self.path(name), format!("{}", self.touches)).unwrap();
        self.touch(name);
    }

    /// Looks until something is to be taken up, `meanwhile` before each look, and says how long
    /// that took.
    fn until_due(&mut self, mut meanwhile: impl FnMut(&mut Self)) -> (Duration, Restless) {
        let began = self.now;
        for _ in 0..20 {
            meanwhile(self);
            if let Some(restless) = self.look() {
                return (self.now - began, restless);
            }
        }
        panic!("it is never taken up");
    }
}

#[test]
fn a_file_that_is_touched_all_the_time_keeps_no_change_away() {
    let mut scene = Scene::new();
    scene.write("routes.toml");
    let (waited, restless) = scene.until_due(|scene| scene.touch("bank.toml"));
    assert!(waited <= INTERVAL * 2, "{waited:?}");
    assert_eq!(scene.reload(restless), Vec::<&str>::new(), "its text stands still");
    scene.write("routes.toml");
    let (waited, restless) = scene.until_due(|scene| scene.touch("bank.toml"));
    assert!(waited <= INTERVAL * 2, "{waited:?}");
    assert_eq!(scene.reload(restless), Vec::<&str>::new(), "its text is the same");
    // Only dates change: there is nothing to take up, however often.
    for _ in 0..10 {
        scene.touch("bank.toml");
        assert_eq!(scene.look(), None);
    }
}

#[test]
fn a_banks_file_that_is_written_all_the_time_is_left_out_until_it_stands_still() {
    let mut scene = Scene::new();
    scene.write("other.toml");
    let (waited, restless) = scene.until_due(|scene| scene.write("bank.toml"));
    assert!(waited <= INTERVAL * 2 + WAIT_MAX, "{waited:?}");
    assert_eq!(scene.reload(restless), ["bank.toml"]);
    // What stands still now is read, though it has not changed since that reload.
    let (waited, restless) = scene.until_due(|_| {});
    assert!(waited <= INTERVAL * 2, "{waited:?}");
    assert_eq!(scene.reload(restless), Vec::<&str>::new());
    assert_eq!((scene.look(), scene.look()), (None, None));
}

#[test]
fn files_that_take_turns_have_no_more_time_than_one() {
    let mut scene = Scene::new();
    scene.write("routes.toml");
    let mut turn = 0;
    let (waited, restless) = scene.until_due(|scene| {
        turn += 1;
        scene.write(if turn % 4 < 2 { "bank.toml" } else { "other.toml" });
    });
    assert!(waited <= INTERVAL * 3 + WAIT_MAX, "{waited:?}");
    assert_eq!(scene.reload(restless).len(), 1);
}

#[test]
fn the_operators_own_file_is_not_read_while_it_is_written() {
    let mut scene = Scene::new();
    scene.write("bank.toml");
    for _ in 0..20 {
        scene.write("routes.toml");
        assert_eq!(scene.look(), None);
    }
    scene.until_due(|_| {});
    // Its dates alone hold nothing up.
    scene.reload(Restless::default());
    scene.write("bank.toml");
    let (waited, _) = scene.until_due(|scene| scene.touch("routes.toml"));
    assert!(waited <= INTERVAL * 3 + WAIT_MAX, "{waited:?}");
}

#[test]
fn a_change_counts_once_it_stands_still() {
    let folder = tempfile::tempdir().unwrap();
    let (file, link) = (folder.path().join("a"), folder.path().join("link"));
    std::fs::write(&file, "one").unwrap();
    std::os::unix::fs::symlink(&file, &link).unwrap();
    let mut scene = Scene::new();
    scene.watcher = Watcher::default();
    let read = |scene: &mut Scene| {
        let recorder = Recorder::default();
        recorder.read(&link, 100).unwrap();
        recorder.list(folder.path()).unwrap();
        scene.watcher.keep(recorder, None);
    };
    assert!(scene.look().is_some(), "nothing is known yet");
    read(&mut scene);
    assert!(scene.look().is_none());

    // Another file behind the same name, as a mounted secret changes.
    let other = tempfile::tempdir().unwrap();
    std::fs::write(other.path().join("b"), "two").unwrap();
    std::os::unix::fs::symlink(other.path().join("b"), folder.path().join("new")).unwrap();
    std::fs::rename(folder.path().join("new"), &link).unwrap();
    assert!(scene.look().is_none(), "it has not stood still");
    assert!(scene.look().is_some());
    read(&mut scene);
    assert!(scene.look().is_none());

    // One that is gone, and one that is new.
    std::fs::remove_file(other.path().join("b")).unwrap();
    assert!(scene.look().is_none());
    std::fs::write(folder.path().join("c"), "three").unwrap();
    assert!(scene.look().is_none(), "another one changed");
    assert!(scene.look().is_some());
}

#[test]
fn a_pipe_is_not_waited_for() {
    let folder = tempfile::tempdir().unwrap();
    let pipe = folder.path().join("pipe");
    let made = std::process::Command::new("mkfifo").arg(&pipe).status().unwrap();
    assert!(made.success());
    let error = Recorder::default().read(&pipe, 100).unwrap_err();
    assert_eq!(error.to_string(), "is no regular file");
}

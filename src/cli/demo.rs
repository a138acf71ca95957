//! `corgate demo`: a consent, its refusals and its failures, played against a gateway and
//! simulated banks in this process.
//!
//! This file decides in which order that happens. It must not know the story: that is data, in
//! `story`.

mod expect;
mod foreign;
mod play;
mod print;
mod routes;
mod step;
mod story;
mod world;

use std::io::Write;
use std::path::PathBuf;

use self::world::World;
use super::{Failure, Verdict};

/// How the demo is played.
#[derive(Debug, clap::Args)]
pub struct DemoArgs {
    /// End after the story; exit code 0 only if every answer was as expected
    #[arg(long)]
    once: bool,
    /// Where to write routes.toml and the certificates, and leave them; else a temporary folder
    #[arg(long, value_name = "DIR")]
    dir: Option<PathBuf>,
    /// The gateway's port; the admin listener takes the next one. 0 takes free ones
    #[arg(long, value_name = "PORT", default_value_t = 0)]
    port: u16,
}

/// Plays the demo.
pub(super) fn run(args: &DemoArgs, out: &mut dyn Write) -> Result<Verdict, Failure> {
    // Dropping it removes the folder.
    let temporary = match args.dir {
        Some(_) => None,
        None => Some(tempfile::Builder::new().prefix("corgate-demo-").tempdir()?),
    };
    let folder = args.dir.as_deref().or(temporary.as_ref().map(tempfile::TempDir::path));
    let folder = folder.ok_or_else(|| Failure::new("no folder for the demo"))?;
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let world = World::start(folder, args.port)?;
    // An interrupted story still ends here, so that a temporary folder goes, keys and all.
    let played = runtime.block_on(async {
        tokio::select! {
            played = play::play(&world, story::STORY, out) => played,
            _ = tokio::signal::ctrl_c() => Err(Failure::new("interrupted")),
        }
    });
    if played.is_ok() && !args.once {
        print::invitation(out, &world)?;
        runtime.block_on(tokio::signal::ctrl_c())?;
    }
    // The callers' connections are the runtime's: without them there is nothing to drain.
    drop(runtime);
    world.stop();
    played
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_step_goes_as_expected_and_prints_the_same_each_time() {
        let mut transcripts = Vec::new();
        for _ in 0..2 {
            let args = DemoArgs { once: true, dir: None, port: 0 };
            let mut out = Vec::new();
            let verdict = run(&args, &mut out).unwrap();
            let transcript = String::from_utf8(out).unwrap();
            assert_eq!(verdict, Verdict::Good, "{transcript}");
            transcripts.push(transcript);
        }
        assert_eq!(transcripts[0], transcripts[1]);
    }
}

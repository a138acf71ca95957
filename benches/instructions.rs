//! Runs one scene so many times, for a tool that counts instructions from outside.
//!
//!     instructions --list        the names of the scenes
//!     instructions SCENE N       runs one N times
//!
//! `benches/instructions.sh` does the counting. Instructions don't depend on the machine's mood, so
//! they show a regression that times would hide.

#![expect(
    clippy::indexing_slicing,
    clippy::panic,
    clippy::print_stdout,
    clippy::unwrap_used,
    reason = "a bench that can't be set up has to stop"
)]

mod scenes;

// The binary's own allocator.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
    match arguments[..] {
        ["--list"] => scenes::ALL.iter().for_each(|scene| println!("{}", scene.name)),
        [name, times] if !name.starts_with('-') => {
            let Some(scene) = scenes::ALL.iter().find(|scene| scene.name == name) else {
                panic!("no scene `{name}`; try --list");
            };
            repeat(&mut (scene.set_up)(), times.parse().unwrap());
        }
        // `cargo bench` runs every bench, this one too, with arguments of its own.
        _ => println!("benches/instructions.sh counts instructions; see there"),
    }
}

/// What is counted. The tool finds it by its name, so it must not be inlined.
#[inline(never)]
fn repeat(work: &mut scenes::Work, times: u32) {
    for _ in 0..times {
        work();
    }
}

//! The `cloudybot` program.

use std::process::ExitCode;

/// The system's allocator costs a drained job a seventh of what the process adds to it.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

#[tokio::main]
async fn main() -> ExitCode {
    match cloudybot_whatsapp::program::run().await {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("cloudybot: {error:#}");
            ExitCode::FAILURE
        }
    }
}

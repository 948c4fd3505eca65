//! The `cloudybot` program.

use std::process::ExitCode;

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

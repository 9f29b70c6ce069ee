//! The `hubbub` command.

use std::io::Write as _;

use hubbub::{app::App, config::Config, lifecycle::CancellationToken};

#[tokio::main]
async fn main() -> anyhow::Result<()> {
    tracing_subscriber::fmt().with_writer(std::io::stderr).init();
    let mut config = Config::for_tests();
    config.public.listen = "127.0.0.1:8065".parse()?;
    config.internal.listen = "127.0.0.1:8067".parse()?;
    config.dialects.echo = true;
    let stop = CancellationToken::new();
    let app = App::start(config, stop.clone()).await?;
    write!(std::io::stdout(), "{}", app.banner())?;
    let running = app.run();
    tokio::pin!(running);
    tokio::select! {
        _ = tokio::signal::ctrl_c() => stop.cancel(),
        _ = &mut running => return Ok(()),
    }
    running.await;
    Ok(())
}

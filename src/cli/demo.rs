//! `portcullis demo`: the front door over an embedded gateway, and the curl
//! lines that show what it does.

mod lines;
mod setup;

use super::{COMMIT, EXIT_FAILURE, EXIT_USAGE, Verbosity, output};
use crate::config::Config;
use crate::confinement::Confinement;
use crate::secrets::env;
use crate::server::{self, Origin, Server, ServerError};
use crate::telemetry::logging::{self, AccessLog, Colour, LogFormat, Logging};
use clap::Args;
use output::Style;
use setup::{Setup, SetupError};
use std::net::{IpAddr, SocketAddr};
use std::process::ExitCode;
use std::sync::Arc;
use tokio::net::TcpListener;
use tokio::sync::watch;
use tracing::level_filters::LevelFilter;

/// Arguments of `demo`.
#[derive(Debug, Args)]
pub(super) struct Arguments {
    /// Where the front door listens: a loopback address. A second door, which lets
    /// no process of this host in, takes the next port, on this host's own address too
    #[arg(long, value_name = "ADDRESS", default_value = "127.0.0.1:8443")]
    listen: SocketAddr,
}

/// Why there is no demo.
#[derive(Debug, thiserror::Error)]
enum DemoError {
    #[error("--listen: got `{0}`, expected a loopback address: the demo trusts whoever connects")]
    NotLoopback(SocketAddr),
    #[error("can't prepare the demo")]
    Setup(#[from] SetupError),
    #[error("can't start the embedded gateway")]
    Gateway(#[source] std::io::Error),
    #[error(transparent)]
    Server(#[from] ServerError),
}

pub(super) fn run(arguments: &Arguments, verbosity: Verbosity) -> ExitCode {
    let level = match verbosity {
        Verbosity { verbose: 0, .. } => LevelFilter::WARN,
        Verbosity { verbose: 1, .. } => LevelFilter::INFO,
        _ => LevelFilter::DEBUG,
    };
    let logging = Logging {
        level,
        format: LogFormat::Text,
        access: if verbosity.quiet > 0 {
            AccessLog::Off
        } else {
            AccessLog::On
        },
        colour: Colour::for_stderr(std::env::var_os("NO_COLOR").as_deref()),
    };
    let outcome = logging::init(logging)
        .map_err(|error| super::chain(&error))
        .and_then(|flusher| {
            let runtime =
                server::runtime(server::workers()).map_err(|error| super::chain(&error))?;
            let outcome = runtime.block_on(serve(arguments.listen));
            drop(flusher);
            outcome.map_err(|error| super::chain(&error))
        });
    match outcome {
        Ok(()) => ExitCode::SUCCESS,
        Err(message) => {
            output::complain(format_args!("portcullis: {message}"));
            let is_usage = message.starts_with("--listen");
            ExitCode::from(if is_usage { EXIT_USAGE } else { EXIT_FAILURE })
        }
    }
}

async fn serve(listen: SocketAddr) -> Result<(), DemoError> {
    if !listen.ip().is_loopback() {
        return Err(DemoError::NotLoopback(listen));
    }
    let gateway = TcpListener::bind((listen.ip(), 0))
        .await
        .map_err(DemoError::Gateway)?;
    let upstream = gateway.local_addr().map_err(DemoError::Gateway)?;
    let (stop_gateway, gateway_stopped) = watch::channel(false);
    let gateway = tokio::spawn(crate::demo::serve(gateway, gateway_stopped));

    let setup = Setup::prepare(listen.ip())?;
    let trusting = Server::bind(origin(setup.trusting(listen, upstream)?)).await?;
    let front = trusting.front_addresses()[0];
    let strict = Server::bind(origin(setup.strict(front, upstream)?)).await?;
    let tour = lines::Tour {
        front,
        strict: strict.front_addresses(),
        admin: trusting.admin_address(),
        certificate: setup.certificate(),
    };
    let style = Style::for_stdout();
    // Whoever doesn't want to read it may close the pipe and keep the demo.
    let _ = output::raw(tour.render(style).as_bytes());

    let (trusted, strict) = tokio::join!(
        trusting.run(server::stop_signals()?),
        strict.run(server::stop_signals()?)
    );
    // The gateway is told last, so that what was under way could end.
    let _ = stop_gateway.send(true);
    let _ = gateway.await;
    trusted.and(strict).map_err(DemoError::from)
}

fn origin(config: Config) -> Origin {
    Origin {
        config,
        path: None,
        environment: &env::Process,
        confinement: Arc::new(Confinement::none()),
        commit: COMMIT,
    }
}

/// This host's first address that is not loopback, if it has one.
fn own_address() -> Option<IpAddr> {
    // Nothing is sent: connecting a datagram socket only asks for the route.
    let socket = std::net::UdpSocket::bind("0.0.0.0:0").ok()?;
    socket.connect("192.0.2.1:9").ok()?;
    let address = socket.local_addr().ok()?.ip();
    (!address.is_loopback() && !address.is_unspecified()).then_some(address)
}

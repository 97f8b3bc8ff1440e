//! The listener that the browser comes back to: one path, on loopback, while the login
//! is waited for.

use crate::html::Escaped;
use bytes::Bytes;
use http_body_util::Full;
use hyper::body::Incoming;
use hyper::header::{
    ALLOW, CACHE_CONTROL, CONTENT_SECURITY_POLICY, CONTENT_TYPE, HOST, HeaderValue,
    REFERRER_POLICY, X_CONTENT_TYPE_OPTIONS,
};
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper::{Method, Request, Response, StatusCode};
use hyper_util::rt::{TokioIo, TokioTimer};
use std::convert::Infallible;
use std::io;
use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr};
use std::time::Duration;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{mpsc, oneshot};
use tokio::task::JoinSet;
use tokio::time::sleep;
use zeroize::Zeroizing;

/// Larger than any redirect with its cookies, in bytes. `localhost` may have many.
const MAX_HEAD_BYTES: usize = 16 * 1024;
/// For a request's head.
const HEAD: Duration = Duration::from_secs(10);
/// After an accept that failed, which it may do again at once.
const PAUSE: Duration = Duration::from_millis(100);
/// As many browsers don't come.
const MAX_CONNECTIONS: usize = 32;

/// The listener.
pub(super) struct Callback {
    v4: TcpListener,
    v6: Option<TcpListener>,
    port: u16,
    connections: JoinSet<()>,
    visits: (mpsc::Sender<Visit>, mpsc::Receiver<Visit>),
}

/// A browser that came back, and waits for a page.
pub(super) struct Visit {
    query: Zeroizing<String>,
    ending: oneshot::Sender<Ending>,
}

/// What the page is to say.
pub(super) enum Ending {
    LoggedIn,
    /// Why not.
    Failed(String),
}

impl Callback {
    pub(super) const PATH: &'static str = "/auth/callback";

    /// Listens on loopback.
    pub(super) async fn bind(port: u16) -> io::Result<Self> {
        let v4 = TcpListener::bind(SocketAddr::from((Ipv4Addr::LOCALHOST, port))).await?;
        let v6 = match TcpListener::bind(SocketAddr::from((Ipv6Addr::LOCALHOST, port))).await {
            Ok(listener) => Some(listener),
            // `localhost` may lead the browser there, and the code to somebody else.
            Err(error) if error.kind() == io::ErrorKind::AddrInUse => return Err(error),
            Err(_) => None,
        };
        Ok(Self {
            v4,
            v6,
            port,
            connections: JoinSet::new(),
            visits: mpsc::channel(1),
        })
    }

    /// The next browser that comes back.
    pub(super) async fn next(&mut self) -> Visit {
        loop {
            let v6 = async {
                match &self.v6 {
                    Some(listener) => listener.accept().await,
                    None => std::future::pending().await,
                }
            };
            let accepted = tokio::select! {
                Some(visit) = self.visits.1.recv() => return visit,
                Some(_) = self.connections.join_next() => continue,
                accepted = self.v4.accept() => accepted,
                accepted = v6 => accepted,
            };
            match accepted {
                Ok((stream, _)) if self.connections.len() < MAX_CONNECTIONS => {
                    let (visits, port) = (self.visits.0.clone(), self.port);
                    self.connections.spawn(serve(stream, visits, port));
                }
                Ok(_) => {}
                Err(_) => sleep(PAUSE).await,
            }
        }
    }

    /// Waits until the browsers have their pages.
    pub(super) async fn finish(mut self) {
        // Whoever else came back is answered, too.
        self.visits.1.close();
        while let Some(visit) = self.visits.1.recv().await {
            drop(visit);
        }
        while self.connections.join_next().await.is_some() {}
    }
}

impl Visit {
    /// The query that it came with.
    pub(super) fn query(&self) -> &str {
        &self.query
    }

    /// Shows the last page.
    pub(super) fn end(self, ending: Ending) {
        // A browser that went away misses it.
        let _ = self.ending.send(ending);
    }
}

async fn serve(stream: TcpStream, visits: mpsc::Sender<Visit>, port: u16) {
    let service = service_fn(|request| {
        let visits = visits.clone();
        async move { Ok::<_, Infallible>(respond(request, visits, port).await) }
    });
    let connection = http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(HEAD)
        .keep_alive(false)
        .max_buf_size(MAX_HEAD_BYTES)
        .serve_connection(TokioIo::new(stream), service);
    // What a client does wrong is its own matter.
    let _ = connection.await;
}

async fn respond(
    request: Request<Incoming>,
    visits: mpsc::Sender<Visit>,
    port: u16,
) -> Response<Full<Bytes>> {
    // A name that somebody has pointed at loopback (DNS rebinding) is no way here.
    let host = request.headers().get(HOST).map(HeaderValue::as_bytes);
    if !host.is_some_and(|host| is_own(host, port)) {
        return page(StatusCode::FORBIDDEN, "Not here", "This is localhost.");
    }
    if request.uri().path() != Callback::PATH {
        return page(StatusCode::NOT_FOUND, "Not found", "There is nothing here.");
    }
    if request.method() != Method::GET {
        let words = "This path takes GET alone.";
        let mut answer = page(StatusCode::METHOD_NOT_ALLOWED, "Not allowed", words);
        answer
            .headers_mut()
            .insert(ALLOW, HeaderValue::from_static("GET"));
        return answer;
    }
    let query = request.uri().query().unwrap_or_default();
    let (ending, ended) = oneshot::channel();
    let visit = Visit {
        query: Zeroizing::new(query.to_owned()),
        ending,
    };
    let ended = match visits.send(visit).await {
        Ok(()) => ended.await.ok(),
        Err(_) => None,
    };
    match ended {
        Some(Ending::LoggedIn) => page(
            StatusCode::OK,
            "Logged in",
            "Portcullis has the login. You can close this page.",
        ),
        Some(Ending::Failed(why)) => page(StatusCode::BAD_REQUEST, "Not logged in", &why),
        None => page(
            StatusCode::GONE,
            "Not logged in",
            "The login is over already.",
        ),
    }
}

fn is_own(host: &[u8], port: u16) -> bool {
    ["localhost", "127.0.0.1", "[::1]"]
        .into_iter()
        .any(|name| host == format!("{name}:{port}").as_bytes())
}

fn page(status: StatusCode, title: &str, words: &str) -> Response<Full<Bytes>> {
    let (title, words) = (Escaped(title), Escaped(words));
    let text = format!(
        "<!doctype html>\n<html lang=\"en\">\n<meta charset=\"utf-8\">\n\
         <meta name=\"viewport\" content=\"width=device-width\">\n\
         <meta name=\"color-scheme\" content=\"light dark\">\n<title>{title}</title>\n\
         <style>body{{font:1rem/1.5 system-ui,sans-serif;max-width:36rem;margin:15vh auto;\
         padding:0 1.5rem}}</style>\n<h1>{title}</h1>\n<p>{words}</p>\n</html>\n"
    );
    let mut answer = Response::new(Full::new(Bytes::from(text)));
    *answer.status_mut() = status;
    let headers = answer.headers_mut();
    for (name, value) in [
        (CONTENT_TYPE, "text/html; charset=utf-8"),
        (CACHE_CONTROL, "no-store"),
        (X_CONTENT_TYPE_OPTIONS, "nosniff"),
        // The page's own address holds the code.
        (REFERRER_POLICY, "no-referrer"),
        (
            CONTENT_SECURITY_POLICY,
            "default-src 'none'; style-src 'unsafe-inline'; frame-ancestors 'none'",
        ),
    ] {
        headers.insert(name, HeaderValue::from_static(value));
    }
    answer
}

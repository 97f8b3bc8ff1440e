//! The back door: model calls leave with a credential that the caller never holds.
//!
//! **Why hyper.** A call is read whole, so that it can be sent again with another
//! credential; its answer is judged before a byte of it goes out, and then passes as it
//! comes. Pingora's `ProxyHttp` keeps 64 KiB of a request for a retry, and its client
//! connector speaks to one peer at a time without any of what a client needs. hyper's
//! server and pooling client do just this, the admin listener uses them already, and
//! what a model call costs is the model.

mod answer;
mod attempt;
mod caller;
mod candidates;
mod events;
mod keeper;
mod model_name;
mod outgoing;
mod problem;
mod profiles;
mod rate_limit;
mod record;
mod refresher;
mod request_body;
mod route;
mod usage;

use crate::config::{ByteSize, Config};
use crate::credentials::ProfileId;
use crate::credentials::status::{CredentialStatus, State};
use crate::drain::Drain;
use crate::local_caller::{self, AllowedHosts};
use crate::secrets::Environment;
use crate::snapshot::{BackDoor, BuildError, Provider, Snapshot, inspect_back_door};
use crate::telemetry::metrics::Metrics;
use answer::AnswerBody;
use arc_swap::ArcSwap;
use attempt::Call;
use caller::Caller;
use candidates::Candidates;
use http::header::{CONTENT_ENCODING, CONTENT_TYPE};
use http::{HeaderMap, HeaderValue, Method, Request, Response};
use http_body_util::BodyExt;
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use keeper::{Keeper, now};
use model_name::{PinnedModel, TwoModels};
use outgoing::PROFILE_HEADER;
use problem::Problem;
use record::Record;
use request_body::{Budget, RequestBody};
use route::{Route, RouteError};
use std::convert::Infallible;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Semaphore;
use tokio::task::JoinSet;
use tokio::time::timeout;

/// Connections served at once; further ones wait in the listen queue.
const MAX_CONNECTIONS: usize = 4096;
/// Largest head, in bytes: an agent's metadata is longer than a browser's.
const MAX_HEAD_BYTES: usize = 64 * 1024;
/// The memory of all bodies together, in bytes, where one may not take more.
const BODY_BUDGET: usize = 256 << 20;
/// After a failed accept, mostly for want of file descriptors.
const ACCEPT_PAUSE: Duration = Duration::from_millis(50);
/// How often sinks are looked at, and what is due is done.
const TICK: Duration = Duration::from_secs(1);
/// How much of a refused request's body is read, and for how long, lest closing the
/// connection over it resets it before the caller has the answer.
const DISCARD_BYTES: usize = 64 << 20;
const DISCARD: Duration = Duration::from_secs(5);

/// Serves model calls under the current snapshot.
pub struct Broker {
    snapshot: ArcSwap<Snapshot>,
    keeper: Arc<Keeper>,
    metrics: Arc<Metrics>,
    budget: Budget,
    drain: Drain,
}

/// What is known of a connection.
#[derive(Debug, Clone, Copy)]
struct Ends {
    source: SocketAddr,
    local: SocketAddr,
}

/// A request's answer, or why there is none.
type Outcome = Result<Response<AnswerBody>, (Problem, Option<Duration>)>;

/// A row for every credential as the configuration, the environment and the sinks tell
/// it, without a running process, and what of them can't be read. Resolves secrets, and
/// waits for all of it.
#[must_use]
pub fn credentials_of_files(
    config: &Config,
    environment: Environment<'static>,
) -> (Vec<CredentialStatus>, Vec<String>) {
    let (door, errors) = inspect_back_door(config, environment);
    let metrics = Metrics::new("", "", &[]);
    let keeper = Keeper::new(environment, Arc::new(metrics));
    keeper.read_all(&door, false);
    let mut rows = keeper.status(&door, now());
    let mut problems = keeper.sink_problems(&door);
    for error in errors {
        let key = error.key().to_owned();
        let rest = key.strip_prefix("models.providers.");
        let provider = rest.and_then(|rest| rest.rsplit_once('.'));
        match (provider, &error) {
            (Some((provider, _)), BuildError::Secret { .. }) => {
                rows.retain(|row| row.provider != provider || row.state != State::Missing);
                let problem = crate::telemetry::with_causes(&error);
                rows.push(CredentialStatus::unresolved(provider, key.clone(), problem));
            }
            (_, BuildError::Sink { .. }) => {}
            _ => problems.push(error.in_full()),
        }
    }
    (rows, problems)
}

impl Broker {
    /// A back door that serves by `snapshot`, which has one.
    #[must_use]
    pub fn new(
        snapshot: Arc<Snapshot>,
        environment: Environment<'static>,
        metrics: Arc<Metrics>,
        drain: Drain,
    ) -> Arc<Self> {
        let most = snapshot
            .back_door
            .as_ref()
            .map_or(0, |door| door.max_replay_bytes);
        Arc::new(Self {
            budget: Budget::new(BODY_BUDGET.max(most.saturating_mul(2))),
            snapshot: ArcSwap::new(snapshot),
            keeper: Arc::new(Keeper::new(environment, metrics.clone())),
            metrics,
            drain,
        })
    }

    /// Serves new calls by `snapshot` from here on.
    pub fn replace(&self, snapshot: Arc<Snapshot>) {
        self.snapshot.store(snapshot);
        if let Some(door) = self.door() {
            let keeper = self.keeper.clone();
            // What profiles refer to may have been rotated with the rest.
            tokio::task::spawn_blocking(move || keeper.read_all(&door, true));
        }
    }

    /// A row for every credential. Waits for the file system.
    #[must_use]
    pub fn credentials(&self) -> Vec<CredentialStatus> {
        match self.door() {
            Some(door) => self.keeper.status(&door, now()),
            None => Vec::new(),
        }
    }

    /// What is wrong with the token sinks.
    #[must_use]
    pub fn sink_problems(&self) -> Vec<String> {
        match self.door() {
            Some(door) => self.keeper.sink_problems(&door),
            None => Vec::new(),
        }
    }

    fn door(&self) -> Option<Arc<BackDoor>> {
        self.snapshot.load().back_door.clone()
    }

    /// Looks after credentials, for ever: reads sinks that have changed, renews logins
    /// before they end, writes down how credentials fare.
    pub async fn keep(self: Arc<Self>) {
        let mut is_first = true;
        loop {
            if let Some(door) = self.door() {
                let rows = self.look_after(door).await;
                if std::mem::take(&mut is_first) {
                    rows.iter().for_each(warn_of);
                }
            }
            tokio::time::sleep(TICK).await;
        }
    }

    async fn look_after(&self, door: Arc<BackDoor>) -> Vec<CredentialStatus> {
        let (keeper, looked_at) = (self.keeper.clone(), door.clone());
        let work = tokio::task::spawn_blocking(move || {
            keeper.read_all(&looked_at, false);
            keeper.save(false);
            let rows = keeper.status(&looked_at, now());
            keeper.show(&rows);
            rows
        });
        // A panic there is in the log; the next tick tries again.
        let rows = work.await.unwrap_or_default();
        for (_, folder) in Keeper::folders(&door) {
            let Some(store) = self.keeper.known_store(folder) else {
                continue;
            };
            for (id, servers) in refresher::due(&self.keeper, &store, &door) {
                let (keeper, store, door) = (self.keeper.clone(), store.clone(), door.clone());
                tokio::spawn(async move {
                    refresher::refreshed(&keeper, &store, &id, None, &servers, &door).await;
                });
            }
        }
        rows
    }

    /// Ends well: no refresh is cut off, and how credentials fare is written down.
    pub async fn settle(&self) {
        self.keeper.refresher.all_ended().await;
        let keeper = self.keeper.clone();
        let _ = tokio::task::spawn_blocking(move || keeper.save(true)).await;
    }

    /// Serves until the drain begins, and then what is under way.
    pub async fn serve(self: Arc<Self>, listener: TcpListener) {
        let slots = Arc::new(Semaphore::new(MAX_CONNECTIONS));
        let mut connections = JoinSet::new();
        let mut drain = self.drain.watch();
        loop {
            let slot = slots.clone().acquire_owned();
            let (slot, accepted) = tokio::select! {
                biased;
                () = drain.begun() => break,
                Some(_) = connections.join_next() => continue,
                next = async { (slot.await, listener.accept().await) } => next,
            };
            match accepted {
                Ok((stream, source)) => {
                    let broker = self.clone();
                    connections.spawn(async move {
                        broker.serve_connection(stream, source).await;
                        drop(slot);
                    });
                }
                Err(error) => {
                    tracing::warn!(error.detail = %error, "a connection could not be accepted");
                    tokio::time::sleep(ACCEPT_PAUSE).await;
                }
            }
        }
        drop(listener);
        while connections.join_next().await.is_some() {}
    }

    async fn serve_connection(self: Arc<Self>, stream: TcpStream, source: SocketAddr) {
        let Ok(local) = stream.local_addr() else {
            return;
        };
        // Events are small, and each is to arrive by itself.
        let _ = stream.set_nodelay(true);
        crate::transport::keep_alive(&stream);
        let ends = Ends { source, local };
        let idle = self.snapshot.load().limits.keepalive_timeout;
        let mut drain = self.drain.watch();
        let service = service_fn(move |request| {
            let broker = self.clone();
            async move { Ok::<_, Infallible>(broker.answer(request, ends).await) }
        });
        let connection = http1::Builder::new()
            .timer(TokioTimer::new())
            .header_read_timeout(idle)
            .max_buf_size(MAX_HEAD_BYTES)
            .serve_connection(TokioIo::new(stream), service);
        tokio::pin!(connection);
        let served = tokio::select! {
            served = connection.as_mut() => served,
            () = drain.begun() => {
                connection.as_mut().graceful_shutdown();
                connection.await
            }
        };
        if let Err(error) = served {
            tracing::debug!(error.detail = %error, "a connection of the back door ended");
        }
    }

    async fn answer(&self, request: Request<Incoming>, ends: Ends) -> Response<AnswerBody> {
        let snapshot = self.snapshot.load_full();
        let record = Record::new(
            self.metrics.clone(),
            snapshot.access_log,
            ends.source.ip(),
            request.method().as_str(),
            request.uri().path(),
        );
        let mut record = Some(record);
        match self.respond(&snapshot, request, ends, &mut record).await {
            Ok(response) => response,
            Err((problem, retry_after)) => {
                let mut record = record.expect("who answers has taken it, and nobody did");
                record.outcome = problem.outcome();
                record.code = Some(problem.code());
                record.status = Some(problem.status().as_u16());
                let response = problem.answer(&record.request_id, retry_after);
                response.map(|body| AnswerBody::Whole {
                    body,
                    _record: Box::new(record),
                })
            }
        }
    }

    async fn respond(
        &self,
        snapshot: &Snapshot,
        request: Request<Incoming>,
        ends: Ends,
        record: &mut Option<Record>,
    ) -> Outcome {
        let (head, body) = request.into_parts();
        let head = Request::from_parts(head, ());
        let Some(door) = snapshot.back_door.clone() else {
            return Err((Problem::UnknownProvider, None));
        };
        let admitted = admit(&door, &head, ends);
        let (caller, provider, pin) = match admitted {
            Ok(admitted) => admitted,
            Err(problem) => {
                discard(body).await;
                return Err((problem, None));
            }
        };
        if let Some(record) = record {
            record.provider.clone_from(&provider.name);
            record.agent = caller.agent().map(str::to_owned);
        }
        let refused = |problem| (problem, None);
        let stall = snapshot.limits.body_stall_timeout;
        // JSON is looked through for a pin, and so read whole; all else may stream.
        let most = match may_be_json(head.headers()) {
            true => in_memory(snapshot.limits.max_body_bytes).max(door.max_replay_bytes),
            false => door.max_replay_bytes,
        };
        let lengths = (most, door.max_replay_bytes);
        let mut body = RequestBody::read(body, lengths, stall, &self.budget)
            .await
            .map_err(refused)?;
        if let Some(record) = record {
            record.bytes_in = body.start.len() as u64;
        }
        let pinned = take_pin(&head, &mut body, pin).map_err(refused)?;
        let route =
            Route::parse(head.uri().path()).map_err(|_| (Problem::UnknownProvider, None))?;
        let base = &provider.client.service().base;
        let target = outgoing::target(
            base.path(),
            route.rest,
            head.uri().query(),
            provider.dialect,
        );
        let target = target.ok_or((Problem::BadRequest("the path can't be sent on"), None))?;
        let candidates =
            Candidates::gather(&self.keeper, &door, &provider, caller, pinned.as_ref())
                .await
                .map_err(refused)?;
        let call = Call {
            keeper: self.keeper.clone(),
            headers: outgoing::request_headers(head.headers(), &door.credential_headers),
            method: head.method().clone(),
            target,
            body,
            agent: caller.agent().map(str::to_owned),
            provider: provider.clone(),
            first_byte: snapshot.limits.upstream_first_byte_timeout,
        };
        call.run(candidates, record).await
    }
}

/// Tells of a credential that is of no use from the start.
fn warn_of(row: &CredentialStatus) {
    if !matches!(row.state, State::Ready | State::CoolingDown) {
        tracing::warn!(
            model.provider = row.provider,
            model.credential = row.name,
            agent = row.agent,
            state = row.state.as_str(),
            error.detail = row.detail,
            "a credential can't be used"
        );
    }
}

type Admitted<'a> = (Caller<'a>, Arc<Provider>, Option<ProfileId>);

/// Who calls whom, with which profile, as far as the head says; or why not.
fn admit<'a>(door: &'a BackDoor, head: &Request<()>, ends: Ends) -> Result<Admitted<'a>, Problem> {
    let hosts = AllowedHosts::for_listener(ends.local).and(&door.allowed_hosts);
    local_caller::refuse_web_pages(head.headers()).map_err(Problem::Caller)?;
    local_caller::check_host(head, &hosts, ends.local.ip()).map_err(Problem::Caller)?;
    if matches!(*head.method(), Method::CONNECT | Method::TRACE) {
        return Err(Problem::MethodNotAllowed);
    }
    let route = Route::parse(head.uri().path());
    let provider = match &route {
        Ok(route) => door.providers.get(route.provider),
        Err(_) => None,
    };
    // Before all that a stranger could learn from.
    let own = provider.map(|provider| &provider.header);
    let caller = Caller::identify(door, ends.source.ip(), head.headers(), own)?;
    let route = route.map_err(|error| match error {
        RouteError::NoProvider => Problem::UnknownProvider,
        RouteError::Ambiguous => Problem::BadRequest(
            "expected a path without dot segments, backslashes and a double slash at its start",
        ),
    })?;
    let provider = provider.ok_or(Problem::UnknownProvider)?;
    if is_websocket(head) {
        return Err(Problem::BadRequest(
            "WebSockets are not passed on at the back door",
        ));
    }
    let by_path = route.pin.map(decoded).map(|pin| pin_of(&pin, provider));
    let by_path = by_path.transpose()?;
    let mut by_header = None;
    for value in head.headers().get_all(PROFILE_HEADER) {
        let text = value.to_str().unwrap_or_default();
        by_header = one_pin(by_header, Some(pin_of(text, provider)?))?;
    }
    Ok((caller, provider.clone(), one_pin(by_path, by_header)?))
}

fn is_websocket(head: &Request<()>) -> bool {
    let upgrades = head.headers().get_all(http::header::UPGRADE);
    upgrades
        .iter()
        .any(|value| value.as_bytes().eq_ignore_ascii_case(b"websocket"))
}

/// A pin in a path: some clients escape the two characters that it may hold.
fn decoded(pin: &str) -> String {
    let pin = pin.replace("%40", "@");
    pin.replace("%3A", ":").replace("%3a", ":")
}

/// A pin as it is written: a profile's id, or its name within the provider.
fn pin_of(text: &str, provider: &Provider) -> Result<ProfileId, Problem> {
    let whole = match text.contains(':') {
        true => text.to_owned(),
        false => format!("{}:{text}", provider.name),
    };
    ProfileId::parse(&whole).map_err(|_| {
        Problem::BadRequest("expected a profile's id such as `anthropic:work` as the pin")
    })
}

fn one_pin(one: Option<ProfileId>, other: Option<ProfileId>) -> Result<Option<ProfileId>, Problem> {
    match (one, other) {
        (Some(one), Some(other)) if one != other => Err(Problem::BadRequest(
            "expected one profile, got different ones in path, header and model",
        )),
        (one, other) => Ok(one.or(other)),
    }
}

/// The profile that path, header or model pin. A model's pin is taken off.
fn take_pin(
    head: &Request<()>,
    body: &mut RequestBody,
    pinned: Option<ProfileId>,
) -> Result<Option<ProfileId>, Problem> {
    if !may_be_json(head.headers()) {
        return Ok(pinned);
    }
    if !body.is_whole() {
        // A pin in the part that has not come would be another account's.
        return Err(Problem::RequestTooLarge);
    }
    let found = PinnedModel::find(&body.start)
        .map_err(|TwoModels| Problem::BadRequest("expected one `model` in the body, got two"))?;
    let Some(found) = found else {
        return Ok(pinned);
    };
    body.start = found.without_pin(&body.start);
    one_pin(pinned, Some(found.profile))
}

/// Whether a body may be JSON that names a model. Many a client names no media type, or
/// `text/plain`, as `fetch` does of itself; providers read it all the same.
fn may_be_json(headers: &HeaderMap) -> bool {
    let is_text = |value: &HeaderValue| {
        let text = value.as_bytes().to_ascii_lowercase();
        text.starts_with(b"text/") || memchr::memmem::find(&text, b"json").is_some()
    };
    let mut media_types = headers.get_all(CONTENT_TYPE).iter().peekable();
    let may_be = media_types.peek().is_none() || media_types.any(is_text);
    may_be && !headers.contains_key(CONTENT_ENCODING)
}

fn in_memory(size: ByteSize) -> usize {
    usize::try_from(size.bytes()).unwrap_or(usize::MAX)
}

/// Reads what nobody has a use for.
async fn discard(mut body: Incoming) {
    let reading = async {
        let mut read = 0;
        while let Some(Ok(frame)) = body.frame().await {
            read += frame.data_ref().map_or(0, bytes::Bytes::len);
            if read > DISCARD_BYTES {
                break;
            }
        }
    };
    // Who sends on for longer may have its connection reset.
    let _ = timeout(DISCARD, reading).await;
}

//! Requests that broke other proxies, fired at Portcullis: what the client was
//! answered, and every byte that the upstream got.
//!
//! The corpus is data (`corpus/*.toml`). Another front end can be put in the same
//! place: `make attacks` does so with three, and writes the README's table.

// A helper of tests may fail the test like the test itself.
#![allow(clippy::unwrap_used)]

#[allow(dead_code)]
#[path = "../e2e/client.rs"]
mod client;
mod corpus;
mod differential;
mod early_data;
mod fire;
mod frames;
mod front_end;
mod peer;
mod placeholder;
#[allow(dead_code)]
#[path = "../e2e/reserved_port.rs"]
mod reserved_port;
mod round;
mod shown_by;
#[allow(dead_code)]
#[path = "../e2e/sidecar.rs"]
mod sidecar;
mod table;
mod upstream;
mod verdict;
#[path = "../conformance/frames.rs"]
#[allow(dead_code)] // conformance takes more kinds of frames apart
mod wire;

use corpus::{Protocol, Row};
use front_end::{Careless, FrontEnd, Portcullis, WithoutTls, corpus_folder};
use futures_util::future::join_all;
use round::Outcome;
use shown_by::Ran;
use table::Column;
use upstream::Upstream;
use verdict::{Standard, line};

/// The corpus as it lies in the repository.
fn corpus() -> Vec<(String, Row)> {
    let mut themes: Vec<(String, String)> = std::fs::read_dir(corpus_folder())
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .filter(|path| {
            path.extension()
                .is_some_and(|extension| extension == "toml")
        })
        .map(|path| {
            let name = path.file_stem().unwrap().to_string_lossy().into_owned();
            (name, std::fs::read_to_string(path).unwrap())
        })
        .collect();
    themes.sort();
    corpus::read(&themes).unwrap_or_else(|error| panic!("{error}"))
}

/// Every row of a theme holds over a protocol.
async fn holds(theme: &str, protocol: Protocol) {
    let corpus = corpus();
    let rows: Vec<&Row> = corpus
        .iter()
        .filter(|(name, row)| name == theme && row.over.contains(&protocol))
        .map(|(_, row)| row)
        .collect();
    assert!(!rows.is_empty(), "{theme} has no row over {protocol:?}");
    let upstream = Upstream::spawn().await.unwrap();
    let mut portcullis = Portcullis::new(&upstream);
    let outcomes = round::fire(
        &mut portcullis,
        &upstream,
        Standard::Exact,
        rows,
        &[protocol],
    )
    .await;
    let failed = failures(&outcomes);
    assert!(failed.is_empty(), "{}", failed.join("\n"));
}

fn failures(outcomes: &[Outcome]) -> Vec<String> {
    outcomes
        .iter()
        .filter_map(|outcome| {
            let found = outcome.deviations.as_ref()?;
            (!found.is_empty()).then(|| line(&outcome.row, outcome.protocol, found))
        })
        .collect()
}

/// One test for each theme and protocol.
macro_rules! themes {
    ($($theme:ident over $($name:ident $protocol:ident),*;)*) => {
        const THEMES: &[(&str, &[Protocol])] =
            &[$((stringify!($theme), &[$(Protocol::$protocol),*])),*];
        $(mod $theme {
            use super::{Protocol, holds};
            $(#[tokio::test]
            async fn $name() {
                holds(stringify!($theme), Protocol::$protocol).await;
            })*
        })*
    };
}

themes! {
    connection over http1 H1, http1_over_tls Tls, http2 H2;
    elsewhere over http1_over_tls Tls;
    forwarding over http1 H1, http1_over_tls Tls, http2 H2;
    framing over http1 H1, http1_over_tls Tls, http2 H2;
    http2 over http2 H2;
    identity over http1 H1, http1_over_tls Tls, http2 H2;
    names over http1 H1, http1_over_tls Tls, http2 H2;
    proxy_protocol over http1 H1, http1_over_tls Tls;
    targets over http1 H1, http1_over_tls Tls, http2 H2;
}

#[test]
fn every_row_of_the_corpus_has_its_test() {
    for (theme, row) in corpus() {
        for protocol in &row.over {
            let is_fired = THEMES
                .iter()
                .any(|(name, protocols)| *name == theme && protocols.contains(protocol));
            assert!(
                is_fired,
                "{}: nothing fires {theme} over {protocol:?}",
                row.id
            );
        }
    }
}

#[test]
fn every_numbered_attack_is_in_the_corpus() {
    let corpus = corpus();
    let missing: Vec<u16> = (1..=64)
        .filter(|number| !corpus.iter().any(|(_, row)| row.row == *number))
        .collect();
    assert!(missing.is_empty(), "no row for {missing:?}");
}

#[test]
fn every_test_that_a_row_names_is_there() {
    let missing: Vec<_> = corpus()
        .into_iter()
        .flat_map(|(_, row)| row.shown_by)
        .filter(|name| !shown_by::exists(name))
        .collect();
    assert!(missing.is_empty(), "no such tests: {missing:#?}");
    assert!(!shown_by::exists("e2e::tls::nobody_wrote_this_one"));
    assert!(
        !shown_by::exists("attacks::the_table_is_written"),
        "ignored"
    );
}

#[test]
fn every_row_has_its_line_in_the_table() {
    let classes = table::classes();
    for (_, row) in corpus() {
        let lines = classes.iter().filter(|class| class.rows.contains(&row.row));
        assert_eq!(lines.count(), 1, "{}", row.id);
    }
}

#[test]
fn the_table_counts_no_test_that_did_not_run() {
    let classes = table::classes();
    let column = Column {
        name: String::new(),
        outcomes: Vec::new(),
    };
    let cell = |ran: &[Ran]| table::cell(&column, &classes[0], ran);
    assert_eq!(cell(&[Ran::Passed, Ran::Skipped]), "1 test, 1 not run here");
    assert_eq!(cell(&[Ran::Skipped]), "1 not run here");
    assert_eq!(cell(&[]), "–");
}

/// Runs the corpus against Portcullis and the others: `make attacks`.
#[tokio::test]
#[allow(clippy::print_stdout)]
#[ignore = "needs nginx, Caddy and HAProxy, and a minute or more: `make attacks`"]
async fn the_table_is_written() {
    const ALL: [Protocol; 3] = [Protocol::H1, Protocol::Tls, Protocol::H2];
    let corpus = corpus();
    let rows: Vec<&Row> = corpus.iter().map(|(_, row)| row).collect();
    let ran = shown_by::run(corpus.iter().flat_map(|(_, row)| &row.shown_by));
    let upstream = Upstream::spawn().await.unwrap();
    let mut portcullis = Portcullis::new(&upstream);
    let outcomes = round::fire(
        &mut portcullis,
        &upstream,
        Standard::Exact,
        rows.clone(),
        &ALL,
    );
    let mut columns = vec![Column {
        name: "Portcullis".to_owned(),
        outcomes: outcomes.await,
    }];
    // Together: they are waited for where they answer nothing.
    let peers = peer::KINDS.iter().map(async |kind| {
        let upstream = Upstream::spawn().await.unwrap();
        let mut peer = kind.spawn(&upstream, &rows);
        Column {
            name: format!("{} {}", kind.name, kind.version()),
            outcomes: round::fire(&mut peer, &upstream, Standard::Safe, rows.clone(), &ALL).await,
        }
    });
    columns.extend(join_all(peers).await);
    for column in &columns {
        println!(
            "{}\n{}\n",
            column.name,
            failures(&column.outcomes).join("\n")
        );
    }
    let table = table::render(&columns, &corpus, &ran);
    println!("{table}");
    table::write(&table);
}

/// The runner can fail: a relay that passes on what comes lets the attacks through.
#[tokio::test]
async fn a_careless_relay_is_found_out() {
    let corpus = corpus();
    let upstream = Upstream::spawn().await.unwrap();
    let mut careless = Careless::spawn(&upstream).await;
    assert!(careless.mark("plain").is_some());
    for (id, due) in [
        ("a01-underscores", "x-forwarded-user came as"),
        ("a07-twice", "x-forwarded-user came as"),
        ("a09-none", "for the users []"),
        ("a13-loopback", "x-forwarded-for is"),
        ("a21-forwarded", "its bytes hold"),
        ("a26-length-and-chunked", "admin@e.com"),
        ("a53-second-as-another", "eve@example.com"),
    ] {
        let row = corpus.iter().find(|(_, row)| row.id == id);
        let (_, row) = row.unwrap_or_else(|| panic!("no row {id}"));
        for standard in [Standard::Exact, Standard::Safe] {
            let outcomes =
                round::fire(&mut careless, &upstream, standard, [row], &[Protocol::H1]).await;
            let failed = failures(&outcomes).join("\n");
            assert!(failed.contains(due), "{id}, {standard:?}: {failed}");
        }
    }
}

/// Nor does it take for a refusal that nobody is served at all.
#[tokio::test]
async fn a_front_end_without_tls_is_found_out() {
    let corpus = corpus();
    let upstream = Upstream::spawn().await.unwrap();
    let mut deaf = WithoutTls(Portcullis::new(&upstream));
    let row = corpus.iter().find(|(_, row)| row.id == "a01-underscores");
    let (_, row) = row.unwrap();
    let protocols = [Protocol::H1, Protocol::Tls, Protocol::H2];
    let outcomes = round::fire(&mut deaf, &upstream, Standard::Safe, [row], &protocols).await;
    let [plain, tls, http2] = &outcomes[..] else {
        panic!("{} outcomes", outcomes.len());
    };
    assert_eq!(plain.deviations.as_deref(), Some(&[][..]));
    for outcome in [tls, http2] {
        let found = outcome.deviations.as_ref().unwrap().join("\n");
        assert!(found.contains("an ordinary request afterwards"), "{found}");
    }
}

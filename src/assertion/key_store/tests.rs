use super::super::tests::Signer;
use super::fetches::{GAP, MOST_SOUGHT};
use super::*;
use crate::assertion::Algorithm;
use serde_json::json;
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};

/// Publishes what it is told to, and counts how often it was asked.
struct Issuer {
    documents: Mutex<Vec<Result<String, FetchError>>>,
    asked: Arc<AtomicUsize>,
}

#[async_trait]
impl Fetch for Issuer {
    async fn fetch(&self, id: Option<&str>) -> Result<Vec<u8>, FetchError> {
        self.asked.fetch_add(1, Ordering::SeqCst);
        // Slow enough for others to come meanwhile.
        sleep(Duration::from_millis(100)).await;
        let mut documents = self.documents.lock().unwrap();
        let document = match documents.len() {
            1 => documents[0].clone(),
            _ => documents.remove(0),
        };
        assert!(id.is_none_or(is_plain), "{id:?}");
        document.map(String::into_bytes)
    }
}

fn store(
    layout: Layout,
    documents: Vec<Result<String, FetchError>>,
) -> (Arc<KeyStore>, Arc<AtomicUsize>) {
    let asked = Arc::new(AtomicUsize::new(0));
    let issuer = Issuer {
        documents: Mutex::new(documents),
        asked: asked.clone(),
    };
    (KeyStore::new(Box::new(issuer), layout), asked)
}

fn set_of(id: &str) -> Result<String, FetchError> {
    Ok(json!({ "keys": [Signer::p256().jwk(id)] }).to_string())
}

fn gone() -> Result<String, FetchError> {
    Err(FetchError::Unanswered("status 500".to_owned()))
}

fn has(store: &KeyStore, id: &str) -> bool {
    let known = store.current();
    known.fitting(id, Algorithm::Es256, unix_now()).count() == 1
}

#[tokio::test(start_paused = true)]
async fn an_unknown_key_is_looked_for_once_in_a_while_however_many_ask() {
    let (store, asked) = store(Layout::Set, vec![set_of("a"), set_of("b")]);
    store.fetch_known().await.unwrap();
    assert!(has(&store, "a") && !has(&store, "b"));
    tokio::time::advance(GAP).await;
    let seekers = (0..1000).map(|number| {
        let store = store.clone();
        tokio::spawn(async move { store.seek(&format!("random-{number}")).await })
    });
    for seeker in seekers.collect::<Vec<_>>() {
        seeker.await.unwrap();
    }
    assert_eq!(asked.load(Ordering::SeqCst), 2);
    assert!(has(&store, "b") && !has(&store, "a"));
    for number in 0..100_000 {
        store.seek(&number.to_string()).await;
    }
    assert_eq!(asked.load(Ordering::SeqCst), 2);
    // However many there are, once in ten seconds.
    tokio::time::advance(Duration::from_secs(9)).await;
    store.seek("c").await;
    assert_eq!(asked.load(Ordering::SeqCst), 2);
    tokio::time::advance(Duration::from_secs(1)).await;
    store.seek("c").await;
    assert_eq!(asked.load(Ordering::SeqCst), 3);
}

#[tokio::test(start_paused = true)]
async fn whoever_waits_for_a_fetch_gets_what_it_brought() {
    let (store, asked) = store(Layout::Set, vec![set_of("a")]);
    let (one, other) = (store.seek("a"), store.seek("a"));
    tokio::join!(one, other);
    assert!(has(&store, "a"));
    assert_eq!(asked.load(Ordering::SeqCst), 1);
    // Whoever asked leaves; the fetch goes on for the others.
    tokio::time::advance(GAP).await;
    let leaving = timeout(Duration::from_millis(1), store.seek("b"));
    assert!(leaving.await.is_err());
    store.seek("b").await;
    assert_eq!(asked.load(Ordering::SeqCst), 2);
}

#[tokio::test(start_paused = true)]
async fn a_fetch_that_is_cut_off_is_no_longer_under_way() {
    let (store, asked) = store(Layout::Set, vec![set_of("a")]);
    let cut = timeout(Duration::from_millis(1), store.fetch_known());
    assert!(cut.await.is_err());
    store.fetch_known().await.unwrap();
    assert!(has(&store, "a"));
    assert_eq!(asked.load(Ordering::SeqCst), 2);
}

#[tokio::test(start_paused = true)]
async fn the_last_good_keys_stay_when_none_can_be_fetched() {
    let (store, _) = store(Layout::Set, vec![set_of("a"), gone()]);
    assert!(!store.state().is_ready);
    store.fetch_known().await.unwrap();
    assert_eq!(store.fetch_known().await, Err(gone().unwrap_err()));
    assert!(has(&store, "a"));
    let State {
        good,
        fetched,
        good_until,
        error,
        is_ready,
    } = store.state();
    assert_eq!((good, is_ready), (1, true));
    assert_eq!(error.as_deref(), Some("status 500"));
    // A day from when they were fetched, and not from when they couldn't be.
    let (good_until, end) = (good_until.unwrap(), fetched.unwrap() + 24 * 3600);
    assert!((end - 60..=end).contains(&good_until), "{good_until} {end}");
}

#[tokio::test(start_paused = true)]
async fn keys_are_fetched_again_by_themselves_and_sooner_after_a_failure() {
    let (store, asked) = store(Layout::Set, vec![gone(), gone(), set_of("a"), set_of("b")]);
    assert!(store.fetch_known().await.is_err());
    let keeping = tokio::spawn(keep_fresh(Arc::downgrade(&store)));
    let first = FIRST_RETRY + Duration::from_millis(200);
    sleep(first).await;
    assert_eq!(asked.load(Ordering::SeqCst), 2);
    sleep(first).await;
    assert!(has(&store, "a"));
    sleep(REFRESH_EVERY + Duration::from_secs(1)).await;
    assert!(has(&store, "b"));
    drop(store);
    sleep(REFRESH_EVERY * 2).await;
    assert!(keeping.is_finished());
}

#[tokio::test(start_paused = true)]
async fn each_key_by_itself_is_asked_for_by_a_plain_id_alone() {
    // A document of nobody: what matters is who is asked.
    let (store, asked) = store(Layout::Each, vec![Ok("no key".to_owned())]);
    // There is nothing to fetch at the start, which holds up nothing afterwards.
    store.fetch_known().await.unwrap();
    assert!(store.state().is_ready);
    for id in [
        "../x",
        "a/b",
        "a.b",
        "%2e%2e",
        "",
        "a b",
        "a?b",
        "a\n",
        &"x".repeat(65),
    ] {
        store.seek(id).await;
    }
    assert_eq!(asked.load(Ordering::SeqCst), 0);
    store.seek("5a0e4b2c-1111-2222-3333-444455556666").await;
    assert_eq!(asked.load(Ordering::SeqCst), 1);
    // Others are asked for meanwhile, and none of them twice.
    for number in 0..100 {
        store.seek(&format!("false-{}", number % 4)).await;
    }
    assert_eq!(asked.load(Ordering::SeqCst), 5);
    for number in 0..100 {
        store.seek(&format!("other-{number}")).await;
    }
    assert_eq!(asked.load(Ordering::SeqCst), MOST_SOUGHT);
    tokio::time::advance(GAP).await;
    // Whoever waits for another's gets a turn when that has landed.
    tokio::join!(store.seek("a"), store.seek("b"), store.seek("c"));
    assert_eq!(asked.load(Ordering::SeqCst), MOST_SOUGHT + 3);
    // Whoever sends false ids doesn't take the process out of service.
    assert!(store.state().is_ready);
}

#[tokio::test(start_paused = true)]
async fn a_new_key_waits_for_one_of_those_that_are_fetched_again_and_not_for_all() {
    let signer = Signer::p256();
    let (store, asked) = store(Layout::Each, vec![Ok(signer.pem())]);
    let ids: Vec<String> = (0..8).map(|number| format!("known-{number}")).collect();
    for id in &ids {
        store.seek(id).await;
        tokio::time::advance(GAP).await;
    }
    assert_eq!(asked.load(Ordering::SeqCst), 8);
    let again = {
        let store = store.clone();
        tokio::spawn(async move { store.fetch_known().await })
    };
    sleep(Duration::from_millis(50)).await;
    store.seek("new").await;
    assert!(has(&store, "new"));
    let so_far = asked.load(Ordering::SeqCst);
    assert!(so_far <= 8 + 3, "{so_far}");
    again.await.unwrap().unwrap();
    assert_eq!(asked.load(Ordering::SeqCst), 8 + 8 + 1);
    assert!(ids.iter().all(|id| has(&store, id)));
}

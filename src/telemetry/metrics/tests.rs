use super::*;
use std::time::UNIX_EPOCH;

const CODES: &[&str] = &[
    "trusted_proxy_user_missing",
    "trusted_proxy_untrusted_source",
];

fn metrics() -> Metrics {
    Metrics::new("1.2.3", "abc\"def", CODES)
}

/// The value of the sample that is written exactly `series`.
fn sample(metrics: &Metrics, series: &str) -> Option<f64> {
    metrics.render().lines().find_map(|line| {
        let (name, value) = line.rsplit_once(' ')?;
        (name == series).then(|| value.parse().unwrap())
    })
}

#[test]
fn a_fresh_process_shows_every_metric_it_can_feed_and_no_certificate() {
    let text = metrics().render();
    for (name, kind) in [
        ("portcullis_requests_total", "counter"),
        ("portcullis_denials_total", "counter"),
        ("portcullis_request_duration_seconds", "histogram"),
        ("portcullis_upstream_first_byte_seconds", "histogram"),
        ("portcullis_connections", "gauge"),
        ("portcullis_websockets", "gauge"),
        ("portcullis_config_generation", "gauge"),
        ("portcullis_reload_success", "gauge"),
        ("portcullis_reload_timestamp_seconds", "gauge"),
        ("portcullis_build_info", "gauge"),
    ] {
        assert!(
            text.contains(&format!("# TYPE {name} {kind}\n")),
            "{name} is not a {kind} in\n{text}"
        );
    }
    assert!(!text.contains("certificate_expiry"), "{text}");
    assert!(
        text.contains(r#"portcullis_build_info{commit="abc\"def",version="1.2.3"} 1"#),
        "{text}"
    );
}

#[test]
fn requests_count_by_outcome_and_status() {
    let metrics = metrics();
    for (outcome, status, label) in [
        (Outcome::Permitted, 200, "200"),
        (Outcome::Permitted, 101, "101"),
        (Outcome::Denied, 403, "403"),
        (Outcome::Public, 204, "204"),
        (Outcome::Error, 599, "599"),
        (Outcome::Error, 100, "100"),
        (Outcome::Permitted, 0, "other"),
        (Outcome::Denied, 99, "other"),
        (Outcome::Public, 600, "other"),
        (Outcome::Error, u16::MAX, "other"),
    ] {
        metrics.request(outcome, status, Duration::from_millis(3));
        let series = format!(
            "portcullis_requests_total{{outcome=\"{}\",status=\"{label}\"}}",
            outcome.as_str()
        );
        assert_eq!(sample(&metrics, &series), Some(1.0), "{series}");
    }
    assert_eq!(
        sample(&metrics, "portcullis_request_duration_seconds_count"),
        Some(10.0)
    );
    assert_eq!(
        sample(
            &metrics,
            "portcullis_request_duration_seconds_bucket{le=\"0.0025\"}"
        ),
        Some(0.0)
    );
    assert_eq!(
        sample(
            &metrics,
            "portcullis_request_duration_seconds_bucket{le=\"0.005\"}"
        ),
        Some(10.0)
    );
}

#[test]
fn denials_count_by_code_and_an_unknown_code_counts_as_other() {
    let metrics = metrics();
    let series = |code: &str| format!("portcullis_denials_total{{code=\"{code}\"}}");
    assert_eq!(sample(&metrics, &series(CODES[0])), Some(0.0));
    metrics.denial(CODES[0]);
    metrics.denial(CODES[0]);
    metrics.denial("nobody's code");
    assert_eq!(sample(&metrics, &series(CODES[0])), Some(2.0));
    assert_eq!(sample(&metrics, &series(CODES[1])), Some(0.0));
    assert_eq!(sample(&metrics, &series("other")), Some(1.0));
}

#[test]
fn connections_and_websockets_count_while_their_guard_lives() {
    let metrics = metrics();
    let first = metrics.connection_opened();
    let second = metrics.connection_opened();
    let socket = metrics.websocket_opened();
    assert_eq!((metrics.connections(), metrics.websockets()), (2, 1));
    drop((first, socket));
    assert_eq!((metrics.connections(), metrics.websockets()), (1, 0));
    drop(second);
    assert_eq!(sample(&metrics, "portcullis_connections"), Some(0.0));
}

#[test]
fn a_loaded_configuration_and_a_certificate_show_their_times() {
    let metrics = metrics();
    metrics.config_loaded(7, UNIX_EPOCH + Duration::from_secs(1_790_000_000));
    metrics.certificate_expiry(1);
    metrics.certificate_expiry(1_800_000_000);
    for (series, value) in [
        ("portcullis_config_generation", 7.0),
        ("portcullis_reload_success", 1.0),
        ("portcullis_reload_timestamp_seconds", 1.79e9),
        ("portcullis_tls_certificate_expiry_timestamp_seconds", 1.8e9),
    ] {
        assert_eq!(sample(&metrics, series), Some(value), "{series}");
    }
}

#[test]
fn counting_a_request_allocates_nothing_once_its_status_was_seen() {
    let metrics = metrics();
    metrics.request(Outcome::Permitted, 200, Duration::from_millis(1));
    let counted = allocation_counter::measure(|| {
        metrics.request(Outcome::Permitted, 200, Duration::from_millis(1));
        metrics.denial(CODES[1]);
        metrics.upstream_first_byte(Duration::from_millis(1));
        drop(metrics.connection_opened());
    });
    assert_eq!(counted.count_total, 0);
}

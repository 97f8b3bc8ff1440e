use super::*;
use crate::config::Limits;

fn line(words: &[&str]) -> Result<Asked, String> {
    let words: Vec<String> = words.iter().map(|word| (*word).to_owned()).collect();
    read(&words)
}

fn values<'a>(asked: &'a Asked, name: &str) -> Vec<&'a str> {
    let fields = asked.fields.iter();
    fields
        .filter(|(field, _)| field.eq_ignore_ascii_case(name))
        .map(|(_, value)| value.as_str())
        .collect()
}

#[test]
fn reads_what_a_browser_copies() {
    let asked = line(&[
        "curl",
        "https://claw.example.com/api/x?y=1",
        "-X",
        "PATCH",
        "-H",
        "accept: application/json",
        "-H",
        "Origin: https://claw.example.com",
        "-b",
        "a=b; c=d",
        "-A",
        "agent",
        "-e",
        "https://claw.example.com/",
        "--data-raw",
        "{\"a\":1}",
        "--compressed",
        "--insecure",
        "--http2",
        "-o",
        "file",
    ])
    .unwrap();
    assert_eq!(
        (
            asked.method.as_str(),
            asked.target.as_str(),
            asked.host.as_str()
        ),
        ("PATCH", "/api/x?y=1", "claw.example.com")
    );
    for (name, value) in [
        ("accept", "application/json"),
        ("origin", "https://claw.example.com"),
        ("cookie", "a=b; c=d"),
        ("user-agent", "agent"),
        ("referer", "https://claw.example.com/"),
        ("content-type", "application/x-www-form-urlencoded"),
        ("accept-encoding", "deflate, gzip, br, zstd"),
    ] {
        assert_eq!(values(&asked, name), [value], "{name}");
    }
    assert_eq!(asked.upgrade, Upgrade::None);
}

#[test]
fn a_body_makes_a_post_and_other_flags_their_methods() {
    for (words, method, target) in [
        (&["curl", "h"][..], "GET", "/"),
        (&["curl", "h", "-d", "a=b"], "POST", "/"),
        (&["curl", "h", "--json", "{}"], "POST", "/"),
        (&["curl", "h", "-F", "a=b"], "POST", "/"),
        (&["curl", "h", "-T", "file"], "PUT", "/"),
        (&["curl", "-sSI", "h"], "HEAD", "/"),
        (&["curl", "-XDELETE", "--url", "h/x"], "DELETE", "/x"),
        (
            &["curl", "-G", "-d", "a=b", "-d", "c", "h/x"],
            "GET",
            "/x?a=b&c",
        ),
        (
            &["/usr/bin/curl", "h", "--request-target", "/raw"],
            "GET",
            "/raw",
        ),
    ] {
        let asked = line(words).unwrap();
        assert_eq!(
            (asked.method.as_str(), asked.target.as_str()),
            (method, target),
            "{words:?}"
        );
    }
    let json = line(&["curl", "h", "--json", "{}"]).unwrap();
    assert_eq!(values(&json, "accept"), ["application/json"]);
}

#[test]
fn data_goes_into_the_query_as_curl_puts_it_there() {
    for (words, target) in [
        (&["--data-urlencode", "x=a b&c"][..], "/x?x=a+b%26c"),
        (&["--data-urlencode", "=a=b", "-d", "c"], "/x?a%3Db&c"),
        (&["--data-urlencode", "a b"], "/x?a+b"),
        (&["--data-urlencode", ""], "/x"),
        (&["-d", "", "-d", "b"], "/x?&b"),
        (&["--data-raw", "@x"], "/x?@x"),
        (&["--data-raw", "a=%20"], "/x?a=%20"),
        (&["-d", "a=%20"], "/x?a=%20"),
        // Files, which are not read here.
        (&["-d", "@x"], "/x"),
        (&["--data", "@x"], "/x"),
        (&["--data-ascii", "@x"], "/x"),
        (&["--data-binary", "@x"], "/x"),
        (&["--data-urlencode", "@x"], "/x"),
        (&["--data-urlencode", "n@x", "-d", "a"], "/x?a"),
    ] {
        let with = |first: &[&str]| line(&[first, words].concat()).unwrap();
        assert_eq!(with(&["curl", "h/x", "-G"]).target, target, "{words:?}");
        let posted = with(&["curl", "h/x"]);
        assert_eq!((&*posted.method, &*posted.target), ("POST", "/x"));
    }
}

#[test]
fn reads_headers_as_curl_does() {
    let asked = line(&[
        "curl",
        "https://u:p@h/",
        "-Hx-forwarded-user:  nick ",
        "-H",
        "x-blank;",
        "-H",
        "user-agent:",
        "-H",
        "Host: other.example",
        "-H",
        "cookie: mine=1",
        "-b",
        "c=d",
    ])
    .unwrap();
    assert_eq!(values(&asked, "x-forwarded-user"), ["nick"]);
    assert_eq!(values(&asked, "x-blank"), [""]);
    assert!(values(&asked, "user-agent").is_empty());
    assert_eq!(values(&asked, "cookie"), ["mine=1"]);
    assert_eq!(values(&asked, "authorization"), ["Basic dTpw"]);
    let own = line(&["curl", "h", "-u", "u:p", "-H", "Authorization: Bearer x"]).unwrap();
    assert_eq!(values(&own, "authorization"), ["Bearer x"]);
}

/// The same as the front door reads it.
fn read_line(words: &[&str]) -> Result<Asked, String> {
    let mut asked = line(words)?;
    asked.read(&Limits::default())?;
    Ok(asked)
}

#[test]
fn knows_a_websocket_by_its_url_or_its_headers() {
    let by_url = read_line(&["curl", "wss://h/"]).unwrap();
    let by_headers = read_line(&[
        "curl",
        "h",
        "-H",
        "Upgrade: WebSocket",
        "-H",
        "Connection: keep-alive, Upgrade",
        "-H",
        "Sec-WebSocket-Version: 13",
        "-H",
        "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==",
    ]);
    for asked in [by_url, by_headers.unwrap()] {
        assert_eq!(asked.upgrade, Upgrade::Websocket);
    }
    let plain = read_line(&["curl", "h", "-H", "Upgrade: websocket"]).unwrap();
    assert_eq!(plain.upgrade, Upgrade::None);
}

#[test]
fn what_the_front_door_refuses_before_any_rule_is_not_decided() {
    let long = format!("X-Long: {}", "s3cret".repeat(4000));
    for (words, status, named) in [
        (&["-H", "Host:"][..], 400, "`Host` is absent"),
        (&["-H", "Host: a", "-H", "Host: b"], 400, "`Host` comes"),
        (&["-H", "Host: a b"], 400, "not one host and port"),
        (&["-X", "PO ST"], 400, "the HTTP version"),
        (&["-X", "TRACE"], 405, "the method is not served"),
        (&["--request-target", "/%00"], 400, "an escaped NUL"),
        (&["-H", "Content-Length: x"], 400, "`Content-Length`"),
        (
            &[
                "-H",
                "Transfer-Encoding: chunked",
                "-H",
                "Content-Length: 3",
            ],
            400,
            "come together",
        ),
        (&["-H", "Expect: s3cret"], 417, "the expectation"),
        (
            &["-H", "Upgrade: websocket", "-H", "Connection: Upgrade"],
            400,
            "WebSocket",
        ),
        (&["-H", &long], 431, "`limits.maxHeaderBytes`"),
    ] {
        let Err(told) = read_line(&[&["curl", "h"], words].concat()) else {
            panic!("{words:?} was read");
        };
        let start = format!("the front door would answer {status} and ask no rule: ");
        assert!(told.starts_with(&start), "{words:?}: {told}");
        assert!(told.contains(named), "{words:?}: {told}");
        assert!(!told.contains("s3cret"), "{told}");
    }
    let split = read_line(&["curl", "h", "-A", "s3cret\r\nX-B: 2"]).err();
    assert_eq!(
        split.as_deref(),
        Some("got a line's end in the value of `user-agent`")
    );
    let absolute = read_line(&["curl", "h", "--request-target", "http://h/a?b"]).unwrap();
    assert_eq!(absolute.target, "/a?b");
}

#[test]
fn an_error_names_the_flag_and_no_value() {
    for (words, named) in [
        (&["wget", "s3cret"][..], "`curl`"),
        (&["curl"], "URL"),
        (&["curl", "h", "--unheard-of=s3cret"], "`--unheard-of`"),
        (&["curl", "h", "-Zs3cret"], "`-Z`"),
        (&["curl", "h", "s3cret"], "second URL"),
        (&["curl", "h", "-H"], "`-H`"),
        (&["curl", "h", "-H", "s3cret"], "colon"),
        (&["curl", "h", "-H", "bad name: s3cret"], "header name"),
        (&["curl", "h", "-H", "a: s3cret\n"], "control"),
        (&["curl", "h", "-H", "@s3cret"], "file"),
        (&["curl", "h", "-b", "s3cret"], "file"),
        (&["curl", "ftp://s3cret"], "http"),
    ] {
        let error = line(words).map(|_| ()).unwrap_err();
        assert!(error.contains(named), "{words:?}: {error}");
        assert!(!error.contains("s3cret"), "{error}");
    }
}

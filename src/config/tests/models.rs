//! `[models]`, `[agents]`: what is taken, and what would open a door.

use super::*;
use crate::config::SharedKeys;
use crate::credentials::Dialect;

const DOOR: &str = "[models]\nlisten = \"127.0.0.1:8790\"\n";

fn open(text: &str) -> String {
    and(&format!("{DOOR}{text}"))
}

#[test]
fn known_providers_need_no_word_and_others_a_url() {
    let models = config(&open(
        "[models.providers.local]\nbaseUrl = \"http://127.0.0.1:11434/v1/\"\n\
         [models.providers.claude]\nbaseUrl = \"https://c.example\"\napi = \"anthropic-messages\"\n\
         [models.providers.other]\nbaseUrl = \"https://o.example\"\nauthHeader = \"X-Auth\"\n\
         [models.providers.groq]\nenabled = false\n",
    ))
    .models;
    let header = |name: &str| models.providers[name].auth_header.as_str().to_owned();
    for (name, dialect, shown, is_configured) in [
        ("anthropic", Dialect::Anthropic, "x-api-key", false),
        ("openai", Dialect::OpenAi, "authorization", false),
        ("google", Dialect::Google, "x-goog-api-key", false),
        ("local", Dialect::OpenAi, "authorization", true),
        ("claude", Dialect::Anthropic, "x-api-key", true),
        ("other", Dialect::OpenAi, "x-auth", true),
    ] {
        let provider = &models.providers[name];
        assert_eq!(provider.dialect, dialect, "{name}");
        assert_eq!(provider.is_configured, is_configured, "{name}");
        assert_eq!(header(name), shown, "{name}");
    }
    assert!(!models.providers["groq"].enabled);
    let local = models.providers["local"].base_url.as_ref().unwrap();
    assert_eq!(local.path(), "/v1");
}

#[test]
fn agents_have_a_token_and_a_folder_of_their_own() {
    let models = config(&and(
        "[models]\nlisten = \"127.0.0.1:8790\"\nclientToken = \"$T\"\nstateDir = \"/s\"\n\
         [agents.work]\nclientToken = \"$W\"\n\
         [agents.home]\nclientToken = \"$H\"\nstateDir = \"/h\"\nsharedKeys = true\n",
    ))
    .models;
    let folder = |name: &str| models.agents[name].state_dir.clone().unwrap();
    assert_eq!(folder("work").to_str(), Some("/s/agents/work"));
    assert_eq!(folder("home").to_str(), Some("/h"));
    assert_eq!(models.agents["work"].shared_keys, SharedKeys::Withheld);
    assert_eq!(models.agents["home"].shared_keys, SharedKeys::Granted);
}

#[test]
fn what_would_open_a_door_or_mean_nothing_is_refused() {
    for (text, key, words) in [
        (
            and("[models]\nlisten = \"0.0.0.0:8790\"\n"),
            "models.listen",
            "expected `models.clientToken` too",
        ),
        (
            and("[models]\nlisten = \"127.0.0.1:9180\"\n"),
            "models.listen",
            "an address of its own",
        ),
        (
            open("[agents.work]\nclientToken = \"$W\"\n"),
            "agents",
            "expected it too",
        ),
        (
            open("[agents.work]\n"),
            "agents.work.clientToken",
            "got nothing",
        ),
        (
            open("[models.providers.local]\n"),
            "models.providers.local.baseUrl",
            "got nothing",
        ),
        (
            open("[models.providers.openai-codex]\napiKey = \"$K\"\n"),
            "models.providers.openai-codex.apiKey",
            "takes logins alone",
        ),
        (
            open("[models.providers.openai.oauth]\nclientId = \"x\"\n"),
            "models.providers.openai.oauth",
            "only `openai-codex` has a login",
        ),
        (
            open("[models.providers.openai]\nbaseUrl = \"https://a/?key=hunter2\"\n"),
            "models.providers.openai.baseUrl",
            "no query",
        ),
        (
            open("[models.providers.openai]\napi = \"gopher\"\n"),
            "models.providers.openai.api",
            "expected",
        ),
        (
            open("[models.providers.openai]\nauthHeader = \"host\"\n"),
            "models.providers.openai.authHeader",
            "host",
        ),
        (
            and("[models]\nlisten = \"127.0.0.1:8790\"\nallowedHosts = [\"a:1\"]\n"),
            "models.allowedHosts[0]",
            "without port",
        ),
        (
            open("[models.providers.loop]\nbaseUrl = \"http://localhost:8790/openai\"\n"),
            "models.providers.loop",
            "the back door's own address",
        ),
        (
            open("[models.providers.OpenAI]\nbaseUrl = \"https://x.example\"\n"),
            "models.providers.OpenAI",
            "(OPENAI_API_KEY) are those of `openai` too",
        ),
        (
            and(
                "[models]\nlisten = \"127.0.0.1:8790\"\nclientToken = \"$T\"\nstateDir = \"/s\"\n\
                 [agents.work]\nclientToken = \"$W\"\nstateDir = \"/s/\"\n",
            ),
            "agents",
            "the folder of `models.stateDir` for `work`",
        ),
        (
            open("[auth.order]\nanthropic = [\"work\"]\n"),
            "auth.order.anthropic[0]",
            "`anthropic:work`",
        ),
    ] {
        let messages = messages(&text);
        assert_eq!(messages.len(), 1, "{messages:#?}");
        assert!(
            messages[0].starts_with(&format!("{key}: ")),
            "{messages:#?}"
        );
        assert!(messages[0].contains(words), "{messages:#?}");
        assert!(!messages[0].contains("hunter2"));
    }
}

#[test]
fn an_order_of_nobody_is_warned_of() {
    let text = open("[auth.order]\nantropic = [\"antropic:work\"]\n");
    assert!(warnings(&text)[0].contains("no such provider"));
}

#[test]
fn a_credential_in_the_clear_is_warned_of() {
    let plain = open("[models.providers.local]\nbaseUrl = \"http://10.0.0.1/v1\"\n");
    assert!(warnings(&plain)[0].contains("unencrypted"));
    let own = open("[models.providers.local]\nbaseUrl = \"http://127.0.0.1/v1\"\n");
    assert_eq!(warnings(&own), [""; 0]);
}

//! How many tokens an answer says that it took.

use crate::credentials::Dialect;
use serde::Deserialize;

/// The tokens of a call, as far as they have been told.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct Usage {
    /// Of the prompt, cached ones included.
    pub(super) input: Option<u64>,
    /// Of the answer.
    pub(super) output: Option<u64>,
}

/// Where the three dialects put what is counted.
#[derive(Deserialize)]
struct Told {
    usage: Option<Counts>,
    /// Anthropic's `message_start`.
    message: Option<Nested>,
    /// OpenAI's `response.completed`.
    response: Option<Nested>,
    #[serde(rename = "usageMetadata")]
    metadata: Option<Counts>,
}

#[derive(Deserialize)]
struct Nested {
    usage: Option<Counts>,
}

#[derive(Deserialize)]
struct Counts {
    input_tokens: Option<u64>,
    output_tokens: Option<u64>,
    cache_creation_input_tokens: Option<u64>,
    cache_read_input_tokens: Option<u64>,
    prompt_tokens: Option<u64>,
    completion_tokens: Option<u64>,
    #[serde(rename = "promptTokenCount")]
    prompt_token_count: Option<u64>,
    #[serde(rename = "candidatesTokenCount")]
    candidates_token_count: Option<u64>,
    #[serde(rename = "thoughtsTokenCount")]
    thoughts_token_count: Option<u64>,
}

impl Usage {
    /// Takes what a whole JSON answer, or an event's data, says; a later word counts.
    pub(super) fn take(&mut self, json: &[u8]) {
        // Most events say nothing, and parsing them would cost more than all else.
        if memchr::memmem::find(json, b"usage").is_none() {
            return;
        }
        let Ok(told) = serde_json::from_slice::<Told>(json) else {
            return;
        };
        let nested = |nested: Option<Nested>| nested.and_then(|nested| nested.usage);
        let counts = told
            .usage
            .or(told.metadata)
            .or_else(|| nested(told.message))
            .or_else(|| nested(told.response));
        let Some(counts) = counts else { return };
        self.input = counts.input().or(self.input);
        self.output = counts.output().or(self.output);
    }
}

impl Counts {
    fn input(&self) -> Option<u64> {
        // Anthropic counts what it has cached, or reads from there, apart.
        let cached = [
            self.cache_creation_input_tokens,
            self.cache_read_input_tokens,
        ];
        let cached: u64 = cached.into_iter().flatten().fold(0, u64::saturating_add);
        self.input_tokens
            .map(|own| own.saturating_add(cached))
            .or(self.prompt_tokens)
            .or(self.prompt_token_count)
    }

    fn output(&self) -> Option<u64> {
        let thoughts = self.thoughts_token_count.unwrap_or(0);
        self.output_tokens
            .or(self.completion_tokens)
            .or_else(|| Some(self.candidates_token_count?.saturating_add(thoughts)))
    }
}

/// Whether an event brings content: the first one ends the wait for a model.
pub(super) fn has_content(dialect: Dialect, data: &[u8]) -> bool {
    let sign: &[u8] = match dialect {
        Dialect::Anthropic => b"content_block_delta",
        Dialect::OpenAi => b"\"delta\"",
        Dialect::Google => b"\"candidates\"",
    };
    memchr::memmem::find(data, sign).is_some()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_what_each_provider_says() {
        for (said, input, output) in [
            (
                &[
                    r#"{"content":[],"usage":{"input_tokens":10,"cache_read_input_tokens":5,"output_tokens":3}}"#,
                ][..],
                Some(15),
                Some(3),
            ),
            (
                &[
                    r#"{"type":"message_start","message":{"usage":{"input_tokens":25,"output_tokens":1}}}"#,
                    r#"{"type":"content_block_delta","delta":{"text":"usage"}}"#,
                    r#"{"type":"message_delta","usage":{"output_tokens":15}}"#,
                ],
                Some(25),
                Some(15),
            ),
            (
                &[r#"{"usage":{"prompt_tokens":9,"completion_tokens":12,"total_tokens":21}}"#],
                Some(9),
                Some(12),
            ),
            (
                &[r#"{"choices":[],"usage":null}"#, "[DONE]", "usage"],
                None,
                None,
            ),
            (
                &[
                    r#"{"type":"response.completed","response":{"usage":{"input_tokens":7,"output_tokens":8}}}"#,
                ],
                Some(7),
                Some(8),
            ),
            (
                &[
                    r#"{"candidates":[],"usageMetadata":{"promptTokenCount":4,"candidatesTokenCount":5,"thoughtsTokenCount":6}}"#,
                ],
                Some(4),
                Some(11),
            ),
            (&[r#"{"usage":{"input_tokens":"many"}}"#], None, None),
            (&[r#"{"usage":{"input_tokens":-1}}"#], None, None),
        ] {
            let mut usage = Usage::default();
            for text in said {
                usage.take(text.as_bytes());
            }
            assert_eq!(usage, Usage { input, output }, "{said:?}");
        }
    }
}

//! How the known servers stream: OpenClaw, OpenAI, litellm, Ollama, llama.cpp and vLLM.

use crate::gateway::{DONE, Gateway, packets, text};

#[tokio::test]
async fn the_streams_of_known_servers_are_read() {
    let chunk = |fields: &str| format!("data: {{\"object\":\"chat.completion.chunk\",{fields}}}\n\n");
    let streams = [
        (
            "OpenClaw",
            vec![
                chunk(r#""model":"openclaw","choices":[{"index":0,"delta":{"role":"assistant"}}]"#),
                chunk(
                    r#""model":"openclaw","choices":[{"index":0,"delta":{"content":"Hel"},"finish_reason":null}]"#,
                ),
                chunk(
                    r#""model":"openclaw","choices":[{"index":0,"delta":{"content":"lo."},"finish_reason":null}]"#,
                ),
                chunk(r#""choices":[{"index":0,"delta":{},"finish_reason":"stop"}]"#),
                DONE.to_owned(),
            ],
        ),
        (
            "OpenAI",
            vec![
                chunk(
                    r#""choices":[{"index":0,"delta":{"role":"assistant","content":"","refusal":null},"logprobs":null,"finish_reason":null}],"obfuscation":"x""#,
                ),
                chunk(r#""choices":[{"index":0,"delta":{"content":"Hello."},"finish_reason":null}]"#),
                chunk(r#""choices":[{"index":0,"delta":{},"finish_reason":"stop"}]"#),
                chunk(r#""choices":[],"usage":{"total_tokens":3}"#),
                DONE.to_owned(),
            ],
        ),
        (
            "litellm",
            vec![
                chunk(
                    r#""choices":[{"index":0,"delta":{"content":"Hello.","role":"assistant","provider_specific_fields":null}}]"#,
                ),
                chunk(r#""choices":[{"finish_reason":"stop","index":0,"delta":{}}]"#),
                DONE.to_owned(),
            ],
        ),
        (
            "Ollama",
            vec![
                chunk(
                    r#""system_fingerprint":"fp_ollama","choices":[{"index":0,"delta":{"role":"assistant","content":"","reasoning":"Hm."},"finish_reason":null}]"#,
                ),
                chunk(
                    r#""choices":[{"index":0,"delta":{"role":"assistant","content":"Hello."},"finish_reason":null}]"#,
                ),
                chunk(
                    r#""choices":[{"index":0,"delta":{"role":"assistant","content":""},"finish_reason":"stop"}]"#,
                ),
                DONE.to_owned(),
            ],
        ),
        (
            "llama.cpp",
            vec![
                chunk(
                    r#""choices":[{"finish_reason":null,"index":0,"delta":{"role":"assistant","content":null}}]"#,
                ),
                chunk(r#""choices":[{"finish_reason":null,"index":0,"delta":{"content":"Hello."}}]"#),
                chunk(
                    r#""choices":[{"finish_reason":"stop","index":0,"delta":{}}],"timings":{"predicted_ms":1.5}"#,
                ),
                DONE.to_owned(),
            ],
        ),
        (
            "vLLM",
            vec![
                chunk(
                    r#""choices":[{"index":0,"delta":{"role":"assistant","content":""},"logprobs":null,"finish_reason":null,"stop_reason":null}]"#,
                ),
                chunk(
                    r#""choices":[{"index":0,"delta":{"content":"Hello.","reasoning_content":null},"finish_reason":"stop","stop_reason":106}]"#,
                ),
                DONE.to_owned(),
            ],
        ),
    ];
    for (server, events) in streams {
        let whole = events.concat();
        let answered = Gateway::answering(move || packets(&[&whole])).await.ask("hi").await;
        assert_eq!(text(answered), "Hello.", "{server}");
    }
}

//! What passes, and what is left of the rest.

use proptest::prelude::*;

use super::WithheldKind::{ControlCharacter, Heartbeat, MediaDirective, Silence, Thought};
use super::*;

/// What an answer is left with, and what was taken out.
#[track_caller]
fn check(text: &str, left: &str, kinds: &[WithheldKind]) {
    let expected =
        Spoken { text: left.to_owned(), withheld: kinds.iter().copied().collect(), breaks_off: false };
    assert_eq!(take_out(text), expected, "{text:?}");
}

#[track_caller]
fn passes(text: &str) {
    check(text, text, &[]);
}

#[test]
fn a_token_of_silence_takes_its_reason_along() {
    for text in [
        "NO_REPLY",
        " no_reply\n",
        "No_Reply.",
        "**NO_REPLY**",
        "_NO_REPLY_",
        "***NO_REPLY***\n",
        "`NO_REPLY`",
        "\"NO_REPLY\"",
        "```\nNO_REPLY\n```",
        "> NO_REPLY",
        "- NO_REPLY",
        "NO_REPLY NO_REPLY",
        "NO_REPLY\n\nNO_REPLY",
        "\u{feff}NO_REPLY\u{200b}",
        "NO_REPLY - the person only said thanks",
        "NO_REPLY — nothing to add",
        "no_reply: nothing to add",
        "NO_REPLY:nothing to add",
        "NO_REPLY (the person only said thanks)",
        "no_reply (the person only said thanks)",
        "NO_REPLY nothing to add",
        "NO_REPLY, since they said thanks.",
        "**NO_REPLY** The person said thanks.",
        "_NO_REPLY_ The person said thanks.",
        "NO_REPLY\n\nThe person only said thanks.",
        "no_reply\nThe person only said thanks.",
        "NO_REPLYThe person only said thanks.",
        "[NO_REPLY] thanks only",
    ] {
        check(text, "", &[Silence]);
        check(
            &text
                .replace("NO_REPLY", "HEARTBEAT_OK")
                .replace("no_reply", "heartbeat_ok")
                .replace("No_Reply", "Heartbeat_Ok"),
            "",
            &[Heartbeat],
        );
    }
    check("HEARTBEAT_OK NO_REPLY", "", &[Heartbeat]);
}

#[test]
fn a_long_text_behind_a_token_is_said() {
    let long = "This is a real answer. ".repeat(20);

    check(&format!("NO_REPLY\n\n{long}"), &long, &[Silence]);
    check(&format!("HEARTBEAT_OK. **Note:** {long}"), &format!("**Note:** {long}"), &[Heartbeat]);
    check(
        &format!("NO_REPLY\n- one\n- {long}NO_REPLY"),
        &format!("- one\n- {}", long.trim_end()),
        &[Silence],
    );
}

#[test]
fn the_text_before_a_token_of_silence_is_said() {
    for (text, left) in [
        ("Done. NO_REPLY", "Done."),
        ("Done.\nNO_REPLY\n", "Done."),
        ("Done.\n\n**NO_REPLY**", "Done."),
        ("Done\n\nno_reply.", "Done"),
        ("Done. no_reply", "Done."),
        ("Done! NO_REPLY.", "Done!"),
        ("Done.NO_REPLY", "Done."),
        ("All is well NO_REPLY", "All is well"),
        ("**Done. NO_REPLY**", "**Done.**"),
        ("(Done. NO_REPLY)", "(Done.)"),
        ("Done! (NO_REPLY)", "Done!"),
        ("👍 NO_REPLY", "👍"),
        ("👍 no_reply", "👍"),
        ("Done.\n- NO_REPLY", "Done."),
        ("Done. NO_REPLY\nNO_REPLY", "Done."),
    ] {
        check(text, left, &[Silence]);
        check(
            &text.replace("NO_REPLY", "HEARTBEAT_OK").replace("no_reply", "heartbeat_ok"),
            left,
            &[Heartbeat],
        );
    }
    check("Done.\nNO_REPLY\nHEARTBEAT_OK", "Done.", &[Silence, Heartbeat]);
}

#[test]
fn what_speaks_about_a_token_passes() {
    for text in [
        "The agent writes NO_REPLY when it has nothing to say.",
        "The agent writes **NO_REPLY** when it has nothing to say.",
        "The token is NO_REPLY.",
        "The token is called no_reply",
        "It is called `NO_REPLY`",
        "It is called \"NO_REPLY\".",
        "Set NO_REPLY=1 and go on.",
        "NO_REPLY=1 is what you set.",
        "NO_REPLY_TO is a header.",
        "NO_REPLYING",
        "no_reply@example.com is the sender.",
        "Write to no_reply@example.com",
        "no_reply is a column of the table.",
        "MY_NO_REPLY",
        "See /etc/NO_REPLY",
        "NO_REPLY.md is the file.",
        "```\nNO_REPLY\n```\nis what it says.",
        "`NO_REPLY` is what it says.",
        "No reply",
        "NO REPLY",
    ] {
        passes(text);
    }
}

#[test]
fn thoughts_are_taken_out() {
    for (text, left) in [
        ("<think>They say hi.</think>Hello!", "Hello!"),
        ("<think>\nThey say hi.\n</think>\n\nHello!", "Hello!"),
        ("<think>\n\n</think>\n\nHello!", "Hello!"),
        ("<THINK>They say hi.</Think>Hello!", "Hello!"),
        ("<thinking>They say hi.</thinking>Hello!", "Hello!"),
        ("<thought>They say hi.</thought>Hello!", "Hello!"),
        ("<reasoning>They say hi.</reasoning>Hello!", "Hello!"),
        ("<antthinking>They say hi.</antthinking>Hello!", "Hello!"),
        ("<think duration=\"3\">They say hi.</think>Hello!", "Hello!"),
        ("Hi <think>secret</think> there", "Hi there"),
        ("Hi <think> secret </think> there", "Hi there"),
        ("Hi.<think>secret</think> There.", "Hi. There."),
        ("One.\n<think>secret</think>\nTwo.", "One.\nTwo."),
        ("One.\n\n<think>secret</think>\n\nTwo.", "One.\n\nTwo."),
        ("One.\n<think>secret</think>\n\nTwo.", "One.\n\nTwo."),
        ("One.\n\n<think>secret</think>\n    code", "One.\n\n    code"),
        ("<think>one</think>First.\n<think>two</think>Second.", "First.\nSecond."),
        ("<think>one <think>two</think> three</think>Hello!", "Hello!"),
        ("<think>I may write <think> here.</think>Hello!", "Hello!"),
        ("<think>The end is `</think>` then.</think>Hello!", "Hello!"),
        ("<think>It has ``` in it</think>Hello! <think>more</think>", "Hello!"),
        ("They say hi.\n</think>\n\nHello!", "Hello!"),
        ("They say hi.\n</think>Hello!", "Hello!"),
        ("They say ```hi.\n</think>\nHello!", "Hello!"),
        ("Hello!\n<think>Was that good?</think>\n", "Hello!"),
        ("`<think>` begins a thought. <think>secret</think>", "`<think>` begins a thought."),
        ("[THINK]They say hi.[/THINK]Hello!", "Hello!"),
        ("[THINK]\nThey say `[/THINK` hi.\n[/THINK]\n\nHello!", "Hello!"),
        ("[THINK]They write <think> here.[/THINK]Hello!", "Hello!"),
        ("<think>They write [THINK] here.</think>Hello!", "Hello!"),
        ("They say hi.\n[/THINK]\nHello!", "Hello!"),
        ("[THINK]one[/THINK]First.\n<think>two</think>Second.", "First.\nSecond."),
    ] {
        check(text, left, &[Thought]);
    }
    check("<think>NO_REPLY?</think>Hello!", "Hello!", &[Thought]);
    check("<think>They said thanks.</think>\nNO_REPLY", "", &[Thought, Silence]);
}

#[test]
fn thoughts_in_code_and_words_about_them_pass() {
    for text in [
        "Use `<think>x</think>` for that.",
        "Use ``a ` <think>x</think>`` for that.",
        "```xml\n<think>x</think>\n```\nThat was it.",
        "- ```xml\n  <think>x</think>\n  ```",
        "~~~\n<think>x</think>\n~~~",
        "````\n```\n<think>x</think>\n```\n````",
        "```\n<think>never closed",
        "HTML has no <think> tag, but models do.",
        "The tag \"<think>\" begins a thought.",
        "I think so. <b>Really</b>. 3 < 4 > 2.",
        "<thinker>Rodin</thinker>",
        "No <think> tag:\n```xml\n<think>x</think>\n```",
        "&lt;think&gt;x&lt;/think&gt;",
        "End it with </think> and go on.",
        "[think]x[/think]",
        "[THINK](https://example.com) and [THINK][1]\n\n[THINK]: https://example.com",
        "Models write [THINK] before a thought, and `[THINK]x[/THINK]` is one.",
        "```\n[THINK]x[/THINK]\n```",
    ] {
        passes(text);
    }
}

#[test]
fn a_thought_that_never_ends_leaves_no_answer() {
    for text in [
        "<think>They say hi.",
        "Let me see.\n<think>They say hi.",
        "<think>",
        "<reasoning>\nHello!",
        "[THINK]They say hi.",
        "<|channel|>analysis<|message|>They say hi.",
        "<|channel|>final<|message|>Hi!<|end|><|start|>assistant<|channel|>analysis<|message|>Hm.",
    ] {
        let spoken = take_out(text);

        assert!(spoken.breaks_off && spoken.withheld.has(Thought), "{text:?}");
        assert!(!spoken.text.contains(['<', '[']), "{text:?}");
    }
}

#[test]
fn of_several_channels_the_spoken_ones_are_left() {
    const THOUGHT: &str = "<|channel|>analysis<|message|>They say hi.";
    const CALL: &str = "<|start|>assistant<|channel|>commentary to=functions.weather <|constrain|>json<|message|>{\"a\":1}<|call|>";
    for (text, left) in [
        (format!("{THOUGHT}<|end|><|start|>assistant<|channel|>final<|message|>Hello!"), "Hello!"),
        (format!("{THOUGHT}<|end|><|start|>assistant<|channel|>final<|message|>Hello!<|return|>"), "Hello!"),
        (format!("<|start|>assistant{THOUGHT}<|channel|>final<|message|>\nHello!\n"), "Hello!"),
        (format!("{THOUGHT}<|end|>\n\nHello!"), "Hello!"),
        (format!("{THOUGHT}<|end|>{CALL}"), ""),
        (
            "<|channel|>analysis<|message|>They ask what <|channel|> means, and <|start|>. Secret.<|end|><|start|>assistant<|channel|>final<|message|>A mark.".to_owned(),
            "A mark.",
        ),
        (format!("{CALL}<|start|>assistant to=functions.x<|channel|>commentary<|message|>{{}}<|call|>"), ""),
        (format!("Hello.\n{THOUGHT}<|end|>"), "Hello."),
        ("They say hi.<|end|><|start|>assistant<|channel|>final<|message|>Hello!".to_owned(), "Hello!"),
        (
            format!(
                "<|channel|>commentary<|message|>I look.<|end|>{CALL}<|start|>assistant<|channel|>final<|message|>It rains."
            ),
            "I look.\n\nIt rains.",
        ),
        ("<|channel|>final<|message|>Write `<|end|>` there.<|return|>".to_owned(), "Write `<|end|>` there."),
        ("<|channel|>final <|constrain|>json<|message|>```\n<|end|>\n```\n".to_owned(), "```\n<|end|>\n```"),
    ] {
        check(&text, left, &[Thought]);
    }
    for text in [
        "`<|channel|>analysis<|message|>` begins a thought.",
        "```\n<|channel|>analysis<|message|>x<|end|>\n```",
        "gpt-oss writes <|channel|>analysis<|message|> before it thinks.",
        "<|channel|>news<|message|>Hello",
        "The mark <|end|> ends it, and <|channel|> begins it.",
    ] {
        passes(text);
    }
}

#[test]
fn lines_that_name_a_file_to_send_are_taken_out() {
    for (text, left) in [
        ("Here it is.\nMEDIA:/tmp/chart.png", "Here it is."),
        ("Here it is.\n\nMEDIA: /tmp/my chart.png\n\nAnything else?", "Here it is.\n\nAnything else?"),
        ("MEDIA:./chart.png\nHere it is.", "Here it is."),
        ("MEDIA:`/tmp/chart.png`\nHere it is.", "Here it is."),
        ("  MEDIA: \"C:\\charts\\one.png\"\r\nHere it is.", "Here it is."),
        ("- MEDIA:file:///tmp/chart.png\nHere it is.", "Here it is."),
        ("**MEDIA:** /tmp/chart.png\nHere it is.", "Here it is."),
        ("MEDIA:https://example.com/a.png\nMEDIA:chart.png\nHere they are.", "Here they are."),
        ("MEDIA:/tmp/chart.png", ""),
        ("Code:\n```\nMEDIA:/a.png\n```\nMEDIA:/b.png", "Code:\n```\nMEDIA:/a.png\n```"),
    ] {
        check(text, left, &[MediaDirective]);
    }
    for text in [
        "MEDIA: what the papers say",
        "Media: https://example.com/a.png",
        "Write MEDIA:/tmp/chart.png on a line.",
        "`MEDIA:/tmp/chart.png` sends a file.",
        "```\nMEDIA:/tmp/chart.png\n```\n",
        "SOCIAL MEDIA: /r/rust",
    ] {
        passes(text);
    }
}

#[test]
fn control_characters_are_taken_out_with_their_sequences() {
    for (text, left) in [
        ("Hi \u{1b}there\u{7}", "Hi there"),
        ("\u{1b}[1;31mRed\u{1b}[0m", "Red"),
        ("\u{9b}31mRed", "Red"),
        ("\u{1b}[2K\u{1b}[1ADone", "Done"),
        ("\u{1b}]0;title\u{7}Done", "Done"),
        ("\u{1b}]8;;https://example.com\u{1b}\\link\u{1b}]8;;\u{1b}\\", "link"),
        ("\u{1b}]0;title never ended\nDone", "0;title never ended\nDone"),
        ("\u{1b}Personal", "Personal"),
        ("\u{1b}(BDone\u{1b}7\u{1b}8", "Done"),
        ("a\u{0}b\u{8}c\u{7f}d\u{84}", "abcd"),
        ("one\u{b}two\u{c}three\u{85}four", "one\ntwo\nthree\nfour"),
        ("```\n\u{1b}[1mls\u{1b}[0m\n```", "```\nls\n```"),
        ("\u{1b}[12é", "é"),
        ("\u{1b}", ""),
    ] {
        check(text, left, &[ControlCharacter]);
    }
    check("\u{1b}[1mNO_REPLY\u{1b}[0m", "", &[ControlCharacter, Silence]);
    check("<th\u{7}ink>x</think>Hi", "Hi", &[ControlCharacter, Thought]);
}

#[test]
fn ordinary_text_passes() {
    for text in [
        "",
        "  \n",
        "Hello!",
        "  Indented,\r\n\twith tabs.  \n\n",
        "# Weather\n\n| a | b |\n|---|---|\n| 1 | 2 |\n",
        "2*3*4 < 5 > 1; `code`; ~~old~~; __init__; <details>x</details>; &nbsp;",
        "👩‍👩‍👧 naïve \u{202e}right to left\u{202c} \u{2028}",
    ] {
        passes(text);
    }
}

/// Words, marks and lines as answers have them.
fn piece() -> impl Strategy<Value = String> {
    prop_oneof![
        "[a-zäöü]{1,9}",
        "[ \n\t]{1,3}",
        "[-*_~`#>|.,:;!?()\\[\\]\"'0-9]{1,4}",
        Just("👍".to_owned()),
        Just("<b>".to_owned()),
        Just("```\n".to_owned()),
    ]
}

fn text_of(piece: impl Strategy<Value = String>) -> impl Strategy<Value = String> {
    prop::collection::vec(piece, 0..40).prop_map(|pieces| pieces.concat())
}

proptest! {
    #[test]
    fn text_without_tags_tokens_directives_and_controls_passes_byte_for_byte(text in text_of(piece())) {
        let spoken = take_out(&text);

        prop_assert_eq!((spoken.text.as_str(), spoken.withheld.is_empty(), spoken.breaks_off), (text.as_str(), true, false));
    }

    #[test]
    fn whatever_an_agent_writes_comes_out_without_control_characters(text in text_of(prop_oneof![
        piece(),
        Just("[THINK]".to_owned()), Just("<|channel|>analysis<|message|>".to_owned()), Just("<|channel|>".to_owned()), Just("<|end|>".to_owned()),
        Just("<think>".to_owned()), Just("</think>".to_owned()), Just("NO_REPLY".to_owned()), Just("HEARTBEAT_OK".to_owned()),
        Just("\nMEDIA:/a.png\n".to_owned()), "[\u{0}-\u{1f}\u{7f}-\u{9f}]{1,3}", "\u{1b}\\[[0-9;]{0,3}m", any::<String>(),
    ])) {
        let spoken = take_out(&text);

        prop_assert!(!spoken.text.contains(|c: char| c.is_control() && !matches!(c, '\n' | '\r' | '\t')));
        prop_assert!(spoken.text.len() <= text.len());
    }

    #[test]
    fn a_thought_before_an_answer_leaves_the_answer(thought in "[^<`\"'«“‘\u{0}-\u{9}\u{b}-\u{1f}\u{7f}-\u{9f}]{0,60}", answer in "[A-Za-z][a-z ,.]{0,40}[a-z]") {
        let spoken = take_out(&format!("<think>{thought}</think>\n\n{answer}"));

        prop_assert_eq!(spoken.text, answer);
    }
}

//! Commands that a sentence of ours names, as they are to be typed here: with the folder that was named for this one.
//!
//! Only for sentences of ours: what other people wrote must not go through it. What an administrator or a sender elsewhere has to run
//! stays as it is: their folder is not known here.

/// `sentence` with every command in it, from `` `sealpost `` to the closing mark, as `command` gives it for its words.
pub(crate) fn adapt(sentence: &str, command: impl Fn(&str) -> String) -> String {
    const HEAD: &str = "`sealpost ";
    let mut adapted = String::with_capacity(sentence.len());
    let mut rest = sentence;
    while let Some((before, from)) = rest.split_once(HEAD) {
        adapted.push_str(before);
        let Some((words, behind)) = from.split_once('`') else {
            rest = rest.get(before.len()..).unwrap_or_default();
            break;
        };
        if is_for_others(before, words) {
            adapted.push_str(&format!("{HEAD}{words}`"));
        } else {
            adapted.push_str(&format!("`{}`", command(words)));
        }
        rest = behind;
    }
    adapted.push_str(rest);
    adapted
}

/// Whether somebody else is to type it: "ask the sender to run ...".
fn is_for_others(before: &str, words: &str) -> bool {
    before.ends_with(" to run ") || words.starts_with("admin ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_command_of_a_sentence_gets_the_folder() {
        let command = |words: &str| format!("sealpost {words} --home H");
        for (sentence, adapted) in [
            ("Nothing.", "Nothing."),
            (
                "`sealpost inbox` and `sealpost status` list them.",
                "`sealpost inbox --home H` and `sealpost status --home H` list them.",
            ),
            (
                "ask the sender to run `sealpost rearm`.",
                "ask the sender to run `sealpost rearm`.",
            ),
            ("held: run `sealpost rearm`", "held: run `sealpost rearm --home H`"),
            ("run `chmod 600` on it", "run `chmod 600` on it"),
            ("an open `sealpost status", "an open `sealpost status"),
        ] {
            assert_eq!(adapt(sentence, command), adapted);
        }
    }
}

//! The words of a link: drawn from one list, completed and checked against it before anything is sent.
//!
//! The list is the EFF's large one without its words with a hyphen (`words/NOTICE`): 7,772 words, none the beginning of another,
//! 12.9 bit each. Words are drawn by the client, never chosen by a person.

use std::sync::LazyLock;

use sealpost_sealed::normalise_words;
use thiserror::Error;
use zeroize::Zeroizing;

use crate::env::Env;

/// Fewest words of a link: 64 bit.
pub const MIN_WORDS: usize = 5;
/// Most words of a link.
pub const MAX_WORDS: usize = 12;

/// Fewest letters of a word that are completed.
const MIN_LETTERS: usize = 3;

static LIST: LazyLock<Vec<&'static str>> = LazyLock::new(|| include_str!("words/eff-large.txt").lines().collect());

/// Words that cannot be those of a link. None of them is repeated in the sentence: it may end in a log.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
pub enum WordsError {
    /// Fewer or more than any link has.
    #[error("That is {}, and a link has 5 to 12; ask the sender to read them again, and type all of them.", counted(*.0))]
    Number(usize),
    /// Not in the list.
    #[error(
        "Word {0} is not in the list from which words are drawn, so it was misheard or mistyped, and nothing was sent; ask the sender to spell it."
    )]
    Unknown(usize),
    /// The beginning of several words of the list.
    #[error("Word {0} is the beginning of several words; type it whole.")]
    Short(usize),
}

fn counted(words: usize) -> String {
    match words {
        0 => "no word".to_owned(),
        1 => "1 word".to_owned(),
        more => format!("{more} words"),
    }
}

/// Draws so many words, each with the same chance.
#[must_use]
pub fn draw(count: usize, env: &Env) -> Zeroizing<String> {
    let mut drawn = Zeroizing::new(String::with_capacity(count * 10));
    for number in 0..count {
        if number > 0 {
            drawn.push(' ');
        }
        drawn.push_str(draw_one(env));
    }
    drawn
}

fn draw_one(env: &Env) -> &'static str {
    // Numbers in the last, incomplete round of the list are drawn again, else the first words were likelier.
    let fair = usize::from(u16::MAX) / LIST.len() * LIST.len();
    loop {
        let number = usize::from(u16::from_le_bytes(env.draw()));
        if number < fair
            && let Some(word) = LIST.get(number % LIST.len())
        {
            return word;
        }
    }
}

/// What a person typed, as it goes into the key derivation: each word whole and of the list.
///
/// # Errors
/// [`WordsError`].
pub fn complete(typed: &str) -> Result<Zeroizing<String>, WordsError> {
    let typed = normalise_words(typed);
    let count = typed.split(' ').filter(|word| !word.is_empty()).count();
    if !(MIN_WORDS..=MAX_WORDS).contains(&count) {
        return Err(WordsError::Number(count));
    }
    let mut words = Zeroizing::new(String::with_capacity(count * 10));
    for (number, word) in typed.split(' ').enumerate() {
        if number > 0 {
            words.push(' ');
        }
        words.push_str(complete_one(word, number + 1)?);
    }
    Ok(words)
}

/// The word of the list that this is, or the only one that begins so. `number` counts from 1.
fn complete_one(typed: &str, number: usize) -> Result<&'static str, WordsError> {
    let from = LIST.partition_point(|word| *word < typed);
    let mut beginning = LIST.iter().skip(from).take_while(|word| word.starts_with(typed));
    let first = beginning.next().ok_or(WordsError::Unknown(number))?;
    if *first == typed {
        return Ok(first);
    }
    if typed.len() < MIN_LETTERS || beginning.next().is_some() {
        return Err(WordsError::Short(number));
    }
    Ok(first)
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;

    #[test]
    fn the_list_is_the_published_one() {
        assert_eq!(LIST.len(), 7772);
        assert!(LIST.is_sorted_by(|a, b| a < b && !b.starts_with(a)));
        assert!(LIST.iter().all(|word| word.bytes().all(|b| b.is_ascii_lowercase())));
        assert!(LIST.iter().all(|word| word.len() >= MIN_LETTERS));
    }

    #[test]
    fn drawn_words_are_words_and_cover_the_list() {
        let env = Env::system();
        let drawn = draw(MIN_WORDS, &env);
        assert_eq!(*complete(&drawn).unwrap(), *drawn);
        assert_ne!(*drawn, *draw(MIN_WORDS, &env));
        let mut counts: BTreeMap<&str, u32> = BTreeMap::new();
        for _ in 0..77_720 {
            *counts.entry(draw_one(&env)).or_default() += 1;
        }
        // With ten draws for each word, one in 22,000 is expected to be missing, and 40 times the same is out of reach of chance.
        assert!(counts.len() > 7_700, "{}", counts.len());
        assert!(counts.values().all(|count| *count < 40));
    }

    #[test]
    fn noise_is_forgiven_and_beginnings_are_completed() {
        let words = "abacus zoom crispy blank vitamins";
        for typed in [
            words,
            "  Abacus, ZOOM - crispy\tblank...vitamins ",
            "abacu zoom crispy blank vitam",
            "ａｂａｃｕｓ zoom crispy blank vitamins",
            "abacus ü zoom é crispy ß blank vitamins",
        ] {
            assert_eq!(complete(typed).as_deref().map(String::as_str), Ok(words), "{typed}");
        }
    }

    #[test]
    fn other_words_are_refused_by_their_number() {
        assert_eq!(complete("abacus zoom crispy blank"), Err(WordsError::Number(4)));
        assert_eq!(complete(""), Err(WordsError::Number(0)));
        assert_eq!(complete("abacus zoom crispy blank qqq"), Err(WordsError::Unknown(5)));
        assert_eq!(complete("abacus zo crispy blank vitamins"), Err(WordsError::Short(2)));
        assert_eq!(
            complete("abacus dropdown crispy blank vitamins"),
            Err(WordsError::Unknown(2))
        );
        assert!(!WordsError::Unknown(5).to_string().contains("qqq"));
        for (number, told) in [
            (0, "That is no word, "),
            (1, "That is 1 word, "),
            (4, "That is 4 words, "),
        ] {
            assert!(WordsError::Number(number).to_string().starts_with(told), "{number}");
        }
    }
}

//! Words in the values of tags, compared roughly.

use protocol::Item;

/// Letters of a word that are compared; longer ones are what they begin with. Tags are short, and so are their words.
const LETTERS_MAX: usize = 64;

/// Words that must be in the value of a tag, or must not.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct WordFilter {
    name: String,
    words: Vec<Vec<char>>,
    which: Words,
    negated: bool,
}

/// How many of the words.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Words {
    /// All of them, in one value.
    All,
    /// One of them.
    Any,
}

impl WordFilter {
    /// Looks for the words of these texts, whatever is between them, in the tags of exactly that name; `negated`: no such
    /// tag.
    pub fn new(name: String, texts: &[String], which: Words, negated: bool) -> WordFilter {
        let words = texts.iter().flat_map(|text| words(text)).collect();
        WordFilter { name, words, which, negated }
    }

    /// How many words it looks for. None is found nowhere.
    pub fn len(&self) -> usize {
        self.words.len()
    }

    /// Whether it looks for nothing.
    pub fn is_empty(&self) -> bool {
        self.words.is_empty()
    }

    /// Exactly this name.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// All words or any.
    pub fn which(&self) -> Words {
        self.which
    }

    /// Whether there must be no such tag.
    pub fn is_negated(&self) -> bool {
        self.negated
    }

    /// The words that it looks for, in lower case.
    pub fn words(&self) -> impl Iterator<Item = String> + '_ {
        self.words.iter().map(|word| word.iter().collect())
    }

    /// Whether it holds for an item.
    pub fn holds(&self, item: &Item) -> bool {
        item.tags.all(&self.name).any(|value| self.is_in(value)) != self.negated
    }

    fn is_in(&self, value: &str) -> bool {
        let there: Vec<Vec<char>> = words(value).collect();
        let mut found = self.words.iter().map(|word| there.iter().any(|other| is_roughly(word, other)));
        match self.which {
            _ if self.words.is_empty() => false,
            Words::All => found.all(|found| found),
            Words::Any => found.any(|found| found),
        }
    }
}

/// What is between anything but letters and digits, in lower case.
fn words(text: &str) -> impl Iterator<Item = Vec<char>> + '_ {
    let words = text.split(|c: char| !c.is_alphanumeric()).filter(|word| !word.is_empty());
    words.map(|word| word.chars().flat_map(char::to_lowercase).take(LETTERS_MAX).collect())
}

/// Whether two words are the same but for slips: none in a word of up to two letters, one in up to five, else two, as
/// search engines have it.
fn is_roughly(word: &[char], other: &[char]) -> bool {
    let slips = match word.len() {
        0..=2 => 0,
        3..=5 => 1,
        _ => 2,
    };
    word == other || (word.len().abs_diff(other.len()) <= slips && slips_between(word, other, slips) <= slips)
}

/// Letters to add, leave out, replace, or swap with their neighbour, to make one word of another: exact up to `max`.
/// More than that a letter cannot be away from its place, so no more is looked at.
fn slips_between(word: &[char], other: &[char], max: usize) -> usize {
    const FAR: usize = usize::MAX / 2;
    let width = other.len() + 1;
    let (mut before, mut row, mut next) =
        (vec![FAR; width], (0..width).collect::<Vec<_>>(), vec![FAR; width]);
    for (i, letter) in word.iter().enumerate() {
        next.fill(FAR);
        next[0] = i + 1;
        for j in i.saturating_sub(max)..other.len().min(i + max + 1) {
            let replaced = row[j] + usize::from(*letter != other[j]);
            next[j + 1] = replaced.min(row[j + 1] + 1).min(next[j] + 1);
            let is_swap = i > 0 && j > 0 && word[i - 1] == other[j] && other[j - 1] == *letter;
            if is_swap {
                next[j + 1] = next[j + 1].min(before[j - 1] + 1);
            }
        }
        std::mem::swap(&mut before, &mut row);
        std::mem::swap(&mut row, &mut next);
    }
    row[other.len()]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(texts: &[&str], which: Words, holds: &[&str], fails: &[&str]) {
        let texts: Vec<String> = texts.iter().map(ToString::to_string).collect();
        let filter = WordFilter::new("Title".to_owned(), &texts, which, false);
        holds.iter().for_each(|value| assert!(filter.is_in(value), "{texts:?} {value:?}"));
        fails.iter().for_each(|value| assert!(!filter.is_in(value), "{texts:?} {value:?}"));
    }

    #[test]
    fn all_words_are_in_one_value_in_any_order() {
        check(
            &["Permanent storage"],
            Words::All,
            &["storage, permanent", "the PERMANENT web and its Storage!", "permanant storrage"],
            &["permanent", "storage", "temporary storage", ""],
        );
        check(&["permanent", "storage"], Words::All, &["storage/permanent"], &["permanent"]);
    }

    #[test]
    fn one_word_will_do() {
        check(&["cats dogs"], Words::Any, &["cat", "Dogs.", "two dgos"], &["birds", "", "do"]);
        check(&["", " - "], Words::Any, &[], &["", "-", "a"]);
        check(&["", " - "], Words::All, &[], &["", "-", "a"]);
    }

    #[test]
    fn short_words_are_what_they_are_and_long_ones_have_two_slips() {
        check(&["ao"], Words::Any, &["AO", "x ao"], &["a", "aos", "oa"]);
        check(&["cat"], Words::Any, &["cats", "cta", "at", "bat"], &["dog", "catch"]);
        check(
            &["arweave"],
            Words::Any,
            &["arwave", "awreave", "arweaves", "rweav"],
            &["weave4u", "aeweav3s"],
        );
        check(&["naïve Straße"], Words::All, &["STRASSE naive", "straße, naïve"], &["straße"]);
    }

    #[test]
    fn long_values_end() {
        let long = "x".repeat(1 << 16);
        check(&[&long], Words::Any, &[&long], &["y"]);
    }
}

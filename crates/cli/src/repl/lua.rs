//! What is known of Lua without asking a process: whether a text is finished, and what its tokens are.

use std::ops::Range;

use mlua::{Lua, LuaOptions, StdLib};

/// Words that are no names.
pub const KEYWORDS: [&str; 22] = [
    "and", "break", "do", "else", "elseif", "end", "false", "for", "function", "goto", "if", "in", "local",
    "nil", "not", "or", "repeat", "return", "then", "true", "until", "while",
];

/// The compiler of Lua 5.3, which is asked whether a text is finished. It runs nothing.
pub struct Compiler;

impl Compiler {
    /// Whether more has to be typed: the compiler came to the end of the text and missed something. What is wrong
    /// otherwise is finished: the process will say what is wrong with it.
    pub fn is_unfinished(&self, text: &str) -> bool {
        // Made anew each time: it takes less than a key press, and no state of Lua's moves between threads.
        let lua = Lua::new_with(StdLib::NONE, LuaOptions::default());
        let lua = lua.expect("a Lua without libraries always starts");
        let problem = |text: &str| match lua.load(text).set_name("=line").into_function() {
            Ok(_) => None,
            Err(mlua::Error::SyntaxError { message, .. }) => Some(message),
            Err(error) => Some(error.to_string()),
        };
        // As processes do: an expression is a script that returns it.
        let Some(as_expression) = problem(&format!("return {text}")) else { return false };
        let Some(as_statements) = problem(text) else { return false };
        // A text in quotes ends on its line: more lines would not help.
        let at_end = |said: &str| said.ends_with("near <eof>") && !said.contains("unfinished string");
        at_end(&as_statements) || at_end(&as_expression)
    }
}

/// A kind of token.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Token {
    /// One of [`KEYWORDS`].
    Keyword,
    /// A name.
    Name,
    /// Text in quotes or long brackets, finished or not.
    Text,
    /// A number.
    Number,
    /// To the end of the line, or in long brackets.
    Comment,
    /// Everything else, blanks included.
    Other,
}

/// All of a text, cut into tokens. Takes any text, finished or not.
pub fn tokens(text: &str) -> Vec<(Token, Range<usize>)> {
    let mut out: Vec<(Token, Range<usize>)> = Vec::new();
    let mut at = 0;
    while let Some(c) = text[at..].chars().next() {
        let rest = &text[at..];
        let (token, length) = match c {
            '-' if rest.starts_with("--") => (Token::Comment, comment(rest)),
            '"' | '\'' => (Token::Text, quoted(rest, c)),
            '[' if long(rest).is_some() => (Token::Text, long(rest).unwrap_or(1)),
            '0'..='9' => (Token::Number, number(rest)),
            c if c.is_alphabetic() || c == '_' => {
                let length = rest.find(|c: char| !c.is_alphanumeric() && c != '_').unwrap_or(rest.len());
                let keyword = KEYWORDS.contains(&&rest[..length]);
                (if keyword { Token::Keyword } else { Token::Name }, length)
            }
            c => (Token::Other, c.len_utf8()),
        };
        match out.last_mut() {
            Some((Token::Other, range)) if token == Token::Other => range.end = at + length,
            _ => out.push((token, at..at + length)),
        }
        at += length;
    }
    out
}

fn comment(text: &str) -> usize {
    match long(&text[2..]) {
        Some(length) => 2 + length,
        None => text.find('\n').unwrap_or(text.len()),
    }
}

/// The length of a long bracket at the beginning, to its end or the text's.
fn long(text: &str) -> Option<usize> {
    let level = text.strip_prefix('[')?.bytes().take_while(|b| *b == b'=').count();
    if !text[1 + level..].starts_with('[') {
        return None;
    }
    let end = format!("]{}]", "=".repeat(level));
    Some(text.find(&end).map_or(text.len(), |at| at + end.len()))
}

fn quoted(text: &str, quote: char) -> usize {
    let mut escaped = false;
    for (at, c) in text.char_indices().skip(1) {
        match c {
            _ if escaped => escaped = false,
            '\\' => escaped = true,
            '\n' => return at,
            c if c == quote => return at + 1,
            _ => {}
        }
    }
    text.len()
}

fn number(text: &str) -> usize {
    let mut before = ' ';
    for (at, c) in text.char_indices() {
        let sign =
            matches!(c, '+' | '-') && matches!(before, 'e' | 'E' | 'p' | 'P') && !text[..at].contains('x');
        if !(c.is_ascii_alphanumeric() || sign || (c == '.' && !text[at..].starts_with(".."))) {
            return at;
        }
        before = c;
    }
    text.len()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lua_itself_says_what_is_unfinished() {
        let lua = Compiler;
        for text in [
            "for i = 1, 3 do",
            "function f()",
            "x = {",
            "{ 1,",
            "1 +",
            "print(",
            "if a then b()",
            "x = [[ab",
            "return 1 +",
            "local function f() return",
            "f(function()",
            "--[[ not yet",
            "Handlers.add('a', function(m)\n  print(m)",
        ] {
            assert!(lua.is_unfinished(text), "{text:?} is finished");
        }
        for text in [
            "1 + 1",
            "x",
            "for i = 1, 3 do end",
            "x = = 1",
            "end",
            "\"open",
            "x = 'open",
            "local x <const> = 1",
            "",
            "   ",
            "return",
            "{1,2}",
            "print(1) print(2)",
            "f() return 1",
            "-- only this",
            "#Inbox",
            "a b",
        ] {
            assert!(!lua.is_unfinished(text), "{text:?} is unfinished");
        }
    }

    #[test]
    fn every_text_is_all_of_its_tokens() {
        let text = "local a = [==[ x ]] ]==] .. 'é\\'' -- end\nif b1 ~= 0x1F then c('open\n--[[ to the end";
        let found = tokens(text);
        let whole: String = found.iter().map(|(_, range)| &text[range.clone()]).collect();
        assert_eq!(whole, text);
        let of = |token| {
            found
                .iter()
                .filter(|(t, _)| *t == token)
                .map(|(_, range)| &text[range.clone()])
                .collect::<Vec<_>>()
        };
        assert_eq!(of(Token::Keyword), ["local", "if", "then"]);
        assert_eq!(of(Token::Text), ["[==[ x ]] ]==]", "'é\\''", "'open"]);
        assert_eq!(of(Token::Comment), ["-- end", "--[[ to the end"]);
        assert_eq!(of(Token::Number), ["0x1F"]);
        assert_eq!(of(Token::Name), ["a", "b1", "c"]);
    }
}

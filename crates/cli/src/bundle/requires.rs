//! Which modules a Lua text asks for, as far as it says so in a literal.

/// The names in `require "a"`, `require("a")` and `pcall(require, "a")`, in their order, each once. Comments and texts
/// are passed over. Never fails: what is no Lua is for Lua to say.
pub fn requires(text: &str) -> Vec<String> {
    let mut names: Vec<String> = Vec::new();
    let mut tokens = Tokens { rest: text }.peekable();
    // A field of that name is somebody else's function.
    let mut field = false;
    while let Some(token) = tokens.next() {
        if token == Token::Name("require") && !field {
            if matches!(tokens.peek(), Some(Token::Other('(' | ','))) {
                tokens.next();
            }
            if let Some(Token::Text(name)) = tokens.peek()
                && !names.contains(name)
            {
                names.push(name.clone());
            }
        }
        field = matches!(token, Token::Other('.' | ':'));
    }
    names
}

/// As much of Lua's words as is needed to tell code from texts and comments.
#[derive(Debug, PartialEq, Eq)]
enum Token<'a> {
    Name(&'a str),
    Text(String),
    Other(char),
}

struct Tokens<'a> {
    rest: &'a str,
}

impl<'a> Tokens<'a> {
    fn skip(&mut self, bytes: usize) {
        self.rest = self.rest.get(bytes..).unwrap_or_default();
    }

    /// The content of `[[…]]` or `[=[…]=]` if the rest begins so. One that does not end takes everything.
    fn long_bracket(&mut self) -> Option<&'a str> {
        let level = self.rest.strip_prefix('[')?.bytes().take_while(|byte| *byte == b'=').count();
        let inside = self.rest.get(1 + level..)?.strip_prefix('[')?;
        let close = format!("]{}]", "=".repeat(level));
        let content = match inside.find(&close) {
            Some(end) => {
                self.rest = &inside[end + close.len()..];
                &inside[..end]
            }
            None => {
                self.rest = "";
                inside
            }
        };
        Some(content.strip_prefix('\n').unwrap_or(content))
    }

    /// The content of a text in quotes, with the escapes that a name could have.
    fn quoted(&mut self, quote: char) -> String {
        let mut content = String::new();
        let mut characters = self.rest.char_indices().skip(1);
        while let Some((at, c)) = characters.next() {
            match c {
                '\\' => content.extend(characters.next().map(|(_, escaped)| escaped)),
                // It did not end: that is for Lua to say.
                '\n' => {
                    self.skip(at);
                    return content;
                }
                c if c == quote => {
                    self.skip(at + c.len_utf8());
                    return content;
                }
                c => content.push(c),
            }
        }
        self.rest = "";
        content
    }
}

impl<'a> Iterator for Tokens<'a> {
    type Item = Token<'a>;

    fn next(&mut self) -> Option<Token<'a>> {
        loop {
            self.rest = self.rest.trim_start();
            let Some(comment) = self.rest.strip_prefix("--") else { break };
            self.rest = comment;
            if self.long_bracket().is_none() {
                self.rest = comment.find('\n').map_or("", |end| &comment[end..]);
            }
        }
        let first = self.rest.chars().next()?;
        if first.is_ascii_alphabetic() || first == '_' {
            let end = self.rest.find(|c: char| !(c.is_ascii_alphanumeric() || c == '_'));
            let (name, rest) = self.rest.split_at(end.unwrap_or(self.rest.len()));
            self.rest = rest;
            return Some(Token::Name(name));
        }
        if first == '"' || first == '\'' {
            return Some(Token::Text(self.quoted(first)));
        }
        if let Some(content) = self.long_bracket() {
            return Some(Token::Text(content.to_owned()));
        }
        self.skip(first.len_utf8());
        Some(Token::Other(first))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(text: &str, names: &[&str]) {
        assert_eq!(requires(text), names, "{text}");
    }

    #[test]
    fn every_way_to_ask_is_seen() {
        check(r#"local a = require("a.b")"#, &["a.b"]);
        check("local a, b = require 'a', require [[b]]", &["a", "b"]);
        check("local ok, a = pcall(require, 'a')", &["a"]);
        check("require('a') require('a')", &["a"]);
        check("return {require\n('a')}", &["a"]);
    }

    #[test]
    fn what_only_looks_so_is_not() {
        check("-- require('a')\n--[==[ require('b')\n]] ]==] require('c')", &["c"]);
        check(r#"print("require('a')", [[require 'b']], 'it\'s require("c")')"#, &[]);
        check("app.require('a') app:require('b') requires('c') require(name)", &[]);
    }

    #[test]
    fn what_is_no_lua_is_survived() {
        for text in ["'", "[[", "--[[", "require(", "\\\"\u{e9}\\", "require '\\", "[=", "--[=\nrequire 'a'"]
        {
            requires(text);
        }
        check("x = 'open\nrequire 'a'", &["a"]);
    }
}

//! Colours while typing.

use nu_ansi_term::{Color, Style};
use reedline::{Highlighter, StyledText};

use super::lua::{Token, tokens};

/// Colours Lua; dot commands as a whole.
pub struct Colours;

impl Highlighter for Colours {
    fn highlight(&self, line: &str, _cursor: usize) -> StyledText {
        let mut text = StyledText::new();
        if line.starts_with('.') {
            let (name, rest) = line.split_at(line.find(char::is_whitespace).unwrap_or(line.len()));
            text.push((Style::new().fg(Color::Cyan), name.to_owned()));
            text.push((Style::new(), rest.to_owned()));
            return text;
        }
        for (token, range) in tokens(line) {
            // The sixteen colours that everybody's theme has.
            let style = match token {
                Token::Keyword => Style::new().fg(Color::Purple),
                Token::Text => Style::new().fg(Color::Green),
                Token::Number => Style::new().fg(Color::Yellow),
                Token::Comment => Style::new().fg(Color::DarkGray),
                Token::Name | Token::Other => Style::new(),
            };
            text.push((style, line[range].to_owned()));
        }
        text
    }
}

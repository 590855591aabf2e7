//! Reads the text form of selectors.

use super::{Operator, Requirement, Selector, SelectorError, SelectorProblem};
use crate::labels::Labels;

/// Whether a byte may stand in a word without quotes.
pub(super) fn is_bare(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || b"._/-:@+".contains(&byte) || !byte.is_ascii()
}

pub(super) fn selector(text: &str) -> Result<Selector, SelectorError> {
    if Selector::MAX_BYTES < text.len() {
        return Err(SelectorError {
            position: Selector::MAX_BYTES,
            problem: SelectorProblem::TooLong,
        });
    }
    let mut parser = Parser {
        text,
        at: 0,
        parts: 0,
    };
    let mut requirements = Vec::new();
    parser.skip_space();
    if parser.peek().is_none() {
        return Ok(Selector::default());
    }
    loop {
        requirements.push(parser.requirement()?);
        match parser.peek() {
            None => return Ok(requirements.into_iter().collect()),
            Some(',') => parser.advance(','),
            Some(_) => return Err(parser.unexpected("',' or the end")),
        }
    }
}

struct Parser<'a> {
    text: &'a str,
    at: usize,
    parts: usize,
}

impl<'a> Parser<'a> {
    fn requirement(&mut self) -> Result<Requirement, SelectorError> {
        self.skip_space();
        let absent = self.peek() == Some('!');
        if absent {
            self.advance('!');
        }
        let start = self.at;
        let key = self.word("a label's key")?;
        self.check_label(start, &key, "")?;
        let operator = if absent {
            Operator::Absent
        } else {
            self.operator()?
        };
        Ok(Requirement {
            key: key.into(),
            operator,
        })
    }

    fn operator(&mut self) -> Result<Operator, SelectorError> {
        let rest = &self.text[self.at..];
        if rest.is_empty() || rest.starts_with(',') {
            return Ok(Operator::Exists);
        }
        for (sign, equal) in [("==", true), ("=", true), ("!=", false)] {
            if rest.starts_with(sign) {
                self.at += sign.len();
                self.skip_space();
                let values = Box::new([self.value()?]);
                return Ok(if equal {
                    Operator::In(values)
                } else {
                    Operator::NotIn(values)
                });
            }
        }
        let start = self.at;
        match self.bare() {
            "in" => Ok(Operator::In(self.values()?)),
            "notin" => Ok(Operator::NotIn(self.values()?)),
            _ => {
                self.at = start;
                Err(self.unexpected("'=', '!=', 'in', 'notin', ',' or the end"))
            }
        }
    }

    fn values(&mut self) -> Result<Box<[Box<str>]>, SelectorError> {
        self.skip_space();
        if self.peek() != Some('(') {
            return Err(self.unexpected("'('"));
        }
        self.advance('(');
        let mut values = Vec::new();
        loop {
            values.push(self.value()?);
            match self.peek() {
                Some(',') => self.advance(','),
                Some(')') => {
                    self.advance(')');
                    return Ok(values.into());
                }
                _ => return Err(self.unexpected("',' or ')'")),
            }
        }
    }

    /// A value, which may be empty as in Kubernetes (`key=`).
    fn value(&mut self) -> Result<Box<str>, SelectorError> {
        if matches!(self.peek(), None | Some(',' | ')')) {
            self.count_part()?;
            return Ok("".into());
        }
        let start = self.at;
        let value = self.word("a value")?;
        self.check_label(start, "key", &value)?;
        Ok(value.into())
    }

    fn word(&mut self, wanted: &'static str) -> Result<String, SelectorError> {
        self.count_part()?;
        let word = if self.peek() == Some('"') {
            self.quoted()?
        } else {
            self.bare().to_owned()
        };
        if word.is_empty() && !self.text[..self.at].ends_with('"') {
            return Err(self.unexpected(wanted));
        }
        self.skip_space();
        Ok(word)
    }

    fn bare(&mut self) -> &'a str {
        let rest = &self.text[self.at..];
        let end = rest
            .bytes()
            .position(|byte| !is_bare(byte))
            .unwrap_or(rest.len());
        self.at += end;
        &rest[..end]
    }

    fn quoted(&mut self) -> Result<String, SelectorError> {
        let start = self.at;
        let mut word = String::new();
        let mut chars = self.text[start..].char_indices().skip(1);
        while let Some((offset, c)) = chars.next() {
            match c {
                '"' => {
                    self.at = start + offset + 1;
                    return Ok(word);
                }
                '\\' => match chars.next() {
                    Some((_, escaped @ ('"' | '\\'))) => word.push(escaped),
                    _ => {
                        return Err(SelectorError {
                            position: start + offset,
                            problem: SelectorProblem::BadEscape,
                        });
                    }
                },
                _ => word.push(c),
            }
        }
        Err(SelectorError {
            position: start,
            problem: SelectorProblem::UnclosedQuote,
        })
    }

    fn check_label(&self, position: usize, key: &str, value: &str) -> Result<(), SelectorError> {
        Labels::check(key, value).map_err(|label| SelectorError {
            position,
            problem: SelectorProblem::Label(label),
        })
    }

    fn count_part(&mut self) -> Result<(), SelectorError> {
        self.parts += 1;
        if Selector::MAX_PARTS < self.parts {
            return Err(SelectorError {
                position: self.at,
                problem: SelectorProblem::TooLarge,
            });
        }
        Ok(())
    }

    fn peek(&self) -> Option<char> {
        self.text[self.at..].chars().next()
    }

    fn advance(&mut self, over: char) {
        self.at += over.len_utf8();
        self.skip_space();
    }

    fn skip_space(&mut self) {
        let rest = &self.text[self.at..];
        self.at += rest.len() - rest.trim_start_matches([' ', '\t', '\n', '\r']).len();
    }

    fn unexpected(&self, wanted: &'static str) -> SelectorError {
        let found = self
            .peek()
            .map_or_else(|| "the end".to_owned(), |c| format!("{c:?}"));
        SelectorError {
            position: self.at,
            problem: SelectorProblem::Unexpected { wanted, found },
        }
    }
}

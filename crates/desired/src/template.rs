//! Bodies that are written anew for each agent: Jinja, with the agent's labels and with variables.
//!
//! A template sees `agent.uid`, `agent.labels` and `vars`, and of these just the names that [`uses_with`] found in its text:
//! what it makes follows from nothing else, so that these values are the key of what it made. A name without a value is
//! an error. What rendering may cost is limited, whatever the template says: fuel bounds steps and what they make, [`shapes`]
//! the size of what is made of shared parts.
//!
//! Left out: one template cannot read another, and nothing in it can be changed once it is set (`namespace`): values
//! that grow with every turn of a loop have no bound.

mod engine;
mod names;
mod rendered;
mod shapes;
mod text;

use otelcol::Position;

pub(crate) use engine::Compiled;
pub(crate) use names::{check_values, uses_with};
pub(crate) use rendered::{Places, Rendered};

/// What is wrong with a template, or with what it is given.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{at}: {message}")]
pub struct TemplateError {
    /// Where in the template.
    pub at: Position,
    /// What is wrong there, and what to do.
    pub message: String,
    /// Whether a variable has no value.
    pub(crate) lacks_variable: bool,
}

/// Positions of a text by byte offsets.
#[derive(Debug)]
struct Lines<'t> {
    text: &'t str,
    /// Where each line begins.
    starts: Vec<usize>,
}

impl<'t> Lines<'t> {
    fn of(text: &'t str) -> Self {
        let after_breaks = text.match_indices('\n').map(|(place, _)| place + 1);
        let starts = std::iter::once(0).chain(after_breaks).collect();
        Self { text, starts }
    }

    /// The place of a byte; of one behind the end: the end.
    fn position(&self, offset: usize) -> Position {
        let offset = self.text.floor_char_boundary(offset.min(self.text.len()));
        let line = self.starts.partition_point(|start| *start <= offset);
        let before = self
            .starts
            .get(line.wrapping_sub(1))
            .map_or("", |start| &self.text[*start..offset]);
        Position {
            offset: clamped(offset),
            line: clamped(line),
            column: clamped(before.chars().count() + 1),
        }
    }
}

fn clamped(number: usize) -> u32 {
    u32::try_from(number).unwrap_or(u32::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bytes_have_lines_and_columns_in_characters() {
        let lines = Lines::of("aé\n\nxyz");
        let place = |offset| {
            let Position { line, column, .. } = lines.position(offset);
            (line, column)
        };
        assert_eq!((place(0), place(1), place(3)), ((1, 1), (1, 2), (1, 3)));
        // The second byte of a character is that character.
        assert_eq!(place(2), (1, 2));
        assert_eq!((place(4), place(5), place(7)), ((2, 1), (3, 1), (3, 3)));
        assert_eq!(place(99), (3, 4));
        assert_eq!(Lines::of("").position(0).line, 1);
    }
}

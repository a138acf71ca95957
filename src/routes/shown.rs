//! The line that a problem is shown with: where it is, how much of it fits, what it hides.
//!
//! This file decides how lines and columns are counted and how a mask is put into a line. It must
//! not know why a stretch is hidden.

use std::ops::Range;

use super::page::Span;
use super::problem::Place;

/// What stands in a shown line where a secret may be.
const MASK: &str = "…";
/// How much of a line is shown on either side of the place that is meant, in bytes.
const CONTEXT_BYTES_MAX: usize = 240;

/// Counts lines from the top of a file downwards: spans must come in order of their start, and the
/// file is walked once however many there are.
pub(super) struct LineCounter<'t> {
    text: &'t str,
    line: usize,
    line_start: usize,
    column: usize,
    /// Up to where `line` and `column` have counted.
    counted: usize,
}

impl<'t> LineCounter<'t> {
    pub(super) fn new(text: &'t str) -> Self {
        Self { text, line: 1, line_start: 0, column: 1, counted: 0 }
    }

    /// Finds the line of a span and hides what is masked in it. A span over several lines is shown
    /// by its first.
    pub(super) fn place(&mut self, span: Span, masks: &[Span]) -> Place {
        let offset = floor_boundary(self.text, span.start).max(self.counted);
        let mut between = self.text.get(self.counted..offset).unwrap_or_default();
        if let Some(newline) = between.rfind('\n') {
            self.line += between.bytes().filter(|byte| *byte == b'\n').count();
            self.line_start = self.counted + newline + 1;
            self.column = 1;
            between = between.get(newline + 1..).unwrap_or_default();
        }
        self.column += between.chars().count();
        self.counted = offset;

        let rest = self.text.get(offset..).unwrap_or_default();
        let rest = rest.get(..floor_boundary(rest, CONTEXT_BYTES_MAX)).unwrap_or_default();
        let rest = rest.split('\n').next().unwrap_or_default();
        let line_end = offset + rest.strip_suffix('\r').unwrap_or(rest).len();
        let window = ceil_boundary(self.text, offset.saturating_sub(CONTEXT_BYTES_MAX));
        let end = floor_boundary(self.text, span.end).clamp(offset, line_end);
        let shown = self.line_start.max(window)..line_end;
        let (text, marked) = masked(self.text, shown, offset..end, masks);
        Place { line: self.line, column: self.column, text, marked }
    }
}

/// A line with its masks put in, and where the marked bytes have gone. `masks` is sorted.
fn masked(
    text: &str,
    line: Range<usize>,
    marked: Range<usize>,
    masks: &[Span],
) -> (String, Range<usize>) {
    let mut pieces = Vec::new();
    let mut from = line.start;
    for mask in masks.iter().filter(|mask| mask.end > line.start && mask.start < line.end) {
        let (start, end) = (mask.start.max(from), mask.end.min(line.end));
        if start < end {
            pieces.push((from..start, false));
            pieces.push((start..end, true));
            from = end;
        }
    }
    pieces.push((from..line.end, false));

    let mut shown = String::new();
    let mut moved = None::<usize>..None::<usize>;
    for (piece, hidden) in pieces {
        let at = shown.len();
        shown.push_str(if hidden { MASK } else { text.get(piece.clone()).unwrap_or_default() });
        if (piece.start..=piece.end).contains(&marked.start) {
            // The last piece that touches the start is the one that begins with it.
            moved.start = Some(if hidden { at } else { at + (marked.start - piece.start) });
        }
        if (piece.start..=piece.end).contains(&marked.end) && moved.end.is_none() {
            moved.end = Some(if hidden { shown.len() } else { at + (marked.end - piece.start) });
        }
    }
    let end = moved.end.unwrap_or(shown.len());
    let start = moved.start.unwrap_or(0).min(end);
    (shown, start..end)
}

/// Whether a character makes a terminal or a page show something else than is written: control
/// characters, ends of lines, marks of direction, and what has no width (UAX #9, UTR #36).
pub(super) fn misleads(c: char) -> bool {
    c.is_control()
        || matches!(
            c,
            '\u{AD}' | '\u{61C}' | '\u{180E}' | '\u{200B}'..='\u{200F}' | '\u{2028}'..='\u{202E}'
                | '\u{2060}'..='\u{206F}' | '\u{FEFF}' | '\u{FFF9}'..='\u{FFFB}'
                | '\u{E0000}'..='\u{E007F}'
        )
}

/// The nearest place at or before `offset` where a character begins.
fn floor_boundary(text: &str, offset: usize) -> usize {
    let offset = offset.min(text.len());
    (0..=offset).rev().find(|at| text.is_char_boundary(*at)).unwrap_or(0)
}

/// The nearest place at or after `offset` where a character begins.
fn ceil_boundary(text: &str, offset: usize) -> usize {
    (offset..=text.len()).find(|at| text.is_char_boundary(*at)).unwrap_or(text.len())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(text: &str, marked: &str, secret: &[&str]) -> (String, String) {
        let find = |part: &str| {
            let start = text.find(part).unwrap();
            start..start + part.len()
        };
        let masks: Vec<_> = secret.iter().map(|part| Span::from(find(part))).collect();
        let (shown, moved) = masked(text, 0..text.len(), find(marked), &masks);
        let under = shown[moved].to_owned();
        (shown, under)
    }

    #[test]
    fn a_mask_hides_and_the_caret_follows() {
        let text = "a = \"secret\", b = 1";
        let shown = "a = …, b = 1".to_owned();
        assert_eq!(check(text, "b", &["\"secret\""]), (shown.clone(), "b".to_owned()));
        assert_eq!(check(text, "a", &["\"secret\""]), (shown.clone(), "a".to_owned()));
        assert_eq!(check(text, "\"secret\"", &["\"secret\""]), (shown.clone(), "…".to_owned()));
        assert_eq!(check(text, text, &["\"secret\""]), (shown.clone(), shown.clone()));
        assert_eq!(check(text, "ecre", &["\"secret\"", "cret"]).0, shown);
        let both = check("x = \"one\", y = \"two\", z", "z", &["\"one\"", "\"two\""]);
        assert_eq!(both, ("x = …, y = …, z".to_owned(), "z".to_owned()));
    }

    #[test]
    fn a_long_line_is_shown_around_the_place_that_is_meant() {
        let text = format!("{}here{}", "ä".repeat(100_000), "ö".repeat(100_000));
        let start = text.find("here").unwrap();
        let place = LineCounter::new(&text).place((start..start + 4).into(), &[]);
        assert_eq!((place.line, place.column), (1, 100_001));
        assert_eq!(&place.text[place.marked], "here");
        assert!(place.text.len() <= 2 * CONTEXT_BYTES_MAX);
    }

    #[test]
    fn lines_and_columns_count_from_one_in_characters() {
        let text = "first\r\näö = 1\n\nlast";
        let mut counter = LineCounter::new(text);
        for (part, line, column, shown) in
            [("irst", 1, 2, "first"), ("= 1", 2, 4, "äö = 1"), ("last", 4, 1, "last")]
        {
            let start = text.find(part).unwrap();
            let place = counter.place((start..start + part.len()).into(), &[]);
            assert_eq!((place.line, place.column, place.text.as_str()), (line, column, shown));
            assert_eq!(&place.text[place.marked], part);
        }
    }
}

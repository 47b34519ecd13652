//! Rows as text that fits a width.

use serde_json::Value;
use unicode_width::{UnicodeWidthChar as _, UnicodeWidthStr as _};

/// Below this a column tells nothing any more.
const NARROWEST: usize = 12;
const GAP: &str = "  ";

/// A column: its title, and whether its values are numbers, which stand to the right.
pub(crate) struct Column {
    pub title: String,
    pub numeric: bool,
}

/// Writes rows under their titles. Columns that do not fit are shortened, the widest first, but numbers never; where even
/// that does not do, each row becomes a block of lines.
pub(crate) fn render(columns: &[Column], rows: &[Vec<String>], width: usize) -> String {
    match shrunk(columns, rows, width) {
        Some(widths) => grid(columns, rows, &widths),
        None => blocks(columns, rows, width),
    }
}

/// Whether there is room for the rows side by side, if need be shortened.
pub(crate) fn fits(columns: &[Column], rows: &[Vec<String>], width: usize) -> bool {
    shrunk(columns, rows, width).is_some()
}

/// What the rows take when nothing is shortened.
pub(crate) fn natural_width(columns: &[Column], rows: &[Vec<String>]) -> usize {
    sum(&natural(columns, rows))
}

/// What each column takes.
fn natural(columns: &[Column], rows: &[Vec<String>]) -> Vec<usize> {
    let columns = columns.iter().enumerate();
    columns.map(|(at, column)| widest_cell(rows, at).max(column.title.width())).collect()
}

fn widest_cell(rows: &[Vec<String>], at: usize) -> usize {
    rows.iter().filter_map(|row| row.get(at)).map(|cell| cell.width()).max().unwrap_or(0)
}

/// Columns beside each other.
fn sum(widths: &[usize]) -> usize {
    widths.iter().sum::<usize>() + GAP.len() * widths.len().saturating_sub(1)
}

/// Widths that fit, or `None` where columns would get too narrow.
fn shrunk(columns: &[Column], rows: &[Vec<String>], width: usize) -> Option<Vec<usize>> {
    let mut widths = natural(columns, rows);
    let least = |(at, column): (usize, &Column)| match column.numeric {
        true => widest_cell(rows, at).max(NARROWEST),
        false => NARROWEST,
    };
    let least: Vec<usize> = columns.iter().enumerate().map(least).collect();
    while sum(&widths) > width {
        let wide = widths.iter_mut().zip(&least).filter(|(width, least)| **width > **least);
        let (widest, _) = wide.max_by_key(|(width, _)| **width)?;
        *widest -= 1;
    }
    Some(widths)
}

fn grid(columns: &[Column], rows: &[Vec<String>], widths: &[usize]) -> String {
    let titles: Vec<String> = columns.iter().map(|column| column.title.clone()).collect();
    let mut text = String::new();
    for row in std::iter::once(&titles).chain(rows) {
        let cells = row.iter().zip(columns).zip(widths);
        let cells: Vec<String> =
            cells.map(|((cell, column), width)| fitted(cell, *width, column.numeric)).collect();
        text.push_str(cells.join(GAP).trim_end());
        text.push('\n');
    }
    text
}

fn blocks(columns: &[Column], rows: &[Vec<String>], width: usize) -> String {
    let titles = columns.iter().map(|column| column.title.width()).max().unwrap_or(0).min(width / 3);
    let values = width.saturating_sub(titles + GAP.len());
    let mut text = String::new();
    for (number, row) in rows.iter().enumerate() {
        if number > 0 {
            text.push('\n');
        }
        for (column, cell) in columns.iter().zip(row) {
            let line =
                format!("{}{GAP}{}", fitted(&column.title, titles, false), fitted(cell, values, false));
            text.push_str(line.trim_end());
            text.push('\n');
        }
    }
    text
}

/// Without what would move the cursor, change how the terminal draws, or reorder what is read: senders choose what stands in a
/// label. Written as PromQL reads it.
pub(crate) fn harmless(cell: &str) -> String {
    let mut text = String::with_capacity(cell.len());
    for character in cell.chars() {
        match character {
            '\n' => text.push_str("\\n"),
            '\t' => text.push_str("\\t"),
            '\r' => text.push_str("\\r"),
            '\0'..='\u{1f}' | '\u{7f}' => text.push_str(&format!("\\x{:02x}", u32::from(character))),
            unseen if is_unseen(unseen) => text.push_str(&format!("\\u{:04x}", u32::from(unseen))),
            other => text.push(other),
        }
    }
    text
}

/// Whether a character controls the terminal or the direction in which text is read.
fn is_unseen(c: char) -> bool {
    c.is_control()
        || matches!(c, '\u{61c}' | '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2060}'..='\u{2069}' | '\u{feff}')
}

/// Exactly `width` columns: padded, or cut with an ellipsis.
pub(crate) fn fitted(cell: &str, width: usize, right: bool) -> String {
    let cell = harmless(cell);
    let cell = if cell.width() <= width { cell } else { cut(&cell, width) };
    let padding = " ".repeat(width.saturating_sub(cell.width()));
    if right { padding + &cell } else { cell + &padding }
}

fn cut(cell: &str, width: usize) -> String {
    let mut kept = String::new();
    let mut used = 0;
    for character in cell.chars() {
        let wide = character.width().unwrap_or(0);
        if used + wide + 1 > width {
            break;
        }
        used += wide;
        kept.push(character);
    }
    kept.push('…');
    kept
}

/// A value of a JSON answer as people read it.
pub(crate) fn shown(value: Option<&Value>) -> String {
    match value {
        None | Some(Value::Null) => "–".to_owned(),
        Some(Value::String(text)) => text.clone(),
        Some(Value::Object(fields)) => {
            let pairs: Vec<String> =
                fields.iter().map(|(name, value)| format!("{name}={}", shown(Some(value)))).collect();
            format!("{{{}}}", pairs.join(", "))
        }
        Some(other) => other.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn column(title: &str, numeric: bool) -> Column {
        Column { title: title.to_owned(), numeric }
    }

    fn row(cells: &[&str]) -> Vec<String> {
        cells.iter().map(|cell| (*cell).to_owned()).collect()
    }

    #[test]
    fn numbers_stand_to_the_right() {
        let columns = [column("job", false), column("n", true)];
        let text = render(&columns, &[row(&["shop", "7"]), row(&["db", "1234"])], 80);
        assert_eq!(text, "job      n\nshop     7\ndb    1234\n");
    }

    #[test]
    fn the_widest_column_gives_way() {
        let columns = [column("name", false), column("value", true)];
        let text = render(&columns, &[row(&[&"x".repeat(100), "1"])], 40);
        assert!(text.lines().all(|line| line.width() <= 40), "{text}");
        assert!(text.contains('…') && text.ends_with("    1\n"), "{text}");
    }

    #[test]
    fn a_number_is_never_cut() {
        let number = "1.2345678901234567e+30";
        let columns = [column("name", false), column("a value with a long title", true)];
        let beside = render(&columns, &[row(&["a long name of something", number])], 40);
        assert!(beside.contains(&format!("a long name of …  {number}\n")), "{beside}");
        let columns =
            ["name", "zone"].map(|title| column(title, false)).into_iter().chain([column("n", true)]);
        let name = "x".repeat(20);
        let below = render(&columns.collect::<Vec<_>>(), &[row(&[&name, &name, number])], 40);
        assert!(below.ends_with(&format!("n     {number}\n")), "{below}");
    }

    #[test]
    fn too_many_columns_become_blocks() {
        let columns: Vec<Column> = (0..20).map(|at| column(&format!("column_{at}"), false)).collect();
        let cells: Vec<String> = (0..20).map(|at| format!("value {at}")).collect();
        let text = render(&columns, &[cells.clone(), cells], 80);
        assert!(text.lines().all(|line| line.width() <= 80), "{text}");
        assert_eq!(text.lines().count(), 41);
        assert!(text.starts_with("column_0   value 0\n"), "{text}");
    }

    #[test]
    fn wide_characters_and_line_breaks_keep_the_grid() {
        let columns = [column("text", false), column("n", true)];
        let text = render(&columns, &[row(&["監視\nここ", "1"]), row(&["ab", "2"])], 80);
        let ends: Vec<usize> = text.lines().map(|line| line.width()).collect();
        assert!(ends.iter().all(|end| *end == ends[0]), "{text}");
    }
}

//! How numbers and tables are written for people.

use crate::{Db10, MUTE};

/// `-14.0 dB`, or `silent`.
pub(crate) fn decibels(gain: Db10) -> String {
    if gain <= MUTE {
        return "silent".to_owned();
    }
    format!("{:.1} dB", f64::from(gain) / 10.0)
}

/// Lines of equal columns; the last column isn't padded.
pub(crate) fn aligned<const N: usize>(head: [&str; N], rows: Vec<[String; N]>) -> String {
    let all: Vec<[String; N]> = std::iter::once(head.map(str::to_owned)).chain(rows).collect();
    let width = |column: usize| all.iter().map(|row| row[column].chars().count()).max().unwrap_or(0);
    let widths: Vec<usize> = (0..N).map(width).collect();
    let mut text = String::new();
    for row in &all {
        let mut line = String::new();
        for (cell, width) in row.iter().zip(&widths) {
            line += cell;
            line.extend(std::iter::repeat_n(' ', width + 2 - cell.chars().count()));
        }
        text += line.trim_end();
        text.push('\n');
    }
    text
}

//! What a gateway or converter makes of connection formats.

use serde::{Deserialize, Serialize};

/// A conversion matrix: row-major, rows = formats of its sink, columns = formats of its source.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Conversion {
    sink_formats: Vec<u16>,
    source_formats: Vec<u16>,
    matrix: Vec<bool>,
}

impl Conversion {
    /// `None` where the matrix is not as long as the product of its sides.
    pub fn new(sink_formats: Vec<u16>, source_formats: Vec<u16>, matrix: Vec<bool>) -> Option<Self> {
        (sink_formats.len().checked_mul(source_formats.len()) == Some(matrix.len())).then_some(Self {
            sink_formats,
            source_formats,
            matrix,
        })
    }

    /// Whatever arrives can leave as anything.
    pub fn whole(sink_formats: &[u16], source_formats: &[u16]) -> Self {
        Self {
            sink_formats: sink_formats.to_vec(),
            source_formats: source_formats.to_vec(),
            matrix: vec![true; sink_formats.len() * source_formats.len()],
        }
    }

    /// Whether what arrives as `sink` can leave as `source`.
    pub fn converts(&self, sink: u16, source: u16) -> bool {
        let row = |row: usize| {
            let columns = self.source_formats.len();
            self.matrix.get(row * columns..(row + 1) * columns).unwrap_or_default()
        };
        let rows = self
            .sink_formats
            .iter()
            .enumerate()
            .filter(|(_, format)| **format == sink);
        let mut cells = rows.flat_map(|(index, _)| self.source_formats.iter().zip(row(index)));
        cells.any(|(format, cell)| *format == source && *cell)
    }

    /// Formats of its sink, those of its source, and the matrix.
    pub fn parts(&self) -> (&[u16], &[u16], &[bool]) {
        (&self.sink_formats, &self.source_formats, &self.matrix)
    }

    /// Formats of its sink.
    pub fn rows(&self) -> usize {
        self.sink_formats.len()
    }

    /// Formats of its source.
    pub fn columns(&self) -> usize {
        self.source_formats.len()
    }

    /// Whether it converts anything at all.
    pub fn any(&self) -> bool {
        self.matrix.contains(&true)
    }
}

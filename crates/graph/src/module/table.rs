//! A summary as text.

use std::fmt;

use super::summary::{LayerSummary, Summary};

const TITLES: [&str; 6] = ["layer", "type", "output", "parameters", "multiply-adds", "output bytes"];
/// The columns of numbers, which are aligned at the right.
const FIRST_NUMBER: usize = 3;
/// Between columns.
const GAP: usize = 2;

impl fmt::Display for Summary {
    /// A row for each layer, and the sums.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let rows: Vec<[String; 6]> =
            std::iter::once(TITLES.map(String::from)).chain(self.layers.iter().map(|layer| self.row(layer))).collect();
        let width = |column: usize| rows.iter().map(|row| row[column].chars().count()).max().unwrap_or(0);
        let widths: Vec<usize> = (0..TITLES.len()).map(width).collect();
        let rule = "─".repeat(widths.iter().sum::<usize>() + GAP * (TITLES.len() - 1));
        for (i, row) in rows.iter().enumerate() {
            let cells = row.iter().zip(&widths).enumerate().map(|(column, (cell, width))| match column {
                column if column < FIRST_NUMBER => format!("{cell:width$}"),
                _ => format!("{cell:>width$}"),
            });
            writeln!(f, "{}", cells.collect::<Vec<_>>().join(&" ".repeat(GAP)).trim_end())?;
            if i == 0 {
                writeln!(f, "{rule}")?;
            }
        }
        writeln!(f, "{rule}")?;
        let (all, trainable) = (self.params(), self.trainable());
        let (all, trainable, frozen) =
            (grouped(all as u64), grouped(trainable as u64), grouped((all - trainable) as u64));
        writeln!(f, "parameters     {all} ({trainable} trainable, {frozen} frozen)")?;
        writeln!(f, "multiply-adds  {}", grouped(self.multiply_adds()))?;
        let [input, outputs, params] = [self.input_bytes, self.output_bytes(), self.param_bytes()].map(bytes);
        write!(f, "memory         input {input}, outputs {outputs}, parameters {params}")
    }
}

impl Summary {
    fn row(&self, layer: &LayerSummary) -> [String; 6] {
        let above = self.layers.iter().filter(|outer| outer.depth < layer.depth && outer.has(&layer.name)).last();
        let above = above.map_or("", |outer| outer.name.as_str());
        let name = layer.name.strip_prefix(above).unwrap_or(&layer.name).trim_start_matches('.');
        let name = if layer.depth == 0 { "(model)" } else { name };
        let number = |n: u64| if n == 0 { "-".into() } else { grouped(n) };
        [
            format!("{:1$}{name}", "", 2 * layer.depth),
            layer.kind.into(),
            layer.output.as_ref().map_or("-".into(), |shape| format!("{shape:?}")),
            number(layer.params as u64),
            number(layer.multiply_adds),
            if layer.output_bytes == 0 { "-".into() } else { bytes(layer.output_bytes) },
        ]
    }
}

/// A number with commas between thousands.
fn grouped(n: u64) -> String {
    let digits = n.to_string();
    let commas = |(i, digit): (usize, char)| {
        let comma = i > 0 && (digits.len() - i).is_multiple_of(3);
        comma.then_some(',').into_iter().chain([digit])
    };
    digits.chars().enumerate().flat_map(commas).collect()
}

fn bytes(n: usize) -> String {
    match n {
        n if n < 1 << 10 => format!("{n} B"),
        n if n < 1 << 20 => format!("{:.1} KiB", n as f64 / 1024.0),
        n => format!("{:.1} MiB", n as f64 / f64::from(1 << 20)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn thousands_are_told_apart() {
        assert_eq!([0, 7, 999, 1000, 1_234_567].map(grouped), ["0", "7", "999", "1,000", "1,234,567"]);
        assert_eq!([0, 1023, 1536, 3 << 20].map(bytes), ["0 B", "1023 B", "1.5 KiB", "3.0 MiB"]);
    }
}

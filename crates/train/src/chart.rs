//! Lines over two axes, as SVG.

use std::fmt;

use plotters::{
    coord::ranged1d::{AsRangedCoord, ValueFormatter},
    prelude::*,
};
use thalweg_graph::{Error, ErrorKind, Result};

/// Width and height of the picture, in pixels.
const SIZE: (u32, u32) = (800, 480);

/// What stands around the lines.
pub(crate) struct Chart<'a> {
    pub title: &'a str,
    pub x: &'a str,
    pub y: &'a str,
    /// Where the names of the lines stand, if they do.
    pub legend: Option<SeriesLabelPosition>,
}

/// A line and its name.
pub(crate) struct Line<'a> {
    pub name: &'a str,
    pub color: RGBColor,
    pub points: Vec<(f64, f64)>,
}

impl Chart<'_> {
    /// The picture, over these ranges of the axes.
    #[track_caller]
    pub fn svg<X, Y>(&self, x: X, y: Y, lines: Vec<Line>) -> Result<String>
    where
        X: AsRangedCoord<Value = f64>,
        Y: AsRangedCoord<Value = f64>,
        X::CoordDescType: ValueFormatter<f64>,
        Y::CoordDescType: ValueFormatter<f64>,
    {
        let mut text = String::new();
        // Not `map_err`: the caller's position does not go through a closure.
        match self.draw(&mut text, x, y, lines) {
            Ok(()) => Ok(text),
            Err(e) => Err(Error::new("chart", ErrorKind::Invalid(format!("cannot be drawn: {e}")))),
        }
    }

    fn draw<X, Y>(&self, text: &mut String, x: X, y: Y, lines: Vec<Line>) -> Result<(), Box<dyn std::error::Error>>
    where
        X: AsRangedCoord<Value = f64>,
        Y: AsRangedCoord<Value = f64>,
        X::CoordDescType: ValueFormatter<f64>,
        Y::CoordDescType: ValueFormatter<f64>,
    {
        let area = SVGBackend::with_string(text, SIZE).into_drawing_area();
        area.fill(&WHITE)?;
        let mut chart = ChartBuilder::on(&area)
            .caption(self.title, ("sans-serif", 20))
            .margin(12)
            .x_label_area_size(40)
            .y_label_area_size(64)
            .build_cartesian_2d(x, y)?;
        chart.configure_mesh().x_desc(self.x).y_desc(self.y).light_line_style(WHITE).draw()?;
        for Line { name, color, points } in lines {
            let series = chart.draw_series(LineSeries::new(points, &color))?;
            series.label(name).legend(move |(x, y)| PathElement::new(vec![(x, y), (x + 16, y)], color));
        }
        if let Some(place) = &self.legend {
            let mut legend = chart.configure_series_labels();
            legend.position(place.clone()).background_style(WHITE).border_style(BLACK).draw()?;
        }
        area.present()?;
        Ok(())
    }
}

impl fmt::Debug for Chart<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.title)
    }
}

/// From the least to the largest of some positive numbers, for a logarithmic axis: never empty, and nowhere near where logarithms end.
pub(crate) fn logarithmic(values: impl Iterator<Item = f64> + Clone) -> std::ops::Range<f64> {
    let low = values.clone().fold(f64::INFINITY, f64::min).clamp(1e-12, 1e12);
    low..values.fold(0.0, f64::max).clamp(low * 1.01, 1e13)
}

//! Plots, as plain SVG.

mod bars;
mod curves;

pub(crate) use bars::bars;
pub(crate) use curves::curves;

use std::fmt::{self, Display, Write as _};

/// What the text of a plot is written in.
const FONT: &str = "font-family=\"system-ui, 'DejaVu Sans', Arial, sans-serif\"";

/// A drawing, from top to bottom on a white sheet.
struct Sheet(String);

impl Sheet {
    fn new(width: f64, height: f64) -> Self {
        Self(format!(
            "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {width} {height}\" width=\"{width}\" \
             height=\"{height}\" {FONT}>\n<rect width=\"100%\" height=\"100%\" fill=\"#ffffff\"/>\n"
        ))
    }

    fn add(&mut self, element: fmt::Arguments<'_>) {
        // Writing to a string cannot fail.
        let _ = self.0.write_fmt(element);
        self.0.push('\n');
    }

    fn text(&mut self, at: (f64, f64), size: u32, anchor: &str, more: &str, text: impl Display) {
        let (x, y) = at;
        let text = escape(&text.to_string());
        self.add(format_args!(
            "<text x=\"{x:.1}\" y=\"{y:.1}\" font-size=\"{size}\" text-anchor=\"{anchor}\" {more}>{text}</text>"
        ));
    }

    fn line(&mut self, from: (f64, f64), to: (f64, f64), stroke: &str) {
        let ((x1, y1), (x2, y2)) = (from, to);
        self.add(format_args!(
            "<line x1=\"{x1:.1}\" y1=\"{y1:.1}\" x2=\"{x2:.1}\" y2=\"{y2:.1}\" {stroke}/>"
        ));
    }

    fn finish(mut self) -> String {
        self.0.push_str("</svg>\n");
        self.0
    }
}

fn escape(text: &str) -> String {
    let text = text.replace('&', "&amp;");
    text.replace('<', "&lt;").replace('>', "&gt;")
}

/// From numbers to a place on the sheet, by their logarithms.
#[derive(Clone, Copy)]
struct Scale {
    /// The least and the largest number.
    numbers: (f64, f64),
    /// Where these are.
    places: (f64, f64),
}

impl Scale {
    fn place(self, number: f64) -> f64 {
        let (least, most) = self.numbers;
        let (from, to) = self.places;
        let part = (number.clamp(least, most) / least).ln() / (most / least).ln();
        from + (to - from) * part
    }
}

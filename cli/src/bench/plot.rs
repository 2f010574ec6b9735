//! Result files as an SVG: time against one of the dimensions, both logarithmic.

use std::collections::{BTreeMap, BTreeSet};
use std::io::{self, Write};
use std::path::{Path, PathBuf};

use plotters::prelude::*;

use super::args::Axis;
use super::cell::{Cell, load};
use super::output::named_op;
use crate::failure::{Failure, Result, note};
use crate::files::{Inputs, write_file};
use crate::shared_args::file_of;
use crate::shown::shown_path;

const SIZE: (u32, u32) = (960, 600);

/// Where 0 stands on a logarithmic axis of counts.
const ZERO: f64 = 0.1;

/// Told apart by people who see fewer colours too, the first eight (Okabe and Ito 2008, without yellow); all dark
/// enough for a white ground.
const COLORS: [RGBColor; 12] = [
    RGBColor(0, 114, 178),
    RGBColor(213, 94, 0),
    RGBColor(0, 158, 115),
    RGBColor(204, 121, 167),
    RGBColor(0, 0, 0),
    RGBColor(230, 159, 0),
    RGBColor(86, 180, 233),
    RGBColor(140, 86, 75),
    RGBColor(127, 127, 127),
    RGBColor(148, 103, 189),
    RGBColor(127, 0, 0),
    RGBColor(0, 90, 50),
];

/// Lines by what tells them apart.
type Series = BTreeMap<String, Vec<(f64, f64)>>;

pub(crate) fn run(output: &Path, files: &[PathBuf], axis: Axis) -> Result<()> {
    let file = file_of(Some(output));
    Inputs::of([file.map(Path::to_owned)], files.iter().map(PathBuf::as_path))?;
    let mut cells = Vec::new();
    for file in files {
        cells.extend(load(file)?);
    }
    let all = cells.len();
    cells.retain(|cell| axis.of(cell).is_some() && cell.time_us().is_some_and(|time| time > 0.0));
    if cells.is_empty() {
        return Err(Failure::Failed(format!(
            "none of {all} cells has a time and {}: choose another --x",
            axis.title()
        )));
    }
    if cells.len() < all {
        note!("note: {} cells have no time or no {}, and are left out", all - cells.len(), axis.title());
    }
    let svg = draw(&series(&cells, axis), axis)
        .map_err(|error| Failure::Failed(format!("drawing {}: {error}", shown_path(output))))?;
    match file {
        Some(file) => write_file(file, svg.as_bytes()),
        None => io::stdout().write_all(svg.as_bytes()).map_err(|error| Failure::writing(&error)),
    }
}

impl Axis {
    const fn title(self) -> &'static str {
        match self {
            Self::Rows => "rows",
            Self::Vocab => "tokens of a row",
            Self::Top => "alternatives per row",
            Self::Draws => "draws per row",
        }
    }

    fn of(self, cell: &Cell) -> Option<f64> {
        match self {
            Self::Rows => Some(cell.rows as f64),
            Self::Vocab => Some(cell.vocab as f64),
            Self::Top => cell.top.map(f64::from),
            Self::Draws => cell.draws.map(f64::from),
        }
    }
}

/// One line for each combination of everything but the axis; its name says what differs between lines, and always
/// adapter, operation and type.
fn series(cells: &[Cell], axis: Axis) -> Series {
    let count =
        |count: Option<u32>, what: &str| count.map_or_else(String::new, |count| format!("{what} {count}"));
    // Two devices may be of one kind.
    let adapter = |cell: &Cell| {
        let same = cells.iter().filter(|other| other.adapter == cell.adapter);
        let devices: BTreeSet<&str> = same.map(|other| other.device.as_str()).collect();
        if devices.len() > 1 { format!("{} ({})", cell.adapter, cell.device) } else { cell.adapter.clone() }
    };
    let parts = |cell: &Cell| -> [String; 13] {
        let on = |own: Axis, text: String| if own == axis { String::new() } else { text };
        let clock = if cell.gpu_us.is_some() { "GPU time" } else { "wall time" };
        [
            adapter(cell),
            named_op(cell),
            cell.dtype.clone(),
            on(Axis::Rows, format!("{} rows", cell.rows)),
            on(Axis::Vocab, format!("vocab {}", cell.vocab)),
            on(Axis::Top, count(cell.top, "top")),
            on(Axis::Draws, count(cell.draws, "draws")),
            cell.temperature.map_or_else(String::new, |temperature| format!("T {temperature}")),
            count(cell.threads, "threads"),
            cell.kernels.as_ref().map_or_else(String::new, |kernels| format!("{kernels} kernels")),
            cell.data.clone(),
            cell.cache.clone().unwrap_or_default(),
            clock.to_owned(),
        ]
    };
    let all: Vec<[String; 13]> = cells.iter().map(parts).collect();
    // The first three always, the others where they differ.
    let differs = |place: usize| {
        let words = all.iter().map(|parts| &parts[place]).filter(|word| !word.is_empty());
        words.collect::<BTreeSet<_>>().len() > 1
    };
    let named: Vec<usize> = (0..13).filter(|&place| place < 3 || differs(place)).collect();
    let mut series = BTreeMap::new();
    for (cell, parts) in cells.iter().zip(&all) {
        let words: Vec<&str> =
            named.iter().map(|&place| parts[place].as_str()).filter(|word| !word.is_empty()).collect();
        if let (Some(x), Some(y)) = (axis.of(cell), cell.time_us()) {
            let line: &mut Vec<_> = series.entry(words.join(", ")).or_default();
            line.push((x.max(ZERO), y));
        }
    }
    for line in series.values_mut() {
        line.sort_by(|a, b| a.partial_cmp(b).unwrap_or(std::cmp::Ordering::Equal));
    }
    series
}

fn draw(series: &Series, axis: Axis) -> std::result::Result<String, Box<dyn std::error::Error>> {
    let points = || series.values().flatten().copied();
    let (x, y) = (range(points().map(|point| point.0)), range(points().map(|point| point.1)));
    let mut svg = String::new();
    {
        let root = SVGBackend::with_string(&mut svg, SIZE).into_drawing_area();
        // A ground of its own, for pages that are dark.
        root.fill(&WHITE)?;
        let mut chart = ChartBuilder::on(&root)
            .margin(20)
            .x_label_area_size(52)
            .y_label_area_size(76)
            .build_cartesian_2d(x.log_scale(), y.log_scale())?;
        chart
            .configure_mesh()
            .x_desc(axis.title())
            .y_desc("time of a call, µs")
            .label_style(("sans-serif", 15))
            .axis_desc_style(("sans-serif", 17))
            .x_label_formatter(&|x| if (x - ZERO).abs() < 1e-9 { "0".to_owned() } else { tick(*x) })
            .y_label_formatter(&|y| tick(*y))
            .light_line_style(BLACK.mix(0.05))
            .bold_line_style(BLACK.mix(0.15))
            .draw()?;
        for (place, (name, points)) in series.iter().enumerate() {
            let color = COLORS[place % COLORS.len()];
            let line = color.stroke_width(2);
            chart
                .draw_series(LineSeries::new(points.iter().copied(), line))?
                .label(name)
                .legend(move |(x, y)| PathElement::new([(x, y), (x + 18, y)], line));
            chart.draw_series(points.iter().map(|point| Circle::new(*point, 3, color.filled())))?;
        }
        chart
            .configure_series_labels()
            .position(SeriesLabelPosition::UpperLeft)
            .label_font(("sans-serif", 14))
            .background_style(WHITE.mix(0.8))
            .border_style(BLACK.mix(0.3))
            .draw()?;
        root.present()?;
    }
    Ok(svg)
}

/// The powers of ten around all values: each axis has two numbers at least.
fn range(values: impl Iterator<Item = f64>) -> std::ops::Range<f64> {
    let (low, high) =
        values.fold((f64::INFINITY, f64::NEG_INFINITY), |(low, high), x| (low.min(x), high.max(x)));
    let (low, high) = (low.log10().floor(), high.log10().ceil());
    // A little further, so that no rounding drops the numbers at the ends.
    10f64.powf(low - 0.01)..10f64.powf(high.max(low + 1.0) + 0.01)
}

/// 1, 20, 3 k, 4 M.
fn tick(value: f64) -> String {
    match value {
        value if value >= 1e6 => format!("{} M", round(value / 1e6)),
        value if value >= 1e3 => format!("{} k", round(value / 1e3)),
        value => round(value).to_string(),
    }
}

fn round(value: f64) -> f64 {
    (value * 1000.0).round() / 1000.0
}

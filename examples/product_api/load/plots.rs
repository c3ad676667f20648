//! The figures, as SVG.

use std::path::Path;
use std::time::Duration;

use anyhow::Context;
use plotters::coord::Shift;
use plotters::prelude::*;

use crate::load::bench::{Measured, With, Without};

const SIZE: (u32, u32) = (880, 500);
const WITHOUT: RGBColor = RGBColor(196, 78, 42);
const WITH: RGBColor = RGBColor(24, 118, 148);
const COLD: RGBColor = RGBColor(122, 178, 76);

/// A curve, in the units of its axes.
struct Curve {
    name: &'static str,
    color: RGBColor,
    width: u32,
    points: Vec<(f64, f64)>,
}

/// The words around a plot.
struct Labels<'a> {
    title: &'a str,
    x: &'a str,
    y: &'a str,
    /// The y axis reaches down to this at least, which leaves room for the legend.
    floor: f64,
}

/// Writes `response-time.svg` and `database-queries.svg` into the directory.
pub(crate) fn write(directory: &Path, without: &Without, with: &With) -> anyhow::Result<()> {
    std::fs::create_dir_all(directory).with_context(|| format!("cannot create {}", directory.display()))?;
    let (response_time, database_queries) =
        (directory.join("response-time.svg"), directory.join("database-queries.svg"));
    plot_response_time(&response_time, without, with)?;
    plot_database_queries(&database_queries, without, with)?;
    println!("Plots: {}, {}.", response_time.display(), database_queries.display());
    Ok(())
}

fn plot_response_time(path: &Path, without: &Without, with: &With) -> anyhow::Result<()> {
    let curves = [
        Curve { name: "p99 without cache", color: WITHOUT, width: 3, points: times(&without.sweep, |at| at.p99) },
        Curve { name: "p50 without cache", color: WITHOUT, width: 1, points: times(&without.sweep, |at| at.p50) },
        Curve { name: "p99 with cache", color: WITH, width: 3, points: times(&with.sweep, |at| at.p99) },
        Curve { name: "p50 with cache", color: WITH, width: 1, points: times(&with.sweep, |at| at.p50) },
    ];
    let labels =
        Labels { title: "Response time against throughput", x: "requests per second", y: "milliseconds", floor: 0.1 };
    draw(path, &labels, &curves)
}

fn plot_database_queries(path: &Path, without: &Without, with: &With) -> anyhow::Result<()> {
    let curves = [
        Curve { name: "without cache", color: WITHOUT, width: 3, points: rates(&without.measured) },
        Curve { name: "with cache, from cold", color: COLD, width: 3, points: rates(&with.cold) },
        Curve { name: "with cache, warm", color: WITH, width: 3, points: rates(&with.warm) },
    ];
    let title = format!("Database queries over time, at {:.0} requests/s", without.rate);
    let labels = Labels { title: &title, x: "seconds", y: "database queries per second", floor: 1.0 };
    draw(path, &labels, &curves)
}

fn times(sweep: &[Measured], time: fn(&Measured) -> Duration) -> Vec<(f64, f64)> {
    sweep.iter().map(|measured| (measured.throughput, time(measured).as_secs_f64() * 1_000.0)).collect()
}

/// Queries per second between each two samples. A logarithmic axis has no zero, so none shows as one.
fn rates(measured: &Measured) -> Vec<(f64, f64)> {
    let rate = |window: &[(Duration, u64)]| match window {
        [(from, before), (to, after)] => {
            Some((to.as_secs_f64(), (after - before) as f64 / (*to - *from).as_secs_f64()))
        }
        _ => None,
    };
    measured.samples.windows(2).filter_map(rate).map(|(at, rate)| (at, rate.max(1.0))).collect()
}

fn draw(path: &Path, labels: &Labels<'_>, curves: &[Curve]) -> anyhow::Result<()> {
    let root = SVGBackend::new(path, SIZE).into_drawing_area();
    draw_on(&root, labels, curves).map_err(|error| anyhow::anyhow!("cannot draw {}: {error}", path.display()))
}

type Drawn<'a> = Result<(), DrawingAreaErrorKind<<SVGBackend<'a> as DrawingBackend>::ErrorType>>;

fn draw_on<'a>(root: &DrawingArea<SVGBackend<'a>, Shift>, labels: &Labels<'_>, curves: &[Curve]) -> Drawn<'a> {
    root.fill(&WHITE)?;
    let points = || curves.iter().flat_map(|curve| &curve.points);
    let right = points().map(|point| point.0).fold(1.0, f64::max);
    let top = points().map(|point| point.1).fold(1.0, f64::max);
    let bottom = points().map(|point| point.1).fold(labels.floor, f64::min);
    let mut chart = ChartBuilder::on(root)
        .caption(labels.title, ("sans-serif", 20))
        .margin(16)
        .x_label_area_size(44)
        .y_label_area_size(72)
        .build_cartesian_2d(0.0..right * 1.02, (decade_below(bottom)..decade_above(top)).log_scale())?;
    chart
        .configure_mesh()
        .x_desc(labels.x)
        .y_desc(labels.y)
        .x_label_formatter(&|value| ((value * 10.0).round() / 10.0).to_string())
        .y_label_formatter(&|value| value.to_string())
        .light_line_style(TRANSPARENT)
        .draw()?;
    for curve in curves {
        let style = curve.color.stroke_width(curve.width);
        chart
            .draw_series(LineSeries::new(curve.points.iter().copied(), style))?
            .label(curve.name)
            .legend(move |(x, y)| PathElement::new([(x, y), (x + 24, y)], style));
        chart.draw_series(curve.points.iter().map(|&point| Circle::new(point, 3, curve.color.filled())))?;
    }
    chart
        .configure_series_labels()
        .position(SeriesLabelPosition::LowerRight)
        .background_style(WHITE.mix(0.8))
        .border_style(BLACK.mix(0.2))
        .draw()?;
    root.present()
}

fn decade_below(value: f64) -> f64 {
    10_f64.powf(value.log10().floor())
}

fn decade_above(value: f64) -> f64 {
    10_f64.powf(value.log10().ceil())
}

//! The curves, as SVG.

use std::path::Path;

use anyhow::Context;
use plotters::coord::Shift;
use plotters::prelude::*;

use crate::cache::Kind;
use crate::report::{Cell, Report};

const SIZE: (u32, u32) = (880, 500);

struct Curve {
    name: String,
    color: RGBColor,
    points: Vec<(f64, f64)>,
}

/// Writes two files for the trace into `directory`: by the size of L1, and by the number of instances.
pub(crate) fn write(directory: &Path, report: &Report) -> anyhow::Result<()> {
    std::fs::create_dir_all(directory).with_context(|| format!("cannot create {}", directory.display()))?;
    let sizes: Vec<(f64, &[Cell])> = report.by_size.iter().map(|(size, row)| (size * 100.0, &row[..])).collect();
    let nodes: Vec<(f64, &[Cell])> = report.by_nodes.iter().map(|(nodes, row)| (*nodes as f64, &row[..])).collect();
    let mut by_nodes = near_curves(&nodes);
    by_nodes.push(Curve {
        name: "cache-aside, L1 and L2".to_owned(),
        color: RGBColor(120, 94, 160),
        points: nodes.iter().map(|(x, row)| (*x, (1.0 - row[0].shares.loads()) * 100.0)).collect(),
    });
    for (suffix, x, curves) in
        [("by-size", "entries of L1, in % of all keys", near_curves(&sizes)), ("by-instances", "instances", by_nodes)]
    {
        let path = directory.join(format!("hit-ratio-{}-{suffix}.svg", report.trace));
        let root = SVGBackend::new(&path, SIZE).into_drawing_area();
        draw(&root, &format!("Hits on the trace {}", report.trace), x, &curves)
            .map_err(|error| anyhow::anyhow!("cannot draw {}: {error}", path.display()))?;
    }
    Ok(())
}

fn near_curves(rows: &[(f64, &[Cell])]) -> Vec<Curve> {
    let colors = [RGBColor(24, 118, 148), RGBColor(226, 150, 40), RGBColor(196, 78, 42), RGBColor(110, 110, 110)];
    let curve = |(at, color): (usize, RGBColor)| Curve {
        name: Kind::ALL[at].name().to_owned(),
        color,
        points: rows.iter().map(|(x, row)| (*x, row[at].shares.near * 100.0)).collect(),
    };
    colors.into_iter().enumerate().map(curve).collect()
}

type Drawn<'a> = Result<(), DrawingAreaErrorKind<<SVGBackend<'a> as DrawingBackend>::ErrorType>>;

fn draw<'a>(root: &DrawingArea<SVGBackend<'a>, Shift>, title: &str, x: &str, curves: &[Curve]) -> Drawn<'a> {
    root.fill(&WHITE)?;
    let points = || curves.iter().flat_map(|curve| &curve.points).map(|point| point.0);
    let (left, right) = (points().fold(f64::MAX, f64::min), points().fold(0.0, f64::max));
    let mut chart = ChartBuilder::on(root)
        .caption(title, ("sans-serif", 20))
        .margin(16)
        .x_label_area_size(44)
        .y_label_area_size(60)
        .build_cartesian_2d((left..right * 1.02).log_scale(), 0.0..100.0)?;
    chart
        .configure_mesh()
        .x_desc(x)
        .y_desc("hits, in % of all accesses")
        .x_label_formatter(&|value| ((value * 10.0).round() / 10.0).to_string())
        .y_label_formatter(&|value: &f64| value.to_string())
        .light_line_style(TRANSPARENT)
        .draw()?;
    for Curve { name, color, points } in curves {
        let style = color.stroke_width(2);
        chart
            .draw_series(LineSeries::new(points.iter().copied(), style))?
            .label(name)
            .legend(move |(x, y)| PathElement::new([(x, y), (x + 24, y)], style));
        chart.draw_series(points.iter().map(|&point| Circle::new(point, 3, color.filled())))?;
    }
    chart
        .configure_series_labels()
        .position(SeriesLabelPosition::LowerRight)
        .background_style(WHITE.mix(0.8))
        .border_style(BLACK.mix(0.2))
        .draw()?;
    root.present()
}

//! Bars, as SVG.

use std::path::Path;

use plotters::coord::Shift;
use plotters::prelude::*;
use plotters::style::text_anchor::{HPos, Pos, VPos};

/// Horizontal bars: for each subject one in each series.
pub(crate) struct Plot {
    pub(crate) file: &'static str,
    pub(crate) title: String,
    /// What the figures are, and which end is better.
    pub(crate) unit: &'static str,
    pub(crate) series: Vec<String>,
    pub(crate) bars: Vec<(String, Vec<f64>)>,
}

const COLORS: [RGBColor; 4] =
    [RGBColor(24, 118, 148), RGBColor(226, 150, 40), RGBColor(196, 78, 42), RGBColor(120, 94, 160)];
const WIDTH: u32 = 880;
const BAR: u32 = 15;

impl Plot {
    pub(crate) fn write(&self, directory: &Path) -> anyhow::Result<()> {
        let path = directory.join(self.file);
        let lines = (self.bars.len() + 1) * (self.series.len() + 1);
        let root = SVGBackend::new(&path, (WIDTH, lines as u32 * BAR + 130)).into_drawing_area();
        self.draw(&root).map_err(|error| anyhow::anyhow!("cannot draw {}: {error}", path.display()))
    }

    fn draw<'a>(&self, root: &DrawingArea<SVGBackend<'a>, Shift>) -> Drawn<'a> {
        root.fill(&WHITE)?;
        let group = self.series.len() as f64 + 1.0;
        let height = self.bars.len() as f64 * group;
        // The middle of a bar, from below.
        let middle = |place: usize, series: f64| height - place as f64 * group - 1.0 - series;
        let most = self.bars.iter().flat_map(|(_, values)| values).copied().fold(0.0, f64::max);
        let mut chart = ChartBuilder::on(root)
            .caption(&self.title, ("sans-serif", 22))
            .margin(16)
            .x_label_area_size(44)
            .y_label_area_size(210)
            // As much room again as one subject takes, for the legend.
            .build_cartesian_2d(0.0..most * 1.12, 0.0..height + group)?;
        chart
            .configure_mesh()
            .x_desc(self.unit)
            .disable_y_mesh()
            .y_labels(0)
            .light_line_style(TRANSPARENT)
            .x_label_formatter(&|value| value.to_string())
            .draw()?;
        for (at, series) in self.series.iter().enumerate() {
            let color = COLORS[at % COLORS.len()];
            let bar = |(place, (_, values)): (usize, &(String, Vec<f64>))| {
                let middle = middle(place, at as f64);
                Rectangle::new([(0.0, middle - 0.45), (values[at], middle + 0.45)], color.filled())
            };
            chart
                .draw_series(self.bars.iter().enumerate().map(bar))?
                .label(series)
                .legend(move |(x, y)| Rectangle::new([(x, y - 5), (x + 14, y + 5)], color.filled()));
            let value = |(place, (_, values)): (usize, &(String, Vec<f64>))| {
                let anchor = Pos::new(HPos::Left, VPos::Center);
                let style = ("sans-serif", 14).into_text_style(root).pos(anchor);
                EmptyElement::at((values[at], middle(place, at as f64))) + Text::new(figure(values[at]), (4, 0), style)
            };
            chart.draw_series(self.bars.iter().enumerate().map(value))?;
        }
        let name = |(place, (name, _)): (usize, &(String, Vec<f64>))| {
            let anchor = Pos::new(HPos::Right, VPos::Center);
            let style = ("sans-serif", 16).into_text_style(root).pos(anchor);
            EmptyElement::at((0.0, middle(place, (group - 2.0) / 2.0)))
                + Text::new(name.replace('`', ""), (-8, 0), style)
        };
        chart.draw_series(self.bars.iter().enumerate().map(name))?;
        if self.series.len() > 1 {
            chart
                .configure_series_labels()
                .position(SeriesLabelPosition::UpperRight)
                .background_style(WHITE.mix(0.8))
                .border_style(BLACK.mix(0.2))
                .draw()?;
        }
        root.present()
    }
}

type Drawn<'a> = Result<(), DrawingAreaErrorKind<<SVGBackend<'a> as DrawingBackend>::ErrorType>>;

/// A figure with as many places as tell something.
pub(crate) fn figure(value: f64) -> String {
    match value {
        value if value >= 10_000.0 => {
            let text = format!("{value:.0}");
            let digits = text.len();
            text.chars()
                .enumerate()
                .flat_map(|(at, digit)| {
                    let comma = at > 0 && (digits - at) % 3 == 0;
                    comma.then_some(',').into_iter().chain([digit])
                })
                .collect()
        }
        value if value >= 100.0 => format!("{value:.0}"),
        value if value >= 10.0 => format!("{value:.1}"),
        value => format!("{value:.2}"),
    }
}

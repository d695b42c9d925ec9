//! The table that comes out: one line per thing measured, as text, as Markdown and as JSON.

use serde_json::{Value, json};

use crate::series::{Series, figure};

/// Somebody else who does the same.
#[derive(Debug, Clone)]
pub(crate) struct Peer {
    /// Who.
    pub(crate) name: String,
    /// How it went, or why it was not measured.
    pub(crate) measured: Result<Series, String>,
}

/// One line.
#[derive(Debug, Clone)]
pub(crate) struct Line {
    /// `P1`, …
    pub(crate) id: &'static str,
    /// What is measured.
    pub(crate) what: String,
    /// The unit of all numbers of the line.
    pub(crate) unit: &'static str,
    /// Ours.
    pub(crate) ours: Series,
    /// What the floor is, and how it went.
    pub(crate) floor: Option<(String, Series)>,
    /// What was aimed at, in words.
    pub(crate) target: &'static str,
    /// Whether it was met: by the ratio, or by our number where there is no floor.
    pub(crate) limit: Option<Limit>,
    /// The others.
    pub(crate) peers: Vec<Peer>,
}

/// What can be compared with a number. It is shown, and never the result of a test.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Limit {
    /// The ratio to the floor is at most this.
    Ratio(f64),
    /// Our number is at most this.
    Ours(f64),
}

impl Line {
    /// A line without floor, limit and peers.
    pub(crate) fn new(
        id: &'static str,
        what: impl Into<String>,
        unit: &'static str,
        ours: Series,
    ) -> Self {
        let what = what.into();
        Self { id, what, unit, ours, floor: None, target: "", limit: None, peers: Vec::new() }
    }

    /// With what is aimed at.
    pub(crate) fn aims_at(mut self, target: &'static str, limit: Limit) -> Self {
        self.target = target;
        self.limit = Some(limit);
        self
    }

    /// With a floor.
    pub(crate) fn over(mut self, what: impl Into<String>, floor: Series) -> Self {
        self.floor = Some((what.into(), floor));
        self
    }

    /// With another one who does the same.
    pub(crate) fn beside(
        mut self,
        name: impl Into<String>,
        measured: Result<Series, String>,
    ) -> Self {
        self.peers.push(Peer { name: name.into(), measured });
        self
    }

    fn ratio(&self) -> Option<f64> {
        self.floor.as_ref().map(|(_, floor)| self.ours.median() / floor.median())
    }

    fn verdict(&self) -> &'static str {
        let met = match self.limit {
            None => return "",
            Some(Limit::Ratio(limit)) => self.ratio().is_some_and(|ratio| ratio <= limit),
            Some(Limit::Ours(limit)) => self.ours.median() <= limit,
        };
        if met { "met" } else { "missed" }
    }

    fn peers_text(&self) -> String {
        let each = self.peers.iter().map(|peer| match &peer.measured {
            Ok(series) => {
                let times = series.median() / self.ours.median();
                format!("{} {} ({} × ours)", peer.name, series.text(), figure(times))
            }
            Err(why) => format!("{} skipped: {why}", peer.name),
        });
        each.collect::<Vec<_>>().join("; ")
    }

    fn cells(&self) -> [String; 8] {
        let (floor, ratio) = match (&self.floor, self.ratio()) {
            (Some((what, series)), Some(ratio)) => {
                (format!("{}: {}", what, series.text()), format!("{} ×", figure(ratio)))
            }
            _ => ("–".to_owned(), "–".to_owned()),
        };
        [
            self.id.to_owned(),
            format!("{} [{}]", self.what, self.unit),
            self.ours.text(),
            floor,
            ratio,
            self.target.to_owned(),
            self.verdict().to_owned(),
            self.peers_text(),
        ]
    }

    /// For the machine.
    pub(crate) fn json(&self) -> Value {
        let peers: Vec<Value> = self
            .peers
            .iter()
            .map(|peer| match &peer.measured {
                Ok(series) => json!({
                    "name": peer.name,
                    "measured": series.json(),
                    "ratio_to_ours": series.median() / self.ours.median(),
                }),
                Err(why) => json!({ "name": peer.name, "skipped": why }),
            })
            .collect();
        json!({
            "id": self.id,
            "what": self.what,
            "unit": self.unit,
            "ours": self.ours.json(),
            "floor": self.floor.as_ref().map(|(what, series)| json!({ "what": what, "measured": series.json() })),
            "ratio": self.ratio(),
            "target": self.target,
            "verdict": self.verdict(),
            "peers": peers,
        })
    }

    /// For a terminal: a few short lines.
    pub(crate) fn text(&self) -> String {
        let [id, what, ours, floor, ratio, target, verdict, peers] = self.cells();
        let mut text =
            format!("{id:<4} {what}\n       ours {ours}   floor {floor}   ratio {ratio}\n");
        if !target.is_empty() {
            text += &format!("       target {target}: {verdict}\n");
        }
        if !peers.is_empty() {
            text += &format!("       peers {peers}\n");
        }
        text
    }
}

/// All lines as a Markdown table.
pub(crate) fn markdown(lines: &[Line]) -> String {
    let mut text = String::from(
        "| row | what | ours | floor | ratio | target | | peers |\n|---|---|---|---|---|---|---|---|\n",
    );
    for line in lines {
        text += &format!("| {} |\n", line.cells().join(" | "));
    }
    text
}

//! The work graph as people see it.

use cxo_protocol::graph::{Level, Tally};
use cxo_protocol::params::graph::{ClaimView, Wait};
use cxo_protocol::{SessionId, Timestamp};

use super::*;
use crate::render::Colour;
use crate::render::examples::look;

fn node(id: u64, level: Level, status: Status, title: &str) -> NodeSummary {
    NodeSummary {
        id: NodeId(id),
        level,
        title: title.to_owned(),
        status,
        priority: 0,
        parent_id: None,
        children: None,
        waits_for: Vec::new(),
        waits: false,
        claim: None,
        facet: None,
        approval: None,
        merged_commit: None,
        changed_at: Timestamp(0),
    }
}

fn below(parent: u64, node: NodeSummary) -> NodeSummary {
    NodeSummary { parent_id: Some(NodeId(parent)), ..node }
}

/// A graph with every status, every kind of edge, and titles that would like to be more.
fn example() -> Vec<NodeSummary> {
    let depends_on = |mode| Link::DependsOn { mode };
    let wait = |id, link| Wait { node_id: NodeId(id), link };
    let claim = ClaimView {
        session_id: SessionId::new("me").unwrap(),
        fence: 7,
        expires_at: Timestamp(60_000),
    };
    let tally = Tally { in_progress: 1, done: 1, ..Tally::default() };
    vec![
        NodeSummary {
            children: Some(tally),
            ..node(1, Level::Epic, Status::InProgress, "Sign-in works")
        },
        below(
            1,
            NodeSummary {
                children: Some(Tally { todo: 1, in_progress: 1, cancelled: 1, ..Tally::default() }),
                ..node(
                    2,
                    Level::Feature,
                    Status::InProgress,
                    "With a password that is longer than the line of a screen is wide",
                )
            },
        ),
        below(
            2,
            NodeSummary {
                claim: Some(claim),
                ..node(
                    3,
                    Level::Case,
                    Status::InProgress,
                    "\u{1b}[31mred\u{1b}]0;x\u{7} \u{202e}txt.exe",
                )
            },
        ),
        below(
            2,
            NodeSummary {
                waits_for: vec![
                    wait(3, depends_on(DependsMode::AfterMerge)),
                    wait(7, Link::Blocks),
                ],
                ..node(
                    4,
                    Level::Case,
                    Status::Todo,
                    "\"]; %%{init: {}}%% <img src=x> `id` \\N $(id)",
                )
            },
        ),
        below(2, node(5, Level::Case, Status::Cancelled, "日本語 #quot;")),
        below(
            1,
            NodeSummary {
                waits_for: vec![wait(2, depends_on(DependsMode::OnBranch))],
                ..node(6, Level::TestGroup, Status::Done, "line\nbreak")
            },
        ),
        node(7, Level::Initiative, Status::Blocked, "Why"),
        below(99, node(8, Level::Slice, Status::Failed, "its plan is not shown")),
    ]
}

/// [B2.1] Each node in a line of a screen of 80 columns, in a word and a symbol, and hostile titles
/// inert.
#[test]
fn the_graph_is_a_tree_of_lines() {
    let text = tree(&example(), &look(Colour::Off));
    assert!(text.lines().all(|line| columns(line) <= 80), "{text}");
    assert!(!text.contains(['\u{1b}', '\u{7}', '\u{202e}']));
    insta::assert_snapshot!(text);
}

#[test]
fn a_tree_in_colours_says_the_same() {
    let (coloured, plain) = [Colour::On, Colour::Off].map(|on| tree(&example(), &look(on))).into();
    assert!(coloured.contains("\u{1b}[36m▶ in progress"));
    let without = crate::text::harmless(&coloured, crate::text::Sgr::Drop);
    assert_eq!(without, plain);
}

/// Titles stay titles in the languages of programs that draw, too.
#[test]
fn the_graph_is_drawn_by_other_programs() {
    let (dot, mermaid) = (dot(&example()), mermaid(&example()));
    assert!(!mermaid.contains("%%") && !mermaid.contains("<img") && !mermaid.contains('`'));
    insta::assert_snapshot!(format!("{dot}\n{mermaid}"));
}

#[test]
fn a_long_tree_ends_with_how_many_more_there_are() {
    let many: Vec<NodeSummary> =
        (1..=600).map(|id| node(id, Level::Case, Status::Todo, "t")).collect();
    let text = tree(&many, &look(Colour::Off));
    assert!(text.ends_with("… and 100 more\n"), "{text}");
    assert_eq!(tree(&[], &look(Colour::Off)), "");
}

//! Plans, slices and what is submitted for a yes.

use super::super::{NewSlice, Part};
use super::*;
use cxo_protocol::graph::{Approval, ReplanReason, Verdict};

fn files(names: std::ops::Range<usize>) -> Vec<String> {
    names.map(|name| format!("src/{name}.rs")).collect()
}

fn slice(title: &str, tokens: u64, files: Vec<String>) -> NewSlice {
    NewSlice {
        title: title.to_owned(),
        priority: 0,
        details: Details {
            token_estimate: Some(tokens),
            affected_files: Some(files),
            ..Details::default()
        },
        depends_on: Vec::new(),
    }
}

fn bootstrapped(board: &mut Board) -> NodeId {
    let new = |level, title: &str| {
        let GraphCommand::Create(new) = create(level, title, None) else { panic!() };
        new
    };
    let initiative = new(Level::Initiative, "Sign-in");
    let plan = new(Level::Plan, "First release");
    board.ask(GraphCommand::Bootstrap { initiative, plan }).unwrap()[1].nodes()[0]
}

/// [B2.3] An initiative with its plan, and the slices of the plan with what they wait for.
#[test]
fn a_plan_is_cut_into_slices_that_wait_for_each_other() {
    let mut board = Board::new();
    let plan = bootstrapped(&mut board);
    let initiative = board.at(plan).parent.unwrap();
    assert_eq!(board.at(initiative).level, Level::Initiative);
    let second = NewSlice { depends_on: vec![0], ..slice("screens", 18_000, files(0..12)) };
    let slices = vec![slice("schema", 0, Vec::new()), second];
    board.ask(GraphCommand::GenerateSlices { plan, slices }).unwrap();
    let children: Vec<NodeId> = board.at(plan).children.iter().copied().collect();
    assert_eq!(board.graph().waits_for(children[1]), [children[0]]);
    let ahead = vec![NewSlice { depends_on: vec![0], ..slice("itself", 1, Vec::new()) }];
    let refused = board.refused(GraphCommand::GenerateSlices { plan, slices: ahead });
    assert!(matches!(refused, GraphRejected::Missing { .. }), "{refused}");
    let slices = vec![slice("of a slice", 1, Vec::new())];
    let refused = board.refused(GraphCommand::GenerateSlices { plan: children[0], slices });
    assert!(matches!(refused, GraphRejected::WrongLevel { .. }), "{refused}");
}

/// [B2.3] A slice that is too large is refused with the split that would fit, and nothing is made.
#[test]
fn an_oversized_slice_is_refused_with_a_split_that_fits() {
    let mut board = Board::new();
    let plan = bootstrapped(&mut board);
    let before = board.graph().clone();
    let slices = vec![slice("fits", 1, files(0..1)), slice("screens", 40_000, files(0..26))];
    let refused = board.refused(GraphCommand::GenerateSlices { plan, slices });
    let GraphRejected::SliceTooLarge { slices } = &refused else { panic!("{refused}") };
    assert_eq!((slices.len(), slices[0].title.as_str()), (1, "screens"));
    let said = slices[0].to_string();
    let begins = "`screens` takes 40000 tokens and 26 files, of 18000 and 12; it fits in 3 parts: \
                  13334 tokens with src/0.rs, src/1.rs, ";
    assert!(said.starts_with(begins), "{said}");
    assert_eq!(*board.graph(), before);
    // What is told would be taken.
    let parts: Vec<NewSlice> =
        slices[0].split.iter().map(|part| slice("part", part.tokens, part.files.clone())).collect();
    board.ask(GraphCommand::GenerateSlices { plan, slices: parts }).unwrap();
}

/// [B2.3] Every split fits, loses no file and no token, and is as small as it can be.
#[test]
fn every_split_fits() {
    let limits = SliceLimits { tokens: 100, files: 3 };
    for tokens in [0, 1, 99, 100, 101, 250, 1_000] {
        for many in 0..12 {
            let names = files(0..many);
            let split = limits.split(tokens, &names);
            assert!(split.iter().all(|part| part.tokens <= 100 && part.files.len() <= 3));
            let joined: Vec<String> = split.iter().flat_map(|part| part.files.clone()).collect();
            let sum: u64 = split.iter().map(|Part { tokens, .. }| tokens).sum();
            assert_eq!((joined, sum), (names, tokens));
            let least = tokens.div_ceil(100).max(many.div_ceil(3) as u64).max(1);
            assert_eq!(split.len() as u64, least, "{tokens} {many}");
        }
    }
}

/// [B2.3] The limits hold however a slice is made or changed.
#[test]
fn no_way_leads_around_the_limits() {
    let mut board = Board::new();
    let plan = bootstrapped(&mut board);
    let details = Details { token_estimate: Some(18_001), ..Details::default() };
    let GraphCommand::Create(mut new) = create(Level::Slice, "direct", Some(plan)) else {
        panic!()
    };
    let made = board.ask(GraphCommand::Create(new.clone())).unwrap()[0].nodes()[0];
    new.details = details.clone();
    for command in [
        GraphCommand::Create(new),
        GraphCommand::Change(NodeChange { details, ..same(made) }),
        GraphCommand::Replan {
            slice: made,
            reason: ReplanReason::ScopeChange,
            affected_files: Some(files(0..13)),
            next_action: None,
        },
        GraphCommand::Replan {
            slice: made,
            reason: ReplanReason::ContextOverflow,
            affected_files: Some(files(0..25)),
            next_action: None,
        },
    ] {
        let refused = board.refused(command);
        assert!(matches!(refused, GraphRejected::SliceTooLarge { .. }), "{refused}");
    }
}

/// [B2.3] A slice that overflows its context is cut in two: both wait for what it waited for, and what
/// waited for it waits for both.
#[test]
fn an_overflowing_slice_is_cut_in_two() {
    let mut board = Board::new();
    let plan = bootstrapped(&mut board);
    let chain = |title: &str, at: usize| NewSlice {
        depends_on: (0..at).skip(at.saturating_sub(1)).collect(),
        ..slice(title, 9_001, files(0..5))
    };
    let slices = vec![chain("one", 0), chain("two", 1), chain("three", 2)];
    board.ask(GraphCommand::GenerateSlices { plan, slices }).unwrap();
    let made: Vec<NodeId> = board.at(plan).children.iter().copied().collect();
    let replan = |slice, reason| GraphCommand::Replan {
        slice,
        reason,
        affected_files: None,
        next_action: Some("Go on with the second".to_owned()),
    };
    board.ask(replan(made[1], ReplanReason::ContextOverflow)).unwrap();
    let halves = [made[1], NodeId(made[2].0 + 1)];
    let sizes = halves.map(|half| {
        let details = &board.at(half).details;
        (details.token_estimate.unwrap(), details.affected_files.as_ref().unwrap().len())
    });
    assert_eq!(sizes, [(4_501, 3), (4_500, 2)]);
    assert_eq!(halves.map(|half| board.graph().waits_for(half)), [[made[0]]; 2]);
    assert_eq!(board.graph().waits_for(made[2]), halves);
    assert_eq!(board.at(made[1]).snapshots[0].snapshot_type, "replan-context_overflow");
    board.ask(replan(made[0], ReplanReason::Blocked)).unwrap();
    assert_eq!(board.status(made[0]), Status::Blocked);
    board.set(made[0], Status::Cancelled).unwrap();
    assert!(matches!(
        board.refused(replan(made[0], ReplanReason::Blocked)),
        GraphRejected::Over { .. }
    ));
    let single = board.ask(create(Level::Slice, "single", Some(plan))).unwrap()[0].nodes()[0];
    let refused = board.refused(replan(single, ReplanReason::ContextOverflow));
    assert!(matches!(refused, GraphRejected::CannotSplit { files: 0, .. }), "{refused}");
}

/// [B2.3] A result is submitted when it is there, judged once, and asked for again when it is not the
/// result any more.
#[test]
fn a_result_is_submitted_and_judged() {
    let mut board = Board::new();
    let feature = board.node(Level::Feature, None);
    let case = board.node(Level::Case, Some(feature));
    let submit = || GraphCommand::SubmitRollup { node: feature, note: Note::default() };
    let judge = |verdict| GraphCommand::JudgeRollup { node: feature, verdict, snapshot: None };
    let early = board.refused(submit());
    assert!(matches!(&early, GraphRejected::NoResult { open, .. } if *open == [case]), "{early}");
    assert!(matches!(board.refused(judge(Verdict::Approve)), GraphRejected::NotSubmitted { .. }));
    board.done(case);
    for (verdict, approval) in
        [(Verdict::Reject, Approval::Rejected), (Verdict::Approve, Approval::Approved)]
    {
        board.ask(submit()).unwrap();
        board.ask(judge(verdict)).unwrap();
        assert_eq!(board.at(feature).approval, approval);
        let twice = board.refused(judge(verdict));
        assert!(matches!(twice, GraphRejected::NotSubmitted { .. }), "{twice}");
    }
    board.set(case, Status::Todo).unwrap();
    assert_eq!(board.at(feature).approval, Approval::Unasked);
    let rollup = board.graph().rollup(feature).unwrap();
    assert_eq!((rollup.below.todo, rollup.open.as_slice()), (1, &[case][..]));
}

/// [B2.3] A yes is to the result that was there: it names it if it likes, and does not outlive it.
#[test]
fn a_yes_is_to_one_result() {
    let mut board = Board::new();
    let epic = board.node(Level::Epic, None);
    let feature = board.node(Level::Feature, Some(epic));
    let cases = [(); 2].map(|()| board.node(Level::Case, Some(feature)));
    let approve = |board: &mut Board, snapshot| {
        board.ask(GraphCommand::SubmitRollup { node: epic, note: Note::default() }).unwrap();
        let verdict = Verdict::Approve;
        board.ask(GraphCommand::JudgeRollup { node: epic, verdict, snapshot })
    };
    board.done(cases[0]);
    board.set(cases[1], Status::Cancelled).unwrap();
    let old = approve(&mut board, Some(2)).unwrap_err();
    let named = GraphRejected::OldResult { node: epic, given: 2, newest: Some(1) };
    assert_eq!(old, SharedRejected::Graph(named));
    approve(&mut board, Some(2)).unwrap();
    assert_eq!(board.at(epic).approval, Approval::Approved);
    // What came of a case is another thing now, though the epic stands as it did.
    board.set(cases[1], Status::Failed).unwrap();
    assert_eq!(board.at(epic).approval, Approval::Unasked);
    approve(&mut board, None).unwrap();
    board.ask(GraphCommand::Move { node: cases[1], to: None }).unwrap();
    assert_eq!(board.at(epic).approval, Approval::Unasked);
    approve(&mut board, None).unwrap();
    board.ask(GraphCommand::Move { node: cases[0], to: Some(epic) }).unwrap();
    assert_eq!(board.at(epic).approval, Approval::Unasked);
}

/// [B2.3] Of a slice of any size it is said in how many parts it fits, and the first of them do.
#[test]
fn a_huge_slice_is_told_in_how_many_parts_it_fits() {
    let mut board = Board::new();
    let plan = bootstrapped(&mut board);
    let slices = vec![slice("huge", 18_000 * 5_000, Vec::new())];
    let refused = board.refused(GraphCommand::GenerateSlices { plan, slices });
    let GraphRejected::SliceTooLarge { slices } = &refused else { panic!("{refused}") };
    assert_eq!(slices[0].parts, 5_000);
    assert!(slices[0].split.iter().all(|part| part.tokens == 18_000));
}

//! What plans are refused for, and which dependencies are added to them.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use cxo_protocol::{Plan, PlanTask, TaskId};
use proptest::prelude::*;

use super::path::{check, may_overlap, plain};
use super::{Accepted, PlanFault, Source, accept, shape};
use crate::limits;

fn id(text: &str) -> TaskId {
    TaskId::new(text).unwrap()
}

fn task(name: &str, needs: &[&str], files: &[&str]) -> PlanTask {
    PlanTask {
        files: files.iter().map(|file| (*file).to_owned()).collect(),
        depends_on: needs.iter().map(|needed| id(needed)).collect(),
        ..PlanTask::new(id(name), format!("Task {name}"))
    }
}

fn plan(tasks: Vec<PlanTask>) -> Arc<Plan> {
    Arc::new(Plan { summary: "A plan".to_owned(), tasks })
}

fn taken(tasks: Vec<PlanTask>) -> Accepted {
    accept(&plan(tasks), Source::File).unwrap()
}

fn faults(tasks: Vec<PlanTask>) -> Vec<PlanFault> {
    accept(&plan(tasks), Source::Planner).unwrap_err()
}

fn told(tasks: Vec<PlanTask>) -> Vec<String> {
    faults(tasks).iter().map(ToString::to_string).collect()
}

/// The added edges as `before → after (path)`.
fn edges(tasks: Vec<PlanTask>) -> Vec<String> {
    let added = taken(tasks).added_edges;
    added.iter().map(|e| format!("{} → {} ({})", e.before, e.after, e.path)).collect()
}

/// [D2]
#[test]
fn a_good_plan_is_taken_as_it_is() {
    let good = plan(vec![task("a", &[], &["src/a.rs"]), task("b", &["a"], &["src/b.rs"])]);
    let accepted = accept(&good, Source::Planner).unwrap();
    assert_eq!(accepted.plan, good);
    assert_eq!(accepted.added_edges, []);
}

/// [D2]
#[test]
fn an_empty_plan_is_refused() {
    assert_eq!(faults(vec![]), [PlanFault::Empty]);
}

/// [D2]
#[test]
fn a_task_that_needs_an_unknown_one_is_refused_by_both_names() {
    let found = told(vec![task("a", &["b"], &[])]);
    assert_eq!(found, ["a depends on b, which is not in the plan"]);
}

/// [D2]
#[test]
fn two_tasks_of_one_name_are_refused() {
    let found = told(vec![task("a", &[], &[]), task("a", &[], &[])]);
    assert_eq!(found, ["two tasks are called a"]);
}

/// [D2]
#[test]
fn a_dependency_that_is_named_twice_is_refused() {
    let found = told(vec![task("a", &[], &[]), task("b", &["a", "a"], &[])]);
    assert_eq!(found, ["b names a twice in depends_on"]);
}

/// [D2]
#[test]
fn a_circle_is_named_in_full() {
    let found = told(vec![
        task("start", &[], &[]),
        task("waits", &["c"], &[]),
        task("a", &["start", "b"], &[]),
        task("b", &["c"], &[]),
        task("c", &["a"], &[]),
    ]);
    assert_eq!(found, ["the tasks wait for each other in a circle: c → a → b → c"]);
    let itself = told(vec![task("a", &["a"], &[])]);
    assert_eq!(itself, ["the tasks wait for each other in a circle: a → a"]);
}

/// [D2]
#[test]
fn a_circle_of_ten_thousand_is_named_in_full() {
    let count = limits::TASKS;
    let tasks = (0..count)
        .map(|n| task(&format!("t{n}"), &[&format!("t{}", (n + 1) % count)], &[]))
        .collect();
    let found = accept(&plan(tasks), Source::File).unwrap_err();
    let [PlanFault::Cycle { tasks }] = found.as_slice() else { panic!("{found:?}") };
    assert_eq!(tasks.len(), count + 1);
    assert_eq!(tasks.first(), tasks.last());
}

/// [D2]
#[test]
fn every_fault_is_found_at_once() {
    let found = told(vec![
        task("a", &["zz"], &["../x"]),
        task("a", &[], &[]),
        PlanTask { title: " ".to_owned(), ..task("b", &["a", "a"], &["/etc/passwd"]) },
    ]);
    assert_eq!(found.len(), 6, "{found:#?}");
}

/// [D2]
#[test]
fn a_planner_gives_two_hundred_tasks_and_a_file_ten_thousand() {
    let many = |count: usize| plan((0..count).map(|n| task(&format!("t{n}"), &[], &[])).collect());
    assert!(accept(&many(limits::PLANNED_TASKS), Source::Planner).is_ok());
    let found = accept(&many(limits::PLANNED_TASKS + 1), Source::Planner).unwrap_err();
    assert_eq!(found, [PlanFault::TooManyTasks { tasks: 201, most: 200 }]);
    assert!(accept(&many(limits::TASKS), Source::File).is_ok());
    let found = accept(&many(limits::TASKS + 1), Source::File).unwrap_err();
    assert_eq!(found, [PlanFault::TooManyTasks { tasks: 10_001, most: 10_000 }]);
}

/// [D2]
#[test]
fn titles_that_cannot_be_shown_are_refused_and_shown_escaped() {
    let long = "x".repeat(limits::TITLE_BYTES + 1);
    let bad = [
        ("", "it is empty"),
        (" \t", "it is empty"),
        (long.as_str(), "it is too long for a line"),
        ("a\nb", "it has control characters"),
        ("\u{1b}[31mred", "it has control characters"),
        ("\u{9b}31m", "it has control characters"),
        ("a\u{7f}", "it has control characters"),
        ("safe\u{202e}txt.exe", "it has control characters"),
        ("\u{2066}x", "it has control characters"),
        ("\u{61c}x", "it has control characters"),
        ("zero\u{200b}width", "it has control characters"),
        ("line\u{2028}end", "it has control characters"),
        ("\u{feff}bom", "it has control characters"),
        ("tag\u{e0041}", "it has control characters"),
    ];
    for (title, why) in bad {
        let found = faults(vec![PlanTask { title: title.to_owned(), ..task("a", &[], &[]) }]);
        let [PlanFault::Title { why: said, .. }] = found.as_slice() else { panic!("{found:?}") };
        assert_eq!(*said, why, "{title:?}");
        let shown = found[0].to_string();
        assert!(shown.chars().all(|c| !c.is_control() && c != '\u{202e}'), "{shown:?}");
        assert!(shown.len() < 500, "{} bytes", shown.len());
    }
    let fitting = "x".repeat(limits::TITLE_BYTES);
    for title in [fitting.as_str(), "Añade la página «Über uns» 日本語", "C++ & <b>"] {
        taken(vec![PlanTask { title: title.to_owned(), ..task("a", &[], &[]) }]);
    }
}

/// [D2]
#[test]
fn paths_outside_are_refused_in_every_spelling() {
    let bad = [
        ("", "it is empty"),
        ("../x", "it leads out of the repository"),
        ("a/../../x", "it leads out of the repository"),
        ("a/..", "it leads out of the repository"),
        ("..", "it leads out of the repository"),
        ("src/**/../../x", "it leads out of the repository"),
        ("/etc/passwd", "it is not relative to the repository's root"),
        ("//server/share", "it is not relative to the repository's root"),
        ("C:/x", "it is not relative to the repository's root"),
        ("c:x", "it is not relative to the repository's root"),
        ("\\\\?\\C:\\x", "it is not relative to the repository's root"),
        ("..\\x", "it is not relative to the repository's root"),
        (".git/config", "it leads into git's own directory"),
        ("a/.GIT/hooks/x", "it leads into git's own directory"),
        ("./.Git", "it leads into git's own directory"),
        (".git./x", "it leads into git's own directory"),
        (".git /x", "it leads into git's own directory"),
        (".git::$INDEX_ALLOCATION/x", "it leads into git's own directory"),
        ("GIT~1/x", "it leads into git's own directory"),
        ("a\nb", "it has control characters"),
        ("a\0b", "it has control characters"),
        (".g\u{200c}it/x", "it has control characters"),
    ];
    for (path, why) in bad {
        assert_eq!(check(path), Err(why), "{path:?}");
        let found = faults(vec![task("a", &[], &[path])]);
        assert!(matches!(found.as_slice(), [PlanFault::Path { .. }]), "{found:?}");
        assert!(found[0].to_string().chars().all(|c| !c.is_control()));
    }
    let good =
        ["a", "./a", "a//b", "a/./b/", "..a/b", "a...", ".gitignore", ".github/x", "**/*.rs"];
    for path in good.into_iter().chain(["src/ä.rs", "gitx", ".git~1"]) {
        assert_eq!(check(path), Ok(()), "{path:?}");
    }
}

/// [D2]
#[test]
fn subtasks_are_taken_for_tasks_and_nothing_unknown_is() {
    let read = |text: &str| serde_json::from_str::<Plan>(text).map_err(|error| error.to_string());
    let old = read(r#"{"summary":"s","subtasks":[{"id":"a","title":"A"}]}"#).unwrap();
    assert_eq!(old.tasks[0].id, id("a"));
    let typo = read(r#"{"summary":"s","tasks":[{"id":"a","title":"A","dependson":[]}]}"#);
    assert!(typo.unwrap_err().contains("dependson"));
    assert!(read(r#"{"summary":"s","tasks":[{"id":"../a","title":"A"}]}"#).is_err());
}

/// [D2] [C2]
#[test]
fn a_parallel_group_needs_the_group_before_it() {
    let of = |name: &str, group: u32, needs: &[&str]| PlanTask {
        parallel_group: Some(group),
        ..task(name, needs, &[])
    };
    let accepted =
        taken(vec![of("c", 7, &["a"]), of("a", 1, &[]), of("b", 1, &[]), of("d", 9, &[])]);
    let needs: Vec<Vec<TaskId>> =
        accepted.plan.tasks.iter().map(|task| task.depends_on.clone()).collect();
    assert_eq!(needs, [vec![id("a"), id("b")], vec![], vec![], vec![id("c")]]);
    assert!(accepted.plan.tasks.iter().all(|task| task.parallel_group.is_none()));
    // What was taken is taken again as it is.
    assert_eq!(accept(&accepted.plan, Source::File).unwrap().plan, accepted.plan);
}

/// [D2]
#[test]
fn groups_that_contradict_the_dependencies_are_a_circle() {
    let of = |name: &str, group: u32, needs: &[&str]| PlanTask {
        parallel_group: Some(group),
        ..task(name, needs, &[])
    };
    let found = told(vec![of("a", 1, &["b"]), of("b", 2, &[])]);
    assert_eq!(found, ["the tasks wait for each other in a circle: a → b → a"]);
}

/// [D2]
#[test]
fn groups_that_make_too_many_dependencies_are_refused() {
    let of = |n: usize| PlanTask {
        parallel_group: Some(u32::from(n < 500)),
        ..task(&format!("t{n}"), &[], &[])
    };
    let found = accept(&plan((0..1_000).map(of).collect()), Source::File).unwrap_err();
    assert_eq!(found, [PlanFault::TooManyEdges { edges: 250_000, most: 200_000 }]);
    let fits = |n: usize| PlanTask { parallel_group: Some(u32::from(n < 400)), ..of(n) };
    taken((0..900).map(fits).collect());
}

/// [D2] [C2] [C16]
#[test]
fn tasks_that_write_one_file_are_ordered_as_they_stand_in_the_plan() {
    let three = |files: [&str; 3]| {
        vec![task("a", &[], &[files[0]]), task("b", &[], &[files[1]]), task("c", &[], &[files[2]])]
    };
    assert_eq!(edges(three(["x", "x", "x"])), ["a → b (x)", "b → c (x)"]);
    assert_eq!(edges(three(["x", "./x", "x/"])), ["a → b (x)", "b → c (x)"]);
    assert_eq!(edges(three(["x", "y", "x"])), ["a → c (x)"]);
    assert_eq!(edges(three(["src", "src/a.rs", "src-gen/b.rs"])), ["a → b (src/a.rs)"]);
    assert_eq!(edges(three(["src/**", "src/a.rs", "docs/b.md"])), ["a → b (src/a.rs)"]);
    assert_eq!(edges(three(["src/*.rs", "src/a.md", "src/a.rs"])), ["a → c (src/a.rs)"]);
    assert_eq!(
        edges(three(["a.rs", "**/*.rs", "deep/er/b.rs"])),
        ["a → b (**/*.rs)", "b → c (deep/er/b.rs)"]
    );
    assert_eq!(edges(three([".", "a", "b"])), ["a → b (a)", "a → c (b)"]);
    assert_eq!(edges(three(["a/b", "a", "a/c"])), ["a → b (a)", "b → c (a/c)"]);
}

/// [D2]
#[test]
fn an_unknown_set_of_files_is_not_ordered() {
    assert_eq!(
        edges(vec![task("a", &[], &[]), task("b", &[], &[]), task("c", &[], &["x"])]),
        [""; 0]
    );
}

/// [D2]
#[test]
fn what_the_plan_orders_itself_is_not_added() {
    let written = vec![task("a", &[], &["x"]), task("b", &["a"], &["x"])];
    assert_eq!(edges(written), [""; 0]);
    let backwards = vec![task("a", &["b"], &["x"]), task("b", &[], &["x"])];
    assert_eq!(edges(backwards), [""; 0]);
    // By way of a third, written or added.
    let through =
        vec![task("a", &[], &["x"]), task("b", &["a"], &[]), task("c", &["b"], &["x", "y"])];
    assert_eq!(edges(through), [""; 0]);
    let mixed =
        vec![task("a", &[], &["x", "y"]), task("b", &[], &["x"]), task("c", &["b"], &["y"])];
    assert_eq!(edges(mixed), ["a → b (x)"]);
}

/// [D2]
#[test]
fn the_shape_of_a_plan_is_told() {
    let tasks = vec![
        PlanTask { estimate_minutes: Some(10), ..task("a", &[], &["x"]) },
        task("b", &[], &[]),
        PlanTask { estimate_minutes: Some(5), ..task("c", &["b"], &["x"]) },
    ];
    let accepted = taken(tasks);
    let shape = shape(&accepted.plan, &accepted.added_edges);
    assert_eq!(shape.edges, 2);
    assert_eq!(shape.waves, [vec![id("a"), id("b")], vec![id("c")]]);
    assert_eq!(shape.critical_path, [id("a"), id("c")]);
    assert_eq!((shape.critical_minutes, shape.total_minutes), (15, 16));
}

/// [D2]
#[test]
fn of_chains_that_take_equally_long_the_first_is_critical() {
    let tasks = vec![task("a", &[], &[]), task("b", &[], &[]), task("c", &["a", "b"], &[])];
    let accepted = taken(tasks);
    let shape = shape(&accepted.plan, &accepted.added_edges);
    assert_eq!(shape.critical_path, [id("a"), id("c")]);
}

/// Ten thousand tasks of the shapes that real plans have: a file each, a directory each by glob,
/// one file that everybody touches, one glob that everybody's file lies under, layers. Work that
/// grows with the square of the tasks does not come to an end here within the time of a test.
///
/// [D2]
#[test]
fn ten_thousand_tasks_are_taken() {
    let count = limits::TASKS;
    let name = |n: usize| format!("t{n}");
    let all = |files: &dyn Fn(usize) -> Vec<String>, needs: &dyn Fn(usize) -> Vec<TaskId>| {
        let of = |n| PlanTask { files: files(n), depends_on: needs(n), ..task(&name(n), &[], &[]) };
        taken((0..count).map(of).collect()).added_edges.len()
    };
    let none = |_: usize| Vec::new();
    let layers = |n: usize| {
        let layer = n / 100;
        if layer == 0 {
            vec![]
        } else {
            (0..3).map(|k| id(&name((layer - 1) * 100 + (n + k) % 100))).collect()
        }
    };
    assert_eq!(all(&|n| vec![format!("src/m{n}/a.rs")], &none), 0);
    assert_eq!(all(&|n| vec![format!("src/m{n}/**")], &none), 0);
    assert_eq!(all(&|n| vec![format!("src/m{n}.rs"), "CHANGELOG.md".to_owned()], &none), count - 1);
    assert_eq!(
        all(&|n| vec![if n == 0 { "src/**".to_owned() } else { format!("src/m{n}.rs") }], &none),
        count - 1
    );
    let crates = |n: usize| vec![format!("crates/c{}/**", n % 100), format!("docs/{n}.md")];
    assert!(all(&crates, &none) > 0);
    all(&crates, &layers);
}

fn matcher(glob: &str) -> Option<globset::GlobMatcher> {
    let built = globset::GlobBuilder::new(glob).literal_separator(true).build().ok()?;
    Some(built.compile_matcher())
}

fn path_of() -> impl Strategy<Value = String> {
    prop::collection::vec("[ab.]{1,3}|src|x\\.rs", 1..5).prop_map(|parts| parts.join("/"))
}

fn glob_of() -> impl Strategy<Value = String> {
    let part = prop_oneof![
        "[ab.]{1,3}",
        Just("src".to_owned()),
        Just("*".to_owned()),
        Just("**".to_owned()),
        Just("*.rs".to_owned()),
        Just("a?".to_owned()),
        Just("a*b".to_owned()),
        Just("[ab]*".to_owned()),
        Just("{a,b/c,src}".to_owned()),
        Just("{a,b}.{rs,md}".to_owned()),
    ];
    prop::collection::vec(part, 1..5).prop_map(|parts| parts.join("/"))
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::with_cases(2_000) })]

    /// [D2] [C16] Whenever a glob names a path, they may overlap; the converse need not hold.
    #[test]
    fn a_glob_and_what_it_names_overlap(glob in glob_of(), path in path_of()) {
        let Some(matcher) = matcher(&glob) else { return Ok(()) };
        if matcher.is_match(&path) {
            prop_assert!(may_overlap(&plain(&glob), &plain(&path)), "{glob} names {path}");
            prop_assert!(may_overlap(&plain(&path), &plain(&glob)), "{path} by {glob}");
        }
    }

    /// [D2] [C16] Two globs that name one path may overlap.
    #[test]
    fn globs_that_name_one_path_overlap(a in glob_of(), b in glob_of(), path in path_of()) {
        let (Some(one), Some(other)) = (matcher(&a), matcher(&b)) else { return Ok(()) };
        if one.is_match(&path) && other.is_match(&path) {
            prop_assert!(may_overlap(&plain(&a), &plain(&b)), "{a} and {b} name {path}");
        }
    }

    /// [D2] [C2] [C16] Any two tasks that may write one file are ordered one way, through whatever
    /// lies between them, and no circle comes of it.
    #[test]
    fn tasks_that_may_write_one_file_are_ordered(
        tasks in prop::collection::vec(
            (prop::collection::vec(glob_of(), 0..3), prop::collection::vec(0_usize..20, 0..3)),
            1..20,
        ),
        turned in any::<bool>(),
    ) {
        let mut tasks: Vec<PlanTask> = tasks
            .into_iter()
            .enumerate()
            .map(|(n, (files, needs))| {
                let needs: BTreeSet<usize> = needs.into_iter().filter(|m| *m < n).collect();
                PlanTask {
                    depends_on: needs.into_iter().map(|m| id(&format!("t{m}"))).collect(),
                    files: files.into_iter().filter(|file| check(file).is_ok()).collect(),
                    ..task(&format!("t{n}"), &[], &[])
                }
            })
            .collect();
        if turned {
            tasks.reverse();
        }
        let accepted = accept(&plan(tasks), Source::File).unwrap();
        let tasks = &accepted.plan.tasks;
        let mut needs: BTreeMap<TaskId, BTreeSet<TaskId>> = BTreeMap::new();
        for task in tasks {
            needs.entry(task.id.clone()).or_default().extend(task.depends_on.iter().cloned());
        }
        for edge in &accepted.added_edges {
            prop_assert!(needs.get_mut(&edge.after).unwrap().insert(edge.before.clone()));
        }
        let mut above: BTreeMap<TaskId, BTreeSet<TaskId>> = BTreeMap::new();
        for task in tasks {
            let mut seen = BTreeSet::new();
            let mut next: Vec<TaskId> = needs[&task.id].iter().cloned().collect();
            while let Some(at) = next.pop() {
                if seen.insert(at.clone()) {
                    next.extend(needs[&at].iter().cloned());
                }
            }
            prop_assert!(!seen.contains(&task.id), "{} waits for itself", task.id);
            above.insert(task.id.clone(), seen);
        }
        for (n, a) in tasks.iter().enumerate() {
            for b in &tasks[n + 1..] {
                let mut pairs = a.files.iter().flat_map(|x| b.files.iter().map(move |y| (x, y)));
                let touch = pairs.any(|(x, y)| may_overlap(&plain(x), &plain(y)));
                let ordered = above[&a.id].contains(&b.id) || above[&b.id].contains(&a.id);
                prop_assert!(!touch || ordered, "{} and {} are not ordered", a.id, b.id);
            }
        }
        // None of what was added follows from the rest.
        for edge in &accepted.added_edges {
            let others = needs[&edge.after].iter().filter(|other| **other != edge.before);
            let follows = others.into_iter().any(|other| above[other].contains(&edge.before));
            prop_assert!(!follows, "{} → {} follows", edge.before, edge.after);
        }
    }

    /// [D2] No text is too strange to be judged.
    #[test]
    fn any_path_is_judged(path in any::<String>(), other in any::<String>()) {
        let _ = check(&path);
        let _ = may_overlap(&plain(&path), &plain(&other));
    }
}

/// A glob made to try every way at once is judged at once.
#[test]
fn a_glob_of_many_stars_does_not_explode() {
    let glob = ["**/a"; 40].join("/") + "/b";
    let path = ["a"; 100].join("/");
    assert!(may_overlap(&glob, &path), "nothing speaks against a directory of that name");
    let one_star = "a".to_owned() + &"*a".repeat(40) + "b";
    assert!(!may_overlap(&one_star, &"a".repeat(200)));
}

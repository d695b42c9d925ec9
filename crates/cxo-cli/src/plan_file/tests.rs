//! Bad plans and goals are refused by name and place.

use super::*;

#[test]
fn a_plan_with_a_typo_is_refused_with_line_column_and_field() {
    let text = "{\n  \"summary\": \"s\",\n  \"tasks\": [\n    {\"id\": \"t1\", \"title\": \"a\", \"depend_on\": []}\n  ]\n}";
    let fault = parse(text).unwrap_err();
    assert!(fault.starts_with("4:"), "{fault}");
    assert!(fault.contains("tasks[0]") && fault.contains("depend_on"), "{fault}");
    let fault = parse("{\"summary\": \"s\", \"tasks\": [{\"id\": \"../x\", \"title\": \"a\"}]}")
        .unwrap_err();
    assert!(fault.contains("tasks[0].id"), "{fault}");
    assert!(
        parse("{\"summary\": \"s\", \"tasks\": []} x").unwrap_err().contains("text after the plan")
    );
    assert!(parse("").is_err());
}

#[test]
fn older_plan_files_are_read() {
    let plan =
        parse("{\"summary\": \"s\", \"subtasks\": [{\"id\": \"a\", \"title\": \"A\"}]}").unwrap();
    assert_eq!(plan.tasks.len(), 1);
}

#[test]
fn a_goal_has_something_in_it_and_at_most_half_a_mebibyte() {
    let full = "x".repeat(512 << 10);
    assert_eq!(goal("-", full.as_bytes()).unwrap().len(), 512 << 10);
    let over = format!("{full}x");
    for (given, input) in [("-", over.as_str()), (&over, ""), ("-", " \n"), ("", ""), ("-", "")] {
        assert_eq!(goal(given, input.as_bytes()).unwrap_err().code, Code::BadGoal);
    }
    assert!(goal("-", &[0xff_u8, 0xfe][..]).unwrap_err().message.contains("UTF-8"));
}

#[test]
fn a_plan_file_that_is_not_there_is_named() {
    let problem = read(Path::new("no-such-plan.json")).unwrap_err();
    assert_eq!(problem.code, Code::BadPlanFile);
    assert!(problem.message.contains("no-such-plan.json"));
}

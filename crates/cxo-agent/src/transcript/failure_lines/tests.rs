//! Outputs as common tools print them, and the lines that a person would point at.

use super::*;

#[test]
fn a_failing_rust_test_gives_its_panic() {
    let output = b"\
   Compiling shop v0.1.0
    Finished `test` profile
     Running unittests src/lib.rs
running 2 tests
test price::adds_tax ... ok
test price::rounds ... FAILED

failures:

---- price::rounds stdout ----
thread 'price::rounds' panicked at src/price.rs:41:9:
assertion `left == right` failed
  left: 10
 right: 11
note: run with `RUST_BACKTRACE=1` environment variable to display a backtrace

test result: FAILED. 1 passed; 1 failed; 0 ignored
";
    insta::assert_snapshot!(lines_about_failure(output, 6).join("\n"), @r#"
    test price::rounds ... FAILED
    thread 'price::rounds' panicked at src/price.rs:41:9:
    assertion `left == right` failed
      left: 10
     right: 11
    test result: FAILED. 1 passed; 1 failed; 0 ignored
    "#);
    assert_eq!(lines_about_failure(output, 1), ["test price::rounds ... FAILED"]);
}

#[test]
fn a_compiler_error_gives_its_place() {
    let output = b"\
   Compiling shop v0.1.0
\x1b[1m\x1b[31merror[E0308]\x1b[0m: mismatched types
 --> src/price.rs:3:5
  |
3 |     \"x\"
  |     ^^^ expected `u32`, found `&str`
warning: unused variable
";
    insta::assert_snapshot!(lines_about_failure(output, 10).join("\n"), @r#"
    error[E0308]: mismatched types
     --> src/price.rs:3:5
      |
    3 |     "x"
      |     ^^^ expected `u32`, found `&str`
    "#);
}

#[test]
fn python_and_node_failures_are_found() {
    let output = b"\
collected 3 items
test_shop.py ..F
    def test_total():
>       assert total([1]) == 2
E       assert 1 == 2
test_shop.py:7: AssertionError
==== 1 failed, 2 passed in 0.02s ====
";
    insta::assert_snapshot!(lines_about_failure(output, 10).join("\n"), @r#"
    >       assert total([1]) == 2
    E       assert 1 == 2
    test_shop.py:7: AssertionError
    ==== 1 failed, 2 passed in 0.02s ====
    "#);
    let tap = b"ok 1 - adds\nnot ok 2 - rounds\n  at Test (test/price.test.js:12:10)\n# pass 1\n";
    assert_eq!(
        lines_about_failure(tap, 10),
        ["not ok 2 - rounds", "  at Test (test/price.test.js:12:10)"]
    );
}

#[test]
fn without_a_sign_the_end_is_shown() {
    assert_eq!(lines_about_failure(b"one\ntwo\n\nthree\n", 2), ["two", "three"]);
    assert_eq!(lines_about_failure(b"", 2), Vec::<String>::new());
}

/// [G24]
#[test]
fn the_lines_are_inert_and_bounded() {
    let mut output = b"error: \x1b]52;c;x\x07\rhidden ".to_vec();
    output.extend(std::iter::repeat_n(b'x', 5 << 20));
    let lines = lines_about_failure(&output, 3);
    assert!(lines.iter().all(|line| line.chars().count() <= MAX_CHARS), "too long");
    let lines = lines_about_failure(b"error: \x1b]52;c;x\x07\rhidden", 3);
    assert_eq!(lines, [r"error: \e]52;c;x\a\rhidden"]);
}

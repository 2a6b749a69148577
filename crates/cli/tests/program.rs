//! Programs of several files: what they require goes with them, and their errors name their lines.

mod person;

use expect_test::expect;

use person::Person;

#[test]
fn a_program_of_several_files_is_evaluated_and_its_errors_name_its_lines() {
    let person = Person::new();
    person.network("test");
    let process = person.text(&["spawn"]);
    person.write(
        "src/main.lua",
        "local count = require('lib.count')\nreturn count.by(2), require('json').encode({ 1 })\n",
    );
    person.write(
        "lib/count.lua",
        "local m = {}\nfunction m.by(n)\n  Count = (Count or 0) + n\n  return Count\nend\nreturn m\n",
    );
    assert_eq!(person.text(&["eval", &process, "@src/main.lua"]), "2\t[1]");
    // What is loaded again is what the file says now, and state is kept.
    person.write("lib/count.lua", "return { by = function(n) Count = Count + 10 * n return Count end }");
    assert_eq!(person.text(&["eval", &process, "@src/main.lua"]), "22\t[1]");

    person.write("lib/count.lua", "local m = {}\nfunction m.by(n)\n  return n.a.b\nend\nreturn m\n");
    let said = person.refused(&["eval", &process, "@src/main.lua"], 1);
    expect![[r#"
        error[P0029]: the process failed: attempt to index a number value (local 'n')
            ╭─ lib/count.lua:3:10
          2 │ function m.by(n)
          3 │   return n.a.b
            │          ^
          4 │ end
          called at src/main.lua:2 in main chunk
        hint: its state is as it was before
    "#]]
    .assert_eq(&said);
    person.write("lib/count.lua", "return {\n  by = = 1\n}\n");
    let said = person.refused(&["eval", &process, "@src/main.lua"], 1);
    expect![[r#"
        error[P0029]: the process failed: unexpected symbol near '='
            ╭─ lib/count.lua:2:8
          1 │ return {
          2 │   by = = 1
            │        ^
          3 │ }
        hint: its state is as it was before
    "#]]
    .assert_eq(&said);
    assert_eq!(person.text(&["eval", &process, "return Count"]), "22");
}

#[test]
fn a_bundle_is_written_and_what_is_missing_is_told() {
    let person = Person::new();
    person.write("main.lua", "local zoo = require('zoo')");
    let output = person.run(&["build", "main.lua", "-o", "out.lua"]);
    assert!(output.status.success(), "{output:?}");
    assert!(String::from_utf8_lossy(&output.stderr).starts_with("warning: main.lua requires \"zoo\": no "));
    let written = std::fs::read_to_string(person.folder().join("out.lua")).unwrap();
    assert_eq!(person.answer(&["build", "main.lua"])["text"], written.as_str());
    let said = person.refused(&["build", "mian.lua"], 1);
    assert!(said.contains("hint: did you mean ") && said.contains("main.lua?"), "{said}");
}

//! Options of `sortilege bench` that cannot act are told.

use crate::common::{Folder, stderr, successful};
use crate::table::test_each;

/// Options, and those that cannot act.
const IDLE: &[(&str, &[&str])] = &[
    ("", &[]),
    ("--op log,sample --threads 1 --draws 2 --top 3 --temperature 0.5", &[]),
    ("--op log-softmax --draws 2 --top 3 --temperature 0.5", &["--draws", "--top", "--temperature"]),
    ("--op top-k --top 3 --temperature 0.5", &["--temperature"]),
    ("--op sample --draws 2 --temperature 0", &["--draws"]),
    ("--op log,sample --top-k 5 --top-p 0.9 --min-p 0.1", &[]),
    ("--op log --top-k 5 --top-p 0.9 --min-p 0.1", &["--top-k", "--top-p", "--min-p"]),
    ("--op sample --temperature 0 --top-k -1 --top-p 0.9", &["--top-p"]),
    ("--integers --allow-software", &["--integers", "--allow-software"]),
];

#[test]
fn what_cannot_act_is_told() {
    let folder = Folder::new();
    test_each(IDLE.iter().map(|case| (case.0, case)), |(options, names)| {
        let line = format!("bench --device cpu --rows 1 --vocab 16 --dtype f32 --repeat 1 {options}");
        let said = stderr(&successful(&line, folder.run(&line)));
        assert_eq!(said.matches(" cannot act").count(), names.len(), "{said}");
        assert!(names.iter().all(|name| said.contains(&format!("note: {name} cannot act: "))), "{said}");
    });
}

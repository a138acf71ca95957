//! The law of the contracts: a built-in document says all that the hub can answer.
//!
//! This file decides that no status is left out. It must not know how an answer is made.

use regex::Regex;

use super::source::{read, top};
use super::tables::faults;

#[test]
fn every_contract_names_every_status_of_a_fault_and_has_room_for_it_at_each_call() {
    let files = std::fs::read_dir(top().join("contracts")).unwrap();
    let files = files.map(|file| file.unwrap().file_name().into_string().unwrap());
    let files: Vec<_> = files.filter(|file| file.ends_with(".yaml")).collect();
    assert_eq!(files.len(), 5);
    for file in files {
        let document = read(&format!("contracts/{file}"));
        for fault in faults() {
            let status = Regex::new(&format!(r"\b{}\b", fault.status)).unwrap();
            assert!(status.is_match(&document), "{file}: no {} ({})", fault.status, fault.code);
        }
        let count = |line: &str| document.lines().filter(|it| it.trim_end() == line).count();
        let operations = count("      responses:");
        assert!(operations >= 3, "{file}");
        for range in ["        4XX:", "        5XX:"] {
            assert_eq!(count(range), operations, "{file}: an operation without {range}");
        }
    }
}

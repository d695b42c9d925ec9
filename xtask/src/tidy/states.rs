//! The conformance page keeps its format and claims nothing without a test.

use std::collections::BTreeSet;

use super::Complaint;
use crate::conformance::{PAGE, State, proofs, rows};
use crate::tree::Tree;

/// One row per id, a known state, every named test exists, what works has a test, and no test names
/// an id that is not on the page.
pub(crate) fn conformance(tree: &Tree) -> Vec<Complaint> {
    let Some(page) = tree.file(PAGE) else {
        return vec![Complaint::at(PAGE, 0, "the page is missing")];
    };
    let proofs = proofs(tree);
    let mut found = Vec::new();
    let mut seen = BTreeSet::new();
    for row in rows(&page.text) {
        let mut complain = |text: String| found.push(Complaint::at(PAGE, row.line, text));
        let id = &row.id;
        if !seen.insert(id.clone()) {
            complain(format!("{id} has a second row"));
        }
        if row.rule.is_empty() {
            complain(format!("{id} says nothing, or has not four cells"));
        }
        match row.state {
            None => complain(format!("{id}: the state is `works`, `partly` or `not yet`")),
            Some(State::Works | State::Partly)
                if !proofs.iter().any(|proof| proof.ids.contains(id)) =>
            {
                complain(format!("{id} works without a test that names [{id}] above it"));
            }
            Some(State::Works | State::Partly | State::NotYet) => {}
        }
        for name in &row.proofs {
            match proofs.iter().find(|proof| proof.name == *name) {
                None => complain(format!("{id}: there is no test `{name}`: cargo xtask gen")),
                Some(proof) if !proof.ids.contains(id) => {
                    complain(format!("{id}: `{name}` does not name [{id}]: cargo xtask gen"));
                }
                Some(_) => {}
            }
        }
    }
    for proof in proofs.iter().filter(|proof| proof.strict) {
        for id in proof.ids.iter().filter(|id| !seen.contains(*id)) {
            let text = format!("`{}` names [{id}], which {PAGE} does not list", proof.name);
            found.push(Complaint::at(&proof.path, proof.line, text));
        }
    }
    found
}

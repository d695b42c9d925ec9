//! Whether a piece of work needs a worktree of its own, by what it is likely to touch and for how
//! long.

use cxo_protocol::params::worktrees::{Isolation, WorktreeAdvice, WorktreeQuestion};

/// From here on a worktree of its own is worth what it costs.
pub const OWN_WORKTREE_FROM: u64 = 12;

/// One point for each file and each begun quarter of an hour, three for each step of risk, two for each worker beside and
/// each path that others work on.
pub fn advise(of: &WorktreeQuestion) -> WorktreeAdvice {
    let quarters = of.estimate_minutes.div_ceil(15);
    let parts = [
        (of.changed_files, 1, "changed files"),
        (quarters, 1, "quarters of an hour"),
        (of.risk, 3, "steps of risk"),
        (of.parallel_workers, 2, "workers at the same time"),
        (of.conflicting_paths, 2, "paths that others work on"),
    ];
    let worth = |(count, weight, _): &(u64, u64, &str)| count.saturating_mul(*weight);
    let score = parts.iter().map(worth).fold(0_u64, u64::saturating_add);
    let mut reasons: Vec<String> = parts
        .iter()
        .filter(|part| worth(part) > 0)
        .map(|part| format!("{} {}: +{}", part.0, part.2, worth(part)))
        .collect();
    let mode = if score >= OWN_WORKTREE_FROM { Isolation::Worktree } else { Isolation::Shared };
    reasons.push(format!("{score} of {OWN_WORKTREE_FROM} points for a worktree of its own"));
    WorktreeAdvice { mode, score, reasons }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn question(of: [u64; 5]) -> WorktreeQuestion {
        let [changed_files, estimate_minutes, risk, parallel_workers, conflicting_paths] = of;
        WorktreeQuestion {
            changed_files,
            estimate_minutes,
            risk,
            parallel_workers,
            conflicting_paths,
        }
    }

    /// [B4.2] The two figures of the promise, the edge between the modes, and no overflow.
    #[test]
    fn what_touches_much_gets_a_worktree_of_its_own() {
        let told = |of| {
            let advice = advise(&question(of));
            (advice.mode, advice.score)
        };
        assert_eq!(told([2, 15, 1, 1, 1]), (Isolation::Shared, 10));
        assert_eq!(told([6, 60, 2, 2, 2]), (Isolation::Worktree, 24));
        assert_eq!(told([11, 0, 0, 0, 0]), (Isolation::Shared, 11));
        assert_eq!(told([11, 1, 0, 0, 0]), (Isolation::Worktree, 12));
        assert_eq!(told([11, 16, 0, 0, 0]), (Isolation::Worktree, 13));
        assert_eq!(told([0; 5]), (Isolation::Shared, 0));
        assert_eq!(told([u64::MAX; 5]), (Isolation::Worktree, u64::MAX));
        let reasons = advise(&question([2, 0, 1, 0, 0])).reasons;
        assert_eq!(reasons[..2], ["2 changed files: +2", "1 steps of risk: +3"]);
    }
}

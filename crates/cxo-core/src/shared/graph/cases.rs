//! Cases: taken by a session, begun, their steps checked, completed. Each of these writes a checkpoint
//! from which another session can go on, and none of them is for a session that does not hold the case.

use cxo_protocol::graph::{
    Checkpoint, ClaimEnd, Details, GraphEvent, Level, NodeId, Reached, Status, StepResult,
};
use cxo_protocol::{SessionId, Timestamp};

use super::claims::{self, CLAIM_LEASE_MS, Claim, MAX_CLAIMS_OF_SESSION};
use super::command::{CaseCall, GraphRejected, NewNode};
use super::node::{self, MAX_STEPS, Node};
use super::room::Purpose;
use super::structure::over;
use super::{Around, Decided, Graph};

/// What a session says about a case that it holds.
struct Said<'a> {
    reached: Reached,
    next_action: Option<&'a str>,
    required_files: &'a [String],
}

/// What came of a step.
struct Checked<'a> {
    step_title: &'a str,
    result: StepResult,
    artifacts: &'a [String],
    required_files: &'a [String],
}

impl Graph {
    pub(super) fn of_case(
        &self,
        session: &SessionId,
        call: &CaseCall,
        around: Around<'_>,
    ) -> Decided {
        match call {
            CaseCall::ClaimNext => Ok(self.claim_next(session, around)),
            CaseCall::Begin { case, fence, contract } => {
                node::contract(contract)?;
                self.has_bytes(Purpose::Case, around)?;
                let (mut events, fence) = self.take(*case, session, *fence, around)?;
                let said = Said {
                    reached: Reached::Begun,
                    next_action: None,
                    required_files: &contract.required_files,
                };
                events.push(GraphEvent::CaseBegun { case: *case, contract: contract.clone() });
                events.push(self.checkpoint((*case, session, fence), said, around.now));
                Ok(events)
            }
            CaseCall::CheckStep { case, fence, step_title, result, artifacts, required_files } => {
                let checked = Checked { step_title, result: *result, artifacts, required_files };
                let claim = self.holding(*case, session, *fence, around)?;
                self.check_step(claim, &checked, around)
            }
            CaseCall::Complete { case, fence, summary, next_action, required_files } => {
                node::text("the summary", summary)?;
                node::text("next_action", next_action)?;
                node::names("required_files", required_files)?;
                let claim = self.holding(*case, session, *fence, around)?;
                let said = Said {
                    reached: Reached::Completed { summary: summary.clone() },
                    next_action: Some(next_action),
                    required_files,
                };
                self.complete(claim, said, around)
            }
        }
    }

    /// The case that a session holds already, the one that it took first; or the next one.
    fn claim_next(&self, session: &SessionId, around: Around<'_>) -> Vec<GraphEvent> {
        let own = self.claims.of(session).min_by_key(|claim| claim.fence);
        if let Some(claim) = own {
            return self.held_on(claim, around).0;
        }
        let next = self.ready().next().and_then(|case| self.nodes.get(&case));
        next.map(|case| self.claimed(case, session, around.now).0).unwrap_or_default()
    }

    /// A claim of the session's own is held for longer, or taken anew where its time was up.
    fn held_on(&self, claim: &Claim, around: Around<'_>) -> (Vec<GraphEvent>, u64) {
        if claim.is_held_at(around.now, around.sessions) {
            return (vec![claims::renewed(claim, around.now)], claim.fence);
        }
        let mut events = vec![claims::released(claim, ClaimEnd::Expired)];
        let Some(case) = self.nodes.get(&claim.case) else { return (events, claim.fence) };
        let (claimed, fence) = self.claimed(case, &claim.session, around.now);
        events.extend(claimed);
        (events, fence)
    }

    /// A free case is a session's from now on.
    fn claimed(&self, case: &Node, session: &SessionId, now: Timestamp) -> (Vec<GraphEvent>, u64) {
        let fence = self.claims.last_fence + 1;
        let status = Status::InProgress;
        let begun =
            (case.status != status).then_some(GraphEvent::StatusSet { node: case.id, status });
        let claimed = GraphEvent::CaseClaimed {
            case: case.id,
            session: session.clone(),
            fence,
            expires_at: now.plus_millis(CLAIM_LEASE_MS),
        };
        (begun.into_iter().chain(std::iter::once(claimed)).collect(), fence)
    }

    /// Takes a case by its name, or holds it for longer.
    fn take(
        &self,
        case: NodeId,
        session: &SessionId,
        fence: Option<u64>,
        around: Around<'_>,
    ) -> Result<(Vec<GraphEvent>, u64), GraphRejected> {
        let found = self.of_level(case, Level::Case)?;
        if fence.is_some() {
            // Who names a fence goes on under it: when that claim is over, it is too late.
            let claim = self.holding(case, session, fence, around)?;
            return Ok((vec![claims::renewed(claim, around.now)], claim.fence));
        }
        let mut events = Vec::new();
        if let Some(claim) = self.claims.get(case) {
            if claim.session == *session {
                return Ok(self.held_on(claim, around));
            }
            if claim.is_held_at(around.now, around.sessions) {
                return Err(held_by_other(claim));
            }
            events.push(claims::released(claim, ClaimEnd::Expired));
        }
        if !found.status.is_open() {
            return Err(over(found));
        }
        if found.waits() {
            return Err(GraphRejected::NotReady { case, waits_for: self.waits_for(case) });
        }
        let fits = self.claims.of(session).count() < MAX_CLAIMS_OF_SESSION;
        node::within("what a session holds", fits, "16 cases")?;
        let (claimed, fence) = self.claimed(found, session, around.now);
        events.extend(claimed);
        Ok((events, fence))
    }

    /// The claim under which a session acts on a case.
    fn holding(
        &self,
        case: NodeId,
        session: &SessionId,
        fence: Option<u64>,
        around: Around<'_>,
    ) -> Result<&Claim, GraphRejected> {
        let found = self.of_level(case, Level::Case)?;
        let not_claimed = || GraphRejected::NotClaimed { case, session: session.clone() };
        let Some(claim) = self.claims.get(case) else {
            return Err(if found.status.is_open() { not_claimed() } else { over(found) });
        };
        check_fence(claim, fence)?;
        match (claim.session == *session, claim.is_held_at(around.now, around.sessions)) {
            (true, true) => Ok(claim),
            (false, true) => Err(held_by_other(claim)),
            (true | false, false) => Err(not_claimed()),
        }
    }

    fn check_step(&self, claim: &Claim, checked: &Checked<'_>, around: Around<'_>) -> Decided {
        node::title(checked.step_title)?;
        node::names("artifacts", checked.artifacts)?;
        node::names("required_files", checked.required_files)?;
        self.has_bytes(Purpose::Case, around)?;
        let case = self.of_level(claim.case, Level::Case)?;
        let steps = case.children.iter().filter_map(|step| self.nodes.get(step));
        let known = steps.into_iter().find(|step| step.title == checked.step_title);
        let status = checked.result.status();
        let mut events = vec![claims::renewed(claim, around.now)];
        let step = if let Some(step) = known {
            if step.status != status {
                events.push(GraphEvent::StatusSet { node: step.id, status });
            }
            step.id
        } else {
            self.has_places(1, around)?;
            node::within("the list of steps", case.tally.all() < MAX_STEPS, "200 of a case")?;
            let new = NewNode {
                level: Level::Step,
                title: checked.step_title.to_owned(),
                parent: Some(case.id),
                priority: 0,
                status,
                details: Details::default(),
            };
            events.push(self.created(&new, 0, around));
            NodeId(self.last_node + 1)
        };
        let said = Said {
            reached: Reached::StepChecked {
                step,
                step_title: checked.step_title.to_owned(),
                result: checked.result,
                artifacts: checked.artifacts.to_vec(),
            },
            next_action: None,
            required_files: checked.required_files,
        };
        let by = (case.id, &claim.session, claim.fence);
        events.push(self.checkpoint(by, said, around.now));
        Ok(events)
    }

    fn complete(&self, claim: &Claim, said: Said<'_>, around: Around<'_>) -> Decided {
        self.has_bytes(Purpose::Case, around)?;
        let case = self.of_level(claim.case, Level::Case)?;
        let steps = case.children.iter().filter_map(|step| self.nodes.get(step));
        let left = steps.filter(|step| step.status.is_open() || step.status == Status::Failed);
        let left: Vec<_> = left.map(|step| (step.id, step.status, step.title.clone())).collect();
        if !left.is_empty() {
            return Err(GraphRejected::StepsLeft { case: case.id, steps: left }.into());
        }
        let by = (case.id, &claim.session, claim.fence);
        Ok(vec![
            self.checkpoint(by, said, around.now),
            GraphEvent::StatusSet { node: case.id, status: Status::Done },
            claims::released(claim, ClaimEnd::Completed),
        ])
    }

    fn checkpoint(
        &self,
        (case, session, fence): (NodeId, &SessionId, u64),
        said: Said<'_>,
        now: Timestamp,
    ) -> GraphEvent {
        let checkpoint = Checkpoint {
            number: self.nodes.get(&case).map_or(1, Node::next_checkpoint),
            written_at: now,
            session_id: session.clone(),
            fence,
            reached: said.reached,
            next_action: said.next_action.map(str::to_owned),
            required_files: said.required_files.to_vec(),
        };
        GraphEvent::CheckpointWritten { case, checkpoint }
    }
}

fn check_fence(claim: &Claim, given: Option<u64>) -> Result<(), GraphRejected> {
    match given {
        Some(given) if given != claim.fence => {
            Err(GraphRejected::StaleFence { case: claim.case, given, now: claim.fence })
        }
        Some(_) | None => Ok(()),
    }
}

fn held_by_other(claim: &Claim) -> GraphRejected {
    GraphRejected::Claimed {
        case: claim.case,
        holder: claim.session.clone(),
        expires_at: claim.expires_at,
    }
}

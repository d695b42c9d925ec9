//! The whole plan of a run, descriptions and all: views show only its outline, so it is read from
//! the log of events.

use std::sync::Arc;
use std::time::Duration;

use cxo_protocol::client::{Client, Pushed};
use cxo_protocol::params::EventsSubscribe;
use cxo_protocol::{Code, Event, Plan, Problem, RunId};

/// How long the log may be silent before what was read is taken for all of it.
const SILENT_FOR: Duration = Duration::from_secs(5);

/// The newest plan of a run. Reads on `client`, which is of no use afterwards.
pub(crate) fn newest(mut client: Client, run: &RunId) -> Result<Arc<Plan>, Problem> {
    // Without a run: only then is it certain that the last position is reached.
    let mut since = 0;
    let mut found = None;
    let subscribed = client.subscribe(&EventsSubscribe { run: None, since: Some(since) })?;
    while since < subscribed.seq {
        match client.next_pushed(Some(SILENT_FOR))? {
            Some(Pushed::Event(line)) => {
                since = line.seq;
                if line.run == *run {
                    found = plan_in(&line.event).or(found);
                }
            }
            Some(Pushed::Gap(seq)) => {
                client.subscribe(&EventsSubscribe { run: None, since: Some(seq) })?;
            }
            Some(Pushed::Activity(_) | Pushed::Topic(_) | Pushed::CaughtUp(_)) => {}
            None => break,
        }
    }
    found.ok_or_else(|| {
        Problem::new(Code::WrongState, format!("run {run} has no plan yet"))
            .try_next(format!("cxo status {run}"))
    })
}

/// The plan that an event brings.
pub(crate) fn plan_in(event: &Event) -> Option<Arc<Plan>> {
    if let Event::PlanProposed { plan, .. } = event { Some(plan.clone()) } else { None }
}

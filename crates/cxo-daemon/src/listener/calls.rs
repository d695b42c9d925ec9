//! The requests of one connection that wait: each goes on in a task of its own and is answered when
//! it ends, however that is.

use std::collections::HashMap;
use std::future::Future;

use cxo_protocol::wire::{CallId, Envelope};
use cxo_protocol::{Code, Problem};
use tokio::task::{Id, JoinError, JoinSet};

/// Requests that wait, by their tasks.
#[derive(Debug, Default)]
pub(super) struct Calls {
    tasks: JoinSet<String>,
    of: HashMap<Id, (CallId, Envelope)>,
}

impl Calls {
    /// How many wait.
    pub(super) fn len(&self) -> usize {
        self.of.len()
    }

    /// Whether a request with this id waits.
    pub(super) fn has(&self, id: &CallId) -> bool {
        self.of.values().any(|(waiting, _)| waiting == id)
    }

    /// Goes on with a request; `work` ends with its answer.
    pub(super) fn go_on(
        &mut self,
        id: CallId,
        envelope: Envelope,
        work: impl Future<Output = String> + Send + 'static,
    ) {
        let task = self.tasks.spawn(work).id();
        self.of.insert(task, (id, envelope));
    }

    /// The answer of the next that ends; `None` if none waits.
    pub(super) async fn next(&mut self) -> Option<String> {
        match self.tasks.join_next_with_id().await? {
            Ok((task, answer)) => {
                self.of.remove(&task);
                Some(answer)
            }
            Err(error) => Some(self.broke(&error)),
        }
    }

    /// The answer to a request that came to none. Its id is free again.
    fn broke(&mut self, error: &JoinError) -> String {
        tracing::error!(%error, "a request was not carried out to its end");
        let problem = Problem::new(Code::Internal, "a fault of the orchestrator")
            .because("the request was not carried out to its end; the daemon's log says why")
            .keeping("what it did before that");
        match self.of.remove(&error.id()) {
            Some((id, envelope)) => envelope.answer(Some(&id), Err(problem)),
            None => Envelope::JsonRpc.answer(None, Err(problem)),
        }
    }

    /// Ends all of them.
    pub(super) async fn end(&mut self) {
        self.tasks.shutdown().await;
        self.of.clear();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// [A5.1] [G30] A request that panics is answered as a fault, and its id can be used again.
    #[tokio::test]
    async fn a_request_that_panics_is_answered_and_gives_its_id_back() {
        let mut calls = Calls::default();
        let id = CallId::Number(7);
        calls.go_on(id.clone(), Envelope::Plain, async { panic!("a fault") });
        assert!(calls.has(&id));
        let answer: serde_json::Value = serde_json::from_str(&calls.next().await.unwrap()).unwrap();
        assert_eq!((&answer["id"], &answer["error"]["code"]), (&7.into(), &(-32603).into()));
        assert!(!calls.has(&id) && calls.len() == 0);
        calls.go_on(id, Envelope::Plain, async { "the answer".to_owned() });
        assert_eq!(calls.next().await.as_deref(), Some("the answer"));
        assert_eq!(calls.next().await, None);
    }
}

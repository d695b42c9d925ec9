//! The Markdown mirror, asked for.

use std::sync::Arc;

use cxo_protocol::Problem;
use cxo_protocol::params::mirror::{MirrorRefreshed, MirrorStatus};
use serde_json::Value;

use super::Handlers;
use crate::caller::Call;
use crate::mirror::{self, Facts, Page, SharedFacts};
use crate::{fresh, problems};

/// Runs that have a page. Pages of older ones stay as they are.
const MIRRORED_RUNS: usize = 100;

impl Handlers {
    pub(super) async fn mirror_status(self: &Arc<Self>) -> Result<MirrorStatus, Problem> {
        let open = self.tree(&self.paths.work_tree).await?;
        self.blocking(move |this| {
            let there = mirror::version_there(&open.files);
            let there = there.map_err(|error| problems::of_file(&error))?;
            let version = mirror::version(&this.mirror_pages());
            let outdated = there.as_ref() != Some(&version);
            Ok(MirrorStatus { version, mirror_version: there, outdated, path: this.first_page() })
        })
        .await
    }

    pub(super) async fn refresh_mirror(
        self: &Arc<Self>,
        call: &Call<'_>,
    ) -> Result<Value, Problem> {
        let tree = self.paths.work_tree.display().to_string();
        self.is_opened_by_user(&tree, call.principal())?;
        let open = self.tree(&self.paths.work_tree).await?;
        let _gate = open.gate.clone().write_owned().await;
        let refreshed = self
            .blocking(move |this| {
                let pages = this.mirror_pages();
                let version = mirror::version(&pages);
                let written = mirror::write(&open.files, pages);
                let written = written.map_err(|error| problems::of_file(&error))?;
                Ok(MirrorRefreshed { version, path: this.first_page(), written })
            })
            .await?;
        self.keep(refreshed, call).await
    }

    fn mirror_pages(&self) -> Vec<Page> {
        let (open, ended): (Vec<_>, Vec<_>) =
            self.published.runs().into_iter().partition(|run| !run.state.is_ended());
        let mut ids: Vec<_> = open.into_iter().chain(ended).take(MIRRORED_RUNS).collect();
        ids.sort_by(|one, other| (other.started_at, &other.id).cmp(&(one.started_at, &one.id)));
        let runs = ids.iter().filter_map(|run| self.published.run(&run.id)).collect();
        let now = fresh::now();
        let shared = self.published.shared(|shared| SharedFacts::of(shared, now));
        mirror::pages(&Facts { runs, shared })
    }

    fn first_page(&self) -> String {
        let folder = self.paths.work_tree.join(mirror::FOLDER);
        folder.join(mirror::FIRST_PAGE).display().to_string()
    }
}

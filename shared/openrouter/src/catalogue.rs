//! The list of models, cached: models change a few times a week, and an expired list is better than none.

use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;
use shared_core::models::{CatalogueError, ModelId, ModelTable, OfferedModel};
use tokio::sync::Mutex;

use crate::OpenRouter;

/// How long a list is fresh.
const FRESH_FOR: Duration = Duration::from_mins(10);
/// How long an expired list is served before a retry, while the provider does not answer.
const PATIENCE: Duration = Duration::from_secs(30);

/// The provider's models that are offered.
#[derive(Debug)]
pub struct Catalogue {
    openrouter: OpenRouter,
    table: Arc<ModelTable>,
    /// Locked while the list is fetched, so that concurrent requests fetch it once.
    kept: Mutex<Option<Kept>>,
}

#[derive(Debug)]
struct Kept {
    models: Arc<[OfferedModel]>,
    good_until: Timestamp,
}

impl Catalogue {
    /// Lists the provider's models that `table` offers.
    pub fn new(openrouter: OpenRouter, table: Arc<ModelTable>) -> Self {
        Self { openrouter, table, kept: Mutex::new(None) }
    }

    /// The model of requests that name none.
    pub fn default_model(&self) -> &ModelId {
        self.table.default_model()
    }

    /// Returns the offered models: at most ten minutes old, or older while the provider does not answer.
    pub async fn models(&self, now: Timestamp) -> Result<Arc<[OfferedModel]>, CatalogueError> {
        let mut kept = self.kept.lock().await;
        if let Some(kept) = kept.as_ref().filter(|kept| now < kept.good_until) {
            return Ok(Arc::clone(&kept.models));
        }
        // Kept until the new list is there: a caller may give up meanwhile.
        let fetched = self.openrouter.models().await;
        let (models, good_for) = match (fetched, kept.take()) {
            (Ok(listed), _) => (self.table.offer(listed).into(), FRESH_FOR),
            (Err(error), Some(old)) => {
                tracing::warn!(%error, "serving an expired list of models");
                (old.models, PATIENCE)
            }
            (Err(error), None) => return Err(CatalogueError(error.into())),
        };
        *kept = Some(Kept { models: Arc::clone(&models), good_until: now + good_for });
        Ok(models)
    }
}

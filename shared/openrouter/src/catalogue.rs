//! The list of models, cached: models change a few times a week, and an expired list is better than none.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use jiff::Timestamp;
use shared_core::models::{CatalogueError, ModelId, ModelTable, OfferedModel};

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
    kept: Mutex<Option<Kept>>,
    /// Locked while the list is fetched, so that concurrent requests fetch it once.
    fetching: tokio::sync::Mutex<()>,
}

#[derive(Debug)]
struct Kept {
    models: Arc<[OfferedModel]>,
    good_until: Timestamp,
}

impl Catalogue {
    /// Lists the provider's models that `table` offers.
    pub fn new(openrouter: OpenRouter, table: Arc<ModelTable>) -> Self {
        Self { openrouter, table, kept: Mutex::default(), fetching: tokio::sync::Mutex::default() }
    }

    /// The model of requests that name none.
    pub fn default_model(&self) -> &ModelId {
        self.table.default_model()
    }

    /// Returns the offered models: at most ten minutes old, or older while the provider does not answer.
    pub async fn models(&self, now: Timestamp) -> Result<Arc<[OfferedModel]>, CatalogueError> {
        if let Some(models) = self.fresh(now) {
            return Ok(models);
        }
        let _fetching = self.fetching.lock().await;
        if let Some(models) = self.fresh(now) {
            return Ok(models);
        }
        self.fetch(now).await
    }

    /// Fetches the list, unless it is fresh or being fetched.
    pub async fn refresh(&self, now: Timestamp) {
        if self.fresh(now).is_none()
            && let Ok(_fetching) = self.fetching.try_lock()
        {
            // An error is logged where the list is needed.
            self.fetch(now).await.ok();
        }
    }

    async fn fetch(&self, now: Timestamp) -> Result<Arc<[OfferedModel]>, CatalogueError> {
        let (models, good_for) = match (self.openrouter.models().await, self.last_known()) {
            (Ok(listed), _) => (self.table.offer(listed).into(), FRESH_FOR),
            (Err(error), Some(old)) => {
                tracing::warn!(%error, "serving an expired list of models");
                (old, PATIENCE)
            }
            (Err(error), None) => return Err(CatalogueError(error.into())),
        };
        *self.kept() = Some(Kept { models: Arc::clone(&models), good_until: now + good_for });
        Ok(models)
    }

    /// The list of the last fetch, however old; `None` before the first.
    pub fn last_known(&self) -> Option<Arc<[OfferedModel]>> {
        self.kept().as_ref().map(|kept| Arc::clone(&kept.models))
    }

    fn fresh(&self, now: Timestamp) -> Option<Arc<[OfferedModel]>> {
        let kept = self.kept();
        kept.as_ref().filter(|kept| now < kept.good_until).map(|kept| Arc::clone(&kept.models))
    }

    fn kept(&self) -> MutexGuard<'_, Option<Kept>> {
        self.kept.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

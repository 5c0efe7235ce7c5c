//! The files of a turn: read from S3, each once, and only if the model can read it.
//!
//! Those of the question are read while Postgres begins the turn: their keys follow from the user and the request, and
//! whether the question may have them is known before any is sent. Those of the context follow as soon as it is known.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};

use bytes::Bytes;
use futures_util::FutureExt as _;
use futures_util::future::{BoxFuture, Shared, join_all};
use jiff::Timestamp;
use shared_core::billing::Plan;
use shared_core::chat::{FILES_PER_TURN_BYTES, FileContents, FilePart, SendError, files_to_send};
use shared_core::ids::UserId;
use shared_core::models::{ModelId, OfferedModel};
use shared_core::uploads::{FileForm, LARGEST_PDF, UploadError, UploadId};
use shared_files::FilesError;
use shared_postgres::BegunTurn;
use tokio::time::{Duration, timeout};
use tokio_util::sync::CancellationToken;

use super::TurnContext;
use crate::Deps;

/// How long a turn with an image waits for the provider's list of models; without it, the model is tried.
const LIST_WITHIN: Duration = Duration::from_secs(2);

/// A file that is being read; `None` if it is not there.
type Read = Shared<BoxFuture<'static, Result<Option<Bytes>, Arc<FilesError>>>>;

/// The files that a turn reads. Dropped, they are read no further.
pub(super) struct TurnFiles {
    user: UserId,
    now: Timestamp,
    reads: Mutex<HashMap<UploadId, Read>>,
    reading: CancellationToken,
}

impl Drop for TurnFiles {
    fn drop(&mut self) {
        self.reading.cancel();
    }
}

impl TurnFiles {
    /// Begins to read the files of a question. Does nothing if it has none.
    pub(super) fn begin(deps: &Deps, context: &TurnContext, files: &[UploadId]) -> Self {
        let TurnContext { session, now, .. } = *context;
        let (reads, reading) = (Mutex::default(), CancellationToken::new());
        let turn = Self { user: session.user, now, reads, reading };
        for file in files {
            drop(turn.read(deps, *file));
        }
        if !files.is_empty() {
            refresh_list(deps, now);
        }
        turn
    }

    /// The contents that are sent to the model. Files of the context may take `tokens`.
    ///
    /// A file of the question that cannot be sent refuses the turn; one of the context is left out, and the prompt names
    /// it: the chat has to go on.
    pub(super) async fn contents<'a>(
        &self,
        deps: &Deps,
        turn: &'a BegunTurn,
        tokens: u32,
    ) -> Result<FileContents<'a>, SendError> {
        let to_send = |sees_images| files_to_send(&turn.context, &turn.files, tokens, sees_images);
        let mut files = to_send(true);
        if files.is_empty() && turn.files.is_empty() {
            return Ok(FileContents::new());
        }
        let fitting = files.iter().take_while(|file| is_one_of(file, &turn.files)).count();
        if fitting < turn.files.iter().filter(|file| file.upload().is_some()).count() {
            return Err(SendError::FilesTooLarge { limit: FILES_PER_TURN_BYTES });
        }
        if files.iter().any(|file| file.is_image()) {
            let asks_about_images = turn.files.iter().any(FilePart::is_image);
            match sees_images(deps, turn, self.now).await {
                Some(true) => {}
                // Tried: the provider knows.
                None if asks_about_images => {}
                Some(false) if asks_about_images => {
                    return Err(cannot_read_images(deps, turn, self.now).await);
                }
                Some(false) | None => files = to_send(false),
            }
        }
        let reads = files.iter().filter_map(|file| {
            let upload = file.upload()?;
            let read = self.read(deps, upload);
            let file: &'a FilePart = file;
            Some(async move { (file, upload, read.await) })
        });
        let mut contents = FileContents::new();
        for (file, upload, read) in join_all(reads).await {
            match read {
                Ok(Some(bytes)) => contents.push((file, bytes)),
                Ok(None) if is_one_of(file, &turn.files) => {
                    return Err(UploadError::NotFound.into());
                }
                Err(error) if is_one_of(file, &turn.files) => {
                    return Err(UploadError::Unavailable(error.into()).into());
                }
                Ok(None) => tracing::warn!(%upload, "a file of an earlier message is gone"),
                Err(error) => {
                    tracing::warn!(%error, %upload, "a file of an earlier message cannot be read");
                }
            }
        }
        Ok(contents)
    }

    /// Begins to read a file, unless it is being read.
    fn read(&self, deps: &Deps, upload: UploadId) -> Read {
        let mut reads = self.reads.lock().unwrap_or_else(PoisonError::into_inner);
        let read = reads.entry(upload).or_insert_with(|| {
            let (files, user, reading) = (deps.files.clone(), self.user, self.reading.clone());
            let read = async move {
                let read = files.read(user, upload, FileForm::Model, LARGEST_PDF);
                let read = reading.run_until_cancelled(read).await;
                read.unwrap_or(Err(FilesError::BrokeOff)).map_err(Arc::new)
            };
            let read = read.boxed().shared();
            // In a task of its own: it goes on while the turn waits for something else.
            deps.tasks.spawn(read.clone().map(drop));
            read
        });
        read.clone()
    }
}

fn is_one_of(file: &FilePart, files: &[FilePart]) -> bool {
    files.iter().any(|other| std::ptr::eq(file, other))
}

/// Whether the model can read images; `None` if the provider's list is away, or does not have it.
async fn sees_images(deps: &Deps, turn: &BegunTurn, now: Timestamp) -> Option<bool> {
    let models = listed(deps, now).await;
    let model = models.iter().find(|offered| offered.model.id == turn.model);
    model.map(reads_images)
}

/// The refusal of a turn whose model cannot read images, with models of the user's plan that can.
pub(super) async fn cannot_read_images(deps: &Deps, turn: &BegunTurn, now: Timestamp) -> SendError {
    const MOST: usize = 5;
    let plan: &Plan = deps.plans.of(Some(&turn.plan));
    let models = listed(deps, now).await;
    let is_choice = |offered: &&OfferedModel| {
        plan.includes(offered.pricing.tier)
            && reads_images(offered)
            && offered.model.id != turn.model
    };
    let models: Vec<ModelId> = models
        .iter()
        .filter(is_choice)
        .take(MOST)
        .map(|offered| offered.model.id.clone())
        .collect();
    SendError::ModelCannotRead { model: turn.model.clone(), models }
}

fn reads_images(offered: &OfferedModel) -> bool {
    offered.model.input_modalities.iter().any(|modality| modality == "image")
}

/// Fetches the provider's list of models in the background, unless it is fresh or being fetched.
fn refresh_list(deps: &Deps, now: Timestamp) {
    let catalogue = Arc::clone(&deps.catalogue);
    deps.tasks.spawn(async move { catalogue.refresh(now).await });
}

/// The offered models, by the last list that is known, so that only the first turn waits for one; none if the provider's
/// list is away.
async fn listed(deps: &Deps, now: Timestamp) -> Arc<[OfferedModel]> {
    if let Some(models) = deps.catalogue.last_known() {
        refresh_list(deps, now);
        return models;
    }
    if let Ok(Ok(models)) = timeout(LIST_WITHIN, deps.catalogue.models(now)).await {
        return models;
    }
    tracing::warn!("without the list of models, a model is tried with an image");
    Arc::default()
}

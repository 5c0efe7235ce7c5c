//! What an image in the question adds to the time to the first word, compared with one read of it from the same S3, by the same
//! client as in a turn.

use std::time::Duration;

use shared_aws::Aws;
use shared_core::env::Env;
use shared_core::uploads::{FileForm, UploadId};
use shared_files::Files;

use crate::Result;
use crate::client::{Reader, question_request};
use crate::clock::now;
use crate::photo::noise;
use crate::script::Script;
use crate::stack::Stack;
use crate::subject::Process;
use crate::users::{User, Users};

/// Users with an image, in rotation. Each has two turns in a round, below the rate limit of 60 turns a minute.
const USERS: usize = 10;
/// Rounds that are not measured, because they open connections.
const WARM_UP: usize = 2;
/// The size of the form for models, in bytes.
const IMAGE_BYTES: usize = 1 << 20;
const IMAGE_TYPE: &str = "image/jpeg";
/// The model answers at once, so that the time to the first word includes all of the turn's beginning.
const SCRIPT: Script = Script::steady(2, Duration::ZERO);

/// The measurements, in nanoseconds.
#[derive(Default)]
pub(crate) struct Attached {
    /// To the first word of turns without an image, without the upstream's share.
    pub(crate) without: Vec<u64>,
    /// The same of turns with one.
    pub(crate) with: Vec<u64>,
    /// To the end of reads of the image.
    pub(crate) read: Vec<u64>,
}

/// Runs `rounds` rounds of turns, each in a chat of its own, and of reads, in turn: other load of the machine affects all
/// alike.
pub(crate) async fn measure(
    stack: &Stack,
    env: &Env<'_>,
    local: &Process,
    users: &Users,
    rounds: usize,
) -> Result<Attached> {
    let files = Files::from_env(env, &Aws::from_env(env)?)?;
    let mut images = Vec::new();
    for number in 0..USERS {
        images.push(store_image(&files, &users.user(number)).await?);
    }
    stack.run_as_owner(&ready_uploads()).await?;
    stack.empty_cache()?;

    let mut reader = Reader::connect(local.address).await?;
    let mut found = Attached::default();
    for round in 0..WARM_UP + rounds {
        if round == WARM_UP {
            found = Attached::default();
        }
        for (number, id) in images.iter().enumerate() {
            let user = users.user(number);
            for (file, times) in
                [(None, &mut found.without), (Some(id.url().as_str()), &mut found.with)]
            {
                let with = if file.is_some() { "with" } else { "without" };
                let chat = format!("bench-image-{number}-{round}-{with}");
                let request = question_request(&user, &chat, file, &SCRIPT);
                times.push(reader.turn(&request, &SCRIPT).await?.first);
            }
            let began = now();
            let read = files.read(user.id, *id, FileForm::Model, IMAGE_BYTES as u64).await?;
            found.read.push(now() - began);
            if read.is_none_or(|bytes| bytes.len() != IMAGE_BYTES) {
                return Err("an image is not as it was stored".into());
            }
        }
    }
    Ok(found)
}

/// Stores an image of `user`, under the user's own id. Returns the upload's id.
async fn store_image(files: &Files, user: &User<'_>) -> Result<UploadId> {
    let (id, bytes) = (UploadId(user.id.0), random_bytes(user.number));
    files.keep(user.id, id, FileForm::Model, bytes.into(), IMAGE_TYPE).await?;
    Ok(id)
}

/// Nothing that compresses, as the bytes of a JPEG.
fn random_bytes(seed: usize) -> Vec<u8> {
    (0..IMAGE_BYTES).map(|at| noise(at, seed)).collect()
}

/// Creates the rows of the images.
fn ready_uploads() -> String {
    format!(
        "insert into uploads (user_id, id, filename, declared_type, size_bytes, sha256, state, media_type, width, height,
                              model_type, model_bytes, tokens, created_at)
         select id, id, 'photo.jpg', '{IMAGE_TYPE}', {IMAGE_BYTES}, sha256('photo'), 'ready', '{IMAGE_TYPE}', 4000, 3000,
                '{IMAGE_TYPE}', {IMAGE_BYTES}, 1600, now()
           from users
          where email in (select 'user-' || n || '@example.com' from generate_series(0, {USERS} - 1) n);
         insert into storage_usage
         select user_id, sum(size_bytes) from uploads where state = 'ready' group by user_id
             on conflict (user_id) do update set bytes = storage_usage.bytes + excluded.bytes"
    )
}

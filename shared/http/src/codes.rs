//! Every error of the API: the one table of codes and statuses.
//!
//! `docs/errors.md` and the `OpenAPI` document are generated from it.

use utoipa::openapi::{ObjectBuilder, RefOr, Schema, Type};
use utoipa::{PartialSchema, ToSchema};

/// By hand: utoipa's derive does not see the serde names from the table below.
impl PartialSchema for ErrorCode {
    fn schema() -> RefOr<Schema> {
        ObjectBuilder::new()
            .schema_type(Type::String)
            .enum_values(Some(Self::ALL.iter().map(|code| code.as_str())))
            .description(Some(
                "What went wrong, for programs. `docs/errors.md` says what each means, and what \
                 `details` there are.",
            ))
            .into()
    }
}

impl ToSchema for ErrorCode {}

macro_rules! error_codes {
    ($($(#[doc = $doc:literal])+ $name:ident = $status:literal $code:literal,)+) => {
        /// What went wrong, for programs. The message beside it is for people and may change.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, serde::Serialize)]
        pub enum ErrorCode {
            $($(#[doc = $doc])+ #[serde(rename = $code)] $name,)+
        }

        impl ErrorCode {
            /// All of them, in the order of the documentation.
            pub const ALL: &'static [Self] = &[$(Self::$name,)+];

            /// The code on the wire.
            pub const fn as_str(self) -> &'static str {
                match self { $(Self::$name => $code,)+ }
            }

            /// The HTTP status that goes with it.
            pub const fn status(self) -> u16 {
                match self { $(Self::$name => $status,)+ }
            }

            /// What it means and what to do.
            pub const fn meaning(self) -> &'static str {
                match self { $(Self::$name => concat!($($doc),+).trim_ascii(),)+ }
            }
        }
    };
}

error_codes! {
    /// The body is not JSON. Nothing was done.
    MalformedJson = 400 "malformed_json",
    /// The body is JSON, but not what this route takes; the message names the field.
    InvalidRequest = 422 "invalid_request",
    /// Send `content-type: application/json`.
    UnsupportedMediaType = 415 "unsupported_media_type",
    /// The body is larger than this route takes.
    BodyTooLarge = 413 "body_too_large",
    /// There is no such route.
    NotFound = 404 "not_found",
    /// The route exists, but not with this method.
    MethodNotAllowed = 405 "method_not_allowed",
    /// A browser sent this from another site's page. Nothing was done.
    CrossSite = 403 "cross_site",
    /// The request bypassed the CloudFront distribution and reached the gateway directly; use the app's own address.
    DistributionBypassed = 403 "distribution_bypassed",
    /// Too many requests: the gateway throttles them, or this route has a limit of its own. `retry-after` says when to go on.
    TooManyRequests = 429 "too_many_requests",
    /// The firewall refused the request.
    Forbidden = 403 "forbidden",
    /// An internal error; it is logged under the response's `x-request-id`.
    Internal = 500 "internal",

    /// That is not an e-mail address.
    InvalidEmail = 422 "invalid_email",
    /// A code is six digits.
    InvalidCode = 422 "invalid_code",
    /// Wrong code; `details.triesLeft` says how many tries are left.
    CodeWrong = 401 "code_wrong",
    /// No code is waiting for this address: expired, used, replaced by a newer one, guessed wrong three times, or never sent. Ask for a new one.
    CodeExpired = 401 "code_expired",
    /// Too many codes or guesses; `retry-after` says when to go on.
    TooManyCodes = 429 "too_many_codes",
    /// The mail could not be sent; try again.
    MailFailed = 502 "mail_failed",
    /// Logging in is not possible right now; `retry-after` says when to try again.
    LoginUnavailable = 503 "login_unavailable",

    /// Log in first.
    Unauthenticated = 401 "unauthenticated",
    /// The session was logged out or has expired; log in again.
    SessionEnded = 401 "session_ended",
    /// A name has 1 to 100 characters and no line breaks.
    InvalidName = 422 "invalid_name",
    /// The cursor is not one that this list gave out.
    InvalidCursor = 422 "invalid_cursor",
    /// The database cannot be reached, or serves as many requests as it may; `retry-after` says when to try again.
    Unavailable = 503 "unavailable",

    /// An id is 8 to 64 letters, digits, `-` or `_`.
    InvalidId = 422 "invalid_id",
    /// There is no question in the request, it is empty, or it holds a part that is neither text nor an uploaded file.
    InvalidMessage = 422 "invalid_message",
    /// The question's text is longer than allowed. `details`: `limitBytes` says how long it may be; where that is the plan's limit, `upgrade` is as for `credits_exhausted`.
    MessageTooLong = 413 "message_too_long",
    /// There is no such model here; `GET /api/models` lists those there are.
    ModelUnknown = 404 "model_unknown",
    /// There is no such chat, or it is another user's.
    ChatNotFound = 404 "chat_not_found",
    /// There is no such message in this chat.
    MessageNotFound = 404 "message_not_found",
    /// A message with this id has already been sent.
    MessageExists = 409 "message_exists",
    /// The chat's last answer is still being written. `details.messageId` is its id: resume it, stop it, or wait for its end.
    TurnRunning = 409 "turn_running",
    /// An idempotency key is 1 to 255 printable ASCII characters.
    InvalidIdempotencyKey = 422 "invalid_idempotency_key",
    /// The idempotency key was used for another question, or for an order of another plan; generate a new one.
    IdempotencyKeyReused = 422 "idempotency_key_reused",
    /// The stream of a running turn cannot be resumed right now. The answer is not lost, and will be in the chat; `retry-after` says when to try again.
    ResumeUnavailable = 503 "resume_unavailable",
    /// Streams were resumed too often, by page loads or by duplicate requests; `retry-after` says when to go on.
    TooManyFollows = 429 "too_many_follows",
    /// The answer cannot be stopped right now, and goes on; `retry-after` says when to try again.
    StopUnavailable = 503 "stop_unavailable",
    /// Too many turns; `retry-after` says when to go on.
    TooManyTurns = 429 "too_many_turns",
    /// The credits left of the day or the paid period do not pay for this model. `details`: `needed` credits; `allowances`, which could have paid, each with `plan`, `left`, `granted`, `endsAt` and `renews` (whether new credits come then); `upgrade`, a plan with more credits (`plan`, `name`, and `at`, a path of the app), or null; `byokAllowed`, true: the user's own OpenRouter key (BYOK) could pay.
    CreditsExhausted = 402 "credits_exhausted",
    /// The model is not part of the plan. `details`: `upgrade`, the plan that has it, as for `credits_exhausted`; `byokAllowed`, true: the user's own OpenRouter key (BYOK) could pay, too.
    ModelNeedsPremium = 403 "model_needs_premium",
    /// The chat holds as many turns as the plan allows; start a new one, or upgrade. `details`: `limitTurns`; `upgrade`, as for `credits_exhausted`.
    ChatFull = 403 "chat_full",
    /// The question and the messages before it exceed the plan's context limit; start a new chat, or upgrade. `details`: `tokens`, an estimate of their size; `limitTokens`; `upgrade`, as for `credits_exhausted`.
    ContextTooLarge = 413 "context_too_large",
    /// The user's own key (BYOK) is stored, but can no longer be decrypted; replace it or remove it.
    KeyUnreadable = 403 "key_unreadable",
    /// The user's own key (BYOK) has reached its monthly cap. `details`: `monthlyCapUsd`, the cap; `resetsAt`, when the next month begins.
    KeyCapReached = 402 "key_cap_reached",
    /// The list of models cannot be fetched right now.
    ModelsUnavailable = 503 "models_unavailable",

    /// A field of the file's declaration is invalid; the message names it.
    InvalidUpload = 422 "invalid_upload",
    /// Files of this type cannot be used. `details.allowed` lists the media types that can.
    TypeNotAllowed = 422 "type_not_allowed",
    /// The file is larger than allowed. `details`: `limitMib`; `upgrade`, a plan that allows it, as for `credits_exhausted`.
    FileTooLarge = 413 "file_too_large",
    /// The user's files leave no room for this one; delete some, or upgrade. `details`: `usedBytes`; `limitBytes`; `upgrade`, as for `credits_exhausted`.
    StorageFull = 403 "storage_full",
    /// Too many uploads; `retry-after` says when to go on.
    TooManyUploads = 429 "too_many_uploads",
    /// Files cannot be reached right now; `retry-after` says when to try again.
    UploadsUnavailable = 503 "uploads_unavailable",
    /// There is no such file of yours: it was deleted, or not completed within an hour, or is another user's.
    UploadNotFound = 404 "upload_not_found",
    /// The file was not sent yet, or not completed: `PUT` it to its URL, then `POST /api/uploads/{id}/complete`.
    UploadMissing = 409 "upload_missing",
    /// The file's content is not of the type, the size or the hash that was declared. It is deleted.
    FileNotAsDeclared = 422 "file_not_as_declared",
    /// The file cannot be used, and is deleted. `details.because`: `damaged`, `encrypted`, `too_many_pixels`, `animated`, `too_many_pages` or `too_complex`.
    FileUnreadable = 422 "file_unreadable",
    /// The message's files are too large to be sent to a model together. `details.limitMib`; send fewer.
    FilesTooLarge = 413 "files_too_large",
    /// The model cannot read this kind of file. `details`: `model`; `kind`, such as `image`; `models`, up to five of the plan that can.
    ModelCannotRead = 422 "model_cannot_read",

    /// The key cannot call models: it does not begin with `sk-or-`, manages other keys, or has expired. The message says which.
    InvalidKey = 422 "invalid_key",
    /// OpenRouter does not know this key.
    KeyUnknown = 422 "key_unknown",
    /// A monthly cap is between 0.01 and 100000 US dollars.
    InvalidCap = 422 "invalid_cap",
    /// OpenRouter could not be asked about the key; nothing was changed. `retry-after` says when to try again.
    KeyCheckUnavailable = 503 "key_check_unavailable",
    /// There is no key of yours here.
    KeyNotFound = 404 "key_not_found",
    /// Too many changes of the key; `retry-after` says when to go on.
    TooManyKeyChanges = 429 "too_many_key_changes",
    /// OpenRouter no longer accepts your own key; replace it or remove it.
    KeyRefused = 403 "key_refused",
    /// Your own key has nothing left to spend; top it up, raise its limit, or remove it.
    KeyExhausted = 402 "key_exhausted",
    /// OpenRouter limits how often your own key may ask; `retry-after` says when to try again.
    KeyBusy = 429 "key_busy",

    /// There is no such plan; `GET /api/plans` lists those there are.
    PlanUnknown = 404 "plan_unknown",
    /// The plan is not for sale.
    PlanNotForSale = 422 "plan_not_for_sale",
    /// The payment provider needs a phone number; send one as `phone`.
    PhoneNeeded = 422 "phone_needed",
    /// A phone number has 10 digits, or begins with `+` and has 8 to 15.
    InvalidPhone = 422 "invalid_phone",
    /// Too many orders; `retry-after` says when to go on.
    TooManyOrders = 429 "too_many_orders",
    /// Nothing is sold here.
    BillingOff = 404 "billing_off",
    /// There is no such order of yours.
    OrderNotFound = 404 "order_not_found",
    /// The payment provider cannot be reached, or takes no more requests. The order is kept, and the same request completes it later; `retry-after` says when.
    PaymentsUnavailable = 503 "payments_unavailable",
    /// The payment provider refuses this service. Only its operator can mend that, and an alarm tells them.
    PaymentsMisconfigured = 502 "payments_misconfigured",
    /// The webhook's signature is not valid.
    WebhookRefused = 401 "webhook_refused",

    /// The account that pays for the model has no credit left.
    ModelOutOfCredit = 402 "model_out_of_credit",
    /// The model's provider refused the message; `details.reasons` says why, if the provider did.
    ModelRefused = 403 "model_refused",
    /// The model's provider took too long to accept the message; send it again.
    ModelRequestTimedOut = 408 "model_request_timed_out",
    /// The conversation does not fit into the model.
    ConversationTooLong = 413 "conversation_too_long",
    /// The model is busy; `retry-after` says when to try again.
    ModelBusy = 429 "model_busy",
    /// The model's provider failed, or its connection broke; the text until then is kept.
    ModelFailed = 502 "model_failed",
    /// The model is unavailable; `retry-after` says when to try again.
    ModelUnavailable = 503 "model_unavailable",
    /// The model sent nothing for too long, or its answer took longer than a turn may; the text until then is kept.
    ModelTimedOut = 504 "model_timed_out",
    /// The process that ran the turn is gone (an orphaned turn); the answer's text until then is kept. Only ever the end of a stream.
    AnswerInterrupted = 503 "answer_interrupted",
    /// The answer was made but could not be saved. Only ever the end of a stream.
    AnswerNotSaved = 503 "answer_not_saved",
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_documents_codes_are_those_on_the_wire() {
        let schema = serde_json::to_value(ErrorCode::schema()).unwrap();
        let wire: Vec<_> =
            ErrorCode::ALL.iter().map(|code| serde_json::to_value(code).unwrap()).collect();
        assert_eq!(schema["enum"].as_array().unwrap(), &wire);
        let listed: Vec<_> = ErrorCode::ALL.iter().map(|code| code.as_str()).collect();
        assert_eq!(wire, listed);
    }
}

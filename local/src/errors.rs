//! Generates `docs/errors.md` from the table of error codes.

use std::fmt::Write;

use shared_http::ErrorCode;

const HEAD: &str = "\
# Errors

<!-- Made by `make openapi` from `shared/http/src/codes.rs`. -->

Every error has one form, as the body of a response or, once a stream has begun, as the JSON in the
`errorText` of its last event:

```json
{\"error\": {\"code\": \"code_wrong\", \"message\": \"that code is wrong; 2 tries left\", \"details\": {\"triesLeft\": 2}}}
```

`code` is for programs and does not change; `message` is for people and may. `details` is there only
where the table says so. Responses with status 429 or 503 carry `retry-after` in seconds, those with 409
carry `x-should-retry: false`.

| code | status | meaning |
| --- | --- | --- |
";

/// The Markdown page.
pub fn errors_page() -> String {
    let mut page = HEAD.to_owned();
    for code in ErrorCode::ALL {
        let _ = writeln!(page, "| `{}` | {} | {} |", code.as_str(), code.status(), code.meaning());
    }
    page
}

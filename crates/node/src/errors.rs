//! The errors of the ordinary calls. The `code` of each is one of `lib/errors.ts`, or `ERR_DETACHED`.

use crate::layout::CLOSED_CODE;
use cache_machine_core::CacheError;
use napi::{Error, Status};

/// The stable code of an error, as napi's status.
#[derive(Clone, Debug)]
pub struct Code(&'static str);

impl AsRef<str> for Code {
    fn as_ref(&self) -> &str {
        self.0
    }
}

impl From<Status> for Code {
    fn from(_: Status) -> Self {
        Self(CacheError::InvalidArgument(String::new()).code())
    }
}

pub(crate) type Result<T> = std::result::Result<T, Error<Code>>;

pub(crate) fn fail(error: CacheError) -> Error<Code> {
    Error::new(Code(error.code()), error.to_string())
}

pub(crate) fn invalid(message: impl Into<String>) -> Error<Code> {
    fail(CacheError::InvalidArgument(message.into()))
}

/// `what`: of which no handle is open.
pub(crate) fn closed(what: &str) -> Error<Code> {
    Error::new(Code(CLOSED_CODE), format!("the {what} is closed"))
}

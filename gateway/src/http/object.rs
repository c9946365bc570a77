//! Stored bytes as answers: whole or one range (RFC 9110, section 14), streamed.

use axum::body::Body;
use axum::response::{IntoResponse, Response};
use futures_util::stream;
use http::{HeaderValue, StatusCode, header};
use sealpost_proto::problem::ProblemKind;

use super::problem::ApiError;
use crate::service::StoredObject;

/// Bytes that are read from the store at once.
const CHUNK: u64 = 512 * 1024;

/// First byte and length of what is asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Asked {
    Whole,
    Range { first: u64, len: u64 },
    Outside,
}

/// The object, or the range of it that was asked for.
///
/// # Errors
/// `range_not_satisfiable`; `internal` if what is stored is not whole.
pub(super) async fn answer(object: StoredObject, range: Option<&HeaderValue>) -> Result<Response, ApiError> {
    let total = object.len();
    let asked = range
        .and_then(|value| value.to_str().ok())
        .map_or(Asked::Whole, |text| parse(text, total));
    let (status, first, len) = match asked {
        Asked::Whole => (StatusCode::OK, 0, total),
        Asked::Range { first, len } => (StatusCode::PARTIAL_CONTENT, first, len),
        Asked::Outside => return Ok(outside(total)),
    };
    object.check(first, len).await?;
    let mut response = (status, stream(object, first, len)).into_response();
    let headers = response.headers_mut();
    headers.insert(
        header::CONTENT_TYPE,
        HeaderValue::from_static("application/octet-stream"),
    );
    headers.insert(header::ACCEPT_RANGES, HeaderValue::from_static("bytes"));
    headers.insert(header::CONTENT_LENGTH, HeaderValue::from(len));
    if status == StatusCode::PARTIAL_CONTENT {
        let place = format!("bytes {first}-{}/{total}", first + len - 1);
        headers.extend(
            HeaderValue::try_from(place)
                .ok()
                .map(|value| (header::CONTENT_RANGE, value)),
        );
    }
    Ok(response)
}

fn outside(total: u64) -> Response {
    let mut response = ApiError::from(ProblemKind::RangeNotSatisfiable).into_response();
    let place = HeaderValue::try_from(format!("bytes */{total}")).ok();
    response
        .headers_mut()
        .extend(place.map(|value| (header::CONTENT_RANGE, value)));
    response
}

/// Reads ahead no further than the connection takes. A store that fails in the middle ends the answer short, which the length
/// in its head shows.
fn stream(object: StoredObject, first: u64, len: u64) -> Body {
    let end = first + len;
    Body::from_stream(stream::unfold((object, first), move |(object, at)| async move {
        if at >= end {
            return None;
        }
        let read = object.read(at, CHUNK.min(end - at)).await;
        if let Err(error) = &read {
            tracing::error!(?error, "stored bytes could not be read");
        }
        let next = read.as_ref().map_or(end, |bytes| at + bytes.len() as u64);
        let next = if next == at { end } else { next };
        Some((read, (object, next)))
    }))
}

/// One range in bytes. What is not one is ignored, as the RFC says.
fn parse(text: &str, total: u64) -> Asked {
    let Some((first, last)) = text.strip_prefix("bytes=").and_then(|range| range.split_once('-')) else {
        return Asked::Whole;
    };
    let (first, last) = match (number(first), number(last)) {
        (Some(first), Some(last)) if first <= last => (first, last.min(total.saturating_sub(1))),
        (Some(first), None) if last.is_empty() => (first, total.saturating_sub(1)),
        (None, Some(suffix)) if first.is_empty() => (total.saturating_sub(suffix), total.saturating_sub(1)),
        _ => return Asked::Whole,
    };
    if first >= total {
        return Asked::Outside;
    }
    Asked::Range {
        first,
        len: last - first + 1,
    }
}

fn number(text: &str) -> Option<u64> {
    text.bytes()
        .all(|b| b.is_ascii_digit())
        .then(|| text.parse().ok())
        .flatten()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ranges_are_those_of_the_rfc() {
        let range = |first, len| Asked::Range { first, len };
        for (text, total, asked) in [
            ("bytes=0-9", 100, range(0, 10)),
            ("bytes=90-", 100, range(90, 10)),
            ("bytes=90-500", 100, range(90, 10)),
            ("bytes=-10", 100, range(90, 10)),
            ("bytes=-500", 100, range(0, 100)),
            ("bytes=99-99", 100, range(99, 1)),
            ("bytes=100-", 100, Asked::Outside),
            ("bytes=0-", 0, Asked::Outside),
            ("bytes=-0", 100, Asked::Outside),
            ("bytes=5-4", 100, Asked::Whole),
            ("bytes=0-1,5-6", 100, Asked::Whole),
            ("bytes=-", 100, Asked::Whole),
            ("bytes=+1-2", 100, Asked::Whole),
            ("lines=0-9", 100, Asked::Whole),
        ] {
            assert_eq!(parse(text, total), asked, "{text} of {total}");
        }
    }
}

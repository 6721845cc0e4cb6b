//! Numbers as the API writes them: `0.1`, but `32` and not `32.0`.

use serde::Serializer;

/// The greatest whole number that every reader of JSON takes exactly.
const EXACT: f64 = 9_007_199_254_740_992.0;

#[expect(
    clippy::trivially_copy_pass_by_ref,
    reason = "the form that serde asks for"
)]
pub(crate) fn write<S: Serializer>(value: &f64, serializer: S) -> Result<S::Ok, S::Error> {
    if value.fract() == 0.0 && value.abs() < EXACT {
        #[expect(clippy::cast_possible_truncation, reason = "whole, and small enough")]
        serializer.serialize_i64(*value as i64)
    } else {
        serializer.serialize_f64(*value)
    }
}

//! Tests of what is shared.

//! Serves what was recorded to `tokio-console`.

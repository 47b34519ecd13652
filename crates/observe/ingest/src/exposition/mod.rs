//! Text exposition formats.

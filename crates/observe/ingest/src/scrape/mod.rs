//! Scraping: discovery, targets, the loop.

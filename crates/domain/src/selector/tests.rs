//! Selectors: tables of texts, and properties.

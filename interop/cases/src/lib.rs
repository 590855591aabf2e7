//! Cases against peers that others wrote; all of it is tests, see `tests/it`. `make interop` runs them.
